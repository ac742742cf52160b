"""From an image to a mask at the image's own size, under a bound of memory.

Probabilities are brought back through the resolution plan, then the class is taken: labels are never
interpolated. Where a plan has several windows (tiles), their probabilities are added under a smooth
weight that falls off towards each window's edge (Hann), so that no seam shows; only the rows that
windows still to come can change are held, so that a large image costs the memory of a row of tiles.

A frame for which there is no room passes the network in parts: two halves first, then tiles, each cut in two
once more until one fits. Parts are no exact stand-in for the whole: group normalisation sees the region that
it is given, and no overlap changes that. So it is measured on the image itself, and told, how often two
parts disagree where they overlap.
"""

import contextlib
import itertools
import logging
import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import torch

from stratagem.core.errors import TrainingError
from stratagem.networks.execution import Execution
from stratagem.resolution.plans import Plan, Window

__all__ = ["Predictor", "assemble", "blended", "parts_of", "round_trip"]

log = logging.getLogger("stratagem")

OVERLAP = 0.125  # of a part's side that it shares with the next, at least
UNSEEN = 255  # no class


class Predictor:
    """Predicts masks with one network.

    Parameters
    ----------
    model : Module
        Gives logits (1, K, FH, FW) of uint8 images (1, 3, FH, FW); left in the mode it is in.
    plan : Plan
    execution : Execution
    room : function, optional
        Whether an image of so many pixels may pass whole, see `stratagem.evaluation.memory.room_for`;
        without it all may. Where the device runs out of memory it passes in parts all the same.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        plan: Plan,
        execution: Execution,
        room: Callable[[int], bool] | None = None,
    ):
        self.plan = plan
        self._model, self._execution, self._room = model, execution, room or (lambda pixels: True)

    def __call__(self, image: np.ndarray, pixel_size: float = math.nan) -> np.ndarray:
        """The predicted mask of one image.

        Parameters
        ----------
        image : uint8, (H, W, 3)
        pixel_size : float
            Of the image; needed by the plan `rescale` alone.

        Returns
        -------
        uint8, (H, W)
            Class indices.

        Raises
        ------
        TrainingError
            If there is no room for the smallest part.
        """

        def probabilities(window: Window) -> torch.Tensor:
            return self.plan.inverse(self._probabilities(self.plan.forward(image, window)), window)

        height, width = image.shape[:2]
        return assemble(self.plan.windows(height, width, pixel_size), probabilities)

    def _probabilities(self, frame: np.ndarray) -> torch.Tensor:
        """Of an image in its frame, uint8 (FH, FW, 3): float32 (K, FH, FW), in parts where it must be."""
        size = frame.shape[:2]
        for part in parts_of(size, self.plan.stride):
            if not self._room(math.prod(part)):
                continue
            with contextlib.suppress(torch.OutOfMemoryError):
                return self._whole(frame) if part == size else self._in_parts(frame, part)
            torch.cuda.empty_cache()  # after the error is gone, which holds what was computed
        raise TrainingError(
            expected="room to predict a part of an image",
            found=f"none for {part[0]}x{part[1]} pixels",
            where=f"an image of {size[0]}x{size[1]} in the network's frame",
            remedy="Raise `training.memory_mb` on a CPU, take a larger GPU, or lower `unet.width`.",
        )

    def _whole(self, frame: np.ndarray) -> torch.Tensor:
        with torch.inference_mode(), self._execution.autocast():
            logits = self._model(self._execution.images(frame[None]))
        return logits[0].float().softmax(dim=0)

    def _in_parts(self, frame: np.ndarray, part: tuple[int, int]) -> torch.Tensor:
        height, width = frame.shape[:2]
        tiles = Plan("tile", self.plan.stride, (part,), overlap=OVERLAP)
        windows = tiles.windows(height, width)
        found, differ = blended(
            windows, lambda tile: self._whole(tiles.forward(frame, tile)).cpu(), (height, width)
        )
        log.warning(
            "no room for %dx%d pixels at once: predicted in %d parts of %dx%d, which disagree on %.2f %% of "
            "the pixels that they share",
            *(height, width, len(windows), *part, 100 * differ),
        )
        return found


def parts_of(size: tuple[int, int], stride: int) -> Iterator[tuple[int, int]]:
    """The whole of a frame, then smaller parts of it, each the last one cut in two along its longer side.

    Parameters
    ----------
    size : (int, int)
        Height and width of the frame, multiples of the stride.
    stride : int

    Yields
    ------
    (int, int)
        Height and width of a part, multiples of the stride.
    """
    part = (size[0], size[1])
    yield part
    while max(part) > 2 * stride:
        longer = int(np.argmax(part))
        # Two parts of this side, which overlap, cover the last one.
        side = math.ceil(part[longer] / (2 - OVERLAP) / stride) * stride
        if side >= part[longer]:
            return
        part = (side, part[1]) if longer == 0 else (part[0], side)
        yield part


def blended(
    windows: list[Window], scores: Callable[[Window], torch.Tensor], size: tuple[int, int]
) -> tuple[torch.Tensor, float]:
    """The probabilities of parts that overlap, as one, and how often the parts disagree.

    Parameters
    ----------
    windows : list of Window
    scores : function
        Of a window, gives float (K, h, w) over its part, in main memory.
    size : (int, int)
        Of what the parts cover.

    Returns
    -------
    probabilities : float32, (K, H, W)
    differ : float
        Share of the pixels that parts have in common on which a later part takes another class than the
        first one.
    """
    total: torch.Tensor | None = None
    weights, first = torch.zeros(size), torch.full(size, UNSEEN, dtype=torch.uint8)
    shared = differ = 0
    for window in windows:
        found, weight = scores(window), _weight(window.part)
        height, width = window.part
        place = slice(window.top, window.top + height), slice(window.left, window.left + width)
        classes, before = found.argmax(dim=0).to(torch.uint8), first[place]
        again = before != UNSEEN
        shared, differ = shared + int(again.sum()), differ + int((again & (before != classes)).sum())
        first[place] = torch.where(again, before, classes)
        total = found.new_zeros((len(found), *size)) if total is None else total
        total[:, *place] += found * weight
        weights[place] += weight
    assert total is not None  # there is a window
    return total.div_(weights), differ / max(shared, 1)


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

    height, width = mask.shape
    return assemble(plan.windows(height, width, pixel_size), certain)


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
    band: torch.Tensor | None = None
    start = 0
    for top, row in itertools.groupby(windows, key=lambda window: window.top):
        added = _row(list(row), scores, found.shape[1])
        if band is not None:
            done = top - start
            found[start:top] = _classes(band[:, :done])
            added[:, : band.shape[1] - done] += band[:, done:].to(added.device)
        band, start = added, top
    assert band is not None  # there is a window
    found[start:] = _classes(band)
    return found


def _row(windows: list[Window], scores: Callable[[Window], torch.Tensor], width: int) -> torch.Tensor:
    """The weighted scores of windows of one height, float (K, h, width)."""
    total: torch.Tensor | None = None
    for window in windows:
        weighted = scores(window)
        weighted = weighted * _weight(window.part).to(weighted.device)
        if total is None:
            total = weighted.new_zeros((*weighted.shape[:2], width))
        total[:, :, window.left : window.left + window.part[1]] += weighted.to(total.device)
    assert total is not None  # there is a window
    return total


@lru_cache(maxsize=4)
def _weight(size: tuple[int, int]) -> torch.Tensor:
    """Of a window's pixels in the sum, float32 (h, w): above zero everywhere. The sum needs no division
    by its weights, which change no pixel's order of classes."""
    rows, columns = (torch.sin(torch.pi * (torch.arange(side) + 0.5) / side) ** 2 for side in size)
    return rows[:, None] * columns


def _classes(scores: torch.Tensor) -> np.ndarray:
    return scores.argmax(dim=0).to(torch.uint8).cpu().numpy()
