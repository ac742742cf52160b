"""Simulated studies, and how often the shipped comparison errs on them.

A population says how scores scatter; studies of any size are drawn from it, in which no strategy differs from
another, and go through the same functions as a real one. Of a study that has run the population is its own
scatter: the units are drawn from those at hand, all strategies' together, so that skew, unequal units and
likeness stay as they are; the seeds' effects are normal, of each strategy's own variance. Before a study has
run it is assumed (`assumed`), from published studies.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stratagem.comparison.design import Design
from stratagem.comparison.endpoints import Endpoint
from stratagem.comparison.intervals import one_tail, scatter
from stratagem.comparison.verdicts import verdicts

__all__ = ["CERTIFICATE", "Population", "Shape", "assumed", "certificate", "measured", "shape_of"]

STUDIES = 1000
BATCH = 50  # studies drawn at once, to bound memory
SEED_SDS = (0.003, 0.03)  # of a strategy's mean over units: the range in published studies
LIKING_SD, RESIDUAL_SD = 0.03, 0.04  # of a unit's score: by strategy, by run
FOLD_SD = 0.015  # of a strategy's effect from fold to fold
ASSUMED_UNITS = 200
CERTIFICATE = [
    *("strategy", "reference", "scatter", "unit", "seeds", "units", "comparisons", "effect", "studies"),
    *("false_verdict", "false_verdict_error", "covered", "covered_error", "power", "power_error"),
]
ALL = "all"


@dataclass(frozen=True)
class Shape:
    """The size of a study.

    Attributes
    ----------
    unit : str
        image, group or fold.
    seeds, units : int
    """

    unit: str
    seeds: int
    units: int

    @property
    def drawn(self) -> tuple[int, int]:
        """Replicates and units of its matrices: of folds each is one replicate."""
        return (self.units, 1) if self.unit == "fold" else (self.seeds, self.units)

    @property
    def has_interval(self) -> bool:
        """Whether anything can be said of other seeds and units."""
        return self.units > 1 and (self.unit == "fold" or self.seeds > 1)


@dataclass(frozen=True)
class Population:
    """How scores scatter, of K strategies.

    Attributes
    ----------
    strategies : list of str
    seed_sd : float, (K,)
        Standard deviation of a replicate's mean.
    units : float, (K, U)
        What units, drawn from, add to each strategy's score.
    residuals : float, (K, S, U)
        What a run adds on a unit.
    scatter : str
        ``measured`` or ``assumed``.
    twins : list of int
        The place of the strategy whose predictions each one shares to the last pixel; else its own.
    """

    strategies: list[str]
    seed_sd: np.ndarray
    units: np.ndarray
    residuals: np.ndarray
    scatter: str
    twins: list[int]

    def draw(self, replicates: int, units: int, studies: int, rng: np.random.Generator) -> np.ndarray:
        """Scores of studies in which no strategy differs from another.

        Returns
        -------
        float, (studies, K, replicates, units)
        """
        _, seeds, known = self.residuals.shape
        chosen = rng.integers(known, size=(studies, units))
        of_units = np.moveaxis(self.units[:, chosen], 0, 1)[:, :, None]
        run = rng.integers(seeds, size=(studies, replicates, units))
        of_runs = np.moveaxis(self.residuals[:, run, chosen[:, None]], 0, 1)
        seed = rng.normal(size=(studies, len(self.seed_sd), replicates, 1)) * self.seed_sd[:, None, None]
        return (of_units + of_runs + seed)[:, self.twins]


def shape_of(endpoint: Endpoint) -> Shape:
    """The size of a study that has run."""
    return Shape(endpoint.unit, len(endpoint.seeds), len(endpoint.units))


def measured(endpoint: Endpoint) -> Population | None:
    """The scatter of a study that has run; None where it has no two seeds and units, or folds.

    Each part is scaled so that its variance is the unbiased one.

    Parameters
    ----------
    endpoint : Endpoint
        Its primary endpoint.
    """
    scores = endpoint.scores
    twins = [
        next(place for place, other in enumerate(scores) if np.array_equal(other, one)) for one in scores
    ]
    if endpoint.unit == "fold":
        return _of_folds(endpoint, scores.mean(axis=1), twins)
    strategies, seeds, units = scores.shape
    if min(seeds, units) < 2:
        return None
    centred = scores - scores.mean(axis=(1, 2), keepdims=True)
    by_seed, by_unit = centred.mean(axis=2, keepdims=True), centred.mean(axis=1, keepdims=True)
    residuals = centred - by_seed - by_unit
    residuals *= np.sqrt(seeds * units / ((seeds - 1) * (units - 1)))
    noise = (residuals**2).mean(axis=(1, 2))
    # What a seed does to all strategies alike is in no difference, so it is in no simulated one.
    apart = (residuals[:, None] - residuals[None]).var(axis=(2, 3)) / units
    seed_variance = _own_variances(np.maximum(_between(by_seed[..., 0]) - apart, 0))
    square = (by_unit**2).sum(axis=(1, 2)) / (units - 1)
    true = np.maximum(square - noise / seeds, 0)
    scale = np.sqrt(np.divide(true, square, out=np.zeros_like(square), where=square > 0))
    of_units = by_unit[:, 0] * (scale * np.sqrt(units / (units - 1)))[:, None]
    return Population(endpoint.strategies, np.sqrt(seed_variance), of_units, residuals, "measured", twins)


def assumed(strategies: list[str], shape: Shape) -> Population:
    """The scatter of published studies, for one that has not run: unequal, as it is there.

    The first strategy scatters by the middle of the range. Of folds, their means do, over the study's seeds.
    """
    count, twins = len(strategies), list(range(len(strategies)))
    low, high = np.log(SEED_SDS)
    spread = np.exp(np.linspace(low, high, count)) if count > 1 else np.exp([(low + high) / 2])
    order = [count // 2, *(place for place in range(count) if place != count // 2)]
    if shape.unit == "fold":
        of_folds = np.sqrt(FOLD_SD**2 / 2 + spread[order] ** 2 / shape.seeds)
        return _replicates_alone(strategies, of_folds, "assumed", twins)
    rng = np.random.default_rng(0)
    units = rng.normal(0, LIKING_SD, (count, ASSUMED_UNITS))
    residuals = rng.normal(0, RESIDUAL_SD, (count, 3, ASSUMED_UNITS))
    return Population(strategies, spread[order], units, residuals, "assumed", twins)


def certificate(
    population: Population, shape: Shape, design: Design, studies: int = STUDIES, seed: int = 0
) -> pd.DataFrame:
    """How often the comparison errs on studies of a shape and scatter, and how often it sees an effect.

    Parameters
    ----------
    population : Population
    shape : Shape
    design : Design
        Its references, margin and effect.
    studies : int
        Simulated.
    seed : int
        Of the simulation.

    Returns
    -------
    DataFrame
        Columns `CERTIFICATE`: a row a comparison, first one of all. ``false_verdict``: share of studies that
        call it (any of them) *helps* or *hurts* where nothing differs; ``covered``: whose interval (all of
        whose) holds the truth; ``power``: that find the effect (mean over comparisons), NaN of equal
        predictions; each with its standard error. Empty where there is nothing to compare or no interval.
    """
    if not design.references or not shape.has_interval:
        return pd.DataFrame(columns=CERTIFICATE)
    rng = np.random.default_rng(seed)
    sizes = [min(BATCH, studies - done) for done in range(0, studies, BATCH)]
    parts = [_judged(population, shape, design, size, rng) for size in sizes]
    false, covered, found = (np.concatenate(part) for part in zip(*parts, strict=True))
    apart = ~np.isnan(found[0])
    both = found[:, apart].mean(axis=1) if apart.any() else found[:, 0]
    rows = [(ALL, "", np.any(false, axis=1), np.all(covered, axis=1), both)]
    rows += [
        (strategy, reference, false[:, place], covered[:, place], found[:, place])
        for place, (strategy, reference) in enumerate(design.references.items())
    ]
    size = [population.scatter, shape.unit, shape.seeds, shape.units, len(design.references)]
    size += [design.effect, studies]
    return pd.DataFrame(
        [[*row[:2], *size, *(value for one in row[2:] for value in _share(one))] for row in rows],
        columns=CERTIFICATE,
    )


def _of_folds(endpoint: Endpoint, scores: np.ndarray, twins: list[int]) -> Population | None:
    """Of folds: their means scatter by each strategy's own variance, and there is nothing beside."""
    strategies, folds = scores.shape
    if strategies < 2 or folds < 2:
        return None
    deviations = np.sqrt(_own_variances(_between(scores)))
    return _replicates_alone(endpoint.strategies, deviations, "measured", twins)


