"""What networks take is reckoned as it is counted on them."""

import pytest
import torch

from stratagem.evaluation import memory
from stratagem.networks.arithmetic import multiply_adds
from stratagem.networks.build import build
from stratagem.networks.execution import Execution
from stratagem.networks.sizes import of_unet, prediction_mb, training_mb
from stratagem.networks.table import NETWORKS
from stratagem.training import capacity
from stratagem.training.options import Options

CPU = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")
OPTIONS = Options(
    batch_size=1,
    learning_rate=0.01,
    weight_decay=0,
    warmup=0,
    validations=1,
    micro_batch_pixels=2**20,
    steps=1,
)


@pytest.mark.parametrize(
    ("network", "width", "depth"),
    [("unet", 8, 4), ("unet", 16, 1), ("unet", 12, 3), ("shufflenet_v2_x0_5", 16, 4)],
)
def test_it_is_what_is_counted_on_the_network(network, width, depth):
    """Parameters to the last; a training of 4 of 256x256 and a prediction of 1024x1024 to a hundredth."""
    model = build(network, 2, width=width, depth=depth, seed=0).train()
    size = NETWORKS[network].size(network, width, depth)
    assert size.parameters == sum(parameter.numel() for parameter in model.parameters())
    counted = capacity.training_mb(model, OPTIONS, CPU)((4, 256, 256))
    assert training_mb(size, 4 * 256 * 256) == pytest.approx(counted, rel=0.01)
    assert size.multiply_adds == pytest.approx(multiply_adds(network, 2, width=width, depth=depth), rel=0.001)
    counted = memory.prediction_mb(model.eval(), CPU)(1024 * 1024)
    assert prediction_mb(size, 1024 * 1024) == pytest.approx(counted, rel=0.01)


def test_every_network_has_a_size():
    """A classifier that torchvision adds needs a row: `python benchmarks/sizes.py` prints them."""
    for name, network in NETWORKS.items():
        found = network.size(name, 16, 4)
        assert found.parameters > 10**5 and found.kept > found.layer > 0, name
        assert found.multiply_adds > 10**3, name


def test_a_wider_network_takes_more():
    """Four times the weights, twice the values of a pixel."""
    narrow, wide = (of_unet("unet", width, 4) for width in (16, 32))
    assert wide.parameters == pytest.approx(4 * narrow.parameters, rel=0.01)
    assert wide.kept == pytest.approx(2 * narrow.kept, rel=0.02)
