"""Shards hold what the plan made of every sample, in files that any HDF5 tool opens."""

import json
import logging
import multiprocessing
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import h5py
import hdf5plugin
import imagecodecs
import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image

from folders import flip_a_value
from stratagem.core.errors import DataError, ShardError
from stratagem.data.index import Wanted, build_index
from stratagem.data.labels import IGNORE
from stratagem.data.pairing import find
from stratagem.loading.shards import (
    CHUNK_BYTES,
    PACKED,
    Shards,
    catalogue,
    member,
    members,
    read_catalogue,
    repair,
    require_whole,
    write_catalogue,
    write_shard,
)
from stratagem.loading.storage import Files, Memory, sample_bytes
from stratagem.resolution.plans import Plan, fit_plan

NAMES = ["background", "cell", "nucleus"]
NATIVE = Plan("native", 4)


def _index(images, masks, classes=NAMES, encoding="indices"):
    found = find(str(images), str(masks), "{stem}", None)
    return build_index(found, Wanted(classes, {"encoding": encoding})).table


@pytest.fixture
def index(dataset):
    """The index of the tiny data set; every pixel is one unit wide."""
    return _index(*dataset).assign(pixel_size=1.0)


@pytest.fixture
def path(tmp_path, index):
    """One shard that holds the tiny data set, each image at its own size."""
    path = tmp_path / "shards" / "0.h5"
    write_shard(path, index, NATIVE, NAMES)
    return path


def _read(shards: Shards, place: int) -> tuple[np.ndarray, np.ndarray]:
    """One sample, in buffers that held something else before."""
    height, width = shards.shapes[place]
    image = np.full((1, height, width, 3), 0xAA, np.uint8)
    mask = np.full((1, height, width), 0xAA, np.uint8)
    shards.read(np.array([place]), image, mask)
    return image[0], mask[0]


