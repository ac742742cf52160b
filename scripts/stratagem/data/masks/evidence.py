"""One mask, measured: all that tells how the masks of its set are encoded, in bounded memory.

Which values or colours it holds and how often, whether they number objects, are the grey edges of two
values, frame what lies in blobs, or were painted over the mask's image; of a file of one object, whether it
can be one. What a set of such summaries means is for `stratagem.data.masks.recognition` to say.

Values are counted in all of a mask. Of one above 2^24 pixels, what its regions, edges and paint look like is
seen in its fullest window of that area.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from scipy.ndimage import find_objects
from skimage.measure import label

from stratagem.data.image import reduced
from stratagem.data.labels import RawMask, colour_codes, colour_name
from stratagem.data.objects import count_values, strips

__all__ = [
    "FULL_BYTE",
    "INVERTED_FRAME",
    "NamedCounts",
    "Piece",
    "Summary",
    "area_of",
    "has_grey_edges",
    "named",
    "piece_of",
    "special",
    "summarise",
    "total_counts",
]

MOST_DISTINCT = 4096  # values or colours that are kept
WINDOW = 2**12  # pixels: the side of the window in which a large mask is looked at
COARSE = 2**6  # pixels a side of the picture by which that window is chosen
FULL_BYTE = 255
EDGE_WINDOW = 7  # pixels: a grey edge lies this near to both extremes
INVERTED_FRAME = 0.75  # share of a frame that only background is likely to take
PLAIN = 32  # a mask of fewer values is no picture
SPREAD = 8  # areas of the mask that the boxes of its values may have together, to be looked at one by one
NAMED = 3  # values of a file of one object that are named
SPECIAL = (-1, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1)  # what often stands for "ignored", or for the ground

Counts = tuple[tuple[int, int], ...]
NamedCounts = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Piece:
    """One of several mask files of an image, which should be one object.

    Attributes
    ----------
    plain : bool
        Whether it holds 0, or black, and no more than one other value.
    soft : bool
        Whether its further values are the grey edges of two.
    share : float
        Of its pixels that are not 0, or of soft ones those above half of the range.
    held : str
        Its values, in words.
    """

    plain: bool
    soft: bool
    share: float
    held: str


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
        Whether each value but 0 and those of `special` is one connected component, of colours each but
        black; None of masks with fewer than three.
    bands : bool
        Whether most of these components reach from one side of the mask to the opposite one.
    greys, edges : int
        Pixels with a value far from both ends of the range; those of them beside both ends.
    spans : bool
        Whether both ends of the range occur.
    upper : int
        Pixels that are not 0 (not black); of masks with more than two values those above half of the range.
        None are counted where there are more than two colours.
    frame : float, or None
        Their share of the outermost pixels; None where there are more than two colours.
    enclosed : bool
        Whether they take most of the frame, and most others lie in blobs that do not touch it.
    unchanged : float, or None
        Share of pixels equal to the image's; None of masks that cannot be a picture.
    painted : tuple of (str, int)
        Colours, and their pixels, of the pixels that differ from the image's.
    core, inside : int
        Painted pixels that are no outermost ones; unpainted ones that painted ones enclose.
    painted_frame : float
        Share of the outermost pixels that are painted.
    alpha : bool
        Whether the file has an alpha channel that varies.
    pieces : tuple of Piece
        Where the mask was united of several files.
    """

    kind: str
    bits: int
    pixels: int
    values: Counts = ()
    colours: NamedCounts = ()
    many: bool = False
    connected: bool | None = None
    bands: bool = False
    greys: int = 0
    edges: int = 0
    spans: bool = False
    upper: int = 0
    frame: float | None = None
    enclosed: bool = False
    unchanged: float | None = None
    painted: NamedCounts = ()
    core: int = 0
    inside: int = 0
    painted_frame: float = 0.0
    alpha: bool = False
    pieces: tuple[Piece, ...] = ()


