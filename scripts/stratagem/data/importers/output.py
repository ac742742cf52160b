"""The folder that an importer makes: a sheet, and the keys of a config that read it."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from stratagem.core.files import replacing_folder, write_table, write_text
from stratagem.data.importers.faults import fault_of

__all__ = ["done", "new_folder", "write_sheet", "write_study"]

STUDY_HEAD = """\
# The data of a study. Add the other keys, which config.yaml explains, and run
#   snakemake --configfile FILE
"""


@contextlib.contextmanager
def new_folder(out: str | Path) -> Iterator[tuple[Path, Path]]:
    """The folder to write to, and what it will be called; nothing of the user's is replaced.

    Parameters
    ----------
    out : path
        Does not exist yet, or is an empty folder.

    Yields
    ------
    made : path
        The folder to write to, beside the final one: renamed to it in the end, removed after an error.
    final : path
        The final one, absolute.

    Raises
    ------
    DataError
        If `out` is a file, or a folder that holds something.
    """
    final = Path(out).resolve()
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        remedy = "Name another folder, or remove this one."
        raise fault_of(["one in use"], "a new folder, or an empty one", Path(out), remedy)
    with replacing_folder(final) as made:
        yield made, final


def write_study(made: Path, out: str | Path, rows: list[dict], classes: list[str], labels: dict) -> None:
    """The sheet and the snippet of a config; `out` as the user wrote it, from where a study is started."""
    if not rows:
        raise fault_of(["none"], "at least one image with its mask", Path(out), "Check the paths given.")
    table = pd.DataFrame(rows)
    write_sheet(table, made / "samples.csv", out)
    keys = {"sheet": Path(out, "samples.csv").as_posix(), "classes": classes, "labels": labels}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items()]
    write_text(STUDY_HEAD + "".join(lines), made / "study.yaml")


def write_sheet(table: pd.DataFrame, path: Path, out: str | Path) -> None:
    """Samples as a sheet, their files named from the folder in which it will lie.

    Parameters
    ----------
    table : DataFrame
        ``image, mask`` (paths, from the working directory or absolute), and other columns, which are kept.
    path : path
        The file to write, ending in ``.csv``.
    out : path
        The folder in which the sheet will lie: paths in it are relative to this one.
    """
    for column in ("image", "mask"):
        named = [Path(os.path.relpath(file, Path(out).resolve())).as_posix() for file in table[column]]
        table = table.assign(**{column: named})
    write_table(table, path)


def done(rows: list[dict], out: str | Path) -> list[str]:
    """What was made, in sentences."""
    count = len({row["image"] for row in rows})  # several rows of one image are several masks of it
    return [f"{count} samples: {Path(out, 'samples.csv')}", f"Go on from: {Path(out, 'study.yaml')}"]
