"""A collection's layout is named where files do not pair, and what is advised reads it."""

import re
import shlex

import pytest

from collecting import nnunet, picture, save
from stratagem.data.importers.formats import FORMATS
from stratagem.data.layouts import LAYOUTS, advice_by_layout
from stratagem.data.pairing import find
from stratagem.data.sheet import read_sheet


def _nnunet(folder):
    return nnunet(folder, channels=2)


def _voc(folder):
    for number in range(5):
        save(picture(), folder / "JPEGImages" / f"{number}.png")
    save(picture(1), folder / "SegmentationClass" / "3.png")


def _cityscapes(folder, kinds=("color", "labelIds", "labelTrainIds")):
    for split, number in (("train", 19), ("train", 20), ("val", 21), ("val", 22)):
        stem = f"{split}/ulm/ulm_000000_{number:06d}"
        save(picture(), folder / "leftImg8bit" / f"{stem}_leftImg8bit.png")
        for kind in kinds:
            save(picture(), folder / "gtFine" / f"{stem}_gtFine_{kind}.png")


def _kaggle(folder):
    for name in ("0a1b", "2c3d"):
        save(picture(), folder / name / "images" / f"{name}.png")
        save(picture(), folder / name / "masks" / f"{name}77.png")


MADE = {  # layout: how it is made, the folders of images and masks that a user may name
    "nnU-Net": (_nnunet, "imagesTr", "labelsTr"),
    "Pascal VOC": (_voc, "JPEGImages", "SegmentationClass"),
    "Cityscapes": (_cityscapes, "leftImg8bit/train", "gtFine/train"),
    "Kaggle's nuclei, a folder a sample": (_kaggle, ".", "."),
}


def _told(folder, images, masks):
    """Why no image has a mask."""
    found = find(str(folder / images), str(folder / masks), "{stem}_mask", None)
    assert found.samples == []
    return {one.reason for one in found.problems}  # of masks too, as any of them may be shown first


@pytest.mark.parametrize("name", MADE)
def test_the_layout_is_named_and_the_advice_reads_it(tmp_path, name, monkeypatch):
    """I name folders of the collection; whatever the message says, followed, gives samples."""
    make, images, masks = MADE[name]
    folder = tmp_path / "my data"
    make(folder)
    reasons = _told(folder, images, masks)
    assert reasons and all(f"; this is the layout of {name}: " in reason for reason in reasons)
    advised = reasons.pop().split(f"layout of {name}: ")[1]
    monkeypatch.chdir(tmp_path)
    if "import_data.py" in advised:
        kind, *places = shlex.split(re.search(r"import_data\.py ([^`]+)`", advised)[1])
        places, out = places[: places.index("--out")], places[-1]
        FORMATS[kind][0](*places, out=out)
        found = read_sheet(f"{out}/samples.csv", None)
    else:
        keys = dict(re.findall(r'`(\w+): "?([^`"]+)"?`', advised))
        found = find(keys["images"], keys["masks"], keys["mask_name"], None, image_name=keys["image_name"])
    assert found.samples and not found.problems


def test_every_layout_is_tried():
    """None is offered that was never read."""
    assert MADE.keys() == {layout.name for layout in LAYOUTS}


def test_of_cityscapes_masks_those_that_are_there_are_named(tmp_path):
    """Labels for training are made by its own scripts; before, there are only the ids."""
    _cityscapes(tmp_path, kinds=("color", "labelIds"))
    assert "_gtFine_labelIds" in advice_by_layout(str(tmp_path / "leftImg8bit" / "train"))


def test_plain_folders_are_no_collection(tmp_path):
    """Images and masks side by side, however few; two sets side by side."""
    for name in ("one", "two"):
        save(picture(), tmp_path / name / "images" / "a.png")
        save(picture(), tmp_path / name / "images" / "b.png")
        save(picture(), tmp_path / name / "masks" / "c.png")
        assert advice_by_layout(str(tmp_path / name / "images"), str(tmp_path / name / "masks")) == ""
    assert advice_by_layout(str(tmp_path)) == ""


def test_where_most_images_have_a_mask_no_layout_is_offered(tmp_path):
    """One mask of five is missing: that is a missing mask."""
    _voc(tmp_path)
    for number in range(1, 5):
        save(picture(1), tmp_path / "SegmentationClass" / f"{number}.png")
    found = find(str(tmp_path / "JPEGImages"), str(tmp_path / "SegmentationClass"), "{stem}", None)
    assert len(found.samples) == 4
    assert not any("layout" in one.reason for one in found.problems)
