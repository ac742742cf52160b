"""Resolution plans: how images of many sizes enter the network's frame, and the way back.

A plan is fitted on the *sizes* of a data set, never on pixels or labels. `forward` brings an image or a
mask into the frame, `inverse` brings per-class scores back to the image's own height and width.
Where a plan does not resample, the way back is exact.

    native   the image's own size, filled up to the stride
    resize   one size for all, by interpolation (area when shrinking, linear when growing)
    pad      the largest height and width of the set, by filling up

Fill is 0 in images and `IGNORE` in masks; the image stands in the middle of its frame. Labels are never
interpolated: a mask is resized by nearest neighbour, and of a prediction the scores are brought back
before the class is taken. Sizes are (height, width) in pixels.
"""

from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch
from torch.nn.functional import interpolate

from stratagem.errors import GeometryError
from stratagem.labels import IGNORE

__all__ = ["Plan", "fit"]


@dataclass(frozen=True)
class Plan:
    """One resolution plan.

    Attributes
    ----------
    plan : {"native", "resize", "pad"}
    stride : int
        The sides of every frame are multiples of this.
    size : (int, int) or None
        The frame of `resize` (the size that is resampled to) and of `pad`; None for `native`.
    why : str
        How the size was found.
    """

    plan: str
    stride: int
    size: tuple[int, int] | None
    why: str

    def frame(self, height: int, width: int) -> tuple[int, int]:
        """The frame that an image of this size gets.

        Raises
        ------
        GeometryError
            If the image is larger than the frame of a `pad` plan.
        """
        inner = self.size or (height, width)
        if self.plan == "pad" and (height > inner[0] or width > inner[1]):
            raise GeometryError(
                expected=f"an image of at most {inner[0]}x{inner[1]} (height x width)",
                found=f"{height}x{width}",
                where="the resolution plan `pad`",
                remedy="Fit the plan anew on a set that holds this image, or use `native`.",
            )
        return tuple(-(-side // self.stride) * self.stride for side in inner)

    def forward(self, image: np.ndarray) -> np.ndarray:
        """An image, uint8 (H, W, C), in its frame, uint8 (FH, FW, C)."""
        frame = self.frame(*image.shape[:2])
        if self.plan == "resize":
            image = _resize(image, self.size)
        return _fill(image, frame, 0)

    def forward_mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask, uint8 (H, W), in its frame, uint8 (FH, FW)."""
        frame = self.frame(*mask.shape)
        if self.plan == "resize":
            mask = cv2.resize(mask, self.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return _fill(mask, frame, IGNORE)

    def inverse(self, scores: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Scores in the frame, float (K, FH, FW), at the image's own size, (K, height, width)."""
        inner = self.size if self.plan == "resize" else (height, width)
        top, left = (np.array(self.frame(height, width)) - inner) // 2
        scores = scores[:, top : top + inner[0], left : left + inner[1]]
        if inner == (height, width):
            return scores
        return interpolate(scores[None], (height, width), mode="bilinear", antialias=True)[0]

    def as_record(self) -> dict:
        """For plan.json."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict) -> "Plan":
        """The plan that `as_record` wrote."""
        size = tuple(record["size"]) if record["size"] else None
        return cls(record["plan"], record["stride"], size, record["why"])


def fit(plan: str, size: tuple[int, int] | None, sizes: np.ndarray, stride: int) -> Plan:
    """A plan for a data set.

    Parameters
    ----------
    plan : {"native", "resize", "pad"}
    size : (int, int) or None
        What the study asks of `resize`; None takes the median of the set.
    sizes : int, (N, 2)
        Height and width of every sample.
    stride : int
        What the deepest network of the study needs.
    """
    if plan == "native":
        return Plan(plan, stride, None, f"every image at its own size, filled up to {stride}")
    if plan == "pad":
        largest = tuple(int(side) for side in sizes.max(axis=0))
        return Plan(plan, stride, largest, f"largest height and width of {len(sizes)} images")
    if size is not None:
        return Plan(plan, stride, tuple(size), "as the study asks")
    median = [max(stride, round(float(side) / stride) * stride) for side in np.median(sizes, axis=0)]
    return Plan(plan, stride, tuple(median), f"median of {len(sizes)} sizes, rounded to {stride}")


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, size[::-1], interpolation=interpolation)
    return resized.reshape(*size, -1)


def _fill(array: np.ndarray, frame: tuple[int, int], value: int) -> np.ndarray:
    top, left = (np.array(frame) - array.shape[:2]) // 2
    bottom, right = np.array(frame) - array.shape[:2] - (top, left)
    rest = [(0, 0)] * (array.ndim - 2)
    return np.pad(array, [(top, bottom), (left, right), *rest], constant_values=value)
