"""The report's tables, made from stored evaluations alone: as CSV, Markdown and LaTeX.

What a run was trained with is stored beside it, so a run that no longer fits the study (another recipe,
other code) can be named here without training anything.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from stratagem.comparison import Design, compare, costs, scores
from stratagem.errors import DataError
from stratagem.files import write_table, write_text

__all__ = ["make", "stale", "stored", "write"]


def make(folders: list[Path], index: Path, pretraining: dict[str, Path], design: Design) -> dict:
    """The tables ``comparison``, ``scores`` and ``costs``.

    Parameters
    ----------
    folders : list of path
        One a run, with evaluation.parquet, history.parquet and cost.json.
    index : path
        The study's index, for the group of each sample.
    pretraining : dict
        The cost.json of a strategy's source, by strategy.
    design : Design
    """
    evaluation = pd.concat([pd.read_parquet(folder / "evaluation.parquet") for folder in folders])
    histories = pd.concat([pd.read_parquet(folder / "history.parquet") for folder in folders])
    records = [_read(folder / "cost.json") for folder in folders]
    before = {strategy: _read(path)["cpu_s"] for strategy, path in pretraining.items()}
    units = pd.read_parquet(index, columns=["sample", "group"]).set_index("sample")["group"]
    return {
        "comparison": compare(evaluation, units, design),
        "scores": scores(evaluation, design.classes),
        "costs": costs(records, histories, before, design.margin),
    }


def write(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Each table as <name>.csv (full precision), .md and .tex (four significant digits)."""
    for name, table in tables.items():
        write_table(table, folder / f"{name}.csv")
        shown = table.map(_shown)
        cells = shown.map(lambda value: value.replace("|", r"\|") if isinstance(value, str) else value)
        write_text(cells.to_markdown(index=False, disable_numparse=True) + "\n", folder / f"{name}.md")
        write_text(shown.to_latex(index=False, escape=True), folder / f"{name}.tex")


def _shown(value):
    """A number with four significant digits, nothing where there is none."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return value


def stored(folders: Iterable[Path]) -> list[Path]:
    """The run folders that hold all that tables need.

    Raises
    ------
    DataError
        If none does.
    """
    needed = ("evaluation.parquet", "history.parquet", "cost.json")
    folders = list(folders)
    found = [folder for folder in folders if all((folder / name).is_file() for name in needed)]
    if not found:
        raise DataError(
            expected="stored evaluations",
            found="none",
            where=str(folders[0].parents[2]),
            remedy="Run the study first: `snakemake --cores 8`.",
        )
    return found


def stale(folder: Path, recipe: dict, source: str) -> str | None:
    """Why a stored run is not what the study would train now; None where it is."""
    cost = _read(folder / "cost.json")
    was, now = _flat(cost["recipe"]), _flat(recipe)
    changed = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
    if changed:
        return f"trained with other values of {', '.join(changed)}"
    return "trained by other code" if cost["source"] != source else None


def _flat(record: dict, prefix: str = "") -> dict:
    """A nested record by dotted keys."""
    found = {}
    for key, value in record.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
