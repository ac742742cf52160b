"""What a person is asked where a set of masks can be read in two ways or in none, in words.

A stop says what was found and what would settle it: each reading with the line of config that says it, to be
pasted as it is (`two_readings`), or what else to do (`stop`). What is asked, and when, is for
`stratagem.data.masks.encoding` to say.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from stratagem.core.errors import DataError
from stratagem.data.labels import percent
from stratagem.data.masks.evidence import Summary, special

__all__ = [
    "LISTED",
    "colour_lines",
    "enumerated",
    "flow",
    "hint_of_alpha",
    "hint_of_few_codes",
    "hint_of_many_colours",
    "hint_of_many_values",
    "hint_of_one_grey",
    "listed",
    "mask_count",
    "paint_line",
    "reading_as_classes",
    "setting",
    "stop",
    "two_readings",
    "value_lines",
]

LISTED = 12  # values or colours that a message lists
# text that YAML takes as such
BARE = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9_-]*")


def two_readings(found: str, *readings: tuple[str, str]) -> DataError:
    """A set that can be read in two ways or more.

    Parameters
    ----------
    found : str
        What the masks hold, as a clause.
    readings : tuple of (str, str)
        A meaning, as a clause, and the line of config that says it.

    Returns
    -------
    DataError
        To be raised by the caller; `where` is the config key `labels`.
    """
    told = [f"{meaning}{' ' if meaning.endswith('with') else ': '}`{line}`" for meaning, line in readings]
    return stop(found, f"Say which: {'; or '.join(told)}.")


def stop(found: str, remedy: str) -> DataError:
    """A set that cannot be read as it is: what the masks hold, as a clause, and what to do, as a sentence.

    Parameters
    ----------
    found : str
        A clause.
    remedy : str
        A sentence.

    Returns
    -------
    DataError
        To be raised by the caller; `where` is the config key `labels`.
    """
    return DataError(
        expected="masks that can be read in one way alone",
        found=found,
        where="config key `labels`",
        remedy=remedy,
    )


# Lines of config


def setting(encoding: str, **keys) -> str:
    """A line of config to paste: the key `labels` with an encoding and its keys.

    Parameters
    ----------
    encoding : str
        As the config calls it: "indices", "binary", "values", "colours", "instances", "overlay".
    **keys
        Other keys of `labels`, with values that `flow` writes.

    Returns
    -------
    str
    """
    return f"labels: {flow({'encoding': encoding} | keys)}"


def flow(value) -> str:
    """A value as YAML on one line.

    Parameters
    ----------
    value : dict, list, str, number, bool or None
        May be nested.

    Returns
    -------
    str
        Text that YAML could take for something else is quoted.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return value if isinstance(value, str) and BARE.fullmatch(value) else json.dumps(value)


def reading_as_classes(present: list[int], classes: list[str]) -> tuple[str, str]:
    """The reading of each value as a class, those that were not declared among them, for `two_readings`.

    Parameters
    ----------
    present : list of int
        The values of the set, ascending; at least as many as classes.
    classes : list of str
        The declared names, background first.

    Returns
    -------
    meaning, line : str
        A clause, and the line of config.
    """
    more = [*classes, *(f"class{number}" for number in range(len(classes), len(present)))]
    plain = present == list(range(len(present)))
    line = setting("indices") if plain else setting("values", values=dict(zip(more, present, strict=True)))
    return f"each number is a class: `classes: {flow(more)}` with", line


def value_lines(present: list[int], pixels: Counter, classes: list[str]) -> list[str]:
    """Lines that give each of some values a class, with what each would mean.

    Parameters
    ----------
    present : list of int
        The values of the set, ascending.
    pixels : Counter
        Pixels of each value in the whole set.
    classes : list of str
        The declared names, background first.

    Returns
    -------
    list of str
        Each a meaning, where it has one, and a line of config; some lines are to be filled in.
    """
    lines, odd = [], special(present)
    ground = pixels.most_common(1)[0][0]
    odd += [0] * (ground != 0 and 0 in present)
    others = sorted((value for value in present if value not in odd), key=lambda value: value != ground)
    if len(odd) == 1 and len(others) == len(classes):
        values: dict[str, Any] = dict(zip(classes, others, strict=True))
        lines.append(f"{odd[0]} is ignored: `{setting('values', values=values, ignore=odd[0])}`")
    if len(classes) == 2:
        rest = [value for value in present if value != ground]
        values = {classes[0]: ground, classes[1]: rest}
        lines.append(f"all but {ground} is `{classes[1]}`: `{setting('values', values=values)}`")
    else:
        values = dict.fromkeys(classes, "...")
        lines.append(f"`{setting('values', values=values)}` (fill in, a list where several)")
    if present == list(range(len(present))):
        meaning, line = reading_as_classes(present, classes)
        lines.append(f"{meaning} `{line}`")
    return lines


