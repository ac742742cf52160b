"""The train loop: its rate, its loss, its budget, and when it stops."""

import copy
import itertools
import sys

import numpy as np
import pytest
import torch

from fitting import PLAIN, batch_of, bytes_of, fitted, options_of, small_unet
from stratagem.core.errors import TrainingError
from stratagem.loading.loader import Batch
from stratagem.training.loop import begin, fit
from stratagem.transfer.freezing import NEVER, Freezing

torch.set_num_threads(1)  # networks this small gain nothing from more


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
    stream, asked = _counted(batch_of(epoch=epoch) for epoch in itertools.count())
    history, spent = fitted(small_unet(), stream, options_of(images=images))
    assert (spent.images, spent.steps, spent.pixels) == (images, batches, images * 16)
    assert len(asked) == batches
    assert spent.epochs == batches
    assert history[["share", "images", "steps"]].values.tolist() == [[1.0, images, batches]]


def test_a_budget_of_steps_is_spent_exactly():
    """Each batch is one step, whatever its size."""
    stream, asked = _counted(batch_of(count) for count in itertools.cycle((4, 1)))
    _, spent = fitted(small_unet(), stream, options_of(steps=3))
    assert (spent.steps, spent.images) == (3, 9)
    assert asked == [4, 1, 4]


def test_batches_of_mixed_sizes_are_counted_in_pixels():
    """An image of another size counts as one image and as its own pixels."""
    stream = iter([batch_of(4, (4, 4)), batch_of(2, (2, 6)), batch_of(4, (4, 4))])
    _, spent = fitted(small_unet(), stream, options_of(images=8))
    assert (spent.images, spent.pixels) == (8, 4 * 16 + 2 * 12 + 2 * 16)


def test_validations_come_at_equal_shares():
    """Curves are taken at equal shares of the budget, in evaluation mode, with their scores."""
    modes = []

    def validate(model, execution):
        modes.append(model.training)
        return {"val_dice": len(modes)}

    stream = (batch_of(2) for _ in itertools.count())
    history, spent = fitted(small_unet(), stream, options_of(images=20, validations=5), validate)
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
    stream = (batch_of() for _ in itertools.count())
    history, _ = fitted(
        small_unet(),
        stream,
        options_of(steps=3, validations=10),
        lambda model, execution: calls.append(1) or {},
    )
    assert history["steps"].tolist() == [1, 2, 3]
    assert history["train_loss"].notna().all()
    assert len(calls) == 3


def test_the_model_is_left_in_evaluation_mode():
    """A trained network is ready to be asked."""
    model = small_unet()
    fitted(model, iter([batch_of()]), options_of(steps=1))
    assert not model.training


def test_training_is_a_function_of_its_inputs():
    """Same weights and batches, same bytes; other weights or other batches, other bytes."""

    def trained(weights: int, batches: int) -> bytes:
        model = small_unet(weights)
        fitted(model, (batch_of(seed=batches) for _ in itertools.count()), options_of(steps=3))
        return bytes_of(model)

    first = trained(0, 0)
    assert trained(0, 0) == first
    assert trained(1, 0) != first
    assert trained(0, 1) != first


def test_validation_changes_no_training():
    """Looking at the curves has no effect on the weights."""
    plain, watched = small_unet(), small_unet()
    fitted(plain, (batch_of() for _ in itertools.count()), options_of(steps=4))
    options = options_of(steps=4, validations=4)
    fitted(watched, (batch_of() for _ in itertools.count()), options, lambda model, execution: {})
    assert bytes_of(plain) == bytes_of(watched)


@pytest.mark.parametrize("good", [0, 1])
def test_a_loss_that_is_not_finite_stops_before_the_update(good):
    """I am told the step and the samples; the weights are those before the step."""
    model = small_unet()
    batches = [*(batch_of() for _ in range(good)), batch_of(2)]
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
        fitted(model, stream(), options_of(steps=5))
    for name, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(7), before[name].nan_to_num(7)), name


def test_frozen_weights_stay():
    """The loop trains what is open, and nothing else; weight decay included."""
    model = small_unet()
    before = copy.deepcopy(model.state_dict())
    fixed = {name for name in before if name.startswith("encoder.")}
    options = options_of(steps=2, freezing=Freezing(opens=dict.fromkeys(fixed, NEVER)))
    fitted(model, (batch_of() for _ in itertools.count()), options)
    same = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    assert same == fixed


def test_layers_open_at_their_share_of_the_budget():
    """What opens at half of four steps is moved by the last two alone."""
    seen = []

    def validate(model, execution) -> dict:
        seen.append(copy.deepcopy(model.state_dict()))
        return {}

    model = small_unet()
    start = copy.deepcopy(model.state_dict())
    late = [name for name in start if name.startswith("decoder.")]
    options = options_of(steps=4, validations=4, freezing=Freezing(opens=dict.fromkeys(late, 0.5)))
    fitted(model, (batch_of(seed=n) for n in itertools.count()), options, validate)
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
        model = small_unet()
        before = copy.deepcopy(model.state_dict())
        rates = {name: factor for name in before if name.startswith("encoder.")}
        fitted(
            model, iter([batch_of()]), options_of(steps=1, weight_decay=0.0, freezing=Freezing(rates=rates))
        )
        after = model.state_dict()
        steps[factor] = {name: (after[name] - before[name]).abs().max() for name in before}
    for name, step in steps[1.0].items():
        assert float(steps[0.1][name] / step) == pytest.approx(0.1 if "encoder" in name else 1, rel=1e-3)


def test_ten_steps_learn_one_image():
    """The loss of one image falls when it is shown again and again."""
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[:, 2:6, 2:6] = 255
    batch = Batch(image, (image[..., 0] > 0).astype(np.uint8), np.array(["a"]), np.array([0]), 0)
    options = options_of(batch_size=16, learning_rate=0.05, steps=10, validations=10)
    history, _ = fitted(small_unet(), itertools.repeat(batch), options)
    assert history["train_loss"].iloc[-1] < 0.7 * history["train_loss"].iloc[0]


def test_the_progress_bar_names_its_run(monkeypatch, capsys):
    """Several trainings share a screen."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = begin(small_unet(), options_of(steps=1), name="resize fold 0 seed 1")
    fit(progress, lambda start: (batch_of(1) for _ in range(1)), options_of(steps=1), PLAIN)
    assert "resize fold 0 seed 1: 100%" in capsys.readouterr().err
