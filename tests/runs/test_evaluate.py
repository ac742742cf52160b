"""The test images of a run are stored once, in full."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import save_file

from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.split import divide
from stratagem.evaluation.metrics import confusion, counts
from stratagem.networks.build import build
from stratagem.resolution import plans
from stratagem.runs.evaluate import evaluate
from stratagem.runs.inputs import Inputs
from stratagem.study.reading import read_study

CLASSES = ["background", "a", "b"]
STUDY = {
    "study": "tiny",
    "images": "images",
    "masks": "masks",
    "classes": CLASSES,
    "seeds": [1],
    "budget": {"images": 1},
    "unet": {"width": 2, "depth": 1},
    "resolutions": {"native": {"plan": "native"}},
    "strategies": {"baseline": {"resolution": "native"}},
}
RECIPE = read_study(STUDY).run("baseline", 0, 1)
PLANS = {
    "native": {},
    "bucket": {"buckets": 2},
    "letterbox": {"size": (6, 8)},
    "tile": {"size": (4, 4), "overlap": 0.5},
}


@pytest.fixture(params=PLANS)
def inputs(dataset, request) -> Inputs:
    """Index, plan and split of the tests' data set: a test needs no shards."""
    found = find(*map(str, dataset), "{stem}", None)
    index = build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table
    sizes = index[["height", "width"]].to_numpy()
    plan = plans.fit_plan(request.param, sizes, stride=2, **PLANS[request.param])
    return Inputs(index, plan, splits=divide(index, folds=1, test=0.5, validation=0.15, seed=0))


@pytest.fixture
def run(inputs, tmp_path):
    """The folder of a run with a network, evaluated."""
    folder = tmp_path / "run"
    folder.mkdir()
    network = build("unet", len(CLASSES), width=2, depth=1, seed=0)
    save_file(network.state_dict(), folder / "model.safetensors")
    evaluate(RECIPE, inputs, str(folder / "model.safetensors"), "cpu", folder)
    return folder


def _masks(inputs: Inputs, folder) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Truth and prediction of each test image, from the files."""
    rows = inputs.of_part("test", 0).itertuples()
    return {
        row.sample: tuple(
            np.array(Image.open(path))
            for path in (row.masks[0], folder / "predictions" / f"{row.sample}.png")
        )
        for row in rows
    }


def test_the_files_have_the_documented_columns(run):
    """A row an image and class; a row an image and pair of classes."""
    evaluation = pd.read_parquet(run / "evaluation.parquet")
    pairs = pd.read_parquet(run / "confusion.parquet")
    keys = {"strategy", "fold", "seed", "sample"}
    assert set(evaluation.columns) == keys | {"class", "tp", "fp", "fn", "tn"}
    assert set(pairs.columns) == keys | {"truth", "predicted", "pixels"}
    for table in (evaluation, pairs):
        assert table[["strategy", "fold", "seed"]].drop_duplicates().values.tolist() == [["baseline", 0, 1]]
    assert not evaluation.duplicated(["sample", "class"]).any()
    assert not pairs.duplicated(["sample", "truth", "predicted"]).any()


def test_every_test_image_is_there_and_no_other(run, inputs):
    """The test part of the split is tested, whole."""
    samples = set(inputs.of_part("test", 0)["sample"])
    stored = {
        path.relative_to(run / "predictions").with_suffix("").as_posix()
        for path in (run / "predictions").rglob("*.png")
    }
    assert len(samples) > 1
    assert set(pd.read_parquet(run / "evaluation.parquet")["sample"]) == samples
    assert set(pd.read_parquet(run / "confusion.parquet")["sample"]) == samples
    assert stored == samples


def test_predictions_have_their_image_s_own_size(run, inputs):
    """A prediction can be laid over its image."""
    for truth, predicted in _masks(inputs, run).values():
        assert predicted.shape == truth.shape and predicted.dtype == np.uint8
        assert predicted.max() < 3


def test_the_counts_are_those_of_the_stored_predictions(run, inputs):
    """Whoever counts the stored masks against the truth gets the stored counts."""
    evaluation = pd.read_parquet(run / "evaluation.parquet").set_index(["sample", "class"])
    pairs = pd.read_parquet(run / "confusion.parquet").set_index(["sample", "truth", "predicted"])["pixels"]
    for sample, (truth, predicted) in _masks(inputs, run).items():
        table = confusion(truth, predicted, 3)
        for name, values in counts(table).items():
            assert evaluation.loc[sample, name].tolist() == values.tolist()
        assert pairs.loc[sample].to_numpy().reshape(3, 3).tolist() == table.tolist()


def test_testing_again_gives_the_same_files(run, inputs):
    """An evaluation is a function of the model and the images, and replaces an older one whole."""
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (run / "predictions" / "stale.png").write_bytes(b"")
    evaluate(RECIPE, inputs, str(run / "model.safetensors"), "cpu", run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == files
