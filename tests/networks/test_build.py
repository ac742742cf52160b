"""A network of the table is built by its name."""

import pytest
import torch

from stratagem.core.errors import UnknownNameError
from stratagem.networks.build import build
from stratagem.networks.table import NETWORKS, Network

SIZE = {"width": 2, "depth": 1}


def constant(network: str, classes: int, *, width: int, depth: int, channels: int) -> torch.nn.Module:
    """A network of somebody's own."""
    return torch.nn.Conv2d(channels, classes, 1)


def test_a_row_of_one_s_own_is_built(monkeypatch):
    """A new network is one function and one row."""
    own = Network("one layer.", f"{__name__}:constant", lambda depth: 1)
    monkeypatch.setitem(NETWORKS, "mine", own)
    monkeypatch.setattr("pkgutil.resolve_name", lambda name: constant)
    first, again, other = (build("mine", 3, **SIZE, seed=seed).weight for seed in (0, 0, 1))
    assert first.shape == (3, 3, 1, 1)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_name_that_is_none_builds_nothing():
    """It is refused, not taken for a classifier."""
    with pytest.raises(UnknownNameError, match="name of a network"):
        build("u-net", 2, **SIZE, seed=0)
