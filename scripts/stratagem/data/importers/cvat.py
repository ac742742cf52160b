"""Annotations of CVAT as class masks and a sample sheet."""

import glob
import re
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from stratagem.data.files import is_image
from stratagem.data.importers.classes import Classes
from stratagem.data.importers.faults import (
    fault_of,
    faults_of_model,
    require_folder,
    require_none,
    twice,
)
from stratagem.data.importers.outlines import (
    Drawing,
    Polygon,
    box,
    ellipse,
    faults_of_image,
    pasted,
    polygon_of,
    unnamed,
    write_drawn,
)

__all__ = ["import_cvat"]

GROUND = ("background",)  # a label that CVAT's own masks draw as 0
NUMBERS = BeforeValidator(lambda text: re.split("[,;]", text))  # of a text, as a list
REMEDY = "Export the task once more as `CVAT for images 1.1`, and name the folder of its images."


class _Shape(BaseModel, ABC):
    """What was drawn on an image."""

    label: str
    z_order: int = 0

    @abstractmethod
    def outline(self, size: tuple[int, int]) -> dict:
        """In pycocotools' own form, on an image of a height and width; ValueError where it does not fit."""


class _Polygon(_Shape):
    points: Annotated[Polygon, NUMBERS]

    def outline(self, size: tuple[int, int]) -> dict:
        return polygon_of(self.points, size)


class _Box(_Shape):
    xtl: FiniteFloat
    ytl: FiniteFloat
    xbr: FiniteFloat
    ybr: FiniteFloat
    rotation: FiniteFloat = 0

    def outline(self, size: tuple[int, int]) -> dict:
        return polygon_of(box(self.xtl, self.ytl, self.xbr, self.ybr, self.rotation), size)


class _Ellipse(_Shape):
    cx: FiniteFloat
    cy: FiniteFloat
    rx: Annotated[FiniteFloat, Field(gt=0)]
    ry: Annotated[FiniteFloat, Field(gt=0)]
    rotation: FiniteFloat = 0

    def outline(self, size: tuple[int, int]) -> dict:
        return polygon_of(ellipse(self.cx, self.cy, self.rx, self.ry, self.rotation), size)


class _Mask(_Shape):
    rle: Annotated[list[NonNegativeInt], NUMBERS]
    left: int
    top: int
    width: PositiveInt
    height: PositiveInt

    def outline(self, size: tuple[int, int]) -> dict:
        if self.width > size[1] or self.height > size[0]:
            raise ValueError("that is larger than the image")
        # Run lengths go row by row, and begin outside the object.
        if sum(self.rle) != self.width * self.height:
            raise ValueError(f"whose `rle` is of {sum(self.rle)} pixels, not of {self.width}x{self.height}")
        inside = np.arange(len(self.rle)) % 2 == 1
        return pasted(np.repeat(inside, self.rle).reshape(self.height, self.width), self.left, self.top, size)


KINDS: dict[str, type[_Shape]] = {"polygon": _Polygon, "box": _Box, "ellipse": _Ellipse, "mask": _Mask}


class _CvatImage(BaseModel):
    """An image of the task; sizes in pixels."""

    name: str
    subset: str = ""
    height: PositiveInt
    width: PositiveInt

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True)
class _Annotated:
    """An image with its shapes, the last on top, and how many there are of kinds that are not drawn."""

    image: _CvatImage
    path: Path
    shapes: list[tuple[_Shape, dict]]
    others: Counter[str]


