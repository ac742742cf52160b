"""From counts to verdicts: the interval covers what it claims, and every verdict follows from it."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stratagem.comparison.effects import (
    Design,
    by_size,
    compare,
    costs,
    interval,
    pooled_freedom,
    round_trip_scores,
    scores,
    seed_variance,
    unequal_scatter,
    verdict,
)
from stratagem.core.errors import DataError

CLASSES = ["background", "cell"]
DOCUMENTED = ["strategy", "reference", "metric", "class", "seeds", "images", "mean", "reference_mean"]
DOCUMENTED += ["difference", "low", "high", "p", "verdict"]
WHOLE = 10**6  # pixels of a class in each simulated image: a score keeps six digits


def _row(strategy, seed, sample, score, number=1, fold=0) -> tuple:
    """Counts of an image whose Dice of one class is the score."""
    hits = round(score * WHOLE)
    return strategy, fold, seed, sample, number, hits, WHOLE - hits, WHOLE - hits


def _table(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["strategy", "fold", "seed", "sample", "class", "tp", "fp", "fn"])


def _evaluation(dice: dict[str, np.ndarray]) -> pd.DataFrame:
    """Evaluations of one class whose Dice are these: seeds x images, by strategy."""
    return _table(
        _row(strategy, seed, f"image-{image:02}", score)
        for strategy, matrix in dice.items()
        for seed, line in enumerate(matrix, start=1)
        for image, score in enumerate(line)
    )


def _alone(evaluation: pd.DataFrame) -> pd.Series:
    """Each image a group of its own."""
    samples = evaluation["sample"].unique()
    return pd.Series(samples, index=samples)


def _compare(evaluation, references, *, units=None, metric="dice", margin=0.01, classes=CLASSES):
    units = _alone(evaluation) if units is None else units
    return compare(evaluation, units, Design(references, metric, margin, classes))


def _primary(evaluation, references, **options) -> pd.DataFrame:
    table = _compare(evaluation, references, **options)
    return table[table["verdict"] != "not adjusted"].set_index("strategy")


def _studies(count, seeds, units, *, seed_sd, unit_sd=0.04, noise_sd=0.04):
    """Simulated paired differences whose true mean is zero: random seeds crossed with random units."""
    rng = np.random.default_rng(2026)
    for _ in range(count):
        yield (
            rng.normal(0, seed_sd, (seeds, 1))
            + rng.normal(0, unit_sd, (1, units))
            + rng.normal(0, noise_sd, (seeds, units))
        )


def _scattered(scatter: dict[str, float], level=0.8, seeds=3, images=12, seed=0) -> dict[str, np.ndarray]:
    """Dice of strategies that are equally good, whose seeds scatter by so much."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 0.04, images)
    return {
        strategy: np.clip(
            level + hard + rng.normal(0, sd, (seeds, 1)) + rng.normal(0, 0.02, (seeds, images)), 0.01, 0.99
        )
        for strategy, sd in scatter.items()
    }


# The interval


def test_the_variance_is_the_one_worked_by_hand():
    """Two seeds by three images, mean squares 13.5 (seed), 6.5 (image) and 1.5 (residual).

    By hand: row means 2 and 5, column means 2, 3 and 5.5, grand mean 3.5; variance of the mean
    (13.5 + 6.5 - 1.5) / 6, degrees of freedom 18.5^2 / (13.5^2 / 1 + 6.5^2 / 2 + 1.5^2 / 2).
    """
    found = interval(np.array([[1.0, 2, 3], [3, 4, 8]]))
    error, freedom = math.sqrt(18.5 / 6), 18.5**2 / 204.5
    half = stats.t.ppf(0.975, freedom) * error
    assert found.difference == 3.5
    assert (found.low, found.high) == (pytest.approx(3.5 - half), pytest.approx(3.5 + half))
    assert found.p == pytest.approx(2 * stats.t.sf(3.5 / error, freedom))


def test_the_variance_never_falls_below_the_residual_s():
    """Where neither seed nor image has an effect, the residual alone counts: t(2) = 4.3027, by table."""
    found = interval(np.array([[1.0, -1, 0], [-1, 1, 0]]))  # mean squares 0, 0 and 2
    half = 4.30265273 * math.sqrt(2 / 6)
    assert (found.difference, found.p) == (0, 1)
    assert (found.low, found.high) == (pytest.approx(-half), pytest.approx(half))


def test_seeds_that_agree_leave_the_t_interval_over_images():
    """If another seed changes nothing, the images are all that is uncertain."""
    images = np.array([0.1, 0.3, 0.2, 0.5])
    found, known = interval(np.stack([images] * 3)), stats.ttest_1samp(images, 0)
    limits = known.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((limits.low, limits.high, known.pvalue))


def test_images_that_agree_leave_the_t_interval_over_seeds():
    """If all images move alike, the seeds are all that is uncertain, however many images there are."""
    seeds = np.array([0.1, 0.3, 0.2])
    found, known = interval(np.stack([seeds] * 50, axis=1)), stats.ttest_1samp(seeds, 0)
    limits = known.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((limits.low, limits.high, known.pvalue))


