"""A stored index is read with its files where they are."""

import json

import pandas as pd
import pytest

from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.rows import load


@pytest.fixture
def table(dataset, tmp_path):
    """The index of the tiny data set, stored beside it."""
    wanted = Wanted(["background", "cell", "edge"], {"encoding": "auto"})
    table = build_index(find(*map(str, dataset), "{stem}", None), wanted).table
    table.to_parquet(tmp_path / "index.parquet")
    return table


def test_without_a_record_files_are_where_they_were(table, tmp_path):
    """Of the demo, or of an older version."""
    pd.testing.assert_series_equal(
        load(tmp_path / "index.parquet")["image"], table["image"], check_dtype=False
    )


@pytest.mark.parametrize("columns", [None, ["sample", "height"]])
def test_an_index_of_an_older_version_is_of_colour_images(table, tmp_path, columns):
    """It has no column of channels; of a newer one some columns may be read alone, its channels with them."""
    path = tmp_path / "index.parquet"
    assert load(path, columns)["channels"].tolist() == [3] * len(table)
    if columns:
        assert load(path, columns).columns.tolist() == [*columns, "channels"]
    table.assign(channels=5).to_parquet(path)
    assert load(path, columns)["channels"].tolist() == [5] * len(table)
    table.drop(columns="channels").to_parquet(path)
    assert load(path, columns)["channels"].tolist() == [3] * len(table)


def test_files_are_where_they_are_now(table, dataset, tmp_path):
    """As the call that plans the jobs wrote it; a folder that stayed stays."""
    images, masks = dataset
    said = {"indexed": [str(images), str(masks)], "places": ["moved/images", str(masks)]}
    (tmp_path / "raw.json").write_text(json.dumps(said))
    found = load(tmp_path / "index.parquet")
    assert found["image"][0] == "moved/images/a.png"
    pd.testing.assert_series_equal(found["masks"].map(list), table["masks"].map(list))


def test_a_sheet_takes_its_files_along(dataset, tmp_path):
    """Their paths are relative to its folder."""
    row = pd.DataFrame({"image": ["old/sub/a.png"], "masks": [["old/a_m.png"]]})
    row.to_parquet(tmp_path / "index.parquet")
    said = {"indexed": ["old/samples.csv"], "places": ["new/samples.csv"]}
    (tmp_path / "raw.json").write_text(json.dumps(said))
    found = load(tmp_path / "index.parquet").iloc[0]
    assert (found["image"], list(found["masks"])) == ("new/sub/a.png", ["new/a_m.png"])
