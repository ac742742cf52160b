"""The pixels of a sample: image, uint8 (H, W, C), and mask, uint8 (H, W) of class indices.

Of one row of the index, or of a namespace with its columns. Which page of a file and which block of an image
the sample is stands in the row, so that no later stage knows of either.
"""

import functools
import json
from dataclasses import replace
from typing import Any, cast

import cv2
import numpy as np

from stratagem.core.errors import DataError
from stratagem.data.channels import composite
from stratagem.data.image import Part, Reading, read_image, read_raw, reduced, to_image
from stratagem.data.labels import Encoding, RawMask, read_mask, to_classes, unite

__all__ = ["one_mask", "place_of", "read_classes", "read_reduced", "read_sample"]


def read_sample(row) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of one row of the index: image, uint8 (H, W, C), and mask, uint8 (H, W).

    Parameters
    ----------
    row : named tuple or namespace
        With the index's columns as attributes.

    Returns
    -------
    image : uint8, (H, W, C)
        Red, green, blue, or the channels of the study.
    mask : uint8, (H, W)
        Class indices, 255 = ignore.

    Raises
    ------
    DataError
        If a file cannot be read, or changed its size since it was indexed, or the mask holds values or
        colours that have no class.
    """
    image = read_image(row.image, _reading(row.reading), place_of(row))
    encoding = _encoding(row.encoding)
    mask = to_classes(_mask_as_encoded(row, encoding), encoding, image, where=str(row.masks[0]))
    return _of_size(image, row, row.image), _of_size(mask, row, row.masks[0])


def read_classes(row) -> np.ndarray:
    """The mask alone, uint8 (H, W); the image is read only where the mask is painted over it.

    Parameters
    ----------
    row : named tuple or namespace
        With the index's columns as attributes.

    Returns
    -------
    uint8, (H, W)
        Class indices, 255 = ignore.

    Raises
    ------
    DataError
        As `read_sample`.
    """
    encoding = _encoding(row.encoding)
    if encoding.kind == "overlay":
        return read_sample(row)[1]
    mask = to_classes(_mask_as_encoded(row, encoding), encoding, where=str(row.masks[0]))
    return _of_size(mask, row, row.masks[0])


def read_reduced(row, side: int) -> tuple[np.ndarray, np.ndarray]:
    """As `read_sample`, for a picture: of an image whose longer side is above a bound, a smaller copy.

    Parameters
    ----------
    row : named tuple or namespace
        With the index's columns as attributes.
    side : int
        The longest side, in pixels.

    Returns
    -------
    image : uint8, (H, W, 3)
        Averaged over what a pixel covers; a composite of channels that are no colours.
    mask : uint8, (H, W)
        Of the pixel that is nearest.

    Raises
    ------
    DataError
        As `read_sample`, but for a size that changed.
    """
    encoding = _encoding(row.encoding)
    if max(row.height, row.width) <= side or encoding.kind == "overlay":
        image, mask = read_sample(row)
        return composite(reduced(image, side)), reduced(mask, side, nearest=True)
    image = to_image(reduced(read_raw(row.image, place_of(row)), side), _reading(row.reading), row.image)
    masks = _masks_of(row)
    small = [replace(mask, values=reduced(mask.values, side, nearest=True)) for mask in masks]
    threshold = encoding.threshold if encoding.kind == "instances" else None
    united = one_mask(small, image.shape[:2], threshold, row.masks[0])
    return composite(image), to_classes(united, encoding, where=str(row.masks[0]))


def place_of(row) -> Part:
    """Which page of its files, and which block of its image, a sample is.

    Parameters
    ----------
    row : named tuple or namespace
        With the index's columns as attributes; an index of version 0.2 has neither of them.

    Returns
    -------
    Part
    """
    page, window = getattr(row, "page", -1), getattr(row, "window", ())
    return Part(None if page < 0 else int(page), cast(Any, tuple(map(int, window)) or None))


def one_mask(masks: list[RawMask], size: tuple[int, int] | None, threshold: float | None, where) -> RawMask:
    """The mask of an image: those of one object each united, brought to a size if asked for.

    Parameters
    ----------
    masks : list of RawMask
        Of one image, at least one.
    size : (int, int) or None
        Height and width, in pixels, to resize to by nearest neighbour; None keeps the masks' own.
    threshold : float, or None
        Of files of one object each; see `stratagem.data.labels.unite`.
    where : path
        What an error names.

    Returns
    -------
    RawMask
        A single mask without a threshold as it is; else the numbers of the objects.

    Raises
    ------
    DataError
        As `stratagem.data.labels.unite`.
    """
    single = len(masks) == 1 and threshold is None
    mask = masks[0] if single else _united(masks, threshold, str(where))
    if size is None or mask.values.shape[:2] == size:
        return mask
    values = cv2.resize(mask.values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return RawMask(values, mask.palette, mask.bilevel)


def _masks_of(row) -> list[RawMask]:
    return [read_mask(path, place_of(row)) for path in row.masks]


def _mask_as_encoded(row, encoding: Encoding) -> RawMask:
    masks = _masks_of(row)
    threshold = encoding.threshold if encoding.kind == "instances" else None
    size = (row.height, row.width) if row.mask_resized else None
    return one_mask(masks, size, threshold, row.masks[0])


def _of_size(array: np.ndarray, row, path) -> np.ndarray:
    """The array, which must have the size that was indexed."""
    if array.shape[:2] != (row.height, row.width):
        raise DataError(
            expected=f"the size that was indexed, {row.height}x{row.width}",
            found=f"{array.shape[0]}x{array.shape[1]}",
            where=str(path),
            remedy="Start again: a data set that changed is indexed anew.",
        )
    return array


def _united(masks: list[RawMask], threshold: float | None, where: str) -> RawMask:
    try:
        return unite(masks, threshold)
    except DataError as error:
        raise DataError(
            expected=error.expected, found=error.found, where=where, remedy=error.remedy
        ) from error


@functools.lru_cache(maxsize=8)
def _encoding(record: str) -> Encoding:
    return Encoding.from_record(json.loads(record))


@functools.lru_cache(maxsize=8)
def _reading(record: str) -> Reading:
    return Reading(**{key: value and _tuples(value) for key, value in json.loads(record).items()})


def _tuples(given: Any) -> Any:
    """Lists as JSON has them, of lists or numbers."""
    return tuple(map(_tuples, given)) if isinstance(given, list) else given
