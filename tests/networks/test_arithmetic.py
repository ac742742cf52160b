"""What a pixel costs, counted by hand where that is possible."""

import pytest

from stratagem.core.errors import UnknownNameError
from stratagem.networks.arithmetic import multiply_adds
from stratagem.networks.table import UNET


def test_the_classic_unet_is_the_one_counted_by_hand():
    """Width 2, depth 1, two classes: what each convolution takes for a pixel of the frame.

    Encoder 3x3: 3 to 2 and 2 to 2; below, at a quarter of the pixels, 2 to 4 and 4 to 4; up 2x2: 4 to 2, at
    the pixels that it makes; decoder 3x3: 4 to 2 and 2 to 2; last 1x1: 2 to 2.
    """
    by_hand = 9 * (3 * 2 + 2 * 2) + 9 * (2 * 4 + 4 * 4) / 4 + 4 * 2 + 9 * (4 * 2 + 2 * 2) + 2 * 2
    assert multiply_adds(UNET, 2, width=2, depth=1) == pytest.approx(by_hand)


def test_wider_networks_and_classifiers_take_more():
    """Nearly four times as many for twice the width; a ResNet-18 more than the demo's U-Net."""
    narrow, wide = (multiply_adds(UNET, 2, width=width, depth=3) for width in (8, 16))
    assert 3.5 < wide / narrow < 4
    assert multiply_adds("resnet18", 2, width=8, depth=3) > narrow


def test_an_unknown_network_is_refused():
    """As everywhere."""
    with pytest.raises(UnknownNameError, match="network"):
        multiply_adds("resnet", 2, width=8, depth=3)
