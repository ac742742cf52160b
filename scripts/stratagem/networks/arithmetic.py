"""What a network computes for a pixel: counted, not timed, so that it is the same on every machine."""

import functools

import torch
from torch.utils.flop_counter import FlopCounterMode

from stratagem.networks.build import build

__all__ = ["multiply_adds"]

SIDE_PX = 256  # of the image that it is counted on; large enough for every network of the table


@functools.cache
def multiply_adds(network: str, classes: int, *, width: int, depth: int, channels: int = 3) -> float:
    """Multiply-adds of a forward pass, for each pixel of the frame.

    Those of convolutions and matrix products, which are nearly all there are (torch's own counter). A step of
    training takes about three times as many, fewer where layers are frozen.

    Parameters
    ----------
    network : str
        One of `stratagem.networks.table.NETWORKS`.
    classes : int
        K, background counted.
    width, depth : int
        Of the classic U-Net.
    channels : int
        Of the images.

    Raises
    ------
    UnknownNameError
        If there is no such network.
    """
    built = build(network, classes, width=width, depth=depth, seed=0, channels=channels).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        built(torch.zeros(1, channels, SIDE_PX, SIDE_PX))
    return counter.get_total_flops() / 2 / SIDE_PX**2
