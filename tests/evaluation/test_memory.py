"""What a prediction takes is reckoned from the network, never from the clock or the machine's load."""

import pytest
import torch

from stratagem.evaluation.memory import prediction_mb, room_for
from stratagem.networks.build import build
from stratagem.networks.execution import Execution

BOUND_MB = 3000
PLAIN = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")


def _model(width: int) -> torch.nn.Module:
    return build("unet", 2, width=width, depth=2, seed=0).eval()


def test_more_pixels_and_wider_networks_take_more():
    """In proportion to the pixels, and about to the width."""
    narrow, wide = (prediction_mb(_model(width), PLAIN) for width in (8, 16))
    assert narrow(2 * 10**6) - narrow(10**6) == pytest.approx(narrow(10**6) - narrow(0))
    assert wide(10**7) - wide(0) == pytest.approx(2 * (narrow(10**7) - narrow(0)), rel=0.1)


def test_the_reckoning_is_the_same_each_time():
    """So a run on a busy machine predicts in the same parts as on an idle one."""
    first, again = (prediction_mb(_model(4), PLAIN)(10**6) for _ in range(2))
    assert first == again


def test_the_stated_bound_decides_on_a_cpu():
    """What the study states."""
    need = prediction_mb(_model(8), PLAIN)
    pixels = next(count for count in range(10**6, 10**9, 10**6) if need(count) > BOUND_MB)
    assert not room_for(_model(8), PLAIN, BOUND_MB)(pixels) and room_for(_model(8), PLAIN, BOUND_MB)(
        pixels - 10**6
    )
    assert room_for(_model(8), PLAIN, 2 * BOUND_MB)(pixels)
    assert not room_for(_model(8), PLAIN, 100)(1)


def test_a_gpu_is_tried():
    """Its memory gives an error that can be answered."""
    gpu = Execution("cuda", torch.bfloat16, torch.channels_last, "as the test asks")
    assert room_for(_model(8), gpu, 1)(10**12)


def test_counting_leaves_the_network_as_it_was():
    """No hook stays behind."""
    model = _model(4)
    prediction_mb(model, PLAIN)
    assert not any(layer._forward_hooks for layer in model.modules())
