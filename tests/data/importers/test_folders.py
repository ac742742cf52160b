"""A folder for each sample becomes a sample sheet."""

import pytest

from collecting import block, picture, refused, save, sheet, study
from stratagem.data.collection import samples_of
from stratagem.data.importers.folders import import_folders
from stratagem.data.index import Wanted, build_index


@pytest.fixture
def nuclei(tmp_path):
    """Two samples of two and one objects, as Kaggle keeps them."""
    for name, count in (("0a1b", 2), ("2c3d", 1)):
        save(picture(9), tmp_path / "train" / name / "images" / f"{name}.png")
        for number in range(count):
            part = 255 * block(slice(1, 3), slice(3 * number, 3 * number + 2))
            save(part, tmp_path / "train" / name / "masks" / f"{name}{number}ff.png")
    return tmp_path / "train"


def test_the_objects_of_an_image_are_rows_of_it(nuclei, tmp_path):
    """Three rows of two images; the index unites them."""
    said = import_folders(nuclei, tmp_path / "out")
    assert said[0].startswith("2 samples") and len(said) == 2
    assert len(sheet(tmp_path / "out")) == 3
    keys = study(tmp_path / "out") | {"sheet": str(tmp_path / "out" / "samples.csv")}
    table = build_index(samples_of(keys, None, None), Wanted(keys["classes"], keys["labels"])).table
    assert table["pixels_1"].tolist() == [8, 4]
    assert table["objects_1"].tolist() == [2, 1]


def test_samples_without_a_mask_are_counted(nuclei, tmp_path):
    """Such as those of a test set, whose masks nobody published."""
    save(picture(), nuclei / "4e5f" / "images" / "4e5f.png")
    assert import_folders(nuclei, tmp_path / "out")[2:] == ["Left out: 1 samples without a mask."]


def test_every_sample_that_is_none_is_told(nuclei, tmp_path):
    """Of two images, of none; a folder of something else is passed over."""
    save(picture(), nuclei / "0a1b" / "images" / "second.png")
    (nuclei / "none" / "images").mkdir(parents=True)
    (nuclei / "notes").mkdir()
    refused(
        lambda: import_folders(nuclei, tmp_path / "out"),
        "2 faults",
        "0a1b/images holds 2 images",
        "none/images holds 0 images",
        out=tmp_path / "out",
    )
    refused(
        lambda: import_folders(nuclei / "notes", tmp_path / "out"),
        "in each sample's folder, but found none",
        out=tmp_path / "out",
    )
