"""Batches hold every sample once an epoch, in an order that the seed alone fixes."""

import itertools
import threading

import numpy as np
import pytest

from stratagem.augment import PARAMETERS, Policy, apply, draw
from stratagem.geometry import fit
from stratagem.index import Wanted, build_index
from stratagem.loader import Loader, Memory, order, prefetched
from stratagem.sample import find
from stratagem.shard import Shards, catalogue, write_shard

CLASSES = ["a", "b", "c"]
PLANS = {"native": {}, "resize": {}, "tile": {"size": (4, 4), "overlap": 0.5}}


@pytest.fixture
def storages(dataset, tmp_path):
    """The tiny data set by plan: three shapes of frame, one shape, several windows a sample."""
    found = find(*map(str, dataset), "{stem}", None)
    index = build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table
    storages = {}
    for name, options in PLANS.items():
        path = tmp_path / name / "0.h5"
        plan = fit(name, index[["height", "width"]].to_numpy(), 4, **options)
        write_shard(path, index, plan, CLASSES)
        storages[name] = Shards(path.parent, catalogue([path]))
    return storages


def _batches(loader: Loader, count: int) -> list:
    return list(itertools.islice(loader.batches(), count))


def _equal(one, other) -> bool:
    return (
        one.samples == other.samples
        and one.epoch == other.epoch
        and np.array_equal(one.image, other.image)
        and np.array_equal(one.mask, other.mask)
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 20])
def test_mixed_shapes_show_every_sample_once_an_epoch(storages, batch_size):
    """With mixed shapes each epoch shows each sample once, in batches of one shape."""
    storage = storages["native"]
    shapes = dict(zip(storage.table["sample"], map(storage.shape, range(7)), strict=True))
    for epoch, batches in itertools.islice(
        itertools.groupby(Loader(storage, batch_size, 0).batches(), key=lambda batch: batch.epoch), 4
    ):
        batches = list(batches)
        assert sorted(itertools.chain(*(batch.samples for batch in batches))) == sorted(shapes), epoch
        for batch in batches:
            assert 1 <= len(batch.samples) <= batch_size
            assert {shapes[sample] for sample in batch.samples} == {batch.mask.shape[1:]}
            assert batch.image.shape == (*batch.mask.shape, 3)
            assert batch.image.dtype == batch.mask.dtype == np.uint8
        assert len(batches) == sum(
            -(-list(shapes.values()).count(s) // batch_size) for s in set(shapes.values())
        )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 20])
def test_equal_shapes_give_full_batches(storages, batch_size):
    """With one shape all batches are full, over the ends of epochs, and each epoch shows each sample once."""
    batches = _batches(Loader(storages["resize"], batch_size, 0), 12)
    assert {len(batch.samples) for batch in batches} == {batch_size}
    shown = list(itertools.chain(*(batch.samples for batch in batches)))
    for start in range(0, len(shown) - 6, 7):
        assert sorted(shown[start : start + 7]) == sorted(storages["resize"].table["sample"])
    for number, batch in enumerate(batches, 1):
        assert batch.epoch == (number * batch_size - 1) // 7


def test_a_batch_holds_the_samples_it_names(storages):
    """Each image and mask in a batch is that of the sample named at its place."""
    storage = storages["native"]
    places = {sample: place for place, sample in enumerate(storage.table["sample"])}
    for batch in _batches(Loader(storage, 2, 0), 6):
        for sample, image, mask in zip(batch.samples, batch.image, batch.mask, strict=True):
            expected = np.empty_like(image), np.empty_like(mask)
            storage.read(places[sample], *expected)
            np.testing.assert_array_equal(image, expected[0])
            np.testing.assert_array_equal(mask, expected[1])


