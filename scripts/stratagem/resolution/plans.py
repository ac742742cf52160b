"""Resolution plans: how images of many sizes enter the network's frame, and the way back.

A plan is fitted on the *sizes* of a data set, never on pixels or labels. Of an image's size it makes
windows: parts of the image, each with the size it is resampled to and the frame it stands in, in the
middle, filled up. Every plan but `tile` and `patches` has one window, the whole image. `forward` takes the
image or the mask into a window's frame, `inverse` brings per-class scores back to the window's own part of
the image; where a plan does not resample, that way is exact. What training reads are the windows too, but
for `patches`: there it is the whole image, of which it is shown random parts.

A new plan is two functions (its windows, its fit) and a row of `PLANS`.

Frames are multiples of the stride. An image too large for a frame keeps its own size: it is never cut
or shrunk in silence. An image is resampled by area where it shrinks and linearly where it grows; labels
are never interpolated: a mask takes the nearest label or the one of the largest area, and of a
prediction the probabilities are brought back before the class is taken. What is filled up is `IGNORE`
in the mask. Sizes are (height, width) in pixels.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from stratagem.core.axis import Axis
from stratagem.core.errors import GeometryError
from stratagem.data.channels import in_fours
from stratagem.data.labels import IGNORE

if TYPE_CHECKING:
    import torch

__all__ = ["PLANS", "Kind", "Plan", "Window", "Wish", "fit_plan"]

Size = tuple[int, int]

FILL = {"constant": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101, "edge": cv2.BORDER_REPLICATE}
PATCH_PX = 256  # of a side of a patch, unless the study says otherwise
KINDS_OF_FRAME = 64  # buckets are merged from no more: their number cubed is the work


@dataclass(frozen=True)
class Window:
    """A part of an image, and where it stands in a frame.

    Attributes
    ----------
    top, left : int
        Of the part, in the image.
    part, inner, frame : (int, int)
        Its size in the image, the size it is resampled to, the frame it is filled up to.
    """

    top: int
    left: int
    part: Size
    inner: Size
    frame: Size

    @property
    def offset(self) -> Size:
        """Top and left of the resampled part in its frame."""
        return (self.frame[0] - self.inner[0]) // 2, (self.frame[1] - self.inner[1]) // 2

    @property
    def resamples(self) -> bool:
        """Whether the way back is not exact."""
        return self.inner != self.part


@dataclass(frozen=True)
class Plan:
    """One resolution plan.

    Attributes
    ----------
    plan : str
        One of `PLANS`.
    stride : int
        The sides of every frame are multiples of this.
    frames : tuple of (int, int)
        One size for `resize`, `pad`, `letterbox`, `tile`, `patches`; those to choose from for `bucket`.
    pixel_size : float or None
        What `rescale` brings every pixel to, in the unit of the sample sheet.
    overlap : float
        Share of a tile's side that it has in common with the next, at least.
    fill : {"constant", "reflect", "edge"}
        What an image is filled up with; constant is 0.
    mask : {"nearest", "area"}
        The label of a resampled pixel: the nearest, or the one that covers most of it.
    foreground : float
        Of `patches`: share of the parts shown in training that hold a pixel of a foreground class.
    why : str
        How sizes were found.
    """

    plan: str
    stride: int
    frames: tuple[Size, ...] = ()
    pixel_size: float | None = None
    overlap: float = 0.0
    fill: str = "constant"
    mask: str = "nearest"
    foreground: float = 0.0
    why: str = field(default="", compare=False)

    def windows(self, height: int, width: int, pixel_size: float = math.nan) -> list[Window]:
        """The windows of an image of this size, by top, then left.

        Raises
        ------
        GeometryError
            If the plan is `rescale` and the size of the image's pixels is not known.
        """
        return PLANS[self.plan].windows(self, (height, width), pixel_size)

    def stored(self, height: int, width: int, pixel_size: float = math.nan) -> list[Window]:
        """The windows of an image that training reads: of `patches` the whole image, to cut parts from.

        Raises
        ------
        GeometryError
            As `windows`.
        """
        if self.patch is None:
            return self.windows(height, width, pixel_size)
        frame = max(height, self.patch[0]), max(width, self.patch[1])
        return [Window(0, 0, (height, width), (height, width), frame)]

    @property
    def patch(self) -> Size | None:
        """The size of the parts that training is shown, where it is random parts of images."""
        return self._framed(self.frames[0]) if PLANS[self.plan].random else None

    def forward(self, image: np.ndarray, window: Window) -> np.ndarray:
        """A window of an image, uint8 (H, W, C), in its frame, uint8 (FH, FW, C)."""
        return self._filled(_resized(_cut(image, window), window.inner), window, FILL[self.fill], 0)

    def forward_mask(self, mask: np.ndarray, window: Window) -> np.ndarray:
        """A window of a mask, uint8 (H, W), in its frame, uint8 (FH, FW)."""
        resized = _by_area if self.mask == "area" else _nearest
        return self._filled(resized(_cut(mask, window), window.inner), window, cv2.BORDER_CONSTANT, IGNORE)

    def inverse(self, scores: torch.Tensor, window: Window) -> torch.Tensor:
        """Scores in the frame, float (K, FH, FW), over the window's own part of the image, (K, h, w)."""
        (top, left), (height, width) = window.offset, window.inner
        scores = scores[:, top : top + height, left : left + width]
        if not window.resamples:
            return scores
        from torch.nn.functional import (
            interpolate,  # here: a study is read, and its plans fitted, without torch
        )

        return interpolate(scores[None], window.part, mode="bilinear", antialias=True)[0]

    def as_record(self) -> dict:
        """For plan.json."""
        record = asdict(self)
        if not self.foreground:  # of `patches` alone, which came after 0.2: plans of before stay as they were
            del record["foreground"]
        return record

    @classmethod
    def from_record(cls, record: dict) -> Plan:
        """The plan that `as_record` wrote."""
        return cls(**record | {"frames": tuple(tuple(frame) for frame in record["frames"])})

    def _filled(self, array: np.ndarray, window: Window, border: int, value: int) -> np.ndarray:
        if window.frame == window.inner:
            return np.ascontiguousarray(array)
        top, left = window.offset
        bottom, right = window.frame[0] - array.shape[0] - top, window.frame[1] - array.shape[1] - left
        return cv2.copyMakeBorder(array, top, bottom, left, right, border, value=[value] * 4)

    def _framed(self, size: Size) -> Size:
        """The smallest frame of whole strides that holds a size."""
        height, width = (-(-side // self.stride) * self.stride for side in size)
        return height, width

    def _whole(self, size: Size, inner: Size | None = None, frame: Size | None = None) -> list[Window]:
        """The one window of an image: not resampled and filled up to the stride, unless said otherwise."""
        inner = inner or size
        return [Window(0, 0, size, inner, self._framed(frame or inner))]


def _native(plan: Plan, size: Size, _) -> list[Window]:
    return plan._whole(size)


def _resize(plan: Plan, size: Size, _) -> list[Window]:
    return plan._whole(size, plan.frames[0])


def _bucket(plan: Plan, size: Size, _) -> list[Window]:
    holding = [frame for frame in plan.frames if frame[0] >= size[0] and frame[1] >= size[1]]
    return plan._whole(size, frame=min(holding, key=math.prod, default=None))


def _letterbox(plan: Plan, size: Size, _) -> list[Window]:
    factor = min(of / side for of, side in zip(plan.frames[0], size, strict=True))
    return plan._whole(size, _scaled(size, factor), plan.frames[0])


def _rescale(plan: Plan, size: Size, pixel_size: float) -> list[Window]:
    if not pixel_size > 0:
        raise GeometryError(
            expected="the physical size of a pixel",
            found=f"{pixel_size}",
            where="the resolution plan `rescale`",
            remedy="Give every image its `pixel_size` in the sample sheet, or use another plan.",
        )
    assert plan.pixel_size is not None
    return plan._whole(size, _scaled(size, pixel_size / plan.pixel_size))


def _tile(plan: Plan, size: Size, _) -> list[Window]:
    tile = plan.frames[0]
    tops, lefts = (_starts(side, of, plan.overlap) for side, of in zip(size, tile, strict=True))
    part = min(size[0], tile[0]), min(size[1], tile[1])
    frame = plan._framed(tile)
    return [Window(top, left, part, part, frame) for top, left in itertools.product(tops, lefts)]


@dataclass(frozen=True)
class Wish:
    """What a plan is fitted on.

    Attributes
    ----------
    sizes : int, (N, 2)
        Height and width of every sample.
    stride : int
        What the deepest network of the study needs.
    size : (int, int) or None
        Of the frame; without it, it is fitted.
    fit : str or None
        Without `size`: ``median``, ``largest`` or a percentile (``p90``) of the set.
    max_pixels : int or None
        A fitted size of more is shrunk to this, keeping its aspect.
    buckets : int
        How many frames there may be.
    pixel_size : float or None
        Of a pixel in the frame; without it the median of the set.
    pixel_sizes : float, (N,), or None
        Of every sample.
    """

    sizes: np.ndarray
    stride: int
    size: Size | None = None
    fit: str | None = None
    max_pixels: int | None = None
    buckets: int = 4
    pixel_size: float | None = None
    pixel_sizes: np.ndarray | None = None


@dataclass(frozen=True)
class Kind:
    """One row of the table of plans.

    Attributes
    ----------
    description : str
    windows : function
        From a plan, an image's height and width, and the size of its pixels, to its windows.
    fit : function
        From a `Wish` to what of a `Plan` it decides: ``frames`` or ``pixel_size``, and ``why``.
    keys : frozenset of str
        The keys of the config that are its own.
    cuts : bool
        Whether an image may have several windows, so that no frame holds it.
    random : bool
        Whether training is shown random parts of images, and not the windows.
    """

    description: str
    windows: Callable[[Plan, Size, float], list[Window]]
    fit: Callable[[Wish], dict]
    keys: frozenset[str] = frozenset()
    cuts: bool = False
    random: bool = False


def _fit_nothing(wish: Wish) -> dict:
    return {"why": f"every image at its own size, filled up to {wish.stride}"}


def _fit_median(wish: Wish) -> dict:
    return _as_asked(wish) or _fit_size(wish, wish.fit or "median", whole_strides=True)


def _fit_largest(wish: Wish) -> dict:
    found = _as_asked(wish) or _fit_size(wish, wish.fit or "largest", whole_strides=False)
    count = int((wish.sizes > np.array(found["frames"][0])).any(axis=1).sum())
    return found | {"why": found["why"] + (f"; {count} larger ones keep their own size" if count else "")}


def _fit_patch(wish: Wish) -> dict:
    """As large as most sets bear: the median image, but no more than is usual."""
    median = np.median(wish.sizes, axis=0)
    sides = [max(1, round(min(side, PATCH_PX) / wish.stride)) * wish.stride for side in median]
    return _as_asked(wish) or {
        "frames": (tuple(sides),),
        "why": f"the median image, at most {PATCH_PX} a side",
    }


def _as_asked(wish: Wish) -> dict | None:
    return None if wish.size is None else {"frames": (tuple(wish.size),), "why": "as the study asks"}


def _fit_size(wish: Wish, fit: str, *, whole_strides: bool) -> dict:
    """The median, largest or another size of the set, shrunk where it is too large."""
    rank = {"median": 50, "largest": 100}.get(fit) or float(fit[1:])
    found = np.percentile(wish.sizes, rank, axis=0)
    why = f"{fit} height and width of {len(wish.sizes)} images"
    if wish.max_pixels is not None and found.prod() > wish.max_pixels:
        found = found * math.sqrt(wish.max_pixels / found.prod())
        why += f", shrunk to {wish.max_pixels} pixels"
    if whole_strides:  # a multiple of the stride needs no filling up
        found = np.maximum(1, np.round(found / wish.stride)) * wish.stride
        why += f", rounded to {wish.stride}"
    return {"frames": (tuple(math.ceil(side) for side in found),), "why": why}


def _fit_pixel_size(wish: Wish) -> dict:
    pixel_sizes = wish.pixel_sizes
    if pixel_sizes is None or not (pixel_sizes > 0).all():
        missing = "all" if pixel_sizes is None else int((~(pixel_sizes > 0)).sum())
        raise GeometryError(
            expected="the physical size of every image's pixels",
            found=f"{missing} images without it",
            where="the resolution plan `rescale`",
            remedy="Give every image its `pixel_size` in the sample sheet, or use another plan.",
        )
    if wish.pixel_size is not None:
        return {"pixel_size": wish.pixel_size, "why": "as the study asks"}
    median = float(np.median(pixel_sizes))
    return {"pixel_size": median, "why": f"median of the pixels of {len(pixel_sizes)} images"}


def _fit_buckets(wish: Wish) -> dict:
    """Few frames: again and again the two are joined whose common frame adds the fewest pixels."""
    sizes, step, frames = wish.sizes, wish.stride, _frames(wish.sizes, wish.stride)
    while len(frames) > KINDS_OF_FRAME:
        step *= 2
        frames = _frames(sizes, step)
    while len(frames) > wish.buckets:
        one, other = min(itertools.combinations(sorted(frames), 2), key=lambda pair: _added(frames, *pair))
        count = frames.pop(one) + frames.pop(other)
        frames[_union(one, other)] += count
    filled = sum(count * math.prod(frame) for frame, count in frames.items())
    share = 1 - sizes.prod(axis=1).sum() / filled
    why = f"{len(frames)} frames for {len(sizes)} images; {share:.0%} of their pixels are filled up"
    return {"frames": tuple(sorted(frames)), "why": why}


def _frames(sizes: np.ndarray, step: int) -> Counter:
    return Counter(tuple(int(-(-side // step) * step) for side in size) for size in sizes)


def _union(one: Size, other: Size) -> Size:
    return max(one[0], other[0]), max(one[1], other[1])


def _added(frames: Counter, one: Size, other: Size) -> int:
    """Pixels more where the images of two frames share one."""
    union = math.prod(_union(one, other))
    return sum(frames[frame] * (union - math.prod(frame)) for frame in (one, other))


def _scaled(size: Size, factor: float) -> Size:
    height, width = (max(1, round(side * factor)) for side in size)
    return height, width


def _starts(side: int, tile: int, overlap: float) -> list[int]:
    """Where tiles begin along a side: evenly spaced, at least that share in common with the next."""
    if side <= tile:
        return [0]
    count = 1 + math.ceil((side - tile) / max(1, tile * (1 - overlap)))
    return [round(place) for place in np.linspace(0, side - tile, count)]


def _cut(array: np.ndarray, window: Window) -> np.ndarray:
    height, width = window.part
    return array[window.top : window.top + height, window.left : window.left + width]


def _resized(image: np.ndarray, size: Size) -> np.ndarray:
    """By area along the sides that shrink, then linearly along those that grow."""
    smaller = min(size[0], image.shape[0]), min(size[1], image.shape[1])
    for target, how in ((smaller, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if image.shape[:2] != target:
            resize = functools.partial(cv2.resize, dsize=target[::-1], interpolation=how)
            image = in_fours(image, resize)
    return image


def _nearest(mask: np.ndarray, size: Size) -> np.ndarray:
    if mask.shape == size:
        return mask
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _by_area(mask: np.ndarray, size: Size) -> np.ndarray:
    """The label that covers most of each pixel; of equals the lowest."""
    if mask.shape == size:
        return mask
    labels = np.unique(mask)
    covered = [_resized((mask == label).astype(np.float32), size) for label in labels]
    return labels[np.argmax(covered, axis=0)]


SIZED = frozenset({"size", "fit", "max_pixels"})
PLANS: Axis[Kind] = Axis(
    "resolution plan",
    {
        "native": Kind("own size.", _native, _fit_nothing),
        "resize": Kind("one size, by interpolation.", _resize, _fit_median, SIZED | {"mask"}),
        "pad": Kind(
            "the largest size, by filling up.", _bucket, _fit_largest, SIZED
        ),  # a bucket of one frame
        "letterbox": Kind(
            "the longer side resized, the rest filled up.", _letterbox, _fit_median, SIZED | {"mask"}
        ),
        "bucket": Kind(
            "a few frames, each image in the smallest that holds it.",
            _bucket,
            _fit_buckets,
            frozenset({"buckets"}),
        ),
        "tile": Kind("overlapping windows.", _tile, _fit_median, SIZED | {"overlap"}, cuts=True),
        "patches": Kind(
            "random windows of the images in training, overlapping ones in prediction.",
            _tile,
            _fit_patch,
            frozenset({"size", "overlap", "foreground"}),
            cuts=True,
            random=True,
        ),
        "rescale": Kind(
            "one physical size of a pixel.", _rescale, _fit_pixel_size, frozenset({"pixel_size", "mask"})
        ),
    },
)


def fit_plan(
    plan: str,
    sizes: np.ndarray,
    stride: int,
    *,
    overlap: float = 0.0,
    fill: str = "constant",
    mask: str = "nearest",
    foreground: float = 0.0,
    **wish,
) -> Plan:
    """A plan for a data set.

    Parameters
    ----------
    plan : str
        One of `PLANS`.
    sizes : int, (N, 2)
        Height and width of every sample.
    stride : int
        What the deepest network of the study needs.
    overlap, fill, mask, foreground
        See `Plan`.
    **wish
        The rest of a `Wish`.

    Raises
    ------
    GeometryError
        If the plan is `rescale` and the size of a sample's pixels is not known.
    UnknownNameError
        If there is no such plan.
    """
    found = PLANS[plan].fit(Wish(sizes, stride, **wish))
    return Plan(plan, stride, **found, overlap=overlap, fill=fill, mask=mask, foreground=foreground)
