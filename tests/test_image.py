"""Any image file becomes the canonical array, or an error that names it."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from stratagem.errors import DataError
from stratagem.image import EXTENSIONS, read_image, read_plane

COLOUR = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]], np.uint8)
GREY = np.array([[0, 7, 255], [3, 128, 1]], np.uint8)


def _encoded(array: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def _png(rows: list[bytes], width: int, depth: int) -> bytes:
    """A grey PNG of 1, 2, 4, 8 or 16 bits, rows as packed bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, len(rows), depth, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("ending", ["png", "tif", "tiff", "bmp", "PNG"])
def test_colour_comes_back_as_stored(tmp_path, ending):
    """A colour image comes back as red, green, blue, whatever lossless format it is in."""
    Image.fromarray(COLOUR).save(tmp_path / f"a.{ending}")
    image = read_image(tmp_path / f"a.{ending}")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, COLOUR)


def test_a_jpeg_is_read_in_colour(tmp_path):
    """A JPEG comes back in colour, red first."""
    Image.new("RGB", (8, 8), (250, 10, 20)).save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").mean(axis=(0, 1)), (250, 10, 20), atol=3)


def test_grey_gets_three_equal_channels(tmp_path):
    """A grey image becomes one of three equal channels, values as stored."""
    Image.fromarray(GREY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.dstack([GREY] * 3))


def test_alpha_is_dropped_without_blending(tmp_path):
    """A transparent pixel keeps the colour it was stored with."""
    Image.fromarray(np.dstack([COLOUR, GREY])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), COLOUR)


def test_a_palette_is_looked_up(tmp_path):
    """A palette image comes back in its palette's colours."""
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[10, 20, 30], [40, 50, 60]]])


def test_one_bit_becomes_black_and_white(tmp_path):
    """A 1-bit image becomes black and white."""
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[0] * 3, [255] * 3]])


def test_printing_colours_are_converted(tmp_path):
    """A CMYK file becomes RGB."""
    Image.new("CMYK", (1, 1), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), [[[255, 0, 0]]])


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("grey16.png", np.array([[0, 40000]], np.uint16)),
        ("colour16.png", np.full((2, 2, 3), 40000, np.uint16)),
        ("grey16.tif", np.array([[0, 40000]], np.uint16)),
        ("colour16.tif", np.full((2, 2, 3), 40000, np.uint16)),
        ("float.tif", np.array([[0.5, 1.5]], np.float32)),
    ],
)
def test_more_than_8_bits_is_refused(tmp_path, name, array):
    """An image of more than 8 bits a channel is refused by name rather than scaled by a guess."""
    path = tmp_path / name
    if name.endswith("png"):
        assert cv2.imwrite(str(path), array)
    else:
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack")
    with pytest.raises(DataError, match=name) as caught:
        read_image(path)
    assert "Convert" in str(caught.value)


def test_the_refusal_names_the_pixel_mode(tmp_path):
    """The error says which pixel modes would do and which the file has."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(DataError, match=r"RGB.*but found F\."):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("read", [read_image, read_plane])
def test_an_empty_file_is_called_empty(tmp_path, read):
    """An empty file is called empty, with its name and what to do."""
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.png.*an empty file.*bad_samples: skip"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_image, read_plane])
def test_a_file_that_is_no_image_is_named(tmp_path, read):
    """A text file with an image's ending is named."""
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(DataError, match=r"a\.png.*cannot be decoded.*Convert or replace"):
        read(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path):
    """A file that vanished is named, in one sentence."""
    with pytest.raises(DataError, match=r"a\.png.*No such file"):
        read_image(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "BMP", "GIF", "WEBP"])
def test_a_truncated_file_is_refused_in_a_sentence(tmp_path, kind):
    """A file cut anywhere is refused with its name; it never ends in a traceback."""
    data = _encoded(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8), kind)
    path = tmp_path / "cut.img"
    refused = 0
    for length in {*range(0, len(data), max(1, len(data) // 40)), len(data) // 2}:
        path.write_bytes(data[:length])
        try:
            assert read_image(path).shape == (9, 9, 3)
        except DataError as error:
            assert "cut.img" in str(error)
            refused += 1
    assert refused > 20


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "BMP", "GIF", "WEBP"])
def test_a_damaged_file_is_read_or_refused(tmp_path, kind):
    """A byte gone wrong gives pixels or an error with the file's name, never a traceback."""
    data = _encoded(np.random.default_rng(0).integers(0, 256, (2, 2, 3), dtype=np.uint8), kind)
    path = tmp_path / "damaged.img"
    for place in range(min(len(data), 250)):
        for change in (1, 0xFF):
            path.write_bytes(data[:place] + bytes([data[place] ^ change]) + data[place + 1 :])
            try:
                assert read_image(path).dtype == np.uint8
            except DataError as error:
                assert "damaged.img" in str(error)


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_mask_values_come_back_as_stored(tmp_path, ending):
    """A mask's values come back untouched."""
    Image.fromarray(GREY).save(tmp_path / f"m.{ending}")
    plane = read_plane(tmp_path / f"m.{ending}")
    assert plane.dtype == np.uint8
    np.testing.assert_array_equal(plane, GREY)


def test_a_palette_mask_gives_indices(tmp_path):
    """A palette mask gives its indices, not its colours."""
    image = Image.fromarray(np.array([[0, 2, 1]], np.uint8), "P")
    image.putpalette([255, 255, 255, 9, 9, 9, 200, 0, 0])
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_plane(tmp_path / "m.png"), [[0, 2, 1]])


def test_a_one_bit_mask_gives_0_and_255(tmp_path):
    """A 1-bit mask gives 0 and 255."""
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_plane(tmp_path / "m.png"), [[0, 255]])


@pytest.mark.parametrize(("depth", "row"), [(2, b"\x18"), (4, b"\x01\x20")])
def test_a_mask_of_few_bits_gives_its_values(tmp_path, depth, row):
    """A mask of 2 or 4 bits a pixel gives the values stored, 0, 1, 2, not stretched to 255."""
    (tmp_path / "m.png").write_bytes(_png([row], 3, depth))
    np.testing.assert_array_equal(read_plane(tmp_path / "m.png"), [[0, 1, 2]])


def test_a_mask_of_several_channels_is_refused(tmp_path):
    """A mask in colour is refused by name, with the modes that would do."""
    Image.fromarray(COLOUR).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"m\.png.*1, L, P.*found RGB"):
        read_plane(tmp_path / "m.png")


@pytest.mark.parametrize("ending", sorted(EXTENSIONS))
def test_every_promised_ending_can_be_read(tmp_path, ending):
    """Each ending that the index looks for is a format that can be read."""
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / f"a{ending}")
    assert read_image(tmp_path / f"a{ending}").shape == (4, 4, 3)
