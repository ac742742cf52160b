"""Any image file becomes the canonical array, or an error that names it."""

import io
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from stratagem.core.errors import DataError
from stratagem.data.image import (
    EXTENSIONS,
    Reading,
    header_of,
    is_wide,
    levels_of,
    read_image,
    read_raw,
    read_stored,
    reduced,
    sample_intensities,
    varies_in_alpha,
)

COLOUR = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]], np.uint8)
GREY = np.array([[0, 7, 255], [3, 128, 1]], np.uint8)


def _encoded(array: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def _png(rows: list[bytes], width: int, depth: int, *, colour: int = 0, height: int | None = None) -> bytes:
    """A PNG of 1, 2, 4, 8 or 16 bits, grey if colour is 0, rows as packed bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height or len(rows), depth, colour, 0, 0, 0)
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


LZW = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_LZW]
WIDE = [np.uint16, np.uint32, np.int16, np.int32, np.float32, np.float64]


def _ramp(dtype, *shape: int) -> np.ndarray:
    """Values of a type that fill 0 .. 30000, none like its neighbours."""
    return np.linspace(0, 30000, int(np.prod(shape))).round().astype(dtype).reshape(shape)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
@pytest.mark.parametrize("dtype", WIDE)
def test_wide_tiff_pixels_come_back_untouched(tmp_path, dtype, shape):
    """More than 8 bits come back as stored, in their own type."""
    raw = _ramp(dtype, *shape)
    tifffile.imwrite(tmp_path / "a.tif", raw, photometric="rgb" if len(shape) == 3 else "minisblack")
    found = read_raw(tmp_path / "a.tif")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, raw)


def test_another_byte_order_is_turned(tmp_path):
    """Files of big-endian machines give numbers of this machine."""
    tifffile.imwrite(tmp_path / "a.tif", _ramp(np.uint16, 3, 4), byteorder=">")
    found = read_raw(tmp_path / "a.tif")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, _ramp(np.uint16, 3, 4))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_all_16_bits_of_a_png_come_back(tmp_path, channels):
    """A PNG of 16 bits keeps them all, red first, without alpha."""
    stored = _ramp(np.uint16, 4, 5, channels)
    assert cv2.imwrite(str(tmp_path / "a.png"), stored)
    expected = stored[..., 0] if channels == 1 else stored[..., 2::-1]
    np.testing.assert_array_equal(read_raw(tmp_path / "a.png"), expected)


def test_16_bit_grey_with_alpha_is_grey(tmp_path):
    """A PNG of 16-bit grey and alpha gives the grey."""
    (tmp_path / "a.png").write_bytes(_png([b"\x12\x34\xff\xff\x00\x07\x00\x00"], 2, 16, colour=4))
    np.testing.assert_array_equal(read_raw(tmp_path / "a.png"), [[0x1234, 7]])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_compressed_wide_tiff_comes_back(tmp_path, channels):
    """A compression that tifffile lacks loses neither bits nor the order of colours."""
    stored = _ramp(np.uint16, 4, 5, channels)
    assert cv2.imwrite(str(tmp_path / "a.tif"), stored, LZW)
    expected = stored[..., 0] if channels == 1 else stored[..., [2, 1, 0, 3][:channels]]
    np.testing.assert_array_equal(read_raw(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"])
def test_tiff_compressions_give_the_same_pixels(tmp_path, compression):
    """A lossless compression changes nothing."""
    Image.fromarray(COLOUR).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), COLOUR)


def test_planes_in_a_row_become_channels(tmp_path):
    """A TIFF that stores one plane a colour is a colour image."""
    planes = np.ascontiguousarray(COLOUR.transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), COLOUR)


@pytest.mark.parametrize("metadata", [{}, None])
def test_pages_without_a_meaning_are_channels(tmp_path, metadata):
    """Pages of one size are the channels of one image."""
    pages = _ramp(np.uint16, 5, 4, 6)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack", metadata=metadata)
    np.testing.assert_array_equal(read_raw(tmp_path / "a.tif"), pages.transpose(1, 2, 0))


def test_compressed_pages_are_channels(tmp_path):
    """So are compressed ones."""
    pages = _ramp(np.uint16, 5, 4, 6)
    assert cv2.imwritemulti(str(tmp_path / "a.tif"), list(pages))
    np.testing.assert_array_equal(read_raw(tmp_path / "a.tif"), pages.transpose(1, 2, 0))


def test_channels_of_a_microscope_are_channels(tmp_path):
    """A TIFF with a named channel axis gives channels last."""
    pages = _ramp(np.uint16, 2, 4, 6)
    tifffile.imwrite(tmp_path / "a.tif", pages, imagej=True, metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_raw(tmp_path / "a.tif"), pages.transpose(1, 2, 0))


@pytest.mark.parametrize("axes", ["TZYX"])
def test_a_stack_is_refused_with_its_axes(tmp_path, axes):
    """Planes of depth at several times are no pages of one kind, and are refused by the names of the axes."""
    stack = np.zeros((2, 3, 4, 6)[-len(axes) :], np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": axes})
    with pytest.raises(DataError, match=rf"a\.tif.*axes {axes} .* of [\dx]+4x6\. Save each"):
        read_raw(tmp_path / "a.tif")


def test_pages_of_two_sizes_are_refused_and_previews_left_out(tmp_path):
    """Two images in one file are refused; a smaller copy of the one image is not a second."""
    for name, kind in (("two.tif", 0), ("preview.tif", 1)):
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(np.full((4, 6), 7, np.uint8))
            file.write(np.zeros((2, 3), np.uint8), subfiletype=kind)
    assert read_raw(tmp_path / "preview.tif").shape == (4, 6)
    with pytest.raises(DataError, match=r"two\.tif: expected one image, but found 2 of different sizes"):
        read_raw(tmp_path / "two.tif")


@pytest.mark.parametrize("values", [np.array([[0, 200]], np.uint8), np.array([[0, 60000]], np.uint16)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_min_is_white_is_inverted(tmp_path, values, compression):
    """A TIFF whose 0 is white is seen that way."""
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite", compression=compression)
    np.testing.assert_array_equal(read_raw(tmp_path / "a.tif"), np.iinfo(values.dtype).max - values)


@pytest.mark.parametrize("mode", ["L", "I;16", "1"])
def test_compressed_min_is_white_is_inverted_once(tmp_path, mode):
    """So is one that Pillow decodes, of whatever width."""
    shown = Image.fromarray({"L": GREY, "I;16": GREY.astype(np.uint16), "1": GREY > 99}[mode])
    shown.save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={262: 0})
    # Pillow writes 8 bits inverted, so that they are seen as before, but 16 bits as they are.
    expected = {"L": GREY, "I;16": 65535 - GREY.astype(np.uint16), "1": 255 * (GREY > 99)}[mode]
    np.testing.assert_array_equal(read_raw(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_alpha_is_dropped_from_any_colour(tmp_path, mode, ending):
    """Grey with alpha is grey, colour with alpha is colour."""
    pixels = np.dstack([GREY, GREY[::-1]]) if mode == "LA" else np.dstack([COLOUR, GREY])
    Image.fromarray(pixels).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(
        read_raw(tmp_path / f"a.{ending}"), pixels[..., 0] if mode == "LA" else pixels[..., :3]
    )


def test_a_fourth_band_is_no_alpha(tmp_path):
    """Near infrared beside red, green, blue is not dropped in silence: it is read."""
    bands = np.dstack([COLOUR, GREY[:, :3]])
    for name, compression in (("a.tif", None), ("b.tif", "lzw")):
        if compression:
            Image.fromarray(bands, "RGBX").save(tmp_path / name, compression="tiff_lzw")
        else:
            tifffile.imwrite(tmp_path / name, bands, photometric="rgb", extrasamples=["unspecified"])
        np.testing.assert_array_equal(read_image(tmp_path / name), bands)
        np.testing.assert_array_equal(read_image(tmp_path / name, Reading(channels=(0, 1, 2))), COLOUR)


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_the_file_says(tmp_path, ending, orientation):
    """A camera's note on how it was held is followed, in all eight ways."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.kron(GREY, np.ones((8, 8))).astype(np.uint8)
    keys = {"tiffinfo": {274: orientation}} if ending == "tif" else {"exif": exif, "quality": 100}
    Image.fromarray(pixels).save(tmp_path / f"a.{ending}", **keys)
    expected = _turned(pixels, orientation)
    assert expected.shape == ((16, 24) if orientation < 5 else (24, 16))
    found = read_image(tmp_path / f"a.{ending}")[..., 0].astype(int)
    np.testing.assert_allclose(found, expected, atol=0 if ending in ("png", "tif") else 3)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_palette_tiff_is_turned_too(tmp_path, compression, orientation):
    """So is a TIFF that is left to Pillow."""
    indices = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = Image.fromarray(indices, "P")
    image.putpalette(list(range(30)))
    image.save(tmp_path / "a.tif", compression=compression, tiffinfo={274: orientation})
    np.testing.assert_array_equal(read_stored(tmp_path / "a.tif").pixels, _turned(indices, orientation))


@pytest.mark.parametrize("decoded_here", [{1}, set()], ids=["tifffile", "OpenCV"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_wide_colour_is_turned_too(tmp_path, monkeypatch, orientation, decoded_here):
    """A TIFF of 16-bit colour is turned once, whoever decodes it."""
    monkeypatch.setattr("stratagem.data.image.PURE_COMPRESSION", decoded_here)
    raw = _ramp(np.uint16, 2, 3, 3)
    turn = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", raw, photometric="rgb", extratags=turn)
    np.testing.assert_array_equal(read_raw(tmp_path / "a.tif"), _turned(raw, orientation))


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W) or (H, W, C) as Pillow turns an image of their places."""
    height, width = pixels.shape[:2]
    places = Image.fromarray(np.arange(height * width, dtype=np.int32).reshape(height, width))
    places.getexif()[0x0112] = orientation
    return pixels.reshape(-1, *pixels.shape[2:])[np.array(ImageOps.exif_transpose(places))]


def test_16_bit_png_is_turned(tmp_path):
    """A PNG of 16 bits that is to be turned is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_ramp(np.uint16, 2, 3)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_raw(tmp_path / "a.png"), np.rot90(_ramp(np.uint16, 2, 3), -1))


@pytest.mark.parametrize(("depth", "row"), [(2, b"\x18"), (4, b"\x01\x20")])
def test_grey_of_few_bits_fills_the_range(tmp_path, depth, row):
    """A grey image of 2 or 4 bits runs to white; what is stored is kept apart."""
    (tmp_path / "a.png").write_bytes(_png([row], 3, depth))
    step = 255 // (2**depth - 1)
    np.testing.assert_array_equal(read_raw(tmp_path / "a.png"), [[0, step, 2 * step]])
    stored = read_stored(tmp_path / "a.png")
    assert stored.bits == depth
    np.testing.assert_array_equal(stored.pixels, [[0, 1, 2]])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_refused(tmp_path, kind):
    """Several frames are no image."""
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.img", kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a\.img: expected one image, but found 3 frames"):
        read_raw(tmp_path / "a.img")


