"""A prediction has its image's own size, and scores are brought back before the class is taken."""

import numpy as np
import pytest
import torch
from torch import nn

from stratagem.execution import Execution
from stratagem.geometry import Plan
from stratagem.predict import predict
from stratagem.unet import build

torch.set_num_threads(1)  # networks this small gain nothing from more
PLAIN = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")
PLANS = [Plan("native", 4, None, ""), Plan("resize", 4, (8, 12), ""), Plan("pad", 4, (13, 11), "")]


class Fixed(nn.Module):
    """Gives the logits that it was made with, and keeps what it was shown."""

    def __init__(self, logits: list):
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.float32)[None]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.shown = image
        return self.logits


class Bright(nn.Module):
    """Class 1 where the red channel is above 127."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        red = image[:, :1].float()
        return torch.cat([torch.full_like(red, 127.5), red], dim=1)


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.plan)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8), (13, 11)])
def test_a_prediction_has_the_image_s_own_size(plan, size):
    """Whatever the plan, the mask fits the image, and holds classes."""
    model = build("unet", 3, width=2, depth=2, seed=0).eval()
    mask = predict(model, _image(*size), plan, PLAIN)
    assert mask.shape == size and mask.dtype == np.uint8
    assert set(mask.ravel()) <= {0, 1, 2}


@pytest.mark.parametrize("plan", [PLANS[0], PLANS[2]], ids=lambda plan: plan.plan)
def test_where_nothing_is_resampled_each_pixel_comes_back_to_its_place(plan):
    """A network that decides by the pixel gives the pixel's class at the pixel's place."""
    image = _image(5, 7)
    np.testing.assert_array_equal(predict(Bright(), image, plan, PLAIN), image[..., 0] > 127)


def test_probabilities_are_brought_back_and_not_logits_or_labels():
    """Three pixels shrunk to one: the mean probability decides, not the mean logit, nor the vote."""
    plan = Plan("resize", 1, (1, 3), "")
    # Class 1 leads by 30 at one pixel, class 0 by 4 at two: the mean logit alone would say 1.
    sure = Fixed([[[0.0, 4.0, 4.0]], [[30.0, 0.0, 0.0]]])
    assert predict(sure, _image(1, 1), plan, PLAIN).tolist() == [[0]]
    # Class 1 leads by 3 at one pixel, class 0 by 0.1 at two: the vote alone would say 0.
    unsure = Fixed([[[0.0, 0.1, 0.1]], [[3.0, 0.0, 0.0]]])
    assert predict(unsure, _image(1, 1), plan, PLAIN).tolist() == [[1]]


def test_the_network_sees_the_framed_image():
    """The network is shown uint8 (1, 3, H, W) in the plan's frame."""
    model = Fixed(np.zeros((2, 8, 8)).tolist())
    image = _image(5, 7)
    predict(model, image, PLANS[0], PLAIN)
    assert model.shown.dtype == torch.uint8
    np.testing.assert_array_equal(model.shown[0].permute(1, 2, 0), PLANS[0].forward(image))


@pytest.mark.parametrize("training", [True, False])
def test_a_prediction_leaves_the_network_as_it_was(training):
    """No gradient is kept and the mode stays."""
    model = build("unet", 2, width=2, depth=2, seed=0).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, _image(4, 4), PLANS[0], PLAIN)
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
