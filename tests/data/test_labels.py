"""Any mask encoding becomes class indices."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from stratagem.core.errors import DataError
from stratagem.data.labels import IGNORE, Encoding, RawMask, read_mask, to_classes, unite

INDICES = Encoding("indices", values=((0, 0), (1, 1), (2, 2)), ignore=255)
BINARY = Encoding("values", values=((0, 0), (255, 1)))
ROADS = Encoding("colours", colours=(("#000000", 0), ("#804080", 1)), ignore="#ffffff")
BLACK, ROAD, WHITE = [0, 0, 0], [0x80, 0x40, 0x80], [255, 255, 255]
COLOURS = np.array([[BLACK, ROAD, WHITE]], np.uint8)


def _mask(*values, dtype=np.uint8) -> RawMask:
    return RawMask(np.array([values], dtype))


def _classes(mask: RawMask, encoding: Encoding, image=None) -> list:
    classes = to_classes(mask, encoding, image)
    assert classes.dtype == np.uint8
    return classes.tolist()


# Files


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_mask_values_come_back_as_stored(tmp_path, ending):
    """A mask's values come back untouched."""
    values = np.array([[0, 7, 255], [3, 128, 1]], np.uint8)
    Image.fromarray(values).save(tmp_path / f"m.{ending}")
    mask = read_mask(tmp_path / f"m.{ending}")
    assert mask.values.dtype == np.uint8
    assert mask.palette is None
    assert not mask.bilevel
    np.testing.assert_array_equal(mask.values, values)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32"])
def test_wide_values_keep_their_type(tmp_path, dtype):
    """Object numbers beyond 255 come back as they are."""
    values = np.array([[0, 1], [300, 65535]], dtype)
    tifffile.imwrite(tmp_path / "m.tif", values)
    mask = read_mask(tmp_path / "m.tif")
    assert mask.values.dtype == dtype
    np.testing.assert_array_equal(mask.values, values)


@pytest.mark.parametrize("dtype", ["float32", "int16", "float64"])
def test_whole_numbers_of_another_type_become_int32(tmp_path, dtype):
    """Whole numbers that a program saved as float are numbers all the same."""
    tifffile.imwrite(tmp_path / "m.tif", np.array([[0, 3], [7, 1]], dtype))
    mask = read_mask(tmp_path / "m.tif")
    assert mask.values.dtype == np.int32
    np.testing.assert_array_equal(mask.values, [[0, 3], [7, 1]])


@pytest.mark.parametrize("strange", [np.nan, 1e12])
def test_numbers_that_can_be_no_classes_are_refused(tmp_path, strange):
    """NaN, and what no whole number of 32 bits can be."""
    tifffile.imwrite(tmp_path / "m.tif", np.array([[0, strange]], np.float32))
    with pytest.raises(DataError, match=r"m\.tif.*finite numbers below.*float32"):
        read_mask(tmp_path / "m.tif")


def test_a_palette_mask_gives_indices_and_colours(tmp_path):
    """A palette mask gives its indices, and which colour each has."""
    image = Image.fromarray(np.array([[0, 2, 1]], np.uint8), "P")
    image.putpalette([255, 255, 255, 9, 9, 9, 200, 0, 0])
    image.save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png")
    np.testing.assert_array_equal(mask.values, [[0, 2, 1]])
    assert mask.palette.dtype == np.uint8
    np.testing.assert_array_equal(mask.palette[:3], [[255] * 3, [9] * 3, [200, 0, 0]])


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_a_one_bit_mask_gives_0_and_1(tmp_path, ending):
    """A 1-bit mask gives 0 and 1, and says that it has 1 bit."""
    Image.fromarray(np.array([[False, True]])).save(tmp_path / f"m.{ending}")
    mask = read_mask(tmp_path / f"m.{ending}")
    assert mask.bilevel
    np.testing.assert_array_equal(mask.values, [[0, 1]])


@pytest.mark.parametrize("values", [np.array([[False, True]]), np.array([[0, 255]], np.uint8)])
def test_a_mask_shown_inverted_gives_what_is_stored(tmp_path, values):
    """A TIFF mask to be shown with black objects keeps the objects' numbers."""
    tifffile.imwrite(tmp_path / "m.tif", values, photometric="miniswhite")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif").values, values)


