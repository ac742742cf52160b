"""Files of labelme become class masks."""

import base64
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from collecting import SIZE, drawn, picture, refused, save, sheet, study, write_json
from stratagem.data.importers.labelme import import_labelme


def _labelme(folder, name="a", *shapes, **changes):
    """A JSON file as labelme 5 writes it, beside its image; shapes are (kind, label, points)."""
    save(picture(), folder / f"{name}.png")
    record = {
        "version": "5.5.0",
        "flags": {},
        "shapes": [
            {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
            for kind, label, points in shapes
        ],
        "imagePath": f"{name.rpartition('/')[2]}.png",
        "imageData": None,
        "imageHeight": SIZE[0],
        "imageWidth": SIZE[1],
    }
    return write_json(record | changes, folder / f"{name}.json")


SQUARE = [[1, 1], [4, 1], [4, 3], [1, 3]]


def test_shapes_become_classes_by_the_alphabet(tmp_path):
    """A polygon and a rectangle given from its lower right corner; the later lies on top."""
    _labelme(tmp_path / "in", "a", ("polygon", "vein", SQUARE), ("rectangle", "cell", [[6, 4], [3, 2]]))
    said = import_labelme(tmp_path / "in", tmp_path / "out")
    expected = np.zeros(SIZE, np.uint8)
    expected[1:3, 1:4], expected[2:4, 3:6] = 2, 1
    np.testing.assert_array_equal(drawn(tmp_path / "out"), expected)
    assert study(tmp_path / "out")["classes"] == ["background", "cell", "vein"]
    assert study(tmp_path / "out")["labels"] == {"encoding": "indices", "ignore": 255}
    assert len(said) == 2


def test_a_circle_is_given_by_its_centre_and_a_point_on_it(tmp_path):
    """Of radius 2 about (4, 3): a pixel is inside where its centre is."""
    _labelme(tmp_path / "in", "a", ("circle", "cell", [[4, 3], [4, 5]]))
    import_labelme(tmp_path / "in", tmp_path / "out")
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    np.testing.assert_array_equal(drawn(tmp_path / "out"), np.hypot(x - 4, y - 3) < 2)


def test_a_mask_lies_at_its_upper_left_corner(tmp_path):
    """labelme keeps the mask of an object as a PNG file in base 64."""
    file = io.BytesIO()
    part = np.array([[1, 0, 1], [0, 1, 1]], bool)
    Image.fromarray(part).save(file, "PNG")
    path = _labelme(tmp_path / "in", "a", ("mask", "cell", [[2, 1], [4, 2]]))
    text = path.read_text().replace(
        '"flags": {}}]', f'"mask": "{base64.b64encode(file.getvalue()).decode()}"}}]'
    )
    path.write_text(text)
    import_labelme(tmp_path / "in", tmp_path / "out")
    expected = np.zeros(SIZE, np.uint8)
    expected[1:3, 2:5] = part
    np.testing.assert_array_equal(drawn(tmp_path / "out"), expected)


def test_labelme_s_own_words_are_kept(tmp_path):
    """`_background_` cuts a hole, `__ignore__` is no class."""
    shapes = [("polygon", "cell", SQUARE), ("rectangle", "_background_", [[1, 1], [2, 2]])]
    _labelme(tmp_path / "in", "a", *shapes, ("rectangle", "__ignore__", [[5, 4], [7, 5]]))
    import_labelme(tmp_path / "in", tmp_path / "out")
    assert study(tmp_path / "out")["classes"] == ["background", "cell"]
    mask = drawn(tmp_path / "out")
    assert (mask[1, 1], mask[1, 2], mask[4, 5]) == (0, 1, 255)


def test_what_is_not_drawn_is_counted(tmp_path):
    """Lines and points, images without an object, images without a file, outlines without a pixel."""
    _labelme(tmp_path / "in", "a", ("polygon", "cell", SQUARE), ("line", "cell", [[0, 0], [3, 3]]))
    _labelme(tmp_path / "in", "deep/b", ("point", "spot", [[1, 1]]))
    _labelme(tmp_path / "in", "c", ("rectangle", "cell", [[1.1, 1.1], [1.2, 1.2]]))
    save(picture(), tmp_path / "in" / "d.png")
    said = import_labelme(tmp_path / "in", tmp_path / "out")
    assert said[2:] == [
        "Left out: 1 shapes of kind line, which enclose nothing.",
        "Left out: 1 shapes of kind point, which enclose nothing.",
        "All background: 1 images without an object.",
        "Left out: 1 images that the annotations do not name.",
        "Too small to hold a pixel: 1 outlines.",
    ]
    assert study(tmp_path / "out")["classes"] == ["background", "cell"]
    assert sheet(tmp_path / "out")["mask"].tolist() == ["masks/a.png", "masks/c.png", "masks/deep/b.png"]


def test_old_files_and_those_of_windows_are_read(tmp_path):
    """Without a shape's kind, without a size, the image named with backslashes."""
    save(picture(), tmp_path / "in" / "images" / "a.png")
    shapes = [{"label": "cell", "points": SQUARE}]
    write_json({"shapes": shapes, "imagePath": "..\\images\\a.png"}, tmp_path / "in" / "json" / "a.json")
    import_labelme(tmp_path / "in", tmp_path / "out")
    assert drawn(tmp_path / "out").sum() == 6


def test_every_fault_is_in_one_error(tmp_path):
    """A file of another tool, a missing image, another size, two files of one image, no outlines."""
    folder, out = tmp_path / "in", tmp_path / "out"
    write_json({"images": []}, folder / "other.json")
    _labelme(folder, "gone", ("polygon", "cell", SQUARE), imagePath="no.png")
    _labelme(folder, "large", ("polygon", "cell", SQUARE), imageHeight=99)
    _labelme(folder, "twin", ("polygon", "cell", SQUARE), imagePath="two.png")
    _labelme(folder, "two", ("polygon", "cell", SQUARE[:2]), ("rectangle", "cell", SQUARE))
    _labelme(
        folder, "far", ("polygon", "cell", [[0, 0], [1e9, 0], [0, 9]]), ("mask", "cell", [[0, 0], [1, 1]])
    )
    _labelme(folder, "wide", ("circle", "cell", [[15, 12], [-7, -5]]))  # whose points alone would fit
    refused(
        lambda: import_labelme(folder, out),
        "other.json: expected a JSON file with shapes, imagePath",
        "no.png is missing",
        "large.png is 6x8 (height x width), not 99x8 as declared",
        f"image '{folder / 'two.png'}' is given 2 times",
        "two.json: shapes.0: a polygon of 2 points; ",
        "two.json: shapes.1: a rectangle of 4 points; ",
        "far.json: shapes.0: a polygon whose outline does not fit the image's size",
        "far.json: shapes.1: a mask that cannot be read",
        "wide.json: shapes.0: a circle whose outline does not fit the image's size",
        out=out,
    )


def test_a_mask_that_claims_to_be_huge_is_a_fault(tmp_path):
    """A few bytes of PNG may declare more pixels than memory holds."""
    file = io.BytesIO()
    Image.new("1", (2, 2)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path = _labelme(tmp_path / "in", "a", ("mask", "cell", [[2, 1], [4, 2]]))
    mask = base64.b64encode(data).decode()
    path.write_text(path.read_text().replace('"flags": {}}]', f'"mask": "{mask}"}}]'))
    out = tmp_path / "out"
    refused(lambda: import_labelme(tmp_path / "in", out), "shapes.0: a mask that cannot be read", out=out)


def test_a_shape_of_another_program_is_a_fault(tmp_path):
    """Left out, its pixels would become background."""
    _labelme(tmp_path / "in", "a", ("rotation", "cell", SQUARE))
    out = tmp_path / "out"
    refused(lambda: import_labelme(tmp_path / "in", out), "a rotation where there may be polygon, ", out=out)


def test_an_image_is_found_beside_its_file_and_a_mark_of_bytes_is_read(tmp_path):
    """The path is of the machine where it was labelled; the file begins with a byte order mark."""
    path = _labelme(tmp_path / "in", "a", ("polygon", "cell", SQUARE), imagePath="C:\\pics\\a.png")
    path.write_text(path.read_text(), encoding="utf-8-sig")
    import_labelme(tmp_path / "in", tmp_path / "in" / "out")
    assert drawn(tmp_path / "in" / "out").sum() == 6


def test_a_folder_without_files_is_told_as_one(tmp_path):
    """Images alone."""
    save(picture(), tmp_path / "in" / "a.png")
    out = tmp_path / "out"
    refused(lambda: import_labelme(tmp_path / "in", out), "found no JSON file", out=out)


@pytest.mark.parametrize("shapes", [[], [("line", "cell", [[0, 0], [3, 3]])]])
def test_a_folder_without_an_object_is_refused(tmp_path, shapes):
    """Nothing could be learned from it."""
    _labelme(tmp_path / "in", "a", *shapes)
    refused(
        lambda: import_labelme(tmp_path / "in", tmp_path / "out"),
        "no object of any class",
        out=tmp_path / "out",
    )
