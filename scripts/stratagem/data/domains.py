"""A folder of images of two domains as two sample sheets: dark and light background.

The rule: an image is light if the median of its grey values is 128 or more, else dark. The median is the
background's, as long as this takes more than half of the image. It tells fluorescence from stained and
bright-field images of cells, and is meant for a study of transfer from one to the other.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from stratagem.core.errors import DataError
from stratagem.data.image import read_image
from stratagem.data.importers.output import new_folder, write_sheet
from stratagem.data.pairing import find

__all__ = ["LIGHT", "divide_domains"]

LIGHT = 128  # of 0 to 255


def divide_domains(images: str | Path, masks: str | Path, out: str | Path) -> list[str]:
    """Write ``dark.csv`` and ``light.csv``: `image`, `mask`, as paths relative to the sheets' folder.

    Parameters
    ----------
    images, masks : path
        Folders whose files have the same names.
    out : path
        The folder to make.

    Returns
    -------
    list of str
        What was done, in sentences.

    Raises
    ------
    DataError
        If an image has no mask or cannot be read, all are of one kind, or the folder holds something.
    """
    found = find(str(images), str(masks), "{stem}", None)
    if found.problems:
        file, reason, _ = found.problems[0]
        raise _unusable("an image with its mask", reason, file, "Add it, or move the file away.")
    rows = [(one.image, one.masks[0], _is_light(one.image)) for one in found.samples]
    table = pd.DataFrame(rows, columns=["image", "mask", "light"])
    if table["light"].nunique() < 2:
        raise _unusable("dark and light images", "one kind alone", str(images), "They need no division.")
    said = []
    with new_folder(out) as (made, _):
        for light, name in ((False, "dark"), (True, "light")):
            own = table.loc[table["light"] == light, ["image", "mask"]]
            write_sheet(own, made / f"{name}.csv", out)
            said.append(f"{len(own)} {name} images: {Path(out, f'{name}.csv')}")
    return said


def _is_light(image: Path) -> bool:
    return bool(np.median(read_image(image).mean(axis=2)) >= LIGHT)


def _unusable(expected: str, found: str, where: str, remedy: str) -> DataError:
    return DataError(expected=expected, found=found, where=where, remedy=remedy)
