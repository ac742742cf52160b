"""The interval: by hand, beside known tests and R, and over simulated families that scatter unequally."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import psi

from stratagem.comparison.intervals import LEVEL, Scatter, one_tail, p_value, quantile, scatter


def _half(differences, comparisons: int = 1) -> float:
    """Half the width of one comparison's own interval."""
    return float(scatter(np.asarray(differences, float)[None]).half(one_tail(comparisons))[0])


def _p(differences, comparisons: int = 1) -> float:
    return p_value(scatter(np.asarray(differences, float)[None]), 0, comparisons)


def _families(count, seed_sds, seeds=3, units=20, unit_sd=0.04, noise_sd=0.04):
    """Studies of equally good strategies that scatter by so much, each less the first: (n, m, S, U)."""
    rng, strategies = np.random.default_rng(2026), len(seed_sds)
    scores = (
        rng.normal(size=(count, strategies, seeds, 1)) * np.reshape(seed_sds, (1, -1, 1, 1))
        + rng.normal(0, unit_sd, (count, strategies, 1, units))
        + rng.normal(0, noise_sd, (count, strategies, seeds, units))
    )
    return scores[:, 1:] - scores[:, :1]


def _held(differences: np.ndarray) -> float:
    """In how many studies all intervals hold 0."""
    found = scatter(differences)
    return float((np.abs(found.mean) <= found.half(one_tail(differences.shape[1]))).all(axis=1).mean())


def test_one_comparison_is_the_one_worked_by_hand():
    """Two seeds by three units, mean squares 13.5 (seed), 6.5 (unit) and 1.5 (residual).

    v = 13.5 / 3 on 1 degree of freedom, b = (6.5 - 1.5) / 6 on 2: each with its own t.
    """
    found = scatter(np.array([[[1.0, 2, 3], [3, 4, 8]]]))
    assert (found.mean[0], found.prior[0]) == (3.5, 0)
    assert (found.seed_variance[0], found.unit_variance[0]) == (pytest.approx(4.5), pytest.approx(2.5))
    half = np.sqrt(stats.t.ppf(0.975, 1) ** 2 * 4.5 / 2 + stats.t.ppf(0.975, 2) ** 2 * 2.5 / 3)
    assert found.half(0.025)[0] == pytest.approx(half)
    assert found.error()[0] == pytest.approx(np.sqrt(18.5 / 6))


def test_the_parts_are_those_of_a_mixed_model():
    """R's lme4 1.1-31 by REML, y ~ 1 + (1 | seed) + (1 | unit): its variances and its standard error."""
    differences = [[0.021, 0.055, -0.010, 0.034, 0.080], [0.046, 0.071, 0.018, 0.049, 0.117]]
    differences += [[-0.004, 0.043, -0.031, 0.006, 0.058]]
    found = scatter(np.array([differences]))
    assert found.unit_variance[0] == pytest.approx(1.2316977e-3, rel=1e-4)
    assert found.seed_variance[0] == pytest.approx(5.1661462e-4 + 4.1783689e-5 / 5, rel=1e-4)
    assert found.error()[0] == pytest.approx(0.020526324, rel=1e-4)


def test_a_family_draws_its_seed_variances_together_by_hand():
    """Three comparisons, variances 1, 4 and 64 of a seed's mean on 2 degrees of freedom, prior of 1.

    The geometric mean is 6.35; with the bias of a logarithm, psi(1) = -0.5772, it is times exp(0.5772).
    """
    lines = np.array([[-1.0, 0, 1], [-2, 0, 2], [-8, 0, 8]])
    found = scatter(np.repeat(lines[:, :, None], 4, axis=2))
    common = 256 ** (1 / 3) * np.exp(-psi(1))
    assert found.prior.tolist() == [1.0]
    assert found.seed_variance == pytest.approx((common + 2 * np.array([1, 4, 64])) / 3)
    assert found.half(0.01) == pytest.approx(stats.t.ppf(0.99, 3) * np.sqrt(found.seed_variance / 3))


