"""Files of labelme as class masks and a sample sheet."""

import base64
import io
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from PIL import Image
from pydantic import BaseModel, FiniteFloat, PositiveInt

from stratagem.core.errors import DataError
from stratagem.data.files import walk
from stratagem.data.image import header_of
from stratagem.data.importers.classes import Classes
from stratagem.data.importers.faults import read_json, require_folder, require_none, sentence, twice
from stratagem.data.importers.outlines import (
    Drawing,
    box,
    ellipse,
    faults_of_image,
    pasted,
    polygon_of,
    unnamed,
    write_drawn,
)

__all__ = ["import_labelme"]

GROUND, IGNORED = ("_background_", "background"), ("__ignore__",)  # labels that labelme's own export knows
OPEN = frozenset({"point", "points", "line", "linestrip"})  # kinds that enclose nothing
REMEDY = "Mend the files in labelme, or move those away that are not its own."


class _Shape(BaseModel):
    """What was drawn on an image; points are x and y."""

    label: str
    points: list[tuple[FiniteFloat, FiniteFloat]]
    shape_type: str | None = None
    mask: str | None = None

    @property
    def kind(self) -> str:
        """What it is; old files do not say it of polygons."""
        return self.shape_type or "polygon"


class _File(BaseModel):
    """The parts of a file that are read."""

    shapes: list[_Shape]
    imagePath: str
    imageHeight: PositiveInt | None = None
    imageWidth: PositiveInt | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width, where they are said."""
        both = self.imageHeight, self.imageWidth
        return None if both[0] is None or both[1] is None else (both[0], both[1])


@dataclass(frozen=True)
class _Labelled:
    """An image with its labels and outlines, and how many shapes there are that enclose nothing."""

    source: Path
    image: Path
    size: tuple[int, int]
    objects: list[tuple[str, dict]]
    others: Counter[str]


def import_labelme(folder: str | Path, out: str | Path) -> list[str]:
    """A folder of labelme's JSON files, an image each, drawn as class masks.

    Class 0 is background; the labels follow by the alphabet. Polygons, rectangles, circles and masks are
    drawn in the order of the file, the last on top, as labelme's own export does; `__ignore__` counts in no
    loss and no metric. What encloses nothing (points, lines) is left out.

    Parameters
    ----------
    folder : path
        Searched with its subfolders; each file's `imagePath` starts where the file is.
    out : path
        The folder to make.

    Returns
    -------
    list of str
        What was done, in sentences.

    Raises
    ------
    DataError
        Listing every fault; also if `out` exists and is no empty folder.
    """
    folder = Path(folder)
    require_folder(folder)
    faults: list[str] = []
    labelled = [one for path in _files(folder) if (one := _read(path, faults)) is not None]
    faults += twice("image", [str(one.image.resolve()) for one in labelled])
    used = {label for one in labelled for label, _ in one.objects}
    if not faults and not labelled:
        faults.append("no JSON file")
    classes = Classes.of(sorted(used), GROUND, IGNORED, faults)
    left_out = _left_out(labelled, folder)
    require_none(faults, "files of labelme without faults", folder, REMEDY)
    done, unseen = write_drawn((_drawing(one, folder, classes) for one in labelled), classes.names, out)
    return done + left_out + unseen


def _files(folder: Path) -> list[Path]:
    return [path for path in walk(folder).others if path.suffix.lower() == ".json"]


def _read(path: Path, faults: list[str]) -> _Labelled | None:
    """What a file says; its faults are added to the others."""
    try:
        said = read_json(_File, path, REMEDY)
    except DataError as error:
        faults.append(sentence(error))
        return None
    named = PureWindowsPath(said.imagePath)
    places = [path.parent / named.as_posix(), path.parent / named.name]  # also where the folders were moved
    image = next((place for place in places if place.is_file()), places[-1])
    own = [f"{path}: {fault}" for fault in faults_of_image(image, said.size)]
    if own:
        faults += own
        return None
    header = header_of(image)
    found = _Labelled(path, image, (header.height, header.width), [], Counter())
    for number, shape in enumerate(said.shapes):
        if shape.kind in OPEN:
            found.others[shape.kind] += 1
            continue
        try:
            found.objects.append((shape.label, _outline(shape, found.size)))
        except (ValueError, OSError, Image.DecompressionBombError) as error:
            why = str(error) if type(error) is ValueError else "that cannot be read"
            faults.append(f"{path}: shapes.{number}: a {shape.kind} {why}")
    return found


def _outline(shape: _Shape, size: tuple[int, int]) -> dict:
    """A shape in pycocotools' own form; ValueError where it is none."""
    if shape.kind not in OUTLINES:
        raise ValueError(f"where there may be {', '.join([*OUTLINES, *sorted(OPEN)])}")
    count = len(shape.points)
    if not (count >= 3 if shape.kind == "polygon" else count == 2):
        raise ValueError(f"of {count} points")
    return OUTLINES[shape.kind](shape, size)


def _polygon(shape: _Shape, size: tuple[int, int]) -> dict:
    return polygon_of([value for point in shape.points for value in point], size)


def _rectangle(shape: _Shape, size: tuple[int, int]) -> dict:
    (x, y), (other_x, other_y) = shape.points
    return polygon_of(box(min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y)), size)


def _circle(shape: _Shape, size: tuple[int, int]) -> dict:
    middle, edge = shape.points
    radius = math.dist(middle, edge)
    return polygon_of(ellipse(*middle, radius, radius), size)


def _mask(shape: _Shape, size: tuple[int, int]) -> dict:
    with Image.open(io.BytesIO(base64.b64decode(shape.mask or "", validate=True))) as image:
        part = np.array(image)
    if part.ndim != 2:
        raise ValueError("of colours")
    left, top = (round(value) for value in shape.points[0])
    return pasted(part > 0, left, top, size)


OUTLINES = {"polygon": _polygon, "rectangle": _rectangle, "circle": _circle, "mask": _mask}


def _drawing(one: _Labelled, folder: Path, classes: Classes) -> Drawing:
    objects = [(outline, classes.values[label]) for label, outline in one.objects]
    mask = PurePosixPath(one.source.relative_to(folder).as_posix()).with_suffix(".png")
    return Drawing(one.image, mask, one.size, objects)


def _left_out(labelled: list[_Labelled], folder: Path) -> list[str]:
    """What is left out, or is empty."""
    left = sum((one.others for one in labelled), Counter())
    empty = sum(not one.objects for one in labelled)
    notes = [
        f"Left out: {count} shapes of kind {kind}, which enclose nothing." for kind, count in left.items()
    ]
    if empty:
        notes.append(f"All background: {empty} images without an object.")
    return notes + unnamed(folder, [one.image for one in labelled])