def _flip(path, offset: int) -> None:
    """One bit, where it is."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def _chunk(path, name: str, row: int):
    """Where HDF5 has a row of a data set: its first byte and how many there are."""
    with h5py.File(path) as file:
        found = file[name].id.get_chunk_info(row)
    return found.byte_offset, found.size


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        ("native", {}),
        ("pad", {}),
        ("resize", {}),
        ("resize", {"size": (6, 9)}),
        ("letterbox", {"size": (9, 6), "fill": "reflect"}),
        ("bucket", {"buckets": 2}),
        ("tile", {"size": (4, 6), "overlap": 0.5}),
        ("rescale", {"pixel_size": 2.0, "mask": "area"}),
    ],
)
def test_every_plan_comes_back(tmp_path, index, plan, options):
    """What is read is what the plan made of the files, window by window, over several shards."""
    sizes = index[["height", "width"]].to_numpy()
    plan = fit_plan(plan, sizes, 4, pixel_sizes=index["pixel_size"].to_numpy(), **options)
    paths = [tmp_path / f"{number}.h5" for number in range(2)]
    for number, path in enumerate(paths):
        write_shard(path, members(index, number, 2), plan, NAMES)
    table = catalogue(paths)
    expected = [
        (row, number, window)
        for row in index.itertuples()
        for number, window in enumerate(plan.windows(row.height, row.width, row.pixel_size))
    ]
    assert list(zip(table["sample"], table["window"], strict=True)) == [
        (row.sample, number) for row, number, _ in expected
    ]
    shards = Shards(tmp_path, table)
    assert len(shards) == len(expected)
    for place, (row, _, window) in enumerate(expected):
        image, mask = _read(shards, place)
        np.testing.assert_array_equal(image, plan.forward(np.array(Image.open(row.image)), window))
        np.testing.assert_array_equal(mask, plan.forward_mask(np.array(Image.open(row.masks[0])), window))
    shards.verify()


def test_a_tile_is_a_row(tmp_path, dataset, index):
    """A sample cut into tiles has a row a tile, which holds that part of it and nothing else."""
    path = tmp_path / "0.h5"
    write_shard(path, index, Plan("tile", 4, ((8, 8),), overlap=0.5), NAMES)
    table = catalogue([path])
    assert table["sample"].tolist() == ["a", "b", "c", "d", "e", "sub/f", "sub/f", "sub/g"]
    assert table["window"].tolist() == [0, 0, 0, 0, 0, 0, 1, 0]
    image, mask = (np.array(Image.open(folder / "sub/f.png")) for folder in dataset)
    with h5py.File(path) as file:
        assert set(file) == {"8x8", "samples"}
        for row, top in zip(table["row"][table["sample"] == "sub/f"], (0, 4), strict=True):
            np.testing.assert_array_equal(file["8x8/image"][row], image[top : top + 8])
            np.testing.assert_array_equal(file["8x8/mask"][row], mask[top : top + 8])


@pytest.fixture
def equals(tmp_path):
    """The index of eight samples of one size, 256 kB each."""
    rng = np.random.default_rng(0)
    for name, shape in (("images", (256, 256, 3)), ("masks", (256, 256))):
        (tmp_path / name).mkdir()
        for number in range(8):
            array = rng.integers(0, 256 if len(shape) > 2 else 3, shape, dtype=np.uint8)
            Image.fromarray(array).save(tmp_path / name / f"{number}.png")
    return _index(tmp_path / "images", tmp_path / "masks")


@pytest.mark.parametrize("plan", [NATIVE, Plan("tile", 4, ((128, 128),), overlap=0.5)], ids=lambda p: p.plan)
def test_one_sample_is_held_at_a_time(tmp_path, equals, plan):
    """Eight samples take no more memory to write than one."""

    def peak(count: int) -> int:
        tracemalloc.start()
        write_shard(tmp_path / "0.h5", equals.iloc[:count], plan, NAMES)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)  # what is loaded and kept at a first use
    one = peak(1)
    assert one > 256 * 256 * 4  # the arrays are seen
    assert peak(8) < one + 256 * 256 * 4 / 4


def test_the_layout_is_as_documented(path, index):
    """h5py opens a shard and finds the documented groups, types, chunks and attributes."""
    with h5py.File(path) as file:
        assert set(file) == {"8x8", "8x4", "12x8", "samples"}
        assert file.attrs["format"] == "stratagem-shard"
        assert file.attrs["version"] == 3
        assert Plan.from_record(json.loads(file.attrs["plan"])) == NATIVE
        assert list(file.attrs["classes"]) == NAMES
        image, mask = file["8x8/image"], file["8x8/mask"]
        assert (image.shape, image.chunks, image.dtype) == ((4, 8, 8, 3), (1, 8, 8, 3), np.uint8)
        assert (mask.shape, mask.chunks, mask.dtype) == ((4, 8, 8), (1, 8, 8), np.uint8)
        samples = file["samples"][:]
        assert samples.dtype.names == ("sample", "window", "group", "row", "classes", "checksum")
        assert sorted(name.decode() for name in samples["sample"]) == index["sample"].tolist()
        assert not samples["window"].any()
        for _, _, group, row, classes, checksum in samples:
            data = file[group.decode()]
            assert classes.decode().split() == [str(n) for n in np.unique(data["mask"][row]) if n != IGNORE]
            crc = zlib.crc32(data["mask"][row].tobytes(), zlib.crc32(data["image"][row].tobytes()))
            assert crc == checksum


def test_fill_is_ignored(path, index):
    """What the plan fills up is ignore in the stored mask."""
    mask = _read(Shards(path.parent, catalogue([path])), 0)[1]
    assert (mask == IGNORE).sum() == 64 - 5 * 7 + 1  # and the one pixel that the mask ignores


def test_binary_masks_are_stored_as_classes(tmp_path):
    """Masks of 0 and 255 are stored as classes 0 and 1."""
    for name, array in (("images", np.zeros((4, 4, 3))), ("masks", np.eye(4) * 255)):
        (tmp_path / name).mkdir()
        Image.fromarray(array.astype(np.uint8)).save(tmp_path / name / "a.png")
    index = _index(tmp_path / "images", tmp_path / "masks", NAMES[:2], "auto")
    write_shard(tmp_path / "0.h5", index, NATIVE, NAMES[:2])
    np.testing.assert_array_equal(_read(Shards(tmp_path, catalogue([tmp_path / "0.h5"])), 0)[1], np.eye(4))


def test_a_catalogue_says_where_everything_is(path):
    """The catalogue holds each sample's windows, with file, group, row and frame."""
    table = catalogue([path])
    columns = ["sample", "window", "file", "group", "row", "height", "width", "classes", "checksum"]
    assert table.columns.tolist() == columns
    row = table.set_index("sample").loc["sub/g"]
    assert row[columns[1:-1]].tolist() == [0, "0.h5", "8x8", 3, 8, 8, "0 1 2"]