def colour_lines(colours: list[str], classes: list[str]) -> str:
    """Lines for as many colours as classes; for one more also that it is ignored.

    Parameters
    ----------
    colours : list of str
        "#rrggbb", the likely background first; at least as many as classes.
    classes : list of str
        The declared names, background first.

    Returns
    -------
    str
        Lines of config in backticks; some have "..." to fill in.
    """
    if len(colours) == len(classes):
        return f"`{setting('colours', colours=dict(zip(classes, colours, strict=True)))}`"
    if len(classes) == 2:
        united = f"`{setting('colours', colours={classes[0]: colours[0], classes[1]: colours[1:]})}`"
    else:
        united = (
            f"`{setting('colours', colours=dict.fromkeys(classes, '...'))}` (fill in, a list where several)"
        )
    if len(colours) > len(classes) + 1:
        return united
    line = setting("colours", colours=dict(zip(classes, colours, strict=False)), ignore=colours[-1])
    return f"{united}; or, if {colours[-1]} counts nowhere: `{line}`"


def paint_line(colours: list[str], classes: list[str]) -> str:
    """A line that gives painted colours, the most frequent first, to the classes but the ground.

    Parameters
    ----------
    colours : list of str
        "#rrggbb".
    classes : list of str
        The declared names, background first.

    Returns
    -------
    str
        Of two classes the second has all colours.
    """
    of_class = {classes[1]: colours} if len(classes) == 2 else dict(zip(classes[1:], colours, strict=False))
    return setting("overlay", colours=of_class)


# What to do besides


def hint_of_few_codes(held: int, classes: list[str]) -> str:
    """What to do where there are fewer values or colours, `held`, than classes."""
    if len(classes) == 2:
        return "All masks are of one colour: check that they are the right files."
    return (
        f"They are {held}, and the classes {len(classes)}: leave out of `classes` what has no pixel in any "
        "mask."
    )


def hint_of_many_values(present: list[int], classes: list[str]) -> str:
    """What to do about values too many to be classes.

    Parameters
    ----------
    present : list of int
        The values of the set, ascending.
    classes : list of str
        The declared names, background first.

    Returns
    -------
    str
        Sentences; of two classes with a threshold to paste, midway between the lowest and the highest value.
    """
    picture = "If this is a picture, set `masks` to the masks."
    if len(classes) > 2:
        return (
            f"JPEG and smooth scaling make such values: save the masks anew as PNG, without either. {picture}"
        )
    line = setting("binary", threshold=max(1, (present[0] + present[-1] + 1) // 2))
    return f"If they are shades of `{classes[1]}`, say from which value on: `{line}`. {picture}"


def hint_of_many_colours(colours: list[str]) -> str:
    """What to do about colours too many to be classes."""
    if all(colour[1:3] == colour[3:5] == colour[5:7] for colour in colours):
        return (
            "These are the greys of a palette. Save the masks as grey images (8 bits a pixel): those a "
            f"threshold reads, `{setting('binary', threshold=128)}`."
        )
    return (
        "So many colours are mixed ones along smoothed edges, JPEG's, or those of a picture, and no line "
        "reads them. Save the masks anew in their plain colours: as PNG, not JPEG, without smoothing "
        "(resized by nearest neighbour)."
    )


def hint_of_one_grey(present: list[int], classes: list[str]) -> str:
    """The other reading of a single grey between two values; nothing where there are more.

    Parameters
    ----------
    present : list of int
        The values of the set, ascending.
    classes : list of str
        The two declared names, background first.

    Returns
    -------
    str
        A sentence to append, with a space before it; empty unless there are three values.
    """
    if len(present) != 3:
        return ""
    low, grey, high = present
    line = setting("values", values={classes[0]: low, classes[1]: high}, ignore=grey)
    return f" If {grey} is to be ignored: `{line}`."


def hint_of_alpha(summaries: list[Summary]) -> str:
    """Where a mask may be hidden: in an alpha channel that varies; nothing where none does.

    Parameters
    ----------
    summaries : list of Summary
        One a mask.

    Returns
    -------
    str
        A sentence to append, with a space before it; or empty.
    """
    alpha = sum(summary.alpha for summary in summaries)
    if not alpha:
        return ""
    return (
        f" The alpha channel varies in {mask_count(alpha)}, and alpha is not read: if it holds the mask, "
        "save it as a grey image."
    )


# Counts in words


def mask_count(count: int) -> str:
    """ "1 mask", "2 masks"."""
    return "1 mask" if count == 1 else f"{count} masks"


def listed(pixels: Counter, area: int) -> str:
    """Values or colours with their share of the set, the most frequent first.

    Parameters
    ----------
    pixels : Counter
        Pixels of each value or colour.
    area : int
        Pixels of all masks.

    Returns
    -------
    str
        At most 12 of them, and how many more there are.
    """
    shares = [f"{code} ({percent(count / area)})" for code, count in pixels.most_common(LISTED)]
    return ", ".join(shares) + (f" and {len(pixels) - LISTED} more" if len(pixels) > LISTED else "")


def enumerated(codes: Iterable) -> str:
    """ "0, 1 and 2"; of many the first and the last.

    Parameters
    ----------
    codes : iterable
        In the order in which they are to be named.

    Returns
    -------
    str
        At most 12 of them.
    """
    names = [str(code) for code in codes]
    if len(names) > LISTED:
        names = [*names[: LISTED - 1], "...", names[-1]]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
