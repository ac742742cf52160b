"""Collections of other tools as a sample sheet: nnU-Net, COCO, label maps of Cellpose and StarDist.

Comes in: a collection as its tool keeps it. Goes out: a new folder that holds

    samples.csv   one row a sample: `image`, `mask` (paths relative to the sheet's folder), perhaps `part`
    study.yaml    the keys of a config that read the sheet: `sheet`, `classes`, `labels`
    masks/        masks that had to be drawn (COCO): PNG, uint8 (H, W), value = class, 255 = ignore
    images/       channels that had to be joined (nnU-Net): TIFF, (H, W, C)

Images are named where they are, never copied. The folder appears whole or not at all, and never in
place of one that holds something. An importer returns what it did, in sentences; nothing is left out
without one. Every fault of a collection stands in one `DataError`. What indexing checks of any sample
(sizes, readable pixels) is left to it, except where an importer needs the pixels itself.
"""

import contextlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar, cast

import numpy as np
import pandas as pd
import tifffile
from PIL import Image
from pycocotools import mask as coco_mask
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    StrictInt,
    Tag,
    ValidationError,
)

from stratagem.core.errors import DataError
from stratagem.core.files import replacing_folder, write_table, write_text
from stratagem.data.image import EXTENSIONS, read_raw
from stratagem.data.labels import IGNORE, read_mask

__all__ = ["import_coco", "import_labelmaps", "import_nnunet", "new_folder", "write_sheet"]

Model = TypeVar("Model", bound=BaseModel)

FLAT_ENDINGS = (".png", ".bmp", ".tif", ".tiff")  # of nnU-Net's 2D reader
PARTS = {"Tr": "train", "Ts": "test"}  # by the suffix of nnU-Net's folders
MAP_ENDINGS = frozenset({".png", ".tif", ".tiff"})  # lossless, 16 bits
MAP_NAME = re.compile(r"(.+?)(?:_cp)?_masks")  # Cellpose's own, beside the image NAME
# What else Cellpose writes beside an image. Some of these names end as those of masks do.
COMPANION = re.compile(r".+_(cp_output|outlines|flows(_\d)?|dP|cellprob)(_cp_masks)?")
STUDY_HEAD = """\
# The data of a study. Add the other keys, which config.yaml explains, and run
#   snakemake --configfile FILE
"""


def import_nnunet(folder: str | Path, out: str | Path) -> list[str]:
    """A 2D raw data set of nnU-Net v2 (`DatasetXXX_Name`).

    Where `labelsTs` exists, the column `part` says train or test as the data set does; else there is no
    such column and the study divides the images. A case of several channel files becomes one TIFF, (H, W, C),
    channels in nnU-Net's order. A label named `ignore` counts in no loss and no metric.

    Parameters
    ----------
    folder : path
        Holds `dataset.json`, `imagesTr`, `labelsTr`.
    out : path
        The folder to make.

    Returns
    -------
    list of str
        What was done, in sentences.

    Raises
    ------
    DataError
        Listing every fault; also for regions as labels and for 3D files, which are not supported. Also if
        `out` exists and is no empty folder.
    """
    folder = Path(folder)
    dataset = _read(_Dataset, folder / "dataset.json", _NNUNET_REMEDY)
    _require_none(_unsupported(dataset), "a 2D data set, one class a pixel", folder / "dataset.json", _FLAT)
    classes, labels = _classes_of_nnunet(dataset, folder / "dataset.json")
    faults: list[str] = []
    cases = _cases(folder, dataset, faults)
    _require_none(faults, "each case with all its channels and its labels", folder, _NNUNET_REMEDY)
    with new_folder(out) as (made, final):
        channels = list(dataset.channel_names.values())
        rows: list[dict] = [
            {"image": _image(case, made, final, channels, faults), "mask": case.mask} for case in cases
        ]
        _require_none(faults, "channels of one size and one pixel type", folder, "Replace those files.")
        if {case.suffix for case in cases} == set(PARTS):
            rows = [row | {"part": PARTS[case.suffix]} for row, case in zip(rows, cases, strict=True)]
        _write(made, out, rows, classes, labels)
    return _done(rows, out) + _notes_on_nnunet(folder, dataset, cases, out)


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
    collection = _read(_Coco, annotations, _COCO_REMEDY)
    _require_none(
        _faults_of_coco(collection, images), "a COCO file without faults", annotations, _COCO_REMEDY
    )
    categories = sorted(collection.categories, key=lambda category: category.id)
    numbers = {category.id: number for number, category in enumerate(categories, start=1)}
    objects = _by_image(collection)
    rows, unseen = [], 0
    with new_folder(out) as (made, final):
        for image in collection.images:
            mask, invisible = _drawn(image, objects[image.id], numbers)
            unseen += invisible
            name = PurePosixPath("masks", image.file_name).with_suffix(".png")
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(made / name)
            rows.append({"image": images / image.file_name, "mask": final / name})
        names = ["background", *(category.name for category in categories)]
        _write(made, out, rows, names, {"encoding": "indices", "ignore": IGNORE})
    return _done(rows, out) + _notes_on_coco(collection, objects, unseen)


