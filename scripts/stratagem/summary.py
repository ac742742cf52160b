"""One mask, measured: all that tells how the masks of its set are encoded, in bounded memory.

Which values or colours it holds and how often, whether they number objects, are the grey edges of two
values, frame what lies in blobs, or were painted over the mask's image. What a set of such summaries means
is for `stratagem.recognition` to say.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.measure import label

from stratagem.labels import RawMask, colour_codes, colour_name

__all__ = ["FULL_BYTE", "INVERTED_FRAME", "NamedCounts", "Summary", "named", "summarise"]

MOST_DISTINCT = 4096  # values or colours that are kept
PART = 2**24  # pixels counted at a time
FULL_BYTE = 255
EDGE_WINDOW = 7  # pixels: a grey edge lies this near to both extremes
INVERTED_FRAME = 0.75  # share of a frame that only background is likely to take
PLAIN = 32  # a mask of fewer values is no picture

Counts = tuple[tuple[int, int], ...]
NamedCounts = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Summary:
    """What recognition needs of one mask.

    Attributes
    ----------
    kind : {"grey", "palette", "bilevel", "colour"}
    bits : int
        Of one stored number.
    pixels : int
        Height times width.
    values : tuple of (int, int)
        Distinct values and their pixels, ascending; none of a colour mask.
    colours : tuple of (str, int)
        Distinct colours and their pixels, of a colour mask, or of a palette mask in the order of `values`.
    many : bool
        Whether there are more than are kept, the most frequent 4096.
    connected : bool, or None
        Whether each value but 0 is one connected component; None of masks with fewer than three values.
    greys, edges : int
        Pixels with a value far from both ends of the range; those of them beside both ends.
    spans : bool
        Whether both ends of the range occur.
    frame : float, or None
        Share of the outermost pixels that are not 0; None of masks with more than two values.
    enclosed : bool
        Whether the frame is mostly not 0, and most zeros lie in blobs that do not touch it.
    unchanged : float, or None
        Share of pixels equal to the image's; None of masks that cannot be a picture.
    painted : tuple of (str, int)
        Colours, and their pixels, of the pixels that differ from the image's.
    """

    kind: str
    bits: int
    pixels: int
    values: Counts = ()
    colours: NamedCounts = ()
    many: bool = False
    connected: bool | None = None
    greys: int = 0
    edges: int = 0
    spans: bool = False
    frame: float | None = None
    enclosed: bool = False
    unchanged: float | None = None
    painted: NamedCounts = ()


def summarise(mask: RawMask, image: np.ndarray | None = None) -> Summary:
    """What recognition needs of one mask.

    Parameters
    ----------
    mask : RawMask
    image : uint8 (H, W, 3), or None
        The mask's image: without it no painted copy of an image is recognised.
    """
    bits = 1 if mask.bilevel else 8 * mask.values.itemsize
    pixels = int(np.prod(mask.values.shape[:2]))
    if mask.values.ndim == 3:
        colours, count = _distinct(colour_codes(mask))
        measured = {"colours": named(colours), "many": count > MOST_DISTINCT}
        return Summary("colour", bits, pixels, **measured, **_painting(mask, image))
    values, count = _distinct(mask.values)
    measured = _framing(mask.values) if count <= 2 else _texture(mask.values, count)
    measured |= _painting(mask, image) if count > PLAIN else {}
    colours = _palette_colours(mask, values)
    many = count > MOST_DISTINCT
    return Summary(_kind(mask), bits, pixels, values=values, colours=colours, many=many, **measured)


def _kind(mask: RawMask) -> str:
    if mask.bilevel:
        return "bilevel"
    return "grey" if mask.palette is None else "palette"


def _distinct(codes: np.ndarray) -> tuple[Counts, int]:
    """The distinct codes with their pixels, ascending, the most frequent 4096; and how many there are."""
    parts = np.array_split(codes.ravel(), 1 + codes.size // PART)  # counting takes eight times its part
    codes_by_part, counts_by_part = zip(*map(_counted, parts), strict=True)
    found, places = np.unique(np.concatenate(codes_by_part), return_inverse=True)
    counts = np.zeros(len(found), np.int64)
    np.add.at(counts, places, np.concatenate(counts_by_part))
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_DISTINCT])
    return tuple(zip(found[kept].tolist(), counts[kept].tolist(), strict=True)), len(found)


def _counted(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if codes.dtype != np.uint8:
        return np.unique(codes, return_counts=True)
    counts = np.bincount(codes, minlength=256)
    found = np.flatnonzero(counts)
    return found, counts[found]


def named(counts: Iterable[tuple[int, int]]) -> NamedCounts:
    """Colours by name, with their counts."""
    return tuple((colour_name(code), count) for code, count in counts)


def _palette_colours(mask: RawMask, values: Counts) -> NamedCounts:
    if mask.palette is None:
        return ()
    codes = colour_codes(RawMask(np.array([value for value, _ in values]), mask.palette))
    return named(zip(codes.tolist(), (count for _, count in values), strict=True))


def _framing(values: np.ndarray) -> dict:
    """What tells an inverted mask: `frame` and `enclosed`."""
    frame = float((_frame(values) != 0).mean())
    zeros = values == 0
    enclosed = frame >= INVERTED_FRAME and zeros.any() and _enclosed(zeros)
    return {"frame": frame, "enclosed": bool(enclosed)}


def _frame(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _enclosed(region: np.ndarray) -> bool:
    """Whether most of a region, bool (H, W), lies in blobs that do not touch the frame."""
    count, blobs = cv2.connectedComponents(region.astype(np.uint8))
    areas = np.bincount(blobs.ravel(), minlength=count)
    outside = np.unique(_frame(blobs))
    areas[[0, *outside]] = 0
    return bool(2 * areas.sum() > region.sum())


def _texture(values: np.ndarray, count: int) -> dict:
    """What tells grey edges and numbered objects apart: `connected`, `greys`, `edges`, `spans`."""
    top = FULL_BYTE if values.dtype == np.uint8 else values.max()
    low, high = values < top / 8, values > top / 8 * 7
    grey = ~(low | high)
    window = np.ones((EDGE_WINDOW, EDGE_WINDOW), np.uint8)
    near_low, near_high = (cv2.dilate(band.astype(np.uint8), window) for band in (low, high))
    return {
        "connected": _connected(values, count - bool((values == 0).any())),
        "greys": int(grey.sum()),
        "edges": int((grey & (near_low & near_high).astype(bool)).sum()),
        "spans": bool(low.any() and high.any()),
    }


def _connected(values: np.ndarray, objects: int) -> bool:
    """Whether there are hardly more connected regions than numbers; a few objects lie behind others."""
    _, regions = label(values, background=0, connectivity=2, return_num=True)
    return bool(regions <= 1.1 * objects)


def _painting(mask: RawMask, image: np.ndarray | None) -> dict:
    """What tells a painted copy of the image: `unchanged` and `painted`."""
    if image is None or image.shape[:2] != mask.values.shape[:2]:
        return {}
    codes = colour_codes(mask)
    painted = codes != colour_codes(RawMask(image))
    _, count = _distinct(codes[~painted])
    if count <= PLAIN:  # an even ground that image and mask share
        return {}
    return {"unchanged": float(1 - painted.mean()), "painted": named(_distinct(codes[painted])[0])}
