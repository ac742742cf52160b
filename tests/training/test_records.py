"""Records of a run's state: whole or not used, and only where all is as it was."""

import json
import logging
import os
import resource

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from stratagem.training.records import Records, State, digest_of_file

DEPENDS = {"recipe": "a", "shards": "b"}


def _state(number: int = 0) -> State:
    tensors = {
        "model.weight": torch.full((2, 3), float(number)),
        "generator.cpu": torch.arange(5, dtype=torch.uint8),
        "count": torch.tensor(number),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "none": torch.empty(0, 4),
    }
    return State(tensors, {"number": number, "third": 1 / 3, "said": "ü"})


def _names(folder) -> set[str]:
    return {path.name for path in folder.rglob("*.safetensors")}


def _flip(path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def test_a_record_comes_back(tmp_path):
    """Every tensor with its kind, and every fact exactly, by another object of the same run."""
    Records(tmp_path, DEPENDS, 0).write(_state(3), 12)
    found, state = Records(tmp_path, DEPENDS, 0).latest(), _state(3)
    assert found.facts == state.facts
    assert found.tensors.keys() == state.tensors.keys()
    for name, tensor in state.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype and torch.equal(found.tensors[name], tensor)


def test_any_tool_opens_a_record(tmp_path):
    """It is an ordinary safetensors file."""
    Records(tmp_path, DEPENDS, 0).write(_state(1), 1)
    (path,) = tmp_path.rglob("*.safetensors")
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["facts"])["number"] == 1
        assert file.get_tensor("model.weight").tolist() == [[1.0] * 3] * 2


def test_the_last_two_of_each_kind_are_kept(tmp_path):
    """More would fill the disk; one alone could be the damaged one."""
    records = Records(tmp_path, DEPENDS, 0)
    for step in range(1, 6):
        records.write(_state(step), step)
        if step in (1, 2, 3):
            records.write(_state(step), step, anchor=True)
    kept = {"step000000004", "step000000005", "anchor000000002", "anchor000000003"}
    assert _names(tmp_path) == {f"{name}.safetensors" for name in kept}
    assert records.latest().facts["number"] == 5
    assert records.anchor().facts["number"] == 3


def test_an_anchor_that_is_the_newest_is_gone_on_from(tmp_path):
    """Of both kinds the one of the latest step counts."""
    records = Records(tmp_path, DEPENDS, 0)
    records.write(_state(1), 1)
    records.write(_state(2), 2, anchor=True)
    assert records.latest().facts["number"] == 2


def test_a_way_that_was_left_is_forgotten(tmp_path):
    """After a step back nothing later is found."""
    records = Records(tmp_path, DEPENDS, 0)
    records.write(_state(2), 2, anchor=True)
    records.write(_state(3), 3)
    records.write(_state(4), 4, anchor=True)
    records.forget_after(2)
    assert records.latest().facts["number"] == 2
    assert _names(tmp_path) == {"anchor000000002.safetensors"}