@pytest.mark.parametrize(("comparisons", "prior"), [(1, 0), (2, 0.5), (3, 1), (5, 2), (12, 2)])
def test_the_family_lends_two_degrees_of_freedom_at_most(comparisons, prior):
    """None where there is one comparison; half of one less than there are, up to two."""
    found = scatter(np.random.default_rng(0).normal(size=(comparisons, 3, 5)))
    assert found.prior.tolist() == [prior]


def test_seeds_that_agree_leave_the_t_interval_over_units():
    """If another seed changes nothing, the units are all that is uncertain."""
    units = np.array([0.1, 0.3, 0.2, 0.5])
    known = stats.ttest_1samp(units, 0)
    assert _half([units] * 3) == pytest.approx(known.confidence_interval(LEVEL).high - units.mean(), rel=1e-5)
    assert _p([units] * 3) == pytest.approx(known.pvalue)


def test_units_that_agree_leave_the_t_interval_over_seeds():
    """If all units move alike, the seeds are all that is uncertain, however many units there are."""
    seeds = np.array([0.1, 0.3, 0.2])
    known = stats.ttest_1samp(seeds, 0)
    matrix = np.stack([seeds] * 50, axis=1)
    assert _half(matrix) == pytest.approx(known.confidence_interval(LEVEL).high - seeds.mean(), rel=1e-5)
    assert _p(matrix) == pytest.approx(known.pvalue)


def test_a_unit_variance_is_never_negative():
    """Where units differ by less than chance, the seeds alone are left."""
    assert scatter(np.array([[[1.0, -1, 0], [-1, 1, 0]]])).unit_variance[0] == 0


def test_folds_are_replicates_of_one_column():
    """The means of four folds: Student's t on three degrees of freedom, and no second part."""
    folds = np.array([0.02, 0.05, -0.01, 0.03])
    found = scatter(folds[None, :, None])
    assert (found.replicates, found.units, found.unit_variance[0]) == (4, 1, 0)
    known = stats.ttest_1samp(folds, 0)
    assert found.half(0.025)[0] == pytest.approx(
        known.confidence_interval(LEVEL).high - folds.mean(), rel=1e-5
    )
    assert p_value(found, 0, 1) == pytest.approx(known.pvalue)


def test_identical_runs_differ_by_exactly_nothing():
    """Nothing varies, nothing is uncertain, and no other comparison's scatter blurs that."""
    rng = np.random.default_rng(0)
    family = np.stack([np.zeros((3, 5)), rng.normal(size=(3, 5)), rng.normal(size=(3, 5))])
    found = scatter(family)
    assert found.identical.tolist() == [True, False, False]
    assert (found.mean[0], found.half(0.01)[0], p_value(found, 0, 3)) == (0, 0, 1)


def test_identical_runs_make_no_other_one_surer():
    """They inform nobody's seed variance: the others' intervals are those of a family without them."""
    rng = np.random.default_rng(0)
    others = rng.normal(size=(3, 3, 5))
    with_it = scatter(np.concatenate([np.zeros((1, 3, 5)), others]))
    assert with_it.half(0.01)[1:] == pytest.approx(scatter(others).half(0.01))


def test_a_difference_without_any_scatter_is_certain():
    """Every unit of every seed moved by the same step: the interval is that step."""
    assert (_half(np.full((3, 4), 0.25)), _p(np.full((3, 4), 0.25))) == (0, 0)


@pytest.mark.parametrize("shape", [(2, 1, 20), (2, 0, 4)])
def test_one_replicate_is_refused(shape):
    """Nothing can be said of how much another one would differ."""
    with pytest.raises(ValueError, match="two seeds or folds at least"):
        scatter(np.zeros(shape))


def test_more_comparisons_widen_the_interval():
    """Each of five has to be surer than one alone; p is multiplied by their number."""
    differences = _families(1, [0.01, 0.01])[0, 0] + 0.05
    halves = [_half(differences, m) for m in (1, 2, 5, 20)]
    assert halves == sorted(set(halves))
    assert [_p(differences, m) for m in (1, 2, 5)] == pytest.approx(
        [min(1, m * _p(differences)) for m in (1, 2, 5)]
    )


