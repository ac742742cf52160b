"""The main table: every row follows from the pairs of one endpoint, and every verdict from its interval."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from comparing import (
    CLASSES,
    alone,
    as_evaluation,
    compared,
    counted,
    endpoint_of,
    evaluation_of,
    primary,
    scattered,
)
from stratagem.comparison.effects import COLUMNS, family, pairs
from stratagem.comparison.intervals import one_tail
from stratagem.core.errors import DataError


def test_the_primary_metric_stands_first_whichever_it_is():
    """A study decided by IoU has its verdicts there."""
    evaluation = evaluation_of(scattered({"a": 0.01, "b": 0.01}))
    table = compared(evaluation, {"b": "a"}, metric="iou")
    assert table[["metric", "class"]].values.tolist()[0] == ["iou", "mean"]
    assert (table["verdict"] != "not adjusted").tolist() == [True, False, False, False]
    assert sorted(table["metric"]) == ["dice", "dice", "iou", "iou"]


def test_a_row_holds_both_means_and_their_paired_difference():
    """0.6 against 0.5, image by image and seed by seed."""
    dice = {"a": np.array([[0.4, 0.6], [0.4, 0.6]]), "b": np.array([[0.5, 0.7], [0.5, 0.7]])}
    row = primary(evaluation_of(dice), {"b": "a"}).loc["b"]
    assert (row["mean"], row["reference_mean"], row["difference"]) == pytest.approx((0.6, 0.5, 0.1))
    assert (row["low"], row["high"]) == pytest.approx((0.1, 0.1))
    assert (row["seeds"], row["units"], row["verdict"]) == (2, 2, "helps")


def test_each_verdict_is_reached():
    """Far better, far worse, the same, and one that scatters too much to tell."""
    rng = np.random.default_rng(1)
    base = 0.6 + rng.normal(0, 0.05, (1, 12)) + rng.normal(0, 0.001, (3, 12))
    moved = {"better": 0.1, "worse": -0.1, "same": 0.0}
    dice = {"a": base} | {name: base + by + rng.normal(0, 0.001, (3, 12)) for name, by in moved.items()}
    found = primary(evaluation_of(dice), dict.fromkeys(moved, "a"))["verdict"]
    assert found.to_dict() == {"better": "helps", "worse": "hurts", "same": "no difference"}
    dice = {"a": base, "b": base + np.array([[-0.2], [0.0], [0.3]])}
    assert primary(evaluation_of(dice), {"b": "a"})["verdict"].tolist() == ["cannot tell yet"]


def test_one_seed_cannot_tell():
    """Means and difference are shown; interval and verdict are not to be had from one seed."""
    table = compared(
        evaluation_of(scattered({"a": 0.01, "b": 0.01, "c": 0.01}, seeds=1)), {"b": "a", "c": "a"}
    )
    assert table[["low", "high", "p"]].isna().all(axis=None)
    assert table["limit"][:2].tolist() == ["one seed"] * 2
    assert table["difference"].notna().all()
    assert table["verdict"][:2].tolist() == ["cannot tell yet"] * 2


def test_identical_strategies_make_no_difference():
    """Where images are stored cannot change a score, and the table says so."""
    dice = scattered({"a": 0.03})["a"]
    row = primary(evaluation_of({"a": dice, "b": dice}), {"b": "a"}).loc["b"]
    assert (row["low"], row["high"], row["p"], row["verdict"]) == (0, 0, 1, "no difference")


def test_identical_strategies_make_no_difference_in_a_family_that_scatters():
    """Runs that are equal bit for bit stay equal, whatever else the study compares."""
    dice = scattered({"a": 0.03, "c": 0.03, "d": 0.03}, seed=3)
    dice["b"] = dice["a"]
    row = primary(evaluation_of(dice), dict.fromkeys("bcd", "a")).loc["b"]
    assert (row["low"], row["high"], row["verdict"]) == (0, 0, "no difference")


def test_an_identical_strategy_makes_no_other_one_surer():
    """A comparison that has no scatter at all says nothing of the scatter of the others."""
    dice = scattered({"a": 0.03, "c": 0.03}, seed=3)
    alone = primary(evaluation_of(dice), {"c": "a"}).loc["c"]
    family = primary(evaluation_of(dice | {"b": dice["a"]}), {"b": "a", "c": "a"}).loc["c"]
    assert family["high"] - family["low"] >= alone["high"] - alone["low"]


def test_the_primary_interval_holds_for_the_family_at_once():
    """The primary comparison is decided more strictly beside others; a secondary one is not adjusted."""
    dice = scattered({"a": 0.0, "b": 0.05, "c": 0.05})  # unequal, so each stands on its own
    dice["a"] = np.full_like(dice["a"], 0.8) + np.linspace(0, 0.001, 3)[:, None]
    table = compared(evaluation_of(dice), {"b": "a", "c": "a"})
    primary, secondary = table.iloc[0], table.iloc[2]
    assert (primary["metric"], primary["class"], secondary["class"]) == ("dice", "mean", "cell")
    assert primary["difference"] == secondary["difference"]  # one class: the mean is the class
    assert primary["high"] > secondary["high"]
    assert primary["p"] == pytest.approx(min(1, 2 * secondary["p"]))


def test_groups_count_as_one_unit():
    """Six tiles of two patients are two units, whatever the number of tiles; each patient weighs the same."""
    dice = {"a": np.zeros((2, 6)) + 0.5, "b": np.array([[0.6, 0.6, 0.6, 0.6, 0.6, 0.9]] * 2)}
    evaluation = evaluation_of(dice)
    groups = pd.Series(["one"] * 5 + ["two"], index=sorted(evaluation["sample"].unique()))
    row = primary(evaluation, {"b": "a"}, units=groups).loc["b"]
    assert (row["unit"], row["units"]) == ("group", 2)
    assert row["difference"] == pytest.approx((0.1 + 0.4) / 2)
    known = stats.ttest_1samp([0.1, 0.4], 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((known.low, known.high), rel=1e-4)


def test_each_strategy_is_compared_with_its_own_reference():
    """Transfer is read against the same network with random weights, not against the baseline."""
    level = np.array([[0.0, 0.1], [0.0, 0.1]])
    dice = {"baseline": level + 0.2, "control": level + 0.5, "transfer": level + 0.6}
    references = {"control": "baseline", "transfer": "control"}
    found = primary(evaluation_of(dice), references)
    assert found["reference"].to_dict() == references
    assert found["difference"].to_dict() == pytest.approx({"control": 0.3, "transfer": 0.1})
    assert found.loc["transfer", "reference_mean"] == found.loc["control", "mean"]


def test_a_strategy_that_misses_a_class_does_not_drop_out():
    """The truth decides which images count: a class never found scores 0 there."""
    classes = ["background", "cell", "rare"]
    rows = [
        row
        for strategy in "ab"
        for seed in (1, 2)
        for row in (
            counted(strategy, seed, "x", 0.8),
            counted(strategy, seed, "y", 0.8),
            counted(strategy, seed, "y", 0.0 if strategy == "b" else 0.8, number=2),
            counted(strategy, seed, "z", 0.8),
            counted(strategy, seed, "z", 0.0 if strategy == "b" else 0.8, number=2),
        )
    ]
    table = compared(as_evaluation(rows), {"b": "a"}, classes=classes).set_index(["metric", "class"])
    assert table.loc[("dice", "mean"), "units"] == 3 and table.loc[("dice", "rare"), "units"] == 2
    assert table.loc[("dice", "mean"), "mean"] == pytest.approx((0.8 + 0.4 + 0.4) / 3)
    assert table.loc[("dice", "rare"), "difference"] == pytest.approx(-0.8)
    assert table.loc[("dice", "cell"), "difference"] == 0


def test_false_alarms_move_no_difference():
    """A class predicted where the truth has none enters no per-image mean."""
    rows = [counted(name, seed, image, 0.8) for name in "ab" for seed in (1, 2) for image in "xy"]
    alarm = ("b", 0, 1, "z", 1, 0, 500, 0)
    clean, loud = as_evaluation(rows), as_evaluation([*rows, alarm, ("a", 0, 1, "z", 1, 0, 0, 0)])
    pd.testing.assert_frame_equal(compared(loud, {"b": "a"}), compared(clean, {"b": "a"}))


def test_a_class_that_no_test_image_holds_stops_nothing():
    """A rare class may be missing from the test images; the primary endpoint is decided all the same."""
    evaluation = evaluation_of(scattered({"a": 0.01, "b": 0.01}))
    table = compared(evaluation, {"b": "a"}, classes=[*CLASSES, "rare"])
    known = compared(evaluation, {"b": "a"})
    pd.testing.assert_frame_equal(table[:1], known[:1])
    assert "rare" not in set(table["class"])


def test_the_order_of_the_runs_does_not_matter():
    """The same runs give the same table, in whatever order they were stored."""
    evaluation = evaluation_of(scattered({"a": 0.01, "b": 0.01, "c": 0.02}))
    shuffled = evaluation.sample(frac=1, random_state=1)
    references = {"b": "a", "c": "a"}
    pd.testing.assert_frame_equal(compared(shuffled, references), compared(evaluation, references))


def test_a_study_of_the_baseline_alone_has_an_empty_table():
    """Nothing to compare is no fault: the columns are there, the rows are not."""
    table = compared(evaluation_of(scattered({"a": 0.01})), {})
    assert list(table.columns) == COLUMNS and table.empty


@pytest.mark.parametrize("lost", [{"seed": 3}, {"sample": "image-00"}, {}], ids=["a seed", "an image", "all"])
def test_strategies_without_the_same_seeds_and_images_are_refused(lost):
    """A comparison that is not paired is none, and I am told to finish the runs."""
    evaluation = evaluation_of(scattered({"a": 0.01, "b": 0.01}))
    gone = evaluation["strategy"] == "b"
    for key, value in lost.items():
        gone &= evaluation[key] == value
    with pytest.raises(DataError, match="`b` and `a` tested with the same seeds on the same") as caught:
        compared(evaluation[~gone], {"b": "a"}, units=alone(evaluation))
    assert "no score of `b` for some of 3 seeds x 12 images" in caught.value.found
    assert "Run the workflow" in caught.value.remedy


@pytest.mark.parametrize("folds", [1, 2])
def test_an_image_that_was_not_tested_is_not_hidden_by_its_unit(folds):
    """The mean of a group or a fold does not make up for an image that one run left out."""
    evaluation = evaluation_of(scattered({"a": 0.01, "b": 0.01}), folds)
    names = evaluation["sample"].unique()
    groups = pd.Series([name[:-1] for name in names], index=names)
    gone = (evaluation["strategy"] == "b") & (evaluation["sample"] == names[0]) & (evaluation["seed"] == 1)
    assert len(compared(evaluation, {"b": "a"}, units=groups))
    with pytest.raises(DataError, match="tested with the same seeds on the same images"):
        compared(evaluation[~gone], {"b": "a"}, units=groups)


def test_a_single_run_that_is_missing_is_refused():
    """One fold of one seed not tested leaves a hole in the pairs, and no number is made from it."""
    evaluation = evaluation_of(scattered({"a": 0.01, "b": 0.01}))
    evaluation["fold"] = evaluation["sample"].str[-1].astype(int) % 2
    gone = (evaluation["strategy"] == "b") & (evaluation["seed"] == 2) & (evaluation["fold"] == 1)
    with pytest.raises(DataError, match="`b` and `a` tested with the same seeds on the same images"):
        compared(evaluation[~gone], {"b": "a"})


def test_two_strategies_that_find_nothing_are_no_tie():
    """Both collapsed to background: that is no finding of "no difference"."""
    rows = [
        {
            "strategy": name,
            "fold": 0,
            "seed": seed,
            "sample": sample,
            "class": 1,
            "tp": 0,
            "fp": 0,
            "fn": 5,
            "tn": 4,
        }
        for name in ("baseline", "other")
        for seed in (1, 2)
        for sample in ("a", "b", "c")
    ]
    found = primary(pd.DataFrame(rows), {"other": "baseline"}).loc["other"]
    assert (found["verdict"], found["limit"]) == ("cannot tell yet", "nothing found")
    assert found[["low", "high", "p", "detectable"]].isna().all()


def test_the_main_table_has_the_documented_columns_and_order():
    """The primary endpoint stands first, with verdicts; all else follows and is not adjusted."""
    evaluation = evaluation_of(scattered({"a": 0.01, "b": 0.01, "c": 0.01}))
    table = compared(evaluation, {"b": "a", "c": "a"})
    assert list(table.columns) == COLUMNS
    ends = [("dice", "mean"), ("dice", "cell"), ("iou", "mean"), ("iou", "cell")]
    assert table[["strategy", "metric", "class"]].values.tolist() == [
        [strategy, *end] for end in ends for strategy in ("b", "c")
    ]
    assert "not adjusted" not in set(table["verdict"][:2])
    assert set(table["verdict"][2:]) == {"not adjusted"}
    assert (table["seeds"] == 3).all() and (table["units"] == 12).all() and set(table["unit"]) == {"image"}
    assert table["limit"][:2].ne("").all() and table["detectable"][:2].notna().all()
    assert table["limit"][2:].eq("").all() and table["detectable"][2:].isna().all()


# The unit


def test_with_folds_the_mean_of_a_fold_is_the_unit():
    """Three folds of four images: the t interval over three means, two degrees of freedom."""
    dice = scattered({"a": 0.01, "b": 0.01})
    row = primary(evaluation_of(dice, folds=3), {"b": "a"}).loc["b"]
    means = np.stack([(dice["b"] - dice["a"])[:, fold::3].mean() for fold in range(3)])
    known = stats.ttest_1samp(means, 0)
    limits = known.confidence_interval(0.95)
    assert (row["unit"], row["units"], row["seeds"], row["limit"]) == ("fold", 3, 3, "folds")
    assert (row["low"], row["high"], row["p"]) == pytest.approx(
        (limits.low, limits.high, known.pvalue), abs=1e-5
    )
    assert np.isnan(row["effect_seeds_low"]) and row["effect_units_low"] >= 2


def test_with_folds_one_seed_has_an_interval():
    """The folds are trained on other images each: they are replicates by themselves."""
    row = primary(evaluation_of(scattered({"a": 0.01, "b": 0.01}, seeds=1), folds=4), {"b": "a"}).loc["b"]
    assert (row["seeds"], row["units"]) == (1, 4) and np.isfinite([row["low"], row["high"], row["p"]]).all()


def test_a_class_of_one_fold_alone_has_no_interval():
    """A rare class may be tested in a single fold; the others, and the verdict, stand."""
    rows = [
        counted(name, seed, image, 0.8 - 0.1 * (name == "b") * (image == "x"), number, fold)
        for name in "ab"
        for seed in (1, 2)
        for fold, image in enumerate("xyz")
        for number in ((1, 2) if image == "x" else (1,))
    ]
    found = compared(as_evaluation(rows), {"b": "a"}, classes=["background", "cell", "rare"])
    found = found.set_index(["metric", "class"])
    assert found.loc[("dice", "rare"), "units"] == 1 and np.isnan(found.loc[("dice", "rare"), "low"])
    assert np.isfinite(found.loc[("dice", "mean"), "low"])


def test_folds_of_unequal_size_weigh_the_same():
    """A fold of five images is one unit, as one of seven is; its images are averaged first."""
    dice = scattered({"a": 0.01, "b": 0.05}, images=12)
    evaluation = evaluation_of(dice)
    evaluation["fold"] = (evaluation["sample"] > "image-04").astype(int)
    difference = (dice["b"] - dice["a"]).mean(axis=0)
    row = primary(evaluation, {"b": "a"}).loc["b"]
    assert row["difference"] == pytest.approx((difference[:5].mean() + difference[5:].mean()) / 2, abs=1e-5)


def test_pairs_are_those_that_the_verdict_averages():
    """A row a strategy and unit; their mean is the difference of the table."""
    dice = scattered({"a": 0.01, "b": 0.02, "c": 0.01})
    for folds, unit in ((1, 12), (3, 3)):
        endpoint = endpoint_of(dice, folds)
        found = pairs(endpoint, {"b": "a", "c": "b"})
        assert found.groupby("strategy").size().to_dict() == {"b": unit, "c": unit}
        known = primary(evaluation_of(dice, folds), {"b": "a", "c": "b"})["difference"]
        assert found.groupby("strategy")["difference"].mean().to_dict() == pytest.approx(known.to_dict())
    assert pairs(None, {"b": "a"}).empty and pairs(endpoint, {}).empty


# What a row is made of


def test_a_row_is_its_family_s_interval():
    """Low, high and the inner interval are mean and half-widths of the family, at their levels."""
    dice = scattered({"a": 0.01, "b": 0.02, "c": 0.001})
    references = {"b": "a", "c": "a"}
    parts = family(endpoint_of(dice).differences(references), "image")
    found = primary(evaluation_of(dice), references)
    for level, low, high in ((1, "low", "high"), (2, "inner_low", "inner_high")):
        half = parts.half(level * one_tail(2))
        assert found[high].to_numpy() - found["difference"].to_numpy() == pytest.approx(half)
        assert found["difference"].to_numpy() - found[low].to_numpy() == pytest.approx(half)


def test_no_difference_is_decided_by_the_inner_interval():
    """A 95 % interval may reach beyond the margin where both one-sided tests hold."""
    dice = scattered({"a": 0.0, "b": 0.0}, images=40)
    row = primary(evaluation_of(dice), {"b": "a"}).loc["b"]
    margin = (max(-row["inner_low"], row["inner_high"]) + max(-row["low"], row["high"])) / 2
    assert primary(evaluation_of(dice), {"b": "a"}, margin=margin)["verdict"].tolist() == ["no difference"]
    assert max(-row["low"], row["high"]) > margin


def test_a_wild_strategy_widens_its_own_interval_most():
    """Each comparison keeps most of its own seed variance: one that scatters does not drown the others."""
    dice = scattered({"a": 0.001, "b": 0.001, "c": 0.001, "wild": 0.15}, seeds=4)
    found = primary(evaluation_of(dice), dict.fromkeys(("b", "c", "wild"), "a"))
    width = found["high"] - found["low"]
    assert width["wild"] > 3 * width["b"]


def test_what_it_takes_stands_in_the_table():
    """More seeds for a smaller effect, and none asked for where the interval does not exist."""
    evaluation = evaluation_of(scattered({"a": 0.02, "b": 0.02}, images=60))
    near, far = (primary(evaluation, {"b": "a"}, effect=effect).loc["b"] for effect in (0.1, 0.03))
    assert near["effect_seeds_low"] <= far["effect_seeds_low"] <= far["effect_seeds_high"]
    lone = primary(evaluation_of(scattered({"a": 0.02, "b": 0.02}, seeds=1)), {"b": "a"}).loc["b"]
    assert lone.filter(like="_seeds_").isna().all() and lone.filter(like="_units_").isna().all()
