"""From an image to a mask at the image's own size.

Probabilities are brought back through the resolution plan, then the class is taken: labels are never
interpolated. Where a plan has several windows (tiles), their probabilities are added under a smooth
weight that falls off towards each window's edge (Hann), so that no seam shows; only the rows that
windows still to come can change are held, so that a large image costs the memory of a row of tiles.
"""

import itertools
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from stratagem.networks.execution import Execution
from stratagem.resolution.plans import Plan, Window

__all__ = ["assemble", "predict", "round_trip"]


def predict(
    model: torch.nn.Module,
    image: np.ndarray,
    plan: Plan,
    execution: Execution,
    pixel_size: float = math.nan,
) -> np.ndarray:
    """The predicted mask of one image.

    Parameters
    ----------
    model : Module
        Gives logits (1, K, FH, FW) of uint8 images (1, 3, FH, FW); left in the mode it is in.
    image : uint8, (H, W, 3)
    plan : Plan
    execution : Execution
    pixel_size : float
        Of the image; needed by the plan `rescale` alone.

    Returns
    -------
    uint8, (H, W)
        Class indices.
    """

    def probabilities(window: Window) -> torch.Tensor:
        with torch.inference_mode(), execution.autocast():
            logits = model(execution.images(plan.forward(image, window)[None]))
        return plan.inverse(logits[0].float().softmax(dim=0), window)

    return assemble(plan.windows(*image.shape[:2], pixel_size), probabilities)


def round_trip(mask: np.ndarray, plan: Plan, classes: int, pixel_size: float = math.nan) -> np.ndarray:
    """What a network would predict that learnt the labels in the plan's frame exactly.

    The true mask goes through the plan, and back by the way of a prediction: as probabilities of 0 and
    1, resampled, then the class. What is lost on the way no training can win back.

    Parameters
    ----------
    mask : uint8, (H, W)
        Class indices, 255 = ignore.
    plan : Plan
    classes : int
        K.
    pixel_size : float

    Returns
    -------
    uint8, (H, W)
    """

    def certain(window: Window) -> torch.Tensor:
        framed = torch.from_numpy(plan.forward_mask(mask, window))
        return plan.inverse(torch.stack([framed == number for number in range(classes)]).float(), window)

    return assemble(plan.windows(*mask.shape, pixel_size), certain)


def assemble(windows: list[Window], scores: Callable[[Window], torch.Tensor]) -> np.ndarray:
    """The class of the highest score at every pixel, of windows that cover an image together.

    Parameters
    ----------
    windows : list of Window
        By top, then left.
    scores : function
        Of a window, gives float (K, h, w) over its part of the image.

    Returns
    -------
    uint8, (H, W)
    """
    if len(windows) == 1:
        return _classes(scores(windows[0]))
    last = windows[-1]
    found = np.empty((last.top + last.part[0], last.left + last.part[1]), np.uint8)
    band, start = None, 0
    for top, row in itertools.groupby(windows, key=lambda window: window.top):
        added = _row(list(row), scores, found.shape[1])
        if band is not None:
            done = top - start
            found[start:top] = _classes(band[:, :done])
            added[:, : band.shape[1] - done] += band[:, done:]
        band, start = added, top
    found[start:] = _classes(band)
    return found


def _row(windows: list[Window], scores: Callable[[Window], torch.Tensor], width: int) -> torch.Tensor:
    """The weighted scores of windows of one height, float (K, h, width)."""
    total = None
    for window in windows:
        weighted = scores(window)
        weighted = weighted * _weight(window.part).to(weighted.device)
        if total is None:
            total = weighted.new_zeros((*weighted.shape[:2], width))
        total[:, :, window.left : window.left + window.part[1]] += weighted
    return total


@cache
def _weight(size: tuple[int, int]) -> torch.Tensor:
    """Of a window's pixels in the sum, float32 (h, w): above zero everywhere. The sum needs no division
    by its weights, which change no pixel's order of classes."""
    rows, columns = (torch.sin(torch.pi * (torch.arange(side) + 0.5) / side) ** 2 for side in size)
    return rows[:, None] * columns


def _classes(scores: torch.Tensor) -> np.ndarray:
    return scores.argmax(dim=0).to(torch.uint8).cpu().numpy()
