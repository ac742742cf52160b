"""From counts to sentences: effect, interval, verdict, cost.

Every strategy is compared with its reference on the same seeds and the same test images: a matrix of
paired differences, seeds x units. A unit is an image, or a group of images that belong together, first
averaged. Seed and unit are two crossed random factors, so the interval speaks of new seeds *and* new
images; images alone, as most papers take them, would make it far too narrow.

The variance of the mean comes from the three mean squares (seed + unit - residual, never below the
residual alone) and its degrees of freedom from Satterthwaite (1946, Biometrics 2:110). With few seeds
the seed mean square is poorly known, so it is pooled over the family of comparisons, unless the
strategies scatter unequally (Bartlett's test), when each comparison stands on its own. Comparisons with
a common reference are not independent; what pooling them is worth in degrees of freedom follows from
their correlations (`pooled_freedom`). Intervals of the primary endpoint hold for the whole family at
once (Bonferroni); all else is marked "not adjusted".

Verdicts, with the interval (low, high) and the margin of the study:

    no difference     the interval lies within -margin .. margin
    helps, hurts      else it lies wholly above, below 0
    cannot tell yet   else, and always with one seed, which gives no interval
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from stratagem.core.errors import DataError
from stratagem.evaluation.metrics import METRICS, false_alarms, per_class, per_image, pooled

__all__ = [
    "LEVEL",
    "PRIMARY_CLASS",
    "UNADJUSTED",
    "Design",
    "Interval",
    "by_size",
    "compare",
    "costs",
    "interval",
    "pooled_freedom",
    "round_trip_scores",
    "scores",
    "seed_variance",
    "unequal_scatter",
    "verdict",
]

LEVEL = 0.95
SCATTER_ALPHA = 0.05  # of Bartlett's test
PRIMARY_CLASS = "mean"
MANY_SIZES = 8  # of images: more are grouped
UNADJUSTED = "not adjusted"
COLUMNS = [
    "strategy",
    "reference",
    "metric",
    "class",
    "seeds",
    "images",
    "mean",
    "reference_mean",
    "difference",
    "low",
    "high",
    "p",
    "verdict",
]


@dataclass(frozen=True)
class Design:
    """What is compared with what, and how it is decided.

    Attributes
    ----------
    references : dict
        The reference of each strategy compared.
    metric : str
        Of the primary endpoint.
    margin : float
        Differences within plus or minus this are no difference.
    classes : list of str
        Names by index.
    arms : dict
        Of each strategy that starts from other weights, its arm and its share of the budget: an arm differs
        in nothing but that, and in the share of the images.
    """

    references: dict[str, str]
    metric: str
    margin: float
    classes: list[str]
    arms: dict[str, tuple[str, float]] = field(default_factory=dict)

    def without(self, strategies: Collection[str]) -> "Design":
        """The same for fewer strategies: what was compared with one of these is not compared at all.

        Parameters
        ----------
        strategies : collection of str

        Returns
        -------
        Design
            With other `references`, all else the same.
        """
        kept = {
            own: other
            for own, other in self.references.items()
            if own not in strategies and other not in strategies
        }
        return replace(self, references=kept)


@dataclass(frozen=True)
class Interval:
    """An estimate with its uncertainty; `low`, `high` and `p` are NaN where there is one seed.

    Attributes
    ----------
    difference : float
        The mean.
    low, high : float
        Ends of the interval, at `LEVEL` for all its comparisons at once.
    p : float
        Two-sided, times the number of comparisons, at most 1.
    """

    difference: float
    low: float
    high: float
    p: float


def compare(evaluation: pd.DataFrame, units: pd.Series, design: Design) -> pd.DataFrame:
    """The main table: one row a (strategy, reference, metric, class).

    Parameters
    ----------
    evaluation : DataFrame
        ``strategy, fold, seed, sample, class, tp, fp, fn`` of all runs.
    units : Series
        The group of each sample, by sample.
    design : Design

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; first the primary endpoint (class ``mean``), with verdicts, then the
        secondary ones.

    Raises
    ------
    DataError
        If a strategy and its reference were not tested with the same seeds on the same images.
    """
    rows = _family(evaluation, units, design, design.metric, PRIMARY_CLASS)
    for metric in METRICS:
        for name in (PRIMARY_CLASS, *design.classes[1:]):
            if (metric, name) != (design.metric, PRIMARY_CLASS):
                rows += _family(evaluation, units, design, metric, name)
    return pd.DataFrame(rows, columns=COLUMNS)


def interval(
    differences: np.ndarray,
    comparisons: int = 1,
    seed_mean_square: float | None = None,
    seed_df: float | None = None,
) -> Interval:
    """The mean of paired differences, for new seeds and new units.

    Parameters
    ----------
    differences : float, (S, U)
        Seeds by units.
    comparisons : int
        How many the interval has to hold for at once.
    seed_mean_square, seed_df : float, optional
        From elsewhere (pooled); without them from these differences.

    Returns
    -------
    Interval
        Low, high and p are NaN where there are fewer than two seeds or two units.
    """
    mean = float(differences.mean())
    seeds, count = differences.shape
    if seeds < 2 or count < 2:
        return Interval(mean, np.nan, np.nan, np.nan)
    if not differences.any():  # the same predictions: other strategies' seeds do not blur that
        return Interval(0.0, 0.0, 0.0, 1.0)
    seed, unit, residual = _mean_squares(differences)
    parts = np.array([seed if seed_mean_square is None else seed_mean_square, unit, -residual])
    freedom = np.array([seed_df or seeds - 1, count - 1, (seeds - 1) * (count - 1)])
    if parts.sum() < residual:
        parts, freedom = np.array([residual]), freedom[2:]
    error = np.sqrt(parts.sum() / (seeds * count))
    if error == 0:  # the same difference everywhere
        return Interval(mean, mean, mean, 0.0)
    df = parts.sum() ** 2 / (parts**2 / freedom).sum()
    half = stats.t.ppf(1 - (1 - LEVEL) / (2 * comparisons), df) * error
    p = min(1.0, comparisons * 2 * float(stats.t.sf(abs(mean) / error, df)))
    return Interval(mean, mean - half, mean + half, p)


def verdict(low: float, high: float, margin: float) -> str:
    """The four-word answer; see the module's docstring.

    Parameters
    ----------
    low, high : float
        Ends of the interval; NaN where there is none.
    margin : float
        Differences within plus or minus this are no difference.

    Returns
    -------
    {"no difference", "helps", "hurts", "cannot tell yet"}
    """
    if np.isnan(low):
        return "cannot tell yet"
    if -margin <= low and high <= margin:
        return "no difference"
    if low > 0:
        return "helps"
    return "hurts" if high < 0 else "cannot tell yet"


def unequal_scatter(scores: pd.DataFrame) -> bool:
    """Whether strategies differ in how much their seeds scatter.

    Parameters
    ----------
    scores : DataFrame
        ``strategy, seed, score``: any number of rows a seed, averaged first.

    Returns
    -------
    bool
        By Bartlett's test of the seeds' means. Strategies of one seed, or whose seeds all agree, are left
        out; False where fewer than two remain.
    """
    means = scores.groupby(["strategy", "seed"])["score"].mean()
    samples = [group.to_numpy() for _, group in means.groupby("strategy")]
    samples = [values for values in samples if len(values) > 1 and np.ptp(values) > 0]
    return len(samples) > 1 and bool(stats.bartlett(*samples).pvalue < SCATTER_ALPHA)


def seed_variance(evaluation: pd.DataFrame, references: dict[str, str], metric: str) -> str:
    """Where the seed variance of an endpoint's intervals comes from.

    Parameters
    ----------
    evaluation : DataFrame
        As for `compare`.
    references : dict
        The reference of each strategy compared.
    metric : str

    Returns
    -------
    {"one seed", "one comparison", "unequal", "pooled"}
        Nowhere; from the only comparison there is; from each comparison alone, since strategies scatter
        unequally; from all together.
    """
    return _seed_variance(per_image(evaluation, metric), references)


def pooled_freedom(references: dict[str, str]) -> float:
    """How many independent comparisons the pooled seed mean square of some is worth.

    Where strategies scatter alike, the seed effects of two comparisons correlate by R = C C' / 2, C their
    contrasts; the mean of m chi-squares of such correlation has m^2 / sum(R^2) times the degrees of
    freedom of one (Satterthwaite).

    Parameters
    ----------
    references : dict
        The reference of each strategy compared.

    Returns
    -------
    float
        Multiplied by the number of seeds less one, the degrees of freedom of the pooled mean square.
    """
    names = sorted({*references, *references.values()})
    rows = np.array(
        [[(name == own) - (name == other) for name in names] for own, other in references.items()]
    )
    correlation = rows @ rows.T / 2
    return len(rows) ** 2 / float((correlation**2).sum())


def scores(evaluation: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Each strategy's scores by class: mean over images and seeds, and of all pixels together.

    Parameters
    ----------
    evaluation : DataFrame
        As for `compare`.
    classes : list of str
        Names by index.

    Returns
    -------
    DataFrame
        ``strategy, class, dice, iou, dice_pooled, iou_pooled, false_alarms``; false alarms is the share
        of images without the class in which it is predicted, NaN where every image holds it.
    """
    keys = ["strategy", "class"]
    columns = {metric: per_class(evaluation, metric).groupby(keys)["score"].mean() for metric in METRICS}
    for metric in METRICS:
        whole = pooled(evaluation, metric)
        columns[f"{metric}_pooled"] = whole[whole["class"] > 0].groupby(keys)["score"].mean()
    columns["false_alarms"] = false_alarms(evaluation).set_index(keys)["share"]
    table = pd.DataFrame(columns).reset_index()
    order = {name: place for place, name in enumerate(evaluation["strategy"].unique())}
    table = table.sort_values(
        ["strategy", "class"], key=lambda c: c.map(order) if c.name == "strategy" else c
    )
    return table.assign(**{"class": table["class"].map(dict(enumerate(classes)))})


