"""The train loop: its rate, its loss, its budget, and when it stops."""

import copy
import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stratagem.augmentation.on_cpu import exchange
from stratagem.augmentation.transforms import NEUTRAL
from stratagem.core.errors import TrainingError
from stratagem.loading.loader import Batch
from stratagem.networks.execution import Execution
from stratagem.networks.unet import build
from stratagem.training.loop import Options, begin, fit, learning_rate, losses
from stratagem.transfer.freezing import NEVER, Freezing

torch.set_num_threads(1)  # networks this small gain nothing from more
PLAIN = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")


def _options(**changes) -> Options:
    plain = {
        "batch_size": 4,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "warmup": 0.1,
        "validations": 1,
        "micro_batch_pixels": 2**18,
    }
    return Options(**(plain | changes))


def _batch(count: int = 4, size: tuple[int, int] = (4, 4), seed: int = 0, epoch: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    mask = rng.integers(0, 2, (count, *size), dtype=np.uint8)
    names = np.array([f"s{number}" for number in range(count)])
    return Batch(image, mask, names, np.arange(count), epoch)


def _model(seed: int = 0) -> nn.Module:
    return build("unet", 2, width=2, depth=1, seed=seed)


def _fit(model, stream, options, validate=None, execution=PLAIN, records=None):
    """Train on batches given out in order; the history and what was spent."""

    def batches(start):
        return (batch for batch in itertools.islice(stream, start, None))

    progress = begin(model, options)
    fit(progress, batches, options, execution, validate, records)
    return pd.DataFrame(progress.rows), progress.spent


def _bytes(model: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@given(st.floats(1e-6, 1), st.floats(0.01, 0.99))
def test_the_rate_starts_at_zero_peaks_after_the_warm_up_and_ends_at_zero(peak, warmup):
    """The limits of the schedule hold for every peak and warm-up."""
    assert learning_rate(0, peak, warmup) == 0
    assert learning_rate(warmup, peak, warmup) == pytest.approx(peak)
    assert learning_rate(warmup / 2, peak, warmup) == pytest.approx(peak / 2)
    assert learning_rate((1 + warmup) / 2, peak, warmup) == pytest.approx(peak / 2)
    assert learning_rate(1, peak, warmup) == pytest.approx(0, abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 0.99))
def test_the_rate_never_passes_the_peak_nor_goes_below_zero(share, warmup):
    """At every share the rate lies within its limits."""
    assert 0 <= learning_rate(share, 1.0, warmup) <= 1


def test_without_a_warm_up_the_rate_starts_at_its_peak():
    """A warm-up of nothing is none."""
    assert learning_rate(0, 0.5, 0) == 0.5


@pytest.mark.parametrize(("batch_size", "factor"), [(16, 1), (4, 0.5), (1, 0.25), (64, 2)])
def test_the_peak_goes_with_the_root_of_the_batch(batch_size, factor):
    """learning_rate is meant for a batch of 16."""
    assert _options(batch_size=batch_size).peak_rate == pytest.approx(0.01 * factor)


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


@pytest.mark.parametrize("pixels", [1, 16, 32, 48])
def test_micro_batches_equal_the_whole_batch(pixels):
    """A batch that passes the network in parts makes the update of the whole."""
    whole, parts = _model(), _model()
    history, _ = _fit(whole, iter([_batch()]), _options(images=4))
    in_parts, _ = _fit(parts, iter([_batch()]), _options(images=4, micro_batch_pixels=pixels))
    assert in_parts["train_loss"].tolist() == pytest.approx(history["train_loss"].tolist(), rel=1e-6)
    pairs = zip(whole.named_parameters(), parts.named_parameters(), strict=True)
    for (name, one), (_, other) in pairs:
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("pixels", [16, 64])
def test_pending_rows_are_applied_where_the_network_is(pixels):
    """A batch whose rows are still to be applied trains as one that holds the synthetic images, swaps too."""
    batch = _batch()
    rows = [NEUTRAL | {"flip_horizontal": number % 2 == 0} for number in range(len(batch.samples))]
    pending = dataclasses.replace(batch, rows=rows)
    image, mask = batch.image.copy(), batch.mask.copy()
    image[::2] = image[::2, :, ::-1]
    mask[::2] = exchange([(0, 1)])[mask[::2, :, ::-1]]
    made = dataclasses.replace(batch, image=image, mask=mask)
    losses = [
        _fit(_model(), iter([one]), _options(images=4, micro_batch_pixels=pixels, swaps=((0, 1),)))[0]
        for one in (pending, made, batch)
    ]
    first, second, third = (history["train_loss"].item() for history in losses)
    assert first == second != third


def _counted(batches):
    """The batches, and a list of the sizes of those that were asked for."""
    asked = []

    def given_out():
        for batch in batches:
            asked.append(len(batch.samples))
            yield batch

    return given_out(), asked


@pytest.mark.parametrize(("images", "batches"), [(4, 1), (8, 2), (9, 3), (1, 1)])
def test_a_budget_of_images_is_spent_exactly(images, batches):
    """The last batch is cut so that not one image more is seen."""
    stream, asked = _counted(_batch(epoch=epoch) for epoch in itertools.count())
    history, spent = _fit(_model(), stream, _options(images=images))
    assert (spent.images, spent.steps, spent.pixels) == (images, batches, images * 16)
    assert len(asked) == batches
    assert spent.epochs == batches
    assert history[["share", "images", "steps"]].values.tolist() == [[1.0, images, batches]]


def test_a_budget_of_steps_is_spent_exactly():
    """Each batch is one step, whatever its size."""
    stream, asked = _counted(_batch(count) for count in itertools.cycle((4, 1)))
    _, spent = _fit(_model(), stream, _options(steps=3))
    assert (spent.steps, spent.images) == (3, 9)
    assert asked == [4, 1, 4]


def test_batches_of_mixed_sizes_are_counted_in_pixels():
    """An image of another size counts as one image and as its own pixels."""
    stream = iter([_batch(4, (4, 4)), _batch(2, (2, 6)), _batch(4, (4, 4))])
    _, spent = _fit(_model(), stream, _options(images=8))
    assert (spent.images, spent.pixels) == (8, 4 * 16 + 2 * 12 + 2 * 16)


def test_validations_come_at_equal_shares():
    """Curves are taken at equal shares of the budget, in evaluation mode, with their scores."""
    modes = []

    def validate(model, execution):
        modes.append(model.training)
        return {"val_dice": len(modes)}

    stream = (_batch(2) for _ in itertools.count())
    history, spent = _fit(_model(), stream, _options(images=20, validations=5), validate)
    assert history["share"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert history["images"].tolist() == [4, 8, 12, 16, 20]
    assert history["val_dice"].tolist() == [1, 2, 3, 4, 5]
    assert modes == [False] * 5
    columns = ["share", "images", "steps", "epochs", "learning_rate", "train_loss", "val_dice"]
    assert list(history.columns) == columns
    assert spent.validation_s > 0


def test_no_point_of_the_curves_is_taken_twice():
    """With fewer steps than validations each step has its row, and each row its training."""
    calls = []
    stream = (_batch() for _ in itertools.count())
    history, _ = _fit(
        _model(), stream, _options(steps=3, validations=10), lambda model, execution: calls.append(1) or {}
    )
    assert history["steps"].tolist() == [1, 2, 3]
    assert history["train_loss"].notna().all()
    assert len(calls) == 3


def test_the_model_is_left_in_evaluation_mode():
    """A trained network is ready to be asked."""
    model = _model()
    _fit(model, iter([_batch()]), _options(steps=1))
    assert not model.training


def test_training_is_a_function_of_its_inputs():
    """Same weights and batches, same bytes; other weights or other batches, other bytes."""

    def trained(weights: int, batches: int) -> bytes:
        model = _model(weights)
        _fit(model, (_batch(seed=batches) for _ in itertools.count()), _options(steps=3))
        return _bytes(model)

    first = trained(0, 0)
    assert trained(0, 0) == first
    assert trained(1, 0) != first
    assert trained(0, 1) != first


def test_validation_changes_no_training():
    """Looking at the curves has no effect on the weights."""
    plain, watched = _model(), _model()
    _fit(plain, (_batch() for _ in itertools.count()), _options(steps=4))
    options = _options(steps=4, validations=4)
    _fit(watched, (_batch() for _ in itertools.count()), options, lambda model, execution: {})
    assert _bytes(plain) == _bytes(watched)


@pytest.mark.parametrize("good", [0, 1])
def test_a_loss_that_is_not_finite_stops_before_the_update(good):
    """I am told the step and the samples; the weights are those before the step."""
    model = _model()
    batches = [*(_batch() for _ in range(good)), _batch(2)]
    before = {}

    def stream():
        for number, batch in enumerate(batches):
            if number == good:
                with torch.no_grad():
                    model.head.bias[0] = float("nan")
                before.update(copy.deepcopy(model.state_dict()))
            yield batch

    sentence = rf"step {good + 1}, samples s0, s1: .*nan.*`training\.learning_rate`"
    with pytest.raises(TrainingError, match=sentence):
        _fit(model, stream(), _options(steps=5))
    for name, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(7), before[name].nan_to_num(7)), name


def test_frozen_weights_stay():
    """The loop trains what is open, and nothing else; weight decay included."""
    model = _model()
    before = copy.deepcopy(model.state_dict())
    fixed = {name for name in before if name.startswith("encoder.")}
    options = _options(steps=2, freezing=Freezing(opens=dict.fromkeys(fixed, NEVER)))
    _fit(model, (_batch() for _ in itertools.count()), options)
    same = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    assert same == fixed


def test_layers_open_at_their_share_of_the_budget():
    """What opens at half of four steps is moved by the last two alone."""
    seen = []

    def validate(model, execution) -> dict:
        seen.append(copy.deepcopy(model.state_dict()))
        return {}

    model = _model()
    start = copy.deepcopy(model.state_dict())
    late = [name for name in start if name.startswith("decoder.")]
    options = _options(steps=4, validations=4, freezing=Freezing(opens=dict.fromkeys(late, 0.5)))
    _fit(model, (_batch(seed=n) for n in itertools.count()), options, validate)
    moved = [
        [not torch.equal(after[name], before[name]) for name in late]
        for before, after in itertools.pairwise([start, *seen])
    ]
    assert [all(step) for step in moved] == [False, False, True, True]
    assert not any(moved[0] + moved[1])


def test_a_lower_rate_moves_weights_less():
    """AdamW's first step is as long as its rate."""
    steps = {}
    for factor in (1.0, 0.1):
        model = _model()
        before = copy.deepcopy(model.state_dict())
        rates = {name: factor for name in before if name.startswith("encoder.")}
        _fit(model, iter([_batch()]), _options(steps=1, weight_decay=0.0, freezing=Freezing(rates=rates)))
        after = model.state_dict()
        steps[factor] = {name: (after[name] - before[name]).abs().max() for name in before}
    for name, step in steps[1.0].items():
        assert float(steps[0.1][name] / step) == pytest.approx(0.1 if "encoder" in name else 1, rel=1e-3)


def test_ten_steps_learn_one_image():
    """The loss of one image falls when it is shown again and again."""
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[:, 2:6, 2:6] = 255
    batch = Batch(image, (image[..., 0] > 0).astype(np.uint8), np.array(["a"]), np.array([0]), 0)
    options = _options(batch_size=16, learning_rate=0.05, steps=10, validations=10)
    history, _ = _fit(_model(), itertools.repeat(batch), options)
    assert history["train_loss"].iloc[-1] < 0.7 * history["train_loss"].iloc[0]