def test_a_compressed_mask_shown_inverted_gives_what_is_stored(tmp_path):
    """So does one that Pillow decodes, which hands out what is shown."""
    shown = np.array([[0, 200]], np.uint8)
    Image.fromarray(shown).save(tmp_path / "m.tif", compression="tiff_lzw", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif").values, 255 - shown)


def test_a_fax_mask_gives_its_white_pixels(tmp_path):
    """A fax file stores white as 0, and white is set all the same."""
    bits = np.zeros((8, 16), bool)
    bits[2:5, 3:9] = True
    Image.fromarray(bits).save(tmp_path / "m.tif", compression="group4")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif").values, bits)


def test_colours_come_back_without_alpha(tmp_path):
    """A colour mask comes back as red, green, blue."""
    Image.fromarray(np.dstack([COLOURS, [[0, 9, 255]]]).astype(np.uint8)).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png").values, COLOURS)


def test_a_colour_file_without_colour_is_grey(tmp_path):
    """Three equal channels are one."""
    Image.fromarray(np.dstack([[[0, 255, 7]]] * 3).astype(np.uint8)).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png").values, [[0, 255, 7]])


@pytest.mark.parametrize("channels", [2, 3])
def test_other_channels_are_refused(tmp_path, channels):
    """Two channels, or colours of 16 bits, are no mask."""
    array = np.ones((2, 2, channels), np.uint16) * np.arange(channels, dtype=np.uint16)
    kind = (
        {"photometric": "rgb"} if channels == 3 else {"photometric": "minisblack", "planarconfig": "contig"}
    )
    tifffile.imwrite(tmp_path / "m.tif", array, **kind)
    with pytest.raises(DataError, match=r"m\.tif.*colours of 8 bits.*channels of 16 bits"):
        read_mask(tmp_path / "m.tif")


def test_fractions_are_divided_by_a_threshold(tmp_path):
    """Soft masks, as a network gives them."""
    soft = np.array([[0, 0.2, 0.5, 0.9, 1]], np.float32)
    tifffile.imwrite(tmp_path / "m.tif", soft)
    mask = read_mask(tmp_path / "m.tif")
    np.testing.assert_array_equal(mask.values, soft)
    found = to_classes(mask, Encoding("values", threshold=0.5))
    np.testing.assert_array_equal(found, [[0, 0, 1, 1, 1]])


@pytest.mark.parametrize("pages", [2, 3])
def test_pages_of_a_mask_are_never_colours(tmp_path, pages):
    """Three slices of a volume would else be merged into one mask."""
    tifffile.imwrite(tmp_path / "m.tif", np.ones((pages, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(
        DataError, match=rf"m\.tif: expected a mask of one page.*{pages} pages.*`pages: samples`"
    ):
        read_mask(tmp_path / "m.tif")


def test_a_mask_is_turned_as_its_image_would_be(tmp_path):
    """A mask that says how it is to be turned is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.array([[1, 2]], np.uint8)).save(tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png").values, [[1], [2]])


# Classes


def test_indices_are_the_classes():
    """An index is its class, and 255 stays what is ignored."""
    assert _classes(_mask(0, 2, 255), INDICES) == [[0, 2, IGNORE]]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint32"])
def test_values_of_any_width_get_their_class(dtype):
    """A value gets its class, whatever type it is stored in."""
    encoding = Encoding("values", values=((0, 0), (64, 2), (32, 1)), ignore=128)
    assert _classes(_mask(0, 32, 64, 128, dtype=dtype), encoding) == [[0, 1, 2, IGNORE]]


def test_a_class_may_have_several_values():
    """Two values may be one class; inverted masks have 0 as foreground."""
    assert _classes(_mask(0, 3, 255), Encoding("values", values=((255, 0), (0, 1), (3, 1)))) == [[1, 1, 0]]


def test_an_undeclared_value_is_named_with_its_share():
    """A value without a class is an error that names it, its share and the file."""
    with pytest.raises(DataError, match=r"m\.png.*0, 1, 2, 255.*found 7 \(25\.00% of the pixels\)"):
        to_classes(_mask(0, 7, 1, 1), INDICES, where="m.png")
    with pytest.raises(DataError, match=r"300 \(50\.00%"):
        to_classes(_mask(0, 300, dtype=np.uint16), INDICES)


def test_many_undeclared_values_are_counted():
    """Of many values the most frequent are named and the rest counted."""
    with pytest.raises(DataError, match=r"found 5 \(22\.22% of the pixels\), 4 .* and 3 more\. Mend"):
        to_classes(_mask(5, 5, 4, 6, 7, 8, 9, 10, 11), INDICES)


@pytest.mark.parametrize(
    ("encoding", "classes"),
    [
        (BINARY, [[0, 1]]),
        (Encoding("values", values=((0, 0), (1, 1)), ignore=255), [[0, 1]]),
        (Encoding("values", values=((255, 0), (0, 1))), [[1, 0]]),
        (Encoding("values", threshold=128), [[0, 1]]),
        (Encoding("instances"), [[0, 1]]),
        (Encoding("colours", colours=(("#000000", 0), ("#ffffff", 1))), [[0, 1]]),
    ],
)
def test_a_set_bit_is_the_higher_value_of_the_other_masks(encoding, classes):
    """A 1-bit mask among others is read as white and black are there."""
    bits = RawMask(np.array([[0, 1]], np.uint8), bilevel=True)
    assert _classes(bits, encoding) == classes


def test_a_threshold_divides_grey_values():
    """At and above the threshold is foreground; an ignored value stays ignored."""
    encoding = Encoding("values", threshold=128, ignore=200)
    assert _classes(_mask(0, 127, 128, 200, 255), encoding) == [[0, 0, 1, IGNORE, 1]]


def test_an_inverted_threshold_takes_what_is_below():
    """Where the ground is bright, what is darker is foreground."""
    encoding = Encoding("values", threshold=128, inverted=True, ignore=200)
    assert _classes(_mask(0, 127, 128, 200, 255), encoding) == [[1, 1, 0, IGNORE, 0]]


def test_objects_may_have_another_background():
    """The number of the ground may be another, and 0 an object."""
    encoding = Encoding("instances", background=9, border=2, ignore=5)
    assert _classes(_mask(9, 9, 0, 0, 0, 9, 5), encoding) == [[0, 0, 2, 1, 2, 0, IGNORE]]


def test_what_is_left_of_a_cut_out_is_the_class():
    """Where the paint is background, all else is foreground, also where image and paint are one colour."""
    image = np.array([[[0, 0, 0], [9, 9, 9], [8, 8, 8]]], np.uint8)
    cut = np.array([[[0, 0, 0], [9, 9, 9], [0, 0, 0]]], np.uint8)
    assert _classes(RawMask(cut), Encoding("overlay", colours=(("#000000", 0),)), image) == [[0, 1, 0]]


def test_a_set_bit_is_no_class_of_three_values():
    """Among masks of three codes a 1-bit mask is refused: which of them a bit is cannot be told."""
    bits = RawMask(np.array([[0, 1]], np.uint8), bilevel=True)
    with pytest.raises(DataError, match="1 bit a pixel: 0, and any of them"):
        to_classes(bits, Encoding("values", values=((0, 0), (127, 1), (255, 2))))


def test_colours_get_their_class():
    """A colour gets its class, and another is ignored."""
    assert _classes(RawMask(COLOURS), ROADS) == [[0, 1, IGNORE]]


def test_a_palette_mask_is_read_by_its_colours():
    """Among colour masks a palette mask counts by the colours of its indices."""
    palette = np.array([WHITE, ROAD, BLACK], np.uint8)
    assert _classes(RawMask(np.array([[0, 1, 2]], np.uint8), palette), ROADS) == [[IGNORE, 1, 0]]


def test_a_grey_mask_among_colours_is_grey_colours():
    """An all black mask is black."""
    assert _classes(_mask(0, 255), ROADS) == [[0, IGNORE]]


@pytest.mark.parametrize("value", [0x7F, 0x8040])
def test_an_undeclared_colour_is_named(value):
    """A colour without a class is named as it would be written in the config; so is a wide grey."""
    with pytest.raises(DataError, match=r"`colours`, #000000, #804080, #ffffff, but found #[0-9a-f]+ \(50"):
        to_classes(_mask(0, value, dtype=np.uint16), ROADS)


def test_a_colour_mask_among_values_is_refused():
    """A colour mask in a set of values is refused by name."""
    with pytest.raises(DataError, match=r"m\.png.*one channel.*one in colour"):
        to_classes(RawMask(COLOURS), BINARY, where="m.png")


def test_every_object_is_foreground():
    """All object numbers are one class."""
    assert _classes(_mask(0, 1, 300, 7, dtype=np.uint16), Encoding("instances")) == [[0, 1, 1, 1]]
    assert _classes(_mask(0, 1, 255), Encoding("instances", ignore=255)) == [[0, 1, IGNORE]]


def test_objects_in_colours_are_objects():
    """Objects each in a colour of its own are objects, black is background."""
    assert _classes(RawMask(COLOURS), Encoding("instances")) == [[0, 1, 1]]


def test_the_border_of_objects_gets_its_class():
    """Where an object touches background or another, its pixels are border, one pixel wide."""
    numbers = np.zeros((5, 8), np.uint16)
    numbers[:, 0:4], numbers[1:4, 4:7] = 1, 2
    expected = [
        [1, 1, 1, 2, 0, 0, 0, 0],
        [1, 1, 1, 2, 2, 2, 2, 0],
        [1, 1, 1, 2, 2, 1, 2, 0],
        [1, 1, 1, 2, 2, 2, 2, 0],
        [1, 1, 1, 2, 0, 0, 0, 0],
    ]
    assert _classes(RawMask(numbers), Encoding("instances", border=2)) == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 2)])
@pytest.mark.parametrize("value", [0, 5])
def test_tiny_empty_and_full_masks_have_objects_without_border(shape, value):
    """A mask of one value has no border."""
    classes = to_classes(RawMask(np.full(shape, value, np.uint8)), Encoding("instances", border=2))
    np.testing.assert_array_equal(classes, np.full(shape, value != 0))


def test_only_painted_pixels_of_a_copy_count():
    """A red pixel counts where the image is not red itself; other changes are background."""
    image = np.array([[[255, 0, 0], [9, 9, 9], [8, 8, 8], [7, 7, 7]]], np.uint8)
    painted = np.array([[[255, 0, 0], [255, 0, 0], [0, 255, 0], [7, 7, 7]]], np.uint8)
    encoding = Encoding("overlay", colours=(("#ff0000", 1),))
    assert _classes(RawMask(painted), encoding, image) == [[0, 1, 0, 0]]


@pytest.mark.parametrize("image", [None, np.zeros((9, 9, 3), np.uint8)])
def test_a_painted_copy_needs_its_image(image):
    """A painted copy without an image of its size is refused."""
    with pytest.raises(DataError, match=r"original, 1x3, but found (no image|an image of 9x9)"):
        to_classes(RawMask(COLOURS), Encoding("overlay", colours=(("#ff0000", 1),)), image)


@pytest.mark.parametrize(
    "encoding",
    [
        INDICES,
        ROADS,
        Encoding("values", threshold=128, inverted=True),
        Encoding("instances", border=2, background=7),
        Encoding("overlay", colours=(("#ff0000", 1),)),
    ],
)
def test_an_encoding_survives_its_record(encoding):
    """An encoding written as JSON comes back the same."""
    assert Encoding.from_record(json.loads(json.dumps(encoding.as_record()))) == encoding


# Objects in files of their own


def test_files_of_one_object_each_become_one_map():
    """The objects get their number in order, later ones over earlier."""
    first = RawMask(np.array([[1, 1, 0, 0]], np.uint8), bilevel=True)
    colour = RawMask(np.array([[[0, 0, 0], [9, 0, 0], [9, 0, 0], [0, 0, 0]]], np.uint8))
    united = unite([first, colour])
    assert united.values.dtype == np.int32
    assert united.values.tolist() == [[1, 2, 2, 0]]


def test_a_threshold_divides_each_file_of_an_object():
    """An object is what reaches the threshold, in each file before they are united."""
    soft = [_mask(0, 90, 200, 0), _mask(0, 0, 127, 128)]
    assert unite(soft, threshold=128).values.tolist() == [[0, 0, 1, 2]]
    bit = RawMask(np.array([[0, 1, 0, 0]], np.uint8), bilevel=True)
    assert unite([bit, soft[1]], threshold=128).values.tolist() == [[0, 1, 0, 2]]
    with pytest.raises(DataError, match="grey values, which a threshold divides, but found colours"):
        unite([RawMask(COLOURS)], threshold=128)


def test_objects_of_two_sizes_are_refused():
    """Masks of one image that differ in size are refused with both sizes."""
    with pytest.raises(DataError, match="one size.*found 1x2, 1x3"):
        unite([_mask(0, 1), _mask(0, 1, 1)])


def test_no_objects_at_all_are_refused():
    """An image without any mask file has no size to make a map of."""
    with pytest.raises(DataError, match="found no mask"):
        unite([])
