"""A prediction has its image's own size, and scores are brought back before the class is taken."""

import itertools
import re
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stratagem.core.errors import TrainingError
from stratagem.data.labels import IGNORE
from stratagem.evaluation.predict import Predictor, assemble, blended, parts_of, round_trip
from stratagem.networks.build import build
from stratagem.networks.execution import Execution
from stratagem.resolution.plans import Plan

torch.set_num_threads(1)  # networks this small gain nothing from more
PLAIN = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")
PLANS = [
    Plan("native", 4),
    Plan("resize", 4, ((8, 12),)),
    Plan("pad", 4, ((13, 11),)),
    Plan("letterbox", 4, ((8, 12),)),
    Plan("bucket", 4, ((8, 8), (16, 16))),
    Plan("tile", 4, ((4, 8),), overlap=0.5),
    Plan("rescale", 4, pixel_size=0.7),
]
EXACT = [plan for plan in PLANS if plan.plan in ("native", "pad", "bucket", "tile")]


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
    mask = Predictor(model, plan, PLAIN)(_image(*size), 1.0)
    assert mask.shape == size and mask.dtype == np.uint8
    assert set(mask.ravel()) <= {0, 1, 2}


@pytest.mark.parametrize("plan", EXACT, ids=lambda plan: plan.plan)
def test_where_nothing_is_resampled_each_pixel_comes_back_to_its_place(plan):
    """A network that decides by the pixel gives the pixel's class at the pixel's place."""
    image = _image(21, 17)
    np.testing.assert_array_equal(Predictor(Bright(), plan, PLAIN)(image), image[..., 0] > 127)


def test_probabilities_are_brought_back_and_not_logits_or_labels():
    """Three pixels shrunk to one: the mean probability decides, not the mean logit, nor the vote."""
    plan = Plan("resize", 1, ((1, 3),))
    # Class 1 leads by 30 at one pixel, class 0 by 4 at two: the mean logit alone would say 1.
    sure = Fixed([[[0.0, 4.0, 4.0]], [[30.0, 0.0, 0.0]]])
    assert Predictor(sure, plan, PLAIN)(_image(1, 1)).tolist() == [[0]]
    # Class 1 leads by 3 at one pixel, class 0 by 0.1 at two: the vote alone would say 0.
    unsure = Fixed([[[0.0, 0.1, 0.1]], [[3.0, 0.0, 0.0]]])
    assert Predictor(unsure, plan, PLAIN)(_image(1, 1)).tolist() == [[1]]


def test_the_network_sees_the_framed_image():
    """The network is shown uint8 (1, 3, H, W) in the plan's frame."""
    model = Fixed(np.zeros((2, 8, 8)).tolist())
    image = _image(5, 7)
    Predictor(model, PLANS[0], PLAIN)(image)
    assert model.shown.dtype == torch.uint8
    np.testing.assert_array_equal(
        model.shown[0].permute(1, 2, 0), PLANS[0].forward(image, PLANS[0].windows(5, 7)[0])
    )


@pytest.mark.parametrize("training", [True, False])
def test_a_prediction_leaves_the_network_as_it_was(training):
    """No gradient is kept and the mode stays."""
    model = build("unet", 2, width=2, depth=2, seed=0).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Predictor(model, PLANS[0], PLAIN)(_image(4, 4))
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Drifting(nn.Module):
    """Leans to class 1 by the place in the frame: the further right, the more; as at a frame's edge."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        lean = torch.linspace(-1, 1, image.shape[3]).expand(1, 1, *image.shape[2:])
        return torch.cat([-lean, lean], dim=1)


def test_tiles_are_blended_so_that_no_seam_shows():
    """A network that errs towards a tile's edge: blended, the class changes in mid-overlap."""
    plan = Plan("tile", 1, ((8, 32),), overlap=0.5)
    image = _image(8, 64)
    scores = []
    for window in plan.windows(8, 64):
        logits = Drifting()(torch.zeros(1, 3, *window.frame))
        scores.append(plan.inverse(logits[0].softmax(dim=0), window))
    assert [window.left for window in plan.windows(8, 64)] == [0, 16, 32]
    found = Predictor(Drifting(), plan, PLAIN)(image)
    first_alone = scores[0].argmax(dim=0)[0].tolist()
    assert first_alone == [0] * 16 + [1] * 16
    assert (found == found[0]).all()
    # From 16 on the second window begins with class 0: right of its first pixels its weight still grows,
    # so the first window's class 1 holds until the weights meet, at 24.
    assert found[0, 16:24].all() and not found[0, 24:32].any()


@given(st.integers(1, 50), st.integers(1, 50), st.integers(2, 20), st.sampled_from([0.0, 0.3, 0.5, 0.7]))
def test_windows_that_agree_give_what_they_agree_on(height, width, tile, overlap):
    """Each window shows its part of one map of classes: put together it is that map, bit for bit."""
    truth = np.random.default_rng(0).integers(0, 3, (height, width)).astype(np.uint8)
    plan = Plan("tile", 4, ((tile, tile + 3),), overlap=overlap)
    np.testing.assert_array_equal(round_trip(truth, plan, 3), truth)


