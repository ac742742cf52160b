"""Collections that keep a folder for each sample, as Kaggle's nuclei of 2018 do, as a sample sheet."""

from collections.abc import Iterator
from pathlib import Path

from stratagem.data.files import walk
from stratagem.data.importers.faults import require_folder, require_none
from stratagem.data.importers.output import done, new_folder, write_study

__all__ = ["import_folders"]

IMAGES, MASKS = "images", "masks"
REMEDY = "Mend those folders, or move them away."


def import_folders(folder: str | Path, out: str | Path) -> list[str]:
    """A folder a sample: `NAME/images` with its image, `NAME/masks` with its objects, a file each.

    Parameters
    ----------
    folder : path
        Holds the folders of the samples.
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
    unlabelled = 0
    rows: list[dict] = []
    for sample in _samples(folder):
        images, masks = (_files(sample / kind) for kind in (IMAGES, MASKS))
        if len(images) != 1:
            faults.append(f"{sample / IMAGES} holds {len(images)} images, where a sample has one")
        elif not masks:
            unlabelled += 1
        else:
            rows += [{"image": images[0], "mask": mask} for mask in masks]
    if not rows and not faults:
        faults.append("none")
    require_none(faults, "one image and its masks in each sample's folder", folder, REMEDY)
    with new_folder(out) as (made, _):
        write_study(made, out, rows, ["background", "object"], {"encoding": "instances"})
    left = [f"Left out: {unlabelled} samples without a mask."] if unlabelled else []
    return done(rows, out) + left


def _samples(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if (path / IMAGES).is_dir() or (path / MASKS).is_dir())


def _files(folder: Path) -> list[Path]:
    return [path for _, path in walk(folder).images] if folder.is_dir() else []
