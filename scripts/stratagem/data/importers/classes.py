"""The labels of an annotation tool as classes: numbers, names, what is ignored."""

from collections.abc import Sequence
from dataclasses import dataclass

from stratagem.data.labels import IGNORE

__all__ = ["Classes"]


@dataclass(frozen=True)
class Classes:
    """What each label is drawn as.

    Attributes
    ----------
    names : list of str
        By class index, background first.
    values : dict of str to int
        By label.
    """

    names: list[str]
    values: dict[str, int]

    @classmethod
    def of(
        cls, labels: Sequence[str], ground: Sequence[str], ignored: Sequence[str], faults: list[str]
    ) -> "Classes":
        """The classes of some labels.

        Parameters
        ----------
        labels : sequence of str
            Those that are used, in the order of their classes.
        ground, ignored : sequence of str
            Labels that mean the background, and no class at all.
        faults : list of str
            Where there is no class beside the background, one without a name, or more than a mask can hold,
            that is added.
        """
        own = [label for label in labels if label not in (*ground, *ignored)]
        if any(not label.strip() for label in own):
            faults.append("a label without a name")
        if not own and not faults:
            faults.append("no object of any class")
        elif len(own) >= IGNORE:
            faults.append(f"{len(own)} classes, where a mask holds {IGNORE - 1}")
        values = dict.fromkeys(ground, 0) | dict.fromkeys(ignored, IGNORE)
        return cls(["background", *own], values | {name: number for number, name in enumerate(own, start=1)})
