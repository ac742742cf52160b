"""Any image file as the canonical array: uint8, (H, W, 3), red green blue.

Grey, palette, 1-bit and CMYK files are converted to RGB; an alpha channel is dropped without
blending, so that a pixel keeps the colour it was stored with. Files of more than 8 bits a channel
are refused rather than guessed at: how to scale them depends on the whole data set.
"""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stratagem.errors import DataError

__all__ = ["EXTENSIONS", "read_image", "read_plane"]

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
RGB_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"})


def read_image(path: str | Path) -> np.ndarray:
    """An image file as uint8 (H, W, 3).

    Raises
    ------
    DataError
        If the file is empty, truncated, no image, or has more than 8 bits a channel.
    """
    return _open(path, RGB_MODES, lambda image: image if image.mode == "RGB" else image.convert("RGB"))


def read_plane(path: str | Path) -> np.ndarray:
    """A one-channel file (a mask) as uint8 (H, W), values as stored; 1-bit files as 0 and 255.

    Raises
    ------
    DataError
        If the file is empty, truncated, no image, or has several channels.
    """
    return _open(path, {"1", "L", "P"}, lambda image: image.convert("L") if image.mode == "1" else image)


def _open(path: str | Path, modes: frozenset[str] | set[str], convert) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.mode not in modes:
                raise _unreadable(path, f"one of the pixel modes {', '.join(sorted(modes))}", image.mode)
            return np.array(convert(image))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        empty = Path(path).is_file() and Path(path).stat().st_size == 0
        found = "an empty file" if empty else f"one that cannot be decoded ({error})"
        raise _unreadable(path, "a readable image file", found) from error


def _unreadable(path: str | Path, expected: str, found: str) -> DataError:
    return DataError(
        expected=expected,
        found=found,
        where=str(path),
        remedy="Convert or replace the file, or set `bad_samples: skip`.",
    )
