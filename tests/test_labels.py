"""Any mask encoding becomes class indices."""

import numpy as np
import pytest

from stratagem.errors import DataError
from stratagem.labels import IGNORE, recognise, to_classes, undeclared


def _occurring(*values: int) -> np.ndarray:
    found = np.zeros(256, bool)
    found[list(values)] = True
    return found


@pytest.mark.parametrize(
    ("values", "classes", "encoding"),
    [
        ((0, 255), 2, "binary"),
        ((255,), 2, "binary"),
        ((0,), 2, "indices"),
        ((0, 1), 2, "indices"),
        ((0, 1, 255), 2, "indices"),
        ((0, 255), 3, "indices"),
        ((0, 128, 255), 2, "indices"),
        ((), 2, "indices"),
    ],
)
def test_the_encoding_is_recognised_on_the_set(values, classes, encoding):
    """Masks of 0 and 255 alone, with two classes declared, are binary; all others hold indices."""
    assert recognise(_occurring(*values), classes) == encoding


@pytest.mark.parametrize("wanted", ["binary", "indices"])
def test_what_the_study_says_wins(wanted):
    """Where the study names the encoding, nothing is guessed."""
    assert recognise(_occurring(0, 255), 2, wanted) == wanted
    assert recognise(_occurring(0, 1), 2, wanted) == wanted


@pytest.mark.parametrize("classes", [1, 3])
def test_binary_wants_two_classes(classes):
    """Binary masks with other than two classes are refused, with both ways out."""
    with pytest.raises(DataError, match=rf"`labels`.*found {classes} classes.*labels: indices"):
        recognise(_occurring(0, 255), classes, "binary")


def test_binary_255_becomes_class_1():
    """In a binary mask 255 is class 1, and nothing is ignored."""
    mask = np.array([[0, 255]], np.uint8)
    classes = to_classes(mask, "binary")
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, [[0, 1]])


def test_indices_are_left_alone():
    """Indices are the classes, and 255 stays what is ignored."""
    mask = np.array([[0, 2, IGNORE]], np.uint8)
    classes = to_classes(mask, "indices")
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, [[0, 2, 255]])


@pytest.mark.parametrize(
    ("values", "classes", "encoding", "strange"),
    [
        ((0, 255), 2, "binary", []),
        ((0, 1, 254, 255), 2, "binary", [1, 254]),
        ((0, 1, 2, 255), 3, "indices", []),
        ((0, 3, 254), 3, "indices", [3, 254]),
    ],
)
def test_values_without_a_class_are_found(values, classes, encoding, strange):
    """Every value that has no class is listed, in order."""
    assert undeclared(_occurring(*values), classes, encoding) == strange
