"""What fits into memory: found out by a step before training, not by a crash on the way.

On a GPU a step of the largest shape is tried, and a batch passes the network in parts of half as many
images until there is room. Main memory gives no such error, it ends the process; there a bound is stated
(`training.memory_mb`, else all that the machine has), and held against a reckoning: what a step keeps for its
way back is counted on two small images, what a larger one keeps follows, since for a convolutional network it
goes with the pixels. A measured size would differ from start to start, and with it the parts, and the bits.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch

from stratagem.core.errors import TrainingError
from stratagem.core.memory import total_mb
from stratagem.loading.loader import Batch
from stratagem.networks import sizes
from stratagem.networks.execution import Execution
from stratagem.networks.sizes import Size
from stratagem.networks.table import Layered
from stratagem.training.gradients import gradients
from stratagem.training.options import Options
from stratagem.training.progress import Progress

__all__ = ["kept_bytes", "make_room", "training_mb"]

COUNTED = (64, 128)  # sides of the two small images, in pixels


def make_room(progress: Progress, shapes: np.ndarray, options: Options, execution: Execution) -> None:
    """Have a run pass its batches in parts that have room; what it takes for that is among its incidents.

    Parameters
    ----------
    progress : Progress
        At the start, its network in training mode; its ``micro_batch_pixels`` is the most that is tried.
    shapes : int, (N, 2)
        Of all images that may come.
    options : Options
    execution : Execution

    Raises
    ------
    TrainingError
        If one image has no room, with a plan whose images have.
    """
    before = progress.traces()
    options.freezing.apply(progress.model, 1.0)  # when all is open that ever is
    try:
        with torch.random.fork_rng():  # whatever a network of the user's draws
            pixels = _pixels_with_room(progress, shapes, options, execution)
    finally:
        progress.remove_traces(before)
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()  # what was tried is not what is used
    if pixels < progress.micro_batch_pixels:
        progress.micro_batch_pixels = pixels
        progress.tell("memory", 0, f"batches pass in parts of {pixels} pixels: more have no room")


def _pixels_with_room(progress: Progress, shapes, options: Options, execution: Execution) -> int:
    """How many pixels may pass at once: half as many images each time, until there is room."""
    has_room = _on_host if execution.device == "cpu" else _on_gpu
    room, pixels = has_room(progress.model, options, execution), progress.micro_batch_pixels
    while not room(part := _largest(shapes, options, pixels)):
        count, height, width = part
        if count == 1:
            stride = cast(Layered, progress.model).stride
            raise _no_room(room, height, width, stride, _bound(options, execution))
        pixels = count // 2 * height * width
    return pixels


def _largest(shapes: np.ndarray, options: Options, pixels: int) -> tuple[int, int, int]:
    """The largest part that may pass at once: images, height, width."""
    areas = shapes.prod(axis=1, dtype=np.int64)
    counts = (pixels // areas).clip(1, options.batch_size)
    chosen = int((areas * counts).argmax())
    return (int(counts[chosen]), *shapes[chosen].tolist())


def _on_gpu(model, options: Options, execution: Execution) -> Callable[[tuple], bool]:
    """Whether a step of some images has room: tried."""

    def room(part: tuple[int, int, int]) -> bool:
        try:
            _step(model, part, options, execution)
        except torch.OutOfMemoryError:
            model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            return False
        return True

    return room


def _on_host(model, options: Options, execution: Execution) -> Callable[[tuple], bool]:
    """Whether a step of some images stays below the bound: reckoned."""
    need, bound = training_mb(model, options, execution), options.memory_mb or total_mb()
    return lambda part: bound is None or need(part) <= bound


def training_mb(model, options: Options, execution: Execution) -> Callable[[tuple], float]:
    """What a training takes of main memory, given images, height and width of its largest part.

    With records, and with float32, which may become necessary on the way.
    """
    sides = [-(-side // model.stride) * model.stride for side in COUNTED]
    low, high = (kept_bytes(model, side, options, execution.exact()) for side in sides)
    kept = (high - low) / (sides[1] ** 2 - sides[0] ** 2)
    size = Size(sum(parameter.numel() for parameter in model.parameters()), kept, layer=0)
    return lambda part: sizes.training_mb(size, np.prod(part))


def kept_bytes(model, side: int, options: Options, execution: Execution) -> int:
    """What a step with one image keeps for its way back, apart from weights."""
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        _step(model, (1, side, side), options, execution)
    return sum(kept.values())


def _step(model, part: tuple[int, int, int], options: Options, execution: Execution) -> None:
    """Forward and backward of images of noise."""
    count, height, width = part
    stream = np.random.default_rng(0)
    image = stream.integers(0, 256, (count, height, width, model.channels), dtype=np.uint8)
    mask = np.zeros((count, height, width), np.uint8)
    batch = Batch(image, mask, np.array(["noise"] * count), np.arange(count), 0)
    gradients(model, batch, count * height * width, options, execution)


def _bound(options: Options, execution: Execution) -> str:
    if execution.device == "cuda":
        return "the GPU's memory"
    if options.memory_mb is None:
        return f"{total_mb()} MB, all that this machine has"
    return f"{options.memory_mb} MB (training.memory_mb)"


def _no_room(room: Callable, height: int, width: int, stride: int, bound: str) -> TrainingError:
    """One image does not fit; the largest tile that does is looked for."""
    side = min(height, width) // 2 // stride * stride
    while side > stride and not room((1, side, side)):
        side = side // 2 // stride * stride
    fits = side >= stride and room((1, side, side))
    return TrainingError(
        expected=f"room for a step with one image of {height}x{width} in {bound}",
        found="less",
        where="config section `resolutions`",
        remedy=f"`plan: tile` with `size: [{side}, {side}]` fits."
        if fits
        else "Not even one small tile fits: lower `unet.width`.",
    )
