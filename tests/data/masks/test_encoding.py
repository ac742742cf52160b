"""How a set of masks is encoded is read off the set, or the set is refused with both ways to read it."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml

from stratagem.core.errors import DataError
from stratagem.data.labels import IGNORE, Encoding, RawMask, to_classes, unite
from stratagem.data.masks.encoding import colour_counts, indices, infer, looks_inverted
from stratagem.data.masks.evidence import Summary, piece_of, summarise
from stratagem.data.masks.recognition import recognise

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
    """What the config makes of the masks: read off the set, or by a line of a stop."""
    return recognise(_summaries(masks, images), classes, wanted)


def _inferred(masks, classes=TWO, images=None) -> Encoding:
    return infer(_summaries(masks, images), classes)


def _stop(masks, classes=TWO, images=None) -> str:
    with pytest.raises(DataError) as caught:
        infer(_summaries(masks, images), classes)
    return str(caught.value)


def _reads_back(masks, truths, encoding: Encoding, images=None) -> None:
    """Each mask, read as recognised, gives the classes that it was made of."""
    images = images or [None] * len(masks)
    for mask, truth, image in zip(masks, truths, images, strict=True):
        np.testing.assert_array_equal(to_classes(mask, encoding, image), truth)


def _lines(text: str) -> list[dict]:
    """The lines of config in a message, as YAML reads them."""
    return [yaml.safe_load(line)["labels"] for line in re.findall(r"`(labels: .*?)`", text)]


# Recognised


@pytest.mark.parametrize("high", [1, 7, 128, 255, 65535])
def test_0_and_another_value_are_background_and_foreground(high):
    """Two values, 0 and another, are background and foreground, whatever the other is."""
    truths = _foregrounds()
    masks = _grey(np.where(truth, high, 0).astype(np.uint16 if high > 255 else np.uint8) for truth in truths)
    found = _recognised(masks)
    assert found.understood == f"0 and {high} in all 6 masks: 0 = background, {high} = nucleus"
    assert found.notes == ["Background alone in 1 of 6 masks."]
    _reads_back(masks, truths, found.encoding)


@pytest.mark.parametrize("high", [1, 255])
@pytest.mark.parametrize("shape", [(1, 2), (3, 1), (2, 2)])
def test_one_tiny_mask_is_enough(high, shape):
    """A set of a single mask of a few pixels is read."""
    mask = np.zeros(shape, np.uint8)
    mask.flat[0] = high
    found = _recognised(_grey([mask]))
    assert found.understood == f"0 and {high} in the one mask: 0 = background, {high} = nucleus"
    assert found.notes == []
    _reads_back(_grey([mask]), [mask > 0], found.encoding)


@pytest.mark.parametrize("ignored", [False, True])
def test_class_indices_are_the_classes(ignored):
    """Values from 0 to the last class are the classes, 255 is ignored."""
    truths = _truths()
    for truth in truths if ignored else []:
        truth[0, 0] = IGNORE
    found = _recognised(_grey(truths), THREE)
    assert found.encoding.kind == "indices"
    assert found.understood.endswith(
        "masks: 0 = background, 1 = nucleus, 2 = edge" + ", 255 = ignored" * ignored
    )
    assert ("0.02% of the pixels are ignored." in found.notes) == ignored
    _reads_back(_grey(truths), truths, found.encoding)


def test_two_classes_may_have_ignored_pixels():
    """With two classes 255 is ignored where a mask holds both 1 and 255."""
    truths = [np.where(_blobs(n) == 1, 255, _blobs(n) > 0).astype(np.uint8) for n in range(4)]
    found = _recognised(_grey(truths))
    assert found.understood.endswith("0 = background, 1 = nucleus, 255 = ignored")
    _reads_back(_grey(truths), truths, found.encoding)


@pytest.mark.parametrize("values", [(0, 32, 64), (0, 127, 255), (0, 100, 65535)])
def test_as_many_values_as_classes_are_taken_in_order(values):
    """Three values and three classes are taken in ascending order, and this is said."""
    truths = _truths()
    masks = _grey(np.array(values, np.min_scalar_type(values[2]))[truth] for truth in truths)
    found = _recognised(masks, THREE)
    assert found.understood.endswith(
        ", ".join(f"{v} = {name}" for v, name in zip(values, THREE, strict=True))
    )
    assert "The values were taken as classes in ascending order." in found.notes
    _reads_back(masks, truths, found.encoding)


def test_one_bit_masks_alone_are_background_and_foreground():
    """In a set of 1-bit masks a set bit is foreground."""
    truths = _foregrounds()
    masks = [RawMask(truth.astype(np.uint8), bilevel=True) for truth in truths]
    found = _recognised(masks)
    assert found.notes == ["Background alone in 1 of 6 masks."]
    _reads_back(masks, truths, found.encoding)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_numbered_objects_are_recognised(dtype):
    """Masks of many numbered objects are instance masks; so is a set with few in most."""
    objects = [np.zeros((SIDE, SIDE)), *(_blobs(n, count=n) for n in (1, 3, 5, 16))]
    if dtype == np.uint8:
        objects.append(np.kron(np.arange(25).reshape(5, 5), np.ones((12, 12))))
    masks = _grey(one.astype(dtype) for one in objects)
    found = _recognised(masks)
    assert found.encoding == Encoding("instances")
    assert "each other number = nucleus" in found.understood
    assert found.notes == [
        "The masks were taken for numbered objects; look at the examples.",
        f"Background alone in 1 of {len(masks)} masks.",
    ]
    _reads_back(masks, [one > 0 for one in objects], found.encoding)


def test_one_mask_of_many_objects_is_recognised():
    """A single mask suffices where its numbers are many."""
    assert _inferred(_grey([_blobs(0, count=9)])).kind == "instances"


@pytest.mark.parametrize("ground", ["first", "second"])
def test_black_and_a_colour_are_background_and_foreground(ground):
    """Black is background, wherever it comes in order; all black masks belong to the set."""
    truths = _foregrounds()
    masks = [RawMask((truth[..., None] * np.array([0, 90, 200])).astype(np.uint8)) for truth in truths]
    masks[0] = _grey([np.zeros((SIDE, SIDE), np.uint8)])[0]
    found = _recognised(masks if ground == "first" else masks[::-1])
    assert found.understood == "#000000 and #005ac8 in all 6 masks: #000000 = background, #005ac8 = nucleus"
    _reads_back(masks, truths, found.encoding)


def _palette(*colours) -> np.ndarray:
    return np.array([*colours, *[(0, 0, 0)] * (256 - len(colours))], np.uint8)


def test_a_palette_of_indices_gives_the_classes():
    """Palette masks whose indices are the classes are read by index, 255 ignored."""
    truths = _truths()
    truths[1][0, :3] = IGNORE
    palette = _palette((0, 0, 0), (128, 0, 0), (0, 128, 0))
    masks = [RawMask(truth, palette) for truth in truths]
    found = _inferred(masks, THREE)
    assert found.kind == "indices"
    _reads_back(masks, truths, found)


def test_palettes_that_differ_are_read_by_colour():
    """Where one index has two colours in the set, the colours count, not the indices."""
    truths = _foregrounds()
    usual, swapped = _palette((0, 0, 0), (255, 255, 255)), _palette((255, 255, 255), (0, 0, 0))
    masks = [RawMask(truth.astype(np.uint8), usual) for truth in truths]
    masks[2:4] = [RawMask((~truth).astype(np.uint8), swapped) for truth in truths[2:4]]
    found = _inferred(masks)
    assert found.kind == "colours"
    _reads_back(masks, truths, found)


def _pictures(files: int = 6, *, grey: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 250, (files, SIDE, SIDE, 3), dtype=np.uint8)
    return [np.repeat(one[..., :1], 3, axis=2) if grey else one for one in pictures]


def _painted(pictures, truths, *colours) -> list[RawMask]:
    masks = []
    for picture, truth in zip(pictures, truths, strict=True):
        painted = picture.copy()
        for number, colour in enumerate(colours, start=1):
            painted[truth == number] = colour
        masks.append(RawMask(painted if (painted != painted[..., :1]).any() else painted[..., 0].copy()))
    return masks


@pytest.mark.parametrize("grey", [False, True])
def test_a_painted_copy_is_recognised(grey):
    """Copies of the images with red pixels: red is foreground, all else background."""
    pictures, truths = _pictures(grey=grey), [one > 0 for one in _truths()]
    masks = _painted(pictures, truths, (255, 0, 0))
    found = _recognised(masks, images=pictures)
    assert found.understood == (
        "painted copies of the images in all 6 masks: #ff0000 = nucleus, all else = background"
    )
    _reads_back(masks, truths, found.encoding, pictures)


def test_dark_images_do_not_make_colour_masks_painted_copies():
    """Where image and mask share their black ground, the mask is a colour mask all the same."""
    truths = _foregrounds()
    masks = [RawMask((truth[..., None] * np.array([0, 90, 200])).astype(np.uint8)) for truth in truths]
    found = _inferred(masks, images=[np.zeros((SIDE, SIDE, 3), np.uint8)] * len(masks))
    assert found.kind == "colours"


def test_little_foreground_never_looks_inverted():
    """Dense but minor foreground, even at the frame, raises no alarm."""
    masks = []
    for number in range(6):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:4] = mask[-4:] = mask[:, :4] = mask[:, -4:] = 255
        mask[_blobs(number) > 0] = 255
        masks.append(mask)
    assert _inferred(_grey(masks)).values == ((0, 0), (255, 1))


# Stopped


@pytest.mark.parametrize("bilevel", [False, True])
def test_inverted_masks_stop_with_both_readings(bilevel):
    """Where the high value is ground around blobs of 0, both readings are named."""
    high = 1 if bilevel else 255
    masks = [RawMask(np.where(_blobs(n) > 0, 0, high).astype(np.uint8), bilevel=bilevel) for n in range(5)]
    text = _stop(masks)
    assert f"of the pixels {high}, that lies around enclosed blobs of 0" in text
    ways = _lines(text)
    assert [way["values"] for way in ways] == [
        {"background": high, "nucleus": 0},
        {"background": 0, "nucleus": high},
    ]
    found = _recognised(masks, wanted=ways[0])
    _reads_back(masks, [_blobs(n) > 0 for n in range(5)], found.encoding)


def test_two_values_without_0_stop_with_both_readings():
    """Of two values neither of which is 0 either may be background."""
    masks = _grey(np.where(truth, 2, 1).astype(np.uint8) for truth in _foregrounds())
    text = _stop(masks)
    assert "the values 1 and 2" in text
    assert [way["values"] for way in _lines(text)] == [
        {"background": 2, "nucleus": 1},
        {"background": 1, "nucleus": 2},
    ]


def test_ones_and_255_in_different_masks_stop_with_both_readings():
    """Masks of 0 and 1 beside masks of 0 and 255 are two encodings, or 255 is ignored."""
    masks = _grey(np.where(t, 1 + 254 * (n % 2), 0).astype(np.uint8) for n, t in enumerate(_foregrounds()))
    text = _stop(masks)
    assert "found 2 masks with the value 1 and 3 with 255, none with both" in text
    assert _lines(text) == [
        {"encoding": "values", "values": {"background": 0, "nucleus": [1, 255]}},
        {"encoding": "indices", "ignore": 255},
    ]
    _reads_back(masks, _foregrounds(), _recognised(masks, wanted=_lines(text)[0]).encoding)


def test_255_as_the_third_of_three_classes_stops_with_both_readings():
    """0, 1 and 255 with three classes: the third class, or ignored."""
    masks = _grey(np.array([0, 1, 255], np.uint8)[truth] for truth in _truths())
    text = _stop(masks, THREE)
    assert "255 is ignored and `edge` has no pixel" in text
    assert _lines(text) == [
        {"encoding": "indices", "ignore": 255},
        {"encoding": "values", "values": {"background": 0, "nucleus": 1, "edge": 255}},
    ]
    _reads_back(masks, _truths(), _recognised(masks, THREE, _lines(text)[1]).encoding)


def _smooth(foreground: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(foreground.astype(np.uint8) * 255, (5, 5), 0)


def _jpeg(foreground: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", foreground.astype(np.uint8) * 255, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(
    "encode",
    [_smooth, lambda truth: _jpeg(truth, 75), lambda truth: _jpeg(truth, 98)],
    ids=["smooth", "jpeg", "fine jpeg"],
)
def test_grey_edges_stop_with_the_threshold(encode):
    """Grey edges stop with their share and the line that divides them."""
    masks = _grey(map(encode, _foregrounds()))
    text = _stop(masks)
    assert re.search(r"grey edges in 4 of 6 masks: \d+\.\d\d% of the pixels are neither 0 nor 255", text)
    assert _lines(text) == [{"encoding": "binary", "threshold": 128}]
    found = _recognised(masks, wanted=_lines(text)[0])
    assert found.understood == "grey values in all 6 masks: 128 and more = nucleus, less = background"
    truth, read = _foregrounds()[3], to_classes(masks[3], found.encoding)
    assert (truth == read).mean() > 0.98


def test_one_grey_between_two_values_may_be_ignored():
    """A single grey band along edges is to be divided or ignored."""
    masks = []
    for number in range(4):
        inside = _blobs(number) > 0
        around = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        masks.append(np.where(inside, 255, np.where(around, 128, 0)).astype(np.uint8))
    text = _stop(_grey(masks))
    assert _lines(text)[1] == {
        "encoding": "values",
        "values": {"background": 0, "nucleus": 255},
        "ignore": 128,
    }
    found = _recognised(_grey(masks), wanted=_lines(text)[1])
    assert found.understood.endswith("0 = background, 255 = nucleus, 128 = ignored")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_few_numbers_stop_as_objects_or_classes(dtype):
    """Few numbers, each in one place, are objects or classes that nobody declared."""
    masks = _grey(_blobs(n, count=n).astype(dtype) for n in (1, 2, 3))
    text = _stop(masks)
    assert "the values 0, 1, 2 and 3, each in one piece" in text
    assert "`classes: [background, nucleus, class2, class3]`" in text
    assert _lines(text) == [{"encoding": "instances"}, {"encoding": "indices"}]


def test_few_numbers_far_apart_stop_with_their_values():
    """As classes, numbers that are not 0 .. n are listed as values, with no class for each between."""
    masks = _grey((_blobs(n, count=n) * 1000).astype(np.uint16) for n in (1, 2, 3))
    way = _lines(_stop(masks))[1]
    assert way["values"] == {"background": 0, "nucleus": 1000, "class2": 2000, "class3": 3000}


def test_values_in_many_places_stop_with_their_shares():
    """Values that are neither objects nor edges are listed with their share."""
    masks = _grey([np.kron([[0, 1, 2], [2, 0, 1], [1, 2, 0]], np.ones((8, 8))).astype(np.uint8)] * 2)
    text = _stop(masks)
    assert "the values 0 (33.33%), 1 (33.33%), 2 (33.33%), which fit no encoding of 2 classes" in text
    united, classes = _lines(text)
    assert united == {"encoding": "values", "values": {"background": 0, "nucleus": [1, 2]}}
    _reads_back(masks, [mask.values > 0 for mask in masks], _recognised(masks, wanted=united).encoding)
    assert "each number is a class: `classes: [background, nucleus, class2]` with `labels: " in text
    _reads_back(masks, [mask.values for mask in masks], _recognised(masks, THREE, classes).encoding)


def test_more_values_than_classes_stop_with_a_list():
    """With three classes and other values the most frequent are listed, the rest counted."""
    text = _stop(_grey([np.arange(100, 120, dtype=np.uint8).reshape(4, 5)]), THREE)
    assert "100 (5.00%), 101 (5.00%)" in text
    assert "and 8 more, which fit no encoding of 3 classes" in text
    assert "JPEG and smooth scaling make such values" in text and not _lines(text)


def test_colours_stop_with_a_list_to_paste():
    """Colours are listed with their share and as config, black first, in order of frequency."""
    colours = np.array([[0, 0, 0], [128, 64, 128], [70, 70, 70]], np.uint8)
    masks = [RawMask(colours[truth]) for truth in _truths()]
    text = _stop(masks, THREE)
    assert re.search(r"the colours #000000 \(\d\d\.\d\d%\), #\w{6} \(\d\.\d\d%\), #\w{6} \(\d\.\d\d%\)", text)
    assert "check the order" in text
    assert _lines(text)[0]["colours"]["background"] == "#000000"
    assert set(_lines(text)[0]["colours"]) == set(THREE)
    assert "one object" not in text


def test_colours_without_black_stop_though_they_are_two():
    """Of two colours without black either may be background."""
    colours = np.array([[255, 255, 255], [200, 0, 0]], np.uint8)
    text = _stop([RawMask(colours[truth.astype(int)]) for truth in _foregrounds()])
    assert _lines(text)[0]["encoding"] == "colours"


def test_a_colour_for_each_object_is_offered_as_instances():
    """Where colours outnumber the classes, each may be one object."""
    colours = np.random.default_rng(0).integers(1, 256, (10, 3), dtype=np.uint8)
    colours[0] = 0
    masks = [RawMask(colours[_blobs(n, count=9)]) for n in range(3)]
    text = _stop(masks)
    assert _lines(text)[-1] == {"encoding": "instances"}
    found = _recognised(masks, wanted=_lines(text)[-1])
    _reads_back(masks, [_blobs(n, count=9) > 0 for n in range(3)], found.encoding)


def test_a_palette_of_other_indices_stops_with_its_colours():
    """Palette masks whose indices are not the classes are listed by colour."""
    palette = _palette((0, 0, 0), (1, 1, 1), (200, 0, 0), (3, 3, 3), (0, 200, 0))
    masks = [RawMask(np.array([0, 2, 4], np.uint8)[truth], palette) for truth in _truths()]
    text = _stop(masks, THREE)
    assert set(_lines(text)[0]["colours"].values()) == {"#000000", "#c80000", "#00c800"}


def test_a_copy_painted_in_two_colours_stops_with_both():
    """Which painted colour is which class is for the user to say."""
    pictures, truths = _pictures(), _truths()
    masks = _painted(pictures, truths, (255, 0, 0), (0, 255, 0))
    text = _stop(masks, THREE, images=pictures)
    assert "painted pixels of #" in text
    way = _lines(text)[0]
    assert way["encoding"] == "overlay"
    assert set(way["colours"].values()) == {"#ff0000", "#00ff00"}
    way["colours"] = {"nucleus": "#ff0000", "edge": "#00ff00"}
    _reads_back(masks, truths, _recognised(masks, THREE, way, pictures).encoding, pictures)


# Stopped where a set is seldom what it seems


@pytest.mark.parametrize("order", [(2, 1, 3), (1, 2, 3), (200, 0, 100)])
def test_codes_whose_order_is_no_sure_one_stop(order):
    """Codes without 0, or whose lowest does not cover most, stop with the lines of each order."""
    masks = _grey(np.array(order, np.uint8)[truth] for truth in _truths())
    text = _stop(masks, THREE)
    ways = _lines(text)
    assert ways[0]["values"]["background"] == order[0]
    _reads_back(masks, _truths(), _recognised(masks, THREE, ways[0]).encoding)
    assert len(ways) == 1 + (order[0] != min(order))


@pytest.mark.parametrize("odd", [-1, 65535])
def test_an_extreme_beside_the_classes_stops_as_ignored(odd):
    """-1 or 65535 beside all classes is perhaps ignored; in the place of one it is that, or the class."""
    truths = [truth.astype(np.int32) for truth in _truths()]
    for truth in truths:
        truth[0, :9] = odd
    (way,) = _lines(_stop(_grey(truths), THREE))
    expected = [np.where(truth == odd, IGNORE, truth) for truth in truths]
    _reads_back(_grey(truths), expected, _recognised(_grey(truths), THREE, way).encoding)
    few = _grey(np.where(truth == 2, 1, truth) for truth in truths)
    text = _stop(few, THREE)
    assert f"{odd} is ignored and `edge` has no pixel: leave it out, `classes: [background, nucleus]`" in text
    assert _recognised(few, TWO, _lines(text)[0]).encoding.ignore == odd
    assert _lines(text)[1]["values"] == {"background": 0, "nucleus": 1, "edge": odd}


def test_masks_of_0_and_255_among_classes_stop():
    """Among three classes masks that know but 0 and 255 are of another encoding, or all ignored."""
    truths = _truths()
    masks = _grey(255 * (truth > 0) if number % 2 else truth for number, truth in enumerate(truths))
    masks = _grey(mask.values.astype(np.uint8) for mask in masks)
    text = _stop(masks, THREE)
    assert "3 masks with no other values than 0 and 255, and 2 with others but never 255" in text
    both, ignored = (_recognised(masks, THREE, way).encoding for way in _lines(text))
    _reads_back(masks[1:2], [truths[1] > 0], both)
    _reads_back(masks[1:2], [np.where(truths[1] > 0, IGNORE, 0)], ignored)


def test_one_bit_masks_among_three_classes_stop():
    """Which class a set bit is cannot be told from the file."""
    masks = _grey(_truths())
    masks[2] = RawMask((masks[2].values > 0).astype(np.uint8), bilevel=True)
    text = _stop(masks, THREE)
    assert "1 bit a pixel in 1 mask among others of three or more classes" in text
    assert _lines(text) == [{"encoding": "indices"}]
    assert not _lines(_stop([RawMask(masks[1].values * 90), masks[2]], THREE))


@pytest.mark.parametrize("high", [1, 255])
def test_ground_at_the_edges_of_most_masks_stops(high):
    """What covers most, and most of the masks' edges, may be the ground, whatever the other's shape."""
    halves = [np.arange(SIDE) + np.zeros((SIDE, 1)) < 36 + number for number in range(4)]
    text = _stop(_grey(np.where(half, high, 0).astype(np.uint8) for half in halves))
    assert f"of the pixels {high}, as are most at the masks' edges" in text
    assert len(_lines(text)) == 2
    assert _recognised(_grey(np.where(half, 0, high).astype(np.uint8) for half in halves)).notes == []


def test_some_inverted_masks_stop_and_one_is_told():
    """Where some masks look inverted the set stops; one of many is a note."""
    blobs = [(_blobs(number) > 0).astype(np.uint8) * 255 for number in range(12)]
    text = _stop(_grey(255 - blob if number % 3 == 0 else blob for number, blob in enumerate(blobs)))
    assert "in 4 of 12 masks as a ground around blobs (invert those files if they alone are so)" in text
    found = _recognised(_grey([255 - blobs[0], *blobs[1:]]))
    assert found.notes == ["Foreground lies around blobs of background in 1 mask, as in inverted ones."]


def test_a_coloured_ground_around_black_stops():
    """Blue around black blobs: either may be the background."""
    masks = [RawMask(np.where(_blobs(n)[..., None] > 0, 0, [0, 0, 255]).astype(np.uint8)) for n in range(4)]
    text = _stop(masks)
    assert "#0000ff, that lies around enclosed blobs of #000000" in text
    found = _recognised(masks, wanted=_lines(text)[0])
    _reads_back(masks, [_blobs(n) > 0 for n in range(4)], found.encoding)


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_a_palette_in_order_of_frequency_stops(classes):
    """A GIF's index 0 may be any colour: where another index is black, colours or indices are meant."""
    truths = [truth if classes is THREE else np.minimum(truth, 1) for truth in _truths()]
    truths = [np.where(_blobs(9, 12) > 0, truth, truth) for truth in truths]
    palette = _palette((0, 255, 0), (255, 0, 0), (0, 0, 0))
    order = np.array([2, 1, 0] if classes is THREE else [1, 0], np.uint8)
    palette = palette if classes is THREE else _palette((255, 0, 0), (0, 0, 0))
    masks = [RawMask(order[truth], palette) for truth in truths]
    text = _stop(masks, classes)
    assert "palette masks whose index 0 is not black, and another is: 0 = #" in text
    colour, index = _lines(text)
    assert colour["colours"]["background"] == "#000000" and index["values"]["background"] == 0
    ground = [to_classes(mask, _recognised(masks, classes, colour).encoding) == 0 for mask in masks]
    np.testing.assert_array_equal(ground, [truth == 0 for truth in truths])


