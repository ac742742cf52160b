"""One training run: put together from its files and its recipe, trained, written.

A run is a function of its recipe and its input files: the same on the same kind of machine, whatever
else the machine is doing. Pretraining a source is the same run on another data set, without a split.
"""

import json
import logging
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from stratagem.core.files import remove_partial, replacing, write_json, write_table
from stratagem.networks.execution import Execution, choose
from stratagem.networks.unet import settle_statistics
from stratagem.runs.batches import first_images, loader_of
from stratagem.runs.cost import cost_of
from stratagem.runs.inputs import Inputs
from stratagem.runs.network import first_network
from stratagem.runs.options import options_of
from stratagem.runs.validation import predicts_only, validation
from stratagem.study.declaration import Delivery, Recipe
from stratagem.training.capacity import make_room
from stratagem.training.loop import begin, fit
from stratagem.training.progress import Progress
from stratagem.training.records import Records, alone, digest_of_file

__all__ = ["train"]

log = logging.getLogger("stratagem")


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
        model, frozen = first_network(recipe, inputs, folder)
        model = execution.place(model.train())
        loader = loader_of(recipe, inputs, execution, delivery)
        if inputs.weights is None:
            settle_statistics(model, map(execution.images, first_images(loader)))
        options = options_of(recipe, inputs, frozen)
        progress = begin(model, options, started, f"{recipe.name} fold {recipe.fold} seed {recipe.seed}")
        progress.spent.verified = delivery.verify
        _fitted(progress, recipe, inputs, loader, options, execution, records)
        progress.spent.verified &= delivery.verify  # a record's start may not have
        _write(recipe, inputs, progress, loader, execution, origin, folder)
        records.clear()


def _fitted(progress: Progress, recipe, inputs, loader, options, execution, records) -> None:
    """Bring the run to its end."""
    images = len(pd.unique(loader.storage.names))
    log.info("%d training images, %d batches made ahead", images, loader.ahead - 1)
    make_room(progress, loader.storage.shapes, options, execution)
    torch.manual_seed(recipe.seed)  # for networks that drop some of their values by chance
    fit(progress, loader.batches, options, execution, validation(recipe, inputs), records)


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
