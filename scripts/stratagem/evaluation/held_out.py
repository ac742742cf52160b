"""Images that a network does not learn from, looked at one by one: predicted at their own size, counted.

Validation, evaluation and the check for networks that predict one class alone all go through here. An image
is read, predicted and counted before the next is read, so that no list of full-size predictions is held
where counts are wanted. Those that are looked at again (validation images, ten times a run) are read once
and held, as far as a bound allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stratagem.data.pixels import read_sample
from stratagem.evaluation.metrics import confusion
from stratagem.evaluation.predict import Predictor

__all__ = ["HeldOut", "Look", "constant_class"]

MB = 2**20


@dataclass(frozen=True)
class Look:
    """One image, looked at.

    Attributes
    ----------
    sample : str
    predicted : uint8, (H, W)
        Class indices.
    confusion : int64, (K, K)
        Pixels: true by predicted class.
    """

    sample: str
    predicted: np.ndarray
    confusion: np.ndarray


class HeldOut:
    """Some images with their truth.

    Parameters
    ----------
    rows : DataFrame
        Of the index.
    classes : int
        K.
    held_mb : int
        How much of them, in MB, is held for the next time; 0 where there is none.
    """

    def __init__(self, rows: pd.DataFrame, classes: int, held_mb: int = 0):
        self._rows, self._classes = rows, classes
        self._held: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._room = held_mb * MB

    def __len__(self) -> int:
        return len(self._rows)

    def looks(self, predict: Predictor) -> Iterator[Look]:
        """Predict and count every image, in the order of the rows.

        Parameters
        ----------
        predict : Predictor

        Raises
        ------
        DataError
            If a file cannot be read, or changed its size since it was indexed.
        """
        for row in self._rows.itertuples():
            image, truth = self._read(row)
            predicted = predict(image, row.pixel_size)
            yield Look(row.sample, predicted, confusion(truth, predicted, self._classes))

    def _read(self, row) -> tuple[np.ndarray, np.ndarray]:
        if row.sample in self._held:
            return self._held[row.sample]
        image, truth = read_sample(row)
        if image.nbytes + truth.nbytes <= self._room:
            self._room -= image.nbytes + truth.nbytes
            self._held[row.sample] = image, truth
        return image, truth


def constant_class(matrix: np.ndarray) -> int | None:
    """The class that is predicted alone where the truth holds several; None where it is not so.

    Parameters
    ----------
    matrix : int64, (K, K)
        Confusion of all images: true by predicted class.
    """
    true, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    if (predicted > 0).sum() != 1 or (true > 0).sum() < 2:
        return None
    return int(predicted.argmax())
