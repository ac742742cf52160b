"""Values and objects are counted in strips as they are at once."""

import cv2
import numpy as np
import pytest

from stratagem.data import objects
from stratagem.data.objects import count_objects, count_values


@pytest.mark.parametrize("part", [1, 50, 170, 10**6])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_objects_in_strips_are_those_at_once(monkeypatch, part, share):
    """However thin the strips: what touches across a seam, also at a corner, is one."""
    monkeypatch.setattr(objects, "PART", part)
    for seed in range(5):
        mask = (np.random.default_rng(seed).random((41, 50)) < share).astype(np.uint8)
        assert count_objects(mask, 1) == cv2.connectedComponents(mask)[0] - 1
        assert count_objects(mask, 0) == cv2.connectedComponents(1 - mask)[0] - 1
        np.testing.assert_array_equal(count_values(mask), np.bincount(mask.ravel(), minlength=256))


def test_counts_are_exact_beyond_what_float32_counts():
    """Of more than 2^24 pixels of one value, and one pixel besides."""
    mask = np.zeros((4097, 4097), np.uint8)
    mask[-1, -1] = 9
    assert count_values(mask)[[0, 9]].tolist() == [4097**2 - 1, 1]


def test_what_is_not_there_is_no_object():
    """Also in more than one strip."""
    assert count_objects(np.zeros((4, 5), np.uint8), 3) == 0
