"""What is said at the door: small studies are told what they can see, and what would see more."""

import re

import pytest

from stratagem.comparison.outlook import outlook, smallest_effect
from stratagem.comparison.simulation import Shape


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (Shape("image", 1, 100), "1 seed, 100 test images and 5 comparisons give no interval"),
        (Shape("image", 3, 1), "3 seeds, 1 test image and 5 comparisons give no interval"),
        (Shape("image", 2, 100), "2 seeds, 100 test images and 5 comparisons see effects of about 0."),
        (Shape("group", 5, 3), "5 seeds, 3 groups of test images and 5 comparisons see effects of about 0."),
        (Shape("fold", 1, 3), "1 seed, 3 folds and 5 comparisons see effects of about 0."),
    ],
)
def test_a_small_study_is_told_what_it_sees(shape, told):
    """One or two seeds, few units, with the figure, and what would see the effect that is named."""
    said = outlook(shape, 5, 0.03)
    assert said.startswith(f"What this study can see, assuming the scatter of published studies: {told}")
    assert re.search(r"would see 0\.03\.$", said)


def test_a_large_study_is_told_nothing():
    """Nor one that compares nothing."""
    assert outlook(Shape("image", 10, 200), 5, 0.03) is None
    assert outlook(Shape("image", 1, 1), 0, 0.03) is outlook(Shape("image", 3, 50), 0, 0.03) is None
    assert outlook(Shape("image", 3, 50), 5, 0.2) is None  # planned for a large effect


def test_a_family_too_large_is_told():
    """The same study that sees the effect alone does not see it among forty."""
    assert outlook(Shape("image", 5, 150), 1, 0.03) is None
    assert "40 comparisons see effects" in outlook(Shape("image", 5, 150), 40, 0.03)


def test_advice_that_is_followed_is_silent():
    """What is said to see the effect is not told that it does not."""
    for shape in (Shape("image", 1, 30), Shape("image", 3, 15), Shape("group", 5, 3), Shape("fold", 2, 3)):
        said = outlook(shape, 5, 0.03)
        seeds = re.search(r"(\d+) seeds? .*would see|(\d+) seeds? would see", said.split(". ")[1])
        units = re.search(r"(\d+) (?:groups? of )?(?:test images|folds)[^.]* would see", said.split(". ")[1])
        better = Shape(
            shape.unit,
            int(next(filter(None, seeds.groups()))) if seeds else shape.seeds,
            int(units[1]) if units else shape.units,
        )
        assert better != shape and outlook(better, 5, 0.03) is None


def test_an_effect_that_no_study_sees_is_not_promised():
    """Far smaller than the scatter: fewer comparisons, or far more of everything."""
    assert "takes fewer comparisons, or far more" in outlook(Shape("image", 3, 20), 5, 0.0001)


def test_more_seeds_units_or_folds_see_smaller_effects():
    """And more comparisons larger ones."""
    for unit in ("image", "fold"):
        assert smallest_effect(Shape(unit, 3, 40), 5) < smallest_effect(Shape(unit, 3, 20), 5)
        assert smallest_effect(Shape(unit, 5, 20), 5) < smallest_effect(Shape(unit, 3, 20), 5)
        assert smallest_effect(Shape(unit, 3, 20), 5) < smallest_effect(Shape(unit, 3, 20), 20)
