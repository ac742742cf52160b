"""A mask's pixel values as class indices: uint8 (H, W), 0 .. K-1, 255 = ignore.

The encoding is recognised on the whole set, never file by file, since a file that happens to hold
only zeros fits every reading: `binary` where all files together hold nothing but 0 and 255 and two
classes are declared, else `indices` (the value is the class, 255 is ignored).
"""

import numpy as np

from stratagem.errors import DataError

__all__ = ["IGNORE", "recognise", "to_classes", "undeclared"]

IGNORE = 255  # mask value that counts in no loss and no metric


def recognise(values: np.ndarray, classes: int, wanted: str = "auto") -> str:
    """The encoding of a set of masks.

    Parameters
    ----------
    values : bool, (256,)
        Which pixel values occur anywhere in the set.
    classes : int
        How many classes are declared.
    wanted : {"auto", "indices", "binary"}
        What the config says.

    Returns
    -------
    {"indices", "binary"}

    Raises
    ------
    DataError
        If `binary` is asked for with more than two classes.
    """
    if wanted == "binary" and classes != 2:
        raise DataError(
            expected="two classes with `labels: binary`",
            found=f"{classes} classes",
            where="config key `labels`",
            remedy="Declare two classes, or set `labels: indices`.",
        )
    if wanted != "auto":
        return wanted
    present = set(np.flatnonzero(values).tolist())
    return "binary" if classes == 2 and 255 in present and present <= {0, 255} else "indices"


def to_classes(mask: np.ndarray, encoding: str) -> np.ndarray:
    """Pixel values, uint8 (H, W), as class indices, uint8 (H, W)."""
    return (mask == 255).astype(np.uint8) if encoding == "binary" else mask


def undeclared(values: np.ndarray, classes: int, encoding: str) -> list[int]:
    """The pixel values, of bool (256,) that occur, which the encoding gives no class."""
    legal = {0, 255} if encoding == "binary" else {*range(classes), IGNORE}
    return [int(value) for value in np.flatnonzero(values) if value not in legal]