def test_a_palette_with_a_void_is_read_by_index():
    """Indices 0, 15 and 255 of two classes stop with the line that ignores 255."""
    masks = [np.where(_blobs(n) == 1, 255, np.where(_blobs(n) > 0, 15, 0)).astype(np.uint8) for n in range(4)]
    masks = [RawMask(mask, _palette(*[(0, 0, 0), *[(n, 9, 9) for n in range(1, 256)]])) for mask in masks]
    way = _lines(_stop(masks))[0]
    assert way == {"encoding": "values", "values": {"background": 0, "nucleus": 15}, "ignore": 255}
    assert _recognised(masks, wanted=way).understood.endswith("15 = nucleus, 255 = ignored")


def _edges(truth: np.ndarray) -> np.ndarray:
    inside = truth.astype(np.uint8)
    return inside - cv2.erode(inside, np.ones((3, 3), np.uint8)) > 0


def test_painted_outlines_stop():
    """Outlines over a copy of the image are lines, not objects; that they are the class can be said."""
    pictures, truths = _pictures(), [_edges(_blobs(number) > 0) for number in range(6)]
    masks = _painted(pictures, truths, (255, 0, 0))
    text = _stop(masks, images=pictures)
    assert "most of them in lines. Are these outlines, fill them" in text
    (way,) = _lines(text)
    _reads_back(masks, truths, _recognised(masks, wanted=way, images=pictures).encoding, pictures)