def import_labelmaps(images: str | Path, masks: str | Path, out: str | Path) -> list[str]:
    """Label maps: a number of its own for each object, 0 for background.

    A mask belongs to the image of its path below the folder (StarDist), or of that path before `_masks` or
    `_cp_masks` (Cellpose). Both folders may be one; then only files named in Cellpose's way are masks.

    Parameters
    ----------
    images, masks : path
        The folders, searched with their subfolders. Masks are PNG or TIFF, integers, (H, W).
    out : path
        The folder to make.

    Returns
    -------
    list of str
        What was done, in sentences.

    Raises
    ------
    DataError
        Listing every fault; also where masks exist as `_seg.npy` alone: such a file is a pickle, and to
        open one is to run whatever program it holds. Also if `out` exists and is no empty folder.
    """
    images, masks = Path(images), Path(masks)
    image_files, mask_files, passed_over = _pairs(images, masks)
    faults = _faults_of_pairs(image_files, mask_files, [images, masks])
    maps = [path for paths in mask_files.values() for path in paths]
    faults += _faults_of_maps(maps)
    _require_none(faults, "one label map for each image", masks, _MAPS_REMEDY)
    rows = [{"image": image_files[name][0], "mask": mask_files[name][0]} for name in sorted(image_files)]
    with new_folder(out) as (made, _):
        _write(made, out, rows, ["background", "object"], {"encoding": "instances"})
    notes = [f"Passed over: {passed_over} other files of Cellpose (flows, outlines)."] if passed_over else []
    return _done(rows, out) + notes


# nnU-Net

_NNUNET_REMEDY = (
    "Mend the data set as nnU-Net v2 describes it; `nnUNetv2_convert_old_nnUNet_dataset` converts one of v1."
)
_FLAT = (
    f"Supported are labels that are one number each, and 2D files ({', '.join(FLAT_ENDINGS)}) in `imagesTr` "
    "and `labelsTr`; export regions as exclusive classes, and volumes as slices."
)


class _Dataset(BaseModel):
    """What `dataset.json` says."""

    channel_names: dict[str, str] = Field(min_length=1)
    labels: dict[str, StrictInt | list]
    file_ending: str
    numTraining: int | None = None
    overwrite_image_reader_writer: str | None = None
    dataset: dict | None = None  # cases listed file by file instead of found in folders


@dataclass(frozen=True)
class _Case:
    """One image of nnU-Net: its channel files, its labels, the suffix of its folders, Tr or Ts."""

    name: str
    channels: list[Path]
    mask: Path
    suffix: str


def _unsupported(dataset: _Dataset) -> list[str]:
    faults = [
        f"label `{name}` is a region of {value}"
        for name, value in dataset.labels.items()
        if isinstance(value, list)
    ]
    if dataset.file_ending not in FLAT_ENDINGS:
        faults.append(f"`file_ending` is {dataset.file_ending!r}")
    if "3D" in (dataset.overwrite_image_reader_writer or ""):
        faults.append(f"`overwrite_image_reader_writer` is {dataset.overwrite_image_reader_writer}")
    if dataset.dataset is not None:
        faults.append("cases are listed under `dataset`")
    return faults


