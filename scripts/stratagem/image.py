"""Any image file as the canonical array: uint8, (H, W, 3), red green blue.

Grey, palette, 1-bit and CMYK files are converted to RGB; an alpha channel is dropped without
blending, so that a pixel keeps the colour it was stored with. Files of more than 8 bits a channel
are refused rather than guessed at: how to scale them depends on the whole data set.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from stratagem.errors import DataError

__all__ = ["EXTENSIONS", "read_image", "read_plane"]

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
RGB_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"})
PLANE_MODES = frozenset({"1", "L", "P"})
STRETCH = {"L;2": 85, "L;4": 17}  # what Pillow multiplies the values of narrow grey files by


def read_image(path: str | Path) -> np.ndarray:
    """An image file as uint8 (H, W, 3).

    Raises
    ------
    DataError
        If the file is empty, truncated, no image, or has more than 8 bits a channel.
    """
    return _open(path, RGB_MODES, lambda image: np.array(image.convert("RGB")))


def read_plane(path: str | Path) -> np.ndarray:
    """A one-channel file (a mask) as uint8 (H, W), values as stored; 1-bit files as 0 and 255.

    Raises
    ------
    DataError
        If the file is empty, truncated, no image, or has several channels.
    """
    return _open(path, PLANE_MODES, _as_stored)


def _as_stored(image: Image.Image) -> np.ndarray:
    stretch = STRETCH.get(_packing(image), 1)  # before the pixels are read: Pillow then forgets it
    return np.array(image.convert("L") if image.mode == "1" else image) // np.uint8(stretch)


def _open(path: str | Path, modes: frozenset[str], convert) -> np.ndarray:
    try:
        with Image.open(path) as image:
            wide = ";16" in _packing(image)  # Pillow would cut 16-bit colour to 8 bits in silence
            if wide or image.mode not in modes:
                found = f"{image.mode} of 16 bits a channel" if wide else image.mode
                raise _unreadable(path, f"one of the pixel modes {', '.join(sorted(modes))}", found)
            if getattr(image, "n_frames", 1) > 1:
                raise _unreadable(path, "one image", f"{image.n_frames} pages")
            return convert(image)
    except DataError:
        raise
    except Exception as error:  # Pillow raises nearly any kind on a damaged file
        empty = Path(path).is_file() and Path(path).stat().st_size == 0
        found = "an empty file" if empty else f"one that cannot be decoded ({error})"
        raise _unreadable(path, "a readable image file", found) from error


def _packing(image: Image.Image) -> str:
    """How the file packs its pixels: "RGB;16B", "L;4"."""
    args = image.tile[0].args if image.tile else ""
    return args if isinstance(args, str) else str(args[0] if args else "")


def _unreadable(path: str | Path, expected: str, found: str) -> DataError:
    return DataError(
        expected=expected,
        found=found,
        where=str(path),
        remedy="Convert or replace the file, or set `bad_samples: skip`.",
    )
