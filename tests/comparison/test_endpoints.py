"""Scores as one array: images to groups to folds, and the same mean wherever it is taken."""

import numpy as np
import pandas as pd
import pytest

from comparing import alone, as_evaluation, counted, endpoint_of, endpoints_of, evaluation_of, scattered
from stratagem.comparison.endpoints import endpoints, kind_of_unit

GROUPS = pd.Series({"image-00": "p", "image-01": "p", "image-02": "q", "image-03": "r"})
DICE = {"b": np.array([[0.2, 0.4, 0.6, 0.8], [0.4, 0.6, 0.8, 0.9]]), "a": np.full((2, 4), 0.5)}


def test_an_endpoint_is_strategies_by_seeds_by_units():
    """In the study's order of strategies; seeds and units ascend."""
    endpoint = endpoint_of(DICE)
    assert (endpoint.metric, endpoint.name, endpoint.unit) == ("dice", "mean", "image")
    assert (endpoint.strategies, endpoint.seeds) == (["b", "a"], [1, 2])
    assert endpoint.units == [f"image-{n:02}" for n in range(4)]
    assert endpoint.of("b") == pytest.approx(DICE["b"], abs=1e-5)
    assert endpoint.differences({"b": "a"})[0] == pytest.approx(DICE["b"] - 0.5, abs=1e-5)


def test_the_mean_over_classes_stands_first_then_each_class():
    """A class that no test image holds has no endpoint."""
    rows = [counted("a", 1, "x", 0.8), counted("a", 1, "x", 0.4, number=2), counted("a", 1, "y", 0.6)]
    found = endpoints_of(as_evaluation(rows), classes=["background", "cell", "nucleus", "rare"])
    assert [one.name for one in found] == ["mean", "cell", "nucleus"] * 2
    assert found[0].scores.ravel() == pytest.approx([0.6, 0.6], abs=1e-5)
    assert [one.units for one in found[:3]] == [["x", "y"], ["x", "y"], ["x"]]


def test_images_of_a_group_are_averaged_first():
    """Three groups of four images are three units."""
    endpoint = next(endpoints(evaluation_of(DICE), GROUPS, "dice", ["background", "cell"]))
    assert (endpoint.unit, endpoint.units) == ("group", ["p", "q", "r"])
    assert endpoint.of("b") == pytest.approx(np.array([[0.3, 0.6, 0.8], [0.5, 0.8, 0.9]]), abs=1e-5)


def test_with_folds_groups_are_averaged_to_folds():
    """p and q in one fold, r in the other: a fold is the mean of its groups, not of its images."""
    evaluation = evaluation_of(DICE)
    evaluation["fold"] = evaluation["sample"].map(GROUPS).eq("r").astype(int)
    endpoint = next(endpoints(evaluation, GROUPS, "dice", ["background", "cell"]))
    assert (endpoint.unit, endpoint.units) == ("fold", [0, 1])
    assert endpoint.of("b") == pytest.approx(np.array([[0.45, 0.8], [0.65, 0.9]]), abs=1e-5)


@pytest.mark.parametrize(
    ("folds", "units", "kind"),
    [
        (1, None, "image"),
        (1, GROUPS, "group"),
        (2, None, "fold"),
        (2, GROUPS, "fold"),
        (1, GROUPS.drop(["image-00"]), "image"),  # what is not tested makes no group
    ],
)
def test_the_kind_of_unit_follows_from_folds_and_groups(folds, units, kind):
    """Folds first, since the networks of one share their training images."""
    evaluation = evaluation_of(DICE, folds)
    if units is not None:
        evaluation = evaluation[evaluation["sample"].isin(units.index)]
    assert kind_of_unit(evaluation, alone(evaluation) if units is None else units) == kind


def test_a_missing_run_is_not_a_score():
    """NaN where a strategy lacks a seed; the others keep theirs."""
    evaluation = evaluation_of(scattered({"a": 0.01, "b": 0.01}))
    evaluation = evaluation[(evaluation["strategy"] == "a") | (evaluation["seed"] < 3)]
    endpoint = endpoints_of(evaluation)[0]
    assert np.isnan(endpoint.of("b")[2]).all() and np.isfinite(endpoint.of("b")[:2]).all()
    assert np.isfinite(endpoint.of("a")).all()