def test_a_selection_is_read_in_its_own_order(path):
    """Reading part of a catalogue counts places in that part's order."""
    table = catalogue([path]).set_index("sample")
    few = Shards(path.parent, table.loc[["sub/f", "a"]].reset_index())
    whole = Shards(path.parent, table.reset_index())
    assert few.shapes[0].tolist() == [12, 8]
    assert few.names.tolist() == ["sub/f", "a"]
    np.testing.assert_array_equal(_read(few, 0)[0], _read(whole, 5)[0])
    np.testing.assert_array_equal(_read(few, 1)[0], _read(whole, 0)[0])


def test_a_shard_may_be_empty(tmp_path, index):
    """With more shards than samples some are empty, and nothing minds."""
    for number in range(2):
        write_shard(tmp_path / f"{number}.h5", index.iloc[: 2 * number], NATIVE, NAMES)
    assert catalogue([tmp_path / "0.h5", tmp_path / "1.h5"])["sample"].tolist() == ["a", "b"]
    empty = catalogue([tmp_path / "0.h5"])
    assert len(empty) == 0
    Shards(tmp_path, empty).verify()


def test_names_in_any_script_come_back(tmp_path, index):
    """A sample's name comes back in any script."""
    write_shard(tmp_path / "0.h5", index.iloc[:1].assign(sample="细胞/ä-1"), NATIVE, NAMES)
    assert catalogue([tmp_path / "0.h5"])["sample"].tolist() == ["细胞/ä-1"]


def test_same_input_same_bytes(tmp_path, path, index):
    """A shard made twice is the same file."""
    write_shard(tmp_path / "again.h5", index, NATIVE, NAMES)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


@pytest.fixture
def large(tmp_path):
    """A shard of one sample that is larger than a chunk may be, its image and its mask."""
    ramp = (np.arange(2400 * 2400, dtype=np.uint32) * 2654435761 >> 13).astype(np.uint8).reshape(2400, 2400)
    image, mask = np.dstack([ramp, ramp.T, ramp[::-1]]), ramp % 3
    for name, array in (("images", image), ("masks", mask)):
        (tmp_path / name).mkdir()
        Image.fromarray(array).save(tmp_path / name / "a.bmp")
    index = _index(tmp_path / "images", tmp_path / "masks")
    write_shard(tmp_path / "0.h5", index, NATIVE, NAMES)
    return tmp_path / "0.h5", image, mask


def test_a_large_frame_is_split_into_bands(large):
    """A frame above 16 MB is stored in bands of rows, none above that, and comes back whole."""
    path, image, mask = large
    with h5py.File(path) as file:
        chunks = file["2400x2400/image"].chunks
    assert chunks[1] < 2400
    assert chunks[2:] == (2400, 3)
    assert np.prod(chunks) <= CHUNK_BYTES
    shards = Shards(path.parent, catalogue([path]))
    again = _read(shards, 0)
    assert np.array_equal(again[0], image)
    assert np.array_equal(again[1], mask)
    shards.verify()


def test_bands_waste_no_room(large):
    """A shard of large frames is hardly larger than its pixels."""
    path, image, mask = large
    assert path.stat().st_size < 1.1 * (image.nbytes + mask.nbytes)


@pytest.fixture(params=PACKED)
def packed(request, tmp_path, index):
    """One shard that holds the tiny data set, packed in each way there is."""
    path = tmp_path / "shards" / "0.h5"
    write_shard(path, index, NATIVE, NAMES, request.param)
    return path


@pytest.mark.parametrize("part", [0, 0.5, 0.99], ids=["head", "middle", "tail"])
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_damaged_byte_is_found(packed, kind, part):
    """A single bit that flipped, packed or not, is found, with its file, its sample and what to do."""
    table = catalogue([packed])
    offset, size = _chunk(packed, f"8x4/{kind}", 1)
    _flip(packed, offset + int(part * size))
    for shards in (Shards(packed.parent, table), Shards(packed.parent, table, "positioned")):
        with pytest.raises(ShardError, match=r"0\.h5.*sample `d`: .*anew"):
            shards.verify()
        assert [error.where for _, error in shards.damaged()] == [str(packed)]


def test_every_damaged_sample_is_told(packed):
    """One damaged sample hides no other."""
    table, shards = catalogue([packed]), Shards(packed.parent, catalogue([packed]))
    for sample in ("a", "d", "sub/g"):
        found = table.set_index("sample").loc[sample]
        _flip(packed, sum(_chunk(packed, f"{found['group']}/mask", found["row"])) - 1)
    assert [sample for sample, _ in shards.damaged()] == ["a", "d", "sub/g"]


