"""The scores of an endpoint as one array, strategies by seeds by units: built once, averaged one way.

A unit is what the interval takes as independent, and what every mean of the report is taken over:

    fold    where there are folds: the networks of one share their training images
    group   else, where images belong together (a patient, duplicates)
    image   else

Images are averaged to groups first, groups to folds. So a score, a difference, a figure's point and a verdict
are of the same units, and say which.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stratagem.comparison.design import PRIMARY_CLASS, RUN
from stratagem.core.errors import DataError
from stratagem.evaluation.metrics import per_class

__all__ = ["UNITS", "Endpoint", "averaged", "endpoints", "kind_of_unit", "run_scores", "with_units"]

UNITS = {  # what one is called, and several are
    "image": ("test image", "test images"),
    "group": ("group of test images", "groups of test images"),
    "fold": ("fold", "folds"),
}


@dataclass(frozen=True)
class Endpoint:
    """One metric of one class, or of the mean over classes.

    Attributes
    ----------
    metric : str
    name : str
        Of the class; ``mean`` over the foreground classes that an image holds.
    unit : str
        image, group or fold.
    strategies, seeds, units : list
        What the axes stand for.
    scores : float, (K, S, U)
        Means over a unit's images; NaN where a run is missing.
    """

    metric: str
    name: str
    unit: str
    strategies: list[str]
    seeds: list[int]
    units: list
    scores: np.ndarray

    def of(self, strategy: str) -> np.ndarray:
        """The scores of one strategy, (S, U)."""
        return self.scores[self.strategies.index(strategy)]

    def differences(self, references: dict[str, str]) -> np.ndarray:
        """Each strategy less its reference.

        Parameters
        ----------
        references : dict
            The reference of each strategy compared.

        Returns
        -------
        float, (m, S, U)

        Raises
        ------
        DataError
            If the two were not tested with the same seeds on the same images.
        """
        self._require_pairs(references)
        own = [self.strategies.index(strategy) for strategy in references]
        other = [self.strategies.index(reference) for reference in references.values()]
        return self.scores[own] - self.scores[other]

    def _require_pairs(self, references: dict[str, str]) -> None:
        for pair in references.items():
            lacking = [
                strategy
                for strategy in pair
                if strategy not in self.strategies or np.isnan(self.of(strategy)).any()
            ]
            if lacking:
                raise DataError(
                    expected="`{}` and `{}` tested with the same seeds on the same images".format(*pair),
                    found=f"no score of `{lacking[0]}` for some of {len(self.seeds)} seeds x "
                    f"{len(self.units)} {self.unit}s",
                    where="the stored evaluations",
                    remedy="Run the workflow so that every strategy has every seed.",
                )


def kind_of_unit(evaluation: pd.DataFrame, units: pd.Series) -> str:
    """What a study's units are: ``fold``, ``group`` or ``image``.

    Parameters
    ----------
    evaluation : DataFrame
        ``fold, sample`` of all runs.
    units : Series
        The group of each sample, by sample.
    """
    if evaluation["fold"].nunique() > 1:
        return "fold"
    tested = units.loc[evaluation["sample"].unique()]
    return "image" if tested.is_unique else "group"


def with_units(evaluation: pd.DataFrame, units: pd.Series) -> pd.DataFrame:
    """Evaluations with the group of each image, as ``group``."""
    return evaluation.assign(group=evaluation["sample"].map(units))


def averaged(scored: pd.DataFrame, keys: list[str], unit: str) -> pd.Series:
    """Scores of images, averaged to the study's units.

    Parameters
    ----------
    scored : DataFrame
        ``fold, seed, group, score`` of images, and the keys.
    keys : list of str
        What scores are kept apart by, beside seed and unit.
    unit : str
        image, group or fold.

    Returns
    -------
    Series of float
        By the keys, seed and unit, ascending.
    """
    groups = scored.groupby([*keys, "seed", "fold", "group"], observed=True)["score"].mean()
    if unit == "fold":
        return groups.groupby([*keys, "seed", "fold"], observed=True).mean()
    return groups.droplevel("fold")


def endpoints(
    evaluation: pd.DataFrame, units: pd.Series, metric: str, classes: list[str]
) -> Iterator[Endpoint]:
    """The endpoints of a metric: the mean over classes first, then each foreground class that is there.

    Parameters
    ----------
    evaluation : DataFrame
        ``strategy, fold, seed, sample, class, tp, fp, fn`` of all runs.
    units : Series
        The group of each sample, by sample.
    metric : str
    classes : list of str
        Names by index.
    """
    unit = kind_of_unit(evaluation, units)
    strategies = list(evaluation["strategy"].unique())
    scored = per_class(with_units(evaluation, units), metric)
    images = scored.groupby([*RUN, "group", "sample"], as_index=False)["score"].mean()
    parts = {PRIMARY_CLASS: images} | {classes[n]: rows for n, rows in scored.groupby("class")}
    for name, rows in parts.items():
        if len(rows):  # a class may be in no test image
            yield _endpoint(metric, name, unit, strategies, _of_whole_units(rows, unit))


def run_scores(scored: pd.DataFrame) -> pd.Series:
    """The score of every run, by strategy, fold and seed: the mean over its images' groups.

    Parameters
    ----------
    scored : DataFrame
        ``strategy, fold, seed, group, score`` of images.
    """
    return scored.groupby([*RUN, "group"])["score"].mean().groupby(RUN).mean()


def _of_whole_units(images: pd.DataFrame, unit: str) -> pd.Series:
    """Scores by strategy, seed and unit; NaN where not all of a unit's images were tested."""
    of = ["strategy", "seed", "fold" if unit == "fold" else "group"]
    count = images.groupby(of).size()
    return averaged(images, of[:1], unit).where(count == count.groupby(of[2]).transform("max"))


def _endpoint(metric: str, name: str, unit: str, strategies: list[str], scores: pd.Series) -> Endpoint:
    table = scores.unstack(["seed", scores.index.names[-1]]).reindex(strategies).sort_index(axis=1)
    seeds, units = (list(level) for level in table.columns.remove_unused_levels().levels)
    whole = table.reindex(columns=pd.MultiIndex.from_product([seeds, units]))
    array = whole.to_numpy().reshape(len(strategies), len(seeds), len(units))
    return Endpoint(metric, name, unit, strategies, seeds, units, array)
