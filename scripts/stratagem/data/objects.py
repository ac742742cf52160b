"""Values and connected objects of a mask, counted in strips, so that any size fits the memory."""

from collections.abc import Iterator

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["count_objects", "count_values", "strips"]

PART = 2**24  # pixels at a time


def strips(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array in bands of whole rows.

    Parameters
    ----------
    array : (H, W) or (H, W, C)

    Yields
    ------
    (h, W) or (h, W, C)
        Views of at most 2^24 pixels, or of one row.
    """
    rows = max(1, PART // array.shape[1])
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def count_values(mask: np.ndarray) -> np.ndarray:
    """How many pixels have each value: int64 (256,).

    Parameters
    ----------
    mask : uint8, (H, W)
    """
    # OpenCV counts in float32, which is exact up to the pixels of a strip; NumPy would copy to int64 first.
    counts = [cv2.calcHist([np.ascontiguousarray(part)], [0], None, [256], [0, 256]) for part in strips(mask)]
    return np.sum(counts, axis=0).astype(np.int64).ravel()


def count_objects(mask: np.ndarray, value: int) -> int:
    """How many connected regions of a value there are; pixels that touch at a corner are connected.

    Parameters
    ----------
    mask : uint8, (H, W)
    value : int

    Returns
    -------
    int
    """
    total, seams, above = 0, [], None
    for part in strips(mask):
        count, regions = cv2.connectedComponents((part == value).view(np.uint8))
        if above is not None:
            seams += _touching(above, np.where(regions[0], regions[0] + total, 0))
        total += count - 1
        above = np.where(regions[-1], regions[-1] + total - count + 1, 0)
    if not seams:
        return total
    ends = np.unique(np.concatenate(seams, axis=1), axis=1)
    links = coo_array((np.ones(ends.shape[1]), tuple(ends - 1)), shape=(total, total))
    return int(connected_components(links, directed=False, return_labels=False))


def _touching(above: np.ndarray, below: np.ndarray) -> list[np.ndarray]:
    """The numbers of regions, from 1, that touch across a seam, int (2, M), straight and at corners."""
    shifted = [(above, below), (above[1:], below[:-1]), (above[:-1], below[1:])]
    pairs = [np.stack([one, other]) for one, other in shifted]
    return [pair[:, (pair > 0).all(axis=0)] for pair in pairs]