@pytest.mark.parametrize("paint", [0, 255])
def test_cut_outs_stop(paint):
    """Copies whose surroundings are black or white: the paint is the ground, or the class."""
    discs = [cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (32, 32), 27 + n, 1, -1) for n in range(6)]
    pictures = [picture.clip(1, 250) for picture in _pictures()]
    masks = _painted(pictures, [1 - disc for disc in discs], (paint,) * 3)
    text = _stop(masks, images=pictures)
    assert "which may be what was cut away" in text
    cut_out, painted = (_recognised(masks, wanted=way, images=pictures) for way in _lines(text))
    assert cut_out.understood.endswith("= background, all else = nucleus")
    _reads_back(masks, discs, cut_out.encoding, pictures)
    _reads_back(masks, [1 - disc for disc in discs], painted.encoding, pictures)


def test_plain_copies_of_the_images_are_named():
    """A folder of images given as masks is called that."""
    pictures = _pictures()
    text = _stop([RawMask(picture) for picture in pictures], images=pictures)
    assert "plain copies of the images, without a painted pixel. Set `masks`" in text and not _lines(text)


def test_transparent_paint_stops_without_a_line():
    """Paint that lets the image through has no colour of its own."""
    pictures = _pictures()
    masks = [
        RawMask(np.where(_blobs(n)[..., None] > 0, picture // 2 + 3, picture))
        for n, picture in enumerate(pictures)
    ]
    text = _stop(masks, images=pictures)
    assert "Save the masks with opaque paint" in text and not _lines(text)


def test_smoothed_colours_stop_without_a_line():
    """Colours mixed along edges are read by no line, nor are they objects."""
    masks = [RawMask(_smooth(_blobs(n) > 0)[..., None] * np.array([1, 0, 0], np.uint8)) for n in range(3)]
    text = _stop(masks)
    assert "without smoothing" in text and not _lines(text)
    greys = [
        RawMask(_smooth(_blobs(n) > 0), np.arange(256).repeat(3).reshape(-1, 3).astype(np.uint8))
        for n in range(3)
    ]
    assert "Save the masks as grey images" in _stop(greys)


def test_two_classes_in_three_colours_stop_with_lines_that_read():
    """A colour too many belongs to the class, or is ignored."""
    colours = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200]], np.uint8)
    masks = [RawMask(colours[truth]) for truth in _truths()]
    united, ignored = _lines(_stop(masks))[:2]
    _reads_back(masks, [truth > 0 for truth in _truths()], _recognised(masks, wanted=united).encoding)
    assert "ignored" in _recognised(masks, wanted=ignored).understood


