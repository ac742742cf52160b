"""Any synthetic image of a run can be made again from its row of the manifest."""

import itertools

import numpy as np
import pytest
from PIL import Image

from examples import rows_of
from stratagem.augmentation.manifest import Manifest, write_manifest
from stratagem.augmentation.transforms import Policy
from stratagem.core.errors import DataError
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.split import divide
from stratagem.loading.loader import Loader
from stratagem.loading.order import Order
from stratagem.loading.shards import catalogue, write_shard
from stratagem.loading.synthesis import Synthesis
from stratagem.resolution.plans import fit_plan
from stratagem.runs.inputs import Inputs, storage_of
from stratagem.runs.synthetic import make_synthetic, write_synthetic
from stratagem.study.reading import read_study

CONFIG = {
    "study": "tiny",
    "images": "images",
    "masks": "masks",
    "classes": ["a", "b", "c"],
    "seeds": [1],
    "budget": {"images": 8},
    "swaps": [["a", "b"]],
    "resolutions": {"tile": {"plan": "tile", "size": [4, 4]}},
    "augmentations": {"all": {"variants": 3, "rotation": 90, "flip_horizontal": 0.5, "cutmix": 0.5}},
    "strategies": {"baseline": {"resolution": "tile", "augmentation": "all", "loader": {"fraction": 0.9}}},
}


@pytest.fixture
def recipe():
    """Of the one run of the study."""
    return read_study(CONFIG).run("baseline", 0, 1)


@pytest.fixture
def inputs(dataset, tmp_path) -> Inputs:
    """Its files."""
    found = find(*map(str, dataset), "{stem}", None)
    index = build_index(found, Wanted(CONFIG["classes"], {"encoding": "indices"})).table
    plan = fit_plan("tile", index[["height", "width"]].to_numpy(), 4, size=(4, 4), overlap=0.25)
    write_shard(tmp_path / "0.h5", index, plan, CONFIG["classes"])
    catalogue([tmp_path / "0.h5"]).to_parquet(tmp_path / "shards.parquet")
    policy = Policy.of(read_study(CONFIG).augmentations["all"].policy())
    write_manifest(policy, 1, index["sample"], tmp_path / "manifest.parquet")
    splits = divide(index, folds=1, test=0.2, validation=0.15, seed=0)
    return Inputs(index, plan, tmp_path / "shards.parquet", splits, tmp_path / "manifest.parquet")


def test_it_is_what_the_run_is_shown(recipe, inputs):
    """Every image of three epochs, partners and exchanged classes included, pixel for pixel."""
    storage = storage_of(recipe, inputs)
    exchanged = np.arange(256, dtype=np.uint8)
    exchanged[:2] = 1, 0
    synthesis = Synthesis(storage, Manifest(inputs.manifest), exchanged)
    loader = Loader(storage, Order(storage.shapes, 1, 1), synthesis)
    for batch in itertools.islice(loader.batches(), 3 * len(storage)):
        (place,) = batch.places
        window = storage.windows[place]
        image, mask = make_synthetic(recipe, inputs, storage.names[place], window, (batch.epoch + window) % 3)
        np.testing.assert_array_equal(image, batch.image[0])
        np.testing.assert_array_equal(mask, batch.mask[0])


def test_it_is_written_as_pictures(recipe, inputs, tmp_path):
    """Image and mask as PNG, without loss."""
    sample = storage_of(recipe, inputs).names[0]
    paths = tmp_path / "synthetic" / "x.png", tmp_path / "synthetic" / "x.mask.png"
    paths[0].parent.mkdir()
    write_synthetic(recipe, inputs, sample, 0, 1, *map(str, paths))
    for path, expected in zip(paths, make_synthetic(recipe, inputs, sample, 0, 1), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"variant": 3}, "variant 3 of 3, counted from 0"),
        ({"window": 99}, "window 99 of `.*` is none of its training images"),
        ({"sample": "test"}, "window 0 of `.*` is none of its training images"),
    ],
)
def test_what_the_run_is_not_shown_is_refused(recipe, inputs, change, found):
    """A test image, a window or a variant that there is not: a sentence says what there is."""
    tested = inputs.splits.loc[inputs.splits["part"] == "test", "sample"].iat[0]
    asked = {"sample": storage_of(recipe, inputs).names[0], "window": 0, "variant": 0} | change
    asked["sample"] = tested if asked["sample"] == "test" else asked["sample"]
    with pytest.raises(DataError, match=found):
        make_synthetic(recipe, inputs, **asked)


def test_only_training_images_of_the_run_are_partners(recipe, inputs):
    """What cutmix pastes in comes from the fraction of the training images that the run uses."""
    storage = storage_of(recipe, inputs)
    trained = set(inputs.of_part("train", 0)["sample"])
    assert set(storage.names) <= trained
    synthesis = Synthesis(storage, Manifest(inputs.manifest))
    for _, _, row in rows_of(Manifest(inputs.manifest), sorted(set(storage.names))):
        assert storage.names[synthesis.partner(row, 0)] in trained