def test_a_seed_variance_from_elsewhere_takes_the_place_of_its_own():
    """A pooled mean square of 13.5 on 1 degree of freedom is the one worked by hand; 100 is wider."""
    differences = np.array([[1.0, 2, 3], [3, 4, 8]])
    assert interval(differences, 1, 13.5, 1) == interval(differences)
    assert interval(differences, 1, 100.0, 1).high > interval(differences).high
    assert interval(differences, 1, 13.5, 4).high < interval(differences).high


def test_identical_runs_differ_by_exactly_nothing():
    """Nothing varies, nothing is uncertain: [0, 0] is no difference."""
    found = interval(np.zeros((3, 5)))
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert verdict(found.low, found.high, 0) == "no difference"


def test_a_difference_without_any_scatter_is_certain():
    """Every image of every seed moved by the same step: the interval is that step."""
    found = interval(np.full((3, 4), 0.25))
    assert (found.difference, found.low, found.high, found.p) == (0.25, 0.25, 0.25, 0)


@pytest.mark.parametrize("shape", [(1, 20), (3, 1), (1, 1)])
def test_one_seed_or_one_image_gives_no_interval(shape):
    """Nothing can be said of how much another seed, or another image, would differ."""
    found = interval(np.full(shape, 0.5))
    assert found.difference == 0.5
    assert np.isnan([found.low, found.high, found.p]).all()
    assert verdict(found.low, found.high, 0.01) == "cannot tell yet"


def test_more_comparisons_widen_the_interval():
    """Each of five comparisons has to be surer than one alone: t at 1 - 0.05 / 10."""
    differences = next(_studies(1, 3, 20, seed_sd=0.01)) + 0.05
    found = [interval(differences, comparisons) for comparisons in (1, 2, 5, 20)]
    halves = [one.high - one.difference for one in found]
    assert halves == sorted(set(halves))
    images = np.array([0.1, 0.3, 0.2, 0.5])
    half = stats.t.ppf(1 - 0.05 / 10, 3) * stats.sem(images)
    assert interval(np.stack([images] * 2), 5).high == pytest.approx(images.mean() + half)
    assert [one.p for one in found] == pytest.approx([min(1, m * found[0].p) for m in (1, 2, 5, 20)])


@given(st.integers(0, 200), st.floats(-0.2, 0.2), st.sampled_from([1, 2, 5]))
def test_p_agrees_with_the_interval(seed, effect, comparisons):
    """p < 0.05 exactly where the interval leaves out 0."""
    rng = np.random.default_rng(seed)
    differences = effect + rng.normal(0, 0.03, (3, 1)) + rng.normal(0, 0.05, (3, 6))
    found = interval(differences, comparisons)
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    assert found.low <= found.difference <= found.high and 0 <= found.p <= 1


@given(st.integers(0, 200), st.floats(0.01, 100))
def test_the_interval_follows_sign_and_unit(seed, factor):
    """Exchanging the two strategies mirrors the interval; another unit scales it; order does not count."""
    differences = np.random.default_rng(seed).normal(0.02, 0.05, (3, 5))
    found, mirrored = interval(differences), interval(-differences)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    scaled, turned = interval(factor * differences), interval(differences[::-1, ::-1])
    assert (scaled.low, scaled.high) == pytest.approx((factor * found.low, factor * found.high))
    assert (turned.low, turned.high, turned.p) == pytest.approx((found.low, found.high, found.p))


