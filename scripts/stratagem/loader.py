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

from stratagem.augment import apply, paste
from stratagem.manifest import Manifest, Ring
from stratagem.shard import Shards

__all__ = ["Batch", "Loader", "Memory", "Synthesis", "order", "prefetched"]

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
    rows : list of mapping, or None
        The manifest's rows, where they are still to be applied (on the device).
    """

    image: np.ndarray
    mask: np.ndarray
    samples: list[str]
    epoch: int
    rows: list[dict] | None = None

    def __getitem__(self, part: slice) -> "Batch":
        """A part of the batch."""
        rows = self.rows and self.rows[part]
        return Batch(self.image[part], self.mask[part], self.samples[part], self.epoch, rows)


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
    synthesis : Synthesis or None
        What makes synthetic images of the samples; None shows the originals.
    """

    storage: Storage
    batch_size: int
    seed: int
    synthesis: "Synthesis | None" = None

    def batches(self) -> Iterator[Batch]:
        """Batches without end; who trains stops when the budget is spent."""
        return map(self._read, self._groups())

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

    def _read(self, places: list[tuple[int, int]]) -> Batch:
        height, width = self.storage.shape(places[0][1])
        image = np.empty((len(places), height, width, 3), np.uint8)
        mask = np.empty((len(places), height, width), np.uint8)
        fill = self.synthesis.fill if self.synthesis else self._fill
        rows = [fill(*place, image[number], mask[number]) for number, place in enumerate(places)]
        names = self.storage.table["sample"]
        pending = rows if self.synthesis and self.synthesis.on_device else None
        return Batch(image, mask, [names.iat[place] for _, place in places], places[-1][0], pending)

    def _fill(self, epoch: int, place: int, image: np.ndarray, mask: np.ndarray) -> None:
        self.storage.read(place, image, mask)


class Synthesis:
    """Makes the synthetic images of some samples, as a manifest says.

    Parameters
    ----------
    storage : Shards or Memory
    manifest : Manifest
    exchanged : uint8, (256,), optional
        See `augment.exchange`.
    on_device : bool
        Leave the rows to be applied where the network runs, see `stratagem.augment_batch`.
    """

    def __init__(
        self,
        storage: Storage,
        manifest: Manifest,
        exchanged: np.ndarray | None = None,
        on_device: bool = False,
    ):
        self.on_device = on_device
        self._storage, self._manifest, self._exchanged = storage, manifest, exchanged
        self._samples, self._windows = storage.table["sample"].tolist(), storage.table["window"].tolist()
        self._ring = Ring(self._samples)
        self._places = defaultdict(list)
        for place, sample in enumerate(self._samples):
            self._places[sample].append(place)

    def fill(self, epoch: int, place: int, image: np.ndarray, mask: np.ndarray) -> dict:
        """Fill buffers, uint8 (H, W, 3) and (H, W), with the synthetic image that an epoch shows; its row."""
        # The windows of one sample take different variants in one epoch.
        variant = (epoch + self._windows[place]) % self._manifest.variants
        return self.make(place, variant, image, mask)

    def make(self, place: int, variant: int, image: np.ndarray, mask: np.ndarray) -> dict:
        """Fill buffers with one variant of a sample; its row."""
        row = self._manifest.row(self._samples[place], variant)
        source = (image, mask) if self.on_device else self._buffers(place)
        self._storage.read(place, *source)
        partner = self.partner(row, place) if row["cutmix"] > 0 else None
        if partner is not None:
            other = self._buffers(partner)
            self._storage.read(partner, *other)
            paste(row, *source, *other)
        if not self.on_device:
            apply(row, *source, self._exchanged, (image, mask))
        return row

    def partner(self, row: dict, place: int) -> int | None:
        """The place of the sample that cutmix takes a rectangle from."""
        partner = self._ring.partner(int(row["cutmix_partner"]), self._samples[place])
        if partner is None:
            return None
        windows = self._places[partner]
        return windows[self._windows[place] % len(windows)]

    def _buffers(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        shape = self._storage.shape(place)
        return np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8)


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
