"""Raw files are walked once a call; what counts is their content, and jobs read what the call found."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.data import raw
from stratagem.data.files import image_files
from stratagem.data.raw import (
    as_indexed,
    fingerprint,
    found,
    present_places,
    record_contents,
    remembered,
)
from stratagem.data.rows import load

KEYS = {"classes": ["background", "cell"], "labels": {"encoding": "auto"}, "mask_name": "{stem}"}


@pytest.fixture
def places(dataset):
    """The two folders of the tiny data set."""
    return [str(folder) for folder in dataset]


@pytest.fixture
def study(places, tmp_path):
    """The folder of a study whose data were indexed."""
    folder = tmp_path / "results" / "one"
    digest = found(places, folder)
    data = KEYS | {"images": places[0], "masks": places[1]}
    record_contents(data, data, digest, folder)
    (folder / "index.parquet").touch()
    return folder


@pytest.fixture
def hashed(monkeypatch):
    """The files whose content was looked at."""
    seen = []
    content = raw._content
    monkeypatch.setattr(raw, "_content", lambda path: seen.append(path.name) or content(path))
    return seen


def _touch(*paths):
    for path in paths:
        os.utime(path, ns=(1, 1))


def test_a_job_reads_what_the_call_found(places, tmp_path):
    """Also one on another machine, and though the files changed meanwhile: they were planned together."""
    digest = found(places, tmp_path / "study")
    next((tmp_path / "images").rglob("*.png")).unlink()
    assert remembered(places, tmp_path / "study") == digest
    assert found(places, tmp_path / "study") != digest


def test_a_dry_run_writes_nothing(places, tmp_path):
    """It starts no job that would read it."""
    before = sorted(tmp_path.rglob("*"))
    assert found(places, tmp_path / "study", record=False) == fingerprint(*places)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", [None, "{", "[]", '{"places": ["elsewhere"], "files": "x"}'])
def test_without_a_record_that_fits_a_job_looks_itself(places, tmp_path, content):
    """Missing, damaged, or of other folders."""
    if content is not None:
        (tmp_path / "raw.json").write_text(content)
    assert remembered(places, tmp_path) == fingerprint(*places)


def test_what_was_walked_already_is_not_walked_again(places, tmp_path):
    """A caller's own listing gives the same digest; another one another."""
    listed = {Path(place): list(image_files(Path(place))) for place in places}
    assert fingerprint(*places, files=listed.__getitem__) == fingerprint(*places)
    assert fingerprint(*places, files=lambda folder: listed[folder][1:]) != fingerprint(*places)


def test_touched_files_of_the_same_content_are_the_same_data(places, study, hashed):
    """Only they are hashed, and once: the record then has their times."""
    digest = found(places, study)
    assert hashed == []
    _touch(Path(places[0], "a.png"), Path(places[1], "sub/f.png"))
    assert found(places, study) == digest
    assert hashed == ["a.png", "f.png"]
    assert found(places, study) == digest
    assert len(hashed) == 2


def test_another_content_is_other_data(places, study, hashed):
    """Also of the same size; a file of another size, one more or one less is not even hashed."""
    digest = found(places, study)
    path = Path(places[0], "a.png")
    path.write_bytes(path.read_bytes()[::-1])
    assert found(places, study) != digest
    path.write_bytes(path.read_bytes()[::-1])
    assert found(places, study) == digest  # as it was
    hashed.clear()
    path.write_bytes(path.read_bytes() + b"x")
    assert found(places, study) != digest
    path.unlink()
    assert found(places, study) != digest
    assert hashed == []


def test_a_record_of_version_0_2_is_kept(places, tmp_path):
    """It has the digest of names, sizes and times, which is today's at first sight."""
    digest = fingerprint(*places)
    (tmp_path / "raw.json").write_text(f'{{"places": {list(places)}, "files": "{digest}"}}'.replace("'", '"'))
    assert found(places, tmp_path) == digest