@pytest.mark.parametrize("seed_sd", [0.01, 0.06])
def test_the_interval_covers_new_seeds_and_new_images(seed_sd):
    """Of 300 simulated studies of 3 seeds x 20 images, 95 % is meant and at least 90 % must hold."""
    found = [interval(differences) for differences in _studies(300, 3, 20, seed_sd=seed_sd)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.90


def test_images_alone_would_cover_far_too_seldom():
    """What most papers take, a t interval over images, misses most of the time where seeds scatter."""
    found = []
    for differences in _studies(300, 3, 20, seed_sd=0.06):
        limits = stats.ttest_1samp(differences.mean(axis=0), 0).confidence_interval(0.95)
        found.append(limits.low <= 0 <= limits.high)
    assert np.mean(found) < 0.6


def _pooled(differences: list[np.ndarray]) -> tuple[float, float]:
    """The seed mean square of a family with one reference, as documented, and its degrees of freedom."""
    squares = [one.shape[1] * one.mean(axis=1).var(ddof=1) for one in differences]
    m = len(differences)
    return float(np.mean(squares)), 4 * m / (m + 3) * (len(differences[0]) - 1)


def test_pooling_over_the_family_covers_it_with_shorter_intervals():
    """Six equal strategies, 3 seeds: pooled, all five intervals hold at once, and are far shorter."""
    held, width = {"pooled": [], "alone": []}, {"pooled": [], "alone": []}
    for seed in range(200):
        dice = _scattered(dict.fromkeys("abcdef", 0.02), images=20, seed=seed)
        differences = [dice[name] - dice["a"] for name in "bcdef"]
        for kind, shared in (("pooled", _pooled(differences)), ("alone", (None, None))):
            found = [interval(one, len(differences), *shared) for one in differences]
            held[kind].append(all(one.low <= 0 <= one.high for one in found))
            width[kind].append(np.mean([one.high - one.low for one in found]))
    assert np.mean(held["pooled"]) >= 0.93 and np.mean(held["alone"]) >= 0.85
    assert np.mean(width["pooled"]) < 0.6 * np.mean(width["alone"])


@pytest.mark.parametrize(
    ("references", "worth"),
    [
        ({"b": "a"}, 1),
        ({"b": "a", "c": "a"}, 8 / 5),  # one reference: 4 m / (m + 3)
        (dict.fromkeys("bcdef", "a"), 20 / 8),
        ({"b": "a", "d": "c"}, 2),  # nothing in common
        ({"b": "a", "c": "b"}, 8 / 5),  # a chain correlates as much, the other way round
    ],
)
def test_what_pooling_is_worth_follows_from_what_is_shared(references, worth):
    """By hand: m^2 over the sum of squared correlations."""
    assert pooled_freedom(references) == pytest.approx(worth)


@pytest.mark.parametrize(
    ("references", "shared"), [(dict.fromkeys("bcdef", "a"), 2.5), ({"b": "a", "d": "c"}, 2)]
)
def test_pooled_freedom_is_that_of_the_mean_of_correlated_squares(references, shared):
    """Drawn: the mean of the seed squares has the mean and variance of such a chi-square."""
    effects = np.random.default_rng(0).normal(size=(20000, 3, 6))
    names = "abcdef"
    differences = np.stack(
        [effects[..., names.index(k)] - effects[..., names.index(v)] for k, v in references.items()]
    )
    pooled = differences.var(axis=2, ddof=1).mean(axis=0)
    assert 2 * pooled.mean() ** 2 / pooled.var() == pytest.approx(2 * shared, rel=0.05)


@pytest.mark.parametrize(
    ("seeds", "references", "scatter", "said"),
    [
        (1, {"b": "a", "c": "a"}, (0.02, 0.02, 0.02), "one seed"),
        (3, {"b": "a"}, (0.02, 0.02, 0.02), "one comparison"),
        (4, {"b": "a", "c": "a"}, (0.001, 0.001, 0.15), "unequal"),
        (3, {"b": "a", "c": "a"}, (0.02, 0.02, 0.02), "pooled"),
    ],
)
def test_where_the_seed_variance_comes_from_is_said(seeds, references, scatter, said):
    """In the words that the report explains."""
    dice = _scattered(dict(zip("abc", scatter, strict=True)), seeds=seeds)
    assert seed_variance(_evaluation(dice), references, "dice") == said


def test_a_design_without_a_strategy_compares_what_is_left():
    """Neither the strategy nor what it was the reference of."""
    design = Design({"b": "a", "c": "b", "d": "a"}, "dice", 0.01, ["background", "cell"])
    assert design.without(["b"]).references == {"d": "a"}


# The verdict


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.01, 0.01, "no difference"),  # the margin itself is within
        (0.0, 0.0, "no difference"),
        (0.002, 0.01, "no difference"),  # surely above 0, and too small to matter
        (-0.01, -0.002, "no difference"),
        (0.002, 0.0101, "helps"),
        (0.5, 0.6, "helps"),
        (0.0, 0.0101, "cannot tell yet"),  # 0 itself is not above 0
        (-0.001, 0.5, "cannot tell yet"),
        (-0.0101, -0.002, "hurts"),
        (-0.6, -0.5, "hurts"),
        (-0.0101, 0.0, "cannot tell yet"),
        (-0.5, 0.5, "cannot tell yet"),
        (-0.0101, 0.01, "cannot tell yet"),
        (-0.01, 0.0101, "cannot tell yet"),
        (np.nan, np.nan, "cannot tell yet"),
    ],
)
def test_a_verdict_at_every_boundary(low, high, words):
    """Within the margin, else wholly above or below 0, else not known."""
    assert verdict(low, high, 0.01) == words


def test_without_a_margin_only_equality_is_no_difference():
    """A study may call every sure difference one."""
    assert verdict(0.0, 0.0, 0) == "no difference"
    assert verdict(1e-9, 1e-9, 0) == "helps" and verdict(-1e-9, -1e-9, 0) == "hurts"


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_exchanging_the_two_strategies_turns_the_verdict_round(low, width, margin):
    """What helps against another is hurt by being exchanged with it."""
    other = {"helps": "hurts", "hurts": "helps"}
    words = verdict(low, low + width, margin)
    assert verdict(-(low + width), -low, margin) == other.get(words, words)


# Whether strategies scatter alike


def _by_seed(**strategies) -> pd.DataFrame:
    rows = [(name, seed, score) for name, values in strategies.items() for seed, score in enumerate(values)]
    return pd.DataFrame(rows, columns=["strategy", "seed", "score"])


def test_unequal_scatter_is_found():
    """One strategy's seeds lie a hundred times further apart."""
    assert unequal_scatter(_by_seed(a=[0.5, 0.501, 0.502, 0.499], b=[0.4, 0.6, 0.5, 0.3]))