def _classes_of_nnunet(dataset: _Dataset, where: Path) -> tuple[list[str], dict[str, Any]]:
    """The class names by index, and the config key `labels`."""
    values = {name: value for name, value in dataset.labels.items() if name != "ignore"}
    classes = sorted(values, key=values.__getitem__)
    ignore = cast(int, dataset.labels.get("ignore", len(classes)))  # lists, of regions, were refused
    consecutive = [values[name] for name in classes] == list(range(len(classes)))
    if not consecutive or not 2 <= len(classes) <= ignore <= IGNORE:
        found = json.dumps(dataset.labels, ensure_ascii=False)
        expected = "`labels` 0, 1, 2, ... of at least two classes, `ignore` the highest"
        raise _error([found], expected, where, _NNUNET_REMEDY)
    return classes, {"encoding": "indices"} | ({"ignore": ignore} if "ignore" in dataset.labels else {})


def _cases(folder: Path, dataset: _Dataset, faults: list[str]) -> list[_Case]:
    cases = _cases_of_part(folder, "Tr", dataset, faults)
    found = len({case.name for case in cases})
    if not faults and dataset.numTraining not in (None, found):
        faults.append(f"`numTraining` is {dataset.numTraining}, but imagesTr holds {found} cases")
    if (folder / "labelsTs").is_dir():
        cases += _cases_of_part(folder, "Ts", dataset, faults)
    return cases


def _cases_of_part(folder: Path, suffix: str, dataset: _Dataset, faults: list[str]) -> list[_Case]:
    ending = dataset.file_ending
    images = _channel_files(folder / f"images{suffix}", ending, faults)
    masks = {path.name.removesuffix(ending): path for path in _of_ending(folder / f"labels{suffix}", ending)}
    faults += [f"{masks[name]} has no image" for name in sorted(masks.keys() - images.keys())]
    faults += [f"{name} has no labels in labels{suffix}" for name in sorted(images.keys() - masks.keys())]
    for name, channels in images.items():
        faults += _faults_of_channels(name, channels, len(dataset.channel_names))
    return [
        _Case(name, [images[name][number] for number in sorted(images[name])], masks[name], suffix)
        for name in sorted(images.keys() & masks.keys())
    ]


def _channel_files(folder: Path, ending: str, faults: list[str]) -> dict[str, dict[int, Path]]:
    """The files of each case by channel number."""
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    pattern = re.compile(rf"(.+)_(\d{{4}}){re.escape(ending)}")
    for path in _of_ending(folder, ending):
        match = pattern.fullmatch(path.name)
        if match:
            cases[match[1]][int(match[2])] = path
        else:
            faults.append(f"{path} has no channel number (CASE_0000{ending})")
    return cases


def _of_ending(folder: Path, ending: str) -> list[Path]:
    _require_folder(folder)
    return sorted(
        path for path in folder.iterdir() if path.name.endswith(ending) and not path.name.startswith(".")
    )


def _faults_of_channels(name: str, channels: dict[int, Path], declared: int) -> list[str]:
    found = sorted(channels)
    if found == list(range(declared)):
        return []
    try:  # a colour image is one file, its colours declared as channels
        if found == [0] and read_raw(channels[0]).shape[2:] == (declared,):
            return []
    except DataError as error:
        return [_sentence(error)]
    shown = ", ".join(f"{number:04d}" for number in found)
    return [f"{name} has the channels {shown} where {declared} are declared"]


def _image(case: _Case, made: Path, final: Path, names: list[str], faults: list[str]) -> Path:
    """The image file of a case, its channels joined where they are several files."""
    if len(case.channels) == 1:
        return case.channels[0]
    name = Path("images", f"images{case.suffix}", f"{case.name}.tif")
    try:
        _join(case.channels, names, made / name)
    except DataError as error:
        faults.append(_sentence(error))
    return final / name


def _join(channels: list[Path], names: list[str], path: Path) -> None:
    planes = [read_raw(channel) for channel in channels]
    for channel, plane in zip(channels, planes, strict=True):
        if plane.ndim != 2 or (plane.shape, plane.dtype) != (planes[0].shape, planes[0].dtype):
            found = f"{plane.dtype} {plane.shape} beside {planes[0].dtype} {planes[0].shape}"
            raise _error([found], "a plane like that of the first channel", channel, "Replace it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path,
        np.stack(planes, axis=-1),
        photometric="minisblack",
        planarconfig="contig",  # one page: channels are no slices
        metadata={"axes": "YXS", "channel_names": names},
    )