@pytest.mark.parametrize("batch_size", [1, 5])
def test_an_epoch_shows_every_tile_once(storages, batch_size):
    """Tiles are drawn as images are: each once an epoch, in full batches that mix samples."""
    storage = storages["tile"]
    count = len(storage)
    assert count > 7 and storage.table["window"].max() > 0
    batches = _batches(Loader(storage, batch_size, 0), -(-2 * count // batch_size))
    drawn = [
        (sample, image.tobytes(), mask.tobytes())
        for batch in batches
        for sample, image, mask in zip(batch.samples, batch.image, batch.mask, strict=True)
    ]
    held = []
    for place, sample in enumerate(storage.table["sample"]):
        image, mask = np.empty((4, 4, 3), np.uint8), np.empty((4, 4), np.uint8)
        storage.read(place, image, mask)
        held.append((sample, image.tobytes(), mask.tobytes()))
    assert len(set(held)) == count  # no tile could stand for another
    for epoch in range(2):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == sorted(held)
    assert [sample for sample, *_ in drawn[:count]] != sorted(storage.table["sample"])


def test_the_order_is_a_function_of_seed_and_epoch():
    """An epoch's order is a permutation, the same for the same seed and epoch, else another."""
    orders = [tuple(order(seed, epoch, 20)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    assert all(sorted(one) == list(range(20)) for one in orders)
    np.testing.assert_array_equal(order(2, 1, 20), orders[7])


def test_golden_order():
    """The order does not drift from one version to the next."""
    assert order(0, 0, 7).tolist() == [0, 5, 1, 6, 2, 4, 3]
    assert order(0, 1, 7).tolist() == [2, 1, 3, 4, 0, 5, 6]
    assert order(1, 0, 7).tolist() == [0, 5, 4, 1, 2, 6, 3]


@pytest.mark.parametrize("plan", PLANS)
def test_the_seed_governs_the_batches(storages, plan):
    """The same seed gives the same bytes, another seed another order."""
    first, again, other = (_batches(Loader(storages[plan], 2, seed), 8) for seed in (0, 0, 1))
    assert all(map(_equal, first, again))
    assert [batch.samples for batch in first] != [batch.samples for batch in other]


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("plan", PLANS)
def test_memory_and_shards_give_the_same_bytes(storages, plan, augmented):
    """Where the samples are kept changes no byte of any batch."""
    shards = storages[plan]
    manifest = (
        draw(Policy(3, rotation=40, contrast=2), 0, list(shards.table["sample"])) if augmented else None
    )
    memory = Memory(shards)
    assert len(memory) == len(shards)
    places = range(len(shards))
    assert [memory.shape(place) for place in places] == [shards.shape(place) for place in places]
    pairs = zip(
        _batches(Loader(shards, 3, 0, manifest), 9), _batches(Loader(memory, 3, 0, manifest), 9), strict=True
    )
    assert all(_equal(*pair) for pair in pairs)


def test_training_on_memory_leaves_it_as_it_was(storages):
    """Augmented batches never write into what is held in memory."""
    memory = Memory(storages["resize"])
    before = _batches(Loader(memory, 7, 0), 1)
    manifest = draw(Policy(2, rotation=90, brightness=0.5), 0, list(memory.table["sample"]))
    for batch in _batches(Loader(memory, 7, 0, manifest), 3):
        batch.image[...] = 0
    assert _equal(before[0], _batches(Loader(memory, 7, 0), 1)[0])


def test_epoch_e_takes_variant_e(storages):
    """Epoch e shows each sample by its own variant e, and starts over when the variants are used up."""
    storage = storages["resize"]
    manifest = draw(Policy(2, rotation=90, translation=0.2), 5, list(storage.table["sample"]))
    rows = manifest.set_index(["sample", "variant"])[list(PARAMETERS)]
    plain, synthetic = (_batches(Loader(storage, 7, 0, table), 3) for table in (None, manifest))
    for epoch in range(3):
        assert plain[epoch].samples == synthetic[epoch].samples
        for number, sample in enumerate(plain[epoch].samples):
            row = rows.loc[(sample, epoch % 2)].to_dict()
            image, mask = apply(row, plain[epoch].image[number], plain[epoch].mask[number])
            np.testing.assert_array_equal(synthetic[epoch].image[number], image)
            np.testing.assert_array_equal(synthetic[epoch].mask[number], mask)


def test_tiles_of_one_sample_take_different_variants(storages):
    """In epoch e the tile w takes variant e + w, so one epoch shows a sample in more than one way."""
    storage = storages["tile"]
    manifest = draw(Policy(3, rotation=90, brightness=0.5), 5, sorted(set(storage.table["sample"])))
    rows = manifest.set_index(["sample", "variant"])[list(PARAMETERS)]
    count = len(storage)
    plain, synthetic = (_batches(Loader(storage, count, 0, table), 2) for table in (None, manifest))
    for epoch in range(2):
        for number, place in enumerate(order(0, epoch, count)):
            sample, window = storage.table[["sample", "window"]].iloc[place]
            row = rows.loc[(sample, (epoch + window) % 3)].to_dict()
            image, mask = apply(row, plain[epoch].image[number], plain[epoch].mask[number])
            np.testing.assert_array_equal(synthetic[epoch].image[number], image)
            np.testing.assert_array_equal(synthetic[epoch].mask[number], mask)


def test_the_order_of_the_manifest_does_not_matter(storages):
    """A manifest whose rows were shuffled gives the same batches."""
    storage = storages["native"]
    manifest = draw(Policy(12, rotation=90), 0, list(storage.table["sample"]))
    shuffled = manifest.sample(frac=1, random_state=0)
    pairs = zip(*(_batches(Loader(storage, 2, 0, table), 9) for table in (manifest, shuffled)), strict=True)
    assert all(_equal(*pair) for pair in pairs)


def test_a_neutral_manifest_shows_the_originals(storages):
    """An augmentation without strength trains on the originals, byte for byte."""
    storage = storages["native"]
    manifest = draw(Policy(2), 0, list(storage.table["sample"]))
    pairs = zip(*(_batches(Loader(storage, 2, 0, table), 9) for table in (None, manifest)), strict=True)
    assert all(_equal(*pair) for pair in pairs)


def test_prefetching_changes_no_batch(storages):
    """Batches made ahead are the same, in the same order."""
    loader = Loader(
        storages["native"], 2, 0, draw(Policy(3, rotation=9), 0, list("abcde") + ["sub/f", "sub/g"])
    )
    ahead = itertools.islice(prefetched(loader.batches()), 12)
    assert all(_equal(*pair) for pair in zip(ahead, _batches(loader, 12), strict=True))


def test_prefetching_ends_where_the_batches_end():
    """A finite run of batches ends as it would without prefetching."""
    assert list(prefetched(iter(["one", "two", "three"]))) == ["one", "two", "three"]


def test_an_error_of_the_reader_is_raised_where_the_batch_is_used(storages):
    """An error in the reading thread arrives at the training loop, after the batches before it."""

    def failing():
        yield from _batches(Loader(storages["resize"], 2, 0), 3)
        raise OSError("the disk is gone")

    batches = prefetched(failing())
    assert len([next(batches) for _ in range(3)]) == 3
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


def test_stopping_early_leaves_no_thread(storages):
    """When the budget is spent no reader is left behind."""
    before = threading.active_count()
    batches = prefetched(Loader(storages["resize"], 2, 0).batches())
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before
