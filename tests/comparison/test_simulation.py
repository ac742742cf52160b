"""Simulated studies: drawn with the scatter that they are said to have, and judged as real ones are."""

from dataclasses import replace

import numpy as np
import pytest

from comparing import design_of, endpoint_of, scattered
from stratagem.comparison.simulation import CERTIFICATE, Shape, assumed, certificate, measured, shape_of

FAMILY = dict.fromkeys("bcd", "a")
SHAPE = Shape("image", 3, 50)


def _variance(differences: np.ndarray) -> float:
    """Of the mean difference over studies: what an interval has to speak of."""
    return float(differences.mean(axis=(-2, -1)).var())


def test_a_population_scatters_as_the_study_that_it_is_of():
    """Drawn anew, means vary as the variances of seeds, units and residuals say."""
    rng = np.random.default_rng(0)
    seeds, units = 40, 60
    scores = 0.6 + rng.normal(0, 0.03, (2, seeds, 1)) + rng.normal(0, 0.05, (2, 1, units))
    scores += rng.normal(0, 0.04, (2, seeds, units))
    endpoint = endpoint_of(dict(zip("ab", np.clip(scores, 0, 1), strict=True)))
    drawn = measured(endpoint).draw(5, 20, 4000, np.random.default_rng(1))
    assert drawn.shape == (4000, 2, 5, 20)
    known = 2 * (0.03**2 / 5 + 0.05**2 / 20 + 0.04**2 / 100)
    assert _variance(drawn[:, 1] - drawn[:, 0]) == pytest.approx(known, rel=0.25)
    assert abs(drawn.mean()) < 0.005  # nothing differs


def test_strategies_that_are_one_stay_one():
    """Runs that are equal bit for bit are equal in every simulated study."""
    dice = scattered({"a": 0.02, "c": 0.02})
    drawn = measured(endpoint_of(dice | {"b": dice["a"]})).draw(3, 12, 10, np.random.default_rng(0))
    assert (drawn[:, 0] == drawn[:, 2]).all() and not (drawn[:, 0] == drawn[:, 1]).any()


def test_of_folds_the_means_of_folds_are_drawn():
    """A replicate a fold, one column; what all strategies share of a fold cancels."""
    endpoint = endpoint_of(scattered({"a": 0.02, "b": 0.02, "c": 0.02}, images=40), folds=4)
    population = measured(endpoint)
    assert shape_of(endpoint) == Shape("fold", 3, 4) and shape_of(endpoint).drawn == (4, 1)
    drawn = population.draw(*shape_of(endpoint).drawn, 2000, np.random.default_rng(0))
    assert drawn.shape == (2000, 3, 4, 1)
    assert drawn.std(axis=(0, 2, 3)) == pytest.approx(population.seed_sd, rel=0.1)


@pytest.mark.parametrize("shape", [{"seeds": 1}, {"images": 1}])
def test_a_study_without_an_interval_has_no_scatter(shape):
    """Nothing is known of other seeds, or of other units; there is no certificate either."""
    endpoint = endpoint_of(scattered({"a": 0.02, "b": 0.02}, **shape))
    assert measured(endpoint) is None
    table = certificate(
        assumed(["a", "b"], shape_of(endpoint)), shape_of(endpoint), design_of({"b": "a"}), 10
    )
    assert table.empty and list(table) == CERTIFICATE


def test_a_certificate_has_a_row_of_all_and_one_a_comparison():
    """With what it is of: shape, scatter, effect, number of studies."""
    endpoint = endpoint_of(scattered(dict.fromkeys("abcd", 0.02)))
    table = certificate(measured(endpoint), shape_of(endpoint), design_of(FAMILY, effect=0.2), 120)
    assert list(table) == CERTIFICATE
    assert table["strategy"].tolist() == ["all", "b", "c", "d"]
    assert set(table["scatter"]) == {"measured"} and set(table["studies"]) == {120}
    assert (table["seeds"].iat[0], table["units"].iat[0], table["comparisons"].iat[0]) == (3, 12, 3)
    assert (table["power"] > 0.9).all()  # an effect of ten standard deviations
    row = table.iloc[0]
    assert row["covered_error"] == pytest.approx(np.sqrt(row["covered"] * (1 - row["covered"]) / 120))
    assert row["power"] == pytest.approx(table["power"][1:].mean())
    assert row["false_verdict"] >= table["false_verdict"][1:].max()
    assert row["covered"] <= table["covered"][1:].min()