def test_a_large_image_never_has_all_its_scores_in_memory():
    """Of a column of tiles only those that overlap are alive at once."""
    windows = Plan("tile", 8, ((32, 32),), overlap=0.5).windows(1024, 32)
    alive, most = 0, 0

    def scores(window):
        nonlocal alive, most
        tensor = torch.rand(2, *window.part)
        alive += 1
        most = max(most, alive)
        weakref.finalize(tensor, ended)
        return tensor

    def ended():
        nonlocal alive
        alive -= 1

    assert assemble(windows, scores).shape == (1024, 32)
    assert len(windows) > 50 and most <= 3


@pytest.mark.parametrize("plan", EXACT, ids=lambda plan: plan.plan)
def test_a_plan_that_does_not_resample_loses_nothing(plan):
    """Its round trip is exact, also beside ignored pixels."""
    truth = np.random.default_rng(0).choice(np.array([0, 1, 2, IGNORE], np.uint8), (13, 11))
    found = round_trip(truth, plan, 3)
    np.testing.assert_array_equal(found[truth != IGNORE], truth[truth != IGNORE])


def test_a_plan_that_shrinks_loses_what_is_smaller_than_its_pixels():
    """A block survives a resize to half, a line of one pixel does not; growing loses neither."""
    truth = np.zeros((32, 32), np.uint8)
    truth[8:16, 8:16], truth[:, 21] = 1, 2
    half, twice = (round_trip(truth, Plan("resize", 1, (size,)), 3) for size in ((16, 16), (64, 64)))
    assert (half[9:15, 9:15] == 1).all() and (half != truth).any()
    np.testing.assert_array_equal(twice, truth)


# In parts


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (64, 8), (8, 4096), (1000, 1500)])
def test_parts_are_the_whole_then_halves_then_tiles(size):
    """Each is the last one cut in two along its longer side, a multiple of the stride."""
    parts = list(parts_of(size, 4))
    assert parts[0] == size
    for before, part in itertools.pairwise(parts):
        longer = int(np.argmax(before))
        assert part[1 - longer] == before[1 - longer]
        assert before[longer] / 2 <= part[longer] < before[longer] and part[longer] % 4 == 0
    if size == (64, 64):
        assert parts[1:3] == [(36, 64), (36, 36)]  # two halves, then four tiles
    assert max(parts[-1]) <= 12


class Region(Bright):
    """Decides by the pixel, and keeps which regions it was shown."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.shown.append(tuple(image.shape[2:]))
        return super().forward(image)


@pytest.mark.parametrize("most", [64 * 64, 40 * 64, 36 * 36, 200])
def test_an_image_without_room_is_predicted_in_parts(most, caplog):
    """Whole where it fits, else by halves, else by tiles; where pixels decide, to the same mask."""
    image, network = _image(64, 64), Region()
    with caplog.at_level("WARNING", "stratagem"):
        found = Predictor(network, PLANS[0], PLAIN, lambda pixels: pixels <= most)(image)
    np.testing.assert_array_equal(found, image[..., 0] > 127)
    assert all(height * width <= most for height, width in network.shown)
    if most >= 64 * 64:
        assert network.shown == [(64, 64)] and not caplog.records
    else:
        assert f"predicted in {len(network.shown)} parts" in caplog.text
        assert "disagree on 0.00 % of the pixels that they share" in caplog.text


def test_parts_that_see_their_region_disagree_and_it_is_told(caplog):
    """Group normalisation depends on the region, so parts differ from the whole: how much is measured."""
    model = build("unet", 3, width=2, depth=2, seed=0).eval()
    image = _image(96, 96)
    image[:, 48:] //= 8  # two halves of another brightness
    with caplog.at_level("WARNING", "stratagem"):
        Predictor(model, PLANS[0], PLAIN, lambda pixels: pixels <= 60 * 60)(image)
    share = float(re.search(r"disagree on ([0-9.]+) %", caplog.text)[1])
    assert 0 < share < 100


class NoRoom(Region):
    """A device on which more pixels than a bound do not fit."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if image[0, 0].numel() > 1000:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(image)


def test_a_device_that_runs_out_of_memory_gets_smaller_parts():
    """What is tried and fails is tried in smaller parts, never given up."""
    image, network = _image(64, 64), NoRoom()
    np.testing.assert_array_equal(Predictor(network, PLANS[0], PLAIN)(image), image[..., 0] > 127)
    assert all(height * width <= 1000 for height, width in network.shown)


def test_no_room_for_the_smallest_part_is_told():
    """I am told what to change."""
    with pytest.raises(TrainingError, match=r"an image of 16x16.*Raise `training.memory_mb` on a CPU"):
        Predictor(Region(), PLANS[0], PLAIN, lambda pixels: False)(_image(16, 16))


def test_the_sum_of_weights_is_one_everywhere():
    """Parts that all say the same say it together, to rounding."""
    windows = Plan("tile", 4, ((8, 12),), overlap=0.125).windows(30, 41)
    found, differ = blended(windows, lambda window: torch.full((3, *window.part), 1 / 3), (30, 41))
    torch.testing.assert_close(found, torch.full((3, 30, 41), 1 / 3))
    assert differ == 0
