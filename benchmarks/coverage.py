"""Do the intervals hold? Simulated studies of hostile shapes through the shipped comparison, beside others.

    python benchmarks/coverage.py [--studies 1000] [--again 10000] [--cells FILE] [--ranges]

A study is drawn as the Dice of m strategies and their references: the logistic of an image's difficulty, its
own liking of each strategy, and noise of each run and image, so skewed and bounded; to that each training run
adds an effect of its own, of mean 0. So no strategy differs from another but where a cell says so, and the
truth is known. The cells are the kinds of `SCENARIOS` by seeds (folds) 3, 5, 10, by units 20, 50, 200, by
comparisons 1, 5, 8. Seeds of the simulation are fixed: 1 for the first run; cells whose family coverage is
below 0.94 are run again, with seed 2.

`held`: in how many studies all simultaneous intervals (nominal 95 %) hold the truth. `false`: in how many any
comparison is called helps or hurts though it is not so. `before`: the method of version 0.2 (crossed mean
squares, Satterthwaite, pooled unless Bartlett's test objects). `own`: as shipped, but each comparison by its
own seed variance alone. `images`: Student's t over images of the mean over seeds, as most papers print it.
`width`: mean width, as a ratio to that of 0.2. For folds there is, besides, the correction of Nadeau and
Bengio (2003, Machine Learning 52:239): variance times (1 / F + test / train).

`--ranges` prints how often the range of seeds that a study prints holds the number that its true scatter asks
for.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import chdtrc, expit, stdtrit

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.comparison.intervals import one_tail, scatter
from stratagem.comparison.verdicts import detectable, need, verdicts

SEEDS, UNITS, COMPARISONS = (3, 5, 10), (20, 50, 200), (1, 5, 8)
FIRST_SEED, SECOND_SEED = 1, 2
BATCH = 100
MARGIN, ENOUGH = 0.01, 0.94
DIFFICULTY, DIFFICULTY_SD, LIKING_SD, NOISE_SD = 1.2, 0.8, 0.3, 0.3  # logits
SEED_SD = 0.02  # Dice
FOLD_SEEDS = 3
TRULY = 10  # seeds that are needed, where ranges are tried
# Seeds' standard deviations of docs/dsb2018.md: the baseline, then its strategies.
DSB2018 = (0.0031, 0.0135, 0.0374, 0.0200, 0.0146, 0.0102, 0.0070, 0.0006, 0.0044)
TWIN_SD = 0.0003


@dataclass(frozen=True)
class Cell:
    """One kind of study, of one size."""

    kind: str
    seeds: int
    units: int
    comparisons: int


@dataclass(frozen=True)
class Drawn:
    """Studies of a cell: scores (n, K, S, U), who is compared with whom, and the true differences (m,)."""

    scores: np.ndarray
    own: list[int]
    other: list[int]
    truth: np.ndarray

    @property
    def differences(self) -> np.ndarray:
        """(n, m, S, U)."""
        return self.scores[:, self.own] - self.scores[:, self.other]


def main() -> None:
    """Print a table a kind of study, and the cells that had to be run again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--again", type=int, default=10_000)
    parser.add_argument("--cells", type=Path, help="write every cell to this CSV file")
    parser.add_argument("--ranges", action="store_true")
    given = parser.parse_args()
    if given.ranges:
        print(ranges(given.studies).to_string(index=False))
        return
    cells = [Cell(*one) for one in product(SCENARIOS, SEEDS, UNITS, COMPARISONS)]
    table = _all(cells, given.studies, FIRST_SEED)
    if given.cells:
        table.to_csv(given.cells, index=False)
    print(_by_kind(table).round(3).to_string())
    low = [cell for cell, held in zip(cells, table["held"], strict=True) if held < ENOUGH]
    print(f"\n{len(cells)} cells of {given.studies:,} studies; {len(low)} below {ENOUGH}.")
    if low and given.again:
        print(f"Those again, with {given.again:,} other studies each:")
        print(_all(low, given.again, SECOND_SEED).round(4).to_string(index=False))