@pytest.mark.parametrize("read", ["map", "positioned"])
def test_a_sample_is_verified_when_it_is_first_read(path, read):
    """Asked to, a reader finds the damage at the first read of that sample, and of no other."""
    table = catalogue([path])
    checked, trusting = (Shards(path.parent, table, read, verify) for verify in (True, False))
    _flip(path, _chunk(path, "8x4/image", 1)[0] + 5)
    for place in (0, 1, 2, 4, 5, 6):
        _read(checked, place)
    for _ in range(2):  # it does not pass the second time
        with pytest.raises(ShardError, match=r"0\.h5.*sample `d`: one with another checksum"):
            _read(checked, 3)
    _read(trusting, 3)


@pytest.mark.parametrize("channels", [2, 5, 32])
@pytest.mark.parametrize("compression", PACKED)
def test_any_number_of_channels_comes_back(tmp_path, channels, compression):
    """As tifffile reads them, from shards, memory and files; a damaged one is found."""
    images = tmp_path / "many"
    images.mkdir()
    for number, (height, width) in enumerate([(8, 4), (8, 8), (8, 4)]):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, channels), dtype=np.uint8)
        tifffile.imwrite(images / f"{number}.tif", pixels, photometric="minisblack", planarconfig="contig")
        Image.fromarray(pixels[..., 0] % 3).save(images / f"{number}.png")
    found = find(str(images), str(images), "{stem}.png", None, image_name="{stem}.tif")
    index = build_index(found, Wanted(NAMES, {"encoding": "indices"})).table
    write_shard(tmp_path / "0.h5", index, NATIVE, NAMES, compression)
    shards = Shards(tmp_path, catalogue([tmp_path / "0.h5"]), verify=True)
    for storage in (shards, Memory(shards, 10), Files(index, NATIVE)):
        assert storage.channels == channels and sample_bytes(storage).tolist() == [
            32 * (channels + 1),
            64 * (channels + 1),
            32 * (channels + 1),
        ]
        for place in range(3):
            image = np.empty((1, *storage.shapes[place], channels), np.uint8)
            storage.read(np.array([place]), image, np.empty((1, *storage.shapes[place]), np.uint8))
            np.testing.assert_array_equal(image[0], tifffile.imread(images / f"{place}.tif"))


def test_a_catalogue_whose_value_was_flipped_is_not_read(path, tmp_path):
    """A sample would be read from another place, or held against another checksum."""
    write_catalogue(catalogue([path]), tmp_path / "shards.parquet")
    flip_a_value(tmp_path / "shards.parquet", "row")
    with pytest.raises(OSError, match="CRC checksum"):
        read_catalogue(tmp_path / "shards.parquet")


def test_a_sample_is_verified_once(path):
    """What was read whole before is not compared again, until all are."""
    shards = Shards(path.parent, catalogue([path]), verify=True)
    _read(shards, 3)
    _flip(path, _chunk(path, "8x4/image", 1)[0] + 5)
    _read(shards, 3)
    with pytest.raises(ShardError, match="sample `d`"):
        shards.verify()


def test_a_damaged_sample_is_told_amid_a_batch(path):
    """The sample that is damaged is named, not the first one that was asked for with it."""
    shards = Shards(path.parent, catalogue([path]), verify=True)
    _flip(path, _chunk(path, "8x8/image", 2)[0])
    image, mask = np.empty((4, 8, 8, 3), np.uint8), np.empty((4, 8, 8), np.uint8)
    with pytest.raises(ShardError, match="sample `e`"):
        shards.read(np.array([6, 0, 4, 1]), image, mask)


@pytest.mark.parametrize("packing", [name for name in PACKED if name != "none"])
def test_a_sample_that_unpacks_to_too_little_is_found(tmp_path, index, packing):
    """Even where the buffer still holds what would have been right: it was not read."""
    path = tmp_path / "0.h5"
    write_shard(path, index, NATIVE, NAMES, packing)
    image, mask = np.empty((1, 8, 8, 3), np.uint8), np.empty((1, 8, 8), np.uint8)
    Shards(tmp_path, catalogue([path])).read(np.array([0]), image, mask)
    encode = {"lz4": imagecodecs.lz4h5_encode, "zstd": imagecodecs.zstd_encode}[packing]
    with h5py.File(path, "r+") as file:
        file["8x8/mask"].id.write_direct_chunk((0, 0, 0), encode(mask.tobytes()[:-5]))
    shards = Shards(tmp_path, catalogue([path]), verify=True)
    with pytest.raises(ShardError, match=r"0\.h5.*sample `a`.*anew"):
        shards.read(np.array([0]), image, mask)


