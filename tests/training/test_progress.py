"""A run that is cut short, anywhere, ends in the bits of one left alone."""

import dataclasses
import itertools
import json
import logging
import signal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stratagem.core.errors import LoaderError, TrainingError
from stratagem.loading.loader import Batch
from stratagem.networks.build import build
from stratagem.networks.execution import Execution
from stratagem.training.loop import begin, fit
from stratagem.training.options import Options
from stratagem.training.progress import POSITION, Progress
from stratagem.training.records import Records
from stratagem.transfer.freezing import NEVER, Freezing

torch.set_num_threads(1)
PLAIN = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")
FAST = Execution("cpu", torch.bfloat16, torch.channels_last, "as the test asks")
OPTIONS = Options(
    batch_size=2,
    learning_rate=0.01,
    weight_decay=0.01,
    warmup=0.1,
    validations=3,
    micro_batch_pixels=16,
    images=13,
)
STEPS = 7  # of two images, the last of one


class Dropping(nn.Module):
    """A small U-Net that drops values by chance and keeps running statistics: all that a state may hold."""

    def __init__(self):
        super().__init__()
        self.net, self.norm, self.drop = (
            build("unet", 2, width=2, depth=1, seed=0),
            nn.BatchNorm2d(3),
            nn.Dropout(),
        )

    def forward(self, image):
        return self.net(image) + self.drop(self.norm(image / 255))[:, :2]


def _batch(number: int) -> Batch:
    """The batch of that number, and no other."""
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    mask = rng.integers(0, 2, (2, 4, 4), dtype=np.uint8)
    return Batch(image, mask, np.array(["a", "b"]), np.arange(2), number // 3, making_s=0.5, reading_s=0.25)


def _batches(start):
    return map(_batch, itertools.count(start)).__iter__()


class Cut(Exception):
    """What ends a run in these tests."""


def _stream(end: int | None, error: BaseException):
    """Batches that end with an error before that of number `end`."""

    def batches(start):
        for number in itertools.count(start):
            if number == end:
                raise error
            yield _batch(number)

    return batches


def _scores(model, execution=None) -> dict[str, float]:
    """A score that follows from the weights."""
    with torch.no_grad():
        return {"val_dice": float(model.net.head.bias.sum())}


def _run(records, end=None, error=None, execution=PLAIN, validate=_scores, network=Dropping, options=OPTIONS):
    """One start of a run; its weights and its history, or the error that ended it."""
    torch.manual_seed(5)
    model = execution.place(network())
    progress = begin(model, options)
    fit(progress, _stream(end, error or Cut()), options, execution, validate, records)
    return {name: value.clone() for name, value in model.state_dict().items()}, progress


def _same(one, other) -> None:
    for name, value in one[0].items():
        assert torch.equal(value, other[0][name]), name
    assert one[1].rows == other[1].rows
    counts = ("images", "steps", "pixels", "epochs")
    assert [getattr(one[1].spent, name) for name in counts] == [
        getattr(other[1].spent, name) for name in counts
    ]


@pytest.fixture(scope="module", params=[PLAIN, FAST], ids=["float32", "bfloat16"])
def alone(request):
    """A run left alone, and how it computes."""
    return request.param, _run(None, execution=request.param)


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.integers(0, STEPS), max_size=4),
    st.sampled_from([0, 1e9]),
    st.sampled_from([KeyboardInterrupt(15), LoaderError(expected="a", found="b", where="c", remedy="d")]),
)
def test_a_run_cut_short_anywhere_ends_in_the_same_bits(alone, tmp_path_factory, ends, every_s, error):
    """Whether records come after each step or only at the end, and however often it is cut short."""
    execution, left_alone = alone
    folder = tmp_path_factory.mktemp("state")
    for end in ends:
        with pytest.raises(type(error)):
            _run(Records(folder, {}, every_s), end, error, execution)
            raise error  # where it came to the end first
    again = _run(Records(folder, {}, every_s), execution=execution)
    _same(left_alone, again)


