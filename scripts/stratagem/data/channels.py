"""Images of any number of channels, for libraries and eyes that take three or four of them."""

from collections.abc import Callable

import numpy as np
import pandas as pd

__all__ = ["COLOURS", "MOST", "channels_in", "composite", "in_fours", "lights"]

MOST = 32
COLOURS = 3
# Of the channels of an image that is no colour image, in turn. Each adds its own light.
LIGHTS = ("#00ffff", "#ff00ff", "#ffff00", "#ff0000", "#00ff00", "#0000ff", "#ffffff")


def composite(image: np.ndarray) -> np.ndarray:
    """An image as a picture: three channels as they are, others each in a colour of its own, added up.

    Parameters
    ----------
    image : uint8, (H, W, C)

    Returns
    -------
    uint8, (H, W, 3)
        Red, green, blue. The first seven channels are cyan, magenta, yellow, red, green, blue and white, and
        so on; a single one is grey. Light beyond 255 is 255.
    """
    channels = image.shape[2]
    if channels == COLOURS:
        return image
    if channels == 1:
        return np.repeat(image, COLOURS, axis=2)
    shares = np.array([_rgb(colour) for colour in lights(channels)], np.float32)
    found = image.reshape(-1, channels) @ shares
    return np.rint(found.clip(0, 255)).astype(np.uint8).reshape(*image.shape[:2], COLOURS)


def channels_in(index: pd.DataFrame) -> int:
    """How many channels the images of an index have, which is the same for all.

    Parameters
    ----------
    index : DataFrame
        See `stratagem.data.index`.

    Returns
    -------
    int
        3 where it holds no image.
    """
    return int(index["channels"].iat[0]) if len(index) else COLOURS


def lights(channels: int) -> list[str]:
    """The colours in which `composite` shows channels that are no colour image, as ``#rrggbb``.

    Parameters
    ----------
    channels : int

    Returns
    -------
    list of str
    """
    return [LIGHTS[number % len(LIGHTS)] for number in range(channels)]


def in_fours(image: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What a function of images of three or four channels makes of one of any number.

    Parameters
    ----------
    image : uint8, (H, W, C) or (H, W)
    change : function
        From uint8 (H, W, 3) or (H, W, 4) to an image of as many channels, each changed alike.

    Returns
    -------
    uint8, (h, w, C) or (h, w)
        Each channel as it would be in any other company; OpenCV rounds two channels otherwise.
    """
    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.ndim == 2 or channels in (3, 4):
        return change(image)
    padded = np.pad(image, ((0, 0), (0, 0), (0, -channels % 4)))
    parts = [np.ascontiguousarray(padded[..., start : start + 4]) for start in range(0, channels, 4)]
    return np.concatenate([change(part) for part in parts], axis=2)[..., :channels]


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
