"""The train loop, over three levels: fit, stretch, step.

The loop receives objects and returns rows; it reads no config and writes no file but its records. What it
spends is counted in shares of a budget (images seen or optimizer steps), never in seconds. The rate is
AdamW's with a linear warm-up and a cosine to zero over that share, so the last weights are the ones kept.

The loss of an image is cross-entropy (mean over its pixels) plus one minus soft Dice (mean over
foreground classes), ignored pixels left out; of a batch the mean over its images, so that large and
small images count alike and a batch can pass the network in parts.

A run that is killed goes on from its last record (`stratagem.training.records`) and ends in the same bits as
one left alone. Numbers that are not finite, or a loss that explodes, stop a step before its update.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from stratagem.augmentation import on_gpu
from stratagem.augmentation.on_cpu import exchange
from stratagem.core.errors import TrainingError
from stratagem.core.signals import uninterrupted
from stratagem.data.labels import IGNORE
from stratagem.loading.loader import Batch
from stratagem.networks.execution import Execution
from stratagem.training.progress import Progress, Spent
from stratagem.training.records import Records, State
from stratagem.transfer.freezing import Freezing

__all__ = ["Options", "begin", "fit", "gradients", "learning_rate", "losses", "step"]

log = logging.getLogger("stratagem")

LOG_EVERY_S = 5
RATE_BATCH = 16  # the batch size that the config's learning rate is meant for
SMOOTH = 1.0  # pixels: keeps Dice of an absent class defined
EXPLODED = 1e3  # a loss: cross-entropy in nats a pixel, some hundred times that of a guess
ANCHOR_PIXELS = 2**25  # from one anchor to the next: their cost stays small, their place is not the clock's


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
    memory_mb : int or None
        What the process may hold in main memory, on a CPU; see `stratagem.training.capacity`.
    swaps : pairs of int
        Classes that are each other's mirror images.
    freezing : Freezing
        What learns from when on.
    """

    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    validations: int
    micro_batch_pixels: int
    images: int | None = None
    steps: int | None = None
    memory_mb: int | None = None
    swaps: tuple[tuple[int, int], ...] = ()
    freezing: Freezing = field(default_factory=Freezing)

    @property
    def peak_rate(self) -> float:
        """The rate at the end of the warm-up."""
        return self.learning_rate * (self.batch_size / RATE_BATCH) ** 0.5


def begin(model: torch.nn.Module, options: Options, since: float | None = None) -> Progress:
    """A run at its start: the network on its device, and an optimizer of what ever learns in it.

    Parameters
    ----------
    model : Module
    options : Options
    since : float, optional
        See `Progress`.
    """
    groups = options.freezing.groups(model)
    optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=options.weight_decay, fused=True)
    return Progress(model, optimizer, options.micro_batch_pixels, since)


def fit(
    progress: Progress,
    batches: Callable[[int], Generator[Batch]],
    options: Options,
    execution: Execution,
    validate: Callable[[torch.nn.Module, Execution], dict] | None = None,
    records: Records | None = None,
) -> None:
    """Train until the budget is spent, from the last record on where there is one.

    Parameters
    ----------
    progress : Progress
        At the start; afterwards its network is trained, and its ``rows`` are the history, one a
        validation: ``share, images, steps, epochs, learning_rate, train_loss`` and the scores.
    batches : function
        Given how many were already seen, a generator of those that follow, as many as are asked for.
    options : Options
    execution : Execution
    validate : function, optional
        Given the model in evaluation mode, and how it is computed, returns scores by name.
    records : Records, optional
        Where the state is recorded, and looked for.

    Raises
    ------
    TrainingError
        If numbers are not finite, or explode, in float32 too, before the update that they would make;
        or if the device has no room for a single image.
    """
    first = progress.state()
    _resume(progress, records)
    while True:
        chosen = execution.exact() if progress.exact else execution
        try:
            _attempt(progress, batches, options, chosen, validate, records)
            progress.model.eval()
            return
        except _Diverged as error:
            if chosen.dtype == torch.float32:
                raise error.in_float32() from None
            _begin_again(progress, error, first, records)


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


class _Diverged(Exception):
    """Numbers that are not finite, or explode, before the update that they would have made."""

    def __init__(self, step: int, layer: str, found: str, samples: list[str]):
        self.step, self.layer, self.found, self.samples = step, layer, found, samples
        super().__init__(f"{found} in layer `{layer}` at step {step}, samples {', '.join(samples)}")

    def in_float32(self) -> TrainingError:
        """What a user is told where float32 does not help."""
        return TrainingError(
            expected="a finite loss and finite gradients",
            found=f"{self.found} in layer `{self.layer}`, computed in float32",
            where=f"step {self.step}, samples {', '.join(self.samples)}",
            remedy="Lower `training.learning_rate`; nothing was updated by this step.",
        )


def _resume(progress: Progress, records: Records | None) -> None:
    """Go on from the last record, if there is one."""
    state = records.latest() if records else None
    if state is None:
        return
    progress.restore(state)
    progress.spent.resumes += 1
    log.info("goes on from the record of step %d", progress.spent.steps)


