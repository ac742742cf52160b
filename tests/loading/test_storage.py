"""Wherever the samples are kept, the same bytes are read."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.core.errors import DataError, LoaderError, ShardError
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.loading.shards import Shards, catalogue, write_shard
from stratagem.loading.storage import Files, Memory, naming, sample_bytes
from stratagem.resolution.plans import fit_plan

CLASSES = ["a", "b", "c"]
PLANS = {
    "native": {},
    "pad": {},
    "resize": {"size": (6, 9)},
    "letterbox": {"size": (9, 6), "fill": "reflect"},
    "bucket": {"buckets": 2},
    "tile": {"size": (4, 6), "overlap": 0.5},
    "rescale": {"pixel_size": 2.0, "mask": "area"},
}
KINDS = ["shards", "memory", "files"]


@pytest.fixture
def index(dataset):
    """The index of the tiny data set; every pixel is one unit wide."""
    found = find(*map(str, dataset), "{stem}", None)
    return build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table.assign(pixel_size=1.0)


def _plan(index, name: str):
    sizes, pixels = index[["height", "width"]].to_numpy(), index["pixel_size"].to_numpy()
    return fit_plan(name, sizes, 4, pixel_sizes=pixels, **PLANS[name])


@pytest.fixture
def storages(index, tmp_path):
    """Makes the tiny data set by a plan, kept in each way: two files of it, what is in memory, the images."""

    def made(name: str) -> dict:
        plan = _plan(index, name)
        paths = [tmp_path / "shards" / f"{number}.h5" for number in range(2)]
        for number, path in enumerate(paths):
            write_shard(path, index.iloc[number::2], plan, CLASSES)
        shards = Shards(tmp_path / "shards", catalogue(paths))
        return {"shards": shards, "memory": Memory(shards, 1), "files": Files(index, plan)}

    return made


def _read(storage, places) -> tuple[np.ndarray, np.ndarray]:
    """Some samples of one shape, in buffers that held something else before."""
    height, width = storage.shapes[places[0]]
    image = np.full((len(places), height, width, 3), 0xAA, np.uint8)
    mask = np.full((len(places), height, width), 0xAA, np.uint8)
    storage.read(np.array(places), image, mask)
    return image, mask


@pytest.mark.parametrize("plan", PLANS)
def test_each_kind_gives_the_same_bytes(storages, plan):
    """Shards, memory and the images themselves: sample for sample, and many at once, in any order."""
    kept = storages(plan)
    shards = kept["shards"]
    shapes, kinds = np.unique(shards.shapes, axis=0, return_inverse=True)
    for kind in range(len(shapes)):
        places = np.random.default_rng(kind).permutation(np.flatnonzero(kinds.ravel() == kind))
        places = [*places.tolist(), int(places[0])]
        expected = _read(shards, places)
        for name in ("memory", "files"):
            for found, right in zip(_read(kept[name], places), expected, strict=True):
                np.testing.assert_array_equal(found, right, err_msg=name)


@pytest.mark.parametrize("plan", PLANS)
def test_each_kind_tells_the_same(storages, plan):
    """Names, windows and shapes are those of the shards, in their types."""
    kept = storages(plan)
    shards = kept["shards"]
    for storage in kept.values():
        assert len(storage) == len(shards)
        assert storage.names.tolist() == shards.names.tolist()
        for found, expected in ((storage.windows, shards.windows), (storage.shapes, shards.shapes)):
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == np.int32
        assert storage.addresses().shape == (len(shards), 2)
        assert storage.addresses().dtype == np.int64


def test_memory_lies_where_it_was_read(storages):
    """What is in memory has the addresses and the classes of the shards, so that its order is theirs."""
    kept = storages("tile")
    np.testing.assert_array_equal(kept["memory"].addresses(), kept["shards"].addresses())
    np.testing.assert_array_equal(kept["memory"].present(3), kept["shards"].present(3))


def test_files_lie_one_after_the_other(storages):
    """The images themselves are read by name where they are to be read near one another."""
    files = storages("tile")["files"]
    names = files.names[np.lexsort(files.addresses().T[::-1])]
    assert names.tolist() == sorted(files.names)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_may_be_changed(storages, kind):
    """Who writes into a buffer changes nothing of what is kept."""
    storage = storages("resize")[kind]
    image, mask = _read(storage, [2])
    before = image.copy(), mask.copy()
    image[...], mask[...] = 0, 0
    for found, expected in zip(_read(storage, [2]), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_many_threads_read_at_once(storages, kind):
    """Each of eight threads gets the samples it asks for."""
    storage = storages("tile")[kind]
    count = len(storage)
    expected = [[array.tobytes() for array in _read(storage, [place])] for place in range(count)]

    def reads(seed: int) -> bool:
        places = np.random.default_rng(seed).integers(0, count, 20)
        return all(
            [array.tobytes() for array in _read(storage, [place])] == expected[place] for place in places
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(reads, range(8)))


def _without_pixels(index, side: int) -> Files:
    """Seven images that are said to be of that size, and cannot be read."""
    return Files(index.assign(height=side, width=side, image="gone.png"), _plan(index, "native"))


def test_memory_is_refused_before_anything_is_read(index):
    """Samples that do not fit are refused at once, with their number and size, and what to do."""
    with pytest.raises(
        LoaderError,
        match=r"`loader\.memory_mb`: expected samples of no more than 100 MB.*"
        r"found 7 of 107 MB\. Raise it.*`loader\.fraction`.*`storage: shards`",
    ):
        Memory(_without_pixels(index, 2000), 100)
    with pytest.raises(DataError, match=r"gone\.png"):
        Memory(_without_pixels(index, 2000), 107)


@pytest.mark.parametrize("plan", PLANS)
def test_memory_says_what_it_holds(storages, plan):
    """Three bytes a pixel of the image, one of the mask."""
    kept = storages(plan)
    pixels = sum(height * width for height, width in kept["shards"].shapes.tolist())
    assert kept["memory"].nbytes == sample_bytes(kept["memory"]).sum() == 4 * pixels


def test_memory_may_be_filled_to_the_last_byte(tmp_path):
    """One sample of a megabyte fits into a megabyte, with a further pixel it does not."""
    mask = np.zeros((512, 512), np.uint8)
    mask[0, :2] = 1, 2
    for folder, array in (("images", np.zeros((512, 512, 3), np.uint8)), ("masks", mask)):
        (tmp_path / folder).mkdir()
        Image.fromarray(array).save(tmp_path / folder / "a.png")
    found = find(str(tmp_path / "images"), str(tmp_path / "masks"), "{stem}", None)
    index = build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table.assign(pixel_size=1.0)
    plan = _plan(index, "native")
    assert Memory(Files(index, plan), 1).nbytes == 2**20
    with pytest.raises(LoaderError, match="found 1 of 2 MB"):
        Memory(Files(index.assign(width=513), plan), 1)


def test_files_say_what_they_hold(index):
    """The user's own files take their index in memory, and where each window lies: that much is said."""
    many = pd.concat([index] * 200, ignore_index=True)
    many["sample"] = [f"{number:05}" for number in range(len(many))]
    plan, own = _plan(index, "tile"), int(many.memory_usage(deep=True).sum())
    tracemalloc.start()
    files = Files(many, plan)
    held = own + tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(files) > len(many)
    assert held / 2 < files.nbytes < 2 * held


