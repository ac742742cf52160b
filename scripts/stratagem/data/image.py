"""Any image file as the canonical array: uint8, (H, W, C), C from 3 to 32 or two; three are red green blue.

Three views of a file, each made from the one before: `read_stored` (the numbers in the file, which is what
a mask needs), `read_raw` (those numbers as a viewer would show them, all channels, own dtype) and
`read_image` (uint8, the channels that are wanted). H is height, W width, C channels; all are of the turned
image, if the file says that it is to be turned.

More than 8 bits are never scaled by a guess: how to scale depends on the whole data set, so a set's
`Reading` gives the levels, which `sample_intensities` and `levels_of` measure. An alpha channel is dropped
without blending, so that a pixel keeps the colour it was stored with.
"""

import functools
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageFile, ImageOps

from stratagem.core.errors import DataError
from stratagem.data.channels import COLOURS, MOST

__all__ = [
    "EXTENSIONS",
    "MAX_BYTES",
    "WHOLE",
    "Header",
    "Part",
    "Reading",
    "Stored",
    "channels_of",
    "header_of",
    "is_wide",
    "levels_of",
    "read_image",
    "read_raw",
    "read_stored",
    "reduced",
    "sample_intensities",
    "to_image",
    "varies_in_alpha",
]

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
EXTENSIONS |= {".jfif", ".jp2", ".j2k", ".pbm", ".pgm", ".pnm", ".ppm"}
MAX_BYTES = 2**31  # of one decoded image, so that index and page fit the memory that their rules declare
MAX_RATIO = 100_000  # decoded bytes to those of the file, beyond which it is damaged, or a bomb
AT_ONCE = 2**26  # pixels of the images that jobs of several threads have in memory at once
BOMB_BYTES = 2**26  # below which a file may say what it likes
SAMPLES_PER_IMAGE = 4096
PERCENTILES = (0.1, 99.9)

