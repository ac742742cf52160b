"""A random part of a sample follows from seed, name and showing alone, and holds what it is asked to hold."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from stratagem.data.index import Wanted, build_index
from stratagem.data.labels import IGNORE
from stratagem.data.pairing import find
from stratagem.loading.patches import Patches
from stratagem.loading.shards import Shards, catalogue, write_shard
from stratagem.loading.storage import Files, Memory
from stratagem.resolution.plans import fit_plan

CLASSES = ["background", "thing", "crack"]
SIZES = {"a": (40, 56), "b": (64, 48), "c": (8, 30)}  # the last is smaller than a part
SIZE = 16, 24
SHOWN = 400


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Three images: half of each is class 1, two pixels are class 2; the last is background alone."""
    folder = tmp_path_factory.mktemp("large")
    for name, (height, width) in SIZES.items():
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), np.uint8)
        if name != "c":
            mask[: height // 2], mask[-3, -2:] = 1, 2
        tifffile.imwrite(folder / f"{name}.tif", pixels, photometric="rgb")
        Image.fromarray(mask).save(folder / f"{name}.png")
    found = find(str(folder), str(folder), "{stem}.png", None, image_name="{stem}.tif")
    return build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table


@pytest.fixture(scope="module")
def plan(index):
    """Parts of 16x24."""
    return fit_plan("patches", index[["height", "width"]].to_numpy(), 8, size=SIZE, foreground=0.5)


@pytest.fixture(scope="module")
def storages(index, plan, tmp_path_factory):
    """The images as wholes, kept in each way."""
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "0.h5", index, plan, CLASSES)
    shards = Shards(folder, catalogue([folder / "0.h5"]))
    return {"shards": shards, "memory": Memory(shards, 10), "files": Files(index, plan)}


def _shown(storage, places, showings, foreground=0.5, seed=1) -> tuple[np.ndarray, np.ndarray]:
    patches = Patches(storage, SIZE, foreground, seed)
    image = np.full((len(places), *SIZE, storage.channels), 7, np.uint8)
    mask = np.full((len(places), *SIZE), 7, np.uint8)
    patches.read(np.array(places), image, mask, np.array(showings))
    return image, mask


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_a_part_is_the_same_wherever_it_is_kept_and_whatever_comes_with_it(storages, kind):
    """From shards, memory or files, alone or in a batch, first or last: the same pixels."""
    places, showings = [0, 1, 2, 1, 0], [0, 0, 0, 5, 2**40]
    whole = _shown(storages["shards"], places, showings)
    for number in reversed(range(5)):
        alone = _shown(storages[kind], places[number : number + 1], showings[number : number + 1])
        for part, of in zip(alone, whole, strict=True):
            np.testing.assert_array_equal(part[0], of[number])


def test_another_showing_or_seed_shows_another_part(storages):
    """And the same ones the same."""
    one, again, later, other = (
        _shown(storages["memory"], [0] * 8, range(first, first + 8), seed=seed)[0]
        for first, seed in ((0, 1), (0, 1), (8, 1), (0, 2))
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, later) and not np.array_equal(one, other)


def test_a_part_is_a_part_of_the_sample_image_and_mask_alike(storages, index, plan):
    """Cut from the same place of both, within the image, filled up only where that is smaller."""
    for place, row in enumerate(index.itertuples()):
        truth = tifffile.imread(row.image)
        for showing in range(20):
            image, mask = (one[0] for one in _shown(storages["memory"], [place], [showing]))
            if row.height < SIZE[0]:
                assert (mask == IGNORE).sum() == (SIZE[0] - row.height) * SIZE[1]
                image = image[mask[:, 0] != IGNORE]
            windows = np.lib.stride_tricks.sliding_window_view(truth, image.shape)[..., 0, :, :, :]
            places = np.argwhere((windows == image).all(axis=(2, 3, 4)))
            assert len(places) == 1
            labels = np.array(Image.open(row.masks[0]))[
                places[0][0] : places[0][0] + image.shape[0], places[0][1] : places[0][1] + SIZE[1]
            ]
            np.testing.assert_array_equal(mask[mask != IGNORE].reshape(labels.shape), labels)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_parts_holds_foreground_each_class_alike(storages, share):
    """A crack of two pixels is seen in half of those parts; a sample without foreground is shown anyway."""
    masks = _shown(storages["memory"], [0] * SHOWN, range(SHOWN), share)[1]
    held = np.array([[(mask == number).any() for number in (1, 2)] for mask in masks]).mean(axis=0)
    by_chance = np.array(
        [
            [(mask == n).any() for n in (1, 2)]
            for mask in _shown(storages["memory"], [0] * SHOWN, range(SHOWN), 0)[1]
        ]
    ).mean(axis=0)
    assert held[1] == pytest.approx(by_chance[1] * (1 - share / 2) + share / 2, abs=0.08)
    if share == 1:
        assert all(((mask == 1) | (mask == 2)).any() for mask in masks)
    assert _shown(storages["memory"], [2], [0], share)[1].min() == 0


def test_each_place_that_holds_the_pixel_is_as_likely(storages):
    """The pixel is in any row and column of the part, as far as the image's edge allows."""
    masks = _shown(storages["memory"], [1] * SHOWN, range(SHOWN), 1.0)[1]
    rows = [int(np.argwhere(mask == 2)[0][0]) for mask in masks if (mask == 2).any()]
    counts = np.bincount(rows, minlength=SIZE[0])
    assert (counts[: SIZE[0] - 3] == 0).all() and (counts[SIZE[0] - 3 :] > len(rows) / 5).all()


def test_what_it_holds_is_counted(storages):
    """The other storage's, and a whole sample, which is read to be cut; classes are the sample's."""
    patches = Patches(storages["memory"], SIZE, 0.5, 1)
    assert patches.nbytes == storages["memory"].nbytes + 64 * 48 * 4
    assert patches.shapes.tolist() == [list(SIZE)] * 3 and len(patches) == 3
    assert patches.present(3).tolist() == storages["memory"].present(3).tolist()
    assert np.array_equal(patches.addresses(), storages["memory"].addresses())