def ranges(studies: int) -> pd.DataFrame:
    """How often the seeds that a study says it needs are those that its true scatter asks for.

    The effect is the one that ten seeds see at the number of units, so that the truth is ten.
    """
    rows, large = [], Cell("equal", 500, 4000, 5)
    true = scatter(_equal(large, 1, np.random.default_rng(0)).differences[0])
    for seeds, units in product(SEEDS, UNITS):
        cell, rng = Cell("equal", seeds, units, 5), np.random.default_rng(FIRST_SEED)
        effect = float(np.median(detectable(true, cell.comparisons, TRULY, units)))
        wanted = [need(scatter(one), 0, cell.comparisons, effect) for one in _drawn(cell, studies, rng)]
        low, high = np.array([one.seeds for one in wanted]).T
        alone = np.array([np.isnan(one.units[0]) for one in wanted])  # more seeds are said to do
        held = alone & (low <= TRULY) & (high >= TRULY)
        rows.append(
            (seeds, units, effect, *(np.median(end[alone]) for end in (low, high)), held.mean(), alone.mean())
        )
    columns = [
        "seeds",
        "units",
        "effect",
        "from (median)",
        "to (median)",
        "range holds ten",
        "asks for seeds alone",
    ]
    return pd.DataFrame(rows, columns=columns)


def _drawn(cell: Cell, studies: int, rng) -> np.ndarray:
    return np.concatenate([_equal(cell, 1, rng).differences for _ in range(studies)])


def _all(cells: list[Cell], studies: int, seed: int) -> pd.DataFrame:
    """A row a cell, on two cores; the largest cells first."""
    order = sorted(range(len(cells)), key=lambda place: -_size(cells[place]))
    with ProcessPoolExecutor(2) as pool:
        jobs = {place: pool.submit(_judged, cells[place], studies, (seed, place)) for place in order}
        return pd.DataFrame([jobs[place].result() for place in range(len(cells))])


def _size(cell: Cell) -> int:
    return cell.seeds * cell.units * cell.comparisons


def _by_kind(table: pd.DataFrame) -> pd.DataFrame:
    """Of each kind the worst cells, and mean widths by number of seeds."""
    kinds = table.groupby("kind", sort=False)
    found = kinds[["held", "held_before", "held_own", "held_images"]].min().add_suffix(" (least)")
    found["cells < .94"] = kinds["held"].agg(lambda held: (held < ENOUGH).sum())
    found["cells < .94, before"] = kinds["held_before"].agg(lambda held: (held < ENOUGH).sum())
    found[["false (worst)", "false, before (worst)"]] = kinds[["false", "false_before"]].max()
    for width in ("width", "width_own"):
        by_seeds = table.pivot_table(width, "kind", "seeds", aggfunc="mean")
        found = found.join(by_seeds.add_prefix(f"{width}, "))
    return found


def _judged(cell: Cell, studies: int, seed: tuple[int, int]) -> dict:
    """Shares of studies, by what is shipped and by what was."""
    rng = np.random.default_rng(seed)
    sizes = [min(BATCH, studies - done) for done in range(0, studies, BATCH)]
    parts = [_of_batch(SCENARIOS[cell.kind](cell, size, rng), cell) for size in sizes]
    means = {name: float(np.concatenate([part[name] for part in parts]).mean()) for name in parts[0]}
    before = means.pop("width_before")
    means |= {"width": means.pop("width_now") / before, "width_own": means.pop("width_of_own") / before}
    return vars(cell) | means | {"error": np.sqrt(means["held"] * (1 - means["held"]) / studies)}