def test_the_preview_of_a_camera_is_not_a_second_image(tmp_path):
    """A camera's JPEG that carries a preview is read as its first picture."""
    first, preview = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (4, 4), "red")
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview])
    assert read_image(tmp_path / "a.jpg").shape == (8, 8, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(tmp_path, value):
    """NaN and infinity are refused by name."""
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, value]], np.float32))
    with pytest.raises(DataError, match=r"a\.tif.*NaN"):
        read_image(tmp_path / "a.tif", Reading(levels=(0, 1)))


def test_complex_numbers_are_no_intensities(tmp_path):
    """Complex values are refused by their type."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2), np.complex64))
    with pytest.raises(DataError, match=r"a\.tif.*complex64"):
        read_raw(tmp_path / "a.tif")


# Channels and levels


def test_any_channels_are_read_or_chosen(tmp_path):
    """Five channels are read as they are; any of them can be taken, in any order, and one is grey."""
    raw = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    tifffile.imwrite(tmp_path / "a.tif", raw, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), raw)
    for taken in ((4, 0, 2), (1, 3), (4, 3, 2, 1)):
        found = read_image(tmp_path / "a.tif", Reading(channels=taken))
        np.testing.assert_array_equal(found, raw[..., list(taken)])
    taken = read_image(tmp_path / "a.tif", Reading(channels=(3,)))
    np.testing.assert_array_equal(taken, raw[..., [3, 3, 3]])


@pytest.mark.parametrize("channels", range(1, 33))
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_channels_come_back_from_any_layout(tmp_path, channels, planes):
    """Interleaved or one plane after the other, 1 to 32 of them, as tifffile reads them; 33 are too many."""
    raw = np.random.default_rng(channels).integers(0, 255, (5, 7, channels + 1), dtype=np.uint8)
    for name, count in (("a.tif", channels), ("b.tif", channels + 1)):
        pixels = raw[..., :count] if planes == "contig" else np.moveaxis(raw[..., :count], 2, 0)
        tifffile.imwrite(tmp_path / name, pixels.squeeze(), photometric="minisblack", planarconfig=planes)
    found = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found, raw[..., :channels] if channels > 1 else raw[..., [0, 0, 0]])
    if channels == 32:
        with pytest.raises(DataError, match=r"at most 32 channels, but found 33.*`channels`"):
            read_image(tmp_path / "b.tif")


@pytest.mark.parametrize("channels", [(5,), (0, 5), (-1,)])
def test_channels_that_are_not_there_are_refused(tmp_path, channels):
    """A channel beyond the last makes no image."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 4, 4), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=re.escape(str(list(channels))) + ".*found 5, numbered 0 to 4"):
        read_image(tmp_path / "a.tif", Reading(channels=channels))


