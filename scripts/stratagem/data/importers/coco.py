"""Objects of COCO as class masks and a sample sheet."""

import os
from collections import defaultdict
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated

from pycocotools import mask as coco_mask
from pydantic import AfterValidator, BaseModel, Discriminator, Field, PositiveInt, StringConstraints, Tag

from stratagem.data.importers.faults import read_json, require_folder, require_none, twice
from stratagem.data.importers.outlines import (
    Drawing,
    Polygons,
    RunLengths,
    encoded,
    faults_of_image,
    fits,
    unnamed,
    write_drawn,
)
from stratagem.data.labels import IGNORE

__all__ = ["import_coco"]


def import_coco(annotations: str | Path, images: str | Path, out: str | Path) -> list[str]:
    """A COCO file of objects (polygons, run lengths plain or compressed), drawn as class masks.

    Class 0 is background; the categories follow in the order of their ids. Objects are drawn by area, the
    largest first, so that a small object lies on top of a larger one; of two of one area, the later in
    the file is on top. Crowd regions are drawn among them as ignore. An image without annotations is all
    background.

    Parameters
    ----------
    annotations : path
        The JSON file.
    images : path
        The folder that its `file_name`s are relative to.
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
    collection = read_json(_Coco, annotations, _COCO_REMEDY)
    require_none(_faults_of_coco(collection, images), "a COCO file without faults", annotations, _COCO_REMEDY)
    categories = sorted(collection.categories, key=lambda category: category.id)
    numbers = {category.id: number for number, category in enumerate(categories, start=1)}
    objects = _by_image(collection)
    drawings = (_drawing(image, images, objects[image.id], numbers) for image in collection.images)
    left_out = unnamed(images, [images / image.file_name for image in collection.images])
    names = ["background", *(category.name for category in categories)]
    done, unseen = write_drawn(drawings, names, out)
    return done + _notes_on_coco(collection, objects, unseen) + left_out


_COCO_REMEDY = "Mend the file, or give the folder that its `file_name`s are relative to."


class _CocoImage(BaseModel):
    """An image of the collection; sizes in pixels."""

    id: int | str
    file_name: Annotated[str, AfterValidator(lambda name: name and PureWindowsPath(name).as_posix())]
    height: PositiveInt
    width: PositiveInt

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


class _Annotation(BaseModel):
    """An object or a crowd."""

    image_id: int | str
    category_id: int
    segmentation: Annotated[
        Annotated[RunLengths, Tag("rle")] | Annotated[Polygons, Tag("polygons")],
        Discriminator(lambda value: "rle" if isinstance(value, dict) else "polygons"),
    ]
    iscrowd: bool = False


class _Category(BaseModel):
    """A class."""

    id: int
    name: Annotated[str, StringConstraints(pattern=r"\S")]


class _Coco(BaseModel):
    """The parts of a COCO file that are read."""

    images: list[_CocoImage]
    annotations: list[_Annotation]
    categories: list[_Category] = Field(min_length=1, max_length=IGNORE - 1)


def _faults_of_coco(collection: _Coco, folder: Path) -> list[str]:
    require_folder(folder)
    images = {image.id: image for image in collection.images}
    categories = {category.id for category in collection.categories}
    names = ["background", *(category.name for category in collection.categories)]
    faults = twice("image id", [image.id for image in collection.images])
    faults += twice("category id", [category.id for category in collection.categories])
    faults += twice("class name (background stands for class 0)", names)
    samples = [os.path.splitext(image.file_name)[0] for image in collection.images]
    faults += twice("image name", samples)
    for image in collection.images:
        faults += _faults_of_file(image, folder)
    for place, annotation in enumerate(collection.annotations):
        where = f"annotations.{place}"
        if annotation.category_id not in categories:
            faults.append(f"{where}: category {annotation.category_id} is not declared")
        if annotation.image_id not in images:
            faults.append(f"{where}: image {annotation.image_id!r} is not declared")
        elif not fits(annotation.segmentation, images[annotation.image_id].size):
            faults.append(f"{where}: the outline does not fit the size of image {annotation.image_id!r}")
    return faults


def _faults_of_file(image: _CocoImage, folder: Path) -> list[str]:
    name = PurePosixPath(image.file_name)
    if not name.name or name.is_absolute() or ".." in name.parts:
        return [f"file_name {image.file_name!r} is no path below the image folder"]
    return faults_of_image(folder / name, (image.height, image.width))


def _by_image(collection: _Coco) -> dict[int | str, list[_Annotation]]:
    objects: dict[int | str, list[_Annotation]] = defaultdict(list)
    for annotation in collection.annotations:
        objects[annotation.image_id].append(annotation)
    return objects


def _drawing(image: _CocoImage, folder: Path, annotations: list[_Annotation], numbers: dict) -> Drawing:
    """What is drawn on an image's mask, the largest first; equal ones in their order."""
    objects = [
        (encoded(one.segmentation, image.size), IGNORE if one.iscrowd else numbers[one.category_id])
        for one in annotations
    ]
    objects.sort(key=lambda drawn: int(coco_mask.area(drawn[0])), reverse=True)
    mask = PurePosixPath(image.file_name).with_suffix(".png")
    return Drawing(folder / image.file_name, mask, image.size, objects)


def _notes_on_coco(
    collection: _Coco, objects: dict[int | str, list[_Annotation]], unseen: list[str]
) -> list[str]:
    empty = sum(not objects[image.id] for image in collection.images)
    crowds = sum(annotation.iscrowd for annotation in collection.annotations)
    drawn = {annotation.category_id for annotation in collection.annotations if not annotation.iscrowd}
    unused = [category.name for category in collection.categories if category.id not in drawn]
    notes = []
    if empty:
        notes.append(f"All background: {empty} images without annotations.")
    if crowds:
        notes.append(f"Ignored: {crowds} crowd regions, drawn as {IGNORE}.")
    notes += unseen
    if unused:
        notes.append(
            f"Categories without an object: {', '.join(unused)}; a study stops at a class without pixels, so "
            "remove them from the JSON file and import it again."
        )
    return notes
