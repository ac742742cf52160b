"""What each strategy reaches: scores by class, by size and by run, all over the same units."""

import numpy as np
import pandas as pd

from stratagem.comparison.design import PRIMARY_CLASS, RUN
from stratagem.comparison.endpoints import Endpoint, averaged, endpoints, kind_of_unit, run_scores, with_units
from stratagem.comparison.failures import collapsed
from stratagem.evaluation.metrics import METRICS, false_alarms, per_image, pooled

__all__ = ["by_run", "by_size", "round_trip_scores", "scores"]

MANY_SIZES = 8  # of images: more are grouped


def scores(
    evaluation: pd.DataFrame, units: pd.Series, measured: list[Endpoint], classes: list[str]
) -> pd.DataFrame:
    """Each strategy's scores by class: mean over units and seeds, and of all pixels together.

    Parameters
    ----------
    evaluation : DataFrame
        ``strategy, fold, seed, sample, class, tp, fp, fn`` of all runs.
    units : Series
        The group of each sample, by sample.
    measured : list of Endpoint
        Of all metrics and classes.
    classes : list of str
        Names by index.

    Returns
    -------
    DataFrame
        ``strategy, class, unit, dice, iou, dice_pooled, iou_pooled, false_alarms``; false alarms is the share
        of images without the class in which it is predicted, NaN where every image holds it.
    """
    keys = ["strategy", "class"]
    columns = {}
    for metric in METRICS:
        found = [one for one in measured if one.metric == metric and one.name != PRIMARY_CLASS]
        means = {
            (strategy, classes.index(one.name)): np.nanmean(one.of(strategy))
            for one in found
            for strategy in one.strategies
        }
        places = pd.MultiIndex.from_tuples(list(means), names=keys) if means else None
        columns[metric] = pd.Series(list(means.values()), index=places, dtype=float)
    for metric in METRICS:
        whole = pooled(evaluation, metric)
        columns[f"{metric}_pooled"] = whole[whole["class"] > 0].groupby(keys)["score"].mean()
    columns["false_alarms"] = false_alarms(evaluation).set_index(keys)["share"]
    table = pd.concat(columns, axis=1).rename_axis(keys).reset_index()
    table = _in_order(table, evaluation).assign(unit=kind_of_unit(evaluation, units))
    table["class"] = table["class"].map(dict(enumerate(classes)))
    return table[[*keys, "unit", *columns]]


def by_size(evaluation: pd.DataFrame, units: pd.Series, sizes: pd.DataFrame) -> pd.DataFrame:
    """Each strategy's scores by the original size of the test images, small to large.

    Parameters
    ----------
    evaluation : DataFrame
        As for `scores`.
    units : Series
        The group of each sample, by sample.
    sizes : DataFrame
        ``height, width`` by sample.

    Returns
    -------
    DataFrame
        ``strategy, size, images, dice, iou``: mean over the units of that size, and seeds. Where there are
        many sizes they are grouped into four of about as many images each.
    """
    named = _size_groups(sizes.loc[evaluation["sample"].unique()])
    unit, keys = kind_of_unit(evaluation, units), ["strategy", "size"]
    columns: dict[str, pd.Series] = {}
    for metric in METRICS:
        table = with_units(per_image(evaluation, metric), units)
        table["size"] = table["sample"].map(named)
        columns.setdefault("images", table.groupby(keys, observed=True)["sample"].nunique())
        columns[metric] = averaged(table, keys, unit).groupby(keys, observed=True).mean()
    table = _in_order(pd.DataFrame(columns).reset_index(), evaluation)
    return table.assign(size=table["size"].astype(str))


def by_run(evaluation: pd.DataFrame, units: pd.Series, metric: str) -> pd.DataFrame:
    """The endpoint of every run: ``strategy, fold, seed, score, collapsed``, in the order of the runs.

    Parameters
    ----------
    evaluation : DataFrame
        As for `scores`.
    units : Series
        The group of each sample, by sample.
    metric : str
    """
    runs = evaluation[RUN].drop_duplicates().set_index(RUN)
    score = run_scores(with_units(per_image(evaluation, metric), units))
    fallen = collapsed(evaluation).reindex(runs.index, fill_value=False)
    return runs.assign(score=score, collapsed=fallen).reset_index()


def round_trip_scores(
    counts: pd.DataFrame, units: pd.Series, classes: list[str]
) -> dict[tuple[str, str], float]:
    """What a resolution plan leaves of the true masks, by metric and class: the mean over the study's units.

    Parameters
    ----------
    counts : DataFrame
        ``sample, fold, class, tp, fp, fn`` of the test images; see `stratagem.evaluation.roundtrip`.
    units : Series
        The group of each sample, by sample.
    classes : list of str
        Names by index.

    Returns
    -------
    dict of float
        By (metric, class name), ``mean`` among the names; a class that no image holds is absent.
    """
    counts = counts.assign(strategy="", seed=0)
    return {
        (metric, endpoint.name): float(endpoint.scores.mean())
        for metric in METRICS
        for endpoint in endpoints(counts, units, metric, classes)
    }


def _in_order(table: pd.DataFrame, evaluation: pd.DataFrame) -> pd.DataFrame:
    """Rows in the study's order of strategies, then by class or size."""
    order = {name: place for place, name in enumerate(evaluation["strategy"].unique())}
    other = "class" if "class" in table else "size"

    def place(column: pd.Series) -> pd.Series:
        if column.name == "strategy":
            return column.map(order)
        return column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column

    return table.sort_values(["strategy", other], key=place).reset_index(drop=True)


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