@pytest.mark.parametrize("dtype", [*WIDE, np.int8])
def test_wide_images_need_levels(tmp_path, dtype):
    """Without levels more than 8 bits are refused, with the key."""
    assert is_wide(np.dtype(dtype))
    tifffile.imwrite(tmp_path / "a.tif", np.ones((2, 2), dtype))
    with pytest.raises(DataError, match=rf"a\.tif.*found {np.dtype(dtype).name} values.*`levels`"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", WIDE)
def test_levels_become_0_and_255(tmp_path, dtype):
    """The levels become 0 and 255, between is linear and rounded, beyond is cut."""
    tifffile.imwrite(tmp_path / "a.tif", np.array([[50, 100, 101, 160, 200, 999]], dtype))
    image = read_image(tmp_path / "a.tif", Reading(levels=(100.0, 200.0)))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[..., 1], [[0, 0, 3, 153, 255, 255]])


def test_levels_change_no_8_bit_image(tmp_path):
    """In a set of both, 8-bit images stay as they are."""
    assert not is_wide(np.dtype(np.uint8))
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", Reading(levels=(0, 9))), COLOUR)


def test_samples_are_few_and_even():
    """A large image gives at most 4096 intensities, of its whole area; a small one all it has."""
    samples = sample_intensities(_ramp(np.uint16, 200, 300))
    assert samples.dtype == np.float64
    assert len(samples) == 4096
    np.testing.assert_allclose(np.percentile(samples, [0, 25, 50, 100]), [0, 7500, 15000, 30000], atol=10)
    np.testing.assert_array_equal(sample_intensities(_ramp(np.uint16, 2, 3)), _ramp(np.uint16, 6))