def _catalogue(folder: Path, index, files: int) -> Path:
    """The catalogue of some shards beside it."""
    for number in range(files):
        write_shard(folder / f"{number}.h5", index.iloc[number::files], NATIVE, NAMES)
    catalogue([folder / f"{number}.h5" for number in range(files)]).to_parquet(folder / "shards.parquet")
    return folder / "shards.parquet"


def test_whole_shards_pass(tmp_path, index, caplog):
    """The log has each file and how many samples it holds."""
    paths = [_catalogue(tmp_path / name, index, 2) for name in ("one", "other")]
    with caplog.at_level(logging.INFO, "stratagem"):
        require_whole(map(str, paths))
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / name / file}: {count} samples, 0 damaged"
        for name in ("one", "other")
        for file, count in (("0.h5", 4), ("1.h5", 3))
    ]


def test_every_damaged_file_is_named_and_no_other(tmp_path, index, caplog):
    """Of several catalogues: one with a flipped bit, one that cannot be opened, one cut, one that is gone."""
    paths = [_catalogue(tmp_path / name, index, 3) for name in ("one", "other")]
    flipped, unreadable = tmp_path / "one" / "1.h5", tmp_path / "one" / "2.h5"
    cut, gone = tmp_path / "other" / "0.h5", tmp_path / "other" / "2.h5"
    for row in range(2):  # b and e
        _flip(flipped, _chunk(flipped, "8x8/image", row)[0])
    unreadable.write_bytes(b"not HDF5")
    cut.write_bytes(cut.read_bytes()[:-100])
    gone.unlink()
    damaged = [str(path) for path in (flipped, unreadable, cut, gone)]
    with caplog.at_level(logging.INFO, "stratagem"), pytest.raises(ShardError) as caught:
        require_whole(map(str, paths))
    assert caught.value.where == ", ".join(damaged)
    assert "4 damaged shards, the first with sample `b`: one with another checksum" in caught.value.found
    assert "snakemake --cores 1 repair" in caught.value.remedy
    assert "1.h5: 2 samples, 2 damaged" in caplog.text
    assert "sample `b`" in caplog.text and "sample `e`" in caplog.text
    assert not any(f"{whole}: expected" in caplog.text for whole in ("one/0.h5", "other/1.h5"))


@pytest.fixture
def divided(tmp_path, index):
    """The catalogue of three shards, made some time after them."""
    paths = [tmp_path / f"{number}.h5" for number in range(3)]
    for number, path in enumerate(paths):
        write_shard(path, members(index, number, 3), NATIVE, NAMES)
    write_catalogue(catalogue(paths), tmp_path / "shards.parquet")
    return tmp_path / "shards.parquet"


def _bytes(path: Path) -> dict[str, bytes]:
    return {shard.name: shard.read_bytes() for shard in path.parent.glob("*.h5")}


def _spoil(how: str, path: Path) -> None:
    """Damage a shard in one of the ways that disks and people know."""
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "other":
        path.write_bytes(b"not HDF5")
    else:
        _flip(path, _chunk(path, "8x8/image", 0)[0])


@pytest.mark.parametrize("how", ["gone", "cut", "other", "flipped"])
def test_a_damaged_shard_is_repaired_and_no_other(divided, index, how, caplog):
    """It holds what it held, is no younger than the catalogue, and the others are not touched."""
    whole = _bytes(divided)
    times = {path.name: path.stat().st_mtime_ns for path in divided.parent.glob("*.h5")}
    _spoil(how, divided.with_name("1.h5"))
    with caplog.at_level(logging.INFO, "stratagem"):
        damaged = repair(divided, index, NATIVE, NAMES, 3, "none")
    assert len(damaged) == (how == "flipped")
    assert _bytes(divided) == whole
    assert caplog.text.count("made anew") == 1 and "1.h5" in caplog.text
    assert divided.with_name("1.h5").stat().st_mtime_ns == divided.stat().st_mtime_ns
    assert all(divided.with_name(name).stat().st_mtime_ns == times[name] for name in ("0.h5", "2.h5"))