def by_size(evaluation: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """Each strategy's scores by the original size of the test images, small to large.

    Parameters
    ----------
    evaluation : DataFrame
        As for `compare`.
    sizes : DataFrame
        ``height, width`` by sample.

    Returns
    -------
    DataFrame
        ``strategy, size, images, dice, iou``: per image, mean over images and seeds. Where there are many
        sizes they are grouped into four of about as many images each.
    """
    tested = sizes.loc[evaluation["sample"].unique()]
    named = _size_groups(tested)
    keys = ["strategy", "size"]
    tables = {metric: per_image(evaluation, metric) for metric in METRICS}
    tables = {metric: table.assign(size=table["sample"].map(named)) for metric, table in tables.items()}
    columns = {"images": tables["dice"].groupby(keys, observed=True)["sample"].nunique()}
    columns |= {m: table.groupby(keys, observed=True)["score"].mean() for m, table in tables.items()}
    table = pd.DataFrame(columns).reset_index()
    order = {name: place for place, name in enumerate(evaluation["strategy"].unique())}
    table = table.sort_values(keys, key=lambda c: c.map(order) if c.name == "strategy" else c.cat.codes)
    return table.assign(size=table["size"].astype(str)).reset_index(drop=True)


def round_trip_scores(counts: pd.DataFrame, classes: list[str]) -> dict[tuple[str, str], float]:
    """What a resolution plan leaves of the true masks, by metric and class: the mean over images.

    Parameters
    ----------
    counts : DataFrame
        ``sample, class, tp, fp, fn`` of the test images; see `stratagem.evaluation.roundtrip`.
    classes : list of str
        Names by index.

    Returns
    -------
    dict of float
        By (metric, class name), ``mean`` among the names; a class that no image holds is absent.
    """
    counts = counts.assign(strategy="", fold=0, seed=0)
    found = {}
    for metric in METRICS:
        found[metric, PRIMARY_CLASS] = per_image(counts, metric)["score"].mean()
        means = per_class(counts, metric).groupby("class")["score"].mean()
        found |= {(metric, classes[number]): mean for number, mean in means.items()}
    return found


def costs(records: list[dict], histories: pd.DataFrame, pretraining: dict, margin: float) -> pd.DataFrame:
    """What each strategy cost, mean over its runs.

    Parameters
    ----------
    records : list of dict
        The cost.json of every run.
    histories : DataFrame
        The history of every run.
    pretraining : dict
        The cost.json of a strategy's source, by strategy.
    margin : float
        A validation Dice that rose by more than this over the last fifth was *not yet trained*.

    Returns
    -------
    DataFrame
        A row a strategy: numbers of cost.json, mean over runs, NaN where no run has them; ``resumes,
        retried``, summed; ``waiting_share`` of the training time; ``pretraining_cpu_s,
        source_predicts_only``, missing without a source; ``not_yet_trained``, also true where there are too
        few validations to tell; ``code``, the digests of the code of training, one unless runs were kept.
    """
    table = pd.DataFrame(records)
    keys = ["images", "steps", "epochs", "pixels", "train_images", "training_s", "waiting_s", "cpu_s"]
    keys += ["validation_s", "recording_s", "peak_memory_mb", "mapped_mb", "parameters", "trainable"]
    keys += ["images_per_s", "loader_images_per_s", "loader_mb_per_s", "loader_mb", "reading_share", "mixing"]
    counted = ["resumes", "retried"]
    numbers = table.reindex(columns=[*keys, *counted]).astype(float)  # records of older versions lack some
    by_strategy = numbers.groupby(table["strategy"], sort=False)
    table = by_strategy[keys].mean().join(by_strategy[counted].sum())
    table["waiting_share"] = table["waiting_s"] / table["training_s"]
    of_sources = {name: record["cpu_s"] for name, record in pretraining.items()}
    table["pretraining_cpu_s"] = pd.Series(of_sources, dtype=float)
    alone = {name: record.get("constant") for name, record in pretraining.items()}
    table["source_predicts_only"] = pd.Series(alone, dtype=object)
    table["not_yet_trained"] = _still_rising(histories, margin)
    table["code"] = {name: _codes(records, name) for name in table.index}
    return table.reset_index()


def _codes(records: list[dict], strategy: str) -> str:
    """The digests of the code that a strategy's runs were made by: one, unless some were kept."""
    return " ".join(
        sorted({record.get("source", "") for record in records if record["strategy"] == strategy})
    )


def _family(evaluation, units, design: Design, metric: str, name: str) -> list[tuple]:
    """The rows of one endpoint, all strategies."""
    table = per_image(evaluation, metric)
    if name != PRIMARY_CLASS:
        table = per_class(evaluation, metric)
        table = table[table["class"] == design.classes.index(name)]
    if table.empty:  # no test image holds the class
        return []
    table = table.assign(unit=table["sample"].map(units))
    matrices = {
        strategy: (_matrix(table, strategy), _matrix(table, reference))
        for strategy, reference in design.references.items()
    }
    for strategy, (own, other) in matrices.items():
        _require_pairs(own, other, strategy, design.references[strategy])
    primary = (metric, name) == (design.metric, PRIMARY_CLASS)
    shared = _pooled_seed_square(table, matrices, design.references)
    rows = []
    for strategy, (own, other) in matrices.items():
        found = interval((own - other).to_numpy(), len(matrices) if primary else 1, **shared)
        if not (own.any(axis=None) or other.any(axis=None)):  # neither finds anything: not a tie, but nothing
            found = Interval(0.0, np.nan, np.nan, np.nan)
        decision = verdict(found.low, found.high, design.margin) if primary else UNADJUSTED
        means = (own.to_numpy().mean(), other.to_numpy().mean())
        numbers = (*own.shape, *means, found.difference, found.low, found.high, found.p)
        rows.append((strategy, design.references[strategy], metric, name, *numbers, decision))
    return rows


def _size_groups(sizes: pd.DataFrame) -> pd.Series:
    """The size of each sample, or a range of areas, ordered, by sample."""
    area = sizes["height"] * sizes["width"]
    words = sizes["height"].astype(str) + "×" + sizes["width"].astype(str)
    if words.nunique() > MANY_SIZES:
        quarter = np.searchsorted(np.quantile(area, [0.25, 0.5, 0.75]), area)
        smallest, largest = (area.groupby(quarter).transform(end) for end in ("min", "max"))
        words = smallest.map("{:,}".format) + " to " + largest.map("{:,} px".format)
    ordered = words[area.sort_values(kind="stable").index].unique()
    return words.astype(pd.CategoricalDtype(list(ordered), ordered=True))


def _matrix(table: pd.DataFrame, strategy: str) -> pd.DataFrame:
    """Scores of one strategy: seeds by units."""
    return table[table["strategy"] == strategy].pivot_table("score", "seed", "unit", aggfunc="mean")


def _require_pairs(own: pd.DataFrame, other: pd.DataFrame, strategy: str, reference: str) -> None:
    paired = own.index.equals(other.index) and own.columns.equals(other.columns)
    if own.empty or not paired or own.isna().any(axis=None) or other.isna().any(axis=None):
        raise DataError(
            expected=f"`{strategy}` and `{reference}` tested with the same seeds on the same images",
            found=f"seeds x units of {own.shape} and {other.shape}",
            where="the stored evaluations",
            remedy="Run the workflow so that every strategy has every seed.",
        )


def _seed_variance(table: pd.DataFrame, references: dict[str, str]) -> str:
    """As `seed_variance`, of scores by strategy and seed."""
    if table["seed"].nunique() < 2:
        return "one seed"
    if len(references) < 2:
        return "one comparison"
    return "unequal" if unequal_scatter(table) else "pooled"


def _pooled_seed_square(table: pd.DataFrame, matrices: dict, references: dict[str, str]) -> dict:
    """The seed mean square of the family and its degrees of freedom; nothing where it is not pooled."""
    differences = {strategy: (own - other).to_numpy() for strategy, (own, other) in matrices.items()}
    # Identical runs say nothing here.
    differences = {strategy: matrix for strategy, matrix in differences.items() if matrix.any()}
    used = {strategy: references[strategy] for strategy in differences}
    if _seed_variance(table, used) != "pooled":
        return {}
    square = float(np.mean([_mean_squares(matrix)[0] for matrix in differences.values()]))
    return {"seed_mean_square": square, "seed_df": pooled_freedom(used) * (table["seed"].nunique() - 1)}


def _mean_squares(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of seed, unit and residual of a two-way table without repeats."""
    seeds, units = differences.shape
    mean = differences.mean()
    by_seed, by_unit = differences.mean(axis=1) - mean, differences.mean(axis=0) - mean
    residual = differences - mean - by_seed[:, None] - by_unit
    return (
        float(units * (by_seed**2).sum() / (seeds - 1)),
        float(seeds * (by_unit**2).sum() / (units - 1)),
        float((residual**2).sum() / ((seeds - 1) * (units - 1))),
    )


def _still_rising(histories: pd.DataFrame, margin: float) -> pd.Series:
    """By strategy: whether validation Dice rose by more than the margin over the last fifth."""
    ordered = histories.sort_values("share")
    runs = ["strategy", "fold", "seed"]
    last = ordered.groupby(runs)["val_dice"].last()
    before = ordered[ordered["share"] <= 0.8 + 1e-9].groupby(runs)["val_dice"].last()
    rise = (last - before.reindex(last.index)).groupby("strategy").mean()
    return ~(rise <= margin)  # also where there are too few points to tell
