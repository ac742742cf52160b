"""Which synthetic image of a sample is shown when, and what it is made of."""

import bisect

import numpy as np
import pytest

from batches import NINE, PLANS, TURN, Failing, batches_of, equal, loader_of, sample_of
from examples import row_of
from stratagem.augmentation.manifest import _hash
from stratagem.augmentation.on_cpu import apply, paste
from stratagem.augmentation.transforms import SEEDS
from stratagem.core.errors import LoaderError
from stratagem.loading.shards import Shards, catalogue
from stratagem.loading.synthesis import Synthesis


def test_epoch_e_takes_variant_e(storages, manifest):
    """Epoch e shows each sample by its own variant e, and starts over when the variants are used up."""
    storage = storages("resize")
    drawn = manifest(storage, 2, seed=5, rotation=90, translation=0.2)
    ways = (None, Synthesis(storage, drawn))
    plain, synthetic = (batches_of(loader_of(storage, 7, 0, one), 3) for one in ways)
    for epoch in range(3):
        assert plain[epoch].samples == synthetic[epoch].samples
        for number, sample in enumerate(plain[epoch].samples):
            row = row_of(drawn, sample, epoch % 2)
            image, mask = apply(row, plain[epoch].image[number], plain[epoch].mask[number])
            np.testing.assert_array_equal(synthetic[epoch].image[number], image)
            np.testing.assert_array_equal(synthetic[epoch].mask[number], mask)


def test_tiles_of_one_sample_take_different_variants(storages, manifest):
    """In epoch e the tile w takes variant e + w, so one epoch shows a sample in more than one way."""
    storage = storages("tile")
    drawn, count = manifest(storage, 3, seed=5, rotation=90, brightness=0.5), len(storage)
    plain, synthetic = (
        batches_of(loader_of(storage, count, 0, one), 2) for one in (None, Synthesis(storage, drawn))
    )
    for epoch in range(2):
        for number, place in enumerate(plain[epoch].places):
            row = row_of(drawn, storage.names[place], (epoch + storage.windows[place]) % 3)
            image, mask = apply(row, plain[epoch].image[number], plain[epoch].mask[number])
            np.testing.assert_array_equal(synthetic[epoch].image[number], image)
            np.testing.assert_array_equal(synthetic[epoch].mask[number], mask)


@pytest.mark.parametrize("on_device", [False, True])
def test_a_sample_shown_several_times_is_another_image_each_time(storages, manifest, on_device):
    """Balanced sampling repeats a rare sample by its further variants, not by the same image."""
    storage = storages("resize")
    weights = np.where(storage.names == "c", 6.0, 1.0)
    drawn = manifest(storage, 12, rotation=90, brightness=0.3)
    loader = loader_of(
        storage, 7, 0, Synthesis(storage, drawn, on_device=on_device), weights=weights, last="keep"
    )
    rare, seen = storage.names.tolist().index("c"), []
    for batch, selection in zip(batches_of(loader, 3), loader.order.selections(), strict=False):
        for number, (place, showing) in enumerate(zip(selection.places, selection.showings, strict=True)):
            row = row_of(drawn, storage.names[place], showing % 12)
            image, mask = sample_of(storage, place)
            if on_device:
                assert batch.rows[number] == row
            else:
                image, mask = apply(row, image, mask)
            np.testing.assert_array_equal(batch.image[number], image)
            np.testing.assert_array_equal(batch.mask[number], mask)
            if place == rare:
                seen.append(tuple(row.items()))
    assert len(seen) >= 9
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("plan", PLANS)
def test_cutmix_takes_its_rectangle_from_the_partner(storages, manifest, plan):
    """Whatever the partner's size, what is pasted is the partner that the row draws, before all else acts."""
    storage = storages(plan)
    synthesis = Synthesis(storage, manifest(storage, 2, cutmix=(1, 1), rotation=30))
    for place in range(len(storage)):
        (image, mask), (found, found_mask) = sample_of(storage, place), sample_of(storage, place)
        row, reading_s = synthesis.make(place, 1, found, found_mask)
        assert reading_s > 0
        partner = synthesis.partner(row, place)
        assert storage.names[partner] != storage.names[place]
        paste(row, image, mask, *sample_of(storage, partner))
        image, mask = apply(row, image, mask)
        np.testing.assert_array_equal(found, image)
        np.testing.assert_array_equal(found_mask, mask)


