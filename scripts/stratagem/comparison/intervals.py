"""The interval of a mean of paired differences: for new seeds and new units, and a whole family at once.

A comparison is a matrix D of paired differences, seeds by units; both are random and crossed, so the mean has
two sources of error, each with its own degrees of freedom:

    seed    v = MS(seed) / U, S - 1 degrees of freedom
    unit    b = max(MS(unit) - MS(residual), 0) / (S U), U - 1 degrees of freedom

With few seeds v is poorly known, and strategies scatter unequally, so it is neither taken alone nor pooled:
each is drawn towards the geometric mean of its family as if by p0 further degrees of freedom,

    g  = exp(mean over the family of [ln v - psi(d / 2) + ln(d / 2)]),  d = S - 1
    x  = (p0 g + d v) / (p0 + d),  p0 = min(2, (m - 1) / 2)

an empirical-Bayes variance (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3) with a small prior that is fixed
instead of fitted. The parts are added as squares of half-widths (Banerjee 1961, Sankhya A 23:359), not by
Satterthwaite's degrees of freedom, which fail in the tails where S is small:

    half(q) = sqrt(t(q, p0 + d)^2 x / S + t(q, U - 1)^2 b)

with q the level of one tail, `LEVEL` shared over the family (Bonferroni). Units that are folds share no
training set with one another but each does within itself: a fold's mean is then the only replicate there is.
Folds take the place of the seeds, and there is no second part.

Arrays may have leading axes of whole studies, as a simulation has them.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import psi, stdtrit

__all__ = ["ALPHA", "LEVEL", "Scatter", "one_tail", "p_value", "prior_freedom", "quantile", "scatter"]

LEVEL = 0.95
ALPHA = 1 - LEVEL
PRIOR_FREEDOM = 2.0  # at most, in degrees of freedom of a seed variance
FLOOR = 1e-14  # of a seed variance, where its logarithm is taken
SMALLEST = 1e-100  # tail that is looked at; far below it the quantile is not computed rightly


@dataclass(frozen=True)
class Scatter:
    """What a family's intervals are made of; arrays are (..., m), one value a comparison.

    Attributes
    ----------
    mean : float array
        Of the differences.
    seed_variance : float array
        Variance of one replicate's mean difference, drawn towards the family's. A replicate is a seed, or a
        fold.
    unit_variance : float array
        Variance of one unit's difference over seeds without number; 0 where replicates are folds.
    prior : float array, (..., 1)
        Degrees of freedom that the family lends.
    replicates, units : int
        Of the study.
    identical : bool array
        All differences are 0: both are the same predictions, and other comparisons' scatter does not blur
        that.
    """

    mean: np.ndarray
    seed_variance: np.ndarray
    unit_variance: np.ndarray
    prior: np.ndarray
    replicates: int
    units: int
    identical: np.ndarray

    def half(self, tail: float, replicates: float | None = None, units: float | None = None) -> np.ndarray:
        """Half the width of the intervals, of this study or one of another size.

        Parameters
        ----------
        tail : float
            The level of one tail, below 0.5.
        replicates, units : float, optional
            Of the study thought of; infinity is allowed. Without them those of this one.
        """
        replicates, units = self._size(replicates, units)
        by_seed = quantile(tail, self.prior + replicates - 1) * np.sqrt(self.seed_variance / replicates)
        by_unit = quantile(tail, max(units - 1, 1)) * np.sqrt(self.unit_variance / units)
        return np.hypot(by_seed, by_unit)

    def error(self, replicates: float | None = None, units: float | None = None) -> np.ndarray:
        """The standard errors of the means, of this study or one of another size."""
        replicates, units = self._size(replicates, units)
        return np.sqrt(self.seed_variance / replicates + self.unit_variance / units)

    def _size(self, replicates: float | None, units: float | None) -> tuple[float, float]:
        return self.replicates if replicates is None else replicates, self.units if units is None else units


def one_tail(comparisons: int) -> float:
    """The level of one tail of an interval that holds for some comparisons at once."""
    return ALPHA / 2 / comparisons


def prior_freedom(comparisons) -> np.ndarray:
    """The degrees of freedom that a family of some comparisons lends each of them."""
    return np.clip((np.asarray(comparisons) - 1) / 2, 0, PRIOR_FREEDOM)


def quantile(tail: float, freedom) -> np.ndarray:
    """Student's t beyond which a tail of this level lies."""
    return -stdtrit(freedom, tail)


def scatter(differences: np.ndarray) -> Scatter:
    """The parts of a family's intervals.

    Parameters
    ----------
    differences : float, (..., m, S, U)
        Of each comparison, seeds by units; or, of folds, (..., m, F, 1).

    Returns
    -------
    Scatter

    Raises
    ------
    ValueError
        If there are fewer than two replicates.
    """
    *_, replicates, units = differences.shape
    if replicates < 2:
        raise ValueError(f"expected two seeds or folds at least, but found {replicates}")
    mean = differences.mean(axis=(-2, -1))
    own, unit = _parts(differences, mean)
    identical = np.asarray((differences == 0).all(axis=(-2, -1)))
    seed, prior = _drawn_together(own, ~identical, replicates - 1)
    seed, unit = np.where(identical, 0.0, seed), np.where(identical, 0.0, unit)
    return Scatter(mean, seed, unit, prior, replicates, units, identical)


def p_value(scatter: Scatter, comparison: int, comparisons: int) -> float:
    """The p of one comparison of a single study, adjusted as its interval is.

    The two-sided level at which the interval would just touch 0, times the comparisons, at most 1.

    Parameters
    ----------
    scatter : Scatter
        With arrays (m,).
    comparison : int
        Its place among the m.
    comparisons : int
        For how many the intervals hold at once.
    """
    if scatter.identical[comparison]:
        return 1.0
    distance = abs(scatter.mean[comparison])

    def beyond(log_tail: float) -> float:
        return float(scatter.half(np.exp(log_tail))[comparison]) - distance

    if beyond(np.log(SMALLEST)) < 0:
        return 0.0
    if distance == 0:
        return 1.0
    found = np.exp(brentq(beyond, np.log(SMALLEST), np.log(0.5), xtol=1e-12))
    return min(1.0, 2 * comparisons * float(found))


def _parts(differences: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each comparison the variance of a seed's mean, and that of a unit over seeds without number."""
    *_, seeds, units = differences.shape
    by_seed = differences.mean(axis=-1) - mean[..., None]
    own = (by_seed**2).sum(axis=-1) / (seeds - 1)
    if units == 1:
        return own, np.zeros_like(own)
    by_unit = differences.mean(axis=-2) - mean[..., None]
    squares = ((differences - mean[..., None, None]) ** 2).sum(axis=(-2, -1))
    left = squares - units * (by_seed**2).sum(axis=-1) - seeds * (by_unit**2).sum(axis=-1)
    residual = np.maximum(left, 0) / ((seeds - 1) * (units - 1))
    unit_square = seeds * (by_unit**2).sum(axis=-1) / (units - 1)
    return own, np.maximum(unit_square - residual, 0) / seeds


def _drawn_together(own: np.ndarray, informs: np.ndarray, freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Seed variances drawn towards the geometric mean of those that inform, and the prior's weight."""
    count = informs.sum(axis=-1, keepdims=True)
    prior = prior_freedom(count)
    logs = np.log(np.maximum(own, FLOOR)) - psi(freedom / 2) + np.log(freedom / 2)
    common = np.exp((logs * informs).sum(axis=-1, keepdims=True) / np.maximum(count, 1))
    return (prior * common + freedom * own) / (prior + freedom), prior
