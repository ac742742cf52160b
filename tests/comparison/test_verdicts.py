"""Verdicts at every boundary, and plans that hold: what is said to see an effect sees it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.comparison.intervals import Scatter, one_tail, scatter
from stratagem.comparison.verdicts import POWER, VERDICTS, detectable, limits, need, verdicts


def _scatter(mean=0.0, seed=0.02**2, unit=0.05**2, replicates=3, units=50, prior=2.0) -> Scatter:
    """One comparison of a family that lends degrees of freedom."""
    one = np.zeros(1)
    return Scatter(
        one + mean, one + seed, one + unit, np.array([prior]), replicates, units, one + seed + unit == 0
    )


def _verdict(mean: float, half: float, inner: float, margin: float) -> str:
    """Of an interval with these half-widths: found by the seed variance and freedom that give them."""

    class Fixed(Scatter):
        def half(self, tail, replicates=None, units=None):
            return np.array([half if tail == one_tail(1) else inner])

    return str(verdicts(Fixed(**vars(_scatter(mean))), 1, margin)[0])


@pytest.mark.parametrize(
    ("mean", "half", "inner", "words"),
    [
        (0.0, 0.0125, 0.01, "no difference"),  # the margin itself is within
        (0.0, 0.0, 0.0, "no difference"),
        (0.0, 0.0125, 0.0101, "cannot tell yet"),
        (0.006, 0.005, 0.004, "no difference"),  # surely above 0, and too small to matter
        (-0.006, 0.005, 0.004, "no difference"),
        (0.007, 0.005, 0.004, "helps"),
        (0.5, 0.1, 0.08, "helps"),
        (0.05, 0.05, 0.04, "cannot tell yet"),  # 0 itself is not above 0
        (-0.05, 0.05, 0.04, "cannot tell yet"),
        (-0.05, 0.0499, 0.04, "hurts"),
        (0.0, 0.5, 0.4, "cannot tell yet"),
    ],
)
def test_a_verdict_at_every_boundary(mean, half, inner, words):
    """Two one-sided tests within the margin, else wholly above or below 0, else not known."""
    assert _verdict(mean, half, inner, 0.01) == words


def test_without_a_margin_only_equality_is_no_difference():
    """A study may call every sure difference one."""
    assert _verdict(0.0, 0.0, 0.0, 0) == "no difference"
    assert _verdict(1e-9, 0.0, 0.0, 0) == "helps" and _verdict(-1e-9, 0.0, 0.0, 0) == "hurts"


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_exchanging_the_two_strategies_turns_the_verdict_round(mean, half, margin):
    """What helps against another is hurt by being exchanged with it."""
    other = {"helps": "hurts", "hurts": "helps"}
    words = _verdict(mean, half, 0.8 * half, margin)
    assert words in VERDICTS
    assert _verdict(-mean, half, 0.8 * half, margin) == other.get(words, words)


def test_equality_is_falsely_found_as_seldom_as_is_said():
    """Where the true effect is the margin itself, two one-sided tests call it nothing in 5 % at most."""
    rng = np.random.default_rng(0)
    studies = 0.05 + rng.normal(0, 0.01, (4000, 1, 3, 1)) + rng.normal(0, 0.03, (4000, 1, 1, 30))
    called = verdicts(scatter(studies + rng.normal(0, 0.02, (4000, 1, 3, 30))), 1, 0.05)
    assert (called == "no difference").mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 0.05**2, "unit": 0.01**2}, "seeds"),
        ({"seed": 0.001**2}, "units"),
        ({"units": 1, "unit": 0.0}, "folds"),
        ({"seed": 0.0, "unit": 0.0}, "nothing"),
    ],
)
def test_what_limits_is_the_larger_part_of_the_width(changes, said):
    """More seeds, more units or more folds: what would help is what makes the interval wide."""
    assert limits(_scatter(**changes), 5).tolist() == [said]


def test_what_is_detectable_is_detected_in_four_studies_of_five():
    """Simulated: an effect of that size is called in about 80 %; half of it far less often."""
    rng = np.random.default_rng(1)
    nothing = rng.normal(0, 0.02, (4000, 1, 8, 1)) + rng.normal(0, 0.05, (4000, 1, 1, 50))
    nothing += rng.normal(0, 0.03, (4000, 1, 8, 50))
    found = scatter(nothing)
    size = float(np.median(detectable(found, 1)))
    called = verdicts(replace(found, mean=found.mean + size), 1, 0.0) == "helps"
    assert called.mean() == pytest.approx(POWER, abs=0.06)
    assert (verdicts(replace(found, mean=found.mean + size / 2), 1, 0.0) == "helps").mean() < 0.5


def test_the_seeds_that_are_needed_are_the_least_that_do():
    """One fewer would not see the effect, by the same formula; the range lies about it."""
    now = _scatter(seed=0.03**2, unit=0.03**2, units=100)
    wanted = need(now, 0, 5, 0.04)
    sees = [float(detectable(now, 5, seeds)[0]) for seeds in range(2, 40)]
    least = 2 + next(place for place, size in enumerate(sees) if size <= 0.04)
    assert wanted.seeds[0] <= least <= wanted.seeds[1] and np.isnan(wanted.units).all()


def test_equality_takes_more_than_an_effect_of_its_size():
    """Both one-sided tests have to hold."""
    now = _scatter(unit=0.001**2)
    for size in (0.03, 0.05):
        assert need(now, 0, 5, size, equality=True).seeds[0] >= need(now, 0, 5, size).seeds[0]


def test_units_are_asked_for_where_no_number_of_seeds_does():
    """The units alone are more uncertain than the effect: more of them, with so many seeds."""
    now = _scatter(unit=0.1**2, units=20)
    assert detectable(now, 5, np.inf)[0] > 0.03
    wanted = need(now, 0, 5, 0.03)
    assert 20 <= wanted.units[0] < wanted.units[1] < np.inf and np.isfinite(wanted.seeds).all()
    assert detectable(now, 5, wanted.seeds[1], wanted.units[1])[0] <= 0.03


def test_of_folds_their_number_is_asked_for():
    """There is nothing else that could be more."""
    wanted = need(_scatter(unit=0.0, units=1, replicates=3), 0, 2, 0.02)
    assert wanted.seeds[0] >= 2 and np.isnan(wanted.units).all()


def test_what_no_thousand_seeds_would_do_is_infinite():
    """A number that nobody could run is not made up."""
    assert need(_scatter(seed=1.0, unit=0.0), 0, 5, 0.001).seeds == (np.inf, np.inf)


@pytest.mark.parametrize(("seeds", "share"), [(3, 0.6), (5, 0.6)])
def test_the_range_of_seeds_mostly_holds_the_true_number(seeds, share):
    """What the true variance would ask for lies within the range that a study of few seeds prints."""
    rng, units, held = np.random.default_rng(2), 100, []
    truth = need(_scatter(seed=0.02**2 + 0.02**2 / units, unit=0.0), 0, 5, 0.03).seeds
    true = next(
        s for s in range(2, 100) if detectable(_scatter(seed=0.02**2 * 1.01, unit=0.0), 5, s)[0] <= 0.03
    )
    assert truth[0] <= true <= truth[1]
    for _ in range(200):
        family = rng.normal(0, 0.02, (5, seeds, 1)) + rng.normal(0, 0.02, (5, seeds, units))
        wanted = need(scatter(family), 0, 5, 0.03)
        held.append(wanted.seeds[0] <= true <= wanted.seeds[1])
    assert np.mean(held) >= share


@given(st.floats(0.001, 0.1), st.floats(0.001, 0.2), st.integers(2, 12), st.integers(3, 200), st.booleans())
def test_ranges_run_from_low_to_high(seed, unit, replicates, units, equality):
    """Whatever the variances."""
    now = _scatter(seed=seed**2, unit=unit**2, replicates=replicates, units=units)
    wanted = need(now, 0, 5, 0.03, equality=equality)
    assert wanted.seeds[0] <= wanted.seeds[1]
    assert np.isnan(wanted.units).all() or wanted.units[0] <= wanted.units[1]
