"""A table of rows refuses names that are none."""

from dataclasses import dataclass

import pytest

from stratagem.core.axis import Axis
from stratagem.core.errors import StratagemError, UnknownNameError


@dataclass(frozen=True)
class Row:
    """A row with nothing but words."""

    description: str


FRUIT = Axis("fruit", {"apple": Row("round."), "pear": Row("long.")})


def test_a_row_is_found_by_its_name():
    """And the names are those of the rows, in their order."""
    assert FRUIT["pear"].description == "long."
    assert list(FRUIT) == ["apple", "pear"]
    assert FRUIT.described() == "apple: round. pear: long."


@pytest.mark.parametrize(
    ("name", "hint"), [("aple", "Perhaps `apple`."), ("iou", "Correct the name."), (3, "Correct")]
)
def test_a_name_that_is_no_row_is_refused(name, hint):
    """Never taken for another: I am told what there is."""
    with pytest.raises(UnknownNameError) as caught:
        FRUIT[name]
    assert "name of a fruit: expected one of apple, pear, but found" in str(caught.value)
    assert hint in str(caught.value)
    assert isinstance(caught.value, StratagemError) and isinstance(caught.value, KeyError)
