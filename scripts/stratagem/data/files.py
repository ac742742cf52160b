"""The files below a folder: which are images, which are not read and why.

Links are followed, also those that lead elsewhere, as data sets of git-annex, DVC and clusters are made of
them. What a system keeps for itself (hidden files, previews of a network disk) is passed over in silence;
what a user may take for data is counted by kind, with the tool that helps.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stratagem.data.image import EXTENSIONS

__all__ = ["Files", "Listing", "identity", "image_files", "is_image", "unread", "walk"]

# Of network disks, archives and systems; what begins with a dot is hidden anyway.
SYSTEM_FOLDERS = frozenset({"@eadir", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "lost+found"})
SYSTEM_FOLDERS |= {"system volume information", "@recycle", "@tmp"}
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})

IMPORT = "python scripts/import_data.py"
SLIDES = "whole slides: export regions as TIFF, as QuPath does"
MICROSCOPES = "a microscope's own format: export TIFF, as Fiji does"
VOLUMES = "volumes: save the slices as TIFF and read them with `pages: samples`"
ARRAYS = "arrays: save each image as TIFF, such as by `tifffile.imwrite`"
CAMERAS = "a camera's raw data: develop them to TIFF or PNG"
HELP = {  # what to do with files of other kinds, by ending
    ".nii": VOLUMES,
    ".nii.gz": VOLUMES,
    ".mha": VOLUMES,
    ".nrrd": VOLUMES,
    ".dcm": "DICOM: save them as TIFF, such as with `pydicom` and `tifffile`",
    ".mat": "MATLAB's arrays: save each image as PNG or TIFF, such as by `imwrite`",
    ".npy": ARRAYS,
    ".npz": ARRAYS,
    ".h5": ARRAYS,
    ".hdf5": ARRAYS,
    ".zarr": ARRAYS,
    ".heic": "a phone's photographs: convert them to PNG, such as by `magick mogrify -format png *.heic`",
    ".json": f"annotations: `{IMPORT}` draws masks of them, `coco` of COCO's, `labelme` of labelme's",
    ".xml": f"annotations: `{IMPORT} cvat` draws masks of CVAT's",
    ".svs": SLIDES,
    ".ndpi": SLIDES,
    ".mrxs": SLIDES,
    ".scn": SLIDES,
    ".czi": MICROSCOPES,
    ".lif": MICROSCOPES,
    ".nd2": MICROSCOPES,
    ".oib": MICROSCOPES,
    ".oif": MICROSCOPES,
    ".vsi": MICROSCOPES,
    ".cr2": CAMERAS,
    ".nef": CAMERAS,
    ".arw": CAMERAS,
    ".dng": CAMERAS,
    ".svg": "drawings: save them as PNG",
    ".pdf": "documents: save the pages as PNG",
    ".zip": "an archive: unpack it",
    ".tar": "an archive: unpack it",
    ".gz": "an archive: unpack it",
    ".dvc": "a pointer: `dvc pull` fetches the files",
}
HELP[".heif"] = HELP[".heic"]
LISTED = 5  # kinds that are named

Files = Callable[[Path], Iterable[tuple[str, Path]]]  # from a folder to its image files, as `image_files`


@dataclass(frozen=True)
class Listing:
    """What is below a folder.

    Attributes
    ----------
    images : tuple of (str, path)
        Identity and file, sorted by path.
    others : tuple of path
        Files of other kinds that are not a system's own.
    broken : tuple of path
        Links that lead to nothing, and may have been meant as images.
    repeated : tuple of path
        Links to folders that were read already.
    """

    images: tuple[tuple[str, Path], ...]
    others: tuple[Path, ...]
    broken: tuple[Path, ...]
    repeated: tuple[Path, ...]


def walk(folder: Path) -> Listing:
    """Look through a folder with its subfolders, linked ones too.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Listing
        A link to a folder that holds the link, or that was read already, is not followed.
    """
    images, others, broken = [], [], []
    repeated: list[Path] = []
    for path in _visible(folder, repeated):
        if path.is_dir():
            continue
        if path.is_symlink() and not path.exists():
            if is_image(path) or not path.suffix:
                broken.append(path)
        elif is_image(path):
            images.append((identity(path, folder), path))
        elif path.name.lower() not in SYSTEM_FILES:
            others.append(path)
    return Listing(tuple(images), tuple(others), tuple(broken), tuple(sorted(repeated)))


def image_files(folder: Path) -> Iterable[tuple[str, Path]]:
    """Every image file below a folder, with its identity; nothing hidden.

    Parameters
    ----------
    folder : path

    Returns
    -------
    iterable of (str, path)
        The identity, and a file with one of `stratagem.data.image.EXTENSIONS`; in the order of the paths.
    """
    return walk(folder).images


def is_image(path: Path) -> bool:
    """Whether a file's ending is one that is read."""
    return path.suffix.lower() in EXTENSIONS


def identity(path: Path, folder: Path) -> str:
    """A sample's identity: its image's path below a folder, without extension, in Unicode NFC.

    Parameters
    ----------
    path, folder : path
        Of an image outside the folder, its path from the root counts.

    Returns
    -------
    str
        With `/` between its parts, none of which leads up.
    """
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path.relative_to(path.anchor)
    plain = Path(os.path.normpath(inside.with_suffix("")))
    # An identity becomes the path of a prediction, which must not leave its folder.
    return unicodedata.normalize("NFC", "/".join(part for part in plain.parts if part != ".."))


def unread(others: Iterable[Path]) -> str:
    """What other files there are, by kind, the most frequent first, with what helps.

    Parameters
    ----------
    others : iterable of path

    Returns
    -------
    str
        ``12 .jp3; 3 .nii.gz (volumes: ...)``; empty where there are none.
    """
    kinds = Counter(map(_kind, others))
    named = [
        f"{count} {kind}" + (f" ({HELP[kind]})" if kind in HELP else "")
        for kind, count in kinds.most_common(LISTED)
    ]
    more = sum(kinds.values()) - sum(count for _, count in kinds.most_common(LISTED))
    return "; ".join(named + [f"{more} of other kinds"] * bool(more))


def _kind(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower() or "without an ending"


def _visible(folder: Path, repeated: list[Path]) -> list[Path]:
    """All that is below a folder, sorted, without what is hidden or a system's own."""
    found, seen = [], {folder.resolve()}
    for place, folders, files in os.walk(folder, followlinks=True):
        kept = [name for name in folders if name[0] != "." and name.lower() not in SYSTEM_FOLDERS]
        folders[:] = []
        for path in (Path(place, name) for name in sorted(kept)):
            if path.is_symlink() and _is_read_anyway(path.resolve(), folder.resolve(), seen):
                repeated.append(path)
                continue
            seen.add(path.resolve())
            folders.append(path.name)
            found.append(path)
        found += [Path(place, name) for name in files if name[0] != "."]
    return sorted(found)


def _is_read_anyway(target: Path, root: Path, seen: set[Path]) -> bool:
    """Whether a linked folder lies in the root, holds it, or was linked before."""
    return target.is_relative_to(root) or root.is_relative_to(target) or target in seen
