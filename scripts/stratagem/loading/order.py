"""Which samples make which batch: a function of seed and position, and of nothing else.

An epoch shows as many samples as there are. By default it is one permutation of them all. With a window
the samples stand as they lie on disk, files in random order, and each is moved by less than the window:
reads stay near one another, as a spinning or networked disk wants them. With weights a sample is shown
about so many times (systematic resampling: its expected number, rounded up or down), so that a rare class
or size is seen; a sample is then shown up to `showings` times in an epoch.

A batch holds samples of one shape. They wait in a bucket of their shape until it is full; what is left at
the end of an epoch makes smaller batches, is dropped, or, where all have one shape, goes into the first
batch of the next epoch. Nothing is read to find a batch, so going on at any of them costs nothing.

Random numbers are those of Philox, keyed by the seed and counted by the epoch. Systematic resampling:
Kitagawa 1996, Monte Carlo filter and smoother, J. Comput. Graph. Stat. 5:1.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np

from stratagem.core.errors import LoaderError

__all__ = ["Order", "Selection", "balanced_by_class", "balanced_by_size", "mixing"]


@dataclass(frozen=True)
class Selection:
    """What makes one batch.

    Attributes
    ----------
    epoch : int
        Of the last sample.
    places : int64, (B,)
        Of the samples, in their storage.
    showings : int64, (B,)
        How often each was shown before, at most: which synthetic image of it is to be shown.
    """

    epoch: int
    places: np.ndarray
    showings: np.ndarray


@dataclass(frozen=True)
class Order:
    """The batches of a training run, without their pixels.

    Attributes
    ----------
    shapes : int, (N, 2)
        Height and width of every sample.
    batch_size, seed : int
    window : int or None
        How far samples are moved from where they lie; None mixes all with all.
    addresses : int64, (N, 2), or None
        Where each lies, see `storage.Storage.addresses`; with a window only.
    weights : float, (N,), or None
        How often each is shown, relative to the others; None shows each once an epoch.
    last : {"fill", "keep", "drop"}
        What becomes of samples that fill no batch when an epoch ends: they go into the next epoch's first
        batch (where shapes are mixed: as keep), make smaller batches, or are not shown.
    """

    shapes: np.ndarray
    batch_size: int
    seed: int
    window: int | None = None
    addresses: np.ndarray | None = None
    weights: np.ndarray | None = None
    last: str = "fill"

    def selections(self, start: int = 0) -> Iterator[Selection]:
        """The batches without end, from any of them on.

        Parameters
        ----------
        start : int
            Number of the first batch, counted from 0 at the beginning of the run.

        Returns
        -------
        iterator of Selection

        Raises
        ------
        LoaderError
            When the first is asked for, if `last` is ``drop`` and no batch of the first epoch is full.
        """
        return self._carried(start) if self.carries else self._bucketed(start)

    @property
    def carries(self) -> bool:
        """Whether batches run over the ends of epochs, and so are always full.

        Returns
        -------
        bool
            True where `last` is ``fill`` and all samples have one shape.
        """
        return self.last == "fill" and len(np.unique(self.shapes, axis=0)) == 1

    @property
    def showings(self) -> int:
        """How often an epoch shows one sample, at most.

        Returns
        -------
        int
            1 without weights; else the largest expected number of showings, rounded up.
        """
        if self.weights is None:
            return 1
        most = self.weights.max() / self.weights.sum() * len(self.weights)
        return int(np.ceil(round(most, 9)))  # 1.0000000000000002 is one

    def epoch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """One epoch: the place of each sample shown, int64 (N,), and how often it was shown before.

        Parameters
        ----------
        number : int
            Of the epoch, from 0.

        Returns
        -------
        places : int64, (N,)
            In the order in which they are shown; with weights a place may come several times or not at all.
        showings : int64, (N,)
            How often each was shown before, at most: `number` times `Order.showings`, plus how often it came
            earlier in this epoch.
        """
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, number]))
        samples = len(self.shapes)
        if self.weights is None and self.window is None:
            return random.permutation(samples), np.full(samples, number)
        shown = np.arange(samples) if self.weights is None else _resampled(random, self.weights)
        # Equal ones stand side by side: how many of them before?
        again = np.arange(samples) - np.searchsorted(shown, shown)
        mixed = random.permutation(samples) if self.window is None else self._near(random, shown)
        return shown[mixed], number * self.showings + again[mixed]

    def _near(self, random: np.random.Generator, shown: np.ndarray) -> np.ndarray:
        """A permutation that moves each sample by less than the window from where it lies."""
        assert self.addresses is not None and self.window is not None
        files, places = self.addresses[shown].T
        turn = random.permutation(files.max() + 1)
        stand = np.lexsort([places, turn[files]])
        return stand[np.argsort(np.arange(len(shown)) + random.uniform(0, self.window, len(shown)))]

    def _carried(self, start: int) -> Iterator[Selection]:
        samples = len(self.shapes)
        held: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number in count(start):
            begin, end = number * self.batch_size, (number + 1) * self.batch_size
            epochs = range(begin // samples, (end - 1) // samples + 1)
            held = {epoch: held[epoch] if epoch in held else self.epoch(epoch) for epoch in epochs}
            parts = [
                [shown[max(0, begin - epoch * samples) : end - epoch * samples] for shown in held[epoch]]
                for epoch in epochs
            ]
            places, showings = map(np.concatenate, zip(*parts, strict=True))
            yield Selection(epochs[-1], places, showings)

    def _bucketed(self, start: int) -> Iterator[Selection]:
        shape = np.unique(self.shapes, axis=0, return_inverse=True)[1].ravel()
        for epoch in count():
            places, showings = self.epoch(epoch)
            whole, rest = np.divmod(np.bincount(shape[places]), self.batch_size)
            batches = int(whole.sum() + (0 if self.last == "drop" else (rest > 0).sum()))
            if epoch == 0 and batches == 0:
                raise _none_is_full(self.batch_size, rest.max())
            if start < batches:
                yield from islice(self._of_epoch(epoch, shape, places, showings), start, batches)
            start = max(0, start - batches)

    def _of_epoch(self, epoch: int, shape, places, showings) -> Iterator[Selection]:
        """The batches of one epoch, those that are not full at its end."""
        buckets: dict[int, list[int]] = defaultdict(list)
        for number, kind in enumerate(shape[places].tolist()):
            buckets[kind].append(number)
            if len(buckets[kind]) == self.batch_size:
                chosen = buckets.pop(kind)
                yield Selection(epoch, places[chosen], showings[chosen])
        for chosen in buckets.values():
            yield Selection(epoch, places[chosen], showings[chosen])


def _resampled(random: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """As many samples as there are weights, each about in proportion to its own: places, sorted."""
    ends = np.cumsum(weights / weights.sum() * len(weights))
    drawn = np.searchsorted(ends, np.arange(len(weights)) + random.uniform(), side="right")
    return np.minimum(drawn, len(weights) - 1)  # the last end may be rounded down


def _none_is_full(batch_size: int, most: int) -> LoaderError:
    return LoaderError(
        expected=f"{batch_size} samples of one shape, which make a batch",
        found=f"{most} at most",
        where="config key `loader.last`, drop",
        remedy="Lower `batch_size`, or set `last: keep`, which shows smaller batches.",
    )


def balanced_by_class(present: np.ndarray) -> np.ndarray:
    """Weights with which every class is drawn equally often.

    A class is drawn first, then one of the samples that hold it (class-aware sampling: Shen, Lin, Huang
    2016, Relay backpropagation, ECCV). A sample that holds none counts as one of class 0.

    Parameters
    ----------
    present : bool, (N, K)
        Which classes each sample holds; class 0, the background, is looked at only where no other is.

    Returns
    -------
    float, (N,)
        They sum to one.
    """
    present = present.copy()
    present[:, 0] = ~present[:, 1:].any(axis=1)
    held = present[:, present.any(axis=0)]
    return (held / held.sum(axis=0)).sum(axis=1) / held.shape[1]


def balanced_by_size(shapes: np.ndarray) -> np.ndarray:
    """Weights with which every size is drawn equally often: float (N,), they sum to one.

    Sizes are one where their areas round to the same power of two.

    Parameters
    ----------
    shapes : int, (N, 2)
        Height and width in pixels.

    Returns
    -------
    float, (N,)
        Samples of one size share a weight.
    """
    sizes = np.unique(np.round(np.log2(shapes.prod(axis=1, dtype=np.float64))), return_inverse=True)[1]
    return 1 / np.bincount(sizes)[sizes] / (sizes.max() + 1)


def mixing(order: Order, epoch: int = 0) -> float:
    """How well batches mix what lies apart: 1 as a shuffle of all with all, 0 not at all.

    Of batches of one sample, and where there is no whole batch, it is 1: there is nothing to mix.

    Where a sample lies is a number from 0 to 1; the mean of a batch of B varies over batches by 1/12 if it
    holds neighbours alone, and by 1/(12 B) if it is drawn at random.

    Parameters
    ----------
    order : Order
        With `addresses`.
    epoch : int
        The epoch that is looked at, from 0.

    Returns
    -------
    float
        0 to 1.
    """
    places = order.epoch(epoch)[0]
    assert order.addresses is not None
    files, within = order.addresses.T
    lies = np.empty(len(places))
    lies[np.lexsort([within, files])] = np.linspace(0, 1, len(places))
    batches = len(places) // order.batch_size
    if batches == 0 or order.batch_size == 1:
        return 1.0
    means = lies[places][: batches * order.batch_size].reshape(batches, -1).mean(axis=1)
    apart, drawn = 1 / 12, 1 / (12 * order.batch_size)
    return float(np.clip((apart - means.var()) / (apart - drawn), 0, 1))
