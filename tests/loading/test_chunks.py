"""Rows of a data set are read past the HDF5 library, byte for byte as it reads them."""

import tempfile
from pathlib import Path

import h5py
import hdf5plugin
import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.loading.chunks import Rows, is_networked, open_file

FILTERS = {
    "none": {},
    "lz4": hdf5plugin.LZ4(),
    "zstd": hdf5plugin.Zstd(clevel=3),
    "gzip": {"compression": "gzip"},
}
PACKED = [name for name in FILTERS if name != "none"]
READS = ["map", "positioned"]


def _pixels(shape: tuple[int, ...], values: int) -> np.ndarray:
    """Noise of so many values: the fewer, the better it packs."""
    return np.random.default_rng(0).integers(0, values, shape, dtype=np.uint8)


def _write(path, pixels: np.ndarray, height: int, **options) -> None:
    """A file of one data set, in chunks of so many rows of pixels."""
    with h5py.File(path, "w") as file:
        chunks = (1, height, *pixels.shape[2:])
        file.create_dataset("4x4/image", data=pixels, chunks=chunks, **options)


def _located(path) -> Rows:
    with h5py.File(path) as file:
        return Rows(file["4x4/image"])


def _read(path, rows: Rows, read: str, row: int, size: int) -> np.ndarray:
    """One row, in a buffer that held something else before."""
    found = np.full(size, 0xAA, np.uint8)
    rows.read(open_file(path, read), row, found)
    return found


shapes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 6)).flatmap(
    lambda shape: st.sampled_from([shape, (*shape, 3)])
)


@pytest.mark.parametrize("packed", FILTERS)
@given(shape=shapes, height=st.integers(1, 9), values=st.sampled_from([1, 3, 256]), order=st.randoms())
def test_rows_are_read_as_hdf5_reads_them(packed, shape, height, values, order):
    """Whole rows and bands, the last one with a margin or without, mapped and by position, in any order."""
    pixels = _pixels(shape, values)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.h5"
        _write(path, pixels, min(height, shape[1]), **FILTERS[packed])
        rows, picks = _located(path), list(range(shape[0]))
        order.shuffle(picks)
        with h5py.File(path) as file:
            for row in picks:
                expected = file["4x4/image"][row]
                np.testing.assert_array_equal(expected, pixels[row])
                for read in READS:
                    found = _read(path, rows, read, row, expected.size)
                    np.testing.assert_array_equal(found, expected.ravel())


@pytest.mark.parametrize("height", [2, 3, 5])
@pytest.mark.parametrize("packed", FILTERS)
def test_a_row_begins_where_hdf5_put_it(tmp_path, packed, height):
    """The place of a row is that of its first chunk, and nothing of the data set lies past the end."""
    path = tmp_path / "0.h5"
    _write(path, _pixels((5, 5, 4, 3), 3), height, **FILTERS[packed])
    rows = _located(path)
    with h5py.File(path) as file:
        stored = file["4x4/image"].id
        first = [stored.get_chunk_info_by_coord((row, 0, 0, 0)).byte_offset for row in range(5)]
        chunks = [stored.get_chunk_info(number) for number in range(stored.get_num_chunks())]
    picks = np.array([3, 0, 4, 4])
    assert rows.offsets(picks).tolist() == [first[row] for row in picks]
    assert rows.end == max(chunk.byte_offset + chunk.size for chunk in chunks)
    assert rows.nbytes <= 16 * len(chunks)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("packed", PACKED)
def test_a_chunk_that_was_not_packed_is_read_as_it_is(tmp_path, packed, read):
    """HDF5 may leave a filter out for a chunk: it is read as stored, beside others that are packed."""
    path, pixels = tmp_path / "0.h5", _pixels((3, 5, 4, 3), 3)
    _write(path, pixels, 3, **FILTERS[packed])
    margin = np.zeros((1, 3, 4, 3), np.uint8)
    margin[0, :2] = pixels[1, 3:]
    with h5py.File(path, "r+") as file:
        stored = file["4x4/image"].id
        stored.write_direct_chunk((1, 3, 0, 0), margin.tobytes(), filter_mask=1)
        stored.write_direct_chunk((2, 0, 0, 0), pixels[2, :3].tobytes(), filter_mask=1)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["4x4/image"], pixels)
    rows = _located(path)
    for row in range(3):
        np.testing.assert_array_equal(_read(path, rows, read, row, 60), pixels[row].ravel())


@pytest.mark.parametrize(
    ("options", "filters"),
    [
        ({"compression": "gzip", "shuffle": True}, r"\[2, 1\]"),
        ({"compression": "gzip", "fletcher32": True}, r"\[1, 3\]"),
        ({"fletcher32": True}, r"\[3\]"),
        ({"compression": "lzf"}, r"\[32000\]"),
        (hdf5plugin.Blosc(), r"\[32001\]"),
    ],
)
def test_filters_that_are_not_known_are_refused(tmp_path, options, filters):
    """Rows packed in another way are not read wrongly: the data set is named, and the filters."""
    _write(tmp_path / "0.h5", _pixels((2, 4, 4, 3), 3), 4, **options)
    with pytest.raises(ValueError, match=rf"`/4x4/image`.*filters that are not known.*{filters}"):
        _located(tmp_path / "0.h5")