def test_samples_are_of_the_channels_taken():
    """A channel that is not taken does not count."""
    raw = np.zeros((100, 100, 5), np.uint16)
    raw[..., 3] = 7
    assert set(sample_intensities(raw, (3,))) == {7}
    assert set(sample_intensities(raw)) == {0, 7}
    assert len(sample_intensities(raw)) <= 4096


def test_levels_are_percentiles_of_the_set():
    """One bright speck in a set does not darken all images."""
    low, high = levels_of([np.arange(5000.0), np.arange(5000.0, 10000.0)])
    assert (low, high) == pytest.approx((10, 9989), abs=1)
    assert levels_of([np.append(np.arange(9999.0), 1e9)])[1] < 10000


@pytest.mark.parametrize(
    ("values", "levels"), [([5.0] * 9, (5, 6)), ([0.0] * 9999 + [3.0], (0, 3)), ([-2.0], (-2, -1))]
)
def test_levels_of_an_even_set_still_differ(values, levels):
    """A set of one intensity, or nearly, has levels that divide by no zero."""
    assert levels_of([np.array(values)]) == levels


# Files that cannot be used


def test_a_file_too_large_is_refused_before_it_is_decoded(tmp_path):
    """A header that promises more than memory holds is refused by its size."""
    bound, bomb = "at most 2,048 MB of pixels.*Cut the image", "as many bytes as the image needs, but found"
    for name, side, reason in (("a.png", 40_000, bomb), ("b.png", 100_000, bound)):
        (tmp_path / name).write_bytes(_png([b"\0"], side, 8, height=side))
        with pytest.raises(DataError, match=reason) as caught:
            read_image(tmp_path / name)
        assert f"{side}x{side}" in str(caught.value)


def test_a_stack_too_large_is_refused_before_it_is_decoded(tmp_path):
    """Channels count; none is decoded."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, shape=(9, 20_000, 20_000), dtype=np.uint8, photometric="minisblack", data=None)
    with pytest.raises(DataError, match="20000x20000 .* with 9 channels"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_stored])
def test_an_empty_file_is_called_empty(tmp_path, read):
    """An empty file is called empty, with its name and what to do."""
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.png.*an empty file.*Convert or replace"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_image, read_stored])
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


@pytest.mark.parametrize("ending", sorted(EXTENSIONS))
def test_every_promised_ending_can_be_read(tmp_path, ending):
    """Each ending that the index looks for is a format that can be read."""
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / f"a{ending}")
    assert read_image(tmp_path / f"a{ending}").shape == (4, 4, 3)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_orientation_is_told(tmp_path, ending, orientation):
    """How a file asks to be turned is told without its pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / f"a.{ending}", exif=exif)
    assert header_of(tmp_path / f"a.{ending}").orientation == orientation


