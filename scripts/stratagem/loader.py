"""From shards and manifest to batches: order and batching, nothing of bytes.

The order is a function of (seed, epoch) and nothing else: epoch e is one permutation of the samples
(Philox, keyed by seed, counted by epoch), epochs follow one another until the budget is seen. A batch
holds images of one shape: samples wait in a bucket of their shape until it is full; where shapes are
mixed, an epoch's end empties the buckets, so that no image waits for long. With one shape batches run
over the ends of epochs and are always full, but for the last.

Batches are made by one thread, two ahead of the network.
"""

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import pandas as pd

from stratagem.augment import PARAMETERS, apply
from stratagem.shard import Shards

__all__ = ["Batch", "Loader", "Memory", "order", "prefetched"]

AHEAD = 2  # batches made before they are asked for


@dataclass(frozen=True)
class Batch:
    """One batch.

    Attributes
    ----------
    image : uint8, (B, H, W, 3)
    mask : uint8, (B, H, W)
        255 = ignore.
    samples : list of str
    epoch : int
        Of the last image.
    """

    image: np.ndarray
    mask: np.ndarray
    samples: list[str]
    epoch: int


class Storage(Protocol):
    """What the loader reads from: `Shards` or `Memory`."""

    table: pd.DataFrame

    def __len__(self) -> int: ...
    def shape(self, place: int) -> tuple[int, int]: ...
    def read(self, place: int, image: np.ndarray, mask: np.ndarray) -> None: ...


class Memory:
    """All samples of some shards, held in memory; reads as they do."""

    def __init__(self, shards: Shards):
        self.table = shards.table
        self._held = []
        for place in range(len(shards)):
            height, width = shards.shape(place)
            image, mask = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint8)
            shards.read(place, image, mask)
            self._held.append((image, mask))

    def __len__(self) -> int:
        return len(self._held)

    def shape(self, place: int) -> tuple[int, int]:
        """Height and width of a sample's frame."""
        return self._held[place][1].shape

    def read(self, place: int, image: np.ndarray, mask: np.ndarray) -> None:
        """Fill buffers, uint8 (H, W, 3) and (H, W), with one sample."""
        image[...], mask[...] = self._held[place]


@dataclass(frozen=True)
class Loader:
    """Batches of a training run.

    Attributes
    ----------
    storage : Shards or Memory
    batch_size : int
    seed : int
        Governs the order.
    manifest : DataFrame or None
        Synthetic images by sample and variant; None shows the originals.
    """

    storage: Storage
    batch_size: int
    seed: int
    manifest: pd.DataFrame | None = None

    def batches(self) -> Iterator[Batch]:
        """Batches without end; who trains stops when the budget is spent."""
        draws = None if self.manifest is None else _by_sample(self.manifest)
        for places in self._groups():
            yield self._read(places, draws)

    def _groups(self) -> Iterator[list[tuple[int, int]]]:
        """Lists of (epoch, place) that make one batch each."""
        shapes = [self.storage.shape(place) for place in range(len(self.storage))]
        mixed = len(set(shapes)) > 1
        buckets: dict[tuple[int, int], list] = defaultdict(list)
        epoch = 0
        while True:
            for place in order(self.seed, epoch, len(shapes)):
                bucket = buckets[shapes[place]]
                bucket.append((epoch, int(place)))
                if len(bucket) == self.batch_size:
                    yield buckets.pop(shapes[place])
            if mixed:
                yield from buckets.values()
                buckets.clear()
            epoch += 1

    def _read(self, places: list[tuple[int, int]], draws: dict | None) -> Batch:
        height, width = self.storage.shape(places[0][1])
        image = np.empty((len(places), height, width, 3), np.uint8)
        mask = np.empty((len(places), height, width), np.uint8)
        names, windows = self.storage.table["sample"], self.storage.table["window"]
        for number, (epoch, place) in enumerate(places):
            self.storage.read(place, image[number], mask[number])
            if draws is not None:
                variants = draws[names.iat[place]]
                # The windows of one sample take different variants in one epoch.
                row = variants[(epoch + windows.iat[place]) % len(variants)]
                image[number], mask[number] = apply(row, image[number], mask[number])
        return Batch(image, mask, [names.iat[place] for _, place in places], places[-1][0])


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The permutation of `count` samples in one epoch."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, epoch])).permutation(count)


def prefetched(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, made ahead in a thread; an error there is raised here."""
    cv2.setNumThreads(0)  # OpenCV's own pool would take cores from the network
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(next, batches) for _ in range(AHEAD)]
        while True:
            try:
                batch = waiting.pop(0).result()
            except StopIteration:
                return
            waiting.append(pool.submit(next, batches))
            yield batch


def _by_sample(manifest: pd.DataFrame) -> dict[str, list[dict]]:
    ordered = manifest.sort_values(["sample", "variant"])
    return {sample: rows[list(PARAMETERS)].to_dict("records") for sample, rows in ordered.groupby("sample")}