def test_moved_folders_are_the_same_data(places, study, tmp_path):
    """Copied with other times too: the keys stay those of the index, its files are found where they are."""
    digest = found(places, study)
    now = [str(tmp_path / "elsewhere" / name) for name in ("images", "masks")]
    for old, new in zip(places, now, strict=True):
        shutil.copytree(old, new, copy_function=shutil.copyfile)
        shutil.rmtree(old)
    assert found(now, study) == digest
    data = KEYS | {"images": now[0], "masks": now[1]}
    kept = as_indexed(data, study, digest)
    assert kept == KEYS | {"images": places[0], "masks": places[1]}
    assert present_places(kept, study) == data
    index = pd.DataFrame({"image": [f"{places[0]}/a.png"], "masks": [[f"{places[1]}/a.png"]]})
    index.to_parquet(study / "index.parquet")
    row = load(study / "index.parquet").iloc[0]
    assert (row["image"], list(row["masks"])) == (f"{now[0]}/a.png", [f"{now[1]}/a.png"])


def test_a_renamed_class_is_the_same_data(places, study):
    """As long as its number stays; another number of classes, or another encoding, is not."""
    digest = found(places, study)
    data = KEYS | {"images": places[0], "masks": places[1]}
    assert as_indexed(data | {"classes": ["background", "nucleus"]}, study, digest) == data
    for change in (
        {"classes": ["a", "b", "c"]},
        {"labels": {"encoding": "binary"}},
        {"mask_name": "{stem}_m"},
    ):
        assert as_indexed(data | change, study, digest) == data | change
    assert as_indexed(data | {"classes": ["a", "b"]}, study, "other")["classes"] == ["a", "b"]


def test_names_in_labels_stand_for_numbers(places, study):
    """Classes that exchange their values exchange their numbers, and are other data."""
    digest = found(places, study)
    values = {"encoding": "values", "values": {"background": [0], "cell": [255]}}
    data = KEYS | {"images": places[0], "masks": places[1], "labels": values}
    record_contents(data, data, digest, study)
    renamed = values | {"values": {"background": [0], "nucleus": [255]}}
    same = data | {"classes": ["background", "nucleus"], "labels": renamed}
    assert as_indexed(same, study, digest) == data
    exchanged = data | {"labels": values | {"values": {"background": [255], "cell": [0]}}}
    assert as_indexed(exchanged, study, digest) == exchanged


def test_the_fingerprint_sees_every_change(dataset):
    """The fingerprint changes with a file's size, time or name, and with nothing else."""
    images, masks = dataset
    before = fingerprint(images, masks)
    (images / "notes.txt").write_text("seen by nobody")
    (images / "broken.png").symlink_to(images / "nowhere.png")
    assert fingerprint(images, masks) == before
    _touch(images / "a.png")
    touched = fingerprint(images, masks)
    (images / "a.png").rename(images / "z.png")
    renamed = fingerprint(images, masks)
    (masks / "sub/f.png").write_bytes(b"x")
    assert len({before, touched, renamed, fingerprint(images, masks)}) == 4


def test_the_fingerprint_sees_a_change_of_a_sheet(tmp_path):
    """A change of a sheet, or of a file that it lists, is seen; a file that it does not list counts not."""
    for name in ("a.png", "a_m.png", "b.png"):
        Image.fromarray(np.zeros((1, 2), np.uint8)).save(tmp_path / name)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("image,mask\na.png,a_m.png\n")
    before = fingerprint(sheet)
    _touch(tmp_path / "b.png")
    assert fingerprint(sheet) == before
    _touch(tmp_path / "a_m.png")
    touched = fingerprint(sheet)
    sheet.write_text("image,mask\na.png,a_m.png\nno.png,no.png\n")
    assert len({before, touched, fingerprint(sheet)}) == 3


def test_an_index_of_version_0_2_keeps_its_inputs(places, tmp_path):
    """It named the folders as inputs; one made since does not, and this never changes for a study."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "index.parquet").touch()
    for folder, named in ((old, True), (new, False)):
        digest = found(places, folder)
        assert raw.names_inputs(folder) is named
        data = KEYS | {"images": places[0], "masks": places[1]}
        record_contents(data, data, digest, folder)
        (folder / "index.parquet").touch()
        assert found(places, folder) == digest
        assert raw.names_inputs(folder) is named
