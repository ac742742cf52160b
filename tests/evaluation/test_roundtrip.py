"""What a resolution loses of the true masks, before any training."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.comparison.scores import round_trip_scores
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.evaluation.metrics import confusion, counts
from stratagem.evaluation.predict import round_trip
from stratagem.evaluation.roundtrip import round_trips
from stratagem.resolution.plans import Plan, fit_plan

NAMES = ["background", "a", "b"]
COLUMNS = ["sample", "class", "tp", "fp", "fn", "tn"]


def _index(images, masks, classes=NAMES) -> pd.DataFrame:
    found = find(str(images), str(masks), "{stem}", None)
    return build_index(found, Wanted(classes, {"encoding": "indices"})).table


@pytest.fixture
def index(dataset) -> pd.DataFrame:
    """The index of the tests' data set; a pixel of each mask is ignored."""
    return _index(*dataset)


def _scores(table: pd.DataFrame) -> dict:
    """Each image a unit of its own."""
    samples = table["sample"].unique()
    return round_trip_scores(table.assign(fold=0), pd.Series(samples, index=samples), NAMES)


def _plan(index: pd.DataFrame, plan: str, **options) -> Plan:
    return fit_plan(plan, index[["height", "width"]].to_numpy(), 4, **options)


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        ("native", {}),
        ("pad", {}),
        ("bucket", {"buckets": 2}),
        ("tile", {"size": (4, 4), "overlap": 0.5}),
        ("resize", {"size": (36, 56)}),  # grows every image
    ],
)
def test_a_plan_that_does_not_shrink_loses_nothing(index, plan, options):
    """Every score is 1, and every pixel that is not ignored is counted."""
    table = round_trips(index, _plan(index, plan, **options), 3)
    assert set(_scores(table).values()) == {1.0}
    counted = table.groupby("sample")[["tp", "fp", "fn", "tn"]].sum().sum(axis=1) / 3
    area = index.set_index("sample")[["height", "width"]].prod(axis=1)
    assert counted.to_dict() == (area - 1).to_dict()


@pytest.mark.parametrize(("plan", "size"), [("resize", (4, 4)), ("letterbox", (4, 4))])
def test_a_plan_that_shrinks_loses_something(index, plan, size):
    """Its scores lie between 0 and 1, and shrinking more loses more."""
    half, quarter = (
        _scores(round_trips(index, _plan(index, plan, size=size), 3))
        for size in (size, (size[0] // 2, size[1] // 2))
    )
    for metric in ("dice", "iou"):
        assert 0 < quarter[metric, "mean"] < half[metric, "mean"] < 1


def test_rescaling_needs_the_size_of_each_image_s_pixels(index):
    """An image of pixels as large as asked for loses nothing; one of finer pixels is shrunk."""
    sizes = [2.0 if sample == "a" else 1.0 for sample in index["sample"]]
    table = round_trips(index.assign(pixel_size=sizes), Plan("rescale", 4, pixel_size=2.0), 3)
    wrong = table.groupby("sample")[["fp", "fn"]].sum().sum(axis=1)
    assert wrong["a"] == 0 and (wrong.drop("a") > 0).all()


def test_the_counts_are_those_worked_by_hand(tmp_path):
    """A 2x4 mask at 1x2, the nearest pixels of which are the second row's second and fourth: 1 and 0.

    Brought back, class 1 has 1, 0.75, 0.25 and 0 of each row: predicted are 1, 1, 0, 0, twice. The last
    pixel of the first row is ignored; wrong is the third of the second row alone.
    """
    mask = np.array([[1, 1, 0, 255], [1, 1, 1, 0]], np.uint8)
    for name, array in (("images", np.zeros((2, 4, 3), np.uint8)), ("masks", mask)):
        (tmp_path / name).mkdir()
        Image.fromarray(array).save(tmp_path / name / "x.png")
    index = _index(tmp_path / "images", tmp_path / "masks", NAMES[:2])
    table = round_trips(index, Plan("resize", 1, ((1, 2),)), 2)
    assert table.columns.tolist() == COLUMNS
    assert table.values.tolist() == [["x", 0, 2, 1, 0, 4], ["x", 1, 4, 0, 1, 2]]


def test_every_sample_has_a_row_a_class(dataset, index):
    """Samples stand in the index's order, with the counts of their masks' own round trip."""
    plan = _plan(index, "resize", size=(4, 8))
    table = round_trips(index, plan, 3)
    assert table[["sample", "class"]].values.tolist() == [[s, k] for s in index["sample"] for k in range(3)]
    for sample, rows in table.groupby("sample"):
        truth = np.array(Image.open(dataset[1] / f"{sample}.png"))
        known = counts(confusion(truth, round_trip(truth, plan, 3), 3))
        assert {name: rows[name].tolist() for name in known} == {k: v.tolist() for k, v in known.items()}
