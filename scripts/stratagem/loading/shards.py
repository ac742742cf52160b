"""Shards: every sample in one plan's frame, in ordinary HDF5 files.

Layout, version 3 (any HDF5 tool since 1.10 opens it):

    /                       attributes: format, version, plan (JSON), classes, compression
    /<H>x<W>/image          uint8 (N, H, W, C), chunks (1, H, W, C)
    /<H>x<W>/mask           uint8 (N, H, W),    chunks (1, H, W); 255 = ignore
    /samples                sample, window, group ("<H>x<W>"), row, classes ("0 2": those in the mask),
                            checksum (CRC-32 of image then mask)

A row is one window of a sample: the whole sample, unless the plan cuts it into tiles. A chunk is one
row (less where that would pass 16 MB: then a band of it), stored as it is, or packed by LZ4 or Zstandard.
A writer holds one sample at a time; a reader goes past the HDF5 library, see `stratagem.loading.chunks`.
"""

import contextlib
import hashlib
import json
import logging
import os
import shlex
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stratagem.core.errors import ShardError
from stratagem.core.files import replacing
from stratagem.data.channels import COLOURS, channels_in
from stratagem.data.labels import IGNORE
from stratagem.data.pixels import read_sample
from stratagem.loading.chunks import File, Rows, open_file
from stratagem.resolution.plans import Plan, Window

__all__ = [
    "Shards",
    "catalogue",
    "member",
    "members",
    "read_catalogue",
    "repair",
    "require_whole",
    "write_catalogue",
    "write_shard",
]

log = logging.getLogger("stratagem")

FORMAT = "stratagem-shard"
VERSION = 3
CHUNK_BYTES = 16 * 2**20
PACKED = {"none": {}, "lz4": hdf5plugin.LZ4(), "zstd": hdf5plugin.Zstd(clevel=3)}
LIBRARY = ("v110", "v110")  # of 2016; its index of chunks takes a quarter of the memory
PART = 2**14  # rows of a catalogue that are read at once
REPAIR = "`snakemake --cores 1 repair` (and your --configfile) makes damaged shards anew, and nothing else."
KINDS: dict[str, Any] = dict.fromkeys(["window", "row", "height", "width"], np.int32)
KINDS |= dict.fromkeys(["file", "group", "classes"], "category")
COLUMNS = ["sample", "window", "file", "group", "row", "height", "width", "classes", "checksum"]


def member(sample: str, shards: int) -> int:
    """The number of the shard that holds a sample: a hash, so that new samples move no other.

    Parameters
    ----------
    sample : str
    shards : int
        How many there are.

    Returns
    -------
    int
        0 .. shards - 1.
    """
    return int.from_bytes(hashlib.blake2b(sample.encode(), digest_size=8).digest(), "big") % shards


def members(index: pd.DataFrame, shard: int, shards: int) -> pd.DataFrame:
    """The rows of an index whose samples one shard holds.

    Parameters
    ----------
    index : DataFrame
        A row a sample, with a column ``sample``.
    shard : int
        Its number, from 0.
    shards : int
        How many there are.

    Returns
    -------
    DataFrame
        In the order of the index.
    """
    return index[[member(sample, shards) == shard for sample in index["sample"]]]


def write_shard(
    path: str | Path, index: pd.DataFrame, plan: Plan, classes: list[str], compression: str = "none"
) -> None:
    """Bring the samples of an index into the plan's frame, write them as one file, and read it once.

    Parameters
    ----------
    path : path
        Appears whole, each sample as its checksum says, or not at all.
    index : DataFrame
        Rows of the index that belong to this shard; may be none.
    plan : Plan
    classes : list of str
    compression : {"none", "lz4", "zstd"}

    Raises
    ------
    DataError
        If an image or mask cannot be read, or changed its size since it was indexed.
    GeometryError
        If the plan is `rescale` and the size of an image's pixels is not known.
    ShardError
        If a sample that was written is not read back as its checksum says.
    """
    with replacing(path) as beside:
        with h5py.File(beside, "w", libver=LIBRARY) as file:
            file.attrs.update(format=FORMAT, version=VERSION, plan=json.dumps(plan.as_record()))
            file.attrs.update(classes=classes, compression=compression)
            _write(file, index, plan, PACKED[compression])
        Shards(beside.parent, catalogue([beside])).verify()


