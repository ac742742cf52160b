"""Any network of the table, built with random weights that are a function of the seed."""

import pkgutil

import torch
from torch import nn

from stratagem.networks.table import NETWORKS

__all__ = ["build"]


def build(network: str, classes: int, *, width: int, depth: int, seed: int, channels: int = 3) -> nn.Module:
    """A network with random weights that are a function of the seed.

    Parameters
    ----------
    network : str
        One of `stratagem.networks.table.NETWORKS`.
    classes : int
        K, background counted.
    width, depth : int
        Of the classic U-Net: channels of the first level; number of poolings.
    seed : int
    channels : int
        Of the images.

    Raises
    ------
    UnknownNameError
        If there is no such network.
    """
    builder = pkgutil.resolve_name(NETWORKS[network].builder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return builder(network, classes, width=width, depth=depth, channels=channels)
