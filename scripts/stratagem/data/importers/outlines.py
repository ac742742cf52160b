"""Outlines of objects as annotation tools store them, and the class masks that are drawn from them.

pycocotools draws: a pixel belongs to a polygon if its centre lies inside.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
)

from stratagem.core.errors import DataError
from stratagem.data.files import image_files
from stratagem.data.image import header_of
from stratagem.data.importers.faults import sentence
from stratagem.data.importers.output import done, new_folder, write_study
from stratagem.data.labels import IGNORE

__all__ = [
    "Drawing",
    "Polygon",
    "Polygons",
    "RunLengths",
    "box",
    "ellipse",
    "encoded",
    "faults_of_image",
    "fits",
    "pasted",
    "polygon_of",
    "unnamed",
    "write_drawn",
]

Size = tuple[int, int]  # height, width
CORNERS = 64  # of a polygon that stands for an ellipse


def _even(polygon: list[float]) -> list[float]:
    if len(polygon) % 2:
        raise ValueError("a polygon is pairs of x and y")
    return polygon


def _runs(counts: Any) -> Any:
    """Run lengths from COCO's compressed text: five bits a character, differences to the last but one.

    pycocotools decodes such text too, but returns memory it never wrote where the runs fall short of
    the image; lengths as numbers can be checked first.
    """
    if not isinstance(counts, str):
        return counts
    if not re.fullmatch(r"([P-o]*[0-O])+", counts):  # P to o: another character of the number follows
        raise ValueError("not COCO's compressed run lengths")
    runs: list[int] = []
    value, shift = 0, 0
    for code in counts.encode("ascii"):
        code -= 48
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        negative = (code & 16) << (shift - 4)
        runs.append(value - negative + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    return runs


class RunLengths(BaseModel):
    """Pixels column by column: so many out, so many in, and so on."""

    size: tuple[PositiveInt, PositiveInt]
    counts: Annotated[list[NonNegativeInt], BeforeValidator(_runs)]


Polygon = Annotated[list[FiniteFloat], Field(min_length=6), AfterValidator(_even)]
Polygons = Annotated[list[Polygon], Field(min_length=1)]


@dataclass(frozen=True)
class Drawing:
    """An image, and what is drawn on its mask.

    Attributes
    ----------
    image : path
    mask : path
        Below the folder of masks, ending in ``.png``.
    size : (int, int)
        Height and width.
    objects : sequence of (dict, int)
        Outlines from `encoded` or `pasted` with their values; the last lies on top.
    """

    image: Path
    mask: PurePosixPath
    size: Size
    objects: Sequence[tuple[dict, int]]


def polygon_of(points: list[float], size: Size) -> dict:
    """A polygon in pycocotools' own form; ValueError where it does not fit an image of that size."""
    if not fits([points], size):
        raise ValueError("whose outline does not fit the image's size")
    return encoded([points], size)


def fits(outline: RunLengths | list[list[float]], size: Size) -> bool:
    """Whether an outline can be of an image of a size; of others pycocotools misreads, or never ends."""
    height, width = size
    if isinstance(outline, RunLengths):
        return outline.size == size and sum(outline.counts) == height * width
    longest = max(height, width)
    return all(-longest <= value <= 2 * longest for polygon in outline for value in polygon)


def encoded(outline: RunLengths | list[list[float]], size: Size) -> dict:
    """An outline that fits, in pycocotools' own form; several polygons are one object."""
    if isinstance(outline, RunLengths):
        return coco_mask.frPyObjects(outline.model_dump(), *size)
    return coco_mask.merge(coco_mask.frPyObjects(outline, *size))


def pasted(part: np.ndarray, left: int, top: int, size: Size) -> dict:
    """A mask of a part of the image, bool (h, w), in pycocotools' own form, without what is outside."""
    whole = np.zeros(size, np.uint8, order="F")
    inside = whole[max(top, 0) : max(top + part.shape[0], 0), max(left, 0) : max(left + part.shape[1], 0)]
    inside[:] = part[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]]
    return coco_mask.encode(whole)


def box(left: float, top: float, right: float, bottom: float, degrees: float = 0) -> list[float]:
    """A rectangle as a polygon, turned clockwise about its centre."""
    middle, half = ((left + right) / 2, (top + bottom) / 2), ((right - left) / 2, (bottom - top) / 2)
    corners = [(-half[0], -half[1]), (half[0], -half[1]), half, (-half[0], half[1])]
    return _turned(corners, middle, degrees)


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0) -> list[float]:
    """An ellipse as a polygon of 64 corners, by its centre and half axes, turned clockwise."""
    angles = [2 * math.pi * number / CORNERS for number in range(CORNERS)]
    return _turned([(across * math.cos(a), down * math.sin(a)) for a in angles], (x, y), degrees)


def _turned(points: list[tuple[float, float]], middle: tuple[float, float], degrees: float) -> list[float]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    pairs = ((middle[0] + x * cos - y * sin, middle[1] + x * sin + y * cos) for x, y in points)
    return [value for pair in pairs for value in pair]


def faults_of_image(path: Path, size: Size | None) -> list[str]:
    """What is wrong with an image that a collection names: it is missing, unreadable, or of another size."""
    if not path.is_file():
        return [f"{path} is missing"]
    try:
        found = header_of(path)
    except DataError as error:
        return [sentence(error)]
    if size is not None and (found.height, found.width) != size:
        said = f"{size[0]}x{size[1]}"
        return [f"{path} is {found.height}x{found.width} (height x width), not {said} as declared"]
    return []


def unnamed(folder: Path, named: Iterable[Path]) -> list[str]:
    """How many images of a folder a collection does not name, as a note; none where there are none."""
    known = {path.resolve() for path in named}
    count = sum(path.resolve() not in known for _, path in image_files(folder))
    return [f"Left out: {count} images that the annotations do not name."] if count else []


def write_drawn(
    drawings: Iterable[Drawing], classes: list[str], out: str | Path
) -> tuple[list[str], list[str]]:
    """A new folder with the masks, PNG, uint8 (H, W), a sheet and the keys that read it.

    Parameters
    ----------
    drawings : iterable of Drawing
    classes : list of str
        Names by class index, background first; 255 is ignored.
    out : path
        The folder to make.

    Returns
    -------
    done, unseen : list of str
        What was made, and how many outlines hold no pixel, in sentences.
    """
    with new_folder(out) as (made, final):
        rows, unseen = _write_masks(drawings, made, final)
        write_study(made, out, rows, classes, {"encoding": "indices", "ignore": IGNORE})
    return done(rows, out), [f"Too small to hold a pixel: {unseen} outlines."] if unseen else []


def _write_masks(drawings: Iterable[Drawing], made: Path, final: Path) -> tuple[list[dict], int]:
    """Rows of the sheet, and how many outlines hold no pixel."""
    rows, unseen = [], 0
    for drawing in drawings:
        mask = np.zeros(drawing.size, np.uint8)
        for outline, value in drawing.objects:
            mask[coco_mask.decode(outline).astype(bool)] = value
            unseen += not coco_mask.area(outline)
        name = PurePosixPath("masks", drawing.mask)
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(made / name)
        rows.append({"image": drawing.image, "mask": final / name})
    return rows, unseen
