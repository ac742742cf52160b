"""A mask's numbers or colours as class indices: uint8 (H, W), 0 .. K-1, 255 = ignore.

A mask file is read as it was stored (`read_mask`); what its numbers mean is said by one `Encoding` for the
whole set, which `stratagem.data.masks.recognition` reads off the set or takes from the config; `to_classes`
applies it. A number or colour that the encoding gives no class is an error, never background.

A *code* below is what an encoding gives a class: the number in the file, or a colour as 0xrrggbb.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage.segmentation import find_boundaries

from stratagem.core.errors import DataError
from stratagem.data.image import WHOLE, Part, Stored, header_of, read_stored

__all__ = [
    "IGNORE",
    "Encoding",
    "RawMask",
    "bit_code",
    "class_of_code",
    "colour_code",
    "colour_codes",
    "colour_name",
    "percent",
    "read_mask",
    "to_classes",
    "unite",
]

IGNORE = 255  # class index that counts in no loss and no metric
VALUE_DTYPES = frozenset({"uint8", "uint16", "int32", "uint32"})
NAMED = 5  # undeclared codes that an error names


@dataclass(frozen=True)
class RawMask:
    """A mask file as stored.

    Attributes
    ----------
    values : (H, W) uint8, uint16, int32, uint32 or float32, or (H, W, 3) uint8
        Numbers, or colours. Palette files: the indices. 1-bit files: 0 and 1.
    palette : uint8 (N, 3), or None
        The colour of each index.
    bilevel : bool
        Whether the file has 1 bit a pixel.
    """

    values: np.ndarray
    palette: np.ndarray | None = None
    bilevel: bool = False


@dataclass(frozen=True)
class Encoding:
    """How the masks of a set are read.

    Attributes
    ----------
    kind : {"indices", "values", "colours", "instances", "overlay"}
        The number is the class; each number has a class; each colour has a class; each object has a number
        (0 is background); a copy of the image is painted over with colours that have classes.
    values : tuple of (int, int)
        Stored value and class, of "indices" and "values".
    colours : tuple of (str, int)
        "#rrggbb" and class, of "colours" and "overlay".
    ignore : int or str, or None
        The value or colour that becomes 255.
    threshold : int or float, or None
        Of "values": values from this on are class 1, the others class 0. Of "instances" with a file an
        object: values from this on are the object.
    inverted : bool
        Of "values" with a threshold: the other way round.
    border : int, or None
        Of "instances": the class of an object's pixels that touch another object or background.
    background : int
        Of "instances": the number that is no object.
    """

    kind: str
    values: tuple[tuple[int, int], ...] = ()
    colours: tuple[tuple[str, int], ...] = ()
    ignore: int | str | None = None
    threshold: float | None = None
    inverted: bool = False
    border: int | None = None
    background: int = 0

    @property
    def cut_out(self) -> bool:
        """Whether it is an "overlay" that painted over all but the objects."""
        return self.kind == "overlay" and all(number == 0 for _, number in self.colours)

    def as_record(self) -> dict:
        """The encoding in types that JSON has.

        Returns
        -------
        dict
            One key per attribute; lists instead of tuples.
        """
        return asdict(self) | {"values": [*map(list, self.values)], "colours": [*map(list, self.colours)]}

    @classmethod
    def from_record(cls, record: dict) -> "Encoding":
        """The encoding of a record.

        Parameters
        ----------
        record : dict
            From `as_record`.

        Returns
        -------
        Encoding
            Equal to the one recorded.
        """
        pairs = {key: tuple(map(tuple, record[key])) for key in ("values", "colours")}
        return cls(**(record | pairs))


def read_mask(path: str | Path, part: Part = WHOLE) -> RawMask:
    """A mask file as stored, turned as its EXIF orientation says; alpha is dropped.

    A colour file without a coloured pixel gives one channel; whole numbers stored in another type, such as
    float, give int32, and fractions float32: shades, which a threshold divides.

    Parameters
    ----------
    path : path
    part : Part

    Returns
    -------
    RawMask

    Raises
    ------
    DataError
        If the file cannot be read (see `stratagem.data.image.read_raw`), holds numbers that are not finite or
        too large, has more than 8 bits a colour, several pages, or other than one or three channels.
    """
    stored = read_stored(path, part)
    pages = header_of(path).pages if part.page is None and stored.pixels.ndim == 3 else 1
    if pages > 1:
        raise DataError(
            expected="a mask of one page, since pages of a mask are never colours",
            found=f"{pages} pages",
            where=str(path),
            remedy="Set `pages: samples` where each page is the mask of its image's page.",
        )
    values = _without_equal_channels(stored.pixels)
    if values.ndim == 3 and (values.shape[2] != 3 or values.dtype != np.uint8):
        raise _unreadable(path, "one channel, or colours of 8 bits", _description(stored))
    return RawMask(_whole_numbers(values, path), stored.palette, stored.bits == 1)


def to_classes(
    mask: RawMask, encoding: Encoding, image: np.ndarray | None = None, *, where: str = "a mask"
) -> np.ndarray:
    """A mask's class indices: uint8 (H, W), 0 .. K-1, or 255 for what is ignored.

    Parameters
    ----------
    mask : RawMask
    encoding : Encoding
        Of the set.
    image : uint8 (H, W, 3), or None
        The mask's image, which "overlay" needs.
    where : str
        What an error calls the mask: its path.

    Returns
    -------
    uint8, (H, W)

    Raises
    ------
    DataError
        If the mask holds values or colours that have no class: it names them, with their share of the file;
        or if the mask is of another kind than the encoding, or "overlay" has no image of the mask's size.
    """
    if encoding.kind == "instances":
        return _classes_of_objects(mask, encoding)
    if encoding.kind == "overlay":
        return _classes_painted(mask, encoding, image, where)
    codes = _codes(mask, encoding, where)
    if encoding.threshold is not None:
        reached = codes >= encoding.threshold
        return _with_ignored(reached != encoding.inverted, codes == encoding.ignore)
    return _looked_up(codes, encoding, where)


def unite(masks: list[RawMask], threshold: float | None = None) -> RawMask:
    """Masks of one object each as one map of object numbers, int32, later objects over earlier.

    An object is what is not 0 in its file, or what is at least the threshold.

    Parameters
    ----------
    masks : list of RawMask
        Of one image, at least one.
    threshold : float, or None
        Of grey values; masks of 1 bit need none.

    Returns
    -------
    RawMask
        `values` int32 (H, W): 0 = no object, else the place of the mask in the list, from 1.

    Raises
    ------
    DataError
        If the masks differ in size, or have colours or a palette where there is a threshold.
    """
    sizes = {mask.values.shape[:2] for mask in masks}
    if len(sizes) != 1:
        raise DataError(
            expected="masks of one size for the objects of one image",
            found=", ".join(f"{height}x{width}" for height, width in sorted(sizes)) or "no mask",
            where="the masks of an image",
            remedy="Replace the masks that differ from their image's size.",
        )
    united = np.zeros(sizes.pop(), np.int32)
    for number, mask in enumerate(masks, start=1):
        united[_is_object(mask, threshold)] = number
    return RawMask(united)


def class_of_code(encoding: Encoding) -> dict[int, int]:
    """The class of each declared code; 255 for the ignored one.

    Parameters
    ----------
    encoding : Encoding
        With a threshold, or of "instances", only the ignored code is declared.

    Returns
    -------
    dict of int to int
        Class index by code.
    """
    classes = dict(encoding.values) | {colour_code(colour): number for colour, number in encoding.colours}
    ignored = encoding.ignore
    if ignored is None:
        return classes
    return classes | {colour_code(ignored) if isinstance(ignored, str) else ignored: IGNORE}


def bit_code(encoding: Encoding) -> int:
    """The value of the set's other masks that a set bit stands for: 1, else the highest declared.

    Parameters
    ----------
    encoding : Encoding
        Of "indices" or "values".

    Returns
    -------
    int
        255 where no value is declared, as with a threshold.
    """
    declared = dict(encoding.values)
    return 1 if 1 in declared else max(declared, default=255)


def colour_code(colour: str) -> int:
    """ "#rrggbb" as 0xrrggbb."""
    return int(colour.removeprefix("#"), 16)


def colour_name(code: int) -> str:
    """0xrrggbb as "#rrggbb"."""
    return f"#{code:06x}"


def colour_codes(mask: RawMask) -> np.ndarray:
    """The colour of each pixel, integer (H, W); grey ones for masks without colours.

    Parameters
    ----------
    mask : RawMask

    Returns
    -------
    int32 or int64, (H, W)
        0xrrggbb; of a grey value v it is v * 0x010101, of a set bit white.
    """
    if mask.palette is not None:
        return _packed(mask.palette)[mask.values]
    if mask.values.ndim == 3:
        return _packed(mask.values)
    return mask.values.astype(np.int64) * (0xFFFFFF if mask.bilevel else 0x010101)


def percent(share: float) -> str:
    """A share in words that never call something nothing: "<0.01%".

    Parameters
    ----------
    share : float
        From 0 to 1.

    Returns
    -------
    str
        Per cent with two decimals: "12.34%".
    """
    return "<0.01%" if 0 < share < 1e-4 else f"{share:.2%}"


def _packed(colours: np.ndarray) -> np.ndarray:
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _without_equal_channels(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2 or pixels.shape[2] != 3:
        return pixels
    first = pixels[..., 0]
    equal = all(np.array_equal(first, pixels[..., channel]) for channel in (1, 2))
    return np.ascontiguousarray(first) if equal else pixels


def _whole_numbers(values: np.ndarray, path: str | Path) -> np.ndarray:
    if values.dtype.name in VALUE_DTYPES:
        return values
    with np.errstate(invalid="ignore"):  # NaN, which the comparison finds
        whole = values.astype(np.int32)
    if np.array_equal(whole, values):
        return whole
    if values.dtype.kind == "f" and np.isfinite(values).all() and np.abs(values).max() < 2**31:
        return values.astype(np.float32)
    raise _unreadable(path, "finite numbers below 2^31", f"others, {values.dtype}")


def _codes(mask: RawMask, encoding: Encoding, where: str) -> np.ndarray:
    """Each pixel's code, integer (H, W)."""
    if encoding.kind == "colours":
        return colour_codes(mask)
    if mask.values.ndim == 3:
        raise _unreadable(where, f"a mask of one channel, as of the set's `{encoding.kind}`", "one in colour")
    if not mask.bilevel:
        return mask.values
    if encoding.kind == "values" and len({number for _, number in encoding.values}) > 2:
        raise _unreadable(where, "the values of the set's other masks", "1 bit a pixel: 0, and any of them")
    return np.where(mask.values, bit_code(encoding), 0)


