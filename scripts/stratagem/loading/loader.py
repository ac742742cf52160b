"""From storage and manifest to batches: threads that fill buffers which are kept.

`stratagem.loading.order` says which samples make which batch; here they are read, made synthetic where a
manifest says so, and handed over in order. Each worker fills a whole batch. There are as many buffers as
batches in the making and one that is in use, made once and filled again and again: memory is set by their
number and size, not by that of the samples, and is bounded. No batch depends on how many workers there are.

A worker that fails stops the loader at once, with its own error and the sample.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from queue import SimpleQueue

import cv2
import numpy as np

from stratagem.core.errors import LoaderError
from stratagem.loading.order import Order, Selection
from stratagem.loading.storage import Storage, sample_bytes
from stratagem.loading.synthesis import Synthesis

__all__ = ["Batch", "Loader"]

AHEAD = 2  # buffers beside one a worker: one that is in use, one that waits to be
MB = 2**20


@dataclass(frozen=True)
class Batch:
    """One batch; its arrays may be overwritten when the next is asked for.

    Attributes
    ----------
    image : uint8, (B, H, W, C)
    mask : uint8, (B, H, W)
        255 = ignore.
    names : array of str, (N,)
        Of all samples there are.
    places : int64, (B,)
        Of the batch's among them.
    epoch : int
        Of the last image.
    rows : list of mapping, or None
        The manifest's rows, where they are still to be applied (on the device).
    making_s, reading_s : float
        Seconds that a worker took to make it, and those of them that reading took.
    """

    image: np.ndarray
    mask: np.ndarray
    names: np.ndarray
    places: np.ndarray
    epoch: int
    rows: list[dict] | None = None
    making_s: float = 0.0
    reading_s: float = 0.0

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, part: slice) -> "Batch":
        """A part of the batch."""
        rows = self.rows and self.rows[part]
        return Batch(self.image[part], self.mask[part], self.names, self.places[part], self.epoch, rows)

    @property
    def samples(self) -> list[str]:
        """Their names.

        Returns
        -------
        list of str, (B,)
            Several windows of one sample have one name.
        """
        return self.names.take(self.places).tolist()


@dataclass(frozen=True)
class Loader:
    """Batches of a training run.

    Attributes
    ----------
    storage : Storage
    order : Order
    synthesis : Synthesis or None
        What makes synthetic images of the samples; None shows the originals.
    workers : int
        Threads that fill batches ahead; with 0 each is filled when it is asked for.
    memory_mb : int
        What storage and buffers may hold: fewer batches are made ahead where it is little.
    allocate : function
        Given a number of bytes, a buffer of so many: uint8 (N,).
    """

    storage: Storage
    order: Order
    synthesis: "Synthesis | None" = None
    workers: int = 1
    memory_mb: int = 1024
    allocate: Callable[[int], np.ndarray] = functools.partial(np.empty, dtype=np.uint8)

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """Batches without end, from any of them on; who trains stops when the budget is spent.

        Parameters
        ----------
        start : int
            Number of the first batch, counted from 0 at the beginning of the run.

        Returns
        -------
        iterator of Batch
            Threads end when the iterator is closed.

        Raises
        ------
        LoaderError
            If the memory allowed does not hold the batches, or a batch cannot be made; also where those that
            are not full are dropped and none is full.
        ShardError
            If a sample's shard is damaged.
        DataError
            If a file of the user's own cannot be read, or changed its size since it was indexed.
        """
        cv2.setNumThreads(0)  # OpenCV's own pool would take cores from the network
        rooms = [self.allocate(self._largest) for _ in range(self.ahead)]
        selections = self.order.selections(start)
        if self.workers == 0:
            return (self._fill(selection, rooms[0]) for selection in selections)
        return self._ahead(selections, rooms)

    @property
    def ahead(self) -> int:
        """How many buffers there are: one in use, the others in the making.

        Returns
        -------
        int
            `workers` + 2 where the memory allows it, never fewer than 2; 1 without workers.

        Raises
        ------
        LoaderError
            If `memory_mb` does not hold the storage and the fewest buffers there may be.
        """
        least, wanted = (2, self.workers + AHEAD) if self.workers else (1, 1)
        room = int(self.memory_mb * MB - self.storage.nbytes) // self._largest
        if room < least:
            need = self.storage.nbytes + least * self._largest
            raise LoaderError(
                expected=f"no more than {self.memory_mb} MB for samples and batches",
                found=f"{-(-need // MB)} MB, {least} batches of {self._largest / MB:.3g} MB among it",
                where="config key `loader.memory_mb`",
                remedy="Raise it, or lower the strategy's `loader.batch_size`.",
            )
        return min(wanted, room)

    @property
    def held_mb(self) -> float:
        """What storage and buffers hold.

        Returns
        -------
        float
            In MB of 2**20 bytes.

        Raises
        ------
        LoaderError
            As `ahead`.
        """
        return (self.storage.nbytes + self.ahead * self._largest) / MB

    @functools.cached_property
    def _largest(self) -> int:
        """Bytes of the largest batch that may come."""
        shapes, first, counts = np.unique(self.storage.shapes, axis=0, return_index=True, return_counts=True)
        if self.order.carries or self.order.weights is not None:  # a sample may be in a batch twice
            counts[:] = self.order.batch_size
        one = sample_bytes(self.storage)[first]
        return int((one * counts.clip(max=self.order.batch_size)).max())

    def _ahead(self, selections: Iterator[Selection], rooms: list[np.ndarray]) -> Iterator[Batch]:
        """The batches in order, made by threads; a buffer is filled again once its batch was used."""
        crew = _Crew(self._fill)
        buffers: list[tuple[np.ndarray, SimpleQueue]] = [(room, SimpleQueue()) for room in rooms]
        threads = [threading.Thread(target=crew.work, daemon=True) for _ in range(self.workers)]
        for thread in threads:
            thread.start()
        try:
            for buffer in buffers:
                crew.tasks.put((next(selections), *buffer))
            for buffer, selection in zip(cycle(buffers), selections, strict=False):
                yield crew.taken(buffer[1])
                crew.tasks.put((selection, *buffer))
        finally:
            crew.ended.set()
            for _ in threads:
                crew.tasks.put(None)
            for thread in threads:
                thread.join()

    def _fill(self, selection: Selection, buffer: np.ndarray) -> Batch:
        """Make one batch in a buffer."""
        start = time.perf_counter()
        count, (height, width) = len(selection.places), self.storage.shapes[selection.places[0]].tolist()
        pixels, channels = count * height * width, self.storage.channels
        image = buffer[: channels * pixels].reshape(count, height, width, channels)
        mask = buffer[channels * pixels : (channels + 1) * pixels].reshape(count, height, width)
        rows = None
        if self.synthesis is None:
            self.storage.read(selection.places, image, mask, selection.showings)
            reading_s = time.perf_counter() - start
        else:
            rows, reading_s = self.synthesis.fill(selection, image, mask)
        making_s = time.perf_counter() - start
        names, places = self.storage.names, selection.places
        return Batch(image, mask, names, places, selection.epoch, rows, making_s, reading_s)


class _Crew:
    """What the workers of one loader share: tasks, the first error, whether all is over.

    Queues of the standard library's C code hand a batch over in half the time that futures take, which
    counts where steps are short.
    """

    def __init__(self, fill: Callable[[Selection, np.ndarray], Batch]):
        self.tasks: SimpleQueue = SimpleQueue()
        self.ended = threading.Event()
        self._fill = fill
        self._errors: list[BaseException] = []

    def work(self) -> None:
        """Fill buffers until there is nothing more to do."""
        while (task := self.tasks.get()) is not None:
            selection, room, made = task
            try:
                made.put(None if self.ended.is_set() else self._fill(selection, room))
            except BaseException as error:
                self._errors.append(error)
                self.ended.set()
                made.put(None)

    def taken(self, made: SimpleQueue) -> Batch:
        """The batch of a buffer; or the error of any worker, as soon as there is one."""
        batch = made.get()
        if self._errors:
            raise self._errors[0]
        return batch