def _begin_again(progress: Progress, error: _Diverged, first: State, records: Records | None) -> None:
    """Back to the last anchor, or the start, and on in float32."""
    state = (records.anchor() if records else None) or first
    said = f"{error}: once more from step {state.facts['spent']['steps']}, in float32"
    progress.tell("diverged", error.step, said)
    progress.begin_again(state)
    if records:
        records.forget_after(progress.spent.steps)


def _attempt(progress, batches, options, execution, validate, records) -> None:
    """Train to the end of the budget; where that is cut short, leave a record."""
    unit, total = ("image", options.images) if options.images else ("step", options.steps)
    stream = batches(progress.spent.steps)
    with contextlib.closing(stream), tqdm(total=total, unit=unit, disable=None) as bar:
        try:
            while progress.stops < options.validations:
                _anchor(progress, execution, records)
                progress.model.train()
                _train_stretch(progress, stream, options, execution, records, bar)
                _validate(progress, options, execution, validate)
        except _Diverged:
            raise
        except BaseException:
            _record(progress, records)
            log.info("cut short after step %d", progress.spent.steps)
            raise


def _train_stretch(progress, stream, options, execution, records, bar) -> None:
    """Train up to the share of the budget at which the next validation is due."""
    spent, stop = progress.spent, (progress.stops + 1) / options.validations
    logged = time.perf_counter()
    while _share(spent, options) < stop - 1e-9:
        asked = time.perf_counter()
        batch = next(stream)
        spent.waiting_s += time.perf_counter() - asked
        _step_with_room(progress, batch, options, execution)
        spent.training_s += time.perf_counter() - asked
        bar.update((spent.images if options.images else spent.steps) - bar.n)
        if time.perf_counter() - logged > LOG_EVERY_S:
            logged = time.perf_counter()
            _log_progress(spent, options)
        if records is not None and records.due:
            _record(progress, records)


def step(progress: Progress, batch: Batch, options: Options, execution: Execution) -> None:
    """One update, with what it changes counted: all of it, or nothing where it is cut short."""
    spent, whole = progress.spent, batch
    batch = _within_budget(whole, options, spent)
    # The middle of the step's own share: the first rate is not zero, the last one nearly is.
    middle = _share(spent, options) + 0.5 * _share_of(batch, options)
    options.freezing.apply(progress.model, _share(spent, options))
    with contextlib.ExitStack() as undone:
        undone.callback(progress.remove_traces, progress.traces())
        loss, norm = gradients(progress.model, batch, progress.micro_batch_pixels, options, execution)
        if not (np.isfinite(norm) and loss < EXPLODED):
            raise _diverged(progress, batch, options, execution, loss, norm)
        with uninterrupted():
            for group in progress.optimizer.param_groups:
                group["lr"] = group["factor"] * learning_rate(middle, options.peak_rate, options.warmup)
            progress.optimizer.step()
            _count(spent, batch, loss)
            spent.making_s += whole.making_s
            spent.reading_s += whole.reading_s
            undone.pop_all()


def _step_with_room(progress: Progress, batch: Batch, options: Options, execution: Execution) -> None:
    """A step, in smaller parts where the device has no room for these."""
    while True:
        try:
            return step(progress, batch, options, execution)
        except torch.OutOfMemoryError as error:
            progress.micro_batch_pixels = _halved(progress.micro_batch_pixels, batch, error)
            number, pixels = progress.spent.steps + 1, progress.micro_batch_pixels
            said = f"out of memory at step {number}: parts of {pixels} pixels from there on"
            progress.tell("memory", number, said)


def gradients(
    model, batch: Batch, pixels: int, options: Options, execution: Execution
) -> tuple[float, float]:
    """Find the gradients of a batch that passes the network in parts; they stay with the parameters.

    Parameters
    ----------
    model : Module
    batch : Batch
    pixels : int
        That pass the network at once; one image at least does.
    options : Options
    execution : Execution

    Returns
    -------
    loss, norm : float
        The batch's loss, and the length of the gradients of all parameters.
    """
    model.zero_grad(set_to_none=True)
    total = torch.zeros((), dtype=torch.float64, device=next(model.parameters()).device)
    for part in _micro_batches(batch, pixels):
        image, mask = _on_device(part, options, execution)
        with execution.autocast():
            logits = model(image)
        loss = losses(logits, mask).sum() / len(batch)
        loss.backward()
        total += loss.detach()
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(found)
    return tuple(torch.stack([total, norm.double()]).tolist())  # one wait for the device a step


