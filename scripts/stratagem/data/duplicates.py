"""Images that are there twice: the same pixels, or the same picture stored another way.

Of each image a print is kept: its grey values at 32x32, without their slow part (a Gaussian of 2), of
zero mean and unit length. The correlation of two prints is near 1 for one picture that was compressed,
resized, brightened or made noisy, and far below for two pictures of one kind. Very dim pictures, whose
detail is hardly more than their noise, may be missed.

Where pictures share what is no picture (a round aperture, a frame, a scale bar), that would make all of them
one. So two pictures that correlate are held against each other block by block: copies agree in all of their
blocks, strangers in an aperture differ inside it. A block is 4x4 pixels of the print; it differs where the
correlation in it is below 0.5, detail that a camera's noise could make counting as equal.
"""

import hashlib
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stratagem.data.image import reduced
from stratagem.data.objects import strips

__all__ = ["Print", "alike", "clusters", "pairs", "take_print"]

SIDE = 32  # pixels
MIDWAY = 256  # pixels of the longer side, from which the print is made
SLOW = 2.0  # standard deviation in these pixels
NEAR = 0.85  # correlation from which two pictures are one
BLOCK = 4  # pixels of the print: the side of the blocks that are held against each other
UNLIKE = 0.5  # correlation below which two blocks differ
MAY_DIFFER = 1  # blocks of 64, for what JPEG and noise change
FLOOR_SHARE, FLOOR = 0.02, 0.5  # of the range, and in grey values: detail that may be noise
AT_ONCE = 4096  # pairs held against each other at once
LEFT = 0.5  # correlation of what is left of copies, where many pictures have something in common
AKIN = 0.7  # correlation from which two pictures have something in common
MANY, MANY_SHARE = 8, 0.25  # pictures akin to one, and their share of the set, that are no copies of it
SCALE = 127 * 4  # of a unit vector's entries in int8: the largest are about a quarter
ROWS = 1024  # compared at once


class Print(NamedTuple):
    """What is kept of an image to find its copies.

    Attributes
    ----------
    digest : str
        Of shape, dtype and pixels: 24 hexadecimal digits; empty for an image of one colour, since an empty
        picture is no copy of another.
    vector : int8, (1024,)
        A unit vector times 508, rounded and clipped to 127; zeros for an image without any detail.
    floor : float
        What a pixel of the unit vector may be by noise alone.
    """

    digest: str
    vector: np.ndarray
    floor: float


def take_print(raw: np.ndarray) -> Print:
    """The print of an image.

    Parameters
    ----------
    raw : (H, W) or (H, W, C)
        Any dtype.

    Returns
    -------
    Print
    """
    small = reduced(raw, MIDWAY)  # in few bytes: the whole as float32 would take four times its own
    full = small.astype(np.float32) if raw.ndim == 2 else small.mean(axis=2, dtype=np.float32)
    grey = cv2.resize(full, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), SLOW)
    detail -= detail.mean()
    length = float(np.linalg.norm(detail))
    has_detail = length > 1e-3 * max(1.0, np.abs(grey).max())
    unit = detail / length if has_detail else np.zeros_like(detail)
    whole = np.ptp(grey) if raw.dtype != np.uint8 else max(np.ptp(grey), FLOOR / FLOOR_SHARE)
    floor = FLOOR_SHARE * float(whole) / length if has_detail else 0.0
    vector = np.rint((unit * SCALE).clip(-127, 127)).astype(np.int8).ravel()
    return Print(_digest(raw), vector, floor)


def pairs(samples: Sequence[Hashable], prints: list[Print], *, near: bool = True) -> pd.DataFrame:
    """The duplicates among some images.

    Near ones must correlate, hardly a block of them may differ, and where many images have something in
    common, what is left of them must correlate too.

    Parameters
    ----------
    samples : sequence
        Names or numbers, all different.
    prints : list of Print
        Of the samples, in their order; from `take_print`.
    near : bool
        Whether to look for more than the same pixels.

    Returns
    -------
    DataFrame
        ``sample, other, kind`` (exact, near) ``, correlation``: each pair once; 1 where it is exact.
    """
    digests = np.array([one.digest for one in prints], dtype=str)
    vectors, floors = _vectors(prints), np.array([one.floor for one in prints], np.float32)
    own = _own(vectors)[0] if near else vectors
    rows = []
    for start in range(0, len(samples), ROWS):
        equal = (digests[start : start + ROWS, None] == digests[None, start:]) & (digests[start:] != "")
        found = np.argwhere(np.triu(equal, 1)) + start
        rows += [(samples[one], samples[other], "exact", 1.0) for one, other in found]
        if near:
            correlation = vectors[start : start + ROWS] @ vectors[start:].T
            left = own[start : start + ROWS] @ own[start:].T
            places = np.argwhere(np.triu((correlation >= NEAR) & (left >= LEFT) & ~equal, 1))
            values = correlation[tuple(places.T)]
            alike = _agree(vectors, floors, places + start)
            rows += [
                (samples[one], samples[other], "near", float(value))
                for (one, other), value in zip(places[alike] + start, values[alike], strict=True)
            ]
    table = pd.DataFrame(rows, columns=["sample", "other", "kind", "correlation"])
    order = {name: place for place, name in enumerate(samples)}
    return table.sort_values(["sample", "other"], key=lambda names: names.map(order), ignore_index=True)


