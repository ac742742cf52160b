"""Outlines are drawn where they are, and those that cannot be are told apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from collecting import SIZE
from stratagem.data.importers.outlines import RunLengths, box, ellipse, encoded, fits, pasted


@given(left=st.integers(-9, 12), top=st.integers(-9, 12), height=st.integers(1, 5), width=st.integers(1, 5))
def test_a_part_is_pasted_where_it_lies(left, top, height, width):
    """Also across an edge, and wholly outside."""
    part = np.arange(height * width).reshape(height, width) % 3 == 0
    large = np.zeros((40, 40), bool)
    large[top + 10 : top + 10 + height, left + 10 : left + 10 + width] = part
    expected = large[10 : 10 + SIZE[0], 10 : 10 + SIZE[1]]
    np.testing.assert_array_equal(coco_mask.decode(pasted(part, left, top, SIZE)), expected)


def test_a_box_turns_about_its_centre():
    """By a quarter its sides change places."""
    assert box(1, 2, 5, 4) == [1, 2, 5, 2, 5, 4, 1, 4]
    assert np.allclose(sorted(box(1, 2, 5, 4, 90)[0::2]), [2, 2, 4, 4])
    assert np.allclose(sorted(box(1, 2, 5, 4, 90)[1::2]), [1, 1, 5, 5])


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_an_ellipse_has_its_area(degrees):
    """Within what 64 corners and whole pixels make of it."""
    drawn = coco_mask.decode(encoded([ellipse(50, 50, 30, 20, degrees)], (100, 100)))
    assert drawn.sum() == pytest.approx(np.pi * 30 * 20, rel=0.01)
    along = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])  # x, y: y goes down
    for length, inside in ((28, 1), (32, 0)):
        x, y = (50 + length * along).astype(int)
        assert drawn[y, x] == inside


def test_an_outline_of_another_image_does_not_fit():
    """Polygons far outside, run lengths of another size or sum."""
    assert fits([[0, 0, 9, 0, 0, 7]], SIZE) and not fits([[0, 0, 99, 0, 0, 7]], SIZE)
    assert fits(RunLengths(size=SIZE, counts=[40, 8]), SIZE)
    assert not fits(RunLengths(size=SIZE, counts=[40, 9]), SIZE)
    assert not fits(RunLengths(size=SIZE[::-1], counts=[40, 8]), SIZE)
