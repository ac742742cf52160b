"""One training run: put together from its files and its recipe, trained, written.

A run is a function of its recipe and its input files: the same on the same kind of machine, whatever
else the machine is doing. Pretraining a source is the same run on another data set, without a split.
"""

import itertools
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from stratagem.augmentation.manifest import Manifest
from stratagem.augmentation.on_cpu import exchange
from stratagem.core.files import remove_partial, replacing, write_json, write_table
from stratagem.data.sample import read_sample
from stratagem.data.split import select
from stratagem.evaluation.metrics import as_counts, confusion, per_image
from stratagem.evaluation.predict import predict
from stratagem.loading.loader import Loader
from stratagem.loading.order import Order, balanced_by_class, balanced_by_size, mixing
from stratagem.loading.shards import Shards, read_catalogue
from stratagem.loading.storage import BYTES_OF_A_PIXEL, Files, Memory, Storage
from stratagem.loading.synthesis import Synthesis
from stratagem.networks.execution import Execution, choose
from stratagem.networks.unet import build, settle
from stratagem.resolution.plans import Plan
from stratagem.study.declaration import Delivery, Recipe
from stratagem.training.capacity import make_room
from stratagem.training.loop import Options, begin, fit
from stratagem.training.progress import Progress
from stratagem.training.records import Records, alone, digest_of_file
from stratagem.transfer.adoption import adopt
from stratagem.transfer.freezing import Freezing, freezing
from stratagem.transfer.weights import read_weights

__all__ = ["Inputs", "examine", "load_model", "storage_of", "train"]

log = logging.getLogger("stratagem")

LOOKED_AT = 16  # images: enough to see whether a network says one thing to all
SETTLED_ON = 32  # images: enough for the statistics of random weights


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
            index=pd.read_parquet(files.index),
            plan=Plan.from_record(json.loads(Path(files.plan).read_text())),
            shards=Path(files.shards) if "shards" in named else None,
            splits=pd.read_parquet(files.splits) if "splits" in named else None,
            manifest=Path(files.manifest) if "manifest" in named else None,
            weights=named.get("weights"),
            files=named,
        )

    def of_part(self, part: str, fold: int) -> pd.DataFrame:
        """The index of one part: train, val or test."""
        if self.splits is None:
            return self.index if part == "train" else self.index.iloc[:0]
        splits = self.splits[(self.splits["fold"] == fold) & (self.splits["part"] == part)]
        return self.index[self.index["sample"].isin(splits["sample"])]


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
            settle(model, _first_images(loader, execution))
        options = replace(_options(recipe), freezing=frozen)
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
    fit(progress, loader.batches, options, execution, _validation(recipe, inputs), records)
    return progress


def _write(recipe, inputs, progress, loader, execution, origin, folder: Path) -> None:
    """What a run leaves: history, cost, weights."""
    keys = {"strategy": recipe.name, "fold": recipe.fold, "seed": recipe.seed}
    write_table(pd.DataFrame(progress.rows).assign(**keys), folder / "history.parquet")
    cost = keys | _cost(progress, execution) | _loading(progress, loader)
    cost |= {"constant": _predicts_only(progress, recipe, inputs, execution)}
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


def storage_of(recipe: Recipe, inputs: Inputs, delivery: Delivery | None = None) -> Storage:
    """The training images of a run, where its strategy keeps them."""
    delivery, samples = delivery or Delivery(), _samples(recipe, inputs)
    if recipe.strategy.loader.storage == "files":
        return Files(inputs.index[inputs.index["sample"].isin(samples)], inputs.plan)
    table = read_catalogue(inputs.shards)
    table = table[table["sample"].isin(samples)]
    shards = Shards(inputs.shards.parent, table, delivery.read, delivery.verify)
    return Memory(shards, delivery.memory_mb) if recipe.strategy.loader.storage == "memory" else shards


def load_model(recipe: Recipe, path: str, execution: Execution) -> torch.nn.Module:
    """A trained network, in evaluation mode, on its device."""
    model = _build(recipe)
    model.load_state_dict(load_file(path))
    return execution.place(model).eval()


def examine(model, rows: pd.DataFrame, inputs: Inputs, execution: Execution, classes: int):
    """Predict images at their own size and count.

    Yields
    ------
    sample : str
    predicted : uint8, (H, W)
    table : int64, (K, K)
        Confusion: true by predicted class.
    """
    for row in rows.itertuples():
        image, truth = read_sample(row)
        predicted = predict(model, image, inputs.plan, execution, row.pixel_size)
        yield row.sample, predicted, confusion(truth, predicted, classes)


def _samples(recipe: Recipe, inputs: Inputs) -> list[str]:
    """The names of the training images that the run uses."""
    return select(inputs.of_part("train", recipe.fold), recipe.strategy.loader.fraction, recipe.seed)