def test_equal_scatter_is_not_called_unequal():
    """The level of a strategy is not its scatter."""
    assert not unequal_scatter(_by_seed(a=[0.50, 0.51, 0.52], b=[0.80, 0.82, 0.81]))


def test_bartlett_s_test_is_the_one_worked_by_hand():
    """Two samples of three, variances 1 and 81: chi2 = (4 ln 41 - 2 ln 81) / 1.25 = 4.85 > 3.84, the table.

    With variances 1 and 25 it is (4 ln 13 - 2 ln 25) / 1.25 = 3.06, which is not enough.
    """
    assert unequal_scatter(_by_seed(a=[-1, 0, 1], b=[-9, 0, 9]))
    assert not unequal_scatter(_by_seed(a=[-1, 0, 1], b=[-5, 0, 5]))


def test_scatter_is_that_of_seed_means():
    """Images that differ within a seed are no scatter of seeds."""
    table = _by_seed(a=[0.50, 0.51, 0.52], b=[0.80, 0.82, 0.81])
    wide = pd.concat([table.assign(score=table["score"] + shift) for shift in (-0.4, 0.4)])
    assert unequal_scatter(wide) == unequal_scatter(table)


@pytest.mark.parametrize(
    "table",
    [_by_seed(a=[0.1], b=[0.9]), _by_seed(a=[0.1, 0.2, 0.5]), _by_seed(a=[0.5] * 3, b=[0.1, 0.5, 0.9])],
)
def test_where_scatter_cannot_be_compared_it_is_not_called_unequal(table):
    """One seed, one strategy, or seeds that agree to the last digit."""
    assert not unequal_scatter(table)


# The main table


def test_the_main_table_has_the_documented_columns_and_order():
    """The primary endpoint stands first, with verdicts; all else follows and is not adjusted."""
    evaluation = _evaluation(_scattered({"a": 0.01, "b": 0.01, "c": 0.01}))
    table = _compare(evaluation, {"b": "a", "c": "a"})
    assert list(table.columns) == DOCUMENTED
    ends = [("dice", "mean"), ("dice", "cell"), ("iou", "mean"), ("iou", "cell")]
    assert table[["strategy", "metric", "class"]].values.tolist() == [
        [strategy, *end] for end in ends for strategy in ("b", "c")
    ]
    assert "not adjusted" not in set(table["verdict"][:2])
    assert set(table["verdict"][2:]) == {"not adjusted"}
    assert (table["seeds"] == 3).all() and (table["images"] == 12).all()


def test_the_primary_metric_stands_first_whichever_it_is():
    """A study decided by IoU has its verdicts there."""
    evaluation = _evaluation(_scattered({"a": 0.01, "b": 0.01}))
    table = _compare(evaluation, {"b": "a"}, metric="iou")
    assert table[["metric", "class"]].values.tolist()[0] == ["iou", "mean"]
    assert (table["verdict"] != "not adjusted").tolist() == [True, False, False, False]
    assert sorted(table["metric"]) == ["dice", "dice", "iou", "iou"]


def test_a_row_holds_both_means_and_their_paired_difference():
    """0.6 against 0.5, image by image and seed by seed."""
    dice = {"a": np.array([[0.4, 0.6], [0.4, 0.6]]), "b": np.array([[0.5, 0.7], [0.5, 0.7]])}
    row = _primary(_evaluation(dice), {"b": "a"}).loc["b"]
    assert (row["mean"], row["reference_mean"], row["difference"]) == pytest.approx((0.6, 0.5, 0.1))
    assert (row["low"], row["high"]) == pytest.approx((0.1, 0.1))
    assert (row["seeds"], row["images"], row["verdict"]) == (2, 2, "helps")


def test_each_verdict_is_reached():
    """Far better, far worse, the same, and one that scatters too much to tell."""
    rng = np.random.default_rng(1)
    base = 0.6 + rng.normal(0, 0.05, (1, 12)) + rng.normal(0, 0.001, (3, 12))
    moved = {"better": 0.1, "worse": -0.1, "same": 0.0}
    dice = {"a": base} | {name: base + by + rng.normal(0, 0.001, (3, 12)) for name, by in moved.items()}
    found = _primary(_evaluation(dice), dict.fromkeys(moved, "a"))["verdict"]
    assert found.to_dict() == {"better": "helps", "worse": "hurts", "same": "no difference"}
    dice = {"a": base, "b": base + np.array([[-0.2], [0.0], [0.3]])}
    assert _primary(_evaluation(dice), {"b": "a"})["verdict"].tolist() == ["cannot tell yet"]


def test_one_seed_cannot_tell():
    """Means and difference are shown; interval and verdict are not to be had from one seed."""
    table = _compare(
        _evaluation(_scattered({"a": 0.01, "b": 0.01, "c": 0.01}, seeds=1)), {"b": "a", "c": "a"}
    )
    assert table[["low", "high", "p"]].isna().all(axis=None)
    assert table["difference"].notna().all()
    assert table["verdict"][:2].tolist() == ["cannot tell yet"] * 2