def import_cvat(annotations: str | Path, images: str | Path, out: str | Path) -> list[str]:
    """A file of CVAT, as it exports `CVAT for images 1.1`, drawn as class masks.

    Class 0 is background; the labels that are used follow in the order of the task. Polygons, boxes, ellipses
    and masks are drawn by their `z_order`, of one order the later on top, as CVAT's own masks are. What
    encloses nothing (points, lines), cuboids and skeletons are left out.

    Parameters
    ----------
    annotations : path
        The XML file.
    images : path
        The folder that its images' names are relative to.
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
    annotations, images = Path(annotations), Path(images)
    root = _parsed(annotations)
    require_folder(images)
    faults: list[str] = []
    found = [one for element in root.iter("image") if (one := _read(element, images, faults)) is not None]
    faults += twice("image", [str(one.path.with_suffix("")) for one in found])
    if root.find("image") is None:
        faults.append("no image in it")
    classes = Classes.of(_labels(root, found), GROUND, (), faults)
    require_none(faults, "a file of CVAT without faults", annotations, REMEDY)
    left_out = unnamed(images, [one.path for one in found])
    done, unseen = write_drawn((_drawing(one, images, classes) for one in found), classes.names, out)
    return done + _notes(found) + unseen + left_out


def _parsed(path: Path) -> Element:
    """The file's root; entities, by which a small file becomes a large one or reads another, are refused."""
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        faults = [f"none that can be read ({error.strerror})"]
    except DefusedXmlException:
        faults = ["one that declares entities, which are never expanded"]
    except (ParseError, LookupError, ValueError) as error:  # the last two of an encoding that is none
        faults = [f"one that cannot be read ({error})"]
    else:
        if root is None or root.tag != "annotations":
            faults = ["an XML file of another kind"]
        elif root.find("track") is not None:
            faults = ["tracks of a video"]
        else:
            return root
    raise fault_of(faults, "a file of `CVAT for images 1.1`", path, REMEDY)


def _labels(root: Element, found: list[_Annotated]) -> list[str]:
    """The labels that are used, in the order of the task."""
    used = {shape.label for one in found for shape, _ in one.shapes}
    named = [name.text for name in root.iterfind("meta//label/name") if name.text in used]
    return list(dict.fromkeys([*filter(None, named), *sorted(used)]))


def _read(element: Element, folder: Path, faults: list[str]) -> _Annotated | None:
    """An image and its shapes; their faults are added to the others."""
    try:
        image = _CvatImage.model_validate(element.attrib)
    except ValidationError as error:
        faults += [f"image {element.get('name')!r}: {fault}" for fault in faults_of_model(error)]
        return None
    name = PurePosixPath(image.name)
    parts = (*name.parts, *PurePosixPath(image.subset).parts)
    if not name.name or {"..", "/"} & {*parts}:
        faults.append(f"image {image.name!r} is no path below the image folder")
        return None
    path = _file(folder, image)
    own = faults_of_image(path, image.size)
    if own:
        faults += own
        return None
    shapes, others = [], Counter(shape.tag for shape in element if shape.tag not in KINDS)
    for number, shape in enumerate(one for one in element if one.tag in KINDS):
        try:
            known = KINDS[shape.tag].model_validate(shape.attrib)
            shapes.append((known, known.outline(image.size)))
        except ValidationError as error:
            faults += [f"{image.name}: shape {number}, {fault}" for fault in faults_of_model(error)]
        except ValueError as error:
            faults.append(f"{image.name}: shape {number}, a {shape.tag} {error}")
    return _Annotated(image, path, sorted(shapes, key=lambda one: one[0].z_order), others)


def _file(folder: Path, image: _CvatImage) -> Path:
    """An image's file: a project has a folder for each subset, a frame of a video an ending more."""
    for path in (folder / image.name, folder / image.subset / image.name):
        if path.is_file():
            return path
        more = [one for one in path.parent.glob(f"{glob.escape(path.name)}.*") if is_image(one)]
        if len(more) == 1:
            return more[0]
    return folder / image.name


def _drawing(one: _Annotated, folder: Path, classes: Classes) -> Drawing:
    objects = [(outline, classes.values[shape.label]) for shape, outline in one.shapes]
    mask = PurePosixPath(one.path.relative_to(folder).as_posix()).with_suffix(".png")
    return Drawing(one.path, mask, one.image.size, objects)


def _notes(found: list[_Annotated]) -> list[str]:
    """What was left out, or is empty."""
    left = sum((one.others for one in found), Counter())
    empty = sum(not one.shapes for one in found)
    notes = [f"Left out: {count} of <{kind}>, which are not drawn." for kind, count in left.items()]
    if empty:
        notes.append(f"All background: {empty} images without an object.")
    return notes
