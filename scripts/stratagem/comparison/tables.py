"""The report's tables, made from stored evaluations alone: as CSV, Markdown and LaTeX."""

import json
import math
from pathlib import Path

import pandas as pd

from stratagem.comparison.effects import Design, by_size, compare, costs, round_trip_scores, scores
from stratagem.comparison.savings import savings
from stratagem.core.errors import DataError
from stratagem.core.files import write_table, write_text
from stratagem.data.split import units

__all__ = ["make_tables", "usable", "write_tables"]


def make_tables(
    folders: list[Path],
    index: Path,
    pretraining: dict[str, Path],
    round_trips: dict[str, Path],
    design: Design,
) -> dict:
    """The tables ``comparison``, ``scores``, ``sizes``, ``costs`` and ``savings``.

    Parameters
    ----------
    folders : list of path
        One a run, with evaluation.parquet, history.parquet and cost.json.
    index : path
        The study's index, for the group of each sample.
    pretraining : dict
        The cost.json of a strategy's source, by strategy.
    round_trips : dict
        The roundtrip.parquet of a strategy's resolution, by strategy.
    design : Design
    """
    evaluation = pd.concat([pd.read_parquet(folder / "evaluation.parquet") for folder in folders])
    histories = pd.concat([pd.read_parquet(folder / "history.parquet") for folder in folders])
    records = [_read(folder / "cost.json") for folder in folders]
    before = {strategy: _read(path) for strategy, path in pretraining.items()}
    samples = pd.read_parquet(index)
    compared = compare(evaluation, units(samples), design)
    kept = {name: _kept(path, evaluation, design) for name, path in round_trips.items()}
    rows = compared[["strategy", "metric", "class"]].itertuples(index=False)
    left = [kept.get(name, {}).get((metric, group), math.nan) for name, metric, group in rows]
    return {
        "comparison": compared.assign(round_trip=left),
        "scores": scores(evaluation, design.classes),
        "sizes": by_size(evaluation, samples.set_index("sample")),
        "costs": costs(records, histories, before, design.margin),
        "savings": savings(records, histories, compared, before, design),
    }


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
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


def usable(runs: dict[Path, str]) -> tuple[list[Path], list[str]]:
    """The runs of strategies that can be compared from what is stored.

    Parameters
    ----------
    runs : dict
        The strategy of every run of the study, by the run's folder.

    Returns
    -------
    folders : list of path
        The runs of the strategies of which every run is stored with its evaluation.
    left_out : list of str
        The other strategies.

    Raises
    ------
    DataError
        If there is no strategy of the first kind.
    """
    needed = ("evaluation.parquet", "history.parquet", "cost.json")
    left_out = {
        strategy for folder, strategy in runs.items() if not all((folder / name).is_file() for name in needed)
    }
    folders = [folder for folder, strategy in runs.items() if strategy not in left_out]
    if not folders:
        raise DataError(
            expected="stored evaluations of every seed of a strategy",
            found="none",
            where=str(next(iter(runs)).parents[2]),
            remedy="Run the study first: `snakemake --cores 8`.",
        )
    return folders, sorted(left_out)


def _kept(path: Path, evaluation: pd.DataFrame, design: Design) -> dict[tuple[str, str], float]:
    """What a plan's round trip leaves of the test images' masks, by metric and class."""
    counts = pd.read_parquet(path)
    return round_trip_scores(counts[counts["sample"].isin(evaluation["sample"])], design.classes)


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
