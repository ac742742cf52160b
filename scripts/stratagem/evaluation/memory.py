"""Whether there is room to predict an image whole.

On a GPU it is tried. Main memory gives no error that could be answered, it ends the process; there a bound
is stated, and held against a reckoning: what the largest layer takes in and gives is counted on a small
image, and what a larger one holds follows, since for a convolutional network it goes with the pixels. A
measured size would differ from start to start, and with it the parts, and with them the predictions.
"""

from collections.abc import Callable
from typing import cast

import torch

from stratagem.networks import sizes
from stratagem.networks.execution import Execution
from stratagem.networks.sizes import Size
from stratagem.networks.table import Layered

__all__ = ["largest_layer", "prediction_mb", "room_for"]

COUNTED = 128  # side of the small image, in pixels


def room_for(model: torch.nn.Module, execution: Execution, bound_mb: int) -> Callable[[int], bool]:
    """Whether an image of so many pixels may be tried whole.

    Parameters
    ----------
    model : Module
        In evaluation mode, on its device.
    execution : Execution
    bound_mb : int
        What the process may hold in main memory, in MB. A GPU's own memory is its bound, and is tried.

    Returns
    -------
    function
        From pixels of an image in the network's frame to whether there is room by reckoning.
    """
    if execution.device != "cpu":
        return lambda pixels: True
    need = prediction_mb(model, execution)
    return lambda pixels: need(pixels) <= bound_mb


def prediction_mb(model: torch.nn.Module, execution: Execution) -> Callable[[int], float]:
    """What predicting one image takes of main memory, in MB, given its pixels.

    Parameters
    ----------
    model : Module
        In evaluation mode, on the CPU.
    execution : Execution
    """
    stride = cast(Layered, model).stride
    side = -(-COUNTED // stride) * stride
    values = sum(tensor.numel() for tensor in model.state_dict().values())
    size = Size(values, kept=0, layer=largest_layer(model, side, execution) / side**2)
    return lambda pixels: sizes.prediction_mb(size, pixels)


def largest_layer(model: torch.nn.Module, side: int, execution: Execution) -> int:
    """Bytes that the layer which takes in and gives most does, for one square image."""
    most = 0

    def count(_: torch.nn.Module, taken: tuple, given: object) -> None:
        nonlocal most
        tensors = [value for value in (*taken, given) if isinstance(value, torch.Tensor)]
        most = max(most, sum(tensor.nbytes for tensor in tensors))

    leaves = [layer for layer in model.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    try:
        with torch.inference_mode(), execution.autocast():
            model(torch.zeros((1, cast(Layered, model).channels, side, side), dtype=torch.uint8))
    finally:
        for hook in hooks:
            hook.remove()
    return most
