"""The rows of a stored index, their files where they are now.

The call that plans the jobs records where the folders are, and the index job where they were
(`stratagem.data.raw`). Nothing else of the package is needed to read an index, so training depends on
no more.
"""

import json
import os
from pathlib import Path

import pandas as pd

from stratagem.core.files import read_table
from stratagem.data.channels import COLOURS

__all__ = ["RECORD", "load", "recorded"]

RECORD = "raw.json"
CHANNELS = {"channels"}  # a column that an index of version 0.2 has not


def load(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A stored index, its files where they are now.

    Parameters
    ----------
    path : path
        ``index.parquet``, beside its record.
    columns : list of str, optional
        Those to read, and ``channels``; without it all.

    Returns
    -------
    DataFrame
        See `stratagem.data.index`.
    """
    index = read_table(path, columns and [*columns, *CHANNELS & set(_names(path))])
    if "channels" not in index:  # of version 0.2, which read all images as colour
        index["channels"] = COLOURS
    return _moved(index, recorded(Path(path).parent))


def _names(path: str | Path) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_schema(path).names


def recorded(folder: Path) -> dict:
    """What is recorded of the raw files beside an index; empty where nothing can be read.

    Parameters
    ----------
    folder : path

    Returns
    -------
    dict
        See `stratagem.data.raw`.
    """
    try:
        said = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return said if isinstance(said, dict) else {}
    except (OSError, ValueError):
        return {}


def _moved(index: pd.DataFrame, said: dict) -> pd.DataFrame:
    """The rows of an index with its files where they are now, by the record."""
    before, now = said.get("indexed", ()), said.get("places", ())
    changes = [(old, new) for old, new in zip(before, now, strict=False) if old != new]
    if len(before) == 1:  # a sheet, whose paths are relative to its folder
        changes = [(os.path.dirname(old), os.path.dirname(new)) for old, new in changes]
    if changes and "image" in index:
        index = index.assign(image=[_there(path, changes[:1]) for path in index["image"]])
    if changes and "masks" in index:
        index = index.assign(
            masks=[[_there(path, changes[::-1]) for path in paths] for paths in index["masks"]]
        )
    return index


def _there(path: str, changes: list[tuple[str, str]]) -> str:
    for old, new in changes:
        if Path(path).is_relative_to(old):
            return str(Path(new) / Path(path).relative_to(old))
    return path