def _build(recipe: Recipe) -> torch.nn.Module:
    return build(
        recipe.strategy.network,
        len(recipe.classes),
        width=recipe.unet.width,
        depth=recipe.unet.depth,
        seed=recipe.seed,
    )


def _model(recipe: Recipe, inputs: Inputs, folder: Path) -> tuple[torch.nn.Module, Freezing]:
    """The network with its first weights, and what of them is held fixed."""
    model = _build(recipe)
    if inputs.weights is None:
        return model, Freezing()
    table = adopt(model, read_weights(inputs.weights))
    log.info("weights: %s", ", ".join(f"{n} {fate}" for fate, n in table["fate"].value_counts().items()))
    log.info("not taken as they are:\n%s", table[table["fate"] != "taken"].to_string(index=False))
    write_table(table, folder / "transfer.csv")
    return model, freezing(model, table, **recipe.strategy.init.model_dump(exclude={"source"}))


def _first_images(loader: Loader, execution: Execution) -> Iterator[torch.Tensor]:
    """The first images of the run as they are, not augmented: one at a time, on the device."""
    originals = replace(loader, synthesis=None, workers=0).batches()
    rows = (batch.image[row : row + 1] for batch in originals for row in range(len(batch)))
    return map(execution.images, itertools.islice(rows, SETTLED_ON))


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
        weights = balanced_by_class(storage.present(len(recipe.classes)))
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


def _options(recipe: Recipe) -> Options:
    options = Options(
        batch_size=recipe.strategy.loader.batch_size,
        images=recipe.budget.images,
        steps=recipe.budget.steps,
        swaps=recipe.swaps,
        **recipe.training.model_dump(),
    )
    own = recipe.strategy.learning_rate
    return options if own is None else replace(options, learning_rate=own)


def _validation(recipe: Recipe, inputs: Inputs):
    """A function that scores the model on the whole validation set; None where there is none."""
    rows = inputs.of_part("val", recipe.fold)
    if rows.empty:
        return None

    def validate(model, execution: Execution) -> dict:
        seen = list(examine(model, rows, inputs, execution, len(recipe.classes)))
        table = pd.concat([as_counts(sample, matrix) for sample, _, matrix in seen])
        table = table.assign(strategy=recipe.name, fold=recipe.fold, seed=recipe.seed)
        scores = {f"val_{metric}": per_image(table, metric)["score"].mean() for metric in ("dice", "iou")}
        return scores | {"val_constant": _constant(sum(matrix for _, _, matrix in seen), recipe.classes)}

    return validate


def _predicts_only(progress: Progress, recipe: Recipe, inputs: Inputs, execution: Execution) -> str | None:
    """The one class that a trained network predicts, if it does: on the validation images, or some others."""
    if "val_constant" in progress.rows[-1]:
        return progress.rows[-1]["val_constant"]
    rows = inputs.of_part("train", recipe.fold)
    apart = np.unique(np.linspace(0, len(rows) - 1, LOOKED_AT).round().astype(int))
    seen = examine(progress.model, rows.iloc[apart], inputs, execution, len(recipe.classes))
    return _constant(sum(matrix for _, _, matrix in seen), recipe.classes)


def _constant(matrix: np.ndarray, classes: tuple[str, ...]) -> str | None:
    """The class that is predicted alone where the truth holds several; the log has the share of each."""
    true, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    if (predicted > 0).sum() != 1 or (true > 0).sum() < 2:
        return None
    alone = classes[int(predicted.argmax())]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(classes, true / true.sum(), strict=True))
    log.warning("predicts `%s` alone, where the truth is %s", alone, shares)
    return alone


def _cost(progress: Progress, execution: Execution) -> dict:
    groups = progress.optimizer.param_groups
    spent = progress.spent
    used = asdict(spent)
    del used["losses"]
    host, gpu = used.pop("memory_mb"), used.pop("device_mb")
    chosen = execution.exact() if progress.exact else execution
    return used | {
        "images_per_s": spent.shown / spent.training_s,
        "peak_memory_mb": gpu if execution.device == "cuda" else host,
        "micro_batch_pixels": progress.micro_batch_pixels,
        "retried": progress.exact,
        "incidents": progress.incidents,
        "parameters": sum(parameter.numel() for parameter in progress.model.parameters()),
        "trainable": sum(parameter.numel() for group in groups for parameter in group["params"]),
        "execution": chosen.as_record(),
    }


def _loading(progress: Progress, loader: Loader) -> dict:
    """What the loader could do, a worker, and what it held."""
    spent = progress.spent
    return {
        "samples": len(loader.storage.names),
        "workers": loader.workers,
        "loader_mb": loader.held_mb,
        "loader_images_per_s": spent.shown / spent.making_s,
        "loader_mb_per_s": spent.shown_pixels * BYTES_OF_A_PIXEL / 2**20 / spent.making_s,
        "reading_share": spent.reading_s / spent.making_s,
        "mixing": mixing(loader.order) if loader.order.window else 1.0,
    }