def _replicates_alone(strategies: list[str], deviations, scatter: str, twins: list[int]) -> Population:
    """A population of one unit that adds nothing: all scatter is of replicates."""
    nothing = np.zeros((len(strategies), 1, 1))
    return Population(strategies, deviations, nothing[:, 0], nothing, scatter, twins)


def _between(means: np.ndarray) -> np.ndarray:
    """The variances over replicates of the difference of any two strategies, (K, K), of means (K, S)."""
    return (means[:, None] - means[None]).var(axis=2, ddof=1)


def _own_variances(between: np.ndarray) -> np.ndarray:
    """Each strategy's own variance, (K,), from those of differences, (K, K).

    V_ij = s_i + s_j: the sum of a row is (K - 2) s_i + T, with T, the sum of all s, that of V / (2 (K - 1)).
    """
    strategies = len(between)
    if strategies < 3:
        return between.sum(axis=1) / 2
    total = between.sum() / (2 * (strategies - 1))
    return np.maximum((between.sum(axis=1) - total) / (strategies - 2), 0)


def _judged(population: Population, shape: Shape, design: Design, studies: int, rng) -> tuple:
    """Of each study and comparison: a false verdict, a truth that is held, an effect that is found."""
    scores = population.draw(*shape.drawn, studies, rng)
    own = [population.strategies.index(name) for name in design.references]
    other = [population.strategies.index(name) for name in design.references.values()]
    differences, comparisons = scores[:, own] - scores[:, other], len(own)
    nothing = scatter(differences)
    called = verdicts(nothing, comparisons, design.margin)
    covered = np.abs(nothing.mean) <= nothing.half(one_tail(comparisons))
    found = verdicts(replace(nothing, mean=nothing.mean + design.effect), comparisons, design.margin)
    # Strategies that make the same predictions have no effect that could be found.
    power = np.where(nothing.identical, np.nan, found == "helps")
    return np.isin(called, ("helps", "hurts")), covered, power


def _share(holds: np.ndarray) -> tuple[float, float]:
    """A share, and its standard error over studies."""
    return float(holds.mean()), float(holds.std() / np.sqrt(len(holds)))
