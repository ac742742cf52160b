"""Tiny image files in folders, and what was found of them."""

import contextlib
import os

import numpy as np
import pandas as pd
from PIL import Image


def save(path, array=((0, 1),)):
    """One image file, its folders with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)
    return path


def files(folder, *names):
    """Tiny image files below a folder, which is there even without any."""
    folder.mkdir(exist_ok=True)
    for name in names:
        save(folder / name)
    return str(folder)


def flip_a_value(path, column):
    """One bit of a Parquet file, so that a plain reader finds other values in a column."""
    stored, table = path.read_bytes(), pd.read_parquet(path)
    for place in range(4, len(stored)):
        path.write_bytes(stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :])
        with contextlib.suppress(Exception):  # the library has many
            if not pd.read_parquet(path)[column].equals(table[column]):
                return
    raise AssertionError(f"no bit of {path} can be flipped unseen")


def pairs_of(found):
    """The names of each sample's image and masks, where nothing is a problem."""
    assert found.problems == []
    return {one.sample: (one.image.name, [path.name for path in one.masks]) for one in found.samples}


def reasons_of(found, folder) -> dict:
    """Why files are no samples, by their paths in a folder."""
    reasons = {os.path.relpath(one.file, folder): one.reason for one in found.problems}
    assert len(reasons) == len(found.problems)
    return reasons
