"""The batches of a run: its training images, in its order, made synthetic where its strategy says so."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from stratagem.augmentation.manifest import Manifest
from stratagem.augmentation.on_cpu import exchange
from stratagem.loading.loader import Loader
from stratagem.loading.order import Order, balanced_by_class, balanced_by_size
from stratagem.loading.storage import Labelled, Storage
from stratagem.loading.synthesis import Synthesis
from stratagem.networks.execution import Execution
from stratagem.runs.inputs import Inputs, storage_of
from stratagem.study.declaration import Delivery, Recipe

__all__ = ["first_images", "loader_of"]

SETTLED_ON = 32  # images: enough for the statistics of random weights


def first_images(loader: Loader) -> Iterator[np.ndarray]:
    """The first images of the run as they are, not augmented, uint8 (1, H, W, C): copies, one at a time.

    They are copied since the next batch fills the same buffer, while a GPU may still be fetching this one.
    """
    originals = replace(loader, synthesis=None, workers=0).batches()
    rows = (batch.image[row : row + 1].copy() for batch in originals for row in range(len(batch)))
    return itertools.islice(rows, SETTLED_ON)


def loader_of(recipe: Recipe, inputs: Inputs, execution: Execution, delivery: Delivery) -> Loader:
    """What makes the batches of a run.

    Parameters
    ----------
    recipe : Recipe
    inputs : Inputs
    execution : Execution
        Decides in which memory batches are made, and whether synthetic images are left to a GPU.
    delivery : Delivery
        How batches are made; no result depends on it.
    """
    storage, synthesis = storage_of(recipe, inputs, delivery), None
    if inputs.manifest is not None:
        manifest, on_device = Manifest(inputs.manifest, storage.names), execution.device == "cuda"
        synthesis = Synthesis(storage, manifest, exchange(recipe.swaps), on_device)
    order = _order(recipe, storage)
    return Loader(storage, order, synthesis, delivery.workers, delivery.memory_mb, execution.buffer)


def _order(recipe: Recipe, storage: Storage) -> Order:
    chosen = recipe.strategy.loader
    weights = None
    if chosen.balance == "class":
        weights = balanced_by_class(cast(Labelled, storage).present(len(recipe.classes)))
    elif chosen.balance == "size":
        weights = balanced_by_size(storage.shapes)
    return Order(
        storage.shapes,
        chosen.batch_size,
        recipe.seed,
        window=chosen.window,
        addresses=storage.addresses() if chosen.window else None,
        weights=weights,
        last=chosen.last,
    )
