"""Counts first, scores later: pixel counts per image and class, then the metrics of a table from them.

Absent classes: the images that enter a class's per-image mean are those whose *truth* holds the class,
whatever is predicted; otherwise a strategy's error would drop out of the comparison. False alarms on
the other images are a number of their own (`false_alarms`). Ignored pixels (255) count nowhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stratagem.core.axis import Axis
from stratagem.data.labels import IGNORE

__all__ = [
    "METRICS",
    "Metric",
    "as_counts",
    "confusion",
    "counts",
    "false_alarms",
    "per_class",
    "per_image",
    "pooled",
    "score",
    "with_background",
]


@dataclass(frozen=True)
class Metric:
    """One row of the table of metrics.

    Attributes
    ----------
    label : str
        As a person writes it.
    description : str
    of : function
        From ``tp, fp, fn`` (columns of a DataFrame, pixels) to the score of every row, 0 to 1; NaN where a
        class is neither true nor predicted.
    """

    label: str
    description: str
    of: Callable[[pd.DataFrame], pd.Series]


def _dice(table: pd.DataFrame) -> pd.Series:
    return _share(2 * table["tp"], table)


def _iou(table: pd.DataFrame) -> pd.Series:
    return _share(table["tp"], table)


def _share(hits: pd.Series, table: pd.DataFrame) -> pd.Series:
    """Hits among hits and errors."""
    wrong = table["fp"] + table["fn"]
    return hits / (hits + wrong).where(lambda total: total > 0)


METRICS: Axis[Metric] = Axis(
    "metric",
    {
        "dice": Metric("Dice", "twice the overlap over the sum of both areas.", _dice),
        "iou": Metric("IoU", "the overlap over the union.", _iou),
    },
)


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by true and predicted class.

    Parameters
    ----------
    truth : uint8, (H, W)
        0 .. K-1, or 255 to ignore.
    predicted : uint8, (H, W)
        0 .. K-1.
    classes : int
        K.

    Returns
    -------
    int64, (K, K)
        Rows: truth; columns: prediction.
    """
    counted = truth != IGNORE
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def counts(table: np.ndarray) -> dict[str, np.ndarray]:
    """``tp, fp, fn, tn`` by class, int64 (K,), of a confusion matrix (K, K)."""
    tp = np.diag(table)
    fp, fn = table.sum(axis=0) - tp, table.sum(axis=1) - tp
    return {"tp": tp, "fp": fp, "fn": fn, "tn": table.sum() - tp - fp - fn}


def as_counts(sample: str, table: np.ndarray) -> pd.DataFrame:
    """A row a class of one image, of its confusion matrix: ``sample, class, tp, fp, fn, tn``."""
    return pd.DataFrame({"sample": sample, "class": range(len(table))} | counts(table))


def score(table: pd.DataFrame, metric: str) -> pd.Series:
    """The score of every row of ``tp, fp, fn``; NaN where a class is neither true nor predicted.

    Parameters
    ----------
    table : DataFrame
    metric : str
        One of `METRICS`.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    """
    return METRICS[metric].of(table)


def with_background(counts: pd.DataFrame) -> pd.DataFrame:
    """Counts in which class 0 is scored like the others: each class has one number more.

    Parameters
    ----------
    counts : DataFrame
        With a column ``class``.

    Returns
    -------
    DataFrame
        Of the names by index the first then stands for nothing.
    """
    return counts.assign(**{"class": counts["class"] + 1})


def per_class(evaluation: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The score of each image and foreground class whose truth holds the class.

    Parameters
    ----------
    evaluation : DataFrame
        ``strategy, fold, seed, sample, class, tp, fp, fn``, class an index.

    Returns
    -------
    DataFrame
        The same rows where tp + fn > 0 and class > 0, with a column ``score``.
    """
    there = evaluation[(evaluation["class"] > 0) & (evaluation["tp"] + evaluation["fn"] > 0)]
    return there.assign(score=score(there, metric))


def per_image(evaluation: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The mean over the foreground classes that each image holds: the primary endpoint."""
    keys = ["strategy", "fold", "seed", "sample"]
    return per_class(evaluation, metric).groupby(keys, as_index=False)["score"].mean()


def pooled(evaluation: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The score of all pixels of a seed's test images together, of all folds, by class, absent or not."""
    keys = ["strategy", "seed", "class"]
    total = evaluation.groupby(keys, as_index=False)[["tp", "fp", "fn"]].sum()
    return total.assign(score=score(total, metric))


def false_alarms(evaluation: pd.DataFrame) -> pd.DataFrame:
    """By strategy and class: the share of images without the class in which it is predicted at all."""
    without = evaluation[(evaluation["class"] > 0) & (evaluation["tp"] + evaluation["fn"] == 0)]
    keys = ["strategy", "class"]
    return without.assign(share=without["fp"] > 0).groupby(keys, as_index=False)["share"].mean()
