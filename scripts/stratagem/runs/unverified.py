"""Runs that trained on damaged samples without noticing, since their loader compared no checksum.

Such a run cannot be told from a sound one by its files. So it is set aside: its weights, history and cost
move into a folder within its own, and the next call trains it again.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from stratagem.core.files import read_table
from stratagem.data.rows import load
from stratagem.data.split import select
from stratagem.study.declaration import Recipe

__all__ = ["set_aside", "trained_unverified"]

OUTPUTS = ("model.safetensors", "history.parquet", "cost.json")


def trained_unverified(root: Path, resolution: str, damaged: set[str]) -> Iterator[Path]:
    """The finished runs that were shown damaged samples of one resolution and verified nothing.

    Parameters
    ----------
    root : path
        Of a data set: a study's results, or one of its sources.
    resolution : str
    damaged : set of str
        Samples whose shard was damaged.

    Yields
    ------
    path
        The folder of a run; of a source that was taught, and then of each run that starts from its weights.
    """
    if not damaged:
        return
    taught = root.parent.name == "sources"
    for folder in [root] if taught else _finished(root):
        cost = json.loads((folder / "cost.json").read_text()) if (folder / "cost.json").is_file() else None
        if cost is None or cost.get("verified", False):
            continue
        recipe = Recipe(**cost["recipe"])
        chosen = recipe.strategy
        if chosen.loader.storage == "files" or chosen.resolution != resolution:
            continue
        if damaged & set(_shown(root, recipe)):
            yield folder
            yield from _started_from(root) if taught else ()


def set_aside(run: Path) -> Path:
    """Move what a run ended with into a folder of its own.

    Parameters
    ----------
    run : path

    Returns
    -------
    path
        Where the files are now; those that were set aside before are replaced.
    """
    folder = run / "set-aside"
    folder.mkdir(exist_ok=True)
    for name in OUTPUTS:
        if (run / name).is_file():
            (run / name).replace(folder / name)
    return folder


def _finished(results: Path) -> list[Path]:
    """The folders of all runs of a study that have ended."""
    return sorted(path.parent for path in results.glob("runs/*/*/*/cost.json"))


def _shown(root: Path, recipe: Recipe) -> list[str]:
    """The samples that a run was trained on."""
    index = load(root / "index.parquet")
    if (root / "splits.parquet").is_file():
        splits = read_table(root / "splits.parquet")
        mine = splits[(splits["fold"] == recipe.fold) & (splits["part"] == "train")]
        index = index[index["sample"].isin(mine["sample"])]
    return select(index, recipe.strategy.loader.fraction, recipe.seed)


def _started_from(source: Path) -> Iterator[Path]:
    """The finished runs of a study that start from a source which it taught."""
    for folder in _finished(source.parents[1]):
        init = json.loads((folder / "cost.json").read_text())["recipe"]["strategy"]["init"]
        if init is not None and init["source"] == source.name:
            yield folder