def _of_batch(drawn: Drawn, cell: Cell) -> dict[str, np.ndarray]:
    """Of each study: whether all intervals hold, whether a verdict is false, by each method."""
    folds = cell.kind.startswith("folds")
    differences = drawn.differences
    now = scatter(differences.mean(axis=2)[..., None] if folds else differences)
    level = one_tail(cell.comparisons)
    called = verdicts(now, cell.comparisons, MARGIN)
    apart = np.abs(now.mean - drawn.truth)
    half = now.half(level)
    # With folds, what others take for units are the images of all folds.
    images = _unfolded(drawn) if folds else drawn
    before, alone = _before(images), _of_images_alone(images.differences)
    own = replace(now, seed_variance=_own(differences, folds), prior=np.zeros_like(now.prior)).half(level)
    decided = np.abs(now.mean) + before > MARGIN
    found = {
        "held": (apart <= half).all(axis=1),
        "false": _false(called == "helps", called == "hurts", drawn.truth),
        "held_before": (apart <= before).all(axis=1),
        "false_before": _false(decided & (now.mean > before), decided & (now.mean < -before), drawn.truth),
        "held_own": (apart <= own).all(axis=1),
        "held_images": (apart <= alone).all(axis=1),
        "width_now": half.mean(axis=1),
        "width_before": before.mean(axis=1),
        "width_of_own": own.mean(axis=1),
    }
    if folds:
        corrected = half * np.sqrt(1 + cell.seeds / (cell.seeds - 1))
        found["held_nadeau_bengio"] = (apart <= corrected).all(axis=1)
    return found