@pytest.mark.parametrize("end", range(1, STEPS))
def test_layers_that_open_on_the_way_do_so_after_a_cut_as_well(tmp_path, end):
    """What is open, and what the optimizer holds, follows from the share of the budget alone."""
    fixed = {f"net.{name}": NEVER for layer in Dropping().net.layers()[:1] for name in layer}
    later = {f"net.{name}": 0.5 for layer in Dropping().net.layers()[1:3] for name in layer}
    freezing = Freezing(opens=fixed | later, rates=dict.fromkeys(later, 0.1))
    options = dataclasses.replace(OPTIONS, freezing=freezing)
    left_alone = _run(None, options=options)
    with pytest.raises(Cut):
        _run(Records(tmp_path, {}, 0), end, options=options)
    _same(left_alone, _run(Records(tmp_path, {}, 0), options=options))
    model = left_alone[1].model
    torch.manual_seed(5)
    start = Dropping().state_dict()
    for name, weight in model.named_parameters():
        assert torch.equal(weight, start[name]) == (name in fixed), name
        assert (weight in left_alone[1].optimizer.state) == (name not in fixed)


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_run_cut_short_while_it_validates_ends_in_the_same_bits(alone, tmp_path, stop):
    """The record is of the moment before the validation, which is made anew."""
    execution, left_alone = alone
    calls = itertools.count()

    def validate(model, execution):
        if next(calls) == stop:
            raise KeyboardInterrupt(15)
        return _scores(model)

    with pytest.raises(KeyboardInterrupt):
        _run(Records(tmp_path, {}, 1e9), execution=execution, validate=validate)
    assert Records(tmp_path, {}, 1e9).latest().facts["stops"] == stop
    _same(left_alone, _run(Records(tmp_path, {}, 1e9), execution=execution))


class Interrupted(Dropping):
    """Cut short in the middle of a step, once: after its first part has left its traces."""

    at = 5

    def forward(self, image):
        found = super().forward(image)
        if self.training:
            type(self).at -= 1
            if type(self).at == 0:
                raise KeyboardInterrupt(15)
        return found


@pytest.mark.parametrize("at", range(1, 13))
def test_a_run_cut_short_within_a_step_ends_in_the_same_bits(alone, tmp_path, at):
    """What the step had changed by then, statistics and generator, is as before it."""
    execution, left_alone = alone
    Interrupted.at = at
    with pytest.raises(KeyboardInterrupt):
        _run(Records(tmp_path, {}, 1e9), execution=execution, network=Interrupted)
    _same(left_alone, _run(Records(tmp_path, {}, 1e9), execution=execution))


def test_what_has_no_room_passes_in_smaller_parts_without_a_trace():
    """Out of memory within a step: it is made anew in smaller parts, and that is told."""

    class Cramped(Dropping):
        def forward(self, image):
            found = super().forward(image)
            if self.training and len(image) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return found

    torch.manual_seed(5)
    progress = begin(PLAIN.place(Cramped()), dataclasses.replace(OPTIONS, micro_batch_pixels=64))
    fit(progress, _stream(None, Cut()), OPTIONS, PLAIN, _scores)
    assert [incident["kind"] for incident in progress.incidents] == ["memory"]
    assert progress.incidents[0]["said"] == "out of memory at step 1: parts of 16 pixels from there on"
    _same(_run(None), (progress.model.state_dict(), progress))


def test_what_was_spent_adds_up(tmp_path):
    """Seconds of both starts, one resume, and the loader's work of every batch that was used."""
    with pytest.raises(Cut):
        _run(Records(tmp_path, {}, 1e9), 4)
    before = Records(tmp_path, {}, 1e9).latest().facts["spent"]
    spent = _run(Records(tmp_path, {}, 1e9))[1].spent
    assert spent.resumes == 1
    assert spent.making_s == STEPS * 0.5 and spent.reading_s == STEPS * 0.25
    costs = [name for name in before if name not in POSITION]
    assert all(getattr(spent, name) >= before[name] for name in costs)
    assert spent.training_s > before["training_s"] > 0 and spent.cpu_s > before["cpu_s"] > 0