def test_identical_strategies_make_no_difference():
    """Where images are stored cannot change a score, and the table says so."""
    dice = _scattered({"a": 0.03})["a"]
    row = _primary(_evaluation({"a": dice, "b": dice}), {"b": "a"}).loc["b"]
    assert (row["low"], row["high"], row["p"], row["verdict"]) == (0, 0, 1, "no difference")


def test_identical_strategies_make_no_difference_in_a_family_that_scatters():
    """Runs that are equal bit for bit stay equal, whatever else the study compares."""
    dice = _scattered({"a": 0.03, "c": 0.03, "d": 0.03}, seed=3)
    dice["b"] = dice["a"]
    row = _primary(_evaluation(dice), dict.fromkeys("bcd", "a")).loc["b"]
    assert (row["low"], row["high"], row["verdict"]) == (0, 0, "no difference")


def test_an_identical_strategy_makes_no_other_one_surer():
    """A comparison that has no scatter at all says nothing of the scatter of the others."""
    dice = _scattered({"a": 0.03, "c": 0.03}, seed=3)
    alone = _primary(_evaluation(dice), {"c": "a"}).loc["c"]
    family = _primary(_evaluation(dice | {"b": dice["a"]}), {"b": "a", "c": "a"}).loc["c"]
    assert family["high"] - family["low"] >= alone["high"] - alone["low"]


def test_the_primary_interval_holds_for_the_family_at_once():
    """The same comparison is decided more strictly beside others; a secondary one is not adjusted."""
    dice = _scattered({"a": 0.0, "b": 0.05, "c": 0.05})  # unequal, so each stands on its own
    dice["a"] = np.full_like(dice["a"], 0.8) + np.linspace(0, 0.001, 3)[:, None]
    table = _compare(_evaluation(dice), {"b": "a", "c": "a"})
    primary, secondary = table.iloc[0], table.iloc[2]
    assert (primary["metric"], primary["class"], secondary["class"]) == ("dice", "mean", "cell")
    assert primary["difference"] == secondary["difference"]  # one class: the mean is the class
    assert primary["high"] > secondary["high"]
    assert primary["p"] == pytest.approx(min(1, 2 * secondary["p"]))


def test_the_seed_variance_is_pooled_over_the_family():
    """Strategies that scatter alike share one seed variance, as documented."""
    dice = _scattered(dict.fromkeys("abcd", 0.02))
    found = _primary(_evaluation(dice), dict.fromkeys("bcd", "a"))
    differences = [dice[name] - dice["a"] for name in "bcd"]
    for name, one in zip("bcd", differences, strict=True):
        known = interval(one, 3, *_pooled(differences))
        limits = found.loc[name, ["low", "high"]].tolist()
        assert limits == pytest.approx([known.low, known.high], abs=1e-5)


def test_unequal_scatter_leaves_each_comparison_alone():
    """One wild strategy does not widen what is said of the calm ones."""
    dice = _scattered({"a": 0.001, "b": 0.001, "wild": 0.15}, seeds=4)
    evaluation = _evaluation(dice)
    found = _primary(evaluation, {"b": "a", "wild": "a"})
    alone = interval(dice["b"] - dice["a"], 2)
    assert (found.loc["b", "low"], found.loc["b", "high"]) == pytest.approx((alone.low, alone.high), abs=1e-5)
    assert found.loc["wild", "high"] - found.loc["wild", "low"] > 3 * (alone.high - alone.low)


def test_groups_count_as_one_unit():
    """Six tiles of two patients are two units, whatever the number of tiles; each patient weighs the same."""
    dice = {"a": np.zeros((2, 6)) + 0.5, "b": np.array([[0.6, 0.6, 0.6, 0.6, 0.6, 0.9]] * 2)}
    evaluation = _evaluation(dice)
    groups = pd.Series(["one"] * 5 + ["two"], index=sorted(evaluation["sample"].unique()))
    row = _primary(evaluation, {"b": "a"}, units=groups).loc["b"]
    assert row["images"] == 2
    assert row["difference"] == pytest.approx((0.1 + 0.4) / 2)
    known = interval(np.array([[0.1, 0.4]] * 2))
    assert (row["low"], row["high"]) == pytest.approx((known.low, known.high))


def test_each_strategy_is_compared_with_its_own_reference():
    """Transfer is read against the same network with random weights, not against the baseline."""
    level = np.array([[0.0, 0.1], [0.0, 0.1]])
    dice = {"baseline": level + 0.2, "control": level + 0.5, "transfer": level + 0.6}
    references = {"control": "baseline", "transfer": "control"}
    found = _primary(_evaluation(dice), references)
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
            _row(strategy, seed, "x", 0.8),
            _row(strategy, seed, "y", 0.8),
            _row(strategy, seed, "y", 0.0 if strategy == "b" else 0.8, number=2),
            _row(strategy, seed, "z", 0.8),
            _row(strategy, seed, "z", 0.0 if strategy == "b" else 0.8, number=2),
        )
    ]
    table = _compare(_table(rows), {"b": "a"}, classes=classes).set_index(["metric", "class"])
    assert table.loc[("dice", "mean"), "images"] == 3 and table.loc[("dice", "rare"), "images"] == 2
    assert table.loc[("dice", "mean"), "mean"] == pytest.approx((0.8 + 0.4 + 0.4) / 3)
    assert table.loc[("dice", "rare"), "difference"] == pytest.approx(-0.8)
    assert table.loc[("dice", "cell"), "difference"] == 0


