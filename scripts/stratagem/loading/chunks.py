"""Rows of an HDF5 data set, read past the HDF5 library.

HDF5 lets one call run at a time, whatever file it is about, and what it holds open does not survive a
fork. So the library is asked once where each chunk of a data set lies in its file. From then on rows are
copied, or decoded, straight from the file into buffers of the caller: by any number of threads, each in
its own time, and in a process started in any way.

A file on a local disk is mapped into memory, so that the page cache is read without a copy in between;
one on a networked disk, where a lost server would end a process that reads a map, is read by position.
"""

import mmap
import os
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import h5py
import imagecodecs
import numpy as np
import psutil

__all__ = ["File", "Rows", "is_networked", "open_file"]

# Decoders by HDF5's number of the filter: gzip, and the registered ones of LZ4 and Zstandard.
DECODERS = {1: imagecodecs.zlib_decode, 32004: imagecodecs.lz4h5_decode, 32015: imagecodecs.zstd_decode}
NETWORKED: tuple[str, ...] = ("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse", "glusterfs", "gpfs")
NETWORKED += ("lustre", "nfs", "orangefs", "panfs", "pvfs2", "smb", "wekafs")


class File(Protocol):
    """A file that is open to be read by position.

    Attributes
    ----------
    size : int
        Bytes.
    """

    size: int

    def copy(self, offset: int, into: np.ndarray) -> None:
        """Fill a buffer, uint8 (N,), with the bytes from there on.

        Parameters
        ----------
        offset : int
            Byte of the file, counted from 0.
        into : uint8, (N,)
            Contiguous; is filled.

        Raises
        ------
        EOFError
            If the file has fewer than N bytes from there on.
        """
        ...

    def view(self, offset: int, size: int) -> np.ndarray:
        """So many bytes from there on: uint8 (N,), not to be written to.

        Parameters
        ----------
        offset : int
            Byte of the file, counted from 0.
        size : int
            N, in bytes.

        Returns
        -------
        uint8, (N,)

        Raises
        ------
        EOFError
            If the file has fewer than N bytes from there on.
        """
        ...


def open_file(path: str | Path, read: str) -> File:
    """A file to read from.

    Parameters
    ----------
    path : path
    read : {"auto", "map", "positioned"}
        Mapped into memory, or read by position; auto: mapped unless the file is on a networked disk.

    Returns
    -------
    File
        Stays open for as long as it is referred to.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is to be mapped and is empty.
    """
    if read == "auto":
        mounted = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
        read = "positioned" if is_networked(path, mounted) else "map"
    return _Mapped(path) if read == "map" else _Positioned(path)


def is_networked(path: str | Path, mounted: dict[str, str]) -> bool:
    """Whether a file is on a networked disk, by the kind of file system at each mount point.

    Parameters
    ----------
    path : path
        Links in it are followed.
    mounted : dict of str to str
        By mount point, the kind of its file system, as `psutil.disk_partitions` names it.

    Returns
    -------
    bool
        Decided by the nearest mount point above the file; False where none is known.
    """
    folders = Path(path).resolve().parents
    kind = next((mounted[str(folder)] for folder in folders if str(folder) in mounted), "")
    return kind.lower().startswith(NETWORKED)


