"""The tables in words: each verdict, what would settle it, and how far the answers hold."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stratagem.report.sentences import certified, changed, failures, fewer_steps, sentence, settling, unfound

NEEDS = {
    f"{aim}_{what}_{end}": np.nan
    for aim in ("effect", "margin")
    for what in ("seeds", "units")
    for end in ("low", "high")
}


def _row(verdict="helps", **changes) -> SimpleNamespace:
    row = {"strategy": "full-data", "reference": "baseline", "metric": "dice", "verdict": verdict}
    row |= {"reference_mean": 0.7, "mean": 0.75, "difference": 0.05, "low": 0.02, "high": 0.08}
    row |= {"inner_low": 0.03, "inner_high": 0.07, "limit": "seeds", "detectable": 0.0612, "unit": "image"}
    return SimpleNamespace(**row | NEEDS | {"seeds": 3, "units": 20} | changes)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("helps", "full-data helps against baseline"),
        ("hurts", "full-data hurts against baseline"),
        ("cannot tell yet", "full-data against baseline: cannot tell yet"),
    ],
)
def test_each_verdict_has_its_sentence(verdict, words):
    """Verdict, effect, interval, and how many seeds and images it rests on."""
    assert sentence(_row(verdict)) == (
        f"{words}: Dice 0.700 → 0.750 (+0.050, 95 % interval +0.020 to +0.080; 3 seeds × 20 test images)."
    )


def test_no_difference_names_the_interval_that_decides_it():
    """The 95 % interval may reach beyond the margin; the two one-sided tests go by the 90 % interval."""
    row = _row("no difference", difference=0.001, low=-0.011, high=0.012, inner_low=-0.008, inner_high=0.009)
    assert "(+0.001, 95 % interval -0.011 to +0.012, 90 % interval -0.008 to +0.009;" in sentence(row)
    same = _row("no difference", difference=0.0, low=0.0, high=0.0, inner_low=0.0, inner_high=0.0)
    assert "90 % interval" not in sentence(same)


def test_one_seed_is_said_without_an_interval():
    """No interval is made up, and a seed alone is one seed."""
    row = _row("cannot tell yet", low=np.nan, high=np.nan, seeds=1, difference=-0.05, mean=0.65)
    assert sentence(row) == (
        "full-data against baseline: cannot tell yet: Dice 0.700 → 0.650 (-0.050; 1 seed × 20 test images)."
    )


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"unit": "group"}, "3 seeds × 20 groups of test images)."),
        ({"units": 1}, "3 seeds × 1 test image)."),
        ({"unit": "fold", "units": 4}, "4 folds of 3 seeds)."),
    ],
)
def test_the_sentence_names_metric_and_unit(changes, end):
    """IoU is IoU, and groups or folds are not called images."""
    words = sentence(_row(metric="iou", **changes))
    assert ": IoU 0.700 → 0.750" in words and words.endswith(end)


def test_an_interval_is_told_as_far_as_a_difference_can_go():
    """No score differs by more than 1, whatever few seeds make of the interval."""
    assert "95 % interval -1.000 to +1.000;" in sentence(_row("cannot tell yet", low=-2.4, high=1.2))
    assert "95 % interval -0.999 to +0.999;" in sentence(_row("cannot tell yet", low=-0.999, high=0.999))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit": "one seed"}, "One seed gives no interval: nothing is known"),
        ({"limit": "one unit", "units": 1}, "One test image gives no interval."),
        ({"limit": "one unit", "units": 1, "unit": "group"}, "One group of test images gives no interval."),
        ({"limit": "nothing found"}, "Neither of the two finds anything."),
    ],
)
def test_what_has_no_interval_says_why(changes, words):
    """There is nothing to plan with, and no number is made up."""
    assert settling(_row("cannot tell yet", detectable=np.nan, **changes), 0.03, 0.01).startswith(words)


def test_what_would_settle_it_is_told_with_its_range():
    """What limits, what this study sees, the seeds for the effect, the images for no difference."""
    row = _row(
        "cannot tell yet",
        units=18,
        effect_seeds_low=7.0,
        effect_seeds_high=12.0,
        margin_seeds_low=8.0,
        margin_seeds_high=31.0,
        margin_units_low=88.0,
        margin_units_high=143.0,
    )
    assert settling(row, 0.03, 0.01) == (
        "The seeds, more than the test images, make the interval wide: 3 seeds and 18 test images see an "
        "effect of "
        "0.061 and more; 7 to 12 seeds would see 0.03; if there is none, to show that (within ±0.01) would "
        "take 88 to "
        "140 test "
        "images with 8 to 31 seeds (with 18 no number of seeds is likely to do)."
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (7.0, 7.0, "7 seeds would see"),
        (7.0, np.inf, "7 or more seeds would see"),
        (np.inf, np.inf, "more than 1,000 seeds would see"),
        (123.0, 1234.0, "120 to 1,200 seeds would see"),
    ],
)
def test_ranges_are_told_as_far_as_they_are_known(low, high, words):
    """Two digits are more than few seeds know."""
    row = _row(effect_seeds_low=low, effect_seeds_high=high)
    assert words in settling(row, 0.03, 0.01)


def test_units_that_may_already_do_are_told_as_at_most():
    """The lower end is what there is."""
    row = _row(
        "helps", effect_seeds_low=5.0, effect_seeds_high=9.0, effect_units_low=20.0, effect_units_high=140.0
    )
    assert "up to 140 test images with 5 to 9 seeds (with 20 no number" in settling(row, 0.03, 0.01)


def test_of_folds_more_folds_are_asked_for():
    """There is one source of error, and one remedy."""
    row = _row(
        "cannot tell yet", unit="fold", units=3, limit="folds", effect_units_low=5.0, effect_units_high=9.0
    )
    row = SimpleNamespace(**vars(row) | {"margin_units_low": 20.0, "margin_units_high": 51.0})
    assert settling(row, 0.03, 0.01) == (
        "The folds make the interval wide: 3 folds of 3 seeds see an effect of 0.061 and more; 5 to 9 folds "
        "would see "
        "0.03; if there is none, to show that (within ±0.01) would take 20 to 51 folds."
    )


def test_what_is_decided_or_seen_asks_for_nothing():
    """An effect that the study sees takes no more seeds; a verdict is not asked to be no difference."""
    row = _row("helps", detectable=0.02, limit="units")
    assert settling(row, 0.03, 0.01) == (
        "The test images, more than the seeds, make the interval wide: 3 seeds and 20 test images see an "
        "effect of "
        "0.02 and more."
    )
    assert settling(_row("no difference", limit="nothing"), 0.03, 0.01) == "Both make the same predictions."


def test_the_certificate_is_one_line():
    """Of all comparisons together, each figure with its error; none where nothing is compared."""
    row = {
        "strategy": "all",
        "studies": 1000,
        "effect": 0.03,
        "false_verdict": 0.031,
        "false_verdict_error": 0.005,
    }
    row |= {"covered": 0.962, "covered_error": 0.006, "power": 0.4, "power_error": 0.015}
    assert certified(pd.DataFrame([row])) == (
        "In 1,000 simulated studies of this size and scatter in which nothing differs, 3.1 % (± 0.5) said "
        "helps or "
        "hurts of something, and all intervals held in 96.2 % (± 0.6). An effect of 0.03 was found in 40.0 "
        "% (± 1.5) "
        "of the comparisons."
    )
    assert certified(pd.DataFrame([row])[:0]) is None
    assert "An effect" not in certified(pd.DataFrame([row | {"power": np.nan}]))  # of equal predictions


def test_what_was_named_otherwise_is_one_sentence():
    """What, from what, to what; how a strategy is trained without its digests."""
    rows = [("endpoint", "dice", "iou", "2026-01-02"), ("how resize is trained", "ab", "cd", "2026-01-02")]
    words = changed(pd.DataFrame(rows, columns=["what", "first", "now", "since"]))
    assert words.startswith(
        "The first comparison of these runs (2026-01-02) named otherwise: endpoint (dice, now iou); how "
        "resize is "
        "trained. A verdict holds at its level for what was named before any result was seen"
    )
    assert changed(pd.DataFrame(columns=["what", "first", "now", "since"])) is None


def _runs(*collapsed: tuple[str, int], seeds=3, folds=1) -> pd.DataFrame:
    rows = [
        (name, fold, seed, (name, seed) in collapsed)
        for name in ("a", "b")
        for fold in range(folds)
        for seed in range(1, seeds + 1)
    ]
    return pd.DataFrame(rows, columns=["strategy", "fold", "seed", "collapsed"])


def test_failures_are_listed_with_what_they_allow():
    """Which runs, and how often a new one may fail for all that is known."""
    assert failures(_runs()) == (
        "No run collapsed. An interval covers no failure that it has not sampled: where 0 of a strategy's 3 "
        "runs "
        "collapsed, up to 63 % of new ones may."
    )
    assert failures(_runs(("b", 2))).startswith(
        "Collapsed: b (seed 2). An interval covers no failure that it has not sampled: where 1 of a "
        "strategy's"
    )
    assert failures(_runs(("b", 2), folds=2)).startswith("Collapsed: b (fold 0, seed 2), b (fold 1, seed 2).")
    assert "where 0 of a strategy's 1 run collapsed, up to 95 %" in failures(_runs(seeds=1))


def test_a_class_that_no_run_finds_has_a_sentence():
    """With what it is of the pixels, and what that does to the comparison."""
    table = pd.DataFrame({"class": ["crack"], "share": [0.0031]})
    assert unfound(table) == [
        "No run finds crack (0.31 % of the test pixels): it scores about 0 for every strategy, which makes "
        "all differences of the mean smaller."
    ]


def test_more_is_more_than_there_is():
    """A range begins above the seeds at hand; an effect within the margin is not planned for."""
    row = _row(effect_seeds_low=2.0, effect_seeds_high=11.0)
    assert "; 4 to 11 seeds would see 0.03." in settling(row, 0.03, 0.01)
    assert "would see" not in settling(row, 0.03, 0.05)


@pytest.mark.parametrize(
    ("own", "other", "words"),
    [
        (31, 500, "resize took 31 steps, baseline 500 (1 / 16 as many)"),
        (1600, 500, "resize took 1600 steps, baseline 500 (3.2 times as many)"),
        (751, 500, "(1.5 times as many)"),
        (200, 500, "(0.4 times as many)"),
        (250, 500, None),  # by half, not by more
        (750, 500, None),
        (500, 0, None),
    ],
)
def test_other_numbers_of_steps_are_told(own, other, words):
    """Batches of 16 take a sixteenth of the steps: a verdict is of both."""
    row, reference = (
        SimpleNamespace(strategy=name, steps=float(n)) for name, n in (("resize", own), ("baseline", other))
    )
    said = fewer_steps(row, reference)
    assert said is None if words is None else words in said
