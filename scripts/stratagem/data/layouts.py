"""Layouts of well-known collections, told by the folders they consist of, and how each is read."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stratagem.data.files import IMPORT, walk

__all__ = ["LAYOUTS", "Layout", "advice_by_layout"]

LABELS = ("labelTrainIds", "labelIds")  # kinds of Cityscapes' masks, the first that is there


class Layout(NamedTuple):
    """How a collection lies in its folder.

    Attributes
    ----------
    name : str
    is_in : function of a path
        Whether a folder is one of such a collection.
    cure : function of a path
        What reads it: a clause.
    above : int
        How many folders above one that is named it may begin.
    """

    name: str
    is_in: Callable[[Path], bool]
    cure: Callable[[Path], str]
    above: int = 2


def _imported(kind: str) -> Callable[[Path], str]:
    """A cure by an importer."""

    def cure(folder: Path) -> str:
        return f"`{IMPORT} {kind} {shlex.quote(str(folder))} --out data/imported` makes a sheet of it"

    return cure


def _is_nnunet(folder: Path) -> bool:
    return (folder / "dataset.json").is_file() and (folder / "imagesTr").is_dir()


def _is_voc(folder: Path) -> bool:
    return (folder / "JPEGImages").is_dir() and (folder / "SegmentationClass").is_dir()


def _holds_samples(folder: Path) -> bool:
    return any(_is_sample(path) for path in folder.iterdir() if (path / "masks").is_dir())


def _is_sample(folder: Path) -> bool:
    return (folder / "images").is_dir() and len(walk(folder / "images").images) == 1


def _is_cityscapes(folder: Path) -> bool:
    return (folder / "leftImg8bit").is_dir() and (folder / "gtFine").is_dir()


def _read_cityscapes(folder: Path) -> str:
    kinds = (kind for kind in LABELS if next(folder.glob(f"gtFine/*/*/*_gtFine_{kind}.png"), None))
    places = f"`images: {folder / 'leftImg8bit'}`, `masks: {folder / 'gtFine'}`"
    names = f'`image_name: "{{stem}}_leftImg8bit"`, `mask_name: "{{stem}}_gtFine_{next(kinds, LABELS[0])}"`'
    return f"{places}, {names} read it"


LAYOUTS = (
    Layout("nnU-Net", _is_nnunet, _imported("nnunet")),
    Layout("Pascal VOC", _is_voc, _imported("voc")),
    Layout("Cityscapes", _is_cityscapes, _read_cityscapes),
    Layout("Kaggle's nuclei, a folder a sample", _holds_samples, _imported("folders"), above=0),
)


def advice_by_layout(*places: str) -> str:
    """How a well-known collection is read, if folders that were named belong to one.

    Parameters
    ----------
    *places : path

    Returns
    -------
    str
        A clause to append, beginning with "; "; or nothing.
    """
    for layout in LAYOUTS:
        near = (folder for place in map(Path, places) for folder in (place, *place.parents[: layout.above]))
        for folder in near:
            if layout.is_in(folder):
                return f"; this is the layout of {layout.name}: {layout.cure(folder)}"
    return ""
