"""The report's tables, made from stored evaluations alone: as CSV, Markdown and LaTeX."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stratagem.comparison.costs import costs
from stratagem.comparison.design import Design
from stratagem.comparison.effects import compare, is_primary, pairs
from stratagem.comparison.endpoints import Endpoint, endpoints
from stratagem.comparison.failures import unfound
from stratagem.comparison.precedent import changes, first_named, named
from stratagem.comparison.savings import savings
from stratagem.comparison.scores import by_run, by_size, round_trip_scores, scores
from stratagem.comparison.simulation import CERTIFICATE, Shape, assumed, certificate, measured, shape_of
from stratagem.core.errors import DataError
from stratagem.core.files import read_table, write_table, write_text
from stratagem.data.split import units
from stratagem.evaluation.metrics import METRICS

__all__ = ["Stored", "certify", "make_tables", "usable", "write_tables"]

CERTIFIED = 10_000  # studies, where they are asked for


@dataclass(frozen=True)
class Stored:
    """What tables are made from.

    Attributes
    ----------
    folders : list of path
        One a run, with evaluation.parquet, history.parquet and cost.json.
    index : path
        The study's index, for the group of each sample.
    pretraining : dict
        The cost.json of a strategy's source, by strategy.
    round_trips : dict
        The roundtrip.parquet of a strategy's resolution, by strategy.
    precedent : path
        Where the first comparison of the study is written down.
    """

    folders: list[Path]
    index: Path
    pretraining: dict[str, Path]
    round_trips: dict[str, Path]
    precedent: Path


def make_tables(stored: Stored, design: Design, left_out: list[str] | None = None) -> dict[str, pd.DataFrame]:
    """The tables `stratagem.comparison.design.TABLES`, by name.

    Parameters
    ----------
    stored : Stored
    design : Design
        Of all strategies of the study.
    left_out : list of str, optional
        Strategies that are not compared yet, since not all of their runs are stored.
    """
    evaluation, histories = design.scored(_all(stored.folders, "evaluation")), _all(stored.folders, "history")
    records = [_read(folder / "cost.json") for folder in stored.folders]
    now = named(design, records)
    first = first_named(stored.precedent, now)
    design = design.without(left_out or [])
    samples = read_table(stored.index)
    groups, sizes = units(samples), samples.set_index("sample")
    scored = [
        one for metric in METRICS for one in endpoints(evaluation, groups, metric, design.scored_classes)
    ]
    primary = next((one for one in scored if is_primary(one, design)), None)
    before = {strategy: _read(path) for strategy, path in stored.pretraining.items()}
    compared = compare(scored, design)
    return {
        "comparison": _with_round_trips(compared, stored, evaluation, groups, design),
        "scores": scores(evaluation, groups, scored, design.scored_classes),
        "sizes": by_size(evaluation, groups, sizes),
        "runs": by_run(evaluation, groups, design.metric),
        "pairs": pairs(primary, design.references),
        "costs": costs(records, histories, before, design.margin),
        "savings": savings(records, histories, compared, before, design),
        "unfound": unfound(evaluation, design.scored_classes),
        "changes": changes(first, now),
        "certificate": _certified(primary, design),
    }


def certify(folders: list[Path], index: Path, design: Design, shape: dict | None) -> pd.DataFrame:
    """How the comparison does on many simulated studies, of stored runs' scatter or before there are any.

    Parameters
    ----------
    folders : list of path
        Of all runs of the strategies compared; or none, and the scatter is assumed.
    index : path
        The study's index, for the group of each sample.
    design : Design
    shape : dict or None
        What nothing has run of yet: see `stratagem.comparison.simulation.Shape`.

    Returns
    -------
    DataFrame
        See `stratagem.comparison.simulation.certificate`.

    Raises
    ------
    DataError
        If nothing has run, and it is not known how much will be tested.
    """
    if folders:
        groups = units(read_table(index))
        found = endpoints(
            design.scored(_all(folders, "evaluation")), groups, design.metric, design.scored_classes
        )
        return _certified(next(found, None), design, studies=CERTIFIED)
    if shape is None:
        raise DataError(
            expected="images and masks that make samples, so that the size of the study is known",
            found="none",
            where="the study's images",
            remedy="`snakemake --cores 1 data` says how its files are understood.",
        )
    strategies = list(dict.fromkeys([*design.references.values(), *design.references]))
    size = Shape(**shape)
    return certificate(assumed(strategies, size), size, design, studies=CERTIFIED)


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Each table as <name>.csv (full precision), .md and .tex (four significant digits)."""
    for name, table in tables.items():
        write_table(table, folder / f"{name}.csv")
        shown = table.map(_shown)
        cells = shown.map(lambda value: value.replace("|", r"\|") if isinstance(value, str) else value)
        write_text(cells.to_markdown(index=False, disable_numparse=True) + "\n", folder / f"{name}.md")
        write_text(shown.to_latex(index=False, escape=True), folder / f"{name}.tex")


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


def _with_round_trips(compared, stored: Stored, evaluation, groups, design: Design) -> pd.DataFrame:
    """The comparison, with what each strategy's plan leaves of the true masks of the test images."""
    folds = evaluation.drop_duplicates("sample").set_index("sample")["fold"]
    kept = {}
    for name, path in stored.round_trips.items():
        counts = design.scored(read_table(path))
        counts = counts[counts["sample"].isin(folds.index)]
        counts = counts.assign(fold=counts["sample"].map(folds))
        kept[name] = round_trip_scores(counts, groups, design.scored_classes)
    rows = compared[["strategy", "metric", "class"]].itertuples(index=False)
    left = [kept.get(name, {}).get((metric, group), math.nan) for name, metric, group in rows]
    return compared.assign(round_trip=left)


def _certified(primary: Endpoint | None, design: Design, **options) -> pd.DataFrame:
    """How the comparison does on simulated studies of this one's shape and scatter."""
    population = measured(primary) if primary is not None else None
    if primary is None or population is None:
        return pd.DataFrame(columns=CERTIFICATE)
    return certificate(population, shape_of(primary), design, **options)


def _all(folders: list[Path], name: str) -> pd.DataFrame:
    """One table of all runs."""
    return pd.concat([read_table(folder / f"{name}.parquet") for folder in folders])


def _shown(value):
    """A number with four significant digits, nothing where there is none."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return value


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
