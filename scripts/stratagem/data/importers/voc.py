"""Segmentations of Pascal VOC, and what other tools export in its form, as a sample sheet."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stratagem.core.errors import DataError
from stratagem.data.files import image_files
from stratagem.data.importers.faults import require_folder, require_none, sentence, twice
from stratagem.data.importers.output import done, new_folder, write_study
from stratagem.data.labels import IGNORE, RawMask, colour_codes, colour_name, read_mask

__all__ = ["import_voc"]

IMAGES, MASKS, COLOURS = "JPEGImages", "SegmentationClass", "labelmap.txt"
OWN = ["background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"]
OWN += ["diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"]
OWN += ["tvmonitor"]
NAMED = 3  # colours that a fault names
Found = tuple[list[str], dict[str, Any], list[str]]  # classes, `labels`, sentences
BYTE = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
LINE = re.compile(rf"(.*?\S.*?):\s*{BYTE},\s*{BYTE},\s*{BYTE}\s*(?::.*)?")
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
    if colours.is_file():
        classes, labels, notes = _by_colour(_colours(colours), masks.values(), faults)
    else:
        classes, labels, notes = _by_index(masks.values(), faults)
    require_none(faults, "masks of classes that are known", folder / MASKS, f"Name them in {colours}.")
    with new_folder(out) as (made, _):
        write_study(made, out, rows, classes, labels)
    without = len(images) - len(masks)
    return done(rows, out) + notes + ([f"Left out: {without} images without a mask."] if without else [])


def _read(masks: Iterable[Path], faults: list[str]) -> Iterator[tuple[Path, RawMask]]:
    """Each mask; those that cannot be read are added to the faults."""
    for path in masks:
        try:
            yield path, read_mask(path)
        except DataError as error:
            faults.append(sentence(error))


def _by_index(masks: Iterable[Path], faults: list[str]) -> Found:
    """The classes of VOC's own that some masks hold, the config key `labels`, and what is to be said."""
    seen: set[int] = set()
    for path, mask in _read(masks, faults):
        held = set(np.unique(mask.values).tolist()) - {IGNORE}
        if mask.values.ndim != 2 or not held <= set(range(len(OWN))):
            faults.append(
                f"{path} holds colours, or values that are none of 0 to {len(OWN) - 1} and {IGNORE}"
            )
        else:
            seen |= held
    classes = [name for number, name in enumerate(OWN) if number in seen | {0}]
    values = {name: [OWN.index(name)] for name in classes}
    said = f"Classes by their numbers in Pascal VOC: {', '.join(classes)}."
    return classes, {"encoding": "values", "values": values, "ignore": IGNORE}, [said]


def _by_colour(colours: dict[str, str], masks: Iterable[Path], faults: list[str]) -> Found:
    """The classes whose colours some masks hold, the config key `labels`, and what is to be said."""
    seen: set[str] = set()
    for path, mask in _read(masks, faults):
        held = {colour_name(code) for code in np.unique(colour_codes(mask)).tolist()}
        unknown = sorted(held - set(colours.values()))
        if unknown:
            faults.append(f"{path} holds {', '.join(unknown[:NAMED])}, which {COLOURS} does not name")
        seen |= held
    classes = ["background", *(name for name in colours if name != "background" and colours[name] in seen)]
    unused = [name for name in colours if name not in classes]
    labels = {"encoding": "colours", "colours": {name: colours[name] for name in classes}}
    return classes, labels, [f"Labels without a pixel, left out: {', '.join(unused)}."] if unused else []


def _colours(path: Path) -> dict[str, str]:
    """The colour of each label, by a file of colours."""
    found, faults = [], []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        match = LINE.fullmatch(line)
        if match and "\ufffd" not in line:  # which stands for bytes that are no UTF-8
            found.append((match[1], "#" + bytes(map(int, match.groups()[1:])).hex()))
        elif line.strip() and not line.startswith("#"):
            faults.append(f"`{line}`")
    names, colours = zip(*found, strict=True) if found else ((), ())
    faults += twice("label", names) + twice("colour", colours)
    if "background" not in names:
        faults.append("no line of `background`")
    require_none(faults, "a label a line, `NAME:RED,GREEN,BLUE::`", path, "Mend those lines.")
    return dict(found)
