"""Every network of the table can be named, and a name that is none is refused."""

import pkgutil

import pytest

from stratagem.core.errors import UnknownNameError
from stratagem.networks.classifiers import CLASSIFIERS
from stratagem.networks.table import NETWORKS, UNET


def test_the_table_holds_the_classic_network_and_every_classifier():
    """What the config may say is what can be built."""
    assert set(NETWORKS) == {UNET} | CLASSIFIERS


def test_every_builder_is_there():
    """A row names a function that can be imported."""
    for network in NETWORKS.values():
        assert callable(pkgutil.resolve_name(network.builder))


@pytest.mark.parametrize(
    ("network", "depth", "stride"), [("unet", 3, 8), ("unet", 5, 32), ("resnet18", 3, 32)]
)
def test_the_stride_follows_from_the_network(network, depth, stride):
    """Of the classic one from its depth, of a classifier's always 32."""
    assert NETWORKS[network].stride(depth) == stride


def test_a_network_that_is_none_is_refused():
    """With the nearest name."""
    with pytest.raises(UnknownNameError, match="Perhaps `resnet18`"):
        NETWORKS["resnet81"]
