"""Annotations of CVAT become class masks."""

import numpy as np
import pytest

from collecting import SIZE, drawn, picture, refused, save, sheet, study
from stratagem.data.importers.cvat import import_cvat

LABELS = "<labels><label><name>vein</name></label><label><name>cell</name></label></labels>"


def _cvat(folder, *shapes, meta=f"<meta><task>{LABELS}</task></meta>", more="", name="a.png"):
    """A file as CVAT exports it, and its folder of images."""
    save(picture(), folder / "images" / name)
    height, width = SIZE
    body = f'<image id="0" name="{name}" width="{width}" height="{height}">{"".join(shapes)}</image>'
    path = folder / "annotations.xml"
    head = '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
    path.write_text(f"{head}{meta}{body}{more}</annotations>", encoding="utf-8")
    return path, folder / "images"


def _polygon(label="cell", points="1,1;4,1;4,3;1,3", order=0):
    said = f'label="{label}" source="manual" occluded="0" points="{points}" z_order="{order}"'
    return f"<polygon {said}></polygon>"


def _box(label, corners, **more):
    values = dict(zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)) | more
    said = " ".join(f'{key}="{value}"' for key, value in values.items())
    return f'<box label="{label}" {said}/>'


def test_polygons_and_boxes_become_classes_in_the_task_s_order(tmp_path):
    """`vein` stands before `cell` in the task; of one order the later lies on top."""
    said = import_cvat(*_cvat(tmp_path, _polygon(), _box("vein", (3, 2, 6, 4))), tmp_path / "out")
    expected = np.zeros(SIZE, np.uint8)
    expected[1:3, 1:4], expected[2:4, 3:6] = 2, 1
    np.testing.assert_array_equal(drawn(tmp_path / "out"), expected)
    assert study(tmp_path / "out")["classes"] == ["background", "vein", "cell"]
    assert len(said) == 2


def test_z_order_goes_before_the_order_of_the_file(tmp_path):
    """A polygon of order 1, above a box that comes after it."""
    import_cvat(*_cvat(tmp_path, _polygon(order=1), _box("vein", (0, 0, 8, 6))), tmp_path / "out")
    assert drawn(tmp_path / "out")[1, 1] == 2 and drawn(tmp_path / "out")[0, 0] == 1


def test_run_lengths_go_row_by_row_in_their_rectangle(tmp_path):
    """They begin outside the object: 1 0 1 / 0 1 1, three wide, at x 2 and y 1."""
    mask = '<mask label="cell" rle="0, 1, 1, 1, 1, 2" left="2" top="1" width="3" height="2" z_order="0"/>'
    import_cvat(*_cvat(tmp_path, mask), tmp_path / "out")
    expected = np.zeros(SIZE, np.uint8)
    expected[1:3, 2:5] = [[1, 0, 1], [0, 1, 1]]
    np.testing.assert_array_equal(drawn(tmp_path / "out"), expected)


def test_ellipses_and_turned_boxes_are_drawn(tmp_path):
    """An ellipse by its half axes; a box of 4x2 that is turned by 90 degrees is one of 2x4."""
    ellipse = '<ellipse label="vein" cx="2" cy="3" rx="2" ry="1" rotation="90"/>'
    turned = _box("cell", (4, 2, 8, 4), rotation=90)
    import_cvat(*_cvat(tmp_path, ellipse, turned), tmp_path / "out")
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    expected = (((x - 2) / 1) ** 2 + ((y - 3) / 2) ** 2 < 1).astype(np.uint8)
    expected[1:5, 5:7] = 2
    np.testing.assert_array_equal(drawn(tmp_path / "out"), expected)


def test_what_is_not_drawn_is_counted(tmp_path):
    """Points and tags; an image without an object; an unused label is no class, nor is the background."""
    more = f'<image id="1" name="deep/b.png" width="{SIZE[1]}" height="{SIZE[0]}"></image>'
    save(picture(), tmp_path / "images" / "deep" / "b.png")
    shapes = [_polygon(), _polygon("background", "1,1;2,1;2,2;1,2"), '<tag label="cell"/>']
    points = '<points label="cell" points="1,1"/>'
    said = import_cvat(*_cvat(tmp_path, *shapes, points, points, more=more), tmp_path / "out")
    assert said[2:] == [
        "Left out: 1 of <tag>, which are not drawn.",
        "Left out: 2 of <points>, which are not drawn.",
        "All background: 1 images without an object.",
    ]
    assert study(tmp_path / "out")["classes"] == ["background", "cell"]
    assert drawn(tmp_path / "out")[1, 1] == 0
    assert sheet(tmp_path / "out")["mask"].tolist() == ["masks/a.png", "masks/deep/b.png"]