def test_false_alarms_move_no_difference():
    """A class predicted where the truth has none enters no per-image mean."""
    rows = [_row(name, seed, image, 0.8) for name in "ab" for seed in (1, 2) for image in "xy"]
    alarm = ("b", 0, 1, "z", 1, 0, 500, 0)
    clean, loud = _table(rows), _table([*rows, alarm, ("a", 0, 1, "z", 1, 0, 0, 0)])
    pd.testing.assert_frame_equal(_compare(loud, {"b": "a"}), _compare(clean, {"b": "a"}))


def test_a_class_that_no_test_image_holds_stops_nothing():
    """A rare class may be missing from the test images; the primary endpoint is decided all the same."""
    evaluation = _evaluation(_scattered({"a": 0.01, "b": 0.01}))
    table = _compare(evaluation, {"b": "a"}, classes=[*CLASSES, "rare"])
    known = _compare(evaluation, {"b": "a"})
    assert table.iloc[0].tolist() == known.iloc[0].tolist()
    assert table.loc[table["class"] == "rare", "difference"].isna().all()


def test_folds_are_tested_together():
    """With cross-validation each image is tested once a seed, whichever fold tested it."""
    evaluation = _evaluation(_scattered({"a": 0.01, "b": 0.01}))
    fold = evaluation["sample"].str[-1].astype(int) % 2
    pd.testing.assert_frame_equal(
        _compare(evaluation.assign(fold=fold), {"b": "a"}), _compare(evaluation, {"b": "a"})
    )


def test_the_order_of_the_runs_does_not_matter():
    """The same runs give the same table, in whatever order they were stored."""
    evaluation = _evaluation(_scattered({"a": 0.01, "b": 0.01, "c": 0.02}))
    shuffled = evaluation.sample(frac=1, random_state=1)
    references = {"b": "a", "c": "a"}
    pd.testing.assert_frame_equal(_compare(shuffled, references), _compare(evaluation, references))


def test_a_study_of_the_baseline_alone_has_an_empty_table():
    """Nothing to compare is no fault: the columns are there, the rows are not."""
    table = _compare(_evaluation(_scattered({"a": 0.01})), {})
    assert list(table.columns) == DOCUMENTED and table.empty


@pytest.mark.parametrize(
    ("lost", "shapes"),
    [
        ({"seed": 3}, r"seeds x units of \(2, 12\) and \(3, 12\)"),
        ({"sample": "image-00"}, r"seeds x units of \(3, 11\) and \(3, 12\)"),
        ({}, r"seeds x units of \(0, 0\) and \(3, 12\)"),
    ],
    ids=["a seed", "an image", "all"],
)
def test_strategies_without_the_same_seeds_and_images_are_refused(lost, shapes):
    """A comparison that is not paired is none, and I am told to finish the runs."""
    evaluation = _evaluation(_scattered({"a": 0.01, "b": 0.01}))
    gone = evaluation["strategy"] == "b"
    for key, value in lost.items():
        gone &= evaluation[key] == value
    with pytest.raises(DataError, match="`b` and `a` tested with the same seeds on the same") as caught:
        _compare(evaluation[~gone], {"b": "a"}, units=_alone(evaluation))
    assert re.search(shapes, caught.value.found)
    assert "Run the workflow" in caught.value.remedy


def test_a_single_run_that_is_missing_is_refused():
    """One fold of one seed not tested leaves a hole in the pairs, and no number is made from it."""
    evaluation = _evaluation(_scattered({"a": 0.01, "b": 0.01}))
    evaluation["fold"] = evaluation["sample"].str[-1].astype(int) % 2
    gone = (evaluation["strategy"] == "b") & (evaluation["seed"] == 2) & (evaluation["fold"] == 1)
    with pytest.raises(DataError, match="`b` and `a` tested with the same seeds on the same images"):
        _compare(evaluation[~gone], {"b": "a"})


# Scores by class


def test_scores_are_means_over_images_and_of_all_pixels_together():
    """Dice 1 on a large and 0 on a small object: 0.5 by image, nearly 1 by pixel."""
    table = scores(
        _table([("a", 0, 1, "large", 1, 99, 0, 0), ("a", 0, 1, "small", 1, 0, 1, 1)]), CLASSES
    ).iloc[0]
    known = ["strategy", "class", "dice", "iou", "dice_pooled", "iou_pooled", "false_alarms"]
    assert list(table.index) == known  # as documented
    assert (table["strategy"], table["class"]) == ("a", "cell")
    assert (table["dice"], table["iou"]) == (0.5, 0.5)
    assert (table["dice_pooled"], table["iou_pooled"]) == (198 / 200, 99 / 101)