def _partner(storage, drawn: int, place: int) -> int:
    """The partner's place by definition: the next name on the ring, its window of the same number."""
    names = storage.names.tolist()
    ring = sorted((_hash(name) % SEEDS, name) for name in set(names))
    start = bisect.bisect_left(ring, (drawn, ""))
    turned = [ring[(start + step) % len(ring)][1] for step in range(2)]
    partner = next(name for name in turned if name != names[place])
    windows = [number for number, name in enumerate(names) if name == partner]
    return windows[storage.windows[place] % len(windows)]


@pytest.mark.parametrize("plan", PLANS)
def test_a_partner_is_the_next_on_the_ring(storages, manifest, plan):
    """Whatever was drawn, and in whichever order the samples stand."""
    whole = storages(plan)
    drawn = manifest(whole, 1)
    turned = Shards(whole._folder, catalogue([whole._folder / "0.h5"])[::-1])
    for storage in (whole, turned):
        synthesis = Synthesis(storage, drawn)
        for place in range(len(storage)):
            for value in [*range(0, SEEDS, SEEDS // 40), SEEDS - 1]:
                found = synthesis.partner({"cutmix_partner": value}, place)
                assert found == _partner(storage, value, place)


def test_a_sample_alone_has_no_partner(stored, manifest):
    """With one training sample cutmix does nothing."""
    folder, table = stored("resize")
    alone = Shards(folder, table[:1])
    synthesis = Synthesis(alone, manifest(alone, 1, cutmix=(1, 1)))
    image, mask = sample_of(alone, 0)
    found, found_mask = np.empty_like(image), np.empty_like(mask)
    row, _ = synthesis.make(0, 0, found, found_mask)
    assert row["cutmix"] > 0 and synthesis.partner(row, 0) is None
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(found_mask, mask)


@pytest.mark.parametrize("cutmix", [False, True])
@pytest.mark.parametrize("workers", [0, 3])
def test_rows_may_be_left_to_the_device(storages, manifest, cutmix, workers):
    """Then a batch holds the originals, pasted into where so drawn, and the rows still to be applied."""
    storage = storages("resize")
    drawn = manifest(storage, 2, rotation=90, brightness=0.3, **({"cutmix": (0.5, 1)} if cutmix else {}))
    plain, pending, made = (
        batches_of(loader_of(storage, 3, 0, synthesis, workers), 4)
        for synthesis in (None, Synthesis(storage, drawn, on_device=True), Synthesis(storage, drawn))
    )
    for original, batch, synthetic in zip(plain, pending, made, strict=True):
        assert synthetic.rows is None and original.rows is None
        assert equal(original, batch) != cutmix
        assert batch[1:].rows == batch.rows[1:]
        for number, row in enumerate(batch.rows):
            image, mask = apply(row, batch.image[number], batch.mask[number])
            np.testing.assert_array_equal(synthetic.image[number], image)
            np.testing.assert_array_equal(synthetic.mask[number], mask)


def test_a_neutral_manifest_shows_the_originals(storages, manifest):
    """An augmentation without strength trains on the originals, byte for byte."""
    storage = storages("native")
    neutral = Synthesis(storage, manifest(storage, 2))
    pairs = zip(*(batches_of(loader_of(storage, 2, 0, one), 9) for one in (None, neutral)), strict=True)
    assert all(equal(*pair) for pair in pairs)


def test_a_sample_without_a_row_is_refused(storages, manifest):
    """A manifest of other samples is found out before any batch is made."""
    few = manifest(Failing(["a", "b", "c"]), 1)
    with pytest.raises(KeyError, match="d"):
        Synthesis(storages("resize"), few)


def test_an_error_of_a_partner_names_the_sample(manifest):
    """Where the partner that cutmix reads fails, the sentence says for which sample it was read."""
    whole = Failing(NINE)
    drawn = manifest(whole, 1, cutmix=(1, 1))
    partner = Synthesis(whole, drawn).partner(row_of(drawn, NINE[TURN[0]], 0), TURN[0])
    failing = Failing(NINE, [partner], ValueError("odd"))
    with pytest.raises(LoaderError, match=rf"sample `{NINE[TURN[0]]}`: .*found ValueError: odd"):
        next(loader_of(failing, 1, 0, Synthesis(failing, drawn), workers=0).batches())
