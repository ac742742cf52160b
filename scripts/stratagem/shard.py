"""Shards: every sample in one plan's frame, in ordinary HDF5 files.

Layout, version 2 (any HDF5 tool opens it):

    /                       attributes: format, version, plan (JSON), classes
    /<H>x<W>/image          uint8 (N, H, W, 3), chunks (1, H, W, 3)
    /<H>x<W>/mask           uint8 (N, H, W),    chunks (1, H, W); 255 = ignore
    /samples                sample, window, group ("<H>x<W>"), row, checksum (CRC-32 of image then mask)

A row is one window of a sample: the whole sample, unless the plan cuts it into tiles. A chunk is one
row (less where that would pass 16 MB: then a band of it), so that a row is contiguous in the file.
Reading goes past the HDF5 library: the offsets of all chunks are taken once, then rows are read by
position into buffers of the caller (no global lock, no copy; fancy indexing through h5py is many times
slower). A reader opens files lazily and works on after a fork. A writer holds one sample at a time.
"""

import contextlib
import hashlib
import json
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from stratagem.errors import ShardError
from stratagem.files import replacing
from stratagem.geometry import Plan, Window
from stratagem.sample import read_sample

__all__ = ["Shards", "catalogue", "member", "write_shard"]

FORMAT = "stratagem-shard"
VERSION = 2
CHUNK_BYTES = 16 * 2**20


def member(sample: str, shards: int) -> int:
    """The number of the shard that holds a sample: a hash, so that new samples move no other."""
    return int.from_bytes(hashlib.blake2b(sample.encode(), digest_size=8).digest(), "big") % shards


def write_shard(path: str, index: pd.DataFrame, plan: Plan, classes: list[str]) -> None:
    """Bring the samples of an index into the plan's frame and write them as one file.

    Parameters
    ----------
    path : path
        Appears whole or not at all.
    index : DataFrame
        Rows of the index that belong to this shard; may be none.
    plan : Plan
    classes : list of str
    """
    windows = {row.sample: plan.windows(row.height, row.width, row.pixel_size) for row in index.itertuples()}
    counts = Counter(window.frame for ones in windows.values() for window in ones)
    with replacing(path) as beside, h5py.File(beside, "w") as file:
        file.attrs.update(format=FORMAT, version=VERSION, plan=json.dumps(plan.as_record()))
        file.attrs["classes"] = classes
        data = {frame: _datasets(file, frame, count) for frame, count in sorted(counts.items())}
        filled = Counter()
        rows = [_write_sample(data, row, windows[row.sample], plan, filled) for row in index.itertuples()]
        _write_samples(file, list(chain(*rows)))


def catalogue(paths: Iterable[str]) -> pd.DataFrame:
    """Where every sample of some shards is: ``sample, window, file, group, row, height, width, checksum``."""
    tables = []
    for path in paths:
        with _open(path) as file:
            samples = file["samples"][:]
        table = pd.DataFrame({name: samples[name] for name in samples.dtype.names})
        for name in ("sample", "group"):
            table[name] = table[name].str.decode("utf-8")
        tables.append(table.assign(file=Path(path).name))
    table = pd.concat(tables, ignore_index=True)
    sides = table["group"].str.split("x", expand=True) if len(table) else pd.DataFrame(columns=[0, 1])
    table = table.assign(height=sides[0].astype(int), width=sides[1].astype(int))
    columns = ["sample", "window", "file", "group", "row", "height", "width", "checksum"]
    return table[columns].sort_values(["sample", "window"])