class Rows:
    """Where the rows of a data set lie in their file.

    Parameters
    ----------
    dataset : h5py.Dataset
        Uint8 (N, H, ...), in chunks of one row or of a band of one: (1, h, ...).

    Raises
    ------
    ValueError
        If chunks are missing, of another shape, or packed in a way that is not known.

    Attributes
    ----------
    end : int
        The byte after the last one.
    """

    def __init__(self, dataset: h5py.Dataset):
        if dataset.chunks is None or dataset.chunks[0] != 1 or dataset.chunks[2:] != dataset.shape[2:]:
            raise ValueError(f"`{dataset.name}` is not stored in rows, but in chunks of {dataset.chunks}")
        count, height = dataset.shape[:2]
        self._rows_of_a_band = dataset.chunks[1]
        self._band = int(np.prod(dataset.chunks))
        self._bands = -(-height // self._rows_of_a_band)
        self._decode = _decoder(dataset)
        # One entry a chunk. Arrays of the standard library: as small as NumPy's, and quicker to ask for one.
        self._offsets = array("q", [-1]) * (count * self._bands)
        # How many bytes are packed; 0 where they are stored as they are.
        self._packed = array("q", [0]) * (count * self._bands if self._decode else 0)
        self.end = 0
        dataset.id.chunk_iter(self._take)
        if -1 in self._offsets:
            raise ValueError(f"`{dataset.name}` lacks chunks")

    @property
    def nbytes(self) -> int:
        """What is held in memory."""
        return self._offsets.itemsize * (len(self._offsets) + len(self._packed))

    def offsets(self, rows: np.ndarray) -> np.ndarray:
        """The byte at which each of some rows begins: int64 (N,).

        Parameters
        ----------
        rows : int, (N,)
            Their numbers in the data set.

        Returns
        -------
        int64, (N,)
            Counted from the beginning of the file; of a row in several bands, that of the first.
        """
        return np.frombuffer(self._offsets, np.int64)[rows * self._bands]

    def read(self, file: File, row: int, into: np.ndarray) -> None:
        """Fill a buffer, uint8 (bytes of a row,), with one row.

        Parameters
        ----------
        file : File
            The file that the data set lies in.
        row : int
            Its number in the data set.
        into : uint8, (bytes of a row,)
            Contiguous; is filled.

        Raises
        ------
        EOFError
            If the file ends early, or a chunk unpacks to another number of bytes than it should.
        RuntimeError
            If a chunk cannot be unpacked.
        OSError
            If the file is read by position and its disk fails.
        """
        for band in range(self._bands):
            chunk = row * self._bands + band
            part = into[band * self._band : (band + 1) * self._band]
            if self._packed and self._packed[chunk]:
                self._unpack(file.view(self._offsets[chunk], self._packed[chunk]), part)
            else:
                file.copy(self._offsets[chunk], part)

    def _unpack(self, packed: np.ndarray, into: np.ndarray) -> None:
        # The last band of a row is stored with a margin.
        whole = into if into.size == self._band else np.empty(self._band, np.uint8)
        assert self._decode is not None  # else nothing is packed
        unpacked = len(self._decode(packed, out=whole))
        if unpacked != self._band:
            raise EOFError(f"a chunk of {self._band} bytes unpacks to {unpacked}")
        if whole is not into:
            into[:] = whole[: into.size]

    def _take(self, chunk) -> None:
        row, top = chunk.chunk_offset[:2]
        number = row * self._bands + top // self._rows_of_a_band
        self._offsets[number] = chunk.byte_offset
        self.end = max(self.end, chunk.byte_offset + chunk.size)
        if self._decode and not chunk.filter_mask:  # else HDF5 left the filter out
            self._packed[number] = chunk.size


def _decoder(dataset: h5py.Dataset) -> Callable | None:
    """What unpacks the chunks of a data set; None where they are stored as they are."""
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if not filters:
        return None
    if len(filters) > 1 or filters[0] not in DECODERS:
        raise ValueError(f"`{dataset.name}` is packed by filters that are not known: {filters}")
    return DECODERS[filters[0]]


class _Mapped:
    def __init__(self, path: str | Path):
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = np.frombuffer(mapped, np.uint8)
        self.size = self._bytes.size

    def copy(self, offset: int, into: np.ndarray) -> None:
        np.copyto(into, self.view(offset, into.size))

    def view(self, offset: int, size: int) -> np.ndarray:
        if offset + size > self.size:
            raise EOFError("the file ends early")
        return self._bytes[offset : offset + size]


class _Positioned:
    def __init__(self, path: str | Path):
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  # open for as long as it is read
        self.size = os.fstat(self._file.fileno()).st_size

    def copy(self, offset: int, into: np.ndarray) -> None:
        view = into.data
        while len(view):
            count = os.preadv(self._file.fileno(), [view], offset)
            if count == 0:
                raise EOFError("the file ends early")
            view, offset = view[count:], offset + count

    def view(self, offset: int, size: int) -> np.ndarray:
        found = np.empty(size, np.uint8)
        self.copy(offset, found)
        return found
