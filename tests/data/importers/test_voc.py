"""Folders in Pascal VOC's form become sample sheets."""

import numpy as np
import pytest
from PIL import Image

from collecting import SIZE, picture, refused, save, sheet, study
from stratagem.data.collection import samples_of
from stratagem.data.importers.voc import OWN, import_voc
from stratagem.data.index import Wanted, build_index


def _palette(values: np.ndarray, path):
    """A mask as VOC keeps them: indices into a palette of colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    image.putpalette([(37 * value) % 256 for value in range(768)])
    image.save(path)


@pytest.fixture
def voc(tmp_path):
    """Three images, masks of two of them: ground, cow, and 255 along the edge."""
    for name in ("2007_a", "2007_b", "2008_c"):
        save(picture(9, (*SIZE, 3)), tmp_path / "VOC" / "JPEGImages" / f"{name}.png")
    for name in ("2007_a", "2008_c"):
        mask = picture(0)
        mask[2:, :4], mask[0] = 10, 255
        _palette(mask, tmp_path / "VOC" / "SegmentationClass" / f"{name}.png")
    return tmp_path / "VOC"


def test_images_with_a_mask_are_listed_with_voc_s_classes(voc, tmp_path):
    """Those that the masks hold, by the index in the palette; images without a mask are counted."""
    said = import_voc(voc, tmp_path / "out")
    assert said[0].startswith("2 samples")
    assert said[2:] == [
        "Classes by their numbers in Pascal VOC: background, cow.",
        "Left out: 1 images without a mask.",
    ]
    assert sheet(tmp_path / "out")["image"].str.contains("2007_a|2008_c").all()
    assert study(tmp_path / "out")["classes"] == ["background", "cow"]
    assert len(OWN) == 21 and OWN[10] == "cow" and OWN[20] == "tvmonitor"


def test_what_is_written_reads(voc, tmp_path):
    """The sheet, classes and labels as the index takes them: a cow is a cow, 255 is ignored."""
    import_voc(voc, tmp_path / "out")
    keys = study(tmp_path / "out") | {"sheet": str(tmp_path / "out" / "samples.csv")}
    table = build_index(samples_of(keys, None, None), Wanted(keys["classes"], keys["labels"])).table
    assert table["pixels_1"].tolist() == [16, 16]
    assert table["pixels_0"].tolist() == [40 - 16, 40 - 16]


def test_colours_of_a_labelmap_are_the_classes(tmp_path):
    """CVAT's `Segmentation mask`: colours, and what they are in labelmap.txt."""
    save(picture(9, (*SIZE, 3)), tmp_path / "in" / "JPEGImages" / "a.png")
    mask = picture(0, (*SIZE, 3))
    mask[2, 3] = 250, 50, 83
    save(mask, tmp_path / "in" / "SegmentationClass" / "a.png")
    lines = [
        "# label:color_rgb:parts:actions",
        "cell:250, 50, 83::",
        "background:0,0,0::",
        "vein:1,2,3::",
        "",
    ]
    (tmp_path / "in" / "labelmap.txt").write_text("\n".join(lines), encoding="utf-8-sig")
    said = import_voc(tmp_path / "in", tmp_path / "out")
    assert said[2:] == ["Labels without a pixel, left out: vein."]
    assert study(tmp_path / "out")["classes"] == ["background", "cell"]
    colours = {"cell": "#fa3253", "background": "#000000"}
    assert study(tmp_path / "out")["labels"] == {"encoding": "colours", "colours": colours}


def test_a_labelmap_that_is_none_is_refused(voc, tmp_path):
    """Every line of it."""
    labelmap = voc / "labelmap.txt"
    labelmap.write_bytes("background:0,0,0::\nrötlich:1,2,3::".encode("latin-1"))
    refused(lambda: import_voc(voc, tmp_path / "out"), "`r\ufffdtlich:1,2,3::`", out=tmp_path / "out")
    labelmap.write_text("cell:250,50\nvein:1,2,256::\n")
    words = ["3 faults", "`cell:250,50`", "`vein:1,2,256::`", "no line of `background`"]
    refused(lambda: import_voc(voc, tmp_path / "out"), *words, out=tmp_path / "out")


def test_a_mask_without_an_image_and_a_missing_folder_are_told(voc, tmp_path):
    """No mask is left out in silence."""
    (voc / "JPEGImages" / "2007_a.png").unlink()
    refused(lambda: import_voc(voc, tmp_path / "out"), "2007_a.png has no image", out=tmp_path / "out")
    refused(
        lambda: import_voc(tmp_path, tmp_path / "out"), "JPEGImages: expected a folder", out=tmp_path / "out"
    )


def test_masks_of_other_classes_are_not_named_as_voc_s(voc, tmp_path):
    """A value above 20, and colours: the classes of another collection must be named."""
    save(picture(21), voc / "SegmentationClass" / "2007_a.png")
    red = picture(1, (*SIZE, 3)) * np.array([200, 0, 0], np.uint8)
    save(red, voc / "SegmentationClass" / "2007_b.png")
    words = ["2007_a.png holds colours, or values", "2007_b.png holds colours, or values", "labelmap.txt"]
    refused(lambda: import_voc(voc, tmp_path / "out"), *words, out=tmp_path / "out")


def test_colours_must_be_told_apart_and_be_named(voc, tmp_path):
    """One colour of two labels, a label twice; a colour of a mask that no label has."""
    labelmap = voc / "labelmap.txt"
    labelmap.write_text("background:0,0,0::\ncell:9,9,9::\nvein:9,9,9::\ncell:1,1,1::\n")
    words = ["label 'cell' is given 2 times", "colour '#090909' is given 2 times"]
    refused(lambda: import_voc(voc, tmp_path / "out"), *words, out=tmp_path / "out")
    labelmap.write_text("background:0,0,0::\ncell:9,9,9::\n")
    words = ["2007_a.png holds #", "which labelmap.txt does not name"]
    refused(lambda: import_voc(voc, tmp_path / "out"), *words, out=tmp_path / "out")
