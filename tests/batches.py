"""What tests of loaders share: batches copied, hashed and compared, and a storage that fails."""

import hashlib
import itertools
from dataclasses import replace

import numpy as np
import pandas as pd

from stratagem.loading.loader import Loader
from stratagem.loading.order import Order

CLASSES = ["a", "b", "c"]
PLANS = {"native": {}, "resize": {}, "tile": {"size": (4, 4), "overlap": 0.5}}
NINE = [f"s{number}" for number in range(9)]
TURN = Order(np.full((9, 2), 4), 1, 0).epoch(0)[0].tolist()  # of batches of one


def loader_of(storage, batch_size: int, seed: int = 0, synthesis=None, workers: int = 1, **options) -> Loader:
    """The order's options among others."""
    own = {name: options.pop(name) for name in ("memory_mb", "allocate") if name in options}
    return Loader(storage, Order(storage.shapes, batch_size, seed, **options), synthesis, workers, **own)


def batches_of(loader: Loader, count: int, start: int = 0) -> list:
    """Copies, as a batch is overwritten when a later one is made."""
    batches = loader.batches(start)
    kept = [
        replace(batch, image=batch.image.copy(), mask=batch.mask.copy())
        for batch in itertools.islice(batches, count)
    ]
    batches.close()
    return kept


def hashes_of(loader: Loader, count: int, start: int = 0) -> list[str]:
    """Of all that a batch says and holds."""
    return [
        hashlib.blake2b(
            batch.image.tobytes()
            + batch.mask.tobytes()
            + repr((batch.samples, batch.epoch, batch.rows)).encode()
        ).hexdigest()
        for batch in batches_of(loader, count, start)
    ]


def sample_of(storage, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask at a place of a storage."""
    height, width = storage.shapes[place]
    image, mask = np.empty((1, height, width, 3), np.uint8), np.empty((1, height, width), np.uint8)
    storage.read(np.array([place]), image, mask)
    return image[0], mask[0]


def equal(one, other) -> bool:
    """Whether two batches say and hold the same."""
    return (
        one.samples == other.samples
        and one.epoch == other.epoch
        and np.array_equal(one.image, other.image)
        and np.array_equal(one.mask, other.mask)
    )


class Failing:
    """Samples of which some cannot be read, if asked to from a moment on."""

    def __init__(self, names: list[str], fails=(), error: Exception | None = None, moment=None):
        self.names = pd.array(names, dtype="str")
        self.windows, self.shapes = np.zeros(len(names), np.int32), np.full((len(names), 2), 4, np.int32)
        self.channels = 3
        self.nbytes = 0
        self._fails, self._error, self._moment = set(fails), error, moment

    def __len__(self) -> int:
        return len(self.names)

    def read(self, places, image, mask, showings=None) -> None:
        if self._fails & set(places.tolist()):
            assert self._moment is None or self._moment.wait(60)
            raise self._error
