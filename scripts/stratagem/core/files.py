"""Files that appear whole or not at all, written beside their final name and renamed; tables, read back."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

__all__ = [
    "read_table",
    "remove_partial",
    "replacing",
    "replacing_folder",
    "write_json",
    "write_table",
    "write_text",
]


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to; renamed to `path` on success, removed on failure.

    Parameters
    ----------
    path : path
        Its folder is made if it is not there; an earlier file stays as it is until the block has succeeded.

    Yields
    ------
    path
        An empty file in the same folder, hidden.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.touch()
        mode = beside.stat().st_mode  # what a file has that this user makes
        yield beside
        beside.chmod(mode)  # safetensors lets nobody but the owner read
        _sync(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """As `replacing`, for a folder; an earlier folder of that name is replaced.

    Parameters
    ----------
    path : path
        An earlier one stays as it is until the block has succeeded.

    Yields
    ------
    path
        An empty folder beside it, hidden.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)  # of a killed process with the same number
    beside.mkdir(parents=True)
    try:
        yield beside
        for written in beside.rglob("*"):
            if written.is_file():
                _sync(written)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_partial(folder: str | Path) -> None:
    """Remove what a killed process left half-written in a folder that no other process writes to.

    Parameters
    ----------
    folder : path
        What lies in its subfolders is left; it need not exist.
    """
    for path in Path(folder).glob(".*.part"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def read_table(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A Parquet file that `write_table` wrote, held against its checksums, which nothing does otherwise.

    Parameters
    ----------
    path : path
    columns : list of str or None
        Those to read; None reads all.

    Returns
    -------
    DataFrame

    Raises
    ------
    OSError
        If the file is missing or damaged, also if one bit of a value was flipped (other errors, each the
        library's own, where what is damaged is no value).
    """
    return pd.read_parquet(path, columns=columns, page_checksum_verification=True)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """A data frame as Parquet or CSV, by the path's ending.

    Parameters
    ----------
    table : DataFrame
        Its index is not written.
    path : path
        ``.csv`` gives CSV, any other ending Parquet; appears whole or not at all.
    """
    with replacing(path) as beside:
        if Path(path).suffix == ".csv":
            table.to_csv(beside, index=False)
        else:
            table.to_parquet(beside, index=False, write_page_checksum=True)


def write_json(record: dict, path: str | Path) -> None:
    """A record as readable JSON.

    Parameters
    ----------
    record : dict
        Of numbers, text, booleans, None, lists and dicts.
    path : path
        Appears whole or not at all.

    Raises
    ------
    TypeError
        If a value is of no JSON type, such as an array; nothing is written then.
    """
    write_text(json.dumps(record, indent=2) + "\n", path)


def write_text(text: str, path: str | Path) -> None:
    """Text as UTF-8.

    Parameters
    ----------
    text : str
    path : path
        Appears whole or not at all.
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:  # Windows syncs no file that is open for reading alone
        os.fsync(file.fileno())
