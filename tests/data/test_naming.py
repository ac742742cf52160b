"""Patterns of names: what they take for the stem, what they pair, how they are widened."""

from pathlib import Path

import pytest

from stratagem.data.naming import Pattern


@pytest.mark.parametrize(
    ("pattern", "name", "stem"),
    [
        ("{stem}", "s/a", "a"),
        ("{stem}_sat", "s/a_sat", "a"),
        ("{stem}_sat", "a_mask", None),
        ("img_{stem}", "img_1", "1"),
        ("{stem}_sat.jpg", "a_sat", "a"),
        ("{stem}_sat", "_sat", None),
    ],
)
def test_the_stem_is_what_the_pattern_leaves(pattern, name, stem):
    """None where a name does not fit, or nothing is left."""
    assert Pattern(pattern).stem(name, Path(name + ".jpg")) == stem


@pytest.mark.parametrize(
    ("pattern", "widened"),
    [
        ("{stem}_mask", "{stem}_mask*"),
        ("{stem}_lesion1", "{stem}_lesion*"),
        ("gt_{stem}_2.png", "gt_{stem}_*"),
        ("{stem}_*", "{stem}_*"),
    ],
)
def test_a_widened_pattern_takes_all_of_its_kind(pattern, widened):
    """Up to a number, a star or an extension."""
    assert Pattern(pattern).widened == widened


def test_the_longest_stem_has_the_mask():
    """Of two images whose names begin alike, the mask is that of the longer."""
    images = [(name, Path(name + ".png")) for name in ("a", "a_b")]
    masks = [("a_b_1", Path("m/a_b_1.png")), ("a_1", Path("m/a_1.png"))]
    pairs = Pattern("{stem}_*").pairs(images, masks, Pattern("{stem}"))
    assert pairs == {"a_b": [Path("m/a_b_1.png")], "a": [Path("m/a_1.png")]}
