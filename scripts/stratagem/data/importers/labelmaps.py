"""Label maps of Cellpose and StarDist as a sample sheet."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stratagem.core.errors import DataError
from stratagem.data.image import EXTENSIONS
from stratagem.data.importers.faults import require_folder, require_none, sentence
from stratagem.data.importers.output import done, new_folder, write_study
from stratagem.data.labels import read_mask

__all__ = ["import_labelmaps"]

ENDINGS = frozenset({".png", ".tif", ".tiff"})  # lossless, 16 bits
MAP_NAME = re.compile(r"(.+?)(?:_cp)?_masks")  # Cellpose's own, beside the image NAME
# What else Cellpose writes beside an image. Some of these names end as those of masks do.
COMPANION = re.compile(r".+_(cp_output|outlines|flows(_\d)?|dP|cellprob)(_cp_masks)?")


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
    require_none(faults, "one label map for each image", masks, _MAPS_REMEDY)
    rows = [{"image": image_files[name][0], "mask": mask_files[name][0]} for name in sorted(image_files)]
    with new_folder(out) as (made, _):
        write_study(made, out, rows, ["background", "object"], {"encoding": "instances"})
    notes = [f"Passed over: {passed_over} other files of Cellpose (flows, outlines)."] if passed_over else []
    return done(rows, out) + notes


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
    for name, path in _found(masks, ENDINGS, without=images):
        named = MAP_NAME.fullmatch(name)
        if COMPANION.fullmatch(name):
            companions.add(path.resolve())
        elif named or not one:
            mask_files[named[1] if named else name].append(path)
    return image_files, mask_files, len(companions)


def _found(folder: Path, endings: frozenset[str], without: Path) -> Iterator[tuple[str, Path]]:
    """Files below a folder with their names, but not those of the other folder where it lies within."""
    require_folder(folder)
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
            faults.append(sentence(error))
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