def test_a_file_without_orientation_is_not_turned(tmp_path):
    """Plain files are shown as they are stored."""
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3), np.uint16))
    assert [header_of(tmp_path / name).orientation for name in ("a.png", "a.tif")] == [1, 1]


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "1"])
@pytest.mark.parametrize("ending", ["pgm", "ppm", "jp2"])
def test_netpbm_and_jpeg2000_come_back_as_stored(tmp_path, mode, ending):
    """Whatever their depth; JPEG 2000 without loss."""
    if (mode, ending) in (("1", "jp2"), ("RGB", "pgm")):
        pytest.skip("there is no such file")
    array = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    array = {"RGB": np.dstack([array, 255 - array, array // 2]), "1": array > 100}.get(mode, array)
    array = array.astype(np.uint16) * 250 if mode == "I;16" else array
    Image.fromarray(array).save(
        tmp_path / f"a.{ending}", **({"irreversible": False} if ending == "jp2" else {})
    )
    found = read_raw(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(found, array * np.uint8(255) if mode == "1" else array)


@pytest.mark.parametrize("highest", [1, 3, 5, 100, 255])
def test_numbers_of_a_netpbm_mask_are_its_classes(tmp_path, highest):
    """Pillow would multiply them to fill 8 bits."""
    pixels = np.arange(highest + 1, dtype=np.uint8)[None]
    head = f"P5\n# by hand\n{pixels.size} 1\n{highest}\n".encode()
    (tmp_path / "a.pgm").write_bytes(head + pixels.tobytes())
    np.testing.assert_array_equal(read_stored(tmp_path / "a.pgm").pixels, pixels)


def test_16_bit_netpbm_colour_is_whole(tmp_path):
    """Pillow would drop the lower 8 bits."""
    pixels = (np.arange(12).reshape(2, 2, 3) * 5000).astype(">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6\n2 2\n65535\n" + pixels.tobytes())
    np.testing.assert_array_equal(read_raw(tmp_path / "a.ppm"), pixels)


@pytest.mark.parametrize("kind", ["P2", "P3"])
def test_16_bit_netpbm_text_is_whole(tmp_path, kind):
    """Numbers written out, with a note among them."""
    pixels = np.arange(12).reshape((2, 2, 3) if kind == "P3" else (2, 6)) * 400
    head = f"{kind}\n{pixels.shape[1]} 2 # size\n5000\n"
    (tmp_path / "a.ppm").write_text(head + " ".join(map(str, pixels.ravel())))
    np.testing.assert_array_equal(read_raw(tmp_path / "a.ppm"), pixels)


def test_a_pointer_of_git_lfs_is_called_one(tmp_path):
    """With what fetches the file."""
    (tmp_path / "a.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DataError, match=r"a\.png: .*pointer of Git LFS.*`git lfs pull`"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("array", [np.zeros((40, 60), np.uint8), np.zeros((40, 60, 5), np.uint16)])
@pytest.mark.parametrize("nearest", [False, True])
def test_a_reduced_image_has_the_longest_side(array, nearest):
    """Its shape but for a pixel, its channels and its dtype; one that is small enough is itself."""
    found = reduced(array, 30, nearest=nearest)
    assert found.shape == (20, 30, *array.shape[2:]) and found.dtype == array.dtype
    assert reduced(array, 60, nearest=nearest) is array


def test_a_size_is_told_as_the_image_is_seen(tmp_path):
    """Turned, as its file says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for ending in ("jpg", "png", "tif"):
        Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / f"a.{ending}", exif=exif)
        path = tmp_path / f"a.{ending}"
        assert header_of(path)[:2] == read_raw(path).shape == (3, 2)


@pytest.mark.parametrize(
    ("array", "varies"),
    [
        (np.full((2, 2, 4), 7), False),
        (np.dstack([np.full((2, 2, 3), 7), np.eye(2)]), True),
        (np.dstack([np.full((2, 2), 7), np.eye(2)]), True),
        (np.eye(2), False),
    ],
    ids=["even", "colour", "grey", "none"],
)
def test_an_alpha_that_varies_is_told(tmp_path, array, varies):
    """Alpha that is the same everywhere holds nothing."""
    Image.fromarray(array.astype(np.uint8)).save(tmp_path / "a.png")
    assert varies_in_alpha(tmp_path / "a.png") == varies
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2), np.uint8))
    assert not varies_in_alpha(tmp_path / "a.tif")
