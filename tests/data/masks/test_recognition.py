"""How a set of masks is encoded comes from the set or the config, and is told with what is odd about it."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml

from stratagem.core.errors import DataError
from stratagem.data.labels import IGNORE, Encoding, RawMask, to_classes
from stratagem.data.masks.evidence import Summary, piece_of, summarise
from stratagem.data.masks.recognition import recognise, undeclared

TWO = ["background", "nucleus"]
THREE = ["background", "nucleus", "edge"]
AUTO = {"encoding": "auto"}
SIDE = 64


def _blobs(number: int, count: int = 3, side: int = SIDE) -> np.ndarray:
    """A mask's truth: discs that do not touch, numbered 1 .. count, on 0."""
    rng = np.random.default_rng(number)
    objects = np.zeros((side, side), np.int32)
    cells = rng.permutation(16)[:count]
    for label, cell in enumerate(cells.tolist(), start=1):
        row, column = (side // 4 * place + side // 8 for place in divmod(cell, 4))
        cv2.circle(objects, (column, row), side // 10, label, thickness=-1)
    return objects


def _truths(files: int = 6) -> list[np.ndarray]:
    """Class indices of a set, uint8: blobs of class 1 and 2, one mask empty."""
    return [np.zeros((SIDE, SIDE), np.uint8), *((_blobs(n) % 3).astype(np.uint8) for n in range(1, files))]


def _foregrounds(files: int = 6) -> list[np.ndarray]:
    """Foreground of a set, bool: one mask empty, one full."""
    full = np.ones((SIDE, SIDE), bool)
    return [np.zeros((SIDE, SIDE), bool), full, *(_blobs(n) > 0 for n in range(files - 2))]


def _grey(arrays) -> list[RawMask]:
    return [RawMask(np.ascontiguousarray(array)) for array in arrays]


def _summaries(masks, images=None) -> list[Summary]:
    images = images or [None] * len(masks)
    return [summarise(mask, image) for mask, image in zip(masks, images, strict=True)]


def _recognised(masks, classes=TWO, wanted=AUTO, images=None):
    return recognise(_summaries(masks, images), classes, wanted)


def _stop(masks, classes=TWO, wanted=AUTO, images=None) -> str:
    with pytest.raises(DataError) as caught:
        _recognised(masks, classes, wanted, images)
    return str(caught.value)


def _reads_back(masks, truths, encoding: Encoding, images=None) -> None:
    """Each mask, read as recognised, gives the classes that it was made of."""
    images = images or [None] * len(masks)
    for mask, truth, image in zip(masks, truths, images, strict=True):
        np.testing.assert_array_equal(to_classes(mask, encoding, image), truth)


def _lines(text: str) -> list[dict]:
    """The lines of config in a message, as YAML reads them."""
    return [yaml.safe_load(line)["labels"] for line in re.findall(r"`(labels: .*?)`", text)]


# As the config says


def test_several_files_are_read_as_objects_only():
    """Values declared for several files an image would be those of numbers that no file holds."""
    (file,) = _summaries(_grey([_blobs(0)]))
    with pytest.raises(DataError, match="1 images with several mask files"):
        recognise(
            [replace(file, pieces=(piece_of(file),) * 2)], TWO, {"encoding": "binary", "threshold": 128}
        )


def test_declared_indices_list_what_has_no_class():
    """With declared indices a stray value is listed, not guessed at; `ignore` may be another value."""
    truths = _truths()
    truths[1][0, 0], truths[2][0, 0] = 9, 100
    found = _recognised(_grey(truths), THREE, {"encoding": "indices", "ignore": 100})
    assert "9 without a class: <0.01% of the pixels, in 1 mask." in found.notes
    assert "<0.01% of the pixels are ignored." in found.notes
    assert undeclared(summarise(_grey(truths)[1]), found.encoding) == [("9", 1)]


def test_declared_binary_is_0_and_255():
    """Binary is short for 0 and 255, and lists a 1."""
    truths = _foregrounds()
    masks = _grey(np.where(truth, 255, 0).astype(np.uint8) for truth in truths)
    masks[2].values[0, 0] = 1
    found = _recognised(masks, wanted={"encoding": "binary"})
    assert found.encoding == Encoding("values", values=((0, 0), (255, 1)))
    assert found.notes[-1] == "1 without a class: <0.01% of the pixels, in 1 mask."


@pytest.mark.parametrize("classes", [TWO[:1], THREE])
def test_binary_wants_two_classes(classes):
    """Binary masks with other than two classes are refused, with both ways out."""
    text = _stop(_grey(_truths()), classes, {"encoding": "binary"})
    assert f"found {len(classes)} classes" in text
    assert _lines(text)[-1] == {"encoding": "indices"}


def test_declared_values_may_be_several_and_ignored():
    """A class may have several values; another value is ignored."""
    truths = _truths()
    masks = _grey(np.array([200, 3, 128], np.uint8)[truth] for truth in truths)
    masks[1].values[0, 0] = 4
    wanted = {"encoding": "values", "values": {"background": 200, "nucleus": [3, 4]}, "ignore": 128}
    found = _recognised(masks, wanted=wanted)
    assert found.understood.endswith("200 = background, 3 = nucleus, 4 = nucleus, 128 = ignored")
    expected = [np.array([0, 1, IGNORE], np.uint8)[truth] for truth in truths]
    expected[1][0, 0] = 1
    _reads_back(masks, expected, found.encoding)


def test_declared_colours_are_matched_exactly():
    """Colours in any case of letters are matched, another is ignored, and what has none is listed."""
    colours = np.array([[0, 0, 0], [0x80, 0x40, 0x80], [255, 255, 255]], np.uint8)
    truths = _truths()
    masks = [RawMask(colours[truth]) for truth in truths]
    masks[1].values[0, 0] = (0x80, 0x40, 0x81)
    wanted = {"encoding": "colours", "colours": {"background": "#000000", "nucleus": ["#804080", "#808080"]}}
    found = _recognised(masks, wanted=wanted | {"ignore": "#FFFFFF"})
    assert found.understood.endswith("#000000 = background, #804080 = nucleus, #ffffff = ignored")
    assert found.notes[-1].startswith("#804081 without a class")
    expected = [np.array([0, 1, IGNORE], np.uint8)[truth] for truth in truths]
    _reads_back(masks[2:], expected[2:], found.encoding)


def test_colour_masks_declared_as_values_are_listed():
    """A colour mask in a set of values is listed as such."""
    masks = _grey([(255 * (_blobs(0) > 0)).astype(np.uint8)])
    masks.append(RawMask(np.full((SIDE, SIDE, 3), (1, 2, 3), np.uint8)))
    found = _recognised(masks, wanted={"encoding": "binary"})
    assert found.notes[-1] == "colours without a class: 50.00% of the pixels, in 1 mask."


def test_a_declared_border_counts_as_present():
    """The border class of instances is there where objects are."""
    masks = _grey(_blobs(n, count=n) for n in (1, 2, 3))
    found = _recognised(masks, THREE, {"encoding": "instances", "border": "edge"})
    assert found.encoding == Encoding("instances", border=2)
    assert found.understood.endswith("each other number = nucleus, its border = edge")
    with pytest.raises(DataError, match="none of `nucleus`"):
        _recognised(_grey([np.zeros((4, 4), np.uint8)]), THREE, {"encoding": "instances", "border": "edge"})


def test_a_declared_paint_must_occur():
    """A declared colour that nobody painted with is a class without a pixel."""
    picture = np.random.default_rng(0).integers(0, 250, (SIDE, SIDE, 3), dtype=np.uint8)
    painted = np.where(_blobs(1)[..., None] > 0, np.array([255, 0, 0], np.uint8), picture)
    wanted = {"encoding": "overlay", "colours": {"nucleus": "#00ff00"}}
    assert "none of `nucleus`" in _stop([RawMask(painted)], wanted=wanted, images=[picture])


def test_a_threshold_that_divides_nothing_stops():
    """A threshold below all values leaves no background."""
    masks = _grey([np.full((4, 4), 9, np.uint8)])
    assert "none of `background`" in _stop(masks, wanted={"encoding": "binary", "threshold": 1})


def test_a_threshold_reads_no_palette():
    """Indices of a palette are no grey values."""
    masks = [
        RawMask(
            _blobs(0).astype(np.uint8),
            np.array([(0, 0, 0), (9, 9, 9), (99, 99, 99), (200, 200, 200)], np.uint8),
        )
    ]
    assert "1 mask with a palette" in _stop(masks, wanted={"encoding": "binary", "threshold": 2})


def test_a_threshold_of_objects_is_of_files_of_one_each():
    """Numbers of objects in one file are no grey values; the line for those is named."""
    text = _stop(_grey([_blobs(0)]), wanted={"encoding": "instances", "threshold": 128})
    assert _lines(text) == [{"encoding": "instances"}, {"encoding": "binary", "threshold": 128}]


def test_inverted_binary_is_255_and_0():
    """Inverted, 255 is background."""
    masks = _grey(np.where(truth, 0, 255).astype(np.uint8) for truth in _foregrounds())
    found = _recognised(masks, wanted={"encoding": "binary", "inverted": True})
    _reads_back(masks, _foregrounds(), found.encoding)


# What is told


@pytest.mark.parametrize("high", [1, 200, 255])
def test_one_bit_masks_among_others_mean_the_same(high):
    """A set bit is the foreground value of the set's other masks."""
    truths = _foregrounds()
    masks = _grey(np.where(truth, high, 0).astype(np.uint8) for truth in truths)
    masks[2:4] = [RawMask(truth.astype(np.uint8), bilevel=True) for truth in truths[2:4]]
    found = _recognised(masks)
    assert f"1 bit a pixel in 2 masks; a set bit was read as {high}." in found.notes
    _reads_back(masks, truths, found.encoding)


@pytest.mark.parametrize(
    ("classes", "value", "missing"), [(TWO, 0, "nucleus"), (TWO, 255, "background"), (THREE, 1, "background")]
)
def test_a_class_without_a_pixel_stops(classes, value, missing):
    """No class vanishes without a word: all empty and all full sets are named."""
    text = _stop(_grey([np.full((9, 9), value, np.uint8)] * 3), classes)
    assert f"found none of `{missing}` (read: {value} in all 3 masks" in text
    assert "Remove the class" in text


def test_indices_whose_0_is_rare_are_pointed_out():
    """Exact indices are read, with a word where class 0 hardly is the ground."""
    masks = _grey(np.array([2, 0, 1], np.uint8)[truth] for truth in _truths())
    assert (
        "`background`, class 0, does not cover most of 6 of 6 masks. Class 0 has no score: where it is a "
        "class like the others, set `report: {score_background: true}`." in _recognised(masks, THREE).notes
    )
    assert not _recognised(_grey(_truths()), THREE).notes[1:]


def test_what_alpha_may_hold_is_said():
    """Where all masks are of one colour and their alpha varies, that is where to look."""
    plain = replace(summarise(RawMask(np.full((4, 4), 255, np.uint8))), alpha=True)
    with pytest.raises(DataError, match="alpha channel varies in 2 masks, and alpha is not read"):
        recognise([plain] * 2, TWO, AUTO)
    read = replace(summarise(RawMask(_blobs(0).astype(np.uint8) // 2 * 255)), alpha=True)
    assert (
        "An alpha channel that varies in 1 mask: it was not read, the colours were."
        in recognise([read], TWO, AUTO).notes
    )


def test_masks_set_aside_are_not_counted_as_read():
    """The sentence tells how many of all masks were read."""
    found = recognise(_summaries(_grey(np.uint8(t) for t in _foregrounds())), TWO, AUTO, besides=2)
    assert found.understood.startswith("0 and 1 in 6 of 8 masks")