def test_strategies_stand_in_the_study_s_order_and_classes_by_index():
    """The baseline first, if it is named first; background is not scored."""
    rows = [
        _row(name, seed, "x", 0.5, number)
        for name in ("zero", "alpha")
        for seed in (1, 2)
        for number in (0, 2, 1)
    ]
    found = scores(_table(rows), ["background", "z", "a"])
    assert found[["strategy", "class"]].values.tolist() == [
        ["zero", "z"],
        ["zero", "a"],
        ["alpha", "z"],
        ["alpha", "a"],
    ]


def test_false_alarms_are_not_a_number_where_every_image_holds_the_class():
    """A share of no images is none; of two images with one alarm it is a half."""
    held = [_row("a", 1, image, 0.5) for image in "xy"]
    assert scores(_table(held), CLASSES)["false_alarms"].isna().all()
    without = [("a", 0, 1, "z", 1, 0, 3, 0), ("a", 0, 1, "w", 1, 0, 0, 0)]
    assert scores(_table(held + without), CLASSES)["false_alarms"].tolist() == [0.5]


# Scores by size


def _sizes(*sizes: tuple[int, int]) -> pd.DataFrame:
    """Of image-00, image-01, ..."""
    names = [f"image-{image:02}" for image in range(len(sizes))]
    return pd.DataFrame(sizes, columns=["height", "width"], index=names)


def test_few_sizes_have_a_row_each_from_small_to_large():
    """Mean over the images of a size and over seeds; strategies in the study's order."""
    dice = {"zero": np.array([[0.2, 0.4, 0.9], [0.4, 0.6, 0.9]]), "alpha": np.full((2, 3), 0.5)}
    table = by_size(_evaluation(dice), _sizes((20, 30), (20, 30), (10, 100), (5, 5)))
    assert list(table) == ["strategy", "size", "images", "dice", "iou"]
    assert table[["strategy", "size", "images"]].values.tolist() == [
        ["zero", "20×30", 2],
        ["zero", "10×100", 1],
        ["alpha", "20×30", 2],
        ["alpha", "10×100", 1],
    ]
    assert table["dice"].tolist() == pytest.approx([0.4, 0.9, 0.5, 0.5])
    ious = [np.mean([d / (2 - d) for d in (0.2, 0.4, 0.4, 0.6)]), 0.9 / 1.1, 1 / 3, 1 / 3]
    assert table["iou"].tolist() == pytest.approx(ious)


def test_many_sizes_are_grouped_into_four_of_as_many_images():
    """Twelve sizes are four ranges of three images, and each has the mean of its own."""
    order = np.random.default_rng(0).permutation(12)  # images do not stand by size
    sizes = _sizes(*((100, 100 + 10 * place) for place in order))
    table = by_size(_evaluation({"a": (order / 20)[None]}), sizes)
    assert table["size"].tolist() == [
        "10,000 to 12,000 px",
        "13,000 to 15,000 px",
        "16,000 to 18,000 px",
        "19,000 to 21,000 px",
    ]
    assert table["images"].tolist() == [3, 3, 3, 3]
    assert table["dice"].tolist() == pytest.approx([0.05, 0.2, 0.35, 0.5])


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([(2000, 2000 + place) for place in range(12)], 4),  # hardly different
        ([(2**place, 2 ** (12 - place)) for place in range(12)], 1),  # many shapes of one area
        ([(8, 8)] * 20 + [(8, 9 + place) for place in range(12)], 3),  # most of one size
    ],
)
def test_every_image_is_in_one_group_whatever_the_sizes(sizes, groups):
    """Sizes that are nearly or wholly equal in area make fewer groups, and lose no image."""
    table = by_size(_evaluation({"a": np.full((1, len(sizes)), 0.5)}), _sizes(*sizes))
    assert (len(table), table["images"].sum()) == (groups, len(sizes))
    assert table["size"].is_unique


def test_images_without_foreground_have_no_score_by_size():
    """A size whose images hold no class has no row; the others keep theirs."""
    rows = [_row("a", 1, "image-00", 0.5), ("a", 0, 1, "image-01", 1, 0, 3, 0)]
    table = by_size(_table(rows), _sizes((4, 4), (8, 8)))
    assert table[["size", "images", "dice"]].values.tolist() == [["4×4", 1, 0.5]]


# The round trip


def test_what_a_resolution_leaves_is_the_mean_over_images_by_metric_and_class():
    """Of two images one holds both classes: 1 and 0.5 of one, 0.8 of the other's only class."""
    rows = [("x", 0, 50, 9, 9), ("x", 1, 10, 0, 0), ("x", 2, 5, 5, 5)]
    rows += [("y", 0, 50, 9, 9), ("y", 1, 8, 2, 2), ("y", 2, 0, 1, 0)]
    counts = pd.DataFrame(rows, columns=["sample", "class", "tp", "fp", "fn"])
    found = round_trip_scores(counts, ["background", "cell", "nucleus"])
    assert found == {
        ("dice", "mean"): pytest.approx((0.75 + 0.8) / 2),
        ("dice", "cell"): pytest.approx(0.9),
        ("dice", "nucleus"): pytest.approx(0.5),
        ("iou", "mean"): pytest.approx(((1 + 5 / 15) / 2 + 8 / 12) / 2),
        ("iou", "cell"): pytest.approx((1 + 8 / 12) / 2),
        ("iou", "nucleus"): pytest.approx(5 / 15),
    }


