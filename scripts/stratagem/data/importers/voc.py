"""Segmentations of Pascal VOC, and what other tools export in its form, as a sample sheet."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from stratagem.core.errors import DataError
from stratagem.data.files import image_files
from stratagem.data.importers.faults import require_folder, require_none, sentence
from stratagem.data.importers.output import done, new_folder, write_study
from stratagem.data.labels import IGNORE, read_mask

__all__ = ["import_voc"]

IMAGES, MASKS, COLOURS = "JPEGImages", "SegmentationClass", "labelmap.txt"
OWN = ["background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"]
OWN += ["diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"]
OWN += ["tvmonitor"]
BYTE = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
LINE = re.compile(rf"([^:]+):{BYTE},{BYTE},{BYTE}(?::.*)?")
REMEDY = f"Each mask of {MASKS} needs the image of its name in {IMAGES}."


def import_voc(folder: str | Path, out: str | Path) -> list[str]:
    """A folder of Pascal VOC: the images of `JPEGImages` that have a mask in `SegmentationClass`.

    Classes are those of VOC's own twenty that the masks hold, or those of `labelmap.txt`, where the folder
    has one, as of CVAT's export `Segmentation mask`. The study divides the images itself: VOC publishes no
    mask of its test images.

    Parameters
    ----------
    folder : path
        Such as `VOCdevkit/VOC2012`.
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
    for part in (IMAGES, MASKS):
        require_folder(folder / part)
    images, masks = (dict(image_files(folder / part)) for part in (IMAGES, MASKS))
    faults = [f"{masks[name]} has no image" for name in sorted(masks.keys() - images.keys())]
    require_none(faults, "an image for each mask", folder, REMEDY)
    rows: list[dict] = [{"image": images[name], "mask": masks[name]} for name in sorted(masks)]
    colours = folder / COLOURS
    classes, labels = _by_colour(colours) if colours.is_file() else _by_index(masks.values(), faults)
    require_none(faults, "masks of Pascal VOC's classes", folder / MASKS, f"Name others in {colours}.")
    with new_folder(out) as (made, _):
        write_study(made, out, rows, classes, labels)
    without = len(images) - len(masks)
    own = [] if colours.is_file() else [f"Classes by their numbers in Pascal VOC: {', '.join(classes)}."]
    return done(rows, out) + own + ([f"Left out: {without} images without a mask."] if without else [])


def _by_index(masks: Iterable[Path], faults: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The classes of VOC's own that some masks hold, and the config key `labels`."""
    seen: set[int] = set()
    for path in masks:
        try:
            mask = read_mask(path).values
        except DataError as error:
            faults.append(sentence(error))
            continue
        held = set(np.unique(mask).tolist()) - {IGNORE}
        if mask.ndim != 2 or not held <= set(range(len(OWN))):
            faults.append(
                f"{path} holds colours, or values that are none of 0 to {len(OWN) - 1} and {IGNORE}"
            )
        else:
            seen |= held
    classes = [name for number, name in enumerate(OWN) if number in seen | {0}]
    values = {name: [OWN.index(name)] for name in classes}
    return classes, {"encoding": "values", "values": values, "ignore": IGNORE}


def _by_colour(path: Path) -> tuple[list[str], dict[str, Any]]:
    """The classes of a file of colours, and the config key `labels`."""
    colours, faults = {}, []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        found = LINE.fullmatch(line)
        if found:
            colours[found[1]] = "#" + bytes(map(int, found.groups()[1:])).hex()
        elif line.strip() and not line.startswith("#"):
            faults.append(f"`{line}`")
    if "background" not in colours:
        faults.append("no line of `background`")
    require_none(faults, "a label a line, `NAME:RED,GREEN,BLUE::`", path, "Mend those lines.")
    names = ["background", *(name for name in colours if name != "background")]
    return names, {"encoding": "colours", "colours": colours}