@pytest.mark.parametrize("values", [(0, 255), (0, 64, 128)])
def test_fewer_values_than_classes_stop(values):
    """Where a class has no value, that is what is said."""
    classes = [*THREE, "dust"][: len(values) + 1]
    masks = _grey(np.array([*values, 0], np.uint8)[np.minimum(truth, len(values) - 1)] for truth in _truths())
    text = _stop(masks, classes)
    assert f"They are {len(values)}, and the classes {len(values) + 1}: leave out of `classes`" in text


@pytest.mark.parametrize("odd", [-1, 255, 65535])
def test_a_special_number_among_objects_stops(odd):
    """-1, 255 or 65535 among numbers of objects is ignored, the ground, or an object: each line reads so."""
    objects = [_blobs(n, count=n) for n in (3, 5, 16)]
    for one in objects:
        one[:2] = odd
    text = _stop(_grey(objects))
    assert f"numbered objects, and {odd} among the numbers" in text
    ignored, ground, plain = (_recognised(_grey(objects), wanted=way) for way in _lines(text))
    assert ignored.understood.endswith(f"each other number = nucleus, {odd} = ignored")
    _reads_back(_grey(objects), [np.where(one == odd, IGNORE, one != 0) for one in objects], ignored.encoding)
    _reads_back(_grey(objects), [one != odd for one in objects], ground.encoding)
    _reads_back(_grey(objects), [one != 0 for one in objects], plain.encoding)


