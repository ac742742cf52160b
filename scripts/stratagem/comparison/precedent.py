"""The first comparison of a study's runs, kept, so that a later one that names something else says so.

A verdict holds at its level for what was named before anybody saw a result. Whoever looks, then names another
endpoint, margin, reference, strategy or split, or adds seeds, and looks again, chooses among several answers.
That is no crime, and often wise; but the page has to say it. What the first comparison named is therefore
written down beside the results, in a file that no rule declares, so that nothing makes it anew.
"""

import hashlib
import json
from datetime import date
from pathlib import Path

import pandas as pd

from stratagem.comparison.design import PRIMARY_CLASS, Design
from stratagem.core.files import write_json

__all__ = ["CHANGES", "changes", "first_named", "named"]

CHANGES = ["what", "first", "now", "since"]
ABSENT = "none"
UNTOLD = ""  # by records of older versions


def named(design: Design, records: list[dict]) -> dict:
    """All that a comparison names, as plain data.

    Parameters
    ----------
    design : Design
        Of all strategies, also of those that are not trained yet.
    records : list of dict
        The cost.json of every run.
    """
    return {
        "metric": design.metric,
        "class": PRIMARY_CLASS,
        "margin": design.margin,
        "references": design.references,
        "split": _split(records[0]),
        "seeds": sorted({record["seed"] for record in records}),
        "images": _images(records[0]),
        "recipes": {record["strategy"]: _digest(_recipe(record)) for record in records},
        "runs": sorted(_digest(record["recipe"]) for record in records),
    }


def first_named(path: Path, now: dict) -> dict:
    """What the first comparison of these runs named; it is this one where none is known.

    Parameters
    ----------
    path : path
        Of the record; written where there is none, or where it is of other runs altogether.
    now : dict
        What `named` gives.

    Returns
    -------
    dict
        As `named`, with the ``since`` of the day.
    """
    try:
        first = json.loads(path.read_text(encoding="utf-8"))
        if first.keys() >= now.keys() and set(first["runs"]) & set(now["runs"]):
            return first
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or nothing that can be read
    first = now | {"since": date.today().isoformat()}
    write_json(first, path)
    return first


def changes(first: dict, now: dict) -> pd.DataFrame:
    """What a comparison names otherwise than the first of its runs did: columns `CHANGES`.

    Parameters
    ----------
    first : dict
        What `first_named` gives.
    now : dict
        What `named` gives.
    """
    found = [
        ("endpoint", first["metric"], now["metric"]),
        ("class", first["class"], now["class"]),
        ("margin", f"{first['margin']:g}", f"{now['margin']:g}"),
        ("split", first["split"], now["split"]),
        ("images", first["images"], now["images"]),
        ("seeds", _listed(first["seeds"]), _listed(now["seeds"])),
    ]
    for strategy in {**first["references"], **now["references"]}:
        pair = (one["references"].get(strategy, ABSENT) for one in (first, now))
        found.append((f"reference of {strategy}", *pair))
    for strategy in first["recipes"].keys() & now["recipes"].keys():
        own = (one["recipes"][strategy] for one in (first, now))
        found.append((f"how {strategy} is trained", *own))
    rows = [(*row, first["since"]) for row in found if UNTOLD not in row and row[1] != row[2]]
    return pd.DataFrame(sorted(rows), columns=CHANGES)


def _recipe(record: dict) -> dict:
    """What fixes all runs of a strategy alike: its keys, and what its resolution and the like stand for."""
    own = {key: value for key, value in record["recipe"].items() if key not in ("fold", "seed")}
    lineage = record.get("lineage", {})
    return own | {key: value for key, value in lineage.items() if key not in ("split", "folds", "files")}


def _images(record: dict) -> str:
    """The digest of the raw files."""
    return record.get("lineage", {}).get("files", UNTOLD)


def _split(record: dict) -> str:
    """The split of a run, in the words of the config; records of older versions do not tell it."""
    lineage = record.get("lineage", {})
    if "split" not in lineage:
        return UNTOLD
    told = {key: value for key, value in lineage["split"].items() if value is not None}
    return _listed(f"{key} {value}" for key, value in {**told, "folds": lineage.get("folds", 1)}.items())


def _listed(values) -> str:
    return ", ".join(map(str, values))


def _digest(record: dict) -> str:
    text = json.dumps(record, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