def test_where_nothing_was_written_nothing_is_found(tmp_path):
    """No folder, no record, no error."""
    records = Records(tmp_path / "state", DEPENDS, 0)
    assert records.latest() is None and records.anchor() is None
    records.clear()
    assert not (tmp_path / "state").exists()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two records, and the bytes of the newer one."""
    folder = tmp_path_factory.mktemp("two")
    records = Records(folder, DEPENDS, 0)
    records.write(_state(1), 1)
    records.write(_state(2), 2)
    path = next(folder.rglob("step000000002.safetensors"))
    return records, path, path.read_bytes()


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_is_noticed_wherever_it_is(two, data):
    """The record before it is used; unless nothing that was written reads otherwise."""
    records, path, whole = two
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    try:
        _flip(path, place, bit)
        found = records.latest()
    finally:
        path.write_bytes(whole)
    if found.facts["number"] == 2:  # a blank between header and tensors, which says nothing
        assert found.facts == _state(2).facts
        assert all(torch.equal(found.tensors[name], tensor) for name, tensor in _state(2).tensors.items())
    else:
        assert found.facts["number"] == 1


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_a_record_cut_short_is_noticed(two, data):
    """At any length, none at all among them."""
    records, path, whole = two
    try:
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        assert records.latest().facts["number"] == 1
    finally:
        path.write_bytes(whole)


def test_a_damaged_record_is_named(two, caplog):
    """The log says which file it is, and what is done instead."""
    records, path, whole = two
    try:
        _flip(path, len(whole) - 1, 0)
        with caplog.at_level(logging.WARNING, "stratagem"):
            records.latest()
        assert not path.exists()
    finally:
        path.write_bytes(whole)
    assert f"{path} is damaged (its bytes have changed): the record before it is used" in caplog.text


def test_a_damaged_record_takes_no_place(tmp_path):
    """After it is noticed there are soon two whole ones again."""
    records = Records(tmp_path, DEPENDS, 0)
    records.write(_state(9), 9)
    _flip(next(tmp_path.rglob("step000000009.safetensors")), 400, 0)
    assert records.latest() is None
    for step in (5, 6):
        records.write(_state(step), step)
    assert _names(tmp_path) == {"step000000005.safetensors", "step000000006.safetensors"}


def test_records_of_other_dependencies_are_set_aside(tmp_path, caplog):
    """One line says what differs; back as it was, the run goes on where it stopped."""
    Records(tmp_path, DEPENDS, 0).write(_state(7), 7)
    with caplog.at_level(logging.INFO, "stratagem"):
        other = Records(tmp_path, DEPENDS | {"shards": "c", "weights": "d"}, 0)
        assert other.latest() is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith("is set aside: its shards, weights differ; this run starts afresh")
    other.write(_state(1), 1)
    caplog.clear()
    assert Records(tmp_path, DEPENDS, 0).latest().facts["number"] == 7
    assert not caplog.records


def test_all_is_cleared_at_the_end(tmp_path):
    """What was set aside goes too."""
    Records(tmp_path / "state", DEPENDS, 0).write(_state(1), 1)
    records = Records(tmp_path / "state", {}, 0)
    records.write(_state(1), 1)
    records.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_due_when_its_time_has_come(tmp_path):
    """At once where no time is to pass; never before its time, counted from the last."""
    assert Records(tmp_path, DEPENDS, 0).due
    late = Records(tmp_path, DEPENDS, 3600)
    assert not late.due
    late.every_s = 0
    assert late.due


def test_a_record_that_cannot_be_written_leaves_the_last_one(tmp_path, monkeypatch):
    """A full disk, say: nothing half-written is left and the one before it is whole."""
    records = Records(tmp_path, DEPENDS, 0)
    records.write(_state(1), 1)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        records.write(_state(2), 2)
    assert _names(tmp_path) == {"step000000001.safetensors"}
    assert not list(tmp_path.rglob(".*.part"))
    assert records.latest().facts["number"] == 1


def test_a_disk_that_takes_no_more_is_an_error_of_the_system(tmp_path):
    """Whatever the library that writes makes of it."""
    records = Records(tmp_path, DEPENDS, 0)
    records.write(_state(1), 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, hard))
    try:
        with pytest.raises(OSError, match="(?i)file too large|io ?error"):
            records.write(State({"large": torch.zeros(1000)}, {}), 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert records.latest().facts["number"] == 1
    assert not list(tmp_path.rglob(".*.part"))


def test_what_others_depend_on_may_be_unreadable(tmp_path, caplog):
    """Damaged too, it is set aside all the same."""
    Records(tmp_path, DEPENDS, 0).write(_state(1), 1)
    next(tmp_path.rglob("depends.json")).write_bytes(b"{")
    with caplog.at_level(logging.INFO, "stratagem"):
        assert Records(tmp_path, {"recipe": "b"}, 0).latest() is None
    assert "is set aside: its recipe differ" in caplog.text


def test_a_file_is_known_by_its_bytes(tmp_path):
    """Its name and time do not matter."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"abc")
    other.write_bytes(b"abc")
    assert digest_of_file(one) == digest_of_file(other)
    other.write_bytes(b"abd")
    assert digest_of_file(one) != digest_of_file(other)