def _notes_on_nnunet(folder: Path, dataset: _Dataset, cases: list[_Case], out: str | Path) -> list[str]:
    joined = sum(len(case.channels) > 1 for case in cases)
    notes = []
    if joined:
        count = len(dataset.channel_names)
        notes.append(f"Joined: {joined} cases of {count} channels, as TIFF files in {Path(out, 'images')}.")
    unlabelled = folder / "imagesTs"
    if unlabelled.is_dir() and not (folder / "labelsTs").is_dir():
        count = len(_of_ending(unlabelled, dataset.file_ending))
        notes.append(f"Left out: {count} files of imagesTs, which have no labels (there is no labelsTs).")
    return notes


# COCO

_COCO_REMEDY = "Mend the file, or give the folder that its `file_name`s are relative to."


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


class _RunLengths(BaseModel):
    """Pixels column by column: so many out, so many in, and so on."""

    size: tuple[PositiveInt, PositiveInt]
    counts: Annotated[list[NonNegativeInt], BeforeValidator(_runs)]


_Polygon = Annotated[list[FiniteFloat], Field(min_length=6), AfterValidator(_even)]
_Polygons = Annotated[list[_Polygon], Field(min_length=1)]


class _CocoImage(BaseModel):
    """An image of the collection; sizes in pixels."""

    id: int | str
    file_name: str
    height: PositiveInt
    width: PositiveInt


class _Annotation(BaseModel):
    """An object or a crowd."""

    image_id: int | str
    category_id: int
    segmentation: Annotated[
        Annotated[_RunLengths, Tag("rle")] | Annotated[_Polygons, Tag("polygons")],
        Discriminator(lambda value: "rle" if isinstance(value, dict) else "polygons"),
    ]
    iscrowd: bool = False


class _Category(BaseModel):
    """A class."""

    id: int
    name: str


class _Coco(BaseModel):
    """The parts of a COCO file that are read."""

    images: list[_CocoImage]
    annotations: list[_Annotation]
    categories: list[_Category] = Field(min_length=1, max_length=IGNORE - 1)


def _faults_of_coco(collection: _Coco, folder: Path) -> list[str]:
    _require_folder(folder)
    images = {image.id: image for image in collection.images}
    categories = {category.id for category in collection.categories}
    names = ["background", *(category.name for category in collection.categories)]
    faults = _twice("image id", [image.id for image in collection.images])
    faults += _twice("category id", [category.id for category in collection.categories])
    faults += _twice("class name (background stands for class 0)", names)
    samples = [os.path.splitext(image.file_name)[0] for image in collection.images]
    faults += _twice("image name", samples)
    for image in collection.images:
        faults += _faults_of_file(image, folder)
    for place, annotation in enumerate(collection.annotations):
        where = f"annotations.{place}"
        if annotation.category_id not in categories:
            faults.append(f"{where}: category {annotation.category_id} is not declared")
        if annotation.image_id not in images:
            faults.append(f"{where}: image {annotation.image_id!r} is not declared")
        elif _outside(annotation, images[annotation.image_id]):
            faults.append(f"{where}: the outline does not fit the size of image {annotation.image_id!r}")
    return faults


def _twice(what: str, values: Iterable) -> list[str]:
    return [f"{what} {value!r} is given {n} times" for value, n in Counter(values).items() if n > 1]


def _faults_of_file(image: _CocoImage, folder: Path) -> list[str]:
    name = PurePosixPath(image.file_name)
    if not name.name or name.is_absolute() or ".." in name.parts:
        return [f"file_name {image.file_name!r} is no path below the image folder"]
    path = folder / name
    if not path.is_file():
        return [f"{path} is missing"]
    try:
        height, width = read_raw(path).shape[:2]
    except DataError as error:
        return [_sentence(error)]
    if (height, width) != (image.height, image.width):
        return [f"{path} is {height}x{width} (height x width), not {image.height}x{image.width} as declared"]
    return []


def _outside(annotation: _Annotation, image: _CocoImage) -> bool:
    """Whether an outline cannot be of this image: pycocotools would misread or never end."""
    outline = annotation.segmentation
    if isinstance(outline, _RunLengths):
        size = (image.height, image.width)
        return outline.size != size or sum(outline.counts) != image.height * image.width
    longest = max(image.height, image.width)
    return not all(-longest <= value <= 2 * longest for polygon in outline for value in polygon)