def test_a_certificate_shows_intervals_that_hold():
    """With the scatter that published studies have, 95 % of the families hold, and few cry help or hurt."""
    row = certificate(assumed(["a", "b", "c", "d"], SHAPE), SHAPE, design_of(FAMILY), 2000).iloc[0]
    assert row["covered"] >= 0.93 and row["false_verdict"] <= 0.07


def test_the_same_seed_gives_the_same_certificate():
    """And another one another; so tables made anew are the same bytes."""
    one, again, other = (
        certificate(assumed(["a", "b"], SHAPE), SHAPE, design_of({"b": "a"}), 200, seed) for seed in (0, 0, 1)
    )
    assert one.equals(again) and not one.equals(other)


def test_what_is_assumed_is_unequal_as_published_studies_are():
    """The first scatters by the middle of the range, the others by all of it."""
    population = assumed(["a", "b", "c", "d", "e"], SHAPE)
    assert population.seed_sd.max() / population.seed_sd.min() == pytest.approx(10)
    assert population.seed_sd[0] == pytest.approx(
        np.sqrt(population.seed_sd.min() * population.seed_sd.max())
    )
    assert population.scatter == "assumed"


def test_equal_predictions_have_no_power_and_lend_none():
    """Nothing could be found between them; the others' power is what it is without them."""
    dice = scattered({"a": 0.02, "c": 0.02, "d": 0.02})
    design = design_of(dict.fromkeys("bcd", "a"))
    endpoint = endpoint_of(dice | {"b": dice["a"]})
    table = certificate(measured(endpoint), shape_of(endpoint), design, 400).set_index("strategy")
    assert np.isnan(table.loc["b", "power"]) and table.loc["b", "covered"] == 1
    assert table.loc["all", "power"] == pytest.approx(table.loc[["c", "d"], "power"].mean())
    same = endpoint_of({"a": dice["a"], "b": dice["a"]})
    alone = certificate(measured(same), shape_of(same), design_of({"b": "a"}), 50)
    assert alone["power"].isna().all() and (alone["covered"] == 1).all()


def test_of_folds_each_strategy_keeps_its_own_scatter():
    """One wild strategy among three does not make the calm ones wild."""
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(3, 1, 300)) * np.array([0.01, 0.01, 0.05])[:, None, None]
    dice = {name: np.clip(0.6 + one, 0, 1) for name, one in zip("abc", effects, strict=True)}
    population = measured(endpoint_of(dice, folds=300))
    assert population.seed_sd == pytest.approx([0.01, 0.01, 0.05], rel=0.35)


def test_one_fold_with_foreground_has_no_scatter():
    """Nothing is known of another one."""
    endpoint = endpoint_of(scattered({"a": 0.01, "b": 0.01}), folds=2)
    one = replace(endpoint, units=endpoint.units[:1], scores=endpoint.scores[..., :1])
    assert measured(one) is None


@pytest.mark.parametrize("folds", [3, 5, 20])
def test_before_training_folds_hold_too(folds):
    """Their means are drawn each for itself; more seeds leave less of the runs' scatter."""
    names, shape = ["a", "b", "c", "d"], Shape("fold", 1, folds)
    row = certificate(assumed(names, shape), shape, design_of(FAMILY), 2000).iloc[0]
    assert row["covered"] >= 0.93 and row["false_verdict"] <= 0.07
    assert (assumed(names, Shape("fold", 5, folds)).seed_sd < assumed(names, shape).seed_sd).all()


def test_what_a_seed_does_to_all_strategies_alike_is_in_no_difference():
    """Seeds that move all by 0.1 and each by 0.01: simulated differences scatter by the latter."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(0, 0.1, (1, 30, 1)), rng.normal(0, 0.01, (3, 30, 1))
    dice = 0.5 + shared + own + rng.normal(0, 0.02, (3, 30, 40))
    population = measured(endpoint_of(dict(zip("abc", np.clip(dice, 0, 1), strict=True))))
    assert population.seed_sd == pytest.approx([0.01] * 3, rel=0.4)
