"""What a run reads: the files that a rule names, and the training images among them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pandas as pd

from stratagem.core.files import read_table
from stratagem.data.channels import channels_in
from stratagem.data.rows import load
from stratagem.data.split import select
from stratagem.loading.patches import Patches
from stratagem.loading.shards import Shards, read_catalogue
from stratagem.loading.storage import Files, Labelled, Memory, Storage
from stratagem.resolution.plans import Plan
from stratagem.study.declaration import Delivery, Recipe

__all__ = ["Inputs", "pixel_shares", "storage_of"]


@dataclass(frozen=True)
class Inputs:
    """The files that a run reads.

    Attributes
    ----------
    index : DataFrame
    plan : Plan
    shards : path or None
        The catalogue; the shards stand beside it. Needed for training alone.
    splits : DataFrame or None
        Which part each sample is in, by fold; None trains on all and validates on none.
    manifest : path or None
    weights : path or None
    files : dict of path
        All of them, by name.
    """

    index: pd.DataFrame
    plan: Plan
    shards: Path | None = None
    splits: pd.DataFrame | None = None
    manifest: Path | None = None
    weights: str | None = None
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, files) -> "Inputs":
        """From the named input files of a rule; those it does not name are None."""
        named = dict(files.items())
        return cls(
            index=load(files.index),
            plan=Plan.from_record(json.loads(Path(files.plan).read_text())),
            shards=Path(files.shards) if "shards" in named else None,
            splits=read_table(files.splits) if "splits" in named else None,
            manifest=Path(files.manifest) if "manifest" in named else None,
            weights=named.get("weights"),
            files=named,
        )

    @property
    def channels(self) -> int:
        """Of the images, all alike."""
        return channels_in(self.index)

    def of_part(self, part: str, fold: int) -> pd.DataFrame:
        """The index of one part: train, val or test."""
        if self.splits is None:
            return self.index if part == "train" else self.index.iloc[:0]
        splits = self.splits[(self.splits["fold"] == fold) & (self.splits["part"] == part)]
        return self.index[self.index["sample"].isin(splits["sample"])]


def storage_of(recipe: Recipe, inputs: Inputs, delivery: Delivery | None = None) -> Storage:
    """The training images of a run, where its strategy keeps them.

    Parameters
    ----------
    recipe : Recipe
    inputs : Inputs
    delivery : Delivery, optional
        How they are read; no result depends on it.
    """
    found = _whole(recipe, inputs, delivery or Delivery())
    if inputs.plan.patch is None:
        return found
    return Patches(cast(Labelled, found), inputs.plan.patch, inputs.plan.foreground, recipe.seed)


def _whole(recipe: Recipe, inputs: Inputs, delivery: Delivery) -> Storage:
    samples = _samples(recipe, inputs)
    if recipe.strategy.loader.storage == "files":
        return Files(inputs.index[inputs.index["sample"].isin(samples)], inputs.plan)
    assert inputs.shards is not None
    table = read_catalogue(inputs.shards)
    table = table[table["sample"].isin(samples)]
    shards = Shards(inputs.shards.parent, table, delivery.read, delivery.verify)
    return Memory(shards, delivery.memory_mb) if recipe.strategy.loader.storage == "memory" else shards


def pixel_shares(recipe: Recipe, inputs: Inputs) -> list[float]:
    """Each class's share of the labelled pixels of the run's training images, by class.

    Parameters
    ----------
    recipe : Recipe
    inputs : Inputs
    """
    rows = inputs.index[inputs.index["sample"].isin(_samples(recipe, inputs))]
    pixels = rows[[f"pixels_{number}" for number in range(len(recipe.classes))]].sum()
    return (pixels / pixels.sum()).tolist()


def _samples(recipe: Recipe, inputs: Inputs) -> list[str]:
    """The names of the training images that the run uses."""
    return select(inputs.of_part("train", recipe.fold), recipe.strategy.loader.fraction, recipe.seed)
