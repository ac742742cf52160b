"""Where the loader finds samples beside shards: all in memory, or in the user's own files.

Three kinds of storage give the same bytes and are used alike:

    stratagem.loading.shards.Shards   read on demand, from files larger than memory
    Memory                   read once, then held
    Files                    the user's images, decoded and brought into the plan's frame at each read
"""

import contextlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pandas as pd

from stratagem.core.errors import LoaderError, StratagemError
from stratagem.data.channels import channels_in
from stratagem.data.pixels import read_sample
from stratagem.resolution.plans import Plan

__all__ = [
    "Derived",
    "Files",
    "Labelled",
    "Memory",
    "Storage",
    "buffers",
    "naming",
    "one_sample",
    "sample_bytes",
]

BYTES_OF_A_WINDOW = 300  # of Python's, with its sizes; measured
MB = 2**20


class Storage(Protocol):
    """What the loader reads from.

    Attributes
    ----------
    names : array of str, (N,)
        Each one's sample.
    windows : int32, (N,)
        Which window of its sample each is.
    shapes : int32, (N, 2)
        Height and width of each one's frame.
    channels : int
        C, the same for all.
    nbytes : int
        What it holds in memory.
    """

    names: pd.api.extensions.ExtensionArray
    windows: np.ndarray
    shapes: np.ndarray
    channels: int

    @property
    def nbytes(self) -> int: ...

    def __len__(self) -> int: ...

    def addresses(self) -> np.ndarray:
        """Where each lies: int64 (N, 2), number of its file and place in it.

        Returns
        -------
        int64, (N, 2)
            Places in one file ascend as the samples lie in it.
        """
        ...

    def read(self, places: np.ndarray, image: np.ndarray, mask: np.ndarray, showings: np.ndarray) -> None:
        """Fill contiguous buffers, uint8 (B, H, W, C) and (B, H, W), with some of one shape.

        Parameters
        ----------
        places : int64, (B,)
            Of samples whose frames have one shape, (H, W).
        image : uint8, (B, H, W, C)
            Contiguous; is filled.
        mask : uint8, (B, H, W)
            Contiguous; is filled; 255 = ignore.
        showings : int64, (B,)
            How often each was shown before, for a storage that shows another part of it each time.

        Raises
        ------
        StratagemError
            If a sample cannot be read: a `ShardError`, `DataError` or `LoaderError` that names it.
        """
        ...


class Labelled(Storage, Protocol):
    """A storage that knows the classes of its samples before it reads them: all but `Files`."""

    def present(self, classes: int) -> np.ndarray:
        """Which classes each sample holds: bool (N, classes).

        Parameters
        ----------
        classes : int
            K, background counted.

        Returns
        -------
        bool, (N, K)
            A class of which a sample holds one pixel is held; ignored pixels are of no class.
        """
        ...


class Derived:
    """What a storage made of another one has in common with it: samples, their places and classes.

    Parameters
    ----------
    storage : Labelled
    """

    def __init__(self, storage: Labelled):
        self.names, self.windows, self.channels = storage.names, storage.windows, storage.channels
        self._storage = storage

    def __len__(self) -> int:
        return len(self.names)

    def addresses(self) -> np.ndarray:
        """Where each sample lies, as the other storage says."""
        return self._storage.addresses()

    def present(self, classes: int) -> np.ndarray:
        """Which classes each sample holds: bool (N, classes).

        Parameters
        ----------
        classes : int
            K, background counted.

        Returns
        -------
        bool, (N, K)
            A class of which a sample holds one pixel is held; ignored pixels are of no class.
        """
        return self._storage.present(classes)


