"""A stored index is read with its files where they are, without its prints, which are read apart."""

import json

import pandas as pd

from stratagem.data.duplicates import Print, take_print
from stratagem.data.image import read_raw
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.rows import load, prints_of


def _stored(dataset, tmp_path):
    images, masks = dataset
    table = build_index(
        find(str(images), str(masks), "{stem}", None),
        Wanted(["background", "cell", "edge"], {"encoding": "auto"}),
    ).table
    table.to_parquet(tmp_path / "index.parquet")
    return table


def test_prints_are_read_apart(dataset, tmp_path):
    """They are larger than all the rest."""
    table = _stored(dataset, tmp_path)
    assert load(tmp_path / "index.parquet").columns.tolist() == [n for n in table.columns if n != "print"]
    assert load(tmp_path / "index.parquet", ["sample"]).columns.tolist() == ["sample"]
    assert prints_of(tmp_path / "index.parquet")["print"].tolist() == table["print"].tolist()


def test_an_older_index_has_its_prints_taken(dataset, tmp_path):
    """From the images."""
    table = _stored(dataset, tmp_path).drop(columns="print")
    table.to_parquet(tmp_path / "index.parquet")
    found = prints_of(tmp_path / "index.parquet")["print"].map(Print.from_bytes)
    assert found[0].digest == take_print(read_raw(table["image"][0])).digest


def test_files_are_where_they_are_now(dataset, tmp_path):
    """As the call that plans the jobs wrote it."""
    images, masks = dataset
    table = _stored(dataset, tmp_path)
    said = {"indexed": [str(images), str(masks)], "places": ["moved/images", str(masks)]}
    (tmp_path / "raw.json").write_text(json.dumps(said))
    found = load(tmp_path / "index.parquet")
    assert found["image"][0] == "moved/images/a.png"
    pd.testing.assert_series_equal(found["masks"].map(list), table["masks"].map(list))