def test_an_exact_round_trip_is_exactly_one():
    """Whatever the number of images: a report says "exact" of nothing else."""
    counts = pd.DataFrame([(str(n), 1, 3 + n, 0, 0) for n in range(49)])
    counts.columns = ["sample", "class", "tp", "fp", "fn"]
    assert set(round_trip_scores(counts, CLASSES).values()) == {1.0}


# What it cost


def _cost(strategy="a", seed=1, **changes) -> dict:
    keys = ["images", "steps", "epochs", "pixels", "train_images", "training_s", "waiting_s", "cpu_s"]
    keys += ["validation_s", "recording_s", "resumes", "retried", "peak_memory_mb", "mapped_mb"]
    keys += ["parameters", "trainable", "images_per_s"]
    keys += ["loader_images_per_s", "loader_mb_per_s", "loader_mb", "reading_share", "mixing"]
    return {"strategy": strategy, "fold": 0, "seed": seed} | dict.fromkeys(keys, 1.0) | changes


def _history(strategy="a", seed=1, dice=(0.1, 0.5, 0.5, 0.5, 0.5)) -> pd.DataFrame:
    """A validation at each fifth of the budget."""
    shares = np.arange(1, len(dice) + 1) / len(dice)
    return pd.DataFrame({"share": shares, "val_dice": dice, "strategy": strategy, "fold": 0, "seed": seed})


def test_a_cost_is_the_mean_over_a_strategy_s_runs():
    """Two runs of 10 and 30 CPU seconds cost 20 a run; waiting is a share of all training."""
    records = [
        _cost(seed=1, cpu_s=10, training_s=4, waiting_s=0),
        _cost(seed=2, cpu_s=30, training_s=12, waiting_s=4),
    ]
    found = costs(records, _history(), {}, 0.01).iloc[0]
    assert (found["cpu_s"], found["waiting_share"]) == (20, 4 / 16)
    assert np.isnan(found["pretraining_cpu_s"])


def test_what_befell_runs_is_counted_over_all_of_them():
    """Two runs, cut short three times between them, one of which had to be begun again in float32."""
    records = [_cost(seed=1, resumes=1, retried=False), _cost(seed=2, resumes=2, retried=True)]
    found = costs(records, _history(), {}, 0.01).iloc[0]
    assert (found["resumes"], found["retried"]) == (3, 1)


def test_costs_of_an_older_version_have_gaps():
    """What its records do not tell is left open, and the rest is told."""
    record = _cost(cpu_s=7)
    for name in ("recording_s", "resumes", "retried"):
        del record[name]
    found = costs([record], _history(), {"a": {"cpu_s": 3.0}}, 0.01).iloc[0]
    assert (found["cpu_s"], found["pretraining_cpu_s"]) == (7, 3)
    assert np.isnan(found["recording_s"])


def test_pretraining_is_shown_apart():
    """Only a strategy with a source has it, and its own CPU seconds do not hold it."""
    records, histories = [_cost("b"), _cost("a", cpu_s=7)], pd.concat([_history("a"), _history("b")])
    found = costs(records, histories, {"a": {"cpu_s": 99.0, "constant": "cell"}}, 0.01)
    assert found["strategy"].tolist() == ["b", "a"]  # the study's order
    found = found.set_index("strategy")
    assert (found.loc["a", "cpu_s"], found.loc["a", "pretraining_cpu_s"]) == (7, 99)
    assert np.isnan(found.loc["b", "pretraining_cpu_s"])
    assert found.loc["a", "source_predicts_only"] == "cell"
    assert pd.isna(found.loc["b", "source_predicts_only"])


@pytest.mark.parametrize(
    ("dice", "rising"),
    [
        ((0.1, 0.2, 0.3, 0.4, 0.5), True),
        ((0.1, 0.5, 0.6, 0.6, 0.605), False),  # rose, by less than the margin
        ((0.1, 0.9, 0.9, 0.9, 0.5), False),
        ((0.1, 0.9, 0.5, 0.5, 0.5), False),  # what came before the last fifth does not count
        ((0.4,), True),  # too few points to tell that it has settled
    ],
)
def test_a_curve_that_still_rises_is_not_yet_trained(dice, rising):
    """More than the margin over the last fifth of the budget says that a larger one may help."""
    found = costs([_cost()], _history(dice=dice), {}, 0.01)
    assert found["not_yet_trained"].tolist() == [rising]


def test_not_yet_trained_goes_by_the_mean_over_runs():
    """One seed that rises while another falls as much is no rise."""
    histories = [_history(seed=1, dice=(0, 0, 0, 0.4, 0.5)), _history(seed=2, dice=(0, 0, 0, 0.5, 0.4))]
    found = costs([_cost(seed=1), _cost(seed=2)], pd.concat(histories), {}, 0.01)
    assert not found["not_yet_trained"].any()


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
    design = Design({"other": "baseline"}, "dice", 0.01, ["background", "cell"])
    units = pd.Series({sample: sample for sample in ("a", "b", "c")})
    assert compare(pd.DataFrame(rows), units, design)["verdict"].iat[0] == "cannot tell yet"