class Memory(Derived):
    """All samples of another storage, held in memory.

    Parameters
    ----------
    storage : Labelled
    memory_mb : int
        What it may hold.

    Raises
    ------
    LoaderError
        If it would hold more; nothing is read then.
    StratagemError
        If a sample cannot be read, as from the other storage's `read`.
    """

    def __init__(self, storage: Labelled, memory_mb: int):
        super().__init__(storage)
        self.shapes = storage.shapes
        self.nbytes = int(sample_bytes(storage).sum())
        if self.nbytes > memory_mb * MB:
            raise LoaderError(
                expected=f"samples of no more than {memory_mb} MB, to be held in memory",
                found=f"{len(self)} of {-(-self.nbytes // MB)} MB",
                where="config key `loader.memory_mb`",
                remedy="Raise it, lower the strategy's `loader.fraction`, or let it read `storage: shards`.",
            )
        self._held = [self._copy(place) for place in range(len(self))]

    def read(self, places: np.ndarray, image: np.ndarray, mask: np.ndarray, showings=None) -> None:
        """Fill buffers, uint8 (B, H, W, C) and (B, H, W), with samples of one shape.

        Parameters
        ----------
        places : int64, (B,)
            Of samples whose frames have one shape, (H, W).
        image : uint8, (B, H, W, C)
            It is filled.
        mask : uint8, (B, H, W)
            It is filled; 255 = ignore.
        showings
            Play no part.
        """
        for number, place in enumerate(places.tolist()):
            pixels, labels = self._held[place]
            np.copyto(image[number], pixels)
            np.copyto(mask[number], labels)

    def _copy(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        return one_sample(self._storage, place, 0)


class Files:
    """The user's own images and masks, brought into a plan's frame at each read.

    Parameters
    ----------
    index : DataFrame
        A row a sample.
    plan : Plan

    Raises
    ------
    GeometryError
        If the plan is `rescale` and the size of an image's pixels is not known.
    """

    def __init__(self, index: pd.DataFrame, plan: Plan):
        self._index, self._plan = index, plan
        self.channels = channels_in(index)
        windows = [plan.stored(row.height, row.width, row.pixel_size) for row in index.itertuples()]
        self._rows = np.repeat(np.arange(len(index), dtype=np.int32), [len(ones) for ones in windows])
        self._windows = [window for ones in windows for window in ones]
        self.names = index["sample"].array.take(self._rows)
        self.windows = np.concatenate(
            [np.arange(len(ones), dtype=np.int32) for ones in windows] or [np.empty(0, np.int32)]
        )
        self.shapes = np.array([window.frame for window in self._windows], np.int32).reshape(-1, 2)
        held = [index.memory_usage(deep=True).sum(), BYTES_OF_A_WINDOW * len(self._windows)]
        self.nbytes = int(sum(held))

    def __len__(self) -> int:
        return len(self._windows)

    def addresses(self) -> np.ndarray:
        """One after the other, by name.

        Returns
        -------
        int64, (N, 2)
            The file number is always 0; the place is the window's number among all.
        """
        return np.column_stack([np.zeros(len(self), np.int64), np.arange(len(self))])

    def read(self, places: np.ndarray, image: np.ndarray, mask: np.ndarray, showings=None) -> None:
        """Fill buffers, uint8 (B, H, W, C) and (B, H, W), with windows of samples of one shape.

        Parameters
        ----------
        places : int64, (B,)
            Of samples whose frames have one shape, (H, W).
        image : uint8, (B, H, W, C)
            It is filled.
        mask : uint8, (B, H, W)
            It is filled; 255 = ignore.
        showings
            Play no part.

        Raises
        ------
        DataError
            If a file cannot be read, or changed its size since it was indexed.
        LoaderError
            If anything else goes wrong, see `naming`.
        """
        rows = self._index.iloc[self._rows[places]].itertuples()
        for number, (place, row) in enumerate(zip(places.tolist(), rows, strict=True)):
            window = self._windows[place]
            with naming(row.sample):
                pixels, labels = read_sample(row)
                image[number] = self._plan.forward(pixels, window)
                mask[number] = self._plan.forward_mask(labels, window)


def sample_bytes(storage: Storage) -> np.ndarray:
    """What each sample takes, its mask with it: int64 (N,).

    Parameters
    ----------
    storage : Storage
    """
    return storage.shapes.prod(axis=1, dtype=np.int64) * (storage.channels + 1)


def one_sample(storage: Storage, place: int, showing: int) -> tuple[np.ndarray, np.ndarray]:
    """One sample, in arrays of its own.

    Parameters
    ----------
    storage : Storage
    place : int
    showing : int
        How often it was shown before.

    Returns
    -------
    image, mask : uint8, (H, W, C) and (H, W)

    Raises
    ------
    StratagemError
        As the storage's `read`.
    """
    image, mask = buffers(storage, place)
    storage.read(np.array([place]), image[None], mask[None], np.array([showing]))
    return image, mask


def buffers(storage: Storage, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Arrays that one sample fits into: uint8 (H, W, C) and (H, W), of no content yet.

    Parameters
    ----------
    storage : Storage
    place : int
    """
    height, width = storage.shapes[place].tolist()
    return np.empty((height, width, storage.channels), np.uint8), np.empty((height, width), np.uint8)


@contextlib.contextmanager
def naming(sample: str) -> Iterator[None]:
    """Whatever goes wrong within names the sample that it went wrong with.

    Parameters
    ----------
    sample : str

    Raises
    ------
    LoaderError
        If the block raises anything but a `StratagemError`, which passes; the first error is its cause.
    """
    try:
        yield
    except StratagemError:
        raise  # names it already
    except Exception as error:
        raise LoaderError(
            expected="a training image that can be read and made",
            found=f"{type(error).__name__}: {error}",
            where=f"sample `{sample}`",
            remedy="If its file is at fault, mend it and start again; the log has the whole error.",
        ) from error