def test_a_record_that_cannot_be_written_ends_no_run(tmp_path, alone, monkeypatch, caplog):
    """A full disk is told, step by step, and the training goes on."""

    def full(*_):
        raise OSError("no space left on device")

    execution, left_alone = alone
    monkeypatch.setattr("os.fsync", full)
    with caplog.at_level(logging.WARNING, "stratagem"):
        _same(left_alone, _run(Records(tmp_path, {}, 0), execution=execution))
    assert caplog.text.count("is not recorded: no space left on device") >= STEPS


def test_a_run_that_did_nothing_leaves_nothing(tmp_path):
    """Cut short before its first step there is nothing to record."""
    with pytest.raises(Cut):
        _run(Records(tmp_path, {}, 0), 0)
    assert Records(tmp_path, {}, 0).latest() is None


def test_every_number_of_a_state_comes_back(tmp_path):
    """Through a file, into another network: weights, statistics, moments and their layout, generator."""
    _, progress = _run(None, execution=FAST)
    progress.incidents.append({"kind": "memory", "step": 3, "said": "ö"})
    progress.spent.losses.append(0.1 + 0.2)
    state = progress.state()
    records = Records(tmp_path, {}, 0)
    records.write(state, 7)
    torch.manual_seed(99)
    model = FAST.place(Dropping())
    other = Progress(model, torch.optim.AdamW(model.parameters(), fused=True), 1)
    other.restore(records.latest())
    found = other.state()
    assert json.dumps(found.facts) == json.dumps(state.facts)
    assert found.tensors.keys() == state.tensors.keys()
    assert all(torch.equal(value, found.tensors[name]) for name, value in state.tensors.items())
    for parameter in model.parameters():
        moments = other.optimizer.state[parameter]
        assert moments["exp_avg"].stride() == parameter.stride()
        assert moments["exp_avg"].data_ptr() != moments["exp_avg_sq"].data_ptr()


def test_a_state_does_not_change_with_the_run():
    """It is a copy: what is trained later does not show in it."""
    _, progress = _run(None)
    state = progress.state()
    before = {name: value.clone() for name, value in state.tensors.items()}
    with torch.no_grad():
        for parameter in progress.model.parameters():
            parameter.add_(1)
    progress.rows.append({})
    progress.spent.losses.append(1.0)
    assert all(torch.equal(value, state.tensors[name]) for name, value in before.items())
    assert state.facts["rows"] != progress.rows and state.facts["spent"]["losses"] == []