@given(st.integers(0, 200), st.floats(-0.2, 0.2), st.sampled_from([1, 2, 5]))
def test_p_agrees_with_the_interval(seed, effect, comparisons):
    """p < 0.05 exactly where the interval leaves out 0."""
    rng = np.random.default_rng(seed)
    differences = effect + rng.normal(0, 0.03, (comparisons, 3, 1)) + rng.normal(0, 0.05, (comparisons, 3, 6))
    found = scatter(differences)
    for place, half in enumerate(found.half(one_tail(comparisons))):
        p = p_value(found, place, comparisons)
        assert (p < 0.05) == (abs(found.mean[place]) > half)
        assert 0 <= p <= 1


@given(st.integers(0, 200), st.floats(0.01, 100))
def test_the_interval_follows_sign_and_unit(seed, factor):
    """Exchanging the two strategies mirrors it; another unit scales it; order does not count."""
    family = np.random.default_rng(seed).normal(0.02, 0.05, (4, 3, 5))
    found = scatter(family)
    mirrored, scaled, turned = scatter(-family), scatter(factor * family), scatter(family[:, ::-1, ::-1])
    assert mirrored.mean == pytest.approx(-found.mean)
    assert mirrored.half(0.01) == pytest.approx(found.half(0.01))
    assert scaled.half(0.01) == pytest.approx(factor * found.half(0.01))
    assert turned.half(0.01) == pytest.approx(found.half(0.01))


def test_a_study_thought_of_is_narrower_the_larger_it_is():
    """More seeds, more units, and without number of both nothing is left."""
    found = scatter(_families(1, [0.02] * 4)[0])
    now = found.half(0.01)
    assert (found.half(0.01, replicates=6) < now).all() and (found.half(0.01, units=100) < now).all()
    assert found.half(0.01, found.replicates, found.units) == pytest.approx(now)
    assert (found.half(0.01, np.inf, np.inf) < 1e-9).all()


def test_the_quantile_is_student_s_in_the_far_tail():
    """Two degrees of freedom at a Bonferroni level; and infinitely many are the normal's."""
    assert quantile(0.025 / 8, 2) == pytest.approx(stats.t.isf(0.025 / 8, 2), rel=1e-6)
    assert quantile(0.025, np.inf) == pytest.approx(1.959964, rel=1e-6)


def test_whole_studies_are_computed_as_one_by_one():
    """Leading axes are studies."""
    studies = _families(5, [0.01, 0.02, 0.03])
    together = scatter(studies).half(0.01)
    assert together == pytest.approx(np.stack([scatter(one).half(0.01) for one in studies]))


@pytest.mark.parametrize(
    "seed_sds",
    [[0.02] * 6, [0.1] + [0.02] * 5, [0.02, 0.1] + [0.02] * 4, [0.002, 0.005, 0.01, 0.02, 0.04, 0.08]],
    ids=["equal", "the baseline 5 times", "one strategy 5 times", "spread"],
)
def test_all_intervals_of_a_family_hold_at_once(seed_sds):
    """Of 2,000 simulated studies of 3 seeds, 95 % is meant, whichever strategy scatters more."""
    assert _held(_families(2000, seed_sds)) >= 0.935


def test_units_alone_would_cover_far_too_seldom():
    """What most papers take, a t interval over images, misses most of the time where seeds scatter."""
    found = []
    for differences in _families(300, [0.06, 0.06])[:, 0]:
        limits = stats.ttest_1samp(differences.mean(axis=0), 0).confidence_interval(LEVEL)
        found.append(limits.low <= 0 <= limits.high)
    assert np.mean(found) < 0.6


def test_a_scatter_says_what_it_is_of():
    """The size of the study stands with its parts."""
    found = scatter(np.zeros((2, 3, 7)))
    assert isinstance(found, Scatter) and (found.replicates, found.units) == (3, 7)
