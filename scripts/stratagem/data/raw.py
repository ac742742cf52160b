"""The digest of a data set's raw files, found by one walk a call.

The call that plans the jobs walks the folders and writes down what it found. The jobs that it starts, also
those on other machines, read that, so that all speak of the same files.
"""

import json
from pathlib import Path

from stratagem.core.files import write_json
from stratagem.data.sample import Files, fingerprint

__all__ = ["found", "remembered"]


def found(places: list[str], record: Path | None, files: Files | None = None) -> str:
    """Walk the folders, or read the sheet.

    Parameters
    ----------
    places : list of str
        Folders, and sheets.
    record : path or None
        Where the digest is written down for the jobs; None where no job will be started.
    files : function, optional
        For a caller that has walked the folders already, see `stratagem.data.sample.fingerprint`.

    Returns
    -------
    str
        12 hexadecimal digits, see `stratagem.data.sample.fingerprint`.
    """
    digest = fingerprint(*places, files=files)
    if record is not None and _recorded(places, record) != digest:
        write_json({"places": places, "files": digest}, record)
    return digest


def remembered(places: list[str], record: Path) -> str:
    """What the call that started this job found; found anew where it is not written down.

    Parameters
    ----------
    places : list of str
    record : path
    """
    return _recorded(places, record) or fingerprint(*places)


def _recorded(places: list[str], record: Path) -> str | None:
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
        return said["files"] if said["places"] == places else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
