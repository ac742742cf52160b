"""Resolution plans: how images of many sizes enter the network's frame, and the way back.

A plan is fitted on the *sizes* of a data set, never on pixels or labels. Of an image's size it makes
windows: parts of the image, each with the size it is resampled to and the frame it stands in, in the
middle, filled up. Every plan but `tile` has one window, the whole image. `forward` takes the image or
the mask into a window's frame, `inverse` brings per-class scores back to the window's own part of the
image; where a plan does not resample, that way is exact.

    native      the image's own size
    resize      one size for all
    pad         the largest height and width of the set, or a given size, by filling up
    letterbox   one size for all, keeping the aspect: the longer side fits, the rest is filled up
    bucket      the smallest of a few frames that holds the image, by filling up
    tile        overlapping windows of one size
    rescale     one physical size of a pixel

Frames are multiples of the stride. An image too large for a frame keeps its own size: it is never cut
or shrunk in silence. An image is resampled by area where it shrinks and linearly where it grows; labels
are never interpolated: a mask takes the nearest label or the one of the largest area, and of a
prediction the probabilities are brought back before the class is taken. What is filled up is `IGNORE`
in the mask. Sizes are (height, width) in pixels.
"""

import itertools
import math
from collections import Counter
from dataclasses import asdict, dataclass, field

import cv2
import numpy as np
import torch
from torch.nn.functional import interpolate

from stratagem.core.errors import GeometryError
from stratagem.data.labels import IGNORE

__all__ = ["Plan", "Window", "fit"]

Size = tuple[int, int]

FILL = {"constant": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101, "edge": cv2.BORDER_REPLICATE}
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
        One of those of the module's docstring.
    stride : int
        The sides of every frame are multiples of this.
    frames : tuple of (int, int)
        One size for `resize`, `pad`, `letterbox`, `tile`; those to choose from for `bucket`.
    pixel_size : float or None
        What `rescale` brings every pixel to, in the unit of the sample sheet.
    overlap : float
        Share of a tile's side that it has in common with the next, at least.
    fill : {"constant", "reflect", "edge"}
        What an image is filled up with; constant is 0.
    mask : {"nearest", "area"}
        The label of a resampled pixel: the nearest, or the one that covers most of it.
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
    why: str = field(default="", compare=False)

    def windows(self, height: int, width: int, pixel_size: float = math.nan) -> list[Window]:
        """The windows of an image of this size, by top, then left.

        Raises
        ------
        GeometryError
            If the plan is `rescale` and the size of the image's pixels is not known.
        """
        return _WINDOWS[self.plan](self, (height, width), pixel_size)

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
        return interpolate(scores[None], window.part, mode="bilinear", antialias=True)[0]

    def as_record(self) -> dict:
        """For plan.json."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict) -> "Plan":
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
        return tuple(-(-side // self.stride) * self.stride for side in size)

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
    return plan._whole(size, _scaled(size, pixel_size / plan.pixel_size))


def _tile(plan: Plan, size: Size, _) -> list[Window]:
    tile = plan.frames[0]
    tops, lefts = (_starts(side, of, plan.overlap) for side, of in zip(size, tile, strict=True))
    part = min(size[0], tile[0]), min(size[1], tile[1])
    frame = plan._framed(tile)
    return [Window(top, left, part, part, frame) for top, left in itertools.product(tops, lefts)]


_WINDOWS = {
    "native": _native,
    "resize": _resize,
    "pad": _bucket,  # of one frame
    "letterbox": _letterbox,
    "bucket": _bucket,
    "tile": _tile,
    "rescale": _rescale,
}


def fit(
    plan: str,
    sizes: np.ndarray,
    stride: int,
    *,
    size: Size | None = None,
    fit: str | None = None,
    max_pixels: int | None = None,
    buckets: int = 4,
    pixel_size: float | None = None,
    pixel_sizes: np.ndarray | None = None,
    **options,
) -> Plan:
    """A plan for a data set.

    Parameters
    ----------
    plan : str
    sizes : int, (N, 2)
        Height and width of every sample.
    stride : int
        What the deepest network of the study needs.
    size : (int, int), optional
        Of `resize`, `letterbox`, `pad`, `tile`.
    fit : str, optional
        Without `size`: ``median``, ``largest`` or a percentile (``p90``) of the set.
    max_pixels : int, optional
        A fitted size of more is shrunk to this, keeping its aspect.
    buckets : int
        How many frames `bucket` may have.
    pixel_size : float, optional
        Of `rescale`; without it the median of the set.
    pixel_sizes : float, (N,), optional
        Of every sample.
    **options
        `overlap`, `fill`, `mask`: see `Plan`.

    Raises
    ------
    GeometryError
        If the plan is `rescale` and the size of a sample's pixels is not known.
    """
    if plan == "native":
        found = {"why": f"every image at its own size, filled up to {stride}"}
    elif plan == "rescale":
        found = _fit_pixel_size(pixel_size, pixel_sizes)
    elif plan == "bucket":
        found = _fit_buckets(sizes, stride, buckets)
    elif size is not None:
        found = {"frames": (tuple(size),), "why": "as the study asks" + _too_large(plan, sizes, size)}
    else:
        found = _fit_size(plan, sizes, stride, fit or ("largest" if plan == "pad" else "median"), max_pixels)
    return Plan(plan, stride, **found, **options)


def _fit_size(plan: str, sizes: np.ndarray, stride: int, fit: str, max_pixels: int | None) -> dict:
    rank = {"median": 50, "largest": 100}.get(fit) or float(fit[1:])
    found = np.percentile(sizes, rank, axis=0)
    why = f"{fit} height and width of {len(sizes)} images"
    if max_pixels is not None and found.prod() > max_pixels:
        found = found * math.sqrt(max_pixels / found.prod())
        why += f", shrunk to {max_pixels} pixels"
    if plan != "pad":  # a multiple of the stride needs no filling up
        found = np.maximum(1, np.round(found / stride)) * stride
        why += f", rounded to {stride}"
    frame = tuple(math.ceil(side) for side in found)
    return {"frames": (frame,), "why": why + _too_large(plan, sizes, frame)}


def _too_large(plan: str, sizes: np.ndarray, frame: Size) -> str:
    count = int((sizes > np.array(frame)).any(axis=1).sum()) if plan == "pad" else 0
    return f"; {count} larger ones keep their own size" if count else ""


def _fit_pixel_size(pixel_size: float | None, pixel_sizes: np.ndarray | None) -> dict:
    if pixel_sizes is None or not (pixel_sizes > 0).all():
        missing = "all" if pixel_sizes is None else int((~(pixel_sizes > 0)).sum())
        raise GeometryError(
            expected="the physical size of every image's pixels",
            found=f"{missing} images without it",
            where="the resolution plan `rescale`",
            remedy="Give every image its `pixel_size` in the sample sheet, or use another plan.",
        )
    if pixel_size is not None:
        return {"pixel_size": pixel_size, "why": "as the study asks"}
    median = float(np.median(pixel_sizes))
    return {"pixel_size": median, "why": f"median of the pixels of {len(pixel_sizes)} images"}


def _fit_buckets(sizes: np.ndarray, stride: int, buckets: int) -> dict:
    """Few frames: again and again the two are joined whose common frame adds the fewest pixels."""
    step, frames = stride, _frames(sizes, stride)
    while len(frames) > KINDS_OF_FRAME:
        step *= 2
        frames = _frames(sizes, step)
    while len(frames) > buckets:
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
    return tuple(max(1, round(side * factor)) for side in size)


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
            image = cv2.resize(image, target[::-1], interpolation=how)
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
