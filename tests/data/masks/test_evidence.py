"""One mask is measured in bounded memory, the same whatever the parts it is counted in."""

import pickle

import cv2
import numpy as np
import pytest

from stratagem.data.labels import RawMask
from stratagem.data.masks.evidence import special, summarise

SIDE = 64


def _blobs(number: int, count: int = 3, side: int = SIDE) -> np.ndarray:
    """A mask's truth: discs that do not touch, numbered 1 .. count, on 0."""
    rng = np.random.default_rng(number)
    objects = np.zeros((side, side), np.int32)
    cells = rng.permutation(16)[:count]
    for label, cell in enumerate(cells.tolist(), start=1):
        row, column = (side // 4 * place + side // 8 for place in divmod(cell, 4))
        cv2.circle(objects, (column, row), side // 10, label, thickness=-1)
    return objects


def test_a_summary_can_be_sent_to_another_process():
    """A summary survives pickling."""
    summary = summarise(RawMask(_blobs(0)))
    assert pickle.loads(pickle.dumps(summary)) == summary


def test_distinct_values_are_bounded():
    """Of very many values the most frequent are kept, and that there are more is said."""
    values = np.arange(10000, dtype=np.int32).reshape(100, 100)
    values[50:] = 7
    summary = summarise(RawMask(values))
    assert summary.many
    assert len(summary.values) == 4096
    assert dict(summary.values)[7] == 5001


def test_counts_do_not_depend_on_the_parts(monkeypatch):
    """A mask counted in parts gives what it gives at once."""
    masks = [RawMask(_blobs(0)), RawMask(_blobs(1).astype(np.uint8))]
    whole = [summarise(mask) for mask in masks]
    monkeypatch.setattr("stratagem.data.objects.PART", 100)
    assert [summarise(mask) for mask in masks] == whole


def test_objects_in_pieces_are_not_connected():
    """A number in two places is not one object."""
    values = np.array([[1, 0, 2], [0, 0, 0], [2, 0, 1]], np.uint8)
    assert not summarise(RawMask(values)).connected
    assert summarise(RawMask(values[:2])).connected


def test_an_image_of_another_size_is_no_original():
    """Painted pixels are looked for only where image and mask are of one size."""
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert summarise(RawMask(picture), picture).unchanged == 1
    assert summarise(RawMask(picture), picture[1:]).unchanged is None


def test_special_values_follow_upon_no_other():
    """255 after 254 is a number like others; alone it often means something else."""
    assert special([0, 1, 2, 255]) == [255]
    assert special(range(256)) == []
    assert special([-1, 0, 65535]) == [-1, 65535]


def test_what_is_painted_is_measured():
    """Of painted pixels those inside them, those that they enclose, and their share of the frame."""
    picture = np.random.default_rng(0).integers(0, 250, (SIDE, SIDE, 3), dtype=np.uint8)
    painted = picture.copy()
    painted[10:20, 10:20] = painted[:2] = 255
    painted[12:18, 12:18] = picture[12:18, 12:18]
    summary = summarise(RawMask(painted), picture)
    assert (summary.inside, summary.core) == (36, 64)
    assert summary.painted_frame == (SIDE + 4) / (4 * SIDE)


def test_bands_reach_from_side_to_side():
    """Layers touch two opposite sides, discs none."""
    layers = np.repeat(np.arange(SIDE, dtype=np.uint16) // 9, SIDE).reshape(SIDE, SIDE)
    assert summarise(RawMask(layers)).bands
    assert not summarise(RawMask(_blobs(0).astype(np.uint16))).bands


def test_an_ignored_ring_is_no_object():
    """Numbers are in one piece each, whatever 255 around them is in."""
    objects = _blobs(0).astype(np.uint8)
    ring = cv2.dilate(np.uint8(objects > 0), np.ones((3, 3), np.uint8)) > (objects > 0)
    assert summarise(RawMask(np.where(ring, 255, objects).astype(np.uint8))).connected


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scattered", [False, True])
def test_regions_are_counted_alike_one_by_one_and_at_once(monkeypatch, seed, scattered):
    """Numbers in boxes of their own, or all over the mask: the same is said of them."""
    rng = np.random.default_rng(seed)
    values = (
        rng.integers(0, 7, (40, 50)) if scattered else np.kron(rng.integers(0, 9, (4, 5)), np.ones((10, 10)))
    )
    mask = RawMask(values.astype(np.uint8))
    found = []
    for spread in (0, 10**6):
        monkeypatch.setattr("stratagem.data.masks.evidence.SPREAD", spread)
        found.append(summarise(mask))
    assert found[0] == found[1]


def test_a_large_mask_is_looked_at_where_it_is_full(monkeypatch):
    """Its values are counted in all of it; whether they number objects is seen in the fullest window."""
    values = np.zeros((300, 400), np.uint16)
    for number in range(20):
        row, column = divmod(number, 5)
        values[200 + 12 * row : 208 + 12 * row, 300 + 12 * column : 308 + 12 * column] = number + 1
    values[5:9, 5:9] = 30
    whole = summarise(RawMask(values))
    monkeypatch.setattr("stratagem.data.masks.evidence.WINDOW", 96)
    seen = summarise(RawMask(values))
    assert (seen.values, seen.upper, seen.frame) == (whole.values, whole.upper, whole.frame)
    assert seen.connected is True and whole.connected is True
    values[(values > 0) & (values < 30)] %= 4
    assert summarise(RawMask(values)).connected is False