def _false(helps: np.ndarray, hurts: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return ((helps & (truth <= 0)) | (hurts & (truth >= 0))).any(axis=1)


def _before(drawn: Drawn) -> np.ndarray:
    """Half-widths by the method of version 0.2, (n, m)."""
    differences = drawn.differences
    *_, comparisons, seeds, units = differences.shape
    seed, unit, residual = _mean_squares(differences)
    freedom = np.full(seed.shape, seeds - 1.0)
    if comparisons > 1:
        alike = ~_unequal(drawn.scores.mean(axis=3))
        rows = np.eye(drawn.scores.shape[1])[drawn.own] - np.eye(drawn.scores.shape[1])[drawn.other]
        worth = comparisons**2 / ((rows @ rows.T / 2) ** 2).sum()
        seed = np.where(alike[:, None], seed.mean(axis=1, keepdims=True), seed)
        freedom = np.where(alike[:, None], worth * (seeds - 1), freedom)
    both = seed + unit - residual
    squares = seed**2 / freedom + unit**2 / (units - 1) + residual**2 / ((seeds - 1) * (units - 1))
    alone = both < residual
    df = np.where(alone, (seeds - 1) * (units - 1), both**2 / squares)
    error = np.sqrt(np.where(alone, residual, both) / (seeds * units))
    return -stdtrit(df, one_tail(comparisons)) * error


def _own(differences: np.ndarray, folds: bool) -> np.ndarray:
    """Each comparison's own variance of a replicate's mean, (n, m)."""
    means = differences.mean(axis=-2 if folds else -1)
    return means.var(axis=-1, ddof=1)


def _of_images_alone(differences: np.ndarray) -> np.ndarray:
    """Half-widths of the t interval over images of the mean over seeds, (n, m): the usual one."""
    means = differences.mean(axis=-2)
    *_, comparisons, units = means.shape
    return -stdtrit(units - 1, one_tail(comparisons)) * means.std(axis=-1, ddof=1) / np.sqrt(units)


def _mean_squares(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    *_, seeds, units = differences.shape
    centred = differences - differences.mean(axis=(-2, -1), keepdims=True)
    by_seed, by_unit = centred.mean(axis=-1), centred.mean(axis=-2)
    whole = (centred**2).sum(axis=(-2, -1))
    of_seeds, of_units = units * (by_seed**2).sum(axis=-1), seeds * (by_unit**2).sum(axis=-1)
    left = np.maximum(whole - of_seeds - of_units, 0) / ((seeds - 1) * (units - 1))
    return of_seeds / (seeds - 1), of_units / (units - 1), left


def _unequal(means: np.ndarray) -> np.ndarray:
    """Bartlett's test at 5 % of the strategies' seeds, (n, K, S): whether they scatter unequally."""
    _, strategies, seeds = means.shape
    variance, freedom = means.var(axis=2, ddof=1), seeds - 1
    apart = strategies * freedom * np.log(variance.mean(axis=1)) - freedom * np.log(variance).sum(axis=1)
    correction = 1 + (strategies / freedom - 1 / (strategies * freedom)) / (3 * (strategies - 1))
    return chdtrc(strategies - 1, apart / correction) < 0.05


def _unfolded(drawn: "Folded") -> Drawn:
    """Scores of folds (n, K, S, F, images) as of one set of images."""
    shape = (*drawn.scores.shape[:3], -1)
    return Drawn(drawn.images.reshape(shape), drawn.own, drawn.other, drawn.truth)


# The kinds of study


def _star(cell: Cell) -> tuple[list[int], list[int]]:
    """All compared with the first."""
    return list(range(1, cell.comparisons + 1)), [0] * cell.comparisons


def _images(
    cell: Cell, studies: int, rng, *, level=DIFFICULTY, liking=1.0, units=None, seeds=None, noise=1.0
):
    """Scores without effects of seeds, (n, K, S, U)."""
    units, seeds, strategies = units or cell.units, seeds or cell.seeds, cell.comparisons + 1
    difficulty = rng.normal(level, DIFFICULTY_SD, (studies, 1, 1, units))
    likes = rng.normal(0, LIKING_SD, (studies, strategies, 1, units)) * liking
    noisy = rng.normal(0, NOISE_SD, (studies, strategies, seeds, units)) * noise
    return expit(difficulty + likes + noisy)


def _runs(cell: Cell, studies: int, rng, deviations) -> np.ndarray:
    """Effects of training runs, (n, K, S, 1)."""
    effects = rng.normal(size=(studies, cell.comparisons + 1, cell.seeds, 1))
    return effects * np.reshape(deviations, (1, -1, 1, 1))


def _nothing(scores: np.ndarray, cell: Cell) -> Drawn:
    """Of strategies none of which differs from another, all compared with the first."""
    return Drawn(scores, *_star(cell), np.zeros(cell.comparisons))


def _equal(cell: Cell, studies: int, rng) -> Drawn:
    return _nothing(_images(cell, studies, rng) + _runs(cell, studies, rng, SEED_SD), cell)


def _scattering(deviations: Callable[[int], np.ndarray]) -> Callable[..., Drawn]:
    """Strategies whose runs scatter by so much."""

    def draw(cell: Cell, studies: int, rng) -> Drawn:
        scores = _images(cell, studies, rng) + _runs(cell, studies, rng, deviations(cell.comparisons + 1))
        return _nothing(scores, cell)

    return draw


def _five_times(place: int) -> Callable[[int], np.ndarray]:
    return lambda count: np.where(np.arange(count) == place, 5.0, 1.0) * SEED_SD


def _spread(count: int) -> np.ndarray:
    """From a fifth to five times, the reference in the middle."""
    spread = SEED_SD * np.geomspace(0.2, 5, count)
    return np.roll(spread, -(count // 2))


def _collapsing(alone: bool) -> Callable[..., Drawn]:
    """One run of twenty fails, of all strategies or of the last alone, and reaches a third of its score."""

    def draw(cell: Cell, studies: int, rng) -> Drawn:
        scores = _images(cell, studies, rng) + _runs(cell, studies, rng, SEED_SD)
        fails = rng.random((studies, cell.comparisons + 1, cell.seeds, 1)) < 0.05
        truth = np.zeros(cell.comparisons)
        if alone:
            fails[:, :-1] = False
            truth[-1] = -0.05 * 2 / 3 * _mean_score()
        return Drawn(np.where(fails, scores / 3, scores), *_star(cell), truth)

    return draw


def _mean_score() -> float:
    """The mean Dice of images."""
    spread = np.sqrt(DIFFICULTY_SD**2 + LIKING_SD**2 + NOISE_SD**2)
    return float(expit(stats.norm(DIFFICULTY, spread).ppf((np.arange(10_000) + 0.5) / 10_000)).mean())


def _huge(cell: Cell, studies: int, rng) -> Drawn:
    """One image in twenty likes strategies five times as much."""
    liking = np.where(rng.random((studies, 1, 1, cell.units)) < 0.05, 5.0, 1.0)
    return _nothing(_images(cell, studies, rng, liking=liking) + _runs(cell, studies, rng, SEED_SD), cell)


def _ceiling(cell: Cell, studies: int, rng) -> Drawn:
    """Dice about 0.97: what is missing is skewed."""
    scores = _images(cell, studies, rng, level=3.5) + _runs(cell, studies, rng, SEED_SD / 4)
    return _nothing(scores, cell)


def _groups(cell: Cell, studies: int, rng) -> Drawn:
    """Units that are means of 1 to 30 images."""
    sizes = np.round(np.geomspace(1, 30, cell.units))
    scale = rng.permuted(np.tile(1 / np.sqrt(sizes), (studies, 1)), axis=1)[:, None, None, :]
    scores = _images(cell, studies, rng, liking=2 * scale, noise=2 * scale)
    return _nothing(scores + _runs(cell, studies, rng, SEED_SD), cell)


def _twins(cell: Cell, studies: int, rng) -> Drawn:
    """All but the last are nearly the reference itself."""
    scores = _images(cell, studies, rng) + _runs(cell, studies, rng, SEED_SD)
    shape = (studies, cell.comparisons, cell.seeds, cell.units)
    near = scores[:, :1] + rng.normal(0, TWIN_SD, (*shape[:3], 1)) + rng.normal(0, TWIN_SD, shape)
    return _nothing(np.concatenate([near, scores[:, -1:]], axis=1), cell)


def _chained(cell: Cell, studies: int, rng) -> Drawn:
    """Each compared with the one before it."""
    drawn = _equal(cell, studies, rng)
    return Drawn(drawn.scores, drawn.own, [place - 1 for place in drawn.own], drawn.truth)


def _paired(cell: Cell, studies: int, rng) -> Drawn:
    """A seed's effect is shared by all strategies but the last."""
    shared = rng.normal(0, SEED_SD, (studies, 1, cell.seeds, 1))
    own = _runs(
        cell, studies, rng, np.where(np.arange(cell.comparisons + 1) < cell.comparisons, 0.3, 1) * SEED_SD
    )
    return _nothing(_images(cell, studies, rng) + own + shared, cell)


@dataclass(frozen=True)
class Folded(Drawn):
    """Of folds: scores are means over a fold's images, (n, K, seeds, F); images has them all."""

    images: np.ndarray


def _folded(deviation: float, *, overlap: bool) -> Callable[..., Drawn]:
    """Folds as replicates: a training set suits strategies by chance, and sets that overlap suit alike.

    Two of F training sets share (F - 2) / (F - 1) of their images; so much do their effects correlate where
    they overlap, as they do where each training image adds an effect of its own.
    """

    def draw(cell: Cell, studies: int, rng) -> Drawn:
        strategies, folds = cell.comparisons + 1, cell.seeds
        each, shared = -(-cell.units // folds), (folds - 2) / (folds - 1) if overlap else 0.0
        shape = (studies, strategies, FOLD_SEEDS, folds)
        images = _images(cell, studies, rng, units=each * folds, seeds=FOLD_SEEDS).reshape(*shape, each)
        images = images + rng.normal(0, SEED_SD / 2, (*shape, 1))
        suits = np.sqrt(1 - shared) * rng.normal(0, deviation, (studies, strategies, 1, folds, 1))
        images = images + suits + np.sqrt(shared) * rng.normal(0, deviation, (studies, strategies, 1, 1, 1))
        own, other = _star(cell)
        return Folded(images.mean(axis=-1), own, other, np.zeros(cell.comparisons), images)

    return draw


SCENARIOS: dict[str, Callable[..., Drawn]] = {
    "equal": _equal,
    "one strategy 5 times": _scattering(_five_times(1)),
    "baseline 5 times": _scattering(_five_times(0)),
    "spread": _scattering(_spread),
    "as in DSB2018": _scattering(lambda count: np.array(DSB2018[:count])),
    "collapse": _collapsing(alone=False),
    "collapse by one alone": _collapsing(alone=True),
    "huge images": _huge,
    "ceiling": _ceiling,
    "groups": _groups,
    "near-twins": _twins,
    "chained": _chained,
    "paired seeds": _paired,
    "folds": _folded(0.01, overlap=False),
    "folds, sd .02": _folded(0.02, overlap=False),
    "folds that overlap": _folded(0.01, overlap=True),
}


if __name__ == "__main__":
    main()