@pytest.mark.parametrize("packed", FILTERS)
@pytest.mark.parametrize("written", [(slice(0, 1),), (slice(None), slice(0, 2))], ids=["row", "band"])
def test_missing_chunks_are_refused(tmp_path, packed, written):
    """A data set of which a row, or a band of each, was never written is named."""
    with h5py.File(tmp_path / "0.h5", "w") as file:
        made = file.create_dataset(
            "4x4/image", (2, 4, 4, 3), np.uint8, chunks=(1, 2, 4, 3), **FILTERS[packed]
        )
        made[written] = 7
    with pytest.raises(ValueError, match="`/4x4/image` lacks chunks"):
        _located(tmp_path / "0.h5")


@pytest.mark.parametrize("chunks", [None, (2, 4, 4, 3), (1, 4, 2, 3), (1, 4, 4, 1), (1, 2, 2, 3)])
def test_chunks_of_another_form_are_refused(tmp_path, chunks):
    """A data set that is not in rows, as another tool may leave it, is named and not read wrongly."""
    with h5py.File(tmp_path / "0.h5", "w") as file:
        file.create_dataset("4x4/image", data=_pixels((2, 4, 4, 3), 256), chunks=chunks)
    with pytest.raises(ValueError, match="`/4x4/image`"):
        _located(tmp_path / "0.h5")


ENCODERS = {"lz4": imagecodecs.lz4h5_encode, "zstd": imagecodecs.zstd_encode, "gzip": imagecodecs.zlib_encode}


@pytest.mark.parametrize("size", [1, 24, 47])
@pytest.mark.parametrize("packed", PACKED)
def test_a_chunk_of_too_few_bytes_is_refused(tmp_path, packed, size):
    """A chunk that unpacks to less than a band is no row: what the buffer held before is not taken for it."""
    _write(tmp_path / "0.h5", _pixels((1, 4, 4, 3), 3), 4, **FILTERS[packed])
    with h5py.File(tmp_path / "0.h5", "r+") as file:
        file["4x4/image"].id.write_direct_chunk((0, 0, 0, 0), ENCODERS[packed](bytes(size)))
    with pytest.raises((RuntimeError, ValueError, EOFError)):
        _read(tmp_path / "0.h5", _located(tmp_path / "0.h5"), "positioned", 0, 48)


@pytest.mark.parametrize("read", READS)
def test_a_file_says_its_size_and_its_bytes(tmp_path, read):
    """Any part of a file is copied or looked at."""
    path, content = tmp_path / "0", bytes(range(200))
    path.write_bytes(content)
    file = open_file(path, read)
    assert file.size == 200
    for offset, size in ((0, 200), (7, 1), (150, 50), (3, 0)):
        copied = np.empty(size, np.uint8)
        file.copy(offset, copied)
        assert copied.tobytes() == file.view(offset, size).tobytes() == content[offset : offset + size]


def test_a_file_that_ends_early_is_told(tmp_path):
    """Reading by position past the end of a file that shrank is an error, not a row of something else."""
    path = tmp_path / "0"
    path.write_bytes(bytes(100))
    file = open_file(path, "positioned")
    path.write_bytes(bytes(50))
    with pytest.raises(EOFError, match="ends early"):
        file.copy(40, np.empty(20, np.uint8))
    with pytest.raises(EOFError, match="ends early"):
        file.view(90, 5)


MOUNTED = {
    "/": "ext4",
    "/data": "nfs4",
    "/data/scratch": "xfs",
    "/data/scratch/far": "fuse.sshfs",
    "/share": "CIFS",
    "/cluster": "lustre",
    "/windows": "9p",
    "/tmp2": "tmpfs",
    "/root2": "overlay",
}


@pytest.mark.parametrize(
    ("path", "networked"),
    [
        ("/me/shards/0.h5", False),
        ("/data/0.h5", True),
        ("/data/a/b/0.h5", True),
        ("/database/0.h5", False),  # not under /data
        ("/data/scratch/0.h5", False),
        ("/data/scratch/far/0.h5", True),
        ("/data/scratch/far/../0.h5", False),
        ("/share/0.h5", True),
        ("/cluster/me/0.h5", True),
        ("/windows/0.h5", True),
        ("/tmp2/0.h5", False),
        ("/root2/0.h5", False),
    ],
)
def test_a_networked_disk_is_known_by_the_nearest_mount_point(path, networked):
    """Of mount points within one another the innermost tells what kind of disk a file is on."""
    assert is_networked(path, MOUNTED) == networked


def test_a_disk_of_no_kind_is_local():
    """Where the system does not tell, a disk counts as local."""
    assert not is_networked("/data/0.h5", {})


def test_a_link_to_a_networked_disk_is_followed(tmp_path):
    """A folder that is a link is on the disk that it leads to."""
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    mounted = {"/": "ext4", str(tmp_path.resolve() / "far"): "nfs"}
    assert is_networked(tmp_path / "link" / "0.h5", mounted)
    assert not is_networked(tmp_path / "0.h5", mounted)


def test_the_way_to_read_is_chosen(tmp_path):
    """Left to itself, a file is read in one of the two ways."""
    _write(tmp_path / "0.h5", _pixels((2, 4, 4, 3), 256), 4)
    rows = _located(tmp_path / "0.h5")
    expected = _pixels((2, 4, 4, 3), 256)
    np.testing.assert_array_equal(_read(tmp_path / "0.h5", rows, "auto", 1, 48), expected[1].ravel())