def test_damage_is_told_when_it_is_read_into_memory(storages, tmp_path):
    """A shard that is damaged is named, rather than held."""
    shards = storages("native")["shards"]
    for path in (tmp_path / "shards").glob("*.h5"):
        content = path.read_bytes()
        image, mask = _read(shards, [3])
        path.write_bytes(content.replace(image.tobytes(), bytes(image.nbytes)))
    paths = sorted((tmp_path / "shards").glob("*.h5"))
    with pytest.raises(ShardError, match=r"1\.h5.*sample `d`"):
        Memory(Shards(tmp_path / "shards", catalogue(paths), verify=True), 1)


@pytest.mark.parametrize("folder", [0, 1], ids=["image", "mask"])
@pytest.mark.parametrize("broken", ["gone", "empty", "text", "cut", "larger"])
def test_a_file_that_can_no_longer_be_read_is_named(dataset, index, folder, broken):
    """An image or a mask that vanished, broke or changed its size is named, and the others are read."""
    files, path = Files(index, _plan(index, "native")), dataset[folder] / "sub" / "f.png"
    content = path.read_bytes()
    path.unlink()
    if broken == "larger":
        Image.new("RGB" if folder == 0 else "L", (30, 30)).save(path)
    elif broken != "gone":
        path.write_bytes({"empty": b"", "text": b"text", "cut": content[: len(content) // 2]}[broken])
    with pytest.raises(DataError, match=r"sub/f\.png: expected .* but found .*\. \w.*\."):
        _read(files, [5])
    _read(files, [0, 1])


def test_the_sample_is_named_amid_a_batch(dataset, index):
    """The one that vanished is named, not the first of the batch."""
    (dataset[1] / "b.png").unlink()
    with pytest.raises(DataError, match=r"masks/b\.png"):
        _read(Files(index, _plan(index, "native")), [0, 4, 1, 6])


def test_whatever_goes_wrong_names_the_sample():
    """An error of any kind becomes a sentence with the sample, the cause and what to do."""
    told = r"sample `a/1`.*found ZeroDivisionError: oh\. .*mend it"
    with pytest.raises(LoaderError, match=told) as caught, naming("a/1"):
        raise ZeroDivisionError("oh")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_that_says_all_is_left_as_it_is():
    """What names its file and its cure already comes through, and so does an interrupt."""
    told = DataError(expected="this", found="that", where="a.png", remedy="Do so.")
    with pytest.raises(DataError) as caught, naming("a"):
        raise told
    assert caught.value is told
    with pytest.raises(KeyboardInterrupt), naming("a"):
        raise KeyboardInterrupt


def test_there_may_be_no_files(index):
    """Of no samples nothing is kept, and nothing minds."""
    none = Files(index.iloc[:0], _plan(index, "native"))
    assert len(none) == 0
    assert none.shapes.shape == (0, 2)
    assert len(Memory(none, 1)) == 0
