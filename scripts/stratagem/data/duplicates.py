"""Images that are there twice: the same pixels, or the same picture stored another way.

Of each image a print is kept: its grey values at 32x32, without their slow part (a Gaussian of 2), of
zero mean and unit length. The correlation of two prints is near 1 for one picture that was compressed,
resized, brightened or made noisy, and far below for two pictures of one kind. Very dim pictures, whose
detail is hardly more than their noise, may be missed.

Where pictures share what is no picture (a round aperture, a frame, a scale bar), that would make all of them
one. So what a large part of a set has in common is taken away before they are compared.
"""

import hashlib

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["Print", "alike", "clusters", "pairs", "take_print"]

SIDE = 32  # pixels
SLOW = 2.0  # standard deviation in these pixels
NEAR = 0.85  # correlation from which two pictures are one
AKIN = 0.7  # correlation from which two pictures have something in common
MANY, MANY_SHARE = 8, 0.25  # pictures akin to one, and their share of the set, that are no copies of it
SCALE = 127 * 4  # of a unit vector's entries in int8: the largest are about a quarter
ROWS = 1024  # compared at once

Print = tuple[str, np.ndarray]


def take_print(raw: np.ndarray) -> Print:
    """The digest of an image's pixels, and its print, int8 (1024,).

    The digest is empty for an image of one colour, since an empty picture is no copy of another, and the
    print is zeros for one without any detail.

    Parameters
    ----------
    raw : (H, W) or (H, W, C)
        Any dtype.

    Returns
    -------
    digest : str
        Of shape, dtype and pixels: 24 hexadecimal digits, or empty.
    print : int8, (1024,)
        A unit vector times 508, rounded and clipped to 127.
    """
    full = raw.astype(np.float32) if raw.ndim == 2 else raw.mean(axis=2, dtype=np.float32)
    grey = cv2.resize(full, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), SLOW)
    detail -= detail.mean()
    length = np.linalg.norm(detail)
    unit = detail / length if length > 1e-3 * max(1.0, np.abs(grey).max()) else np.zeros_like(detail)
    return _digest(raw), np.rint((unit * SCALE).clip(-127, 127)).astype(np.int8).ravel()


def pairs(samples: list[str], prints: list[Print]) -> pd.DataFrame:
    """The duplicates among some images.

    Where many images have something in common, both the pictures and what is left of them must correlate.

    Parameters
    ----------
    samples : list of str
    prints : list of (str, int8 (1024,))
        Of the samples, in their order; from `take_print`.

    Returns
    -------
    DataFrame
        ``sample, other, kind`` (exact, near) ``, correlation``: each pair once; 1 where it is exact.
    """
    digests = np.array([digest for digest, _ in prints])
    vectors = _vectors(prints)
    own, _ = _own(vectors)
    rows = []
    for start in range(0, len(samples), ROWS):
        correlation = np.minimum(*(some[start : start + ROWS] @ some[start:].T for some in (vectors, own)))
        equal = (digests[start : start + ROWS, None] == digests[None, start:]) & (digests[start:] != "")
        for one, other in np.argwhere(np.triu((correlation >= NEAR) | equal, 1)):
            kind = "exact" if equal[one, other] else "near"
            value = 1.0 if equal[one, other] else float(correlation[one, other])
            rows.append((samples[start + one], samples[start + other], kind, value))
    return pd.DataFrame(rows, columns=["sample", "other", "kind", "correlation"])


def alike(prints: list[Print]) -> int:
    """How many images share something with so many others that it was taken away.

    Parameters
    ----------
    prints : list of (str, int8 (1024,))
        Of the whole set; from `take_print`.

    Returns
    -------
    int
        0 where nothing was taken away.
    """
    return int(_own(_vectors(prints))[1].sum())


def _vectors(prints: list[Print]) -> np.ndarray:
    """The prints as float32 unit vectors, a row an image."""
    return _unit(np.array([vector for _, vector in prints], np.float32).reshape(-1, SIDE**2))


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
    if (raw == raw[0, 0]).all():
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
