"""Shards hold what the plan made of every sample, in files that any HDF5 tool opens."""

import json
import multiprocessing
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest
from PIL import Image

from stratagem.errors import DataError, ShardError
from stratagem.geometry import Plan, fit
from stratagem.index import Wanted, build_index
from stratagem.labels import IGNORE
from stratagem.sample import find
from stratagem.shard import CHUNK_BYTES, Shards, catalogue, member, write_shard

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
    height, width = shards.shape(place)
    image, mask = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint8)
    shards.read(place, image, mask)
    return image, mask


def _flip(path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


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
    plan = fit(plan, sizes, 4, pixel_sizes=index["pixel_size"].to_numpy(), **options)
    paths = [tmp_path / f"{number}.h5" for number in range(2)]
    for number, path in enumerate(paths):
        write_shard(path, index[[member(sample, 2) == number for sample in index["sample"]]], plan, NAMES)
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
        assert file.attrs["version"] == 2
        assert Plan.from_record(json.loads(file.attrs["plan"])) == NATIVE
        assert list(file.attrs["classes"]) == NAMES
        image, mask = file["8x8/image"], file["8x8/mask"]
        assert (image.shape, image.chunks, image.dtype) == ((4, 8, 8, 3), (1, 8, 8, 3), np.uint8)
        assert (mask.shape, mask.chunks, mask.dtype) == ((4, 8, 8), (1, 8, 8), np.uint8)
        samples = file["samples"][:]
        assert samples.dtype.names == ("sample", "window", "group", "row", "checksum")
        assert sorted(name.decode() for name in samples["sample"]) == index["sample"].tolist()
        assert not samples["window"].any()
        for _, _, group, row, checksum in samples:
            data = file[group.decode()]
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
    columns = ["sample", "window", "file", "group", "row", "height", "width", "checksum"]
    assert table.columns.tolist() == columns
    row = table.set_index("sample").loc["sub/g"]
    assert row[columns[1:-1]].tolist() == [0, "0.h5", "8x8", 3, 8, 8]


def test_a_selection_is_read_in_its_own_order(path):
    """Reading part of a catalogue counts places in that part's order."""
    table = catalogue([path]).set_index("sample")
    few = Shards(path.parent, table.loc[["sub/f", "a"]].reset_index())
    whole = Shards(path.parent, table.reset_index())
    assert few.shape(0) == (12, 8)
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


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_damaged_byte_is_found(path, kind):
    """A single bit that flipped is found, with its file, its sample and what to do."""
    with h5py.File(path) as file:
        offset = file[f"8x4/{kind}"].id.get_chunk_info(1).byte_offset
    _flip(path, offset + 5)
    with pytest.raises(ShardError, match=r"0\.h5.*sample `d` with another checksum.*Delete this file"):
        Shards(path.parent, catalogue([path])).verify()


@pytest.mark.parametrize(("key", "value"), [("version", 1), ("format", "other")])
def test_another_version_is_refused(path, key, value):
    """A file of another format or version is refused by name, with what was found."""
    with h5py.File(path, "r+") as file:
        file.attrs[key] = value
    with pytest.raises(ShardError, match=rf"0\.h5: expected .*version 2.*found .*{value}"):
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
    with pytest.raises(ShardError, match=r"0\.h5.*cannot be opened.*Delete this file"):
        catalogue([path])


def test_a_missing_file_is_named(tmp_path):
    """A shard that is not there is named."""
    with pytest.raises(ShardError, match=r"0\.h5"):
        catalogue([tmp_path / "0.h5"])


def test_a_file_that_shrinks_while_open_is_named(path):
    """A file cut after it was opened is named when a sample can no longer be read."""
    shards = Shards(path.parent, catalogue([path]))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ShardError, match=r"0\.h5.*ends early"):
        shards.verify()


@pytest.mark.parametrize("name", ["/", "samples", "8x4", "8x4/image"])
def test_a_damaged_description_is_refused(path, name):
    """A file whose description of its own contents is damaged is refused by name, without a traceback."""
    table = catalogue([path])
    with h5py.File(path) as file:
        head = h5py.h5o.get_info(file[name].id).addr
    data = path.read_bytes()
    path.write_bytes(data[:head] + bytes(16) + data[head + 16 :])
    with pytest.raises(ShardError, match=r"0\.h5.*Delete this file"):
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


def test_a_reader_works_after_a_fork(path):
    """A reader that was used before a fork reads the same in the child."""
    shards = Shards(path.parent, catalogue([path]))
    expected = _read(shards, 5)

    def child():
        image, mask = _read(shards, 5)
        assert np.array_equal(image, expected[0])
        assert np.array_equal(mask, expected[1])

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
