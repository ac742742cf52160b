"""The rows of a stored index, their files where they are now."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from stratagem.data.duplicates import take_print
from stratagem.data.image import read_raw
from stratagem.data.raw import moved

__all__ = ["load", "prints_of"]


def load(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A stored index, its files where they are now; without the prints.

    Parameters
    ----------
    path : path
        ``index.parquet``; the record ``raw.json`` beside it tells where the folders are that were indexed.
    columns : list of str, optional
        Only these.

    Returns
    -------
    DataFrame
        See `stratagem.data.index`.
    """
    path = Path(path)
    names = columns or [name for name in pq.read_schema(path).names if name != "print"]
    return moved(pd.read_parquet(path, columns=names), path.with_name("raw.json"))


def prints_of(path: str | Path) -> pd.DataFrame:
    """The prints of a stored index, to compare with those of another.

    Parameters
    ----------
    path : path
        ``index.parquet``.

    Returns
    -------
    DataFrame
        ``sample, print``; of an index of version 0.2, which has none, they are taken from the images.
    """
    if "print" in pq.read_schema(path).names:
        return pd.read_parquet(path, columns=["sample", "print"])
    index = load(path, ["sample", "image"])
    prints = [take_print(read_raw(image)).as_bytes() for image in index["image"]]
    return index[["sample"]].assign(print=prints)
