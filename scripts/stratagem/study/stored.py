"""Stored runs held against the study: which of them would be made otherwise now, and what that costs.

What a run was trained with is stored beside it (cost.json), so a run that no longer fits the study, another
recipe or other code, is named without training anything.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Expected",
    "changed_keys",
    "index_of",
    "made_by_other_code",
    "stale",
    "started_in",
    "told_of",
    "told_of_other_code",
    "told_of_runs_left",
]

# What older versions left out of a record, and what it then was.
SINCE = {"training.loss": "cross-entropy-dice", "training.class_weights": "none"}


@dataclass(frozen=True)
class Expected:
    """A run as the study would train it now.

    Attributes
    ----------
    folder : path
        Of the run.
    recipe, lineage : dict
        What it would be trained with, and what its input files would be made from.
    """

    folder: Path
    recipe: dict[str, Any]
    lineage: dict[str, Any]

    def as_record(self) -> dict[str, Any]:
        """Plain data, for a rule's params."""
        return {"folder": str(self.folder), "recipe": self.recipe, "lineage": self.lineage}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Expected":
        """The run that `as_record` wrote."""
        return cls(**record | {"folder": Path(record["folder"])})


def index_of(run: str | Path) -> Path:
    """The index of the images that a stored run learned from, which is its study's or its source's.

    Parameters
    ----------
    run : path
        The folder of a run, or of a source that was taught.

    Returns
    -------
    path
        Where neither has one, that of the study, which is not there.
    """
    folder = Path(os.path.abspath(run))  # links stay, as their names tell the place
    indices = [place / "index.parquet" for place in (folder, *folder.parents[3:4])]
    return next((path for path in indices if path.is_file()), indices[-1])


def started_in(index: str | Path) -> Path:
    """Where the call was started that made an index: its relative paths are from there.

    Parameters
    ----------
    index : path

    Returns
    -------
    path
    """
    parents = Path(os.path.abspath(index)).parents
    return next((place.parent for place in parents if place.name == "results"), Path.cwd())


def stale(run: Expected, source: str) -> str | None:
    """Why a stored run is not what the study would train now; None where it is.

    Parameters
    ----------
    run : Expected
        Its folder holds cost.json.
    source : str
        Digest of the code of training.
    """
    cost = _cost(run.folder)
    names = changed_keys(run, cost)
    if names:
        return f"trained with other values of {', '.join(names)}"
    return "trained by other code" if cost.get("source") != source else None


def told_of(expected: list[Expected], found: list[Path], left_out: list[str], source: str) -> Iterator[str]:
    """What has to be said of stored runs that are used as they are: which are missing, and which are stale.

    Parameters
    ----------
    expected : list of Expected
        Every run of the study.
    found : list of path
        The folders of those that are used.
    left_out : list of str
        Strategies that are not.
    source : str
        Digest of the code of training.
    """
    for strategy in left_out:
        yield f"Left out: {strategy}: not every seed is trained and tested yet."
    for run in expected:
        fault = stale(run, source) if run.folder in found else None
        if fault:
            yield f"Stale: {run.folder}: {fault}."


def changed_keys(run: Expected, cost: dict[str, Any]) -> list[str]:
    """The dotted keys in which a run's record differs from what the study says now, sorted."""
    was = SINCE | _flat(cost["recipe"] | cost.get("lineage", {}))
    now = SINCE | _flat(run.recipe | (run.lineage if "lineage" in cost else {}))
    return sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))


def made_by_other_code(runs: list[Expected], source: str) -> Iterator[tuple[Path, float]]:
    """Finished runs that fit the study, but were made by other code: folder, and hours that they took.

    Parameters
    ----------
    runs : list of Expected
    source : str
        Digest of the code of training.
    """
    for run in runs:
        if not (run.folder / "cost.json").is_file():
            continue
        with contextlib.suppress(ValueError, KeyError):  # a damaged record stops no call
            cost = _cost(run.folder)
            if cost.get("source") != source and not changed_keys(run, cost):
                yield run.folder, (cost["training_s"] + cost.get("validation_s", 0.0)) / 3600


def told_of_runs_left(runs: list[Expected], source: str, at_once: int | None) -> str | None:
    """How many runs are yet to be trained, and by the finished ones about how long that takes.

    Parameters
    ----------
    runs : list of Expected
        Every run of the study.
    source : str
        Digest of the code of training.
    at_once : int or None
        How many may run side by side; None where that is another machine's to say.

    Returns
    -------
    str or None
        None where no run is finished, or none is left.
    """
    took: dict[str, list[float]] = {}
    left = []
    for run in runs:
        try:
            fault, cost = stale(run, source), _cost(run.folder)
            took.setdefault(run.recipe["name"], []).append(cost["training_s"] + cost.get("validation_s", 0.0))
        except (OSError, ValueError, KeyError):  # none there, or damaged
            fault = "missing"
        if fault is not None:
            left.append(run.recipe["name"])
    if not left or not took:
        return None
    means = {name: sum(seconds) / len(seconds) for name, seconds in took.items()}
    usual = sum(means.values()) / len(means)
    hours = sum(means.get(name, usual) for name in left) / 3600
    together = f", {_lasting(hours / min(at_once, len(left)))} with {at_once} at once" if at_once else ""
    return (
        f"{len(left)} of {len(runs)} runs are left to train: about {_lasting(hours)} one after the other"
        f"{together}, as the finished ones took."
    )


def _lasting(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{max(1, round(60 * hours))} min"


def told_of_other_code(found: list[tuple[Path, float]], *, kept: bool) -> str | None:
    """What is said of runs that other code made, before anything starts; None where there are none.

    Parameters
    ----------
    found : list
        What `made_by_other_code` gives.
    kept : bool
        Whether the call keeps them.
    """
    if not found:
        return None
    count, hours = len(found), sum(hours for _, hours in found)
    took = _lasting(hours)
    runs, were = ("1 finished run", "was") if count == 1 else (f"{count} finished runs", "were")
    if kept:
        return f"Kept: {runs} that other code made ({took}); tables and page say so."
    return (
        f"Stale: {runs} {were} made by other code and will be made anew, if the call asks for them: {took} "
        "by their own records. To keep them: --config keep=code."
    )


def _cost(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "cost.json").read_text(encoding="utf-8"))


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested record by dotted keys."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