def _looked_up(codes: np.ndarray, encoding: Encoding, where: str) -> np.ndarray:
    if codes.dtype == np.uint8:  # each of the 256 values once, instead of each pixel
        classes, declared = (
            cv2.LUT(codes, table.astype(np.uint8)) for table in _matched(np.arange(256), encoding)
        )
    else:
        classes, declared = _matched(codes, encoding)
    if not declared.all():
        raise _undeclared(codes, declared.astype(bool), encoding, where)
    return classes


def _matched(codes: np.ndarray, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """The class of each code, uint8, and whether it is declared, bool."""
    table = sorted(class_of_code(encoding).items())
    known = np.array([code for code, _ in table], np.int64)
    classes = np.array([number for _, number in table], np.uint8)
    places = np.searchsorted(known, codes).clip(max=len(known) - 1)
    return classes[places], known[places] == codes


def _with_ignored(classes: np.ndarray, ignored: np.ndarray | bool) -> np.ndarray:
    return np.where(ignored, np.uint8(IGNORE), classes.astype(np.uint8))


def _object_numbers(mask: RawMask) -> np.ndarray:
    """A number, index or colour of each object, integer (H, W); 0 and black are background."""
    return colour_codes(mask) if mask.values.ndim == 3 else mask.values


def _is_object(mask: RawMask, threshold: float | None) -> np.ndarray:
    """Where the one object of a file is, bool (H, W)."""
    if threshold is None or mask.bilevel:
        return _object_numbers(mask) != 0
    if mask.values.ndim == 3 or mask.palette is not None:
        raise _unreadable("the masks of an image", "grey values, which a threshold divides", "colours")
    return mask.values >= threshold


def _classes_of_objects(mask: RawMask, encoding: Encoding) -> np.ndarray:
    numbers = _object_numbers(mask)
    classes = (numbers != encoding.background).astype(np.uint8)
    if encoding.border is not None:
        inner = find_boundaries(numbers, mode="inner", background=encoding.background)
        classes[inner] = encoding.border
    return _with_ignored(classes, numbers == encoding.ignore)


def _classes_painted(mask: RawMask, encoding: Encoding, image: np.ndarray | None, where: str) -> np.ndarray:
    codes = colour_codes(mask)
    if image is None or image.shape[:2] != codes.shape:
        found = "no image" if image is None else f"an image of {image.shape[0]}x{image.shape[1]}"
        raise _unreadable(where, f"the painted image's original, {codes.shape[0]}x{codes.shape[1]}", found)
    classes, declared = _matched(codes, encoding)
    if encoding.cut_out:  # where the image has the paint's colour too, it is ground all the same
        return (~declared).astype(np.uint8)
    return np.where((codes != _packed(image)) & declared, classes, np.uint8(0))


def _undeclared(codes: np.ndarray, declared: np.ndarray, encoding: Encoding, where: str) -> DataError:
    strange, counts = np.unique(codes[~declared], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    name = colour_name if encoding.kind == "colours" else str
    shares = [(name(strange[i].item()), percent(counts[i] / codes.size)) for i in order[:NAMED]]
    named = ", ".join(f"{code} ({share} of the pixels)" for code, share in shares)
    more = f" and {len(order) - NAMED} more" if len(order) > NAMED else ""
    legal = ", ".join(name(code) for code in sorted(class_of_code(encoding)))
    return _unreadable(where, f"masks of the set's `{encoding.kind}`, {legal}", named + more)


def _description(stored: Stored) -> str:
    channels = 1 if stored.pixels.ndim == 2 else stored.pixels.shape[2]
    return f"{channels} channels of {stored.bits} bits"


def _unreadable(where: str | Path, expected: str, found: str) -> DataError:
    return DataError(
        expected=expected,
        found=found,
        where=str(where),
        remedy="Mend or replace the mask, or set `labels` to how the masks are encoded.",
    )
