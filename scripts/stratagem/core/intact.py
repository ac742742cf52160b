"""Whether a file that a job reads is whole, found out after the job has failed."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from pathlib import Path

from stratagem.core.errors import MachineError
from stratagem.core.files import read_table
from stratagem.core.machine import refusal

__all__ = ["damage", "require_whole"]


def damage(inputs: Iterable[str | Path], made: Path | None = None) -> MachineError | None:
    """The first input of a job that is missing or cannot be read, by what its ending says it is.

    Parameters
    ----------
    inputs : iterable of path
        Files; folders and kinds that are not known here are passed over.
    made : path or None
        The folder that an earlier job made whole, and these files with it; None where it made each by itself.

    Returns
    -------
    MachineError or None
        None where all are whole; what the machine refused, where that is why one cannot be read.
    """
    for path in map(Path, inputs):
        if path.is_dir():
            continue
        if not path.exists():
            return _told(path, "that it was removed since the call began", made)
        try:
            READERS.get(path.suffix, _opened)(path)
        except Exception as error:  # each library has its own
            refused = refusal(error, [path], None)
            if refused is not None:
                return refused
            first = (str(error).splitlines() or [type(error).__name__])[0]
            return _told(path, f"a damaged one ({first.rstrip('.')})", made)
    return None


def require_whole(inputs: Iterable[str | Path], made: Path | None = None) -> None:
    """Stop where an input is damaged, for a job that would not notice.

    Parameters
    ----------
    inputs : iterable of path
        As of `damage`.
    made : path or None
        As of `damage`.

    Raises
    ------
    MachineError
    """
    found = damage(inputs, made)
    if found is not None:
        raise found


def _told(path: Path, found: str, made: Path | None) -> MachineError:
    remove = f"rm -f {path}" if made is None else f"rm -rf {made}"
    return MachineError(
        expected="the whole file that an earlier job wrote",
        found=found,
        where=str(path),
        remedy=f"`{remove}` and start the same call again: the job that made it makes it anew.",
    )


def _table(path: Path) -> None:
    read_table(path)


def _json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


def _csv(path: Path) -> None:
    import pandas as pd

    pd.read_csv(path)
    if not path.read_bytes().endswith(b"\n"):
        raise ValueError("its last line has no end")


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.verify()  # the checksums of its parts, to the last


def _drawing(path: Path) -> None:
    ElementTree.parse(path)  # our own figure: no stranger's XML


def _tensors(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        for name in file.offset_keys():
            file.get_tensor(name)


def _opened(path: Path) -> None:
    with open(path, "rb") as file:
        file.read(1)


READERS: dict[str, Callable[[Path], None]] = {
    ".parquet": _table,
    ".json": _json,
    ".csv": _csv,
    ".safetensors": _tensors,
    ".png": _picture,
    ".svg": _drawing,
}