class Shards:
    """Reads samples of a catalogue by their place in it.

    Parameters
    ----------
    folder : path
        Where the shards stand.
    table : DataFrame
        Rows of `catalogue`, in the order that `read` counts.
    """

    def __init__(self, folder: str | Path, table: pd.DataFrame):
        self.table = table.reset_index(drop=True)
        self._folder = Path(folder)
        self._descriptors: dict[str, int] = {}
        self._places = self._offsets()

    def __len__(self) -> int:
        return len(self.table)

    def shape(self, place: int) -> tuple[int, int]:
        """Height and width of a sample's frame."""
        return int(self.table["height"].iat[place]), int(self.table["width"].iat[place])

    def read(self, place: int, image: np.ndarray, mask: np.ndarray) -> None:
        """Fill contiguous buffers, uint8 (H, W, 3) and (H, W), with one sample."""
        file, image_chunks, mask_chunks = self._places[place]
        for buffer, chunks in ((image, image_chunks), (mask, mask_chunks)):
            view = memoryview(buffer).cast("B")
            start = 0
            for offset, size in chunks:
                size = min(size, len(view) - start)  # the last band may be stored with a margin
                if os.preadv(self._descriptor(file), [view[start : start + size]], offset) < size:
                    raise _damaged(self._folder / file, "a file that ends early")
                start += size

    def verify(self) -> None:
        """Compare every sample with its checksum.

        Raises
        ------
        ShardError
            Naming the first file and sample whose bytes have changed.
        """
        for place, row in enumerate(self.table.itertuples()):
            image = np.empty((row.height, row.width, 3), np.uint8)
            mask = np.empty((row.height, row.width), np.uint8)
            self.read(place, image, mask)
            if _checksum(image, mask) != row.checksum:
                raise _damaged(self._folder / row.file, f"sample `{row.sample}` with another checksum")

    def _descriptor(self, file: str) -> int:
        # Reading by position shares no offset, so a descriptor is as good after a fork.
        if file not in self._descriptors:
            self._descriptors[file] = os.open(self._folder / file, os.O_RDONLY)
        return self._descriptors[file]

    def _offsets(self) -> list[tuple[str, list, list]]:
        chunks: dict[tuple[str, str], dict[int, list]] = {}
        for name, group in self.table[["file", "group"]].drop_duplicates().itertuples(index=False):
            with _open(self._folder / name) as file:
                for kind in ("image", "mask"):
                    chunks[name, f"{group}/{kind}"] = _chunks(file[f"{group}/{kind}"])
        return [
            (row.file, *(chunks[row.file, f"{row.group}/{kind}"][row.row] for kind in ("image", "mask")))
            for row in self.table.itertuples()
        ]


def _group(frame: tuple[int, int]) -> str:
    return f"{frame[0]}x{frame[1]}"


def _datasets(file: h5py.File, frame: tuple[int, int], count: int) -> tuple[h5py.Dataset, h5py.Dataset]:
    """Those of the images and the masks of one frame."""
    shapes = {"image": (count, *frame, 3), "mask": (count, *frame)}
    return tuple(_dataset(file, f"{_group(frame)}/{kind}", shape) for kind, shape in shapes.items())


def _dataset(file: h5py.File, name: str, shape: tuple[int, ...]) -> h5py.Dataset:
    row_bytes = int(np.prod(shape[2:]))
    bands = -(-shape[1] // max(1, CHUNK_BYTES // row_bytes))
    rows = -(-shape[1] // bands)
    return file.create_dataset(name, shape, np.uint8, chunks=(1, rows, *shape[2:]))


def _write_sample(data: dict, row, windows: list[Window], plan: Plan, filled: Counter) -> list[tuple]:
    """Write the windows of one sample behind those that are there; their rows of `/samples`."""
    image, mask = read_sample(row)
    table = []
    for number, window in enumerate(windows):
        pixels, labels = plan.forward(image, window), plan.forward_mask(mask, window)
        place = filled[window.frame]
        for dataset, array in zip(data[window.frame], (pixels, labels), strict=True):
            dataset[place] = array
        filled[window.frame] += 1
        table.append((row.sample, number, _group(window.frame), place, _checksum(pixels, labels)))
    return table


def _write_samples(file: h5py.File, table: list[tuple]) -> None:
    text = h5py.string_dtype("utf-8")
    kind = np.dtype(
        [("sample", text), ("window", "<i8"), ("group", text), ("row", "<i8"), ("checksum", "<u4")]
    )
    file.create_dataset("samples", data=np.array(table, dtype=kind))


def _checksum(image: np.ndarray, mask: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(mask), zlib.crc32(np.ascontiguousarray(image)))


def _chunks(dataset: h5py.Dataset) -> dict[int, list[tuple[int, int]]]:
    """Byte offset and size of the chunks of each row of a data set, in order."""
    found: dict[int, list] = defaultdict(list)
    dataset.id.chunk_iter(
        lambda chunk: found[chunk.chunk_offset[0]].append(
            (chunk.chunk_offset[1], chunk.byte_offset, chunk.size)
        )
    )
    return {row: [(offset, size) for _, offset, size in sorted(bands)] for row, bands in found.items()}


@contextlib.contextmanager
def _open(path: str | Path) -> Iterator[h5py.File]:
    """A shard to read; whatever HDF5 raises on a damaged one becomes one error that names it."""
    try:
        with h5py.File(path, "r") as file:
            kind, version = file.attrs.get("format"), file.attrs.get("version")
            if kind != FORMAT or version != VERSION:
                raise _damaged(path, f"`{kind}` version {version}")
            yield file
    except ShardError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise _damaged(path, f"one that cannot be opened ({error})") from error


def _damaged(path: str | Path, found: str) -> ShardError:
    return ShardError(
        expected=f"a whole {FORMAT} file of version {VERSION}",
        found=found,
        where=str(path),
        remedy="Delete this file and start again: only this shard is made anew.",
    )