def _by_image(collection: _Coco) -> dict[int | str, list[_Annotation]]:
    objects: dict[int | str, list[_Annotation]] = defaultdict(list)
    for annotation in collection.annotations:
        objects[annotation.image_id].append(annotation)
    return objects


def _drawn(
    image: _CocoImage, annotations: list[_Annotation], numbers: dict[int, int]
) -> tuple[np.ndarray, int]:
    """The mask, uint8 (H, W), and how many outlines hold no pixel."""
    mask = np.zeros((image.height, image.width), np.uint8)
    outlines = [_encoded(annotation.segmentation, image) for annotation in annotations]
    areas = [int(coco_mask.area(outline)) for outline in outlines]
    for place in sorted(range(len(areas)), key=areas.__getitem__, reverse=True):  # equal ones in their order
        annotation = annotations[place]
        inside = coco_mask.decode(outlines[place]).astype(bool)
        mask[inside] = IGNORE if annotation.iscrowd else numbers[annotation.category_id]
    return mask, areas.count(0)


def _encoded(outline: _RunLengths | list[list[float]], image: _CocoImage) -> dict:
    """An outline in pycocotools' own form; several polygons are one object."""
    if isinstance(outline, _RunLengths):
        return coco_mask.frPyObjects(outline.model_dump(), image.height, image.width)
    return coco_mask.merge(coco_mask.frPyObjects(outline, image.height, image.width))


def _notes_on_coco(collection: _Coco, objects: dict[int | str, list[_Annotation]], unseen: int) -> list[str]:
    empty = sum(not objects[image.id] for image in collection.images)
    crowds = sum(annotation.iscrowd for annotation in collection.annotations)
    drawn = {annotation.category_id for annotation in collection.annotations if not annotation.iscrowd}
    unused = [category.name for category in collection.categories if category.id not in drawn]
    notes = []
    if empty:
        notes.append(f"All background: {empty} images without annotations.")
    if crowds:
        notes.append(f"Ignored: {crowds} crowd regions, drawn as {IGNORE}.")
    if unseen:
        notes.append(f"Too small to hold a pixel: {unseen} outlines.")
    if unused:
        notes.append(
            f"Categories without an object: {', '.join(unused)}; a study stops at a class without pixels, so "
            "remove them from the JSON file and import it again."
        )
    return notes


# Label maps

_MAPS_REMEDY = (
    "Save each mask as PNG or TIFF (Cellpose: `--save_tif`, which also writes the masks of images without a "
    "cell, or `--save_png`) under its image's name; masks of classes need no import."
)

_Files = dict[str, list[Path]]  # by the path below the folder, without ending


def _pairs(images: Path, masks: Path) -> tuple[_Files, _Files, int]:
    """The images and the masks of each name, and how many files are neither."""
    image_files: _Files = defaultdict(list)
    mask_files: _Files = defaultdict(list)
    companions = set()
    one = images.resolve() == masks.resolve()
    for name, path in _found(images, EXTENSIONS, without=masks):
        if COMPANION.fullmatch(name):
            companions.add(path.resolve())
        elif not (MAP_NAME.fullmatch(name) and one):
            image_files[name].append(path)
    for name, path in _found(masks, MAP_ENDINGS, without=images):
        named = MAP_NAME.fullmatch(name)
        if COMPANION.fullmatch(name):
            companions.add(path.resolve())
        elif named or not one:
            mask_files[named[1] if named else name].append(path)
    return image_files, mask_files, len(companions)


def _found(folder: Path, endings: frozenset[str], without: Path) -> Iterator[tuple[str, Path]]:
    """Files below a folder with their names, but not those of the other folder where it lies within."""
    _require_folder(folder)
    nested = without.resolve() != folder.resolve() and without.resolve().is_relative_to(folder.resolve())
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        elsewhere = nested and path.resolve().is_relative_to(without.resolve())
        if path.suffix.lower() in endings and not hidden and not elsewhere:
            yield below.with_suffix("").as_posix(), path


def _faults_of_pairs(images: _Files, masks: _Files, folders: list[Path]) -> list[str]:
    faults = []
    for files in (images, masks):
        faults += [
            f"{' and '.join(map(str, paths))} share a name" for paths in files.values() if len(paths) > 1
        ]
    faults += [f"{masks[name][0]} has no image" for name in sorted(masks.keys() - images.keys())]
    for name in sorted(images.keys() - masks.keys()):
        pickles = [path for folder in folders if (path := folder / f"{name}_seg.npy").is_file()]
        if pickles:
            faults.append(f"{pickles[0]} is a pickle, which is never opened because it could run a program")
        else:
            faults.append(f"{images[name][0]} has no mask")
    return faults


