"""Each loss means what its formula says; ignored pixels count nowhere."""

import math

import numpy as np
import pytest
import torch

from stratagem.core.errors import UnknownNameError
from stratagem.training.losses import CLASS_WEIGHTS, LOSSES, losses


@pytest.mark.parametrize("seed", [0, 1])
def test_the_loss_is_cross_entropy_plus_one_minus_dice(seed):
    """The loss of each image is what plain loops over its counted pixels give."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, 3, 2, 3))
    mask = rng.choice([0, 1, 2, 255], (2, 2, 3)).astype(np.uint8)
    mask[:, 0, 0] = 1
    found = losses(torch.from_numpy(logits), torch.from_numpy(mask))
    expected = [_loss_by_hand(*pair) for pair in zip(logits, mask, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_perfect_answer_costs_nothing():
    """Where the network is sure and right the loss is zero."""
    mask = torch.tensor([[[0, 1], [2, 255]]], dtype=torch.uint8)
    logits = 100 * torch.stack([mask == number for number in range(3)], dim=1).float()
    assert losses(logits, mask).item() == pytest.approx(0, abs=1e-6)


def test_ignored_pixels_change_no_loss_and_get_no_gradient():
    """What the network says where the mask is 255 does not matter."""
    mask = torch.tensor([[[0, 1], [255, 255]]], dtype=torch.uint8)
    logits = torch.randn(1, 2, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = losses(logits, mask)
    loss.sum().backward()
    other = logits.detach().clone()
    other[:, :, 1] = 50 * torch.tensor([1.0, -1.0]).view(2, 1)
    assert torch.equal(losses(other, mask), loss)
    assert not logits.grad[:, :, 1].any() and logits.grad[:, :, 0].all()


def test_an_image_that_is_all_ignored_costs_nothing():
    """No pixel, no loss, no gradient; the other images of the batch are untouched."""
    mask = torch.full((2, 2, 2), 255, dtype=torch.uint8)
    mask[1] = 1
    logits = torch.ones(2, 2, 2, 2, requires_grad=True)
    loss = losses(logits, mask)
    loss.sum().backward()
    assert loss[0] == 0 and loss[1] > 0
    assert not logits.grad[0].any() and torch.isfinite(logits.grad).all()


def test_large_and_small_images_count_alike():
    """An image repeated to four times its size costs what it cost before, but for Dice's smoothing."""
    logits = torch.tensor([[0.5, -0.5], [-1.0, 1.0]]).view(1, 2, 1, 2)
    mask = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    large = losses(logits.repeat(1, 1, 40, 40), mask.repeat(1, 40, 40))
    larger = losses(logits.repeat(1, 1, 80, 80), mask.repeat(1, 80, 80))
    assert large.item() == pytest.approx(larger.item(), rel=1e-3)


def _loss_by_hand(logits: np.ndarray, mask: np.ndarray) -> float:
    """Of one image, (K, H, W) and (H, W), in plain loops."""
    pixels = [(y, x) for y, x in np.ndindex(mask.shape) if mask[y, x] != 255]
    p = np.exp(logits) / np.exp(logits).sum(axis=0)
    entropy = -sum(math.log(p[mask[at]][at]) for at in pixels) / len(pixels)
    dice = []
    for number in range(1, len(logits)):
        both = sum(p[number][at] for at in pixels if mask[at] == number)
        either = sum(p[number][at] for at in pixels) + sum(mask[at] == number for at in pixels)
        dice.append((2 * both + 1) / (either + 1))
    return entropy + 1 - float(np.mean(dice))


CHANCE = torch.zeros(1, 3, 2, 2)  # logits of a guess among three classes
HALF = torch.tensor([[[0, 1], [1, 1]]], dtype=torch.uint8)


# By hand, for probabilities of 1/3: over 4 pixels they sum to 4/3; 3 pixels are class 1, none class 2.
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("cross-entropy", math.log(3)),
        ("dice", 1 - (3 / (4 / 3 + 4) + 1 / (4 / 3 + 1)) / 2),
        ("focal-dice", (2 / 3) ** 2 * math.log(3) + 1 - (3 / (4 / 3 + 4) + 1 / (4 / 3 + 1)) / 2),
        ("tversky", 1 - (2 / (2 + 0.3 / 3 + 0.7 * 2) + 1 / (1 + 0.3 * 4 / 3)) / 2),
    ],
)
def test_each_loss_is_its_formula(loss, expected):
    """A guess costs what the formula says, worked out by hand."""
    assert losses(CHANCE, HALF, loss).item() == pytest.approx(expected, rel=1e-6)


def test_the_default_is_a_sum_of_two_others():
    """Cross-entropy plus Dice is the two, each of which can be had alone."""
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1)).byte()
    alone = losses(logits, mask, "cross-entropy") + losses(logits, mask, "dice")
    assert torch.equal(losses(logits, mask), alone)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_falls_towards_the_truth_and_ignores_what_is_ignored(loss):
    """Nearer to the truth costs less; what lies under 255 changes nothing, with class weights too."""
    mask = torch.tensor([[[0, 1], [2, 255]]], dtype=torch.uint8)
    truth = torch.stack([mask == number for number in range(3)], dim=1).float()
    other = truth.clone()
    other[..., 1, 1] = torch.tensor([9.0, -9.0, 0.0])
    for weights in (None, (1.0, 2.0, 5.0)):
        costs = [losses(scale * truth, mask, loss, weights).item() for scale in (0, 1, 4, 20)]
        assert costs == sorted(costs, reverse=True) and costs[-1] == pytest.approx(0, abs=1e-4)
        assert torch.equal(losses(truth, mask, loss, weights), losses(other, mask, loss, weights))


def test_class_weights_weigh_what_they_say():
    """Of two pixels the one whose class weighs three times as much costs three quarters of the mean."""
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    mask = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    each = -logits.log_softmax(dim=1)[0, [0, 1], 0, [0, 1]]
    found = losses(logits, mask, "cross-entropy", (1.0, 3.0)).item()
    assert found == pytest.approx((each[0] + 3 * each[1]).item() / 4)
    assert losses(logits, mask, "cross-entropy", (2.0, 6.0)).item() == pytest.approx(found)


def test_inverse_weights_are_bounded_for_a_class_that_is_hardly_there():
    """A class of half the pixels weighs 2; one without pixels no more than one of a ten-thousandth."""
    assert CLASS_WEIGHTS["inverse"].of([0.5, 0.5, 0.0]) == (2, 2, 1e4)
    assert CLASS_WEIGHTS["none"].of([0.5, 0.5]) is None


def test_a_loss_that_is_none_is_refused():
    """A misspelt name is told, with what it may have meant."""
    with pytest.raises(UnknownNameError, match="one of cross-entropy-dice.*`focal`.*Perhaps `focal-dice`"):
        losses(CHANCE, HALF, "focal")
