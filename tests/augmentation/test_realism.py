"""A tiny classifier tells changed pictures from real ones where there is a difference, and only there."""

import numpy as np
import pytest

from stratagem.augmentation.realism import SIDE, distinguish, features

COUNT = 16


def _pictures(seed: int, count: int = COUNT) -> np.ndarray:
    """Noise of no meaning: brightness, one class, two differences of colour."""
    return np.random.default_rng(seed).random((count, SIDE, SIDE, 4), np.float32)


def _names(count: int = COUNT) -> list[str]:
    return [f"{number}" for number in range(count)]


def test_a_plain_difference_is_told():
    """Brighter pictures are told apart nearly always, more often than chance allows."""
    real = _pictures(0)
    told = distinguish(real, real + np.float32([0.2, 0, 0, 0]), _names())
    assert told.share > 0.9
    assert told.p < 0.001


def test_no_difference_is_not_told():
    """Of two draws of one distribution neither is the real one: p is rarely small."""
    p = [distinguish(_pictures(2 * seed), _pictures(2 * seed + 1), _names()).p for seed in range(5)]
    assert sum(value < 0.05 for value in p) <= 1
    assert max(p) > 0.3


def test_equal_pictures_are_no_evidence():
    """Where nothing was changed every exchange does as well."""
    real = _pictures(0)
    assert distinguish(real, real, _names()).p == 1


def test_colour_and_class_count_too():
    """A difference in any channel is seen: a class's plane, a difference of colour."""
    real = _pictures(1)
    for channel in (1, 3):
        changed = real.copy()
        changed[..., channel] *= 0.7
        assert distinguish(real, changed, _names()).p < 0.01, channel


def test_pairs_of_one_group_are_one_piece_of_evidence():
    """Sixteen pairs of six groups cannot be as sure as sixteen of their own: p is about 1/2^6."""
    real = _pictures(0)
    changed = real + np.float32([0.2, 0, 0, 0])
    grouped = distinguish(real, changed, [str(number % 6) for number in range(COUNT)])
    assert grouped.share > 0.9
    assert 0.005 < grouped.p < 0.1


def test_the_same_pictures_give_the_same_answer():
    """Nothing is left to chance: features and exchanges have their own seeds."""
    real, changed = _pictures(0), _pictures(1)
    assert distinguish(real, changed, _names()) == distinguish(real, changed, _names())


def test_exchanging_real_and_changed_changes_nothing():
    """The test has no side: which of the two was changed does not matter."""
    real, changed = _pictures(0), _pictures(1) * np.float32(0.9)
    one, other = distinguish(real, changed, _names()), distinguish(changed, real, _names())
    assert (one.share, one.p) == pytest.approx((other.share, other.p), abs=0.1)


def test_features_are_finite_also_of_flat_pictures():
    """An image without any contrast, or a class that is nowhere, gives numbers."""
    pictures = _pictures(0, 4)
    pictures[0], pictures[..., 1] = 0.5, 0
    assert all(np.isfinite(family).all() for family in features(pictures))
    assert all(np.isfinite(family).all() for family in features(np.zeros_like(pictures)))