def _faults_of_maps(paths: list[Path]) -> list[str]:
    faults, highest, others = [], 0, False
    for path in paths:
        try:
            labels = read_mask(path).values
        except DataError as error:
            faults.append(_sentence(error))
            continue
        if labels.dtype.kind == "f":
            faults.append(f"{path} holds fractions, no labels")
            continue
        if labels.ndim != 2 or labels.min() < 0:
            faults.append(f"{path} holds colours or negative numbers, no labels")
            continue
        highest = max(highest, int(labels.max()))
        others |= bool(np.isin(labels, (0, 255), invert=True).any())
    if highest == 255 and not others:
        faults.append(
            "all masks hold 0 and 255 alone, so they tell cells from background, not cell from cell"
        )
    return faults


# What all share


def _error(faults: list[str], expected: str, where: Path, remedy: str) -> DataError:
    """All faults as one error."""
    count = f"{len(faults)} faults: " if len(faults) > 1 else ""
    return DataError(expected=expected, found=count + "; ".join(faults), where=str(where), remedy=remedy)


def _sentence(error: DataError) -> str:
    """One fault among others: the remedy is said once for all."""
    return f"{error.where}: expected {error.expected}, but found {error.found}"


def _require_none(faults: list[str], expected: str, where: Path, remedy: str) -> None:
    if faults:
        raise _error(faults, expected, where, remedy)


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise _error(["none of that name"], "a folder", folder, "Correct the path.")


def _read(model: type[Model], path: Path, remedy: str) -> Model:
    """A JSON file as what it should say."""
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        faults = [f"none that can be read ({error.strerror})"]
    except ValidationError as error:
        faults = [
            ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"])))
            for fault in error.errors(include_url=False)
        ]
    keys = [name for name, field in model.model_fields.items() if field.is_required()]
    raise _error(faults, f"a JSON file with {', '.join(keys)}", path, remedy)


@contextlib.contextmanager
def new_folder(out: str | Path) -> Iterator[tuple[Path, Path]]:
    """The folder to write to, and what it will be called; nothing of the user's is replaced.

    Parameters
    ----------
    out : path
        Does not exist yet, or is an empty folder.

    Yields
    ------
    made : path
        The folder to write to, beside the final one: renamed to it in the end, removed after an error.
    final : path
        The final one, absolute.

    Raises
    ------
    DataError
        If `out` is a file, or a folder that holds something.
    """
    final = Path(out).resolve()
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        remedy = "Name another folder, or remove this one."
        raise _error(["one in use"], "a new folder, or an empty one", Path(out), remedy)
    with replacing_folder(final) as made:
        yield made, final


def _write(made: Path, out: str | Path, rows: list[dict], classes: list[str], labels: dict) -> None:
    """The sheet and the snippet of a config; `out` as the user wrote it, from where a study is started."""
    if not rows:
        raise _error(["none"], "at least one image with its mask", Path(out), "Check the paths given.")
    table = pd.DataFrame(rows)
    write_sheet(table, made / "samples.csv", out)
    keys = {"sheet": Path(out, "samples.csv").as_posix(), "classes": classes, "labels": labels}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items()]
    write_text(STUDY_HEAD + "".join(lines), made / "study.yaml")


def write_sheet(table: pd.DataFrame, path: Path, out: str | Path) -> None:
    """Samples as a sheet, their files named from the folder in which it will lie.

    Parameters
    ----------
    table : DataFrame
        ``image, mask`` (paths, from the working directory or absolute), and other columns, which are kept.
    path : path
        The file to write, ending in ``.csv``.
    out : path
        The folder in which the sheet will lie: paths in it are relative to this one.
    """
    for column in ("image", "mask"):
        named = [Path(os.path.relpath(file, Path(out).resolve())).as_posix() for file in table[column]]
        table = table.assign(**{column: named})
    write_table(table, path)


def _done(rows: list[dict], out: str | Path) -> list[str]:
    return [f"{len(rows)} samples: {Path(out, 'samples.csv')}", f"Go on from: {Path(out, 'study.yaml')}"]