def summarise(mask: RawMask, image: np.ndarray | None = None) -> Summary:
    """What recognition needs of one mask.

    Parameters
    ----------
    mask : RawMask
    image : uint8 (H, W) or (H, W, 3), or None
        The mask's image: without it, or where it is of another size, no painted copy of an image is
        recognised.

    Returns
    -------
    Summary
        Without `alpha` and `pieces`, which only the files tell.
    """
    bits = 1 if mask.bilevel else 8 * mask.values.itemsize
    pixels = int(np.prod(mask.values.shape[:2]))
    values, count = _distinct(mask)
    window = _window(mask)
    seen = replace(mask, values=mask.values[window])
    shown = None if image is None or image.shape[:2] != mask.values.shape[:2] else image[window]
    if mask.values.ndim == 3:
        measured: dict[str, Any] = {"colours": named(values), "many": count > MOST_DISTINCT}
        if count <= 2:
            measured |= _framing(mask, lambda part: colour_codes(part) != 0)
        else:
            measured |= _regions(colour_codes(seen), (0,))
        return Summary("colour", bits, pixels, **measured, **_painting(seen, shown))
    top = values[-1][0] if count <= MOST_DISTINCT else mask.values.max()
    limit = 0 if count <= 2 else top / 2
    measured = _framing(mask, lambda part: _upper(part, values, mask.palette, limit))
    measured |= _texture(seen.values, [value for value, _ in values], top) if count > 2 else {}
    measured |= _painting(seen, shown) if count > PLAIN else {}
    colours = _palette_colours(mask, values)
    many = count > MOST_DISTINCT
    return Summary(_kind(mask), bits, pixels, values=values, colours=colours, many=many, **measured)


def piece_of(summary: Summary) -> Piece:
    """What tells whether a file can be one object: its own summary, in brief.

    Parameters
    ----------
    summary : Summary
        Of that file alone.

    Returns
    -------
    Piece
    """
    colours = [colour for colour, _ in summary.colours if summary.kind == "colour"]
    held: list[str] | list[int] = colours or [value for value, _ in summary.values]
    ground = "#000000" if colours else 0
    shown = {value: colour for (value, _), (colour, _) in zip(summary.values, summary.colours, strict=False)}
    black_object = "#000000" in shown.values() and shown.get(0, "#000000") != "#000000"
    plain = (len(held) == 1 or (len(held) == 2 and ground in held)) and not black_object
    words = ", ".join(map(str, held)) if len(held) <= NAMED else f"{len(held)} values"
    return Piece(plain, not plain and has_grey_edges(summary), summary.upper / summary.pixels, words)


def has_grey_edges(summary: Summary) -> bool:
    """Whether values between two extremes lie along edges, as JPEG and smooth scaling leave them.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    bool
        False where not both ends of the range occur.
    """
    if not summary.spans:
        return False
    if summary.greys == 0:
        return summary.values[-2][0] > 7 / 8 * FULL_BYTE  # nearly white, and white: a fine JPEG
    return summary.edges >= 0.8 * summary.greys and summary.greys <= 0.5 * summary.pixels


def special(present: Iterable[int]) -> list[int]:
    """Values that often mean something else than their number, and follow upon no other of those present.

    Parameters
    ----------
    present : iterable of int
        Values of a mask or of a set.

    Returns
    -------
    list of int
        Some of -1, 255, 65535, 2**31 - 1 and 2**32 - 1, ascending.
    """
    held = set(present)
    return [value for value in SPECIAL if value in held and value - 1 not in held]


def _kind(mask: RawMask) -> str:
    if mask.bilevel:
        return "bilevel"
    return "grey" if mask.palette is None else "palette"


def _parts(mask: RawMask) -> Iterator[RawMask]:
    """A mask in bands of rows, since what is made of it takes several times its bytes."""
    return (replace(mask, values=values) for values in strips(mask.values))


def _distinct(mask: RawMask) -> tuple[Counts, int]:
    """The distinct codes with their pixels, ascending, the most frequent 4096; and how many there are."""
    found_in = (
        _counted(colour_codes(part) if mask.values.ndim == 3 else part.values) for part in _parts(mask)
    )
    codes_by_part, counts_by_part = zip(*found_in, strict=True)
    found, places = np.unique(np.concatenate(codes_by_part), return_inverse=True)
    counts = np.zeros(len(found), np.int64)
    np.add.at(counts, places, np.concatenate(counts_by_part))
    return _most(found, counts), len(found)