def _halved(pixels: int, batch: Batch, error: Exception) -> int:
    """How many pixels pass at once, half as many of a batch's images as before.

    Raises
    ------
    TrainingError
        If there was only one.
    """
    image = batch.mask[0].size
    count = min(pixels // image, len(batch))
    if count <= 1:
        raise TrainingError(
            expected=f"room for a step with one image of {image} pixels",
            found=f"none ({error})",
            where="the device's memory",
            remedy="Take a resolution of smaller frames: plan `tile`, or `max_pixels` of another plan.",
        ) from error
    return count // 2 * image


def _diverged(progress, batch, options, execution, loss: float, norm: float) -> _Diverged:
    found = f"a gradient of norm {norm:.3g}" if loss < EXPLODED else f"a loss of {loss:.3g}"
    layer = _culprit(progress.model, batch, progress.micro_batch_pixels, options, execution)
    return _Diverged(progress.spent.steps + 1, layer, found, batch.samples)


def _culprit(model, batch, pixels, options, execution) -> str:
    """The layer whose output is first not finite; else that of a gradient; else of the largest output."""
    peaks: list[tuple[float, str]] = []  # in the order in which layers are done

    def watch(name: str, output) -> None:
        if torch.is_tensor(output):
            peaks.append((float(output.detach().abs().max()), name or "network"))

    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: watch(name, output))
        for name, module in model.named_modules()
    ]
    try:
        with torch.no_grad(), execution.autocast():
            for part in _micro_batches(batch, pixels):
                model(_on_device(part, options, execution)[0])
    finally:
        for hook in hooks:
            hook.remove()
    spoilt = [name for peak, name in peaks if not np.isfinite(peak)]
    backwards = reversed(list(model.named_parameters()))
    spoilt += [name.rpartition(".")[0] for name, weight in backwards if not _finite(weight.grad)]
    return (spoilt + [max(peaks)[1]])[0]


def _finite(gradient: torch.Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())


def _micro_batches(batch: Batch, pixels: int) -> Iterable[Batch]:
    count = max(1, pixels // batch.mask[0].size)
    return (batch[start : start + count] for start in range(0, len(batch.mask), count))


def _on_device(batch: Batch, options: Options, execution: Execution) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and masks where the network is, made synthetic there if that is still to be done."""
    image, mask = execution.images(batch.image), execution.upload(batch.mask)
    return on_gpu.apply(batch.rows, image, mask, exchange(options.swaps)) if batch.rows else (image, mask)


def _share(spent: Spent, options: Options) -> float:
    """Of the budget."""
    return spent.images / options.images if options.images else spent.steps / options.steps


def _within_budget(batch: Batch, options: Options, spent: Spent) -> Batch:
    """The batch, cut to what is left where images are counted."""
    left = options.images - spent.images if options.images else len(batch)
    if left >= len(batch):
        return batch
    return batch[:left]


def _share_of(batch: Batch, options: Options) -> float:
    return len(batch) / options.images if options.images else 1 / options.steps


def _count(spent: Spent, batch: Batch, loss: float) -> None:
    spent.losses.append(loss)
    spent.images += len(batch)
    spent.steps += 1
    spent.pixels += batch.mask.size
    spent.shown += len(batch)
    spent.shown_pixels += batch.mask.size
    spent.epochs = batch.epoch + 1


def _validate(progress: Progress, options: Options, execution: Execution, validate) -> None:
    """One more row of the history; none where no step was made since the last one."""
    spent = progress.spent
    if not spent.losses:  # fewer steps than validations
        progress.stops += 1
        return
    start = time.perf_counter()
    progress.model.eval()
    row = _row(spent, options) | (validate(progress.model, execution) if validate else {})
    with uninterrupted():
        progress.rows.append(row)
        progress.stops += 1
        spent.losses.clear()
        spent.validation_s += time.perf_counter() - start
        progress.look()
    numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
    log.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()))


def _row(spent: Spent, options: Options) -> dict:
    share = _share(spent, options)
    return {
        "share": share,
        "images": spent.images,
        "steps": spent.steps,
        "epochs": spent.epochs,
        "learning_rate": float(learning_rate(share, options.peak_rate, options.warmup)),
        "train_loss": float(np.mean(spent.losses)),
    }


def _anchor(progress: Progress, execution: Execution, records: Records | None) -> None:
    """Leave a record to which float32 can go back, where one is due; only ever between two stretches."""
    due = progress.spent.pixels - progress.anchored >= ANCHOR_PIXELS
    if due and not progress.spent.losses and execution.dtype != torch.float32:
        with uninterrupted():
            progress.anchored = progress.spent.pixels
            _record(progress, records, anchor=True)


def _record(progress: Progress, records: Records | None, *, anchor: bool = False) -> None:
    """Write down all that is needed to go on."""
    if records is None or progress.spent.steps == 0:
        return
    start = time.perf_counter()
    with uninterrupted():
        progress.look()
        try:
            records.write(progress.state(), progress.spent.steps, anchor=anchor)
        except OSError as error:  # a full disk, say: no reason to end what is being trained
            log.warning("step %d is not recorded: %s", progress.spent.steps, error)
        progress.spent.recording_s += time.perf_counter() - start


def _log_progress(spent: Spent, options: Options) -> None:
    share = _share(spent, options)
    log.info(
        "%3.0f %% of the budget, %d images, loss %.4f, about %.0f s left",
        100 * share,
        spent.images,
        spent.losses[-1],
        spent.training_s / share - spent.training_s,
    )