def test_every_fault_is_in_one_error(tmp_path):
    """Images that are missing or of another size, outlines that are none, run lengths that fall short."""
    more = '<image name="no.png" width="8" height="6"/><image name="a.png" width="9" height="6"/>'
    save(picture(), tmp_path / "images" / "c.png")
    more += (
        '<image name="c.png" width="8" height="6"/>' * 2
        + '<image name="../a.png" width="8" height="6"/><image name="b.png" width="x" height="6"/>'
    )
    short = '<mask label="cell" rle="1, 2" left="0" top="0" width="3" height="2"/>'
    large = '<mask label="cell" rle="0, 900000000000" left="0" top="0" width="9000000" height="100000"/>'
    shapes = [_polygon(points="1,1;2,2"), _polygon(points="1,1;9999,2;3,3"), _polygon(points="a,b"), short]
    shapes.append(large)
    shapes += [_box("cell", ("nan", 0, 1, 1)), '<ellipse label="cell" cx="1" cy="1" rx="0" ry="1"/>']
    refused(
        lambda: import_cvat(*_cvat(tmp_path, *shapes, more=more), tmp_path / "out"),
        "no.png is missing",
        "a.png is 6x8 (height x width), not 6x9 as declared",
        "image '../a.png' is no path below the image folder",
        "image 'b.png': width: ",
        "a.png: shape 0, points: List should have at least 6 items",
        "a.png: shape 1, a polygon whose outline does not fit the image's size",
        "a.png: shape 2, points.0: ",
        "a.png: shape 3, a mask whose `rle` is of 3 pixels, not of 3x2",
        "a.png: shape 4, a mask that is larger than the image",
        "a.png: shape 5, xtl: ",
        "a.png: shape 6, rx: ",
        "c' is given 2 times",
        out=tmp_path / "out",
    )


BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>
<annotations><image name="&c;" width="8" height="6"/></annotations>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>
<annotations><image name="&b;" width="8" height="6"/></annotations>"""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (BOMB, "declares entities, which are never expanded"),
        (OUTSIDE, "declares entities, which are never expanded"),
        ("<annotations><image", "cannot be read (unclosed token"),
        ("<annotations><track id='0'/></annotations>", "tracks of a video"),
        ('<?xml version="1.0" encoding="foo"?><annotations/>', "cannot be read (unknown encoding"),
        ('<?xml version="1.0" encoding="shift_jis"?><annotations/>', "cannot be read (multi-byte encodings"),
        ("<annotations/>", "no image in it"),
        ("<annotation/>", "an XML file of another kind"),
        (None, "No such file"),
    ],
)
def test_what_is_no_file_of_cvat_is_refused(tmp_path, text, word):
    """Entities are never expanded, by which a small file becomes a large one or reads another."""
    path, images = _cvat(tmp_path, _polygon())
    path.unlink() if text is None else path.write_text(text)
    refused(
        lambda: import_cvat(path, images, tmp_path / "out"), word, "CVAT for images", out=tmp_path / "out"
    )


def test_a_project_has_a_folder_for_each_subset_and_frames_have_an_ending(tmp_path):
    """One name in two subsets is two images; `frame_000000` of a video is `frame_000000.PNG`."""
    size = f'width="{SIZE[1]}" height="{SIZE[0]}"'
    more = f'<image name="a.png" subset="Val" {size}>{_polygon()}</image>'
    more += f'<image name="frame_000000" {size}></image>'
    path, images = _cvat(tmp_path, _polygon("vein"), more=more)
    path.write_text(
        path.read_text().replace('<image id="0" name="a.png"', '<image subset="Train" name="a.png"')
    )
    (images / "a.png").unlink()
    for name in ("Train/a.png", "Val/a.png", "frame_000000.PNG", "spare.png"):
        save(picture(), images / name)
    out = images / "out"  # whose masks are none of the images that are not named
    said = import_cvat(path, images, out)
    assert sheet(out)["mask"].tolist() == [
        "masks/Train/a.png",
        "masks/Val/a.png",
        "masks/frame_000000.png",
    ]
    assert drawn(out, 0).max() == 1 and drawn(out, 1).max() == 2
    assert "Left out: 1 images that the annotations do not name." in said