def _most(codes: np.ndarray, counts: np.ndarray) -> Counts:
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_DISTINCT])
    return tuple(zip(codes[kept].tolist(), counts[kept].tolist(), strict=True))


def _counted(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct codes and their pixels; many are counted by their runs along the rows, which masks have."""
    if codes.dtype in (np.uint8, np.uint16):
        counts = count_values(codes) if codes.dtype == np.uint8 else np.bincount(codes.ravel())
        found = np.flatnonzero(counts)
        return found, counts[found]
    codes = codes.ravel()
    starts = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1 if codes[0] else 1))
    lengths = np.diff(starts, append=len(codes))
    found, places = np.unique(codes[starts], return_inverse=True)
    return found, np.bincount(places, weights=lengths).astype(np.int64)


def _window(mask: RawMask) -> tuple[slice, slice]:
    """Where a mask is looked at: all of it, or of a large one where most differs from its commonest value."""
    height, width = mask.values.shape[:2]
    if height * width <= WINDOW**2:
        return slice(None), slice(None)
    coarse = reduced(mask.values, COARSE, nearest=True)
    codes = colour_codes(replace(mask, values=coarse)) if coarse.ndim == 3 else coarse
    found, counts = np.unique(codes, return_counts=True)
    sides = [max(1, WINDOW * n // full) for n, full in zip(codes.shape, (height, width), strict=True)]
    odd = cv2.boxFilter(
        (codes != found[counts.argmax()]).astype(np.float32), -1, [min(n, COARSE) for n in sides[::-1]]
    )
    centre = np.unravel_index(odd.argmax(), odd.shape)
    starts = [
        int(np.clip(place * full // n - WINDOW // 2, 0, max(0, full - WINDOW)))
        for place, n, full in zip(centre, codes.shape, (height, width), strict=True)
    ]
    return slice(starts[0], starts[0] + WINDOW), slice(starts[1], starts[1] + WINDOW)


def named(counts: Iterable[tuple[int, int]]) -> NamedCounts:
    """Colours by name, with their counts.

    Parameters
    ----------
    counts : iterable of (int, int)
        Code, 0xrrggbb, and pixels.

    Returns
    -------
    tuple of (str, int)
        "#rrggbb" and pixels, in the same order.
    """
    return tuple((colour_name(code), count) for code, count in counts)


def _palette_colours(mask: RawMask, values: Counts) -> NamedCounts:
    if mask.palette is None:
        return ()
    codes = colour_codes(RawMask(np.array([value for value, _ in values]), mask.palette))
    return named(zip(codes.tolist(), (count for _, count in values), strict=True))


def _upper(part: RawMask, values: Counts, palette: np.ndarray | None, limit: float) -> np.ndarray:
    """What is no ground: not black in a palette that has it, else not 0, or above half of the range."""
    if palette is None:
        return part.values > limit
    black = [value for value, _ in values if not palette[value].any()]
    return ~np.isin(part.values, black or [0])


def _framing(mask: RawMask, upper: Callable[[RawMask], np.ndarray]) -> dict:
    """What tells an inverted mask: `upper`, `frame` and `enclosed`."""
    edge = replace(mask, values=_frame(mask.values)[None])
    frame = float(upper(edge).mean())
    count = sum(int(np.count_nonzero(upper(part))) for part in _parts(mask))
    enclosed = False
    if frame >= INVERTED_FRAME and count < np.prod(mask.values.shape[:2]):
        enclosed = _enclosed(~upper(replace(mask, values=reduced(mask.values, WINDOW, nearest=True))))
    return {"upper": count, "frame": frame, "enclosed": enclosed}


def _frame(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _inside(region: np.ndarray) -> int:
    """Pixels of a region, bool (H, W), that lie in blobs that do not touch the frame."""
    count, blobs = cv2.connectedComponents(region.astype(np.uint8))
    areas = np.bincount(blobs.ravel(), minlength=count)
    areas[[0, *np.unique(_frame(blobs))]] = 0
    return int(areas.sum())


def _enclosed(region: np.ndarray) -> bool:
    """Whether most of a region, bool (H, W), lies in blobs that do not touch the frame."""
    return bool(2 * _inside(region) > region.sum())


def _texture(values: np.ndarray, present: list[int], top: int) -> dict:
    """What tells grey edges and numbered objects apart: `connected`, `bands`, `greys`, `edges`, `spans`."""
    top = FULL_BYTE if values.dtype == np.uint8 else top
    low, high = (values < top / 8).view(np.uint8), (values > top / 8 * 7).view(np.uint8)
    grey = 1 - (low | high)
    greys, edges = int(grey.sum()), 0
    if greys:
        window = np.ones((EDGE_WINDOW, EDGE_WINDOW), np.uint8)
        edges = int((grey & cv2.dilate(low, window) & cv2.dilate(high, window)).sum())
    spans = bool(low.any() and high.any())
    return _regions(values, (0, *special(present))) | {"greys": greys, "edges": edges, "spans": spans}


def _regions(codes: np.ndarray, no_objects: Sequence[int]) -> dict:
    """What tells objects from classes: `connected` and `bands`.

    There may be hardly more connected regions than numbers; a few objects lie behind others.
    """
    found = _counted(codes)[0]
    objects = found[~np.isin(found, no_objects)]
    numbers = np.where(np.isin(codes, objects), np.searchsorted(objects, codes) + 1, 0).astype(np.int32)
    boxes = [box for box in find_objects(numbers) if box is not None]
    if (
        sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in boxes)
        > SPREAD * codes.size
    ):
        count, across = _labelled(numbers)
    else:
        count, across = _boxed(numbers, boxes)
    return {"connected": bool(count <= 1.1 * len(objects)), "bands": 2 * across > count}


def _labelled(numbers: np.ndarray) -> tuple[int, int]:
    """Connected regions, and how many of them reach across, of numbers that are scattered."""
    regions, count = label(numbers, background=0, connectivity=2, return_num=True)
    opposite = [(regions[0], regions[-1]), (regions[:, 0], regions[:, -1])]
    across = set().union(*(set(one.tolist()) & set(other.tolist()) for one, other in opposite)) - {0}
    return count, len(across)


def _boxed(numbers: np.ndarray, boxes: list[tuple[slice, slice]]) -> tuple[int, int]:
    """The same, each number in its own box, which is quick where boxes are small or few."""
    height, width = numbers.shape
    total = across = 0
    for number, box in enumerate(boxes, start=1):
        count, _, stats, _ = cv2.connectedComponentsWithStats((numbers[box] == number).view(np.uint8))
        total += count - 1
        reach = (stats[1:, cv2.CC_STAT_WIDTH] == width) | (stats[1:, cv2.CC_STAT_HEIGHT] == height)
        across += int(reach.sum())
    return total, across


def _painting(mask: RawMask, image: np.ndarray | None) -> dict:
    """What tells a painted copy of the image: `unchanged`, `painted`, and what its paint looks like."""
    if image is None:
        return {}
    codes = colour_codes(mask)
    painted = codes != colour_codes(RawMask(image))
    if painted.all() or len(_counted(codes[~painted])[0]) <= PLAIN:  # an even ground that both share
        return {}
    return {
        "unchanged": float(1 - painted.mean()),
        "painted": named(_most(*_counted(codes[painted]))) if painted.any() else (),
        "core": int(cv2.erode(painted.astype(np.uint8), np.ones((3, 3), np.uint8)).sum()),
        "inside": _inside(~painted),
        "painted_frame": float(_frame(painted).mean()),
    }


def total_counts(counts: Iterable[Iterable[tuple]]) -> Counter:
    """Pixels by value or colour, over masks.

    Parameters
    ----------
    counts : iterable of iterable of (int or str, int)
        Of each mask: value or colour, and pixels.

    Returns
    -------
    Counter
    """
    total: Counter = Counter()
    for one in counts:
        for code, count in one:
            total[code] += count
    return total


def area_of(summaries: list[Summary]) -> int:
    """Pixels of all masks."""
    return sum(summary.pixels for summary in summaries)
