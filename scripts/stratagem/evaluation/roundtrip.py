"""What a resolution plan loses before any training: true masks taken through it and back.

The score is what a network would reach that learnt the labels in the plan's frame exactly
(`stratagem.evaluation.predict.round_trip`); for plans that do not resample it is 1.
"""

import numpy as np
import pandas as pd

from stratagem.data.pixels import read_classes
from stratagem.evaluation.metrics import as_counts, confusion
from stratagem.evaluation.predict import round_trip
from stratagem.resolution.plans import Plan

__all__ = ["round_trips"]


def round_trips(index: pd.DataFrame, plan: Plan, classes: int) -> pd.DataFrame:
    """Pixel counts of every sample's mask after the round trip.

    Returns
    -------
    DataFrame
        ``sample, class, tp, fp, fn, tn``.
    """
    return pd.concat([_counts(row, plan, classes) for row in index.itertuples()], ignore_index=True)


def _counts(row, plan: Plan, classes: int) -> pd.DataFrame:
    truth = read_classes(row)
    windows = plan.windows(row.height, row.width, row.pixel_size)
    if not any(window.resamples for window in windows):  # exact, so not worth the way
        return as_counts(row.sample, np.diag(np.bincount(truth.ravel(), minlength=256)[:classes]))
    return as_counts(row.sample, confusion(truth, round_trip(truth, plan, classes, row.pixel_size), classes))