def _agree(vectors: np.ndarray, floors: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether hardly a block of two pictures differs, of each pair of rows: bool (M,)."""
    found = np.ones(len(places), bool)
    for start in range(0, len(places), AT_ONCE):
        ones, others = places[start : start + AT_ONCE].T
        one, other = _blocks(vectors[ones]), _blocks(vectors[others])
        noise = BLOCK**2 * (floors[ones] ** 2 + floors[others] ** 2)[:, None]
        both = 2 * np.einsum("mbp,mbp->mb", one, other) + noise
        each = sum(np.einsum("mbp,mbp->mb", some, some) for some in (one, other)) + noise
        found[start : start + AT_ONCE] = (both < UNLIKE * each).sum(axis=1) <= MAY_DIFFER
    return found


def _blocks(vectors: np.ndarray) -> np.ndarray:
    """Prints in blocks of 4x4 pixels: float32 (M, 64, 16)."""
    count = SIDE // BLOCK
    cut = vectors.reshape(-1, count, BLOCK, count, BLOCK).swapaxes(2, 3)
    return cut.reshape(len(vectors), count**2, BLOCK**2)


def alike(prints: list[Print]) -> int:
    """How many images share something with so many others that it was taken away.

    Parameters
    ----------
    prints : list of Print
        Of the whole set.

    Returns
    -------
    int
        0 where nothing was taken away.
    """
    return int(_own(_vectors(prints))[1].sum())


def _vectors(prints: list[Print]) -> np.ndarray:
    """The prints as float32 unit vectors, a row an image."""
    return _unit(np.array([one.vector for one in prints], np.float32).reshape(-1, SIDE**2))


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _own(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of each picture without what many have in common with it, and for which that is less."""
    enough = max(MANY, MANY_SHARE * len(vectors))
    own, shared = vectors.copy(), np.zeros(len(vectors), bool)
    for start in range(0, len(vectors), ROWS):
        rows = slice(start, start + ROWS)
        akin = (vectors[rows] @ vectors.T >= AKIN).astype(np.float32)
        akin[np.arange(len(akin)), np.arange(start, start + len(akin))] = 0
        count = akin.sum(axis=1)
        sharing = np.flatnonzero(count >= enough)
        shared[start + sharing] = True
        own[start + sharing] -= akin[sharing] @ vectors / count[sharing, None]
    return _unit(own), shared


def _digest(raw: np.ndarray) -> str:
    if (raw[0] == raw[0, 0]).all() and all((part == raw[0, 0]).all() for part in strips(raw)):
        return ""
    digest = hashlib.blake2b(f"{raw.shape}{raw.dtype}".encode(), digest_size=12)
    digest.update(np.ascontiguousarray(raw).data)
    return digest.hexdigest()


def clusters(names: list[str], linked: pd.DataFrame) -> pd.Series:
    """The first name of each name's cluster, by name, where ``sample`` and ``other`` belong together.

    Parameters
    ----------
    names : list of str
        Distinct; their order says which is the first of a cluster.
    linked : DataFrame
        Each row links two of these names, in the columns ``sample`` and ``other``.

    Returns
    -------
    Series of str
        In the order of the names; a name that is linked with none has itself.
    """
    place = {name: number for number, name in enumerate(names)}
    ends = [linked[key].map(place).to_numpy(int) for key in ("sample", "other")]
    links = coo_array((np.ones(len(linked)), tuple(ends)), shape=(len(names),) * 2)
    _, labels = connected_components(links, directed=False)
    first = pd.Series(names).groupby(labels).transform("first")
    return pd.Series(first.to_numpy(), index=names)
