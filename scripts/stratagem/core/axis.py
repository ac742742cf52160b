"""An axis of variation: one table of named rows, from which legal values, schema and docs follow.

Metrics, resolution plans, losses, networks, transforms, presets and ways to freeze are each one such table.
A new row is all that a new choice needs; a name that is no row is refused wherever it is looked up.
"""

import difflib
from collections.abc import Mapping
from typing import Protocol, TypeVar

from stratagem.core.errors import UnknownNameError

__all__ = ["Axis"]


class Described(Protocol):
    """What every row has."""

    @property
    def description(self) -> str:
        """What it is, as a sentence."""
        ...


Row = TypeVar("Row", bound=Described)


class Axis(dict[str, Row]):
    """Rows by name, in the order in which a person reads them.

    Parameters
    ----------
    noun : str
        What a row is, for messages: "loss".
    rows : mapping of str to row
    """

    def __init__(self, noun: str, rows: Mapping[str, Row]):
        super().__init__(rows)
        self.noun = noun

    def __missing__(self, name: str) -> Row:
        close = difflib.get_close_matches(str(name), self, n=1)
        raise UnknownNameError(
            expected=f"one of {', '.join(self)}",
            found=f"`{name}`",
            where=f"the name of a {self.noun}",
            remedy=f"Perhaps `{close[0]}`." if close else "Correct the name.",
        )

    def described(self) -> str:
        """Each name with its row's ``description``, as the sentences of a config key."""
        return " ".join(f"{name}: {row.description}" for name, row in self.items())
