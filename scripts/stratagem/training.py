"""The train loop, over three levels: fit, stretch, step.

The loop receives objects and returns rows; it reads no config and writes no file. What it spends is
counted in shares of a budget (images seen or optimizer steps), never in seconds. The rate is AdamW's
with a linear warm-up and a cosine to zero over that share, so the last weights are the ones kept.

The loss of an image is cross-entropy (mean over its pixels) plus one minus soft Dice (mean over
foreground classes), ignored pixels left out; of a batch the mean over its images, so that large and
small images count alike and a batch can pass the network in parts.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from stratagem import augment_batch
from stratagem.augment import exchange
from stratagem.errors import TrainingError
from stratagem.execution import Execution, memory_mb
from stratagem.labels import IGNORE
from stratagem.loader import Batch

__all__ = ["Options", "Spent", "fit", "learning_rate", "losses", "step"]

log = logging.getLogger("stratagem")

LOG_EVERY_S = 5
RATE_BATCH = 16  # the batch size that the config's learning rate is meant for
SMOOTH = 1.0  # pixels: keeps Dice of an absent class defined


@dataclass(frozen=True)
class Options:
    """What the loop needs to know.

    Attributes
    ----------
    images, steps : int or None
        The budget: exactly one of the two.
    batch_size : int
    learning_rate, weight_decay : float
    warmup : float
        Share of the budget.
    validations : int
        At equal shares of the budget.
    micro_batch_pixels : int
        Pixels that pass the network at once.
    swaps : pairs of int
        Classes that are each other's mirror images.
    """

    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    validations: int
    micro_batch_pixels: int
    images: int | None = None
    steps: int | None = None
    swaps: tuple[tuple[int, int], ...] = ()

    @property
    def peak_rate(self) -> float:
        """The rate at the end of the warm-up."""
        return self.learning_rate * (self.batch_size / RATE_BATCH) ** 0.5


@dataclass
class Spent:
    """What a run has used so far.

    Attributes
    ----------
    images, steps, pixels, epochs : int
    training_s, waiting_s, validation_s : float
        Wall seconds; waiting (for a batch) is part of training.
    making_s, reading_s : float
        Seconds that the loader's workers took for the batches, and those of them that reading took.
    memory_mb, mapped_mb : float
        The most that the process held, as seen at the validations; see `execution.memory_mb`.
    """

    images: int = 0
    steps: int = 0
    pixels: int = 0
    epochs: int = 0
    training_s: float = 0.0
    waiting_s: float = 0.0
    validation_s: float = 0.0
    making_s: float = 0.0
    reading_s: float = 0.0
    memory_mb: float = 0.0
    mapped_mb: float = 0.0
    losses: list[float] = field(default_factory=list, repr=False)

    def share(self, options: Options) -> float:
        """Of the budget."""
        return self.images / options.images if options.images else self.steps / options.steps


def fit(
    model: torch.nn.Module,
    batches: Iterator[Batch],
    options: Options,
    execution: Execution,
    validate: Callable[[torch.nn.Module], dict[str, float]] | None = None,
) -> tuple[pd.DataFrame, Spent]:
    """Train until the budget is spent.

    Parameters
    ----------
    model : Module
        On its device; its trainable parameters are changed in place.
    batches : iterator of Batch
        As many as the budget asks for.
    options : Options
    execution : Execution
    validate : function, optional
        Given the model in evaluation mode, returns scores by name.

    Returns
    -------
    history : DataFrame
        A row a validation: ``share, images, steps, epochs, learning_rate, train_loss`` and the scores.
    spent : Spent

    Raises
    ------
    TrainingError
        If the loss is not finite, before the update that it would have made.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=options.weight_decay, fused=True)
    spent, rows = Spent(), []
    with tqdm(total=options.images or options.steps, unit="image" if options.images else "step",
              disable=None) as bar:  # fmt: skip
        for stop in np.arange(1, options.validations + 1) / options.validations:
            model.train()
            _train_stretch(model, batches, optimizer, options, execution, spent, stop, bar)
            if not spent.losses:  # fewer steps than validations: no step since the last one
                continue
            rows.append(_row(spent, options) | _validated(model, validate, spent))
            log.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()))
    model.eval()
    return pd.DataFrame(rows), spent


def learning_rate(share: float, peak: float, warmup: float) -> float:
    """The rate at a share of the budget: linear up to `warmup`, then a cosine to zero."""
    if share < warmup:
        return peak * share / warmup
    return peak * 0.5 * (1 + np.cos(np.pi * (share - warmup) / (1 - warmup)))


