"""What a study of a size can see, said before it is paid for.

Nothing is known yet of how its own runs scatter, so the figures rest on the scatter of published studies; the
page's own figures, from the runs, replace them.
"""

import numpy as np

from stratagem.comparison.endpoints import UNITS
from stratagem.comparison.intervals import Scatter, prior_freedom
from stratagem.comparison.simulation import FOLD_SD, LIKING_SD, RESIDUAL_SD, SEED_SDS, Shape
from stratagem.comparison.verdicts import detectable

__all__ = ["outlook", "smallest_effect"]

SIZES = (3, 5, 8, 12, 20)  # seeds or folds that are advised
LARGER = (20, 50, 100, 200, 500, 1000)  # units that are advised


def outlook(shape: Shape, comparisons: int, effect: float) -> str | None:
    """What has to be said of a study's size before it is trained; None where it is likely to see the effect.

    Parameters
    ----------
    shape : Shape
        Its seeds, and as far as is known its units; of folds their number.
    comparisons : int
    effect : float
        That it is planned for.

    Returns
    -------
    str or None
        Sentences with figures, for a terminal.
    """
    if not comparisons:
        return None
    least = smallest_effect(shape, comparisons) if shape.has_interval else np.inf
    if least <= effect:
        return None
    size = f"{_counted(shape.seeds, 'seed')}, {_counted(shape.units, shape.unit)} and "
    size += f"{_counted(comparisons, 'comparison')}"
    sees = (
        f"see effects of about {least:.2g} and more"
        if np.isfinite(least)
        else "give no interval, so no verdict"
    )
    told = f"What this study can see, assuming the scatter of published studies: {size} {sees}."
    return f"{told} {_advice(shape, comparisons, effect)}"


def smallest_effect(shape: Shape, comparisons: int) -> float:
    """The effect that a study of this shape sees with 80 % power, if its runs scatter as published ones do.

    Parameters
    ----------
    shape : Shape
        That has an interval.
    comparisons : int
        With one reference.
    """
    seed = 2 * SEED_SDS[0] * SEED_SDS[1]  # of a difference; the middle of the range
    unit, replicates = 2 * LIKING_SD**2, shape.seeds
    if shape.unit == "fold":
        seed, unit, replicates = FOLD_SD**2 + seed / shape.seeds, 0.0, shape.units
    else:
        seed += 2 * RESIDUAL_SD**2 / shape.units
    one = np.zeros(1)
    prior = prior_freedom([comparisons])
    typical = Scatter(one, one + seed, one + unit, prior, replicates, shape.units, one > 0)
    return float(detectable(typical, comparisons)[0])


def _advice(shape: Shape, comparisons: int, effect: float) -> str:
    """The least that would see the effect: more seeds or folds, else more images too."""

    def first(larger: list[Shape]) -> Shape | None:
        return next((one for one in larger if smallest_effect(one, comparisons) <= effect), None)

    if shape.unit == "fold":
        folds = first([Shape("fold", shape.seeds, size) for size in SIZES if size > shape.units])
        return f"{_counted(folds.units, 'fold')} would see {effect:g}." if folds else _fewer(effect)
    seeds = first([Shape(shape.unit, size, shape.units) for size in SIZES if size > shape.seeds])
    if seeds and shape.units > 1:
        return f"{_counted(seeds.seeds, 'seed')} would see {effect:g}."
    both = first(
        [
            Shape(shape.unit, max(size, shape.seeds), units)
            for units in LARGER
            for size in SIZES
            if units > shape.units
        ]
    )
    if both is None:
        return _fewer(effect)
    return f"{_counted(both.seeds, 'seed')} and {_counted(both.units, shape.unit)} would see {effect:g}."


def _fewer(effect: float) -> str:
    return f"To see {effect:g} takes fewer comparisons, or far more seeds and images."


def _counted(count: int, what: str) -> str:
    one, many = UNITS.get(what, (what, f"{what}s"))
    return f"{count} {one if count == 1 else many}"