class Fragile(Dropping):
    """Gives numbers that are not finite, in bfloat16 alone and from its fifth training step on."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, image):
        self.calls += self.training and torch.is_grad_enabled()
        worse = self.calls > 2 * 4 and torch.is_autocast_enabled("cpu")  # a batch passes in two parts
        return super().forward(image) * (float("nan") if worse else 1)


def test_numbers_that_are_not_finite_are_tried_once_more_in_float32(tmp_path, caplog):
    """The run begins again, in float32, and ends as one that was in float32 from the start."""
    with caplog.at_level(logging.WARNING, "stratagem"):
        weights, progress = _run(Records(tmp_path, {}, 0), execution=FAST, network=Fragile)
    layout = Execution("cpu", torch.float32, torch.channels_last, "")
    _same(_run(None, execution=layout, network=Fragile), (weights, progress))
    assert progress.exact and [fault["step"] for fault in progress.incidents] == [5]
    assert progress.spent.making_s == (4 + STEPS) * 0.5  # what the first attempt took is not forgotten
    assert "step 5, samples a, b: once more from step 0, in float32" in caplog.text


def test_the_second_attempt_begins_at_the_last_anchor(tmp_path, monkeypatch, caplog):
    """Where one was set it goes back no further; cut short or not, the bits are the same."""
    monkeypatch.setattr("stratagem.training.loop.ANCHOR_PIXELS", 32)
    with caplog.at_level(logging.WARNING, "stratagem"):
        whole = _run(Records(tmp_path / "one", {}, 1e9), execution=FAST, network=Fragile)
    assert "step 5, samples a, b: once more from step 3, in float32" in caplog.text
    for end in (2, 3, 4, 6):
        with pytest.raises(Cut):
            _run(Records(tmp_path / "other", {}, 0), end, execution=FAST, network=Fragile)
    again = _run(Records(tmp_path / "other", {}, 0), execution=FAST, network=Fragile)
    _same(whole, again)
    assert again[1].spent.resumes == 4


def test_a_signal_at_the_end_of_a_validation_loses_no_anchor(tmp_path, monkeypatch):
    """The record then is of a place where an anchor is due: it is set when the run goes on."""
    monkeypatch.setattr("stratagem.training.loop.ANCHOR_PIXELS", 32)
    whole = _run(Records(tmp_path / "one", {}, 1e9), execution=FAST, network=Fragile)
    look = Progress.look

    def interrupted(progress):
        look(progress)
        if progress.stops == 1:
            signal.raise_signal(signal.SIGTERM)  # held back until the validation is written down

    def end(number, frame):
        raise KeyboardInterrupt(number)

    monkeypatch.setattr(Progress, "look", interrupted)
    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(Records(tmp_path / "other", {}, 1e9), execution=FAST, network=Fragile)
    finally:
        signal.signal(signal.SIGTERM, before)
    monkeypatch.setattr(Progress, "look", look)
    again = _run(Records(tmp_path / "other", {}, 1e9), execution=FAST, network=Fragile)
    _same(whole, again)
    assert [fault["said"] for fault in again[1].incidents] == [fault["said"] for fault in whole[1].incidents]


def test_the_second_attempt_is_validated_in_float32_too(tmp_path):
    """A score is computed as the network was trained."""
    seen = []

    def validate(model, execution):
        seen.append(execution.dtype)
        return {}

    _run(None, execution=FAST, network=Fragile, validate=validate)
    assert seen == [torch.bfloat16, *[torch.float32] * 3]


def test_float32_is_the_end_of_it(tmp_path):
    """Where float32 is no better I am told the step, the layer and the samples."""

    class Broken(Dropping):
        def forward(self, image):
            return super().forward(image) * float("inf")

    with pytest.raises(
        TrainingError, match=r"step 1, samples a, b: .*layer `.*computed in float32.*learning_rate"
    ):
        _run(Records(tmp_path, {}, 0), execution=FAST, network=Broken)


def test_the_moments_are_there_before_the_first_step():
    """AdamW's own first step would make the same, but might run out of memory half-way."""
    ours, theirs = (build("unet", 2, width=2, depth=1, seed=0) for _ in range(2))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.0, weight_decay=0.0, fused=True)
    for parameter in theirs.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    expected = optimizer.state_dict()["state"]
    found = begin(ours, OPTIONS).optimizer.state_dict()["state"]
    assert found.keys() == expected.keys()
    for number, moments in expected.items():
        assert moments.keys() == found[number].keys()
        for name, value in moments.items():
            own = found[number][name]
            assert (own.shape, own.dtype, own.stride()) == (value.shape, value.dtype, value.stride())
            assert own.eq(0).all()


def test_a_network_whose_layers_draw_nothing_is_copied_nowhere():
    """A step of the U-Net leaves no trace but its gradients, so nothing is kept for its undoing."""
    progress = begin(PLAIN.place(build("unet", 2, width=2, depth=1, seed=0)).train(), OPTIONS)
    assert progress.traces() == {}
    drawing = begin(PLAIN.place(Dropping()).train(), OPTIONS)
    assert {"generator.cpu", "buffer.0.running_mean"} <= set(drawing.traces())
