"""Batches are what order, storage and manifest say, however many threads and processes make them."""

import itertools
import multiprocessing
import threading
import time
import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batches import NINE, PLANS, TURN, Failing, batches_of, equal, hashes_of, loader_of, sample_of
from stratagem.augmentation.manifest import Manifest
from stratagem.core.errors import LoaderError, ShardError
from stratagem.loading.loader import AHEAD, Loader
from stratagem.loading.order import Order
from stratagem.loading.shards import Shards
from stratagem.loading.storage import Files, Memory
from stratagem.loading.synthesis import Synthesis
from stratagem.resolution.plans import fit_plan

MB = 2**20


@pytest.fixture
def at_work():
    """The threads that were started since the test began and have not ended."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


# What a batch holds


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("last", ["fill", "keep", "drop"])
def test_a_batch_holds_the_samples_it_names(storages, plan, last):
    """Each image and mask is that of the sample named at its place, in the order that the order says."""
    storage = storages(plan)
    loader = loader_of(storage, 2, last=last)
    for batch, selection in zip(batches_of(loader, 9), loader.order.selections(), strict=False):
        np.testing.assert_array_equal(batch.places, selection.places)
        assert batch.epoch == selection.epoch
        assert len(batch) == len(batch.samples) == len(batch.image)
        assert batch.samples == [storage.names[place] for place in selection.places]
        assert batch.image.dtype == batch.mask.dtype == np.uint8
        assert batch.image.shape == (*batch.mask.shape, 3)
        for place, image, mask in zip(batch.places, batch.image, batch.mask, strict=True):
            expected = sample_of(storage, place)
            np.testing.assert_array_equal(image, expected[0])
            np.testing.assert_array_equal(mask, expected[1])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 20])
def test_mixed_shapes_show_every_sample_once_an_epoch(storages, batch_size):
    """With mixed shapes each epoch shows each sample once, in batches of one shape."""
    loader = loader_of(storages("native"), batch_size)
    for _, batches in itertools.groupby(batches_of(loader, 20), key=lambda batch: batch.epoch):
        batches = list(batches)
        if batches[0].epoch < 2:
            shown = sorted(itertools.chain(*(batch.samples for batch in batches)))
            assert shown == storages("native").names.tolist()


@pytest.mark.parametrize("batch_size", [1, 5])
def test_an_epoch_shows_every_tile_once(storages, batch_size):
    """Tiles are drawn as images are: each once an epoch, in full batches that mix samples."""
    storage = storages("tile")
    count = len(storage)
    assert count > 7 and storage.windows.max() > 0
    batches = batches_of(loader_of(storage, batch_size), -(-2 * count // batch_size))
    drawn = [
        (sample, image.tobytes(), mask.tobytes())
        for batch in batches
        for sample, image, mask in zip(batch.samples, batch.image, batch.mask, strict=True)
    ]
    held = [
        (storage.names[place], *(array.tobytes() for array in sample_of(storage, place)))
        for place in range(count)
    ]
    assert len(set(held)) == count  # no tile could stand for another
    for epoch in range(2):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == sorted(held)
    assert [sample for sample, *_ in drawn[:count]] != sorted(storage.names)


@pytest.mark.parametrize("plan", PLANS)
def test_the_seed_governs_the_batches(storages, plan):
    """The same seed gives the same bytes, another seed another order."""
    first, again, other = (batches_of(loader_of(storages(plan), 2, seed), 8) for seed in (0, 0, 1))
    assert all(map(equal, first, again))
    assert [batch.samples for batch in first] != [batch.samples for batch in other]


def test_a_part_of_a_batch(storages, manifest):
    """Its images, masks, samples and rows are those of that part."""
    storage = storages("resize")
    synthesis = Synthesis(storage, manifest(storage, 2, rotation=9), on_device=True)
    (batch,) = batches_of(loader_of(storage, 5, 0, synthesis), 1)
    part = batch[1:3]
    assert len(part) == 2
    assert (part.samples, part.rows, part.epoch) == (batch.samples[1:3], batch.rows[1:3], 0)
    np.testing.assert_array_equal(part.image, batch.image[1:3])
    np.testing.assert_array_equal(part.mask, batch.mask[1:3])


def test_a_batch_tells_what_it_took(storages, manifest):
    """Reading is a part of making; where nothing is made of what is read it is all of it."""
    storage = storages("native")
    for synthesis in (None, Synthesis(storage, manifest(storage, 2, elastic=0.1))):
        for batch in batches_of(loader_of(storage, 3, 0, synthesis), 5):
            assert 0 < batch.reading_s <= batch.making_s


# Where samples are kept, who makes the batches, and where one starts: no matter


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("plan", PLANS)
def test_where_samples_are_kept_changes_no_batch(storages, index, manifest, plan, augmented):
    """Shards, memory and the images themselves give the same bytes."""
    shards = storages(plan)
    files = Files(index, fit_plan(plan, index[["height", "width"]].to_numpy(), 4, **PLANS[plan]))
    drawn = manifest(shards, 3, rotation=40, contrast=2, cutmix=(0.5, 1)) if augmented else None
    found = [
        hashes_of(loader_of(storage, 3, 0, drawn and Synthesis(storage, drawn)), 9)
        for storage in (shards, Memory(shards, 1), files)
    ]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == 9


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("plan", PLANS)
def test_the_number_of_workers_changes_no_batch(storages, manifest, plan, augmented, workers):
    """One thread, several, or none: the same batches in the same order."""
    storage = storages(plan)
    synthesis = None
    if augmented:
        synthesis = Synthesis(storage, manifest(storage, 3, rotation=40, elastic=0.1, cutmix=(0.5, 1)))
    expected = hashes_of(loader_of(storage, 2, 0, synthesis, workers=0), 30)
    assert hashes_of(loader_of(storage, 2, 0, synthesis, workers=workers), 30) == expected


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("plan", PLANS)
def test_a_loader_goes_on_at_any_batch(storages, manifest, plan, workers, weighted):
    """Started at a batch it gives that one and those that follow, their synthetic images included."""
    storage = storages(plan)
    weights = np.linspace(0.2, 3, len(storage)) if weighted else None
    synthesis = Synthesis(storage, manifest(storage, 5, rotation=40, cutmix=(0.5, 1)))
    loader = loader_of(storage, 2, 0, synthesis, workers, weights=weights)
    whole = hashes_of(loader, 16)
    for start in (1, 3, 4, 11):
        assert hashes_of(loader, 4, start) == whole[start : start + 4]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_another_process_makes_the_same_batches(storages, manifest):
    """Also one that was forked while the threads of a loader are at work here."""
    storage = storages("native")
    synthesis = Synthesis(storage, manifest(storage, 3, rotation=40, elastic=0.1, cutmix=(0.5, 1)))
    order = Order(storage.shapes, 2, 0)
    here = Loader(storage, order, synthesis, workers=2).batches()
    next(here)
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    code = f"import runpy; runpy.run_path({__file__!r})['_send'](sending, *parts)"
    scope = {"sending": sending, "parts": (storage, order, synthesis)}
    process = context.Process(target=exec, args=(code, scope))
    process.start()
    assert receiving.poll(60)
    there = receiving.recv()
    process.join(60)
    here.close()
    assert process.exitcode == 0
    assert there == hashes_of(Loader(storage, order, synthesis), 12)


def _send(sending, storage, order: Order, synthesis: Synthesis) -> None:
    sending.send(hashes_of(Loader(storage, order, synthesis, workers=2), 12))


# Buffers


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("plan", PLANS)
def test_buffers_are_filled_again(storages, plan, workers):
    """However many batches are made, they lie in as many buffers as the loader says."""
    loader = loader_of(storages(plan), 2, workers=workers)
    assert loader.ahead == (workers + AHEAD if workers else 1)
    used = {batch.image.ctypes.data for batch in itertools.islice(loader.batches(), 60)}
    assert len(used) == loader.ahead


@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch_stays_until_the_next_is_asked_for(storages, workers):
    """What is in use is not overwritten by the threads that make batches ahead."""
    loader = loader_of(storages("resize"), 2, workers=workers)
    expected = batches_of(loader_of(storages("resize"), 2, workers=0), 40)
    for batch, right in zip(loader.batches(), expected, strict=False):
        for _ in range(3):  # others are made meanwhile
            assert equal(batch, right)


def test_buffers_are_those_allocated(storages):
    """Each is asked for once, large enough for the largest batch, and image and mask lie in it."""
    buffers = []

    def allocate(size: int) -> np.ndarray:
        buffers.append(np.zeros(size, np.uint8))
        return buffers[-1]

    loader = loader_of(storages("native"), 3, workers=2, allocate=allocate)
    for batch in itertools.islice(loader.batches(), 20):
        assert any(np.shares_memory(batch.image, buffer) for buffer in buffers)
        assert any(np.shares_memory(batch.mask, buffer) for buffer in buffers)
        assert not np.shares_memory(batch.image, batch.mask)
        assert batch.image.flags.c_contiguous and batch.mask.flags.c_contiguous
    # three of 8x8 or one of 12x8
    assert [buffer.size for buffer in buffers] == [4 * 3 * 8 * 8] * loader.ahead == [768] * (2 + AHEAD)


def test_a_buffer_holds_a_sample_that_is_shown_several_times(storages):
    """With weights a batch may be one rare sample alone, more often than there are samples of its shape."""
    storage = storages("native")
    weights = np.where(storage.names == "sub/f", 50.0, 1.0)
    batches = batches_of(loader_of(storage, 5, weights=weights, last="keep"), 6)
    assert ["sub/f"] * 5 in [batch.samples for batch in batches]


def test_few_batches_are_made_ahead_where_memory_is_little(large):
    """The fewer megabytes there are the fewer buffers, and the same batches; two are the least."""
    expected = hashes_of(loader_of(large, 1, workers=0), 8)
    for memory_mb, ahead in ((1024, 8 + AHEAD), (6, 5), (4, 3), (3, 2)):
        loader = loader_of(large, 1, workers=8, memory_mb=memory_mb)
        assert loader.ahead == ahead
        assert ahead <= loader.held_mb <= min(memory_mb, ahead + 0.1)
        used = {batch.image.ctypes.data for batch in itertools.islice(loader.batches(), 12)}
        assert len(used) == ahead
        assert hashes_of(loader, 8) == expected


def test_too_little_memory_is_refused(large):
    """Where two batches do not fit the sentence says how much they take, and what to do."""
    with pytest.raises(
        LoaderError,
        match=r"`loader\.memory_mb`: expected no more than 7 MB for samples and batches, but "
        r"found 9 MB, 2 batches of 4 MB among it\. Raise it.*`loader\.batch_size`",
    ):
        loader_of(large, 4, workers=1, memory_mb=7).batches()
    with pytest.raises(LoaderError, match=r"found 5 MB, 1 batches? of 4 MB among it"):
        loader_of(large, 4, workers=0, memory_mb=4).batches()
    assert loader_of(large, 4, workers=0, memory_mb=5).ahead == 1


def test_samples_in_memory_count(large):
    """What is held of the samples leaves the less for batches."""
    memory = Memory(large, 7)
    assert loader_of(memory, 1, workers=8, memory_mb=12).ahead == 5
    assert loader_of(memory, 1, workers=8, memory_mb=12).held_mb == 12
    with pytest.raises(LoaderError, match="found 9 MB"):
        loader_of(memory, 1, memory_mb=8).batches()


def test_nothing_is_allocated_before_memory_is_seen_to_suffice(large):
    """A loader that is refused has taken no buffer."""
    asked = []
    with pytest.raises(LoaderError):
        loader_of(large, 4, memory_mb=7, allocate=asked.append).batches()
    assert asked == []


def test_a_sample_takes_few_bytes(tmp_path):
    """Of twenty thousand samples little more is held than the name of each and where it lies."""
    count = 20_000
    with h5py.File(tmp_path / "0.h5", "w") as file:
        file.attrs.update(format="stratagem-shard", version=3)
        file.create_dataset("4x4/image", data=np.zeros((count, 4, 4, 3), np.uint8), chunks=(1, 4, 4, 3))
        file.create_dataset("4x4/mask", data=np.zeros((count, 4, 4), np.uint8), chunks=(1, 4, 4))
    rows = {"sample": [f"{number:06}" for number in range(count)], "window": 0, "file": "0.h5"}
    rows |= {"group": "4x4", "row": range(count), "height": 4, "width": 4, "classes": "0", "checksum": 0}
    table = pd.DataFrame(rows)
    tracemalloc.start()
    strings = pa.total_allocated_bytes() - table["sample"].array.nbytes  # the names are held on
    shards = Shards(tmp_path, table)
    loader = loader_of(shards, 4, workers=2, weights=np.ones(count))
    for _ in zip(range(3), loader.batches(), strict=False):
        pass
    held = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - strings
    tracemalloc.stop()
    assert held < 120 * count
    assert shards.nbytes < 70 * count
    assert held > 40 * count  # else it would not have been measured


# Synthetic images


def test_training_on_memory_leaves_it_as_it_was(storages, manifest):
    """Augmented batches never write into what is held in memory."""
    memory = Memory(storages("resize"), 1)
    before = hashes_of(loader_of(memory, 7), 1)
    drawn = manifest(memory, 2, rotation=90, brightness=0.5, cutmix=(0.9, 1))
    for on_device in (False, True):
        synthesis = Synthesis(memory, drawn, on_device=on_device)
        for batch in itertools.islice(loader_of(memory, 7, 0, synthesis).batches(), 3):
            batch.image[...] = 0
    assert hashes_of(loader_of(memory, 7), 1) == before


# What goes wrong


def test_a_failure_stops_the_loader_at_once(at_work):
    """Once a worker has failed its error is raised, and not after the batches that come before it."""
    moment = threading.Event()
    storage = Failing(NINE, TURN[8:], OSError("the disk is gone"), moment)
    batches = loader_of(storage, 1, workers=8).batches()
    assert next(batches).places[0] == TURN[0]
    moment.set()
    with pytest.raises(OSError, match="the disk is gone"):
        for _ in range(7):
            time.sleep(0.05)  # so that the worker comes to fail before the last of them
            next(batches)
    assert not at_work()


@pytest.mark.parametrize("workers", [0, 1, 2, 8])
def test_an_error_reaches_who_trains(at_work, workers):
    """Whoever makes the batches, an error ends them as what it is, and no thread is left."""
    told = LoaderError(expected="this", found="that", where="here", remedy="Do so.")
    batches, found = loader_of(Failing(NINE, TURN[4:5], told), 1, workers=workers).batches(), []
    with pytest.raises(LoaderError) as caught:
        for batch in batches:
            found.append(int(batch.places[0]))
    assert caught.value is told
    assert found == TURN[: len(found)] and len(found) <= 4
    assert not at_work()
    with pytest.raises(StopIteration):
        next(batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_damage_is_named(at_work, stored, workers):
    """A damaged shard ends the loader with the sentence that names its file and sample."""
    folder, table = stored("resize")
    with h5py.File(folder / "0.h5") as file:
        (group,) = set(file) - {"samples"}
        offset = file[f"{group}/image"].id.get_chunk_info(3).byte_offset
    with open(folder / "0.h5", "r+b") as file:
        file.seek(offset)
        file.write(bytes(20))
    loader = loader_of(Shards(folder, table, verify=True), 2, workers=workers)
    told = r"0\.h5.*sample `d`: one with another checksum.*makes damaged shards anew"
    with pytest.raises(ShardError, match=told):
        batches_of(loader, 9)
    assert not at_work()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_synthetic_image_that_cannot_be_made_is_named(at_work, storages, manifest, tmp_path, workers):
    """The sentence has the sample, the cause and what to do; the error itself comes with it."""
    storage = storages("resize")
    manifest(storage, 2, rotation=90)
    path = tmp_path / "manifest.parquet"
    content, metadata = bytearray(path.read_bytes()), pq.read_metadata(path)
    for number in range(metadata.num_columns):
        column = metadata.row_group(1).column(number)
        start = column.dictionary_page_offset or column.data_page_offset
        content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(content)
    synthesis = Synthesis(storage, Manifest(path, storage.names))
    loader = loader_of(storage, 7, 0, synthesis, workers)
    # Of the epochs that show the variant, whose batches are made at the same time.
    first = "|".join(storage.names[loader.order.epoch(number)[0][0]] for number in (1, 3))
    batches = loader.batches()
    with pytest.raises(LoaderError, match=rf"(?s)sample `({first})`: .*found \w+: .*mend it") as caught:
        list(batches)
    assert isinstance(caught.value.__cause__, OSError)
    assert not at_work()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_order_without_batches_is_refused(at_work, storages, workers):
    """Where every batch would be dropped, that is said when the first is asked for; no thread is left."""
    with pytest.raises(LoaderError, match=r"`loader\.last`"):
        next(loader_of(storages("native"), 9, workers=workers, last="drop").batches())
    assert not at_work()


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("read", [0, 1, 5])
def test_stopping_early_leaves_no_thread(storages, at_work, workers, read):
    """When the budget is spent no worker is left behind."""
    batches = loader_of(storages("resize"), 2, workers=workers).batches()
    for _ in range(read):
        next(batches)
    assert len(at_work()) == (workers if read else 0)
    batches.close()
    assert not at_work()


def test_an_error_while_training_leaves_no_thread(storages, at_work):
    """Nor where nobody closes the batches: with them the workers go."""

    def train():
        for _ in loader_of(storages("resize"), 2, workers=4).batches():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert not at_work()


def test_two_loaders_do_not_disturb_one_another(storages):
    """Two runs of batches of the same loader, side by side, have buffers of their own."""
    loader = loader_of(storages("resize"), 2, workers=2)
    expected = batches_of(loader, 12)
    for one, other, right, later in zip(
        loader.batches(), loader.batches(3), expected, expected[3:], strict=False
    ):
        assert equal(one, right)
        assert equal(other, later)