def test_objects_on_a_ground_of_1_stop():
    """Watershed numbers its ground 1 and its lines -1."""
    objects = [np.where(_blobs(n, count=n) > 0, _blobs(n, count=n) + 1, 1) for n in (3, 5, 16)]
    for one in objects:
        one[:2] = -1
    (way,) = _lines(_stop(_grey(objects)))
    assert way == {"encoding": "instances", "background": 1, "ignore": -1}
    found = _recognised(_grey(objects), wanted=way)
    assert found.understood.startswith("numbered objects in all 3 masks: 1 = background")
    _reads_back(_grey(objects), [np.where(one < 0, IGNORE, one > 1) for one in objects], found.encoding)


def test_layers_are_no_objects():
    """Numbers whose regions reach from side to side, or that all masks hold, may be classes."""
    layers = [(np.arange(SIDE)[:, None] // (7 + n) + np.zeros((1, SIDE))).astype(np.uint16) for n in range(3)]
    text = _stop(_grey(layers))
    assert "each in one piece in most masks" in text
    same = _grey(_blobs(n, count=6 - (n == 2)).astype(np.uint16) for n in range(4))
    assert [way["encoding"] for way in _lines(_stop(same))] == ["instances", "indices"]


def test_soft_edges_of_16_bits_are_no_objects():
    """Numbers that spread up to one that all masks share are edges; a threshold divides them."""
    masks = [cv2.resize((_blobs(n, count=2 + n) > 0) * 65535.0, (59, 61)) for n in range(4)]
    masks = _grey(np.rint(mask).astype(np.uint16) for mask in masks)
    text = _stop(masks)
    assert "numbers up to 65535, which 4 of 4 masks hold" in text
    found = _recognised(masks, wanted=_lines(text)[0])
    assert found.understood.startswith("grey values in all 4 masks: 32768 and more = nucleus")


def test_inverted_grey_edges_stop_with_a_line_that_reads():
    """Inverted masks with grey edges are read by the threshold, inverted."""
    masks = _grey(255 - _smooth(_blobs(n) > 0) for n in range(4))
    text = _stop(masks)
    assert _lines(text)[0] == {"encoding": "binary", "threshold": 128, "inverted": True}
    found = _recognised(masks, wanted=_lines(text)[0])
    assert found.understood.endswith("128 and more = background, less = nucleus")
    _reads_back(masks, [mask.values < 128 for mask in masks], found.encoding)


def test_shades_without_edges_stop_with_a_threshold():
    """A probability map is divided by a threshold; a picture is no mask."""
    masks = _grey(np.random.default_rng(n).integers(0, 256, (SIDE, SIDE)).astype(np.uint8) for n in range(3))
    text = _stop(masks)
    assert "If this is a picture, set `masks`" in text
    assert _lines(text) == [{"encoding": "binary", "threshold": 128}]


def test_one_map_of_objects_does_not_turn_a_set():
    """Among masks of 0 and 255 one map of objects makes no set of objects."""
    masks = _grey([_blobs(0, count=9).astype(np.uint16), *(255 * (_blobs(n) > 0) for n in range(1, 9))])
    assert _lines(_stop(masks))[0]["encoding"] != "instances"


# Several files an image


def _united(*files: list[np.ndarray]) -> list[Summary]:
    """The summaries of images with a list of files each."""
    masks = [_grey(some) for some in files]
    return [
        replace(summarise(unite(some)), pieces=tuple(piece_of(summarise(one)) for one in some))
        for some in masks
    ]


def _alone(number: int, value: int = 255) -> list[np.ndarray]:
    return [np.where(_blobs(number) == label, value, 0).astype(np.uint8) for label in (1, 2, 3)]


def test_files_of_one_object_each_are_objects():
    """Files of 0 and another value are objects, and that is said for a person to look at."""
    found = recognise(_united(*map(_alone, range(3))), TWO, AUTO)
    assert found.understood == "objects, one a file, in 9 files of 3 images: what is not 0 = nucleus"
    assert found.notes == ["The masks were taken for objects, one a file; look at the examples."]


@pytest.mark.parametrize(
    ("change", "found", "lines"),
    [
        (lambda one: _smooth(one > 0), "grey edges in 9 of 9", [{"encoding": "instances", "threshold": 128}]),
        (
            lambda one: _jpeg(one > 0, 90),
            "grey edges in 9 of 9",
            [{"encoding": "instances", "threshold": 128}],
        ),
        (lambda one: 255 - one, "9 of 9 of them filled for the most part", []),
        (
            lambda one: np.where(cv2.dilate(one, np.ones((3, 3))) > one, 9, one),
            "such as 0, 9, 255",
            [{"encoding": "instances"}],
        ),
    ],
    ids=["soft", "jpeg", "inverted", "ring"],
)
def test_files_that_are_no_plain_objects_stop(change, found, lines):
    """Soft edges, inverted files and further values are named, with a line where one reads them."""
    summaries = _united(*(list(map(change, _alone(number))) for number in range(3)))
    with pytest.raises(DataError, match=found) as caught:
        infer(summaries, TWO)
    assert _lines(str(caught.value)) == lines


def test_files_of_a_class_each_stop():
    """Several files are objects of one class, so three classes are refused."""
    with pytest.raises(DataError, match="several mask files an image, and 3 classes"):
        infer(_united(_alone(0)), THREE)


def test_palettes_with_another_black_index_are_no_plain_objects():
    """A file whose index 0 is red and 1 black is no object of index 1."""
    file = summarise(RawMask((_blobs(0) == 0).astype(np.uint8), _palette((255, 0, 0), (0, 0, 0))))
    assert not piece_of(file).plain


# What a mask holds


def test_colours_are_counted_of_any_mask():
    """A mask without colours counts as grey, one of 1 bit as black and white."""
    bits = np.array([[0, 1, 1]], np.uint8)
    masks = [
        RawMask(bits),
        RawMask(bits, bilevel=True),
        RawMask(bits, np.array([(0, 0, 0), (9, 8, 7)], np.uint8)),
    ]
    counts = [colour_counts(summary) for summary in _summaries(masks)]
    assert counts == [[(0, 1), (0x010101, 2)], [(0, 1), (0xFFFFFF, 2)], [(0, 1), (0x090807, 2)]]


def test_an_inverted_mask_looks_so():
    """Blobs of 0 in a ground of another value look inverted, blobs on 0 do not."""
    blobs = (_blobs(0) > 0).astype(np.uint8)
    assert [looks_inverted(summary) for summary in _summaries(_grey([blobs, 1 - blobs]))] == [False, True]


def test_indices_are_the_classes_and_what_is_ignored():
    """Each number stands for the class of that number."""
    assert indices(3, 9) == Encoding("indices", values=((0, 0), (1, 1), (2, 2)), ignore=9)