@pytest.mark.parametrize("packing", ["lz4", "zstd"])
def test_shards_are_packed_otherwise_in_place(divided, index, packing):
    """All are made anew, once; the catalogue still describes them."""
    repair(divided, index, NATIVE, NAMES, 3, packing)
    packed = _bytes(divided)
    for path in divided.parent.glob("*.h5"):
        with h5py.File(path) as file:
            assert file.attrs["compression"] == packing
    require_whole([str(divided)])
    repair(divided, index, NATIVE, NAMES, 3, packing)
    assert _bytes(divided) == packed


def test_a_shard_that_would_hold_something_else_is_not_replaced(divided, index):
    """An image was edited behind the index: the damaged shard stays, and a sentence says why."""
    first = members(index, 1, 3).iloc[0]
    Image.fromarray(255 - np.array(Image.open(first["image"]))).save(first["image"])
    path = divided.with_name("1.h5")
    _spoil("other", path)
    with pytest.raises(ShardError, match=r"1\.h5.*have changed since|have changed since.*1\.h5"):
        repair(divided, index, NATIVE, NAMES, 3, "none")
    assert path.read_bytes() == b"not HDF5"
    assert not list(divided.parent.glob(".*"))


class Uncertain(Plan):
    """A plan whose pixels are not the bytes that end up in the file."""

    def forward(self, image, window):
        return super().forward(image, window).astype(np.float32)


def test_a_file_is_read_once_before_it_stands(tmp_path, index):
    """Where what was written is not what was to be written, no file appears under its name."""
    with pytest.raises(ShardError, match="sample `a`: one with another checksum"):
        write_shard(tmp_path / "shards" / "0.h5", index, Uncertain(**asdict(NATIVE)), NAMES)
    assert list((tmp_path / "shards").iterdir()) == []


@pytest.mark.parametrize(("key", "value"), [("version", 2), ("format", "other")])
def test_another_version_is_refused(path, key, value):
    """A file of another format or version is refused by name, with what was found."""
    with h5py.File(path, "r+") as file:
        file.attrs[key] = value
    with pytest.raises(ShardError, match=rf"0\.h5: expected .*version 3.*found .*{value}"):
        catalogue([path])


def test_an_ordinary_hdf5_file_is_refused(tmp_path):
    """An HDF5 file of something else is refused by name."""
    h5py.File(tmp_path / "0.h5", "w").close()
    with pytest.raises(ShardError, match=r"0\.h5.*`None` version None"):
        catalogue([tmp_path / "0.h5"])


@pytest.mark.parametrize("length", [0, 7, 2000, -1])
def test_a_truncated_file_is_refused(path, length):
    """A file cut anywhere is refused by name."""
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ShardError, match=r"0\.h5.*cannot be opened.*anew"):
        catalogue([path])


def test_a_missing_file_is_named(tmp_path):
    """A shard that is not there is named."""
    with pytest.raises(ShardError, match=r"0\.h5"):
        catalogue([tmp_path / "0.h5"])


def test_a_file_that_shrinks_while_open_is_named(path):
    """A file cut after it was opened is named when a sample can no longer be read."""
    shards = Shards(path.parent, catalogue([path]), "positioned")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ShardError, match=r"0\.h5.*sample `a`.*ends early"):
        shards.verify()


@pytest.mark.parametrize("read", ["map", "positioned"])
def test_a_file_that_is_replaced_while_open_is_read_to_the_end(path, index, read):
    """A shard made anew beside a reader, or removed, changes nothing of what the reader reads."""
    shards = Shards(path.parent, catalogue([path]), read)
    write_shard(path, index.iloc[:1], NATIVE, NAMES)
    shards.verify()
    path.unlink()
    shards.verify()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"compression": "gzip", "shuffle": True}, "filters that are not known"),
        ({"chunks": (1, 4, 4, 3)}, "8x8/image"),
        ({"chunks": None}, "8x8/image"),
    ],
)
def test_a_shard_that_another_tool_packed_anew_is_named(path, options, found):
    """A file that is still HDF5 but is not stored in rows is refused in a sentence, not read wrongly."""
    with h5py.File(path, "r+") as file:
        pixels, chunks = file["8x8/image"][:], file["8x8/image"].chunks
        del file["8x8/image"]
        file.create_dataset("8x8/image", data=pixels, **{"chunks": chunks} | options)
    with pytest.raises(ShardError, match=rf"0\.h5.*{found}.*anew"):
        Shards(path.parent, catalogue([path]))