NARROW = {"L;2": 2, "L;4": 4}  # bits of grey files whose values Pillow multiplies to fill 8 bits
FULL = 255  # the highest value of 8 bits
AS_THEY_ARE = frozenset({"1", "L", "P", "RGB", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
# PNG parts that change no pixel and turn no image; a file of others is left to Pillow
PLAIN_PNG = frozenset({b"IHDR", b"IDAT", b"IEND", b"pHYs", b"gAMA", b"sRGB", b"cHRM", b"sBIT", b"iCCP"})
PNG_GREY = frozenset({"L", "LA", "I;16B", "LA;16B"})
WHOLE_PNG = {  # bits a channel of PNG files of whole bytes
    **dict.fromkeys(("L", "LA", "RGB", "RGBA"), 8),
    **dict.fromkeys(("I;16B", "LA;16B", "RGB;16B", "RGBA;16B"), 16),
}
NOTE = re.compile(rb"#[^\n]*")  # in the text of a Netpbm file
LFS = b"version https://git-lfs.github.com/spec/"
ORIENTATION = 0x0112  # the tag, in EXIF and TIFF
ON_THEIR_SIDE = frozenset({5, 6, 7, 8})  # orientations that exchange rows and columns

TIFF_BYTES = frozenset({b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"})
CHANNEL_AXES = frozenset("CS")  # channels and samples; other axes are pages
ANIMATED = frozenset({".gif", ".webp"})
MIN_IS_WHITE, MIN_IS_BLACK, RGB = 0, 1, 2  # TIFF photometric interpretations
PURE_COMPRESSION = frozenset({1, 8, 32773, 32946})  # what tifffile decodes without compiled codecs
FAX_COMPRESSION = frozenset({2, 3, 4})
ALPHA = frozenset({1, 2})  # TIFF extra samples

# Pillow's own limit warns at a size where `_check_size` must raise, and knows one limit a process.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Part:
    """Which part of a file an image is.

    Attributes
    ----------
    page : int or None
        From 0; None of a file of one page, or whose pages are channels.
    window : (int, int, int, int) or None
        Top, left, height and width, in pixels of the turned image; None of all of it.
    """

    page: int | None = None
    window: tuple[int, int, int, int] | None = None


WHOLE = Part()


Levels = tuple[float, float]


@dataclass(frozen=True)
class Reading:
    """How the pixels of a set of images become uint8.

    Attributes
    ----------
    channels : tuple of int, or None
        Those to take, counted from 0, at most 32; None takes all.
    levels : (float, float), tuple of these, or None
        The intensities that become 0 and 255 in images of more than 8 bits, of all channels or of each.
    """

    channels: tuple[int, ...] | None = None
    levels: Levels | tuple[Levels, ...] | None = None


@dataclass(frozen=True)
class Stored:
    """The numbers of a file, before any is given a meaning.

    Attributes
    ----------
    pixels : (H, W) or (H, W, C), own dtype
        Palette files: the indices. 1-bit files: uint8 0 and 1.
    palette : uint8 (256, 3), or None
        The colour of each index.
    bits : int
        Of one number in the file: 1, 2, 4, 8, 16, 32 or 64.
    white_is_zero : bool
        Whether the file asks to be shown with its values inverted.
    """

    pixels: np.ndarray
    palette: np.ndarray | None
    bits: int
    white_is_zero: bool = False


class Header(NamedTuple):
    """What an image file declares.

    Attributes
    ----------
    height, width : int
        In pixels, of the image as it is seen.
    orientation : int
        How it asks to be turned or mirrored (EXIF or TIFF tag 0x0112), 1 to 8; 1 is upright.
    pages : int
        How many images it may hold: pages without a meaning, planes and times count, colours and channels do
        not.
    """

    height: int
    width: int
    orientation: int
    pages: int


AS_STORED = Reading()


def read_image(path: str | Path, reading: Reading = AS_STORED, part: Part = WHOLE) -> np.ndarray:
    """An image file as uint8 (H, W, C).

    Parameters
    ----------
    path : path
    reading : Reading
        Without it the file must have 8 bits.
    part : Part

    Returns
    -------
    uint8, (H, W, C)
        Red, green, blue, or the channels as the reading lists them; a single one becomes three equal ones.

    Raises
    ------
    DataError
        If the file cannot be decoded (see `read_raw`), has not the reading's channels or more than 32, or has
        more than 8 bits and the reading has no levels.
    """
    return to_image(read_raw(path, part), reading, path)


def to_image(raw: np.ndarray, reading: Reading, path: str | Path) -> np.ndarray:
    """What `read_raw` gave of a file as uint8 (H, W, C); see `read_image`.

    Parameters
    ----------
    raw : (H, W) or (H, W, C), own dtype
        From `read_raw`.
    reading : Reading
    path : path
        What an error names.

    Returns
    -------
    uint8, (H, W, C)

    Raises
    ------
    DataError
        If the image has not the reading's channels or more than 32, or is not uint8 and the reading has no
        levels.
    """
    return _as_colour(_as_uint8(_chosen(raw, reading.channels, path), reading.levels, path))


def channels_of(raw: np.ndarray, channels: tuple[int, ...] | None, path: str | Path) -> int:
    """How many channels `to_image` would give an image, without making it.

    Parameters
    ----------
    raw : (H, W) or (H, W, C), own dtype
        From `read_raw`.
    channels : tuple of int, or None
        As in `Reading`.
    path : path
        What an error names.

    Returns
    -------
    int
        3 of grey images too.

    Raises
    ------
    DataError
        If the image has not these channels, or more than 32 and none are named.
    """
    chosen = _chosen(raw[:1, :1], channels, path).shape[2]
    return COLOURS if chosen == 1 else chosen


def reduced(array: np.ndarray, side: int, *, nearest: bool = False) -> np.ndarray:
    """A smaller copy of an image or a mask whose longer side is above a bound; else the array itself.

    Parameters
    ----------
    array : (H, W) or (H, W, C)
    side : int
        The longest side, in pixels.
    nearest : bool
        Take the value of the nearest pixel, as labels need; else the mean of those that a pixel covers.

    Returns
    -------
    (H, W) or (H, W, C)
        Same dtype.
    """
    height, width = array.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return array
    rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
    if nearest:
        places = [
            ((np.arange(n) + 0.5) * full / n).astype(int) for n, full in ((rows, height), (columns, width))
        ]
        return array[places[0][:, None], places[1]]
    if array.ndim == 2 or array.shape[2] in (3, 4):
        return _averaged(array, (rows, columns))
    planes = [_averaged(array[..., channel], (rows, columns)) for channel in range(array.shape[2])]
    return np.stack(planes, axis=-1)


def _averaged(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    known = (
        plane if plane.dtype in (np.uint8, np.uint16, np.float32, np.float64) else plane.astype(np.float64)
    )
    small = cv2.resize(np.ascontiguousarray(known), size[::-1], interpolation=cv2.INTER_AREA)
    return small.astype(plane.dtype, copy=False)


def read_raw(path: str | Path, part: Part = WHOLE) -> np.ndarray:
    """An image file as a viewer would show it, all its channels in their own dtype.

    Parameters
    ----------
    path : path
        Its content, not its extension, says which format it has.
    part : Part

    Returns
    -------
    (H, W) or (H, W, C)
        Palette and printing colours as RGB, 1-bit files as uint8 0 and 255, no alpha.

    Raises
    ------
    DataError
        If the file is empty, damaged, no image, several images, a stack of several axes, too large for
        memory, or has values that are no finite numbers.
    """
    raw = _displayed(read_stored(path, part))
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise _unreadable(path, "finite intensities", "NaN or infinite ones")
    return raw


def read_stored(path: str | Path, part: Part = WHOLE) -> Stored:
    """A file's numbers as stored, but for its orientation, which is applied; see `read_raw` for errors.

    Parameters
    ----------
    path : path
    part : Part

    Returns
    -------
    Stored

    Raises
    ------
    DataError
        As `read_raw`, but NaN and infinite values are let through.
    """
    if part.window is None:
        return _decoded(path, part.page)
    status = os.stat(path)
    stored = _kept(str(path), part.page, status.st_mtime_ns, status.st_size)
    top, left, height, width = part.window
    return replace(stored, pixels=stored.pixels[top : top + height, left : left + width].copy())


@functools.lru_cache(maxsize=1)  # the blocks of an image are read one after the other
def _kept(path: str, page: int | None, *_version: int) -> Stored:
    return _decoded(path, page)


def _decoded(path: str | Path, page: int | None) -> Stored:
    with _explained(path):
        return _read_tiff(path, page) if _is_tiff(path) else _read_with_pillow(path, page)


def header_of(path: str | Path) -> Header:
    """What an image file declares, without its pixels; see `read_raw` for errors.

    Parameters
    ----------
    path : path

    Returns
    -------
    Header

    Raises
    ------
    DataError
        If the file cannot be read as an image, or has several axes of pages.
    """
    with _explained(path):
        if _is_tiff(path):
            with tifffile.TiffFile(path) as file:
                series = _only_series(file, path)
                page, pages = series.keyframe, _tiff_pages(series, path)
            return _header(page.imagelength, page.imagewidth, _orientation(page), pages)
        with Image.open(path) as image:
            animated = image.format != "MPO" and Path(path).suffix.lower() in ANIMATED
            pages = getattr(image, "n_frames", 1) if animated else 1
            return _header(image.height, image.width, _orientation_of(image, path), pages)


def _header(height: int, width: int, orientation: int, pages: int) -> Header:
    size = (width, height) if orientation in ON_THEIR_SIDE else (height, width)
    return Header(*size, orientation or 1, pages)


def varies_in_alpha(path: str | Path) -> bool:
    """Whether a file, other than TIFF, has an alpha channel that is not the same everywhere.

    See `read_raw` for errors.

    Parameters
    ----------
    path : path

    Returns
    -------
    bool
        False for every TIFF.

    Raises
    ------
    DataError
        If the file cannot be read as an image.
    """
    with _explained(path):
        if _is_tiff(path):  # of which Pillow opens some alone
            return False
        with Image.open(path) as image:
            if "A" not in image.getbands():
                return False
            low, high = cast(tuple[float, float], image.getchannel("A").getextrema())  # of one channel
            return low < high


def _is_tiff(path: str | Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) in TIFF_BYTES


def is_wide(dtype: np.dtype) -> bool:
    """Whether pixels of this dtype need levels to become uint8.

    Returns
    -------
    bool
        True for every dtype but uint8.
    """
    return dtype != np.uint8


def sample_intensities(
    raw: np.ndarray, channels: tuple[int, ...] | None = None, *, apart: bool = False
) -> np.ndarray:
    """Intensities of evenly spaced pixels, float64, at most 4096: what a set's levels are measured on.

    Parameters
    ----------
    raw : (H, W) or (H, W, C), own dtype
        From `read_raw`.
    channels : tuple of int, or None
        As in `Reading`; None takes all.
    apart : bool
        Whether each channel is to have levels of its own.

    Returns
    -------
    float64, (M,) or (M, C)
        Pixel by pixel; of channels apart a column each.
    """
    planes = _planes(raw)
    planes = planes if channels is None else planes[..., list(channels)]
    pixels = planes.reshape(-1, planes.shape[2])
    count = min(len(pixels), max(1, SAMPLES_PER_IMAGE // pixels.shape[1]))
    places = np.linspace(0, len(pixels) - 1, count).astype(np.int64)
    found = pixels[places].astype(np.float64)
    return found if apart else found.ravel()[:SAMPLES_PER_IMAGE]


def levels_of(samples: list[np.ndarray]) -> Levels | tuple[Levels, ...]:
    """The intensities that become 0 and 255: the 0.1 and 99.9 percentiles of a set's pooled samples.

    Where these two are equal, the smallest and the largest sample; where all are equal, one more than that.

    Parameters
    ----------
    samples : list of float64 (M,) or (M, C)
        From `sample_intensities`, one an image; at least one.

    Returns
    -------
    (low, high), or tuple of these
        In the files' own units, low below high; of samples of channels apart, one pair a channel.
    """
    pooled = np.concatenate(samples)
    return _levels(pooled) if pooled.ndim == 1 else tuple(map(_levels, pooled.T))


def _levels(pooled: np.ndarray) -> Levels:
    low, high = np.percentile(pooled, PERCENTILES)
    if low == high:
        low, high = pooled.min(), pooled.max()
    return float(low), float(high if high > low else low + 1)


def _planes(raw: np.ndarray) -> np.ndarray:
    return raw if raw.ndim == 3 else raw[..., None]


def _chosen(raw: np.ndarray, channels: tuple[int, ...] | None, path: str | Path) -> np.ndarray:
    """The channels that are to be seen: (H, W, C)."""
    planes = _planes(raw)
    count = planes.shape[2]
    wanted = tuple(range(count)) if channels is None else channels
    if len(wanted) > MOST or not set(wanted) <= set(range(count)):
        raise DataError(
            expected=f"channels {list(wanted)} of the image" if channels else f"at most {MOST} channels",
            found=f"{count}, numbered 0 to {count - 1}",
            where=str(path),
            remedy="Set the config key `channels` to those to use, such as `channels: [0, 2]`.",
        )
    return planes if channels is None else planes[..., list(channels)]


def _as_uint8(planes: np.ndarray, levels: Levels | tuple[Levels, ...] | None, path: str | Path) -> np.ndarray:
    if not is_wide(planes.dtype):
        return planes
    if levels is None:
        raise DataError(
            expected="8 bits a channel",
            found=f"{planes.dtype} values",
            where=str(path),
            remedy="Set the config key `levels` to the intensities that become 0 and 255.",
        )
    low, high = np.array(levels, np.float64).T
    precision: type[np.floating] = np.float32 if planes.itemsize <= 2 else np.float64
    scaled = (planes.astype(precision) - precision(low)) * precision(255 / (high - low))
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def _as_colour(planes: np.ndarray) -> np.ndarray:
    if planes.shape[2] == 1:
        return cv2.cvtColor(np.ascontiguousarray(planes), cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(planes)


def _displayed(stored: Stored) -> np.ndarray:
    if stored.palette is not None:
        return stored.palette[stored.pixels]
    pixels = _inverted(stored.pixels, stored.bits) if stored.white_is_zero else stored.pixels
    return pixels * np.uint8(255 // (2**stored.bits - 1)) if stored.bits < 8 else pixels


def _inverted(pixels: np.ndarray, bits: int) -> np.ndarray:
    return pixels.dtype.type(2**bits - 1) - pixels


def _read_with_pillow(path: str | Path, page: int | None) -> Stored:
    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1)
        if page is not None:
            image.seek(page)
        elif frames > 1 and image.format != "MPO":  # a camera's preview comes second
            raise _unreadable(path, "one image", f"{frames} frames")
        _check_size(path, (image.height, image.width, len(image.getbands())), 1, bits=8)
        if image.format in DECODERS:
            return DECODERS[image.format](path, image)
        packing = _packing(image)  # before the pixels are read: Pillow then forgets it
        pixels = _decode_png(path, image) if image.format == "PNG" and packing in WHOLE_PNG else None
        if pixels is None:
            return _decode_with_pillow(image, NARROW.get(packing[:3]))
        return Stored(pixels, None, 8 * pixels.itemsize)


def _decode_jpeg2000(path: str | Path, image: ImageFile.ImageFile) -> Stored:
    """By imagecodecs, since Pillow cuts colour to 8 bits."""
    pixels = imagecodecs.jpeg2k_decode(Path(path).read_bytes())
    alpha = image.mode in ("LA", "RGBA")
    pixels = pixels[..., :-1] if alpha else pixels
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return Stored(np.ascontiguousarray(pixels), None, 8 * pixels.itemsize)


def _decode_pnm(path: str | Path, image: ImageFile.ImageFile) -> Stored:
    """Netpbm's numbers as they are; Pillow multiplies those below 255 and cuts colour to 8 bits."""
    if image.mode == "1":
        return _decode_with_pillow(image, None)
    highest = _netpbm_highest(path)
    if highest > FULL:
        return Stored(_wide_pnm(path, image), None, 16)
    pixels = np.asarray(image)
    if highest == FULL:
        return Stored(pixels, None, 8)
    bits = highest.bit_length()
    found = np.rint(pixels * np.float32(highest / FULL)).astype(np.uint8)
    return Stored(found, None, bits if highest == 2**bits - 1 and FULL % highest == 0 else 8)


def _wide_pnm(path: str | Path, image: Image.Image) -> np.ndarray:
    """Numbers as text, or of two bytes, high byte first: the last part of the file."""
    shape = (image.height, image.width) + ((3,) if image.mode == "RGB" else ())
    data, count = Path(path).read_bytes(), int(np.prod(shape))
    if data[:2] in (b"P2", b"P3"):
        return np.array(NOTE.sub(b"", data).split()[4:], np.uint16).reshape(shape)
    return np.frombuffer(data[-2 * count :], ">u2").reshape(shape).astype(np.uint16)


def _netpbm_highest(path: str | Path) -> int:
    """The highest value that a Netpbm file declares."""
    with open(path, "rb") as file:
        head = NOTE.sub(b"", file.read(4096))
    return int(head.split()[3])


DECODERS = {"JPEG2000": _decode_jpeg2000, "PPM": _decode_pnm}


def _decode_with_pillow(image: Image.Image, narrow: int | None) -> Stored:
    image.load()  # which turns a TIFF already, and nothing else
    ImageOps.exif_transpose(image, in_place=True)
    palette = _palette(image) if image.mode == "P" else None
    bilevel = image.mode == "1"
    pixels = np.array(image if image.mode in AS_THEY_ARE else image.convert(_plain_mode(image)))
    pixels = pixels.astype(np.uint8 if bilevel else pixels.dtype.newbyteorder("="), copy=False)
    if narrow:
        return Stored(pixels // np.uint8(255 // (2**narrow - 1)), None, narrow)
    return Stored(pixels, palette, 1 if bilevel else 8 * pixels.itemsize)


def _plain_mode(image: Image.Image) -> str:
    return "L" if image.mode in ("LA", "La") else "RGB"


def _palette(image: Image.Image) -> np.ndarray:
    colours = np.zeros((256, 3), np.uint8)  # an index past the palette's end is black, as in Pillow
    listed = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[: len(listed)] = listed
    return colours


def _packing(image: ImageFile.ImageFile) -> str:
    """How the file packs its pixels: "RGB;16B", "L;4"."""
    args = image.tile[0].args if image.tile else ""
    return args if isinstance(args, str) else str(args[0] if args else "")


def _decode_png(path: str | Path, image: ImageFile.ImageFile) -> np.ndarray | None:
    """A PNG of 8 or 16 bits by OpenCV; None where Pillow is to read it.

    Of 16-bit colour Pillow drops the lower 8 bits, without a word. Else OpenCV is but faster, and may do
    the work where nothing turns the image.
    """
    packing = _packing(image)
    wide = WHOLE_PNG[packing] == 16
    data = Path(path).read_bytes()
    plain = _is_plain_png(data)
    if not (plain or wide):
        return None
    # Colour of 8 bits is decoded without its alpha, which saves a quarter of the time.
    how = cv2.IMREAD_UNCHANGED if wide or packing in PNG_GREY else cv2.IMREAD_COLOR_RGB
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if pixels is None:
        raise _unreadable(path, "a readable image file", "a PNG that cannot be decoded")
    if how == cv2.IMREAD_UNCHANGED:
        pixels = _grey(pixels) if packing in PNG_GREY else _rgb(pixels)
    return pixels if plain else _oriented(pixels, image.getexif().get(ORIENTATION, 1))


def _orientation_of(image: Image.Image, path: str | Path) -> int:
    """The orientation; of a PNG without decoding it, as Pillow does to find none."""
    if image.format == "PNG":
        with open(path, "rb") as file:
            if _kinds_in_png(file) <= PLAIN_PNG:
                return 1
    return image.getexif().get(ORIENTATION, 1)


def _kinds_in_png(file: BinaryIO) -> set[bytes]:
    """The kinds of parts that a PNG has."""
    kinds: set[bytes] = set()
    place = 8
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return kinds
        length, kind = struct.unpack(">I4s", head)
        kinds.add(kind)
        place += length + 12


def _is_plain_png(data: bytes) -> bool:
    """Whether a PNG is whole and holds but one picture that is not to be turned."""
    place, kind, kinds = 8, b"", set()
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        kinds.add(kind)
        place += length + 12
    return kind == b"IEND" and place == len(data) and kinds <= PLAIN_PNG


def _grey(pixels: np.ndarray) -> np.ndarray:
    """OpenCV's grey with alpha, which it gives as colour, as one plane."""
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 0])


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """OpenCV's order of colours, without alpha, as red, green, blue."""
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _read_tiff(path: str | Path, number: int | None) -> Stored:
    with tifffile.TiffFile(path) as file:
        series = _only_series(file, path)
        page = series.keyframe
        count = _tiff_pages(series, path)
        if number is not None and not number < count:
            raise _unreadable(path, f"a page {number}, as was indexed", f"{count} pages")
        planes = count if number is None else 1
        if planes > 1 and len(series.axes) > 3:
            raise _unreadable(path, "one image", f"{count} pages of several channels; set `pages: samples`")
        samples = int(np.prod(series.shape)) // (page.imagelength * page.imagewidth * count)
        size = (page.imagelength, page.imagewidth, samples * planes)
        _check_size(path, size, max(1, page.bitspersample // 8), page.bitspersample)
        if _is_pure(page):
            pixels = series.asarray() if number is None or count == 1 else _tiff_page(series, number)
            axes = series.axes if number is None or count == 1 else page.axes
            return _stored_tiff(_oriented(_channels_last(pixels, axes), _orientation(page)), page)
    if (len(series) > 1 and number is None) or _is_more_than_pillow_reads(page):
        return _stored_tiff(_decode_wide_tiff(path, number), page)
    return _decode_coded_tiff(path, page, number or 0)


def _tiff_page(series: tifffile.TiffPageSeries, number: int) -> np.ndarray:
    """One of the pages of a series, which may be stored as one block."""
    if len(series.pages) == series.shape[0]:
        return series.pages[number].asarray()
    return series.asarray()[number]


def _only_series(file: tifffile.TiffFile, path: str | Path) -> tifffile.TiffPageSeries:
    """The one picture of a file, smaller copies of it aside."""
    series = [one for one in file.series if not one.keyframe.is_reduced]
    if len(series) != 1:
        raise _unreadable(path, "one image", f"{len(series)} of different sizes or kinds")
    return series[0]


def _tiff_pages(series: tifffile.TiffPageSeries, path: str | Path) -> int:
    """How many pages that are no channels by the file's own account."""
    axes = [axis for axis in series.axes if axis not in "YX"]
    channels, pages = [a for a in axes if a in CHANNEL_AXES], [a for a in axes if a not in CHANNEL_AXES]
    stacked = not pages or series.axes.startswith(pages[0])
    if {"Y", "X"} > set(series.axes) or len(channels) > 1 or len(pages) > 1 or not stacked:
        raise DataError(
            expected="height, width, and at most one axis of channels and one of pages",
            found=f"axes {series.axes} (Z depth, T time) of {'x'.join(map(str, series.shape))}",
            where=str(path),
            remedy="Save each plane or time as a file of its own, or one projection of them.",
        )
    return series.shape[0] if pages else 1


def _is_pure(page: tifffile.TiffPage) -> bool:
    """Whether tifffile alone decodes a page and its numbers are grey values or RGB."""
    return (
        page.compression in PURE_COMPRESSION
        and page.predictor in (1, 2)
        and page.photometric in (MIN_IS_WHITE, MIN_IS_BLACK, RGB)
        and page.bitspersample in (1, 8, 16, 32, 64)
    )


def _is_more_than_pillow_reads(page: tifffile.TiffPage) -> bool:
    """Whether Pillow would cut a page's bits, or leave out its fourth band, without a word."""
    bands = page.samplesperpixel - sum(kind in ALPHA for kind in page.extrasamples)
    return (page.bitspersample > 8 and bands > 1) or (page.photometric == RGB and bands > 3)


def _channels_last(pixels: np.ndarray, axes: str) -> np.ndarray:
    channel = next((place for place, axis in enumerate(axes) if axis not in "YX"), None)
    return pixels if channel is None else np.moveaxis(pixels, channel, -1)


def _stored_tiff(pixels: np.ndarray, page: tifffile.TiffPage) -> Stored:
    """Pixels as decoded, (H, W) or (H, W, C), without alpha, in this machine's byte order."""
    if pixels.dtype.kind not in "buif":
        raise ValueError(f"values of {pixels.dtype}")
    if pixels.ndim == 3:
        pixels = pixels[..., _colour_samples(page, pixels.shape[2])]
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    bilevel = pixels.dtype == bool
    pixels = pixels.astype(np.uint8 if bilevel else pixels.dtype.newbyteorder("="), copy=False)
    bits = 1 if bilevel else 8 * pixels.itemsize
    return Stored(
        np.ascontiguousarray(pixels),
        None,
        bits,
        page.photometric == MIN_IS_WHITE and pixels.dtype.kind == "u",
    )


def _colour_samples(page: tifffile.TiffPage, channels: int) -> list[int]:
    """The channels that are no alpha; extra samples come last in a page."""
    kinds = [0] * (channels - len(page.extrasamples)) + list(page.extrasamples)
    return [place for place, kind in enumerate(kinds) if kind not in ALPHA or page.samplesperpixel == 1]


def _decode_wide_tiff(path: str | Path, number: int | None) -> np.ndarray:
    """Compressed pages of many bits or many channels, which Pillow would cut or leave out.

    OpenCV turns them as the file says.
    """
    if number is None:
        found, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
    else:
        found, pages = cv2.imreadmulti(str(path), number, 1, flags=cv2.IMREAD_UNCHANGED)
    if not found:
        raise ValueError("a compression that is not known here")
    return np.stack(pages, axis=-1) if len(pages) > 1 else _rgb_order(pages[0])


def _rgb_order(pixels: np.ndarray) -> np.ndarray:
    """OpenCV's order of colours as red, green, blue; alpha stays."""
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]


def _decode_coded_tiff(path: str | Path, page: tifffile.TiffPage, number: int) -> Stored:
    """One page with a palette, printing colours, odd bits or a compression that tifffile lacks."""
    # As an open file: of a path Pillow maps plain pixels into memory, in the shape they have once turned.
    with open(path, "rb") as file, Image.open(file) as image:
        image.seek(number)
        stored = _decode_with_pillow(image, NARROW.get(_packing(image)[:3]))
    if page.photometric != MIN_IS_WHITE or page.compression in FAX_COMPRESSION:
        return stored  # to a fax zero is white, whatever was meant by the numbers
    narrow = stored.bits <= 8  # Pillow has inverted these already, and no wider ones
    pixels = _inverted(stored.pixels, stored.bits) if narrow else stored.pixels
    return replace(stored, pixels=pixels, white_is_zero=pixels.dtype.kind == "u")


def _orientation(page: tifffile.TiffPage) -> int:
    tag = page.tags.get(ORIENTATION)
    return 1 if tag is None else int(tag.value)


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Rows and columns as the EXIF orientation, 1 to 8, says they are to be seen."""
    if orientation in ON_THEIR_SIDE:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def _check_size(path: str | Path, shape: tuple[int, int, int], itemsize: int, bits: int) -> None:
    """Hold what a file declares against a bound and against the file's own bytes, before it is decoded."""
    height, width, channels = shape
    declared, held = height * width * channels * itemsize, os.path.getsize(path)
    found = f"{height}x{width} (height x width) with {channels} channel{'s' * (channels > 1)}"
    if declared > MAX_BYTES:
        raise DataError(
            expected=f"at most {MAX_BYTES // 2**20:,} MB of pixels, so that the image fits the memory",
            found=f"{declared // 2**20:,} MB: {found}",
            where=str(path),
            remedy="Cut the image into parts.",
        )
    if declared > BOMB_BYTES and declared * bits // (8 * itemsize) > MAX_RATIO * held:
        raise _unreadable(
            path, "as many bytes as the image needs", f"{held:,} bytes that claim to be {found}"
        )


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """Turn what a decoder raises into an error that names the file."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # decoders raise nearly any kind on a damaged file
        raise _undecodable(path, error) from error


def _undecodable(path: str | Path, error: Exception) -> DataError:
    empty = Path(path).is_file() and Path(path).stat().st_size == 0
    found = "an empty file" if empty else f"one that cannot be decoded ({error})"
    if Path(path).is_file() and Path(path).read_bytes()[: len(LFS)] == LFS:
        return DataError(
            expected="a readable image file",
            found="a pointer of Git LFS, which stands for the file that was not fetched",
            where=str(path),
            remedy="Fetch the files: `git lfs pull`.",
        )
    return _unreadable(path, "a readable image file", found)


def _unreadable(path: str | Path, expected: str, found: str) -> DataError:
    return DataError(
        expected=expected,
        found=found,
        where=str(path),
        remedy="Convert or replace the file.",
    )
