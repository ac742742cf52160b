"""The table of losses.

The loss of an image is the sum of its terms; of a batch it is the mean over its images, so that large and
small images count alike and a batch can pass the network in parts. Ignored pixels count nowhere. A term is a
function of `Pixels` that gives one number an image; a loss is a row that names its terms.

Read without torch, since the study's legal values are the table's.

Sources: Milletari et al. 2016 (arXiv:1606.04797) for soft Dice; Lin et al. 2017 (arXiv:1708.02002) for the
focal loss; Salehi et al. 2017 (arXiv:1706.05721) for Tversky's.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stratagem.core.axis import Axis
from stratagem.data.labels import IGNORE

if TYPE_CHECKING:
    import torch

__all__ = ["CLASS_WEIGHTS", "LOSSES", "Loss", "Pixels", "losses"]

SMOOTH = 1.0  # pixels: keeps Dice of an absent class defined
FOCUS = 2.0  # exponent of the focal loss
FALSE_ALARM, MISS = 0.3, 0.7  # what Tversky's counts of them weigh: the missed more
RAREST = 1e-4  # share of the pixels: a rarer class weighs no more than one of this share


@dataclass(frozen=True)
class Pixels:
    """What a term is computed from.

    Attributes
    ----------
    log_p : float32, (B, K, H, W)
        Logarithm of each class's probability.
    truth : bool, (B, K, H, W)
        Whether it is the true class; nowhere where a pixel is ignored.
    counted : bool, (B, H, W)
        Whether a pixel counts.
    weights : float32, (K,), or None
        What each class weighs; None: all the same.
    """

    log_p: torch.Tensor
    truth: torch.Tensor
    counted: torch.Tensor
    weights: torch.Tensor | None = None


Term = Callable[[Pixels], "torch.Tensor"]


@dataclass(frozen=True)
class Loss:
    """One row of the table.

    Attributes
    ----------
    description : str
    terms : tuple of functions
        From `Pixels` to float32 (B,).
    """

    description: str
    terms: tuple[Term, ...]


def _cross_entropy(pixels: Pixels) -> torch.Tensor:
    return _mean_over_pixels(pixels, pixels.log_p)


def _focal(pixels: Pixels) -> torch.Tensor:
    return _mean_over_pixels(pixels, (1 - pixels.log_p.exp()) ** FOCUS * pixels.log_p)


def _dice(pixels: Pixels) -> torch.Tensor:
    p = pixels.log_p.exp() * pixels.counted[:, None]
    overlap = (p * pixels.truth).sum(dim=(2, 3))
    dice = (2 * overlap + SMOOTH) / (p.sum(dim=(2, 3)) + pixels.truth.sum(dim=(2, 3)) + SMOOTH)
    return _mean_over_foreground(pixels, 1 - dice[:, 1:])


def _tversky(pixels: Pixels) -> torch.Tensor:
    p = pixels.log_p.exp() * pixels.counted[:, None]
    hits = (p * pixels.truth).sum(dim=(2, 3))
    false_alarms = p.sum(dim=(2, 3)) - hits
    misses = pixels.truth.sum(dim=(2, 3)) - hits
    index = (hits + SMOOTH) / (hits + FALSE_ALARM * false_alarms + MISS * misses + SMOOTH)
    return _mean_over_foreground(pixels, 1 - index[:, 1:])


LOSSES: Axis[Loss] = Axis(
    "loss",
    {
        "cross-entropy-dice": Loss("cross-entropy plus soft Dice.", (_cross_entropy, _dice)),
        "cross-entropy": Loss("mean over an image's pixels.", (_cross_entropy,)),
        "dice": Loss("one minus soft Dice, mean over foreground classes.", (_dice,)),
        "focal-dice": Loss("cross-entropy that looks at hard pixels first, plus soft Dice.", (_focal, _dice)),
        "tversky": Loss("as Dice, but a missed pixel costs more than a false alarm.", (_tversky,)),
    },
)


def _equal(shares: Sequence[float]) -> None:
    return None


def _inverse(shares: Sequence[float]) -> tuple[float, ...]:
    return tuple(1 / max(share, RAREST) for share in shares)


@dataclass(frozen=True)
class Weighting:
    """One row of the table of class weights.

    Attributes
    ----------
    description : str
    of : function
        From each class's share of the training images' pixels to its weight; None: all the same.
    """

    description: str
    of: Callable[[Sequence[float]], tuple[float, ...] | None]


CLASS_WEIGHTS: Axis[Weighting] = Axis(
    "class weighting",
    {
        "none": Weighting("all classes weigh the same.", _equal),
        "inverse": Weighting("each as the inverse of its share of the training images' pixels.", _inverse),
    },
)


def losses(
    logits: torch.Tensor,
    mask: torch.Tensor,
    loss: str = "cross-entropy-dice",
    class_weights: Sequence[float] | None = None,
) -> torch.Tensor:
    """The loss of each image.

    Parameters
    ----------
    logits : float, (B, K, H, W)
    mask : uint8, (B, H, W)
        255 = ignore.
    loss : str
        One of `LOSSES`.
    class_weights : sequence of float, (K,), optional
        What each class weighs; their common factor does not matter.

    Returns
    -------
    float32, (B,)
        Of a mean over pixels zero where every pixel is ignored.
    """
    classes = mask.new_tensor(range(logits.shape[1]))
    weights = None if class_weights is None else logits.new_tensor(class_weights).float()
    pixels = Pixels(
        log_p=logits.float().log_softmax(dim=1),
        truth=mask[:, None] == classes[:, None, None],
        counted=mask != IGNORE,
        weights=weights,
    )
    return functools.reduce(operator.add, (term(pixels) for term in LOSSES[loss].terms))


def _mean_over_pixels(pixels: Pixels, gain: torch.Tensor) -> torch.Tensor:
    """Minus the mean of what the true class gains at each pixel that counts: (B,)."""
    if pixels.weights is None:
        total = pixels.counted.sum(dim=(1, 2)).clamp(min=1)
        return -(gain * pixels.truth).sum(dim=(1, 2, 3)) / total
    weighted = pixels.truth * pixels.weights[:, None, None]
    return -(gain * weighted).sum(dim=(1, 2, 3)) / weighted.sum(dim=(1, 2, 3)).clamp(min=1e-12)


def _mean_over_foreground(pixels: Pixels, lost: torch.Tensor) -> torch.Tensor:
    """The mean over foreground classes, (B, K - 1) to (B,)."""
    if pixels.weights is None:
        return lost.mean(dim=1)
    weights = pixels.weights[1:]
    return (lost * weights).sum(dim=1) / weights.sum()
