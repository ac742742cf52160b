"""Batches hold every sample once an epoch, in an order that the seed alone fixes."""

import itertools
import threading

import numpy as np
import pytest

from stratagem.augment import apply, paste
from stratagem.geometry import fit
from stratagem.index import Wanted, build_index
from stratagem.loader import Loader, Memory, Synthesis, order, prefetched
from stratagem.manifest import Manifest, write
from stratagem.sample import find
from stratagem.shard import Shards, catalogue, write_shard
from stratagem.transforms import Policy, strength

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


@pytest.fixture
def manifest(tmp_path):
    """Writes the manifest of a storage's samples for a policy of so many variants; its reader."""

    def drawn(storage, variants: int, seed: int = 0, **ranges) -> Manifest:
        policy = Policy(variants, {name: strength(name, given) for name, given in ranges.items()})
        write(policy, seed, set(storage.table["sample"]), tmp_path / "manifest.parquet")
        return Manifest(tmp_path / "manifest.parquet")

    return drawn


def _batches(loader: Loader, count: int) -> list:
    return list(itertools.islice(loader.batches(), count))


def _sample(storage, place: int) -> tuple[np.ndarray, np.ndarray]:
    shape = storage.shape(place)
    image, mask = np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8)
    storage.read(place, image, mask)
    return image, mask


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
def test_memory_and_shards_give_the_same_bytes(storages, manifest, plan, augmented):
    """Where the samples are kept changes no byte of any batch."""
    shards = storages[plan]
    drawn = manifest(shards, 3, rotation=40, contrast=2, cutmix=(0.5, 1)) if augmented else None
    memory = Memory(shards)
    assert len(memory) == len(shards)
    places = range(len(shards))
    assert [memory.shape(place) for place in places] == [shards.shape(place) for place in places]
    one, other = (
        _batches(Loader(storage, 3, 0, drawn and Synthesis(storage, drawn)), 9)
        for storage in (shards, memory)
    )
    assert all(map(_equal, one, other))


def test_training_on_memory_leaves_it_as_it_was(storages, manifest):
    """Augmented batches never write into what is held in memory."""
    memory = Memory(storages["resize"])
    before = _batches(Loader(memory, 7, 0), 1)
    drawn = manifest(memory, 2, rotation=90, brightness=0.5, cutmix=(0.9, 1))
    for on_device in (False, True):
        for batch in _batches(Loader(memory, 7, 0, Synthesis(memory, drawn, on_device=on_device)), 3):
            batch.image[...] = 0
    assert _equal(before[0], _batches(Loader(memory, 7, 0), 1)[0])


def test_epoch_e_takes_variant_e(storages, manifest):
    """Epoch e shows each sample by its own variant e, and starts over when the variants are used up."""
    storage = storages["resize"]
    drawn = manifest(storage, 2, seed=5, rotation=90, translation=0.2)
    plain, synthetic = (_batches(Loader(storage, 7, 0, one), 3) for one in (None, Synthesis(storage, drawn)))
    for epoch in range(3):
        assert plain[epoch].samples == synthetic[epoch].samples
        for number, sample in enumerate(plain[epoch].samples):
            row = drawn.row(sample, epoch % 2)
            image, mask = apply(row, plain[epoch].image[number], plain[epoch].mask[number])
            np.testing.assert_array_equal(synthetic[epoch].image[number], image)
            np.testing.assert_array_equal(synthetic[epoch].mask[number], mask)


def test_tiles_of_one_sample_take_different_variants(storages, manifest):
    """In epoch e the tile w takes variant e + w, so one epoch shows a sample in more than one way."""
    storage = storages["tile"]
    drawn, count = manifest(storage, 3, seed=5, rotation=90, brightness=0.5), len(storage)
    plain, synthetic = (
        _batches(Loader(storage, count, 0, one), 2) for one in (None, Synthesis(storage, drawn))
    )
    for epoch in range(2):
        for number, place in enumerate(order(0, epoch, count)):
            sample, window = storage.table[["sample", "window"]].iloc[place]
            row = drawn.row(sample, (epoch + window) % 3)
            image, mask = apply(row, plain[epoch].image[number], plain[epoch].mask[number])
            np.testing.assert_array_equal(synthetic[epoch].image[number], image)
            np.testing.assert_array_equal(synthetic[epoch].mask[number], mask)


@pytest.mark.parametrize("plan", PLANS)
def test_cutmix_takes_its_rectangle_from_the_partner(storages, manifest, plan):
    """Whatever the partner's size, what is pasted is the partner that the row draws, before all else acts."""
    storage = storages[plan]
    synthesis = Synthesis(storage, manifest(storage, 2, cutmix=(1, 1), rotation=30))
    for place in range(len(storage)):
        (image, mask), (found, found_mask) = _sample(storage, place), _sample(storage, place)
        row = synthesis.make(place, 1, found, found_mask)
        partner = synthesis.partner(row, place)
        assert storage.table["sample"].iat[partner] != storage.table["sample"].iat[place]
        paste(row, image, mask, *_sample(storage, partner))
        image, mask = apply(row, image, mask)
        np.testing.assert_array_equal(found, image)
        np.testing.assert_array_equal(found_mask, mask)


def test_a_sample_alone_has_no_partner(storages, manifest):
    """With one training sample cutmix does nothing."""
    storage = storages["resize"]
    alone = Shards(storage._folder, storage.table[:1])
    synthesis = Synthesis(alone, manifest(alone, 1, cutmix=(1, 1)))
    image, mask = _sample(alone, 0)
    found, found_mask = np.empty_like(image), np.empty_like(mask)
    assert synthesis.partner(synthesis.make(0, 0, found, found_mask), 0) is None
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(found_mask, mask)


def test_rows_may_be_left_to_the_device(storages, manifest):
    """Then a batch holds the originals and the rows that are to be applied to them."""
    storage = storages["resize"]
    drawn = manifest(storage, 2, rotation=90, brightness=0.3)
    plain, pending, made = (
        _batches(Loader(storage, 3, 0, synthesis), 3)
        for synthesis in (None, Synthesis(storage, drawn, on_device=True), Synthesis(storage, drawn))
    )
    for original, batch, synthetic in zip(plain, pending, made, strict=True):
        assert synthetic.rows is None
        assert _equal(original, batch)
        for number, row in enumerate(batch[1:].rows, start=1):
            image, mask = apply(row, batch.image[number], batch.mask[number])
            np.testing.assert_array_equal(synthetic.image[number], image)
            np.testing.assert_array_equal(synthetic.mask[number], mask)


def test_a_neutral_manifest_shows_the_originals(storages, manifest):
    """An augmentation without strength trains on the originals, byte for byte."""
    storage = storages["native"]
    neutral = Synthesis(storage, manifest(storage, 2))
    pairs = zip(*(_batches(Loader(storage, 2, 0, one), 9) for one in (None, neutral)), strict=True)
    assert all(_equal(*pair) for pair in pairs)


def test_prefetching_changes_no_batch(storages, manifest):
    """Batches made ahead are the same, in the same order."""
    storage = storages["native"]
    loader = Loader(storage, 2, 0, Synthesis(storage, manifest(storage, 3, rotation=9)))
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
