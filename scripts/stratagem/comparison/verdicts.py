"""From an interval to one of four answers, and what would settle an open one.

    no difference     two one-sided tests (Schuirmann 1987): the interval at twice the level of each tail lies
                      within -margin .. margin
    helps, hurts      else the interval lies wholly above, below 0
    cannot tell yet   else, and where there is no interval

What a study of another size would see follows from the same formula with other numbers of replicates and
units (`Scatter.half`): an effect e is seen, with 80 % power, where half(q) + 0.84 standard errors <= e;
equality, where half(2q) + 1.28 standard errors <= margin. Where seeds without number would not do, units are
lacking: as many are asked for as leave the seeds half of the squared error. Variances from few seeds are
rough, so the answer is a range, from the limits of an 80 % interval of each variance.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, ndtri

from stratagem.comparison.intervals import Scatter, one_tail

__all__ = ["POWER", "VERDICTS", "Need", "detectable", "limits", "need", "verdicts"]

VERDICTS = ("no difference", "helps", "hurts", "cannot tell yet")
POWER = 0.8
REACH = float(ndtri(POWER))  # standard errors beyond the half-width for that power
REACH_BOTH = float(ndtri((1 + POWER) / 2))  # of two one-sided tests that both have to hold
ROUGH = 0.8  # level of the interval of a variance that a range is made from
MOST_SEEDS = 1000
MOST_UNITS = 1_000_000


@dataclass(frozen=True)
class Need:
    """The size of a study that would settle something, from and to.

    Attributes
    ----------
    seeds : (float, float)
        Or folds; infinite where not even a thousand do.
    units : (float, float)
        NaN where those that there are do.
    """

    seeds: tuple[float, float]
    units: tuple[float, float]


def verdicts(scatter: Scatter, comparisons: int, margin: float) -> np.ndarray:
    """The four-word answers; see the module's docstring.

    Parameters
    ----------
    scatter : Scatter
        With arrays (..., m).
    comparisons : int
        How many they have to hold for at once.
    margin : float
        Differences within plus or minus this are no difference.

    Returns
    -------
    str array, (..., m)
        Of `VERDICTS`.
    """
    tail = one_tail(comparisons)
    inner, half = scatter.half(2 * tail), scatter.half(tail)
    return np.select(
        [np.abs(scatter.mean) + inner <= margin, scatter.mean > half, scatter.mean < -half],
        VERDICTS[:3],
        VERDICTS[3],
    )


def limits(scatter: Scatter, comparisons: int) -> np.ndarray:
    """What makes each interval wide: ``seeds``, ``units``, ``folds``; of equal predictions ``nothing``."""
    tail = one_tail(comparisons)
    only_seeds = replace(scatter, unit_variance=np.zeros_like(scatter.unit_variance)).half(tail)
    larger = np.where(only_seeds**2 >= scatter.half(tail) ** 2 / 2, "seeds", "units")
    return np.where(scatter.identical, "nothing", larger if scatter.units > 1 else "folds")


def detectable(
    scatter: Scatter, comparisons: int, replicates: float | None = None, units: float | None = None
) -> np.ndarray:
    """The smallest effect that is seen with a power of 80 %, by this study or one of another size.

    Parameters
    ----------
    scatter : Scatter
    comparisons : int
    replicates, units : float, optional
        Of the study thought of; without them those of this one.
    """
    half = scatter.half(one_tail(comparisons), replicates, units)
    return half + REACH * scatter.error(replicates, units)


def need(scatter: Scatter, comparison: int, comparisons: int, size: float, *, equality: bool = False) -> Need:
    """How many seeds, and if need be units, one comparison takes.

    Parameters
    ----------
    scatter : Scatter
        Of a single study, with arrays (m,).
    comparison : int
        Its place among the m.
    comparisons : int
        How many the intervals have to hold for at once.
    size : float
        The effect that is to be seen; with `equality` the margin that is to be shown to hold.
    equality : bool
        Whether it is for *no difference*, if there is none.
    """
    one = _one(scatter, comparison)
    seen = _equality if equality else detectable

    def enough(of: Scatter, replicates: float, units: float, share: float = 1) -> bool:
        return bool(seen(of, comparisons, replicates, units)[0] <= size * share)

    least, few, most = (
        _settled(of, enough) for of in (_rough(one, upper=False), one, _rough(one, upper=True))
    )
    if np.isnan(few[1]):  # seeds alone do, by the best estimate
        return Need((least[0], most[0] if np.isnan(most[1]) else np.inf), (np.nan, np.nan))
    fewest = one.units if np.isnan(least[1]) else least[1]
    # With more units fewer seeds may do: the ends of the two ranges need not belong together.
    return Need((min(least[0], most[0]), max(least[0], most[0])), (fewest, most[1]))


def _equality(scatter: Scatter, comparisons: int, replicates: float, units: float) -> np.ndarray:
    """The smallest margin within which two equal strategies are found equal with a power of 80 %."""
    half = scatter.half(2 * one_tail(comparisons), replicates, units)
    return half + REACH_BOTH * scatter.error(replicates, units)


def _one(scatter: Scatter, place: int) -> Scatter:
    kept = {
        name: getattr(scatter, name)[[place]]
        for name in ("mean", "seed_variance", "unit_variance", "identical")
    }
    return replace(scatter, **kept)


def _rough(scatter: Scatter, *, upper: bool) -> Scatter:
    """The same with variances at one end of their intervals."""
    level = (1 + ROUGH) / 2 if upper else (1 - ROUGH) / 2
    of_seeds, of_units = scatter.prior + scatter.replicates - 1, max(scatter.units - 1, 1)
    seed = scatter.seed_variance * of_seeds / chdtri(of_seeds, level)
    return replace(
        scatter, seed_variance=seed, unit_variance=scatter.unit_variance * of_units / chdtri(of_units, level)
    )


def _settled(scatter: Scatter, enough: Callable[..., bool]) -> tuple[float, float]:
    """The least number of seeds, with the least number of units where those there are never do (else NaN)."""
    if scatter.units == 1 or enough(scatter, np.inf, scatter.units):
        return _least(MOST_SEEDS, lambda seeds: enough(scatter, seeds, scatter.units)), np.nan
    units = _least(MOST_UNITS, lambda units: enough(scatter, np.inf, units, np.sqrt(0.5)))
    return _least(MOST_SEEDS, lambda seeds: enough(scatter, seeds, units)), units


def _least(most: int, holds: Callable[[int], bool]) -> float:
    """The least number from 2 on that holds; infinity where none up to the most does."""
    found = float(bisect_left(range(2, most + 1), True, key=holds) + 2)
    return found if found <= most else np.inf
