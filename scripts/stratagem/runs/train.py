"""One training run: put together from its files and its recipe, trained, written.

A run is a function of its recipe and its input files: the same on the same kind of machine, whatever
else the machine is doing. Pretraining a source is the same run on another data set, without a split.
"""

import itertools
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from stratagem.augmentation.manifest import Manifest
from stratagem.augmentation.on_cpu import exchange
from stratagem.core.files import remove_partial, replacing, write_json, write_table
from stratagem.loading.loader import Loader
from stratagem.loading.order import Order, balanced_by_class, balanced_by_size
from stratagem.loading.storage import Labelled, Storage
from stratagem.loading.synthesis import Synthesis
from stratagem.networks.execution import Execution, choose
from stratagem.networks.unet import settle_statistics
from stratagem.runs.cost import cost_of
from stratagem.runs.inputs import Inputs, pixel_shares, storage_of
from stratagem.runs.network import network_of
from stratagem.runs.validation import predicts_only, validation
from stratagem.study.declaration import Delivery, Recipe
from stratagem.training.capacity import make_room
from stratagem.training.loop import begin, fit
from stratagem.training.losses import CLASS_WEIGHTS
from stratagem.training.options import Options
from stratagem.training.progress import Progress
from stratagem.training.records import Records, alone, digest_of_file
from stratagem.transfer.adoption import adopt
from stratagem.transfer.freezing import Freezing, freezing
from stratagem.transfer.weights import read_weights

__all__ = ["train"]

log = logging.getLogger("stratagem")

SETTLED_ON = 32  # images: enough for the statistics of random weights


def train(
    recipe: Recipe,
    inputs: Inputs,
    device: str,
    delivery: Delivery,
    origin: dict,
    folder: Path,
    record_every_s: float,
) -> None:
    """Train one run and write ``model.safetensors, history.parquet, cost.json, transfer.csv``.

    A run that was cut short goes on from its last record, in the folder ``state``, which is gone at the end.

    Parameters
    ----------
    recipe : Recipe
    inputs : Inputs
    device : {"cpu", "cuda"}
    delivery : Delivery
        How batches are made; no result depends on it.
    origin : dict
        What else cost.json shall say: the digest of the code, what the input files were made from.
    folder : path
        Where the files appear; transfer.csv only where weights were taken.
    record_every_s : float
        Seconds from one record to the next.
    """
    started = time.process_time()
    with alone(folder / "state"):
        remove_partial(folder)
        (folder / "transfer.csv").unlink(missing_ok=True)  # of an earlier recipe
        execution = choose(device, recipe.threads, deterministic=recipe.deterministic)
        log.info("%s, %d threads: %s", execution.device, recipe.threads, execution.why)
        records = Records(folder / "state", _depends(recipe, inputs, execution, origin), record_every_s)
        model, frozen = _model(recipe, inputs, folder)
        model = execution.place(model.train())
        loader = _loader(recipe, inputs, execution, delivery)
        if inputs.weights is None:
            settle_statistics(model, map(execution.images, _first_images(loader)))
        options = replace(_options(recipe, inputs), freezing=frozen)
        progress = _trained(recipe, inputs, model, loader, options, execution, records, started)
        _write(recipe, inputs, progress, loader, execution, origin, folder)
        records.clear()


def _trained(recipe, inputs, model, loader, options, execution, records, started) -> Progress:
    """The run, at its end."""
    images = len(pd.unique(loader.storage.names))
    log.info("%d training images, %d batches made ahead", images, loader.ahead - 1)
    progress = begin(model, options, started)
    make_room(progress, loader.storage.shapes, options, execution)
    torch.manual_seed(recipe.seed)  # for networks that drop some of their values by chance
    fit(progress, loader.batches, options, execution, validation(recipe, inputs), records)
    return progress


def _first_images(loader: Loader) -> Iterator[np.ndarray]:
    """The first images of the run as they are, not augmented, uint8 (1, H, W, C): copies, one at a time.

    They are copied since the next batch fills the same buffer, while a GPU may still be fetching this one.
    """
    originals = replace(loader, synthesis=None, workers=0).batches()
    rows = (batch.image[row : row + 1].copy() for batch in originals for row in range(len(batch)))
    return itertools.islice(rows, SETTLED_ON)


def _write(recipe, inputs, progress, loader, execution, origin, folder: Path) -> None:
    """What a run leaves: history, cost, weights."""
    keys = {"strategy": recipe.name, "fold": recipe.fold, "seed": recipe.seed}
    write_table(pd.DataFrame(progress.rows).assign(**keys), folder / "history.parquet")
    cost = keys | cost_of(progress, loader, execution)
    cost |= {"constant": predicts_only(progress, recipe, inputs, execution)}
    cost |= {"train_images": len(pd.unique(loader.storage.names))} | origin
    write_json(cost | {"recipe": recipe.model_dump(mode="json")}, folder / "cost.json")
    with replacing(folder / "model.safetensors") as beside:
        # A layout of the device must not show in the bytes: weights are stored in plain order.
        tensors = progress.model.state_dict().items()
        save_file({name: value.cpu().contiguous() for name, value in tensors}, beside)


def _depends(recipe: Recipe, inputs: Inputs, execution: Execution, origin: dict) -> dict[str, str]:
    """All that a run's bits follow from, by name."""
    computed = [execution.device, execution.dtype, execution.layout]
    computed += [torch.__version__, np.__version__, cv2.__version__]
    return {name: digest_of_file(path) for name, path in inputs.files.items()} | {
        "recipe": recipe.model_dump_json(),
        "origin": json.dumps(origin, sort_keys=True),
        "computation": " ".join(map(str, computed)),
    }


def _model(recipe: Recipe, inputs: Inputs, folder: Path) -> tuple[torch.nn.Module, Freezing]:
    """The network with its first weights, and what of them is held fixed."""
    model = network_of(recipe)
    if inputs.weights is None:
        return model, Freezing()
    table = adopt(model, read_weights(inputs.weights))
    log.info("weights: %s", ", ".join(f"{n} {fate}" for fate, n in table["fate"].value_counts().items()))
    log.info("not taken as they are:\n%s", table[table["fate"] != "taken"].to_string(index=False))
    write_table(table, folder / "transfer.csv")
    assert recipe.strategy.init is not None
    return model, freezing(model, table, **recipe.strategy.init.model_dump(exclude={"source"}))


def _loader(recipe: Recipe, inputs: Inputs, execution: Execution, delivery: Delivery) -> Loader:
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


def _options(recipe: Recipe, inputs: Inputs) -> Options:
    chosen = recipe.training.model_dump()
    chosen["class_weights"] = CLASS_WEIGHTS[recipe.training.class_weights].of(pixel_shares(recipe, inputs))
    if recipe.strategy.learning_rate is not None:
        chosen["learning_rate"] = recipe.strategy.learning_rate
    return Options(
        batch_size=recipe.strategy.loader.batch_size,
        images=recipe.budget.images,
        steps=recipe.budget.steps,
        swaps=recipe.swaps,
        **chosen,
    )