def catalogue(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Where every sample of some shards is.

    Parameters
    ----------
    paths : iterable of path
        Of the shards; at least one.

    Returns
    -------
    DataFrame
        ``sample, window, file, group, row, height, width, classes, checksum``, by sample and window.

    Raises
    ------
    ShardError
        If one cannot be read, or is of another format or version.
    """
    tables = []
    for path in paths:
        remedy = f"Remove it (`rm {shlex.quote(str(path))}`) and start again: it is made anew."
        with _open(path, remedy) as file:
            samples = file["samples"][:]
        table = pd.DataFrame({name: samples[name] for name in samples.dtype.names})
        for name in ("sample", "group", "classes"):
            table[name] = table[name].str.decode("utf-8")
        tables.append(table.assign(file=Path(path).name))
    table = pd.concat(tables, ignore_index=True)
    sides = table["group"].str.split("x", expand=True) if len(table) else pd.DataFrame(columns=[0, 1])
    table = table.assign(height=sides[0], width=sides[1]).astype(KINDS)
    return table[COLUMNS].sort_values(["sample", "window"])


def write_catalogue(table: pd.DataFrame, path: str | Path) -> None:
    """A catalogue as Parquet, in parts that are small to read.

    Parameters
    ----------
    table : DataFrame
        As from `catalogue`.
    path : path
        Appears whole or not at all.
    """
    with replacing(path) as beside:
        table.to_parquet(beside, index=False, row_group_size=PART, write_page_checksum=True)


def read_catalogue(path: str | Path) -> pd.DataFrame:
    """What `write_catalogue` wrote, part by part, so that little more is held than what is returned.

    Parameters
    ----------
    path : path

    Returns
    -------
    DataFrame
        As from `catalogue`, rows numbered from 0.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = pa.Table.from_batches(file.iter_batches(PART, use_threads=False), file.schema_arrow)
    return table.unify_dictionaries().to_pandas(self_destruct=True, split_blocks=True)


class Shards:
    """Reads samples of a catalogue by their place in it.

    Any number of threads may read at once; after a fork, or sent to another process, it works on.

    Parameters
    ----------
    folder : path
        Where the shards stand.
    table : DataFrame
        Rows of `catalogue`, in the order that `read` counts.
    read : {"auto", "map", "positioned"}
        See `chunks.open_file`.
    verify : bool
        Compare each sample with its checksum when it is first read.

    Raises
    ------
    ShardError
        If a file of the table cannot be opened, is of another format or version, lacks chunks or ends early.

    Attributes
    ----------
    names : array of str, (N,)
    windows : int32, (N,)
        Which window of its sample each is.
    shapes : int32, (N, 2)
        Height and width of each one's frame.
    channels : int
    """

    def __init__(self, folder: str | Path, table: pd.DataFrame, read: str = "auto", verify: bool = False):
        self.names = table["sample"].array
        self.windows = table["window"].to_numpy(np.int32)
        self.shapes = table[["height", "width"]].to_numpy(np.int32)
        self._folder, self._how = Path(folder), read
        self._rows = table["row"].to_numpy(np.int32)
        self._checksums = table["checksum"].to_numpy(np.uint32)
        self._verify, self._unseen = verify, np.ones(len(table), bool)
        self._classes = pd.Categorical(table["classes"])
        sets = table[["file", "group"]]
        self._sets = list(
            sets.drop_duplicates().sort_values(["file", "group"]).itertuples(index=False, name=None)
        )
        self._set = sets.groupby(["file", "group"], observed=True).ngroup().to_numpy(np.int32)
        self._stored, self.channels = [], COLOURS
        for key in self._sets:
            rows, self.channels = self._locate(*key)
            self._stored.append(rows)
        self._files = self._opened()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """What is held in memory, but for the pages of mapped files."""
        held = (self.windows, self.shapes, self._rows, self._checksums, self._unseen, self._set)
        return sum(part.nbytes for part in (*held, self.names, self._classes, *chain(*self._stored)))

    def addresses(self) -> np.ndarray:
        """Where each sample lies: int64 (N, 2), number of its file and first byte of its image.

        Returns
        -------
        int64, (N, 2)
            Files are numbered from 0, by name; bytes are counted from the beginning of the file.
        """
        files = np.unique([file for file, _ in self._sets], return_inverse=True)[1]
        found = np.empty((len(self), 2), np.int64)
        for number, (images, _) in enumerate(self._stored):
            mine = self._set == number
            found[mine, 0], found[mine, 1] = files[number], images.offsets(self._rows[mine])
        return found

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
        kinds = np.zeros((len(self._classes.categories), classes), bool)
        for number, words in enumerate(self._classes.categories):
            kinds[number, [int(word) for word in words.split()]] = True
        return kinds[self._classes.codes]

    def read(self, places: np.ndarray, image: np.ndarray, mask: np.ndarray, showings=None) -> None:
        """Fill contiguous buffers, uint8 (B, H, W, C) and (B, H, W), with samples of one shape.

        Parameters
        ----------
        places : int64, (B,)
            Of samples whose frames have one shape, (H, W).
        image : uint8, (B, H, W, C)
            Contiguous; is filled.
        mask : uint8, (B, H, W)
            Contiguous; is filled; 255 = ignore.
        showings
            Play no part.

        Raises
        ------
        ShardError
            Naming the file and the sample, if one cannot be read, or is read for the first time, is to be
            verified and has another checksum.
        """
        images, masks = image.reshape(len(places), -1), mask.reshape(len(places), -1)
        sets, rows = self._set[places].tolist(), self._rows[places].tolist()
        for number, (file, row) in enumerate(zip(sets, rows, strict=True)):
            opened, (image_rows, mask_rows) = self._files[file], self._stored[file]
            try:
                image_rows.read(opened, row, images[number])
                mask_rows.read(opened, row, masks[number])
            except (EOFError, OSError, RuntimeError) as error:  # what the decoders raise is a RuntimeError
                raise self._damaged(places[number], f"one that cannot be read ({error})") from error
            if self._verify:
                self._require_checksum(places[number], images[number], masks[number])

    def damaged(self) -> Iterator[tuple[str, ShardError]]:
        """Each sample that cannot be read or has another checksum, with an error that names its file and it.

        Yields
        ------
        sample : str
        error : ShardError
            By place; every sample is read again, one at a time.
        """
        self._unseen[:] = True
        for place in range(len(self)):
            try:
                self._check(place)
            except ShardError as error:
                yield str(self.names[place]), error

    def verify(self) -> None:
        """Compare every sample with its checksum.

        Raises
        ------
        ShardError
            Naming the first file and sample whose bytes have changed.
        """
        for _, error in self.damaged():
            raise error

    def _locate(self, name: str, group: str) -> tuple[tuple[Rows, Rows], int]:
        """Where the images and the masks of one frame lie in one file, and the images' channels."""
        path = self._folder / name
        with _open(path) as file:
            images = file[f"{group}/image"]
            found, channels = (Rows(images), Rows(file[f"{group}/mask"])), images.shape[3]
        if max(rows.end for rows in found) > path.stat().st_size:
            raise _damaged(path, "a file that ends early")
        return found, channels

    def _opened(self) -> list[File]:
        """The file of each set, every file opened once."""
        names = {name for name, _ in self._sets}
        files = {name: open_file(self._folder / name, self._how) for name in names}
        return [files[name] for name, _ in self._sets]

    def _check(self, place: int) -> None:
        height, width = self.shapes[place].tolist()
        image = np.empty((1, height, width, self.channels), np.uint8)
        mask = np.empty((1, height, width), np.uint8)
        self.read(np.array([place]), image, mask)
        self._require_checksum(place, image, mask)

    def _require_checksum(self, place: int, image: np.ndarray, mask: np.ndarray) -> None:
        """Once for each sample."""
        if self._unseen[place] and _checksum(image, mask) != self._checksums[place]:
            raise self._damaged(place, "one with another checksum")
        self._unseen[place] = False

    def _damaged(self, place: int, found: str) -> ShardError:
        path = self._folder / self._sets[self._set[place]][0]
        return _damaged(path, f"sample `{self.names[place]}`: {found}")


def require_whole(catalogues: Iterable[str]) -> None:
    """Compare every sample of some catalogues' shards with its checksum; the log has each that is damaged.

    Parameters
    ----------
    catalogues : iterable of path
        Each beside its shards.

    Raises
    ------
    ShardError
        Naming every damaged file.
    """
    damaged: dict[Path, str] = {}
    for path in map(Path, catalogues):
        for name, rows in read_catalogue(path).groupby("file", observed=True):
            errors = _errors(path.parent, rows)
            log.info("%s: %d samples, %d damaged", path.with_name(name), len(rows), len(errors))
            for _, error in errors:
                log.info("%s", error)
            if errors:
                damaged[path.with_name(name)] = errors[0][1].found
    if damaged:
        raise ShardError(
            expected="every sample as its checksum says",
            found=f"{len(damaged)} damaged shards, the first with {next(iter(damaged.values()))}",
            where=", ".join(map(str, damaged)),
            remedy=REPAIR,
        )


def repair(
    path: str | Path, index: pd.DataFrame, plan: Plan, classes: list[str], shards: int, compression: str
) -> set[str]:
    """Make those shards of a catalogue anew that are damaged or not packed as asked; the log has each.

    They hold what they held, so they are given the time of the catalogue: nothing made from them is older.

    Parameters
    ----------
    path : path
        Of the catalogue, beside its shards.
    index, plan, classes, compression
        As for `write_shard`; the index is that of all samples.
    shards : int
        Into how many files they are divided.

    Returns
    -------
    set of str
        The samples that were damaged. None of a file that cannot be opened: nobody can have read it.

    Raises
    ------
    DataError
        If an image or mask cannot be read any more, or changed its size.
    ShardError
        If one would not hold what the catalogue says; the one that was there is left as it is.
    """
    table, time = read_catalogue(path), Path(path).stat().st_mtime_ns
    damaged: set[str] = set()
    for number in range(shards):
        shard = Path(path).with_name(f"{number}.h5")
        rows = table[table["file"] == shard.name]
        errors = _errors(shard.parent, rows)
        damaged |= {sample for sample, _ in errors if sample is not None}
        found = errors[0][1].found if errors else _packed_otherwise(shard, compression)
        if found is None:
            continue
        log.info("%s: %s, made anew", shard, found)
        with replacing(shard) as beside:
            write_shard(beside, members(index, number, shards), plan, classes, compression)
            _require_same(shard, beside, rows)
            os.utime(beside, ns=(time, time))
    return damaged


def _require_same(path: Path, beside: Path, rows: pd.DataFrame) -> None:
    """Stop where what was made for a path differs from what its catalogue lists."""
    made = catalogue([beside]).assign(file=path.name)
    if not made.reset_index(drop=True).astype(str).equals(rows.reset_index(drop=True).astype(str)):
        raise ShardError(
            expected="the samples that the runs were trained on",
            found="others: images, or the libraries that read and resample them, have changed since",
            where=str(path),
            remedy="`snakemake --forcerun shard` makes all shards anew, and trains on them.",
        )


def _packed_otherwise(path: Path, compression: str) -> str | None:
    """How a shard is packed, where that is not as asked."""
    try:
        with _open(path) as file:
            packed = file.attrs["compression"]
    except ShardError as error:  # one without samples, which nothing opened before
        return error.found
    return None if packed == compression else f"packed as {packed}, not {compression}"


def _errors(folder: Path, rows: pd.DataFrame) -> list[tuple[str | None, ShardError]]:
    """What is wrong with the samples of one file; with the file itself where it names no sample."""
    try:
        return list(Shards(folder, rows).damaged())
    except ShardError as error:  # the file cannot be opened at all
        return [(None, error)]


def _write(file: h5py.File, index: pd.DataFrame, plan: Plan, packed: dict) -> None:
    """The data sets of all samples, and their table."""
    windows = {row.sample: plan.stored(row.height, row.width, row.pixel_size) for row in index.itertuples()}
    counts = Counter(window.frame for ones in windows.values() for window in ones)
    data = {
        frame: _datasets(file, (count, *frame), channels_in(index), packed)
        for frame, count in sorted(counts.items())
    }
    filled: Counter[tuple[int, int]] = Counter()
    rows = [_write_sample(data, row, windows[row.sample], plan, filled) for row in index.itertuples()]
    _write_samples(file, list(chain(*rows)))


def _group(frame: tuple[int, int]) -> str:
    return f"{frame[0]}x{frame[1]}"


def _datasets(
    file: h5py.File, shape: tuple[int, int, int], channels: int, packed: dict
) -> tuple[h5py.Dataset, ...]:
    """Those of the images and the masks of one frame: how many, height and width."""
    shapes = {"image": (*shape, channels), "mask": shape}
    return tuple(_dataset(file, f"{_group(shape[1:])}/{kind}", own, packed) for kind, own in shapes.items())


def _dataset(file: h5py.File, name: str, shape: tuple[int, ...], packed: dict) -> h5py.Dataset:
    row_bytes = int(np.prod(shape[2:]))
    bands = -(-shape[1] // max(1, CHUNK_BYTES // row_bytes))
    rows = -(-shape[1] // bands)
    return file.create_dataset(name, shape, np.uint8, chunks=(1, rows, *shape[2:]), **packed)


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
        found = " ".join(str(label) for label in np.unique(labels) if label != IGNORE)
        table.append((row.sample, number, _group(window.frame), place, found, _checksum(pixels, labels)))
    return table


def _write_samples(file: h5py.File, table: list[tuple]) -> None:
    text = h5py.string_dtype("utf-8")
    columns = [("sample", text), ("window", "<i8"), ("group", text), ("row", "<i8"), ("classes", text)]
    kind = np.dtype([*columns, ("checksum", "<u4")])
    file.create_dataset("samples", data=np.array(table, dtype=kind))


def _checksum(image: np.ndarray, mask: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(mask).data, zlib.crc32(np.ascontiguousarray(image).data))


@contextlib.contextmanager
def _open(path: str | Path, remedy: str = REPAIR) -> Iterator[h5py.File]:
    """A shard to read; whatever HDF5 raises on a damaged one becomes one error that names it."""
    try:
        with h5py.File(path, "r") as file:
            kind, version = file.attrs.get("format"), file.attrs.get("version")
            if kind != FORMAT or version != VERSION:
                raise _damaged(path, f"`{kind}` version {version}", remedy)
            yield file
    except ShardError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise _damaged(path, f"one that cannot be opened ({error})", remedy) from error


def _damaged(path: str | Path, found: str, remedy: str = REPAIR) -> ShardError:
    return ShardError(
        expected=f"a whole {FORMAT} file of version {VERSION}",
        found=found,
        where=str(path),
        remedy=remedy,
    )