def losses(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The loss of each image.

    Parameters
    ----------
    logits : float, (B, K, H, W)
    mask : uint8, (B, H, W)
        255 = ignore.

    Returns
    -------
    float32, (B,)
        Zero where every pixel is ignored.
    """
    truth = torch.stack([mask == number for number in range(logits.shape[1])], dim=1)
    counted = mask != IGNORE
    log_p = logits.float().log_softmax(dim=1)
    cross_entropy = -(log_p * truth).sum(dim=(1, 2, 3)) / counted.sum(dim=(1, 2)).clamp(min=1)
    p = log_p.exp() * counted[:, None]
    overlap = (p * truth).sum(dim=(2, 3))
    dice = (2 * overlap + SMOOTH) / (p.sum(dim=(2, 3)) + truth.sum(dim=(2, 3)) + SMOOTH)
    return cross_entropy + (1 - dice[:, 1:]).mean(dim=1)


def _train_stretch(model, batches, optimizer, options, execution, spent, stop, bar) -> None:
    """Train up to a share of the budget."""
    start, logged = time.perf_counter(), time.perf_counter()
    while spent.share(options) < stop - 1e-9:
        asked = time.perf_counter()
        whole = next(batches)
        spent.waiting_s += time.perf_counter() - asked
        spent.making_s += whole.making_s
        spent.reading_s += whole.reading_s
        batch = _within_budget(whole, options, spent)
        # The middle of the step's own share: the first rate is not zero, the last one nearly is.
        middle = spent.share(options) + 0.5 * _share_of(batch, options)
        rate = learning_rate(middle, options.peak_rate, options.warmup)
        spent.losses.append(step(model, batch, optimizer, rate, options, execution, spent))
        _count(spent, batch)
        bar.update(len(batch) if options.images else 1)
        if time.perf_counter() - logged > LOG_EVERY_S:
            logged = time.perf_counter()
            _log_progress(spent, options, spent.training_s + logged - start)
    spent.training_s += time.perf_counter() - start
    own, mapped = memory_mb()
    spent.memory_mb, spent.mapped_mb = max(spent.memory_mb, own), max(spent.mapped_mb, mapped)


def step(model, batch, optimizer, rate, options, execution, spent) -> float:
    """One update; the loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for part in _micro_batches(batch, options.micro_batch_pixels):
        image, mask = _on_device(part, options, execution)
        with execution.autocast():
            logits = model(image)
        loss = losses(logits, mask).sum() / len(batch)
        loss.backward()
        total += float(loss.detach())
    if not np.isfinite(total):
        raise TrainingError(
            expected="a finite loss",
            found=f"{total}",
            where=f"step {spent.steps + 1}, samples {', '.join(batch.samples)}",
            remedy="Lower `training.learning_rate`; nothing was updated by this step.",
        )
    optimizer.step()
    return total


def _micro_batches(batch: Batch, pixels: int) -> Iterable[Batch]:
    count = max(1, pixels // batch.mask[0].size)
    return (batch[start : start + count] for start in range(0, len(batch.mask), count))


def _on_device(batch: Batch, options: Options, execution: Execution) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and masks where the network is, made synthetic there if that is still to be done."""
    image, mask = execution.images(batch.image), execution.upload(batch.mask)
    return (
        augment_batch.apply(batch.rows, image, mask, exchange(options.swaps)) if batch.rows else (image, mask)
    )


def _within_budget(batch: Batch, options: Options, spent: Spent) -> Batch:
    """The batch, cut to what is left where images are counted."""
    left = options.images - spent.images if options.images else len(batch)
    if left >= len(batch):
        return batch
    return batch[:left]


def _share_of(batch: Batch, options: Options) -> float:
    return len(batch) / options.images if options.images else 1 / options.steps


def _count(spent: Spent, batch: Batch) -> None:
    spent.images += len(batch)
    spent.steps += 1
    spent.pixels += batch.mask.size
    spent.epochs = batch.epoch + 1


def _row(spent: Spent, options: Options) -> dict:
    mean = float(np.mean(spent.losses))
    spent.losses.clear()
    share = spent.share(options)
    return {
        "share": share,
        "images": spent.images,
        "steps": spent.steps,
        "epochs": spent.epochs,
        "learning_rate": float(learning_rate(share, options.peak_rate, options.warmup)),
        "train_loss": mean,
    }


def _validated(model, validate, spent: Spent) -> dict[str, float]:
    if validate is None:
        return {}
    start = time.perf_counter()
    model.eval()
    scores = validate(model)
    spent.validation_s += time.perf_counter() - start
    return scores


def _log_progress(spent: Spent, options: Options, seconds: float) -> None:
    share = spent.share(options)
    log.info(
        "%3.0f %% of the budget, %d images, loss %.4f, about %.0f s left",
        100 * share,
        spent.images,
        spent.losses[-1],
        seconds / share - seconds,
    )