def test_a_shard_packed_by_gzip_is_read(path):
    """A file that another tool packed by gzip, row by row, is read as before."""
    with h5py.File(path, "r+") as file:
        pixels = file["8x8/image"][:]
        del file["8x8/image"]
        file.create_dataset("8x8/image", data=pixels, chunks=(1, 8, 8, 3), compression="gzip")
    Shards(path.parent, catalogue([path])).verify()


@pytest.mark.parametrize("name", ["/", "samples", "8x4", "8x4/image"])
def test_a_damaged_description_is_refused(path, name):
    """A file whose description of its own contents is damaged is refused by name, without a traceback."""
    table = catalogue([path])
    with h5py.File(path) as file:
        head = h5py.h5o.get_info(file[name].id).addr
    data = path.read_bytes()
    path.write_bytes(data[:head] + bytes(16) + data[head + 16 :])
    with pytest.raises(ShardError, match=r"0\.h5.*anew"):
        Shards(path.parent, table).verify()
        catalogue([path])


def test_a_failure_leaves_nothing(tmp_path, dataset, index):
    """A mask that became unreadable stops the shard by name, and no file is left behind."""
    (dataset[1] / "d.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"d\.png"):
        write_shard(tmp_path / "shards" / "0.h5", index, NATIVE, NAMES)
    assert list((tmp_path / "shards").iterdir()) == []


def test_an_image_that_changed_since_the_index_is_named(tmp_path, dataset, index):
    """An image that changed its size after it was indexed is named in a sentence."""
    Image.new("RGB", (30, 30)).save(dataset[0] / "d.png")
    with pytest.raises(DataError, match=r"d\.png.*8x4.*30x30"):
        write_shard(tmp_path / "shards" / "0.h5", index, NATIVE, NAMES)


def test_members_do_not_move():
    """Which shard holds a sample depends on its name alone, from version to version."""
    assert [member(sample, 4) for sample in ("a", "b", "sub/f", "é")] == [3, 1, 0, 3]
    assert {member(f"s{number}", 3) for number in range(50)} == {0, 1, 2}


@pytest.fixture
def smooth(tmp_path):
    """The index of four samples that pack well, 64 x 64 and 48 x 64."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(4):
        y, x = np.mgrid[: 64 if number % 2 else 48, :64]
        image, mask = (
            np.dstack([x // 8, y // 8, y // 8 + number]).astype(np.uint8),
            (y // 30).astype(np.uint8),
        )
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    return _index(tmp_path / "images", tmp_path / "masks")


def test_packing_changes_no_byte(tmp_path, smooth):
    """However the samples are packed the same bytes are read, here and by h5py, from smaller files."""
    sizes, read, seen = {}, {}, {}
    known = {"none": [], "lz4": [hdf5plugin.LZ4_ID], "zstd": [hdf5plugin.ZSTD_ID]}
    for name in PACKED:
        path = tmp_path / f"{name}.h5"
        write_shard(path, smooth, NATIVE, NAMES, name)
        sizes[name] = path.stat().st_size
        for how in ("map", "positioned"):
            shards = Shards(tmp_path, catalogue([path]), how)
            assert len(shards) == 4
            read[name, how] = [array.tobytes() for place in range(4) for array in _read(shards, place)]
        with h5py.File(path) as file:
            filters = file["64x64/image"].id.get_create_plist()
            assert [filters.get_filter(number)[0] for number in range(filters.get_nfilters())] == known[name]
            table = catalogue([path])[["group", "row"]].itertuples(index=False)
            seen[name] = [
                file[f"{group}/{kind}"][row].tobytes() for group, row in table for kind in ("image", "mask")
            ]
    assert len(set(map(tuple, [*read.values(), *seen.values()]))) == 1
    assert max(sizes["zstd"], sizes["lz4"]) < sizes["none"] / 2


def test_bands_are_packed_too(large):
    """A frame above 16 MB, packed, comes back whole: each band on its own."""
    path, image, mask = large
    index = _index(path.parent / "images", path.parent / "masks")
    write_shard(path.parent / "packed.h5", index, NATIVE, NAMES, "lz4")
    found = _read(Shards(path.parent, catalogue([path.parent / "packed.h5"])), 0)
    assert np.array_equal(found[0], image)
    assert np.array_equal(found[1], mask)


def test_the_catalogue_has_the_classes_of_every_window(tmp_path):
    """Of each window those in its own mask, without what is ignored; none where all is."""
    masks = np.full((4, 4, 12), 255, np.uint8)
    masks[0, :, :4], masks[0, :2, 8:] = 2, 0
    masks[1] = 1
    masks[2, 3, 5], masks[2, 0, 5] = 0, 2
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for sample, mask in zip("abcd", masks, strict=True):
        Image.fromarray(mask).save(tmp_path / "masks" / f"{sample}.png")
        Image.new("RGB", (12, 4)).save(tmp_path / "images" / f"{sample}.png")
    index = _index(tmp_path / "images", tmp_path / "masks")
    write_shard(tmp_path / "0.h5", index, Plan("tile", 4, ((4, 4),), overlap=0.0), NAMES)
    table = catalogue([tmp_path / "0.h5"])
    expected = ["2", "", "0", "1", "1", "1", "", "0 2", "", "", "", ""]
    assert table["classes"].tolist() == expected
    assert table["window"].tolist() == [0, 1, 2] * 4
    present = Shards(tmp_path, table[::-1]).present(3)
    assert present.dtype == bool
    assert [" ".join(map(str, np.flatnonzero(row))) for row in present] == expected[::-1]


def test_an_address_is_where_a_sample_lies(tmp_path, index):
    """The number of its file and the first byte of its image, whatever the order asked for."""
    for number in range(2):
        write_shard(tmp_path / f"{number}.h5", index.iloc[number::2], NATIVE, NAMES)
    table = catalogue([tmp_path / "0.h5", tmp_path / "1.h5"]).sample(frac=1, random_state=0)
    expected = [
        [int(row.file[0]), _chunk(tmp_path / row.file, f"{row.group}/image", row.row)[0]]
        for row in table.itertuples()
    ]
    assert Shards(tmp_path, table).addresses().tolist() == expected


def test_a_batch_is_read_as_its_samples_are(tmp_path, index):
    """Several samples of one shape, from several files and one of them twice, are what each is alone."""
    for number in range(2):
        write_shard(tmp_path / f"{number}.h5", index.iloc[number::2], NATIVE, NAMES)
    shards = Shards(tmp_path, catalogue([tmp_path / "0.h5", tmp_path / "1.h5"]))
    places = np.array([6, 0, 1, 0, 4])
    image, mask = np.empty((5, 8, 8, 3), np.uint8), np.empty((5, 8, 8), np.uint8)
    shards.read(places, image, mask)
    for number, place in enumerate(places):
        alone = _read(shards, place)
        np.testing.assert_array_equal(image[number], alone[0])
        np.testing.assert_array_equal(mask[number], alone[1])


@pytest.mark.parametrize("read", ["map", "positioned"])
def test_many_threads_read_at_once(packed, read):
    """Eight threads that read samples at random, all at the same time, each get the right bytes."""
    shards = Shards(packed.parent, catalogue([packed]), read, verify=True)
    expected = [[array.tobytes() for array in _read(shards, place)] for place in range(7)]
    together = threading.Barrier(8)

    def reads(seed: int) -> bool:
        together.wait()
        places = np.random.default_rng(seed).integers(0, 7, 100)
        return all([array.tobytes() for array in _read(shards, place)] == expected[place] for place in places)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(reads, range(8)))


@pytest.fixture
def busy(path):
    """Readers in threads, which go on reading until the test is over; the reader that they share."""
    shards, stop = Shards(path.parent, catalogue([path])), threading.Event()

    def reads() -> bool:
        while not stop.is_set():
            shards.verify()
        return True

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(reads) for _ in range(2)]
        yield shards
        stop.set()
        assert all(future.result() for future in running)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_reader_works_in_another_process(busy):
    """While threads read on here, the reader reads the same there."""
    process = multiprocessing.get_context("fork").Process(target=busy.verify)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def test_what_another_process_finds_is_told(path):
    """A sample that is damaged is found there too."""
    shards = Shards(path.parent, catalogue([path]))
    _flip(path, _chunk(path, "8x8/image", 0)[0])
    process = multiprocessing.get_context("fork").Process(target=shards.verify)
    process.start()
    process.join(60)
    assert process.exitcode == 1


def test_a_reader_holds_no_file_twice(tmp_path, index):
    """However many sizes of frame there are, each file is opened once, and closed with its reader."""
    for number in range(2):
        write_shard(tmp_path / f"{number}.h5", index.iloc[number::2], NATIVE, NAMES)
    before = psutil.Process().num_fds()
    shards = Shards(tmp_path, catalogue([tmp_path / "0.h5", tmp_path / "1.h5"]), "positioned")
    assert psutil.Process().num_fds() == before + 2
    del shards
    assert psutil.Process().num_fds() == before
