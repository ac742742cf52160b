"""The train loop, over three levels: fit, stretch, step.

The loop receives objects and returns rows; it reads no config and writes no file but its records.

A run that is killed goes on from its last record (`stratagem.training.records`) and ends in the same bits as
one left alone. Numbers that are not finite, or a loss that explodes, stop a step before its update.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np
import torch
from tqdm import tqdm

from stratagem.core.errors import TrainingError
from stratagem.core.signals import uninterrupted
from stratagem.loading.loader import Batch
from stratagem.networks.execution import Execution
from stratagem.training.gradients import EXPLODED, Diverged, diverged, gradients
from stratagem.training.options import Options
from stratagem.training.progress import Progress, Spent
from stratagem.training.records import Records, State

__all__ = ["begin", "fit", "step"]

log = logging.getLogger("stratagem")

LOG_EVERY_S = 5
ANCHOR_PIXELS = 2**25  # from one anchor to the next: their cost stays small, their place is not the clock's


def begin(model: torch.nn.Module, options: Options, since: float | None = None, name: str = "") -> Progress:
    """A run at its start: the network on its device, and an optimizer of what ever learns in it.

    Parameters
    ----------
    model : Module
    options : Options
    since, name : optional
        See `Progress`.
    """
    groups = options.freezing.groups(model)
    optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=options.weight_decay, fused=True)
    return Progress(model, optimizer, options.micro_batch_pixels, since, name)


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
    while progress.stops < options.validations:
        chosen = execution.exact() if progress.exact else execution
        try:
            with contextlib.closing(batches(progress.spent.steps)) as stream, _recorded(progress, records):
                while progress.stops < options.validations:
                    _anchor(progress, chosen, records)
                    _stretch(progress, stream, options, chosen, records)
                    _validate(progress, options, chosen, validate)
        except Diverged as error:
            if chosen.dtype == torch.float32:
                raise error.in_float32() from None
            _begin_again(progress, error, first, records)
    progress.model.eval()


def _stretch(
    progress: Progress,
    stream: Iterator[Batch],
    options: Options,
    execution: Execution,
    records: Records | None,
) -> None:
    """Train up to the share of the budget at which the next validation is due."""
    spent, stop = progress.spent, (progress.stops + 1) / options.validations
    progress.model.train()
    with _bar(progress, options) as told:
        while options.share(spent) < stop - 1e-9:
            asked = time.perf_counter()
            batch = next(stream)
            spent.waiting_s += time.perf_counter() - asked
            step(progress, batch, options, execution)
            spent.training_s += time.perf_counter() - asked
            told()
            if records is not None and records.due:
                _record(progress, records)


def step(progress: Progress, batch: Batch, options: Options, execution: Execution) -> None:
    """One update, with what it changes counted: all of it, or nothing where it is cut short.

    A batch passes the network in smaller parts where the device has no room for these.

    Parameters
    ----------
    progress : Progress
    batch : Batch
    options : Options
    execution : Execution

    Raises
    ------
    Diverged
        If the loss or the gradients are not finite, or explode.
    TrainingError
        If the device has no room for a single image.
    """
    spent, whole = progress.spent, batch
    batch = options.within_budget(whole, spent)
    # The middle of the step's own share: the first rate is not zero, the last one nearly is.
    middle = options.share(spent) + 0.5 * options.share_of(batch)
    options.freezing.apply(progress.model, options.share(spent))
    with contextlib.ExitStack() as undone:
        before = progress.traces()
        undone.callback(progress.remove_traces, before)
        loss, norm = _gradients(progress, batch, options, execution, before)
        with uninterrupted():
            for group in progress.optimizer.param_groups:
                group["lr"] = group["factor"] * options.rate(middle)
            progress.optimizer.step()
            spent.count(whole, batch, loss)
            undone.pop_all()


def _gradients(
    progress: Progress, batch: Batch, options: Options, execution: Execution, before: dict[str, torch.Tensor]
) -> tuple[float, float]:
    """The gradients of a batch, seen to be finite, in parts for which there is room.

    Where parts have none, the next try begins without their traces.
    """
    model, number = progress.model, progress.spent.steps + 1
    while True:
        pixels = progress.micro_batch_pixels
        try:
            loss, norm = gradients(model, batch, pixels, options, execution)
            if np.isfinite(norm) and loss < EXPLODED:
                return loss, norm
            raise diverged(model, batch, number, pixels, options, execution, loss, norm)
        except torch.OutOfMemoryError as error:
            progress.remove_traces(before)
            fewer = progress.micro_batch_pixels = _halved(pixels, batch, error)
            said = f"out of memory at step {number}: parts of {fewer} pixels from there on"
            progress.tell("memory", number, said)


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


def _resume(progress: Progress, records: Records | None) -> None:
    """Go on from the last record, if there is one."""
    state = records.latest() if records else None
    if state is None:
        return
    progress.restore(state)
    progress.spent.resumes += 1
    log.info("goes on from the record of step %d", progress.spent.steps)


def _begin_again(progress: Progress, error: Diverged, first: State, records: Records | None) -> None:
    """Back to the last anchor, or the start, and on in float32."""
    state = (records.anchor() if records else None) or first
    said = f"{error}: once more from step {state.facts['spent']['steps']}, in float32"
    progress.tell("diverged", error.step, said)
    progress.begin_again(state)
    if records:
        records.forget_after(progress.spent.steps)


@contextlib.contextmanager
def _recorded(progress: Progress, records: Records | None) -> Iterator[None]:
    """Leave a record where training is cut short."""
    try:
        yield
    except Diverged:
        raise
    except BaseException:
        _record(progress, records)
        log.info("cut short after step %d", progress.spent.steps)
        raise


def _validate(
    progress: Progress,
    options: Options,
    execution: Execution,
    validate: Callable[[torch.nn.Module, Execution], dict] | None,
) -> None:
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
    share = options.share(spent)
    return {
        "share": share,
        "images": spent.images,
        "steps": spent.steps,
        "epochs": spent.epochs,
        "learning_rate": options.rate(share),
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


@contextlib.contextmanager
def _bar(progress: Progress, options: Options) -> Iterator[Callable[[], None]]:
    """A progress bar, and a line in the log every few seconds, by a function to be called after each step."""
    spent, logged = progress.spent, time.perf_counter()
    unit, total = ("image", options.images) if options.images else ("step", options.steps)

    def done() -> int:
        return spent.images if options.images else spent.steps

    def tell() -> None:
        nonlocal logged
        bar.update(done() - bar.n)
        if time.perf_counter() - logged > LOG_EVERY_S:
            logged = time.perf_counter()
            _log_progress(spent, options)

    with tqdm(total=total, initial=done(), unit=unit, desc=progress.name, disable=None) as bar:
        yield tell


def _log_progress(spent: Spent, options: Options) -> None:
    share = options.share(spent)
    log.info(
        "%3.0f %% of the budget, %d images, loss %.4f, about %.0f s left",
        100 * share,
        spent.images,
        spent.losses[-1],
        spent.training_s / share - spent.training_s,
    )
