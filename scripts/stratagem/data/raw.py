"""The digest of a data set's raw files, by their content, found by one walk a call.

Size and time of a file are the shortcut: where neither changed, its content is not looked at. The digest of a
set is made of names, sizes and times as they were when the set was first seen, and stays while the contents
stay. Two records stand beside the index:

    raw.json          written by the call that plans the jobs: where the files are now, the digest, and that
                      of names, sizes and times now; by the index job: where they were, and as what data
    contents.parquet  written by the index job: name, size, time and content of each file

So a folder that was moved, or files that were touched, are the same data set: the call hashes those files
alone whose size or time differs. Jobs, also those on other machines, read what the call wrote.
"""

import hashlib
from pathlib import Path

import pandas as pd

from stratagem.core.files import read_table, write_json, write_table
from stratagem.data.files import Files, image_files
from stratagem.data.rows import RECORD, recorded
from stratagem.data.sheet import sheet_files

__all__ = [
    "as_indexed",
    "fingerprint",
    "found",
    "names_inputs",
    "present_places",
    "record_contents",
    "remembered",
]

CONTENTS = "contents.parquet"
PLACES = ("images", "masks", "sheet")  # keys of a data set, in the order of its places
COLUMNS = ["name", "size", "time"]


def fingerprint(*places: str, files: Files | None = None) -> str:
    """A digest of the name, size and time of every image file below some folders or listed in a sheet.

    Parameters
    ----------
    *places : path
        Folders, and sheets (any place that is no folder). Of a sheet, it and every image and mask it lists
        count.
    files : function, optional
        From a folder to what `stratagem.data.files.image_files` gives, for a caller that has walked it.

    Returns
    -------
    str
        12 hexadecimal digits.

    Raises
    ------
    DataError
        If a sheet cannot be read, lacks a column or has an unknown one.
    """
    return _digest(_seen(places, files))


def found(places: list[str], folder: Path, files: Files | None = None, *, record: bool = True) -> str:
    """The digest of a data set: that of its first sight, if its contents are those of then.

    Parameters
    ----------
    places : list of str
        Folders, and sheets.
    folder : path
        Where the index and its records stand.
    files : function, optional
        As in `fingerprint`.
    record : bool
        Whether to write down what was found, for the jobs.

    Returns
    -------
    str
        12 hexadecimal digits.
    """
    seen, said = _seen(places, files), recorded(folder)
    now = _digest(seen)
    if now == said.get("now", said.get("files")):
        kept = said["files"]
    else:
        contents = _same_contents(seen, folder / CONTENTS)
        kept = now if contents is None else said.get("indexed_files", now)
        if contents is not None and record:
            write_table(contents, folder / CONTENTS)
    if record:
        more = {"places": list(places), "files": kept, "now": now, "named": names_inputs(folder)}
        _write(folder, said, more)
    return kept


def names_inputs(folder: Path) -> bool:
    """Whether the index has the folders as inputs, as of version 0.2: without them it would be made anew.

    Parameters
    ----------
    folder : path
        Where the index and its records stand.
    """
    said = recorded(folder)
    return said.get("named", (folder / "index.parquet").is_file() and "data" not in said)


def as_indexed(data: dict, folder: Path, digest: str) -> dict:
    """The keys of a data set as they were when it was indexed, if only places or names of classes changed
    since.

    Parameters
    ----------
    data : dict
        The keys now, see `stratagem.study.declaration.DataSet.data`.
    folder : path
        Where the index and its records stand.
    digest : str
        From `found`.

    Returns
    -------
    dict
        Else the keys as they are now. A class that was renamed has the number it had, so nothing that was
        made with the number is made anew.
    """
    said = recorded(folder)
    before = said.get("data", {})
    same = said.get("indexed_files") == digest and (folder / "index.parquet").is_file()
    return before if same and before and _numbered(before) == _numbered(data) else data


def present_places(data: dict, folder: Path) -> dict:
    """The keys of a data set with its folders, or its sheet, where they are now.

    Parameters
    ----------
    data : dict
        From `as_indexed`.
    folder : path
        Where the index and its records stand.

    Returns
    -------
    dict
    """
    places = recorded(folder).get("places", [])
    keys = [key for key in PLACES if key in data]
    return data | (dict(zip(keys, places, strict=True)) if len(places) == len(keys) else {})


def _numbered(data: dict) -> dict:
    """The keys without places, classes by their numbers."""
    number = {name: place for place, name in enumerate(data["classes"])}
    labels = dict(data["labels"])
    for key in ("values", "colours"):
        labels[key] = {str(number.get(name)): codes for name, codes in labels.get(key, {}).items()}
    labels["border"] = number.get(labels.get("border"))
    kept = {key: value for key, value in data.items() if key not in PLACES}
    return kept | {"classes": len(number), "labels": labels}


def remembered(places: list[str], folder: Path) -> str:
    """What the call that started this job found; found anew where it is not written down.

    Parameters
    ----------
    places : list of str
    folder : path
        Where the index and its records stand.
    """
    said = recorded(folder)
    return said["files"] if said.get("places") == list(places) and "files" in said else fingerprint(*places)


def record_contents(data: dict, indexed_as: dict, digest: str, folder: Path) -> None:
    """Write down the content of each file that was indexed, and how it was.

    Parameters
    ----------
    data : dict
        The keys of the data set, its places where they are.
    indexed_as : dict
        The same as the index job was given them.
    digest : str
        From `found`.
    folder : path
        Where the index and its records stand.
    """
    places = [data[key] for key in PLACES if key in data]
    table = _seen(places, None)
    hashed = table.assign(content=[_content(path) for path in table["path"]]).drop(columns="path")
    write_table(hashed, folder / CONTENTS)
    more = {"indexed": places, "indexed_files": digest, "data": indexed_as}
    _write(folder, recorded(folder), more)


def _seen(places, files: Files | None) -> pd.DataFrame:
    """The files of a data set: ``name, size, time, path``, in the order of the digest."""
    rows = []
    for place in map(Path, places):
        for name, path in (files or image_files)(place) if place.is_dir() else sheet_files(place):
            if path.is_file():  # not a broken link
                status = path.stat()
                rows.append((f"{name}{path.suffix}", status.st_size, status.st_mtime_ns, path))
    return pd.DataFrame(rows, columns=[*COLUMNS, "path"])


def _digest(seen: pd.DataFrame) -> str:
    """Of names, sizes and times: 12 hexadecimal digits."""
    rows = seen[COLUMNS].itertuples(index=False)
    text = "".join(f"{name}\0{size}\0{time}\n" for name, size, time in rows)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _same_contents(now: pd.DataFrame, record: Path) -> pd.DataFrame | None:
    """The record of contents with the times of now, if they are the same contents; else None."""
    if not record.is_file():
        return None
    before = read_table(record)
    if len(before) != len(now) or not (before[["name", "size"]] == now[["name", "size"]]).all(axis=None):
        return None
    touched = before["time"] != now["time"]
    if any(
        _content(path) != content
        for path, content in zip(now.loc[touched, "path"], before.loc[touched, "content"], strict=True)
    ):
        return None
    return before.assign(time=now["time"])


def _content(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _write(folder: Path, said: dict, more: dict) -> None:
    if said | more != said:
        write_json(said | more, folder / RECORD)
