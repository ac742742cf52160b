"""A sample has a group and a part."""

import pytest

from stratagem.data.sample import group_of


@pytest.mark.parametrize(
    ("pattern", "group"),
    [
        (None, "p12/day3-b"),
        ("^p[0-9]+", "p12"),
        ("(day[0-9])-", "day3"),
        ("nothing", "p12/day3-b"),
        ("b(x)?$", "p12/day3-b"),
    ],
)
def test_a_group_is_what_the_pattern_matches(pattern, group):
    """A group is the pattern's first bracket, else its match, else the whole name; never nothing."""
    assert group_of("p12/day3-b", pattern) == group
