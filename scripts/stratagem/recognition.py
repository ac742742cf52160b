"""How the masks of a set are encoded: read off the whole set, or taken from the config and held against it.

Never file by file, since a file that happens to hold only zeros fits every reading: `recognise` reads the
summaries of all masks together (`stratagem.summary`). Where a set can be read in two ways it stops and names
both, each with the line of config that settles it; nothing is guessed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stratagem.errors import DataError
from stratagem.labels import (
    IGNORE,
    Encoding,
    bit_code,
    class_of_code,
    colour_code,
    colour_name,
    percent,
)
from stratagem.summary import FULL_BYTE, INVERTED_FRAME, Summary, named

__all__ = ["Recognised", "recognise", "undeclared"]

LISTED = 12  # values or colours that a message lists
FEW_OBJECTS, MANY_OBJECTS = 4, 16  # more in a mask of over 8 bits, or of 8, are no classes left undeclared
BARE = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9_-]*"
)  # text that YAML takes as such


@dataclass(frozen=True)
class Recognised:
    """The encoding of a set, what was understood, in a sentence, and what a reader should know besides."""

    encoding: Encoding
    understood: str
    notes: list[str]


def recognise(summaries: list[Summary], classes: list[str], wanted: dict) -> Recognised:
    """The encoding of a set of masks.

    Parameters
    ----------
    summaries : list of Summary
        One a mask.
    classes : list of str
        The declared names, background first.
    wanted : dict
        The config key `labels`: ``{"encoding": "auto"}``, or another encoding with its keys.

    Raises
    ------
    DataError
        If the set can be read in two ways or in none, or a declared class has no pixel in it.
    """
    auto = wanted["encoding"] == "auto"
    encoding = _read_off(summaries, classes) if auto else _declared(wanted, classes)
    understood = _understood(summaries, encoding, classes)
    pixels = [_class_pixels(summary, encoding) for summary in summaries]
    _require_every_class(pixels, classes, understood)
    return Recognised(encoding, understood, _notes(summaries, encoding, pixels, auto))


def undeclared(summary: Summary, encoding: Encoding) -> list[tuple[str, int]]:
    """The values or colours of a mask that the encoding gives no class, and their pixels."""
    if encoding.kind in ("instances", "overlay") or encoding.threshold is not None:
        return []
    if summary.kind == "colour" and encoding.kind != "colours":
        return [("colours", summary.pixels)]
    known, name = class_of_code(encoding), _code_name(encoding)
    return [(name(code), count) for code, count in _codes(summary, encoding) if code not in known]


# The set: what it holds


def _codes(summary: Summary, encoding: Encoding) -> Iterable[tuple[int, int]]:
    """The codes of a mask and their pixels, as `stratagem.labels.to_classes` would see them."""
    if encoding.kind == "colours" or summary.kind == "colour":
        return _colour_counts(summary)
    if summary.kind == "bilevel":
        return [(bit_code(encoding) if value else 0, count) for value, count in summary.values]
    return summary.values


def _colour_counts(summary: Summary) -> list[tuple[int, int]]:
    if summary.colours:
        return [(colour_code(colour), count) for colour, count in summary.colours]
    white = 0xFFFFFF if summary.kind == "bilevel" else 0x010101
    return [(value * white, count) for value, count in summary.values]


def _total(counts: Iterable[Iterable[tuple]]) -> Counter:
    """Pixels by value or colour, over masks."""
    total = Counter()
    for one in counts:
        for code, count in one:
            total[code] += count
    return total


def _class_pixels(summary: Summary, encoding: Encoding) -> dict[int, int]:
    """Pixels of each class in one mask; of instances, the border's count is that of all objects."""
    counted = {"instances": _object_pixels, "overlay": _painted_pixels}.get(encoding.kind, _declared_pixels)
    return counted(summary, encoding)


def _declared_pixels(summary: Summary, encoding: Encoding) -> Counter:
    table, classes = class_of_code(encoding), Counter()
    if summary.kind == "colour" and encoding.kind != "colours":
        return classes
    for code, count in _codes(summary, encoding):
        if encoding.threshold is not None and code != encoding.ignore:
            classes[int(code >= encoding.threshold)] += count
        elif code in table:
            classes[table[code]] += count
    return classes


def _object_pixels(summary: Summary, encoding: Encoding) -> dict[int, int]:
    pixels = dict(_colour_counts(summary) if summary.kind == "colour" else summary.values)
    ground, ignored = pixels.get(0, 0), pixels.get(encoding.ignore, 0)
    objects = summary.pixels - ground - ignored
    return {0: ground, 1: objects, IGNORE: ignored} | ({encoding.border: objects} if encoding.border else {})


def _painted_pixels(summary: Summary, encoding: Encoding) -> Counter:
    table, classes = class_of_code(encoding), Counter()
    for colour, count in summary.painted:
        classes[table.get(colour_code(colour), 0)] += count
    classes[0] += summary.pixels - classes.total()
    return classes


# The config's encoding


def _declared(wanted: dict, classes: list[str]) -> Encoding:
    return DECLARED[wanted["encoding"]](wanted, classes)


def _declared_indices(wanted: dict, classes: list[str]) -> Encoding:
    return _indices(len(classes), wanted.get("ignore", IGNORE))


def _declared_binary(wanted: dict, classes: list[str]) -> Encoding:
    if len(classes) != 2:
        raise DataError(
            expected="two classes with `labels: {encoding: binary}`",
            found=f"{len(classes)} classes",
            where="config key `labels`",
            remedy="Declare two classes, or set `labels: {encoding: indices}`.",
        )
    if wanted.get("threshold") is None:
        return Encoding("values", values=((0, 0), (FULL_BYTE, 1)), ignore=wanted.get("ignore"))
    return Encoding("values", threshold=wanted["threshold"], ignore=wanted.get("ignore"))


def _declared_values(wanted: dict, classes: list[str]) -> Encoding:
    return Encoding("values", values=_numbered(wanted["values"], classes), ignore=wanted.get("ignore"))


def _declared_colours(wanted: dict, classes: list[str]) -> Encoding:
    colours = tuple((colour.lower(), number) for colour, number in _numbered(wanted["colours"], classes))
    return Encoding(wanted["encoding"], colours=colours, ignore=wanted.get("ignore"))


def _declared_instances(wanted: dict, classes: list[str]) -> Encoding:
    border = wanted.get("border")
    number = None if border is None else classes.index(border)
    return Encoding("instances", border=number, ignore=wanted.get("ignore"))


DECLARED = {
    "indices": _declared_indices,
    "binary": _declared_binary,
    "values": _declared_values,
    "colours": _declared_colours,
    "overlay": _declared_colours,
    "instances": _declared_instances,
}


def _numbered(codes: dict, classes: list[str]) -> tuple[tuple, ...]:
    """Class name -> code or codes, as pairs of code and class index."""
    listed = {name: code if isinstance(code, list) else [code] for name, code in codes.items()}
    return tuple((code, classes.index(name)) for name, some in listed.items() for code in some)


def _indices(count: int, ignore: int | None) -> Encoding:
    return Encoding("indices", values=tuple((number, number) for number in range(count)), ignore=ignore)


# The encoding read off the set


def _read_off(summaries: list[Summary], classes: list[str]) -> Encoding:
    if _are_painted(summaries):
        return _painted_over(summaries, classes)
    kinds = {summary.kind for summary in summaries}
    if "colour" in kinds or ("palette" in kinds and not _palettes_hold_indices(summaries, len(classes))):
        return _by_colour(summaries, classes)
    return _by_value(summaries, classes)


def _are_painted(summaries: list[Summary]) -> bool:
    painted = sum((summary.unchanged or 0) >= 0.5 for summary in summaries)
    return 2 * painted > len(summaries)


def _painted_over(summaries: list[Summary], classes: list[str]) -> Encoding:
    pixels = _total(summary.painted for summary in summaries)
    if len(classes) == 2 and len(pixels) == 1:
        return Encoding("overlay", colours=((next(iter(pixels)), 1),))
    colours = [colour for colour, _ in pixels.most_common()]
    line = _line("overlay", colours=dict(zip(classes[1:], colours, strict=False)))
    raise _stop(
        f"copies of the images with painted pixels of {_listed(pixels, _area(summaries))}",
        f"Say which colour is which class, and check the order: `{line}`.",
    )


def _palettes_hold_indices(summaries: list[Summary], count: int) -> bool:
    """Whether an index means one colour in all masks, and the indices make classes."""
    palettes = [summary for summary in summaries if summary.kind == "palette"]
    meanings = {
        (value, colour)
        for summary in palettes
        for (value, _), (colour, _) in zip(summary.values, summary.colours, strict=True)
    }
    present = {value for value, _ in meanings}
    fits = present <= {*range(count), IGNORE} or (count == len(present | {0}) == 2)
    return len(meanings) == len(present) and fits


def _by_colour(summaries: list[Summary], classes: list[str]) -> Encoding:
    pixels = _total(named(_colour_counts(summary)) for summary in summaries)
    colours = sorted(pixels, key=lambda colour: (colour != "#000000", -pixels[colour], colour))
    if len(classes) == len(colours) == 2 and colours[0] == "#000000":
        return Encoding("colours", colours=((colours[0], 0), (colours[1], 1)))
    line = _line("colours", colours=dict(zip(classes, colours, strict=False)))
    objects = f" If each colour is one object: `{_line('instances')}`." if len(colours) > len(classes) else ""
    raise _stop(
        f"the colours {_listed(pixels, _area(summaries))}",
        f"Say which colour is which class, and check the order: `{line}`.{objects}",
    )


def _by_value(summaries: list[Summary], classes: list[str]) -> Encoding:
    files = [summary for summary in summaries if summary.kind != "bilevel"] or summaries
    present = sorted(_total(summary.values for summary in files))
    if len(classes) == 2:
        return _two_classes(summaries, files, present, classes)
    _stop_if_255_is_unclear(present, classes)
    if set(present) <= {*range(len(classes)), IGNORE}:
        return _indices(len(classes), IGNORE)
    if len(present) == len(classes):
        return _in_order(present)
    raise _unread(files, present, classes)


def _two_classes(summaries: list[Summary], files: list[Summary], present: list[int], classes) -> Encoding:
    _stop_if_ground_is_unclear(summaries, present, classes)
    _stop_if_mixed(files, present, classes)
    if FULL_BYTE in present and set(present) <= {0, FULL_BYTE}:
        return _in_order([0, FULL_BYTE])
    if set(present) <= {0, 1, IGNORE}:
        return _indices(2, IGNORE)
    if len(present) == 2:
        return _in_order(present)
    if _are_numbered(files) and _are_objects(files):
        return Encoding("instances")
    _stop_if_grey(files, present, classes)
    _stop_if_few_objects(files, present, classes)
    raise _unread(files, present, classes)


def _in_order(present: list[int]) -> Encoding:
    return Encoding("values", values=tuple((value, number) for number, value in enumerate(present)))


def _stop_if_255_is_unclear(present: list[int], classes: list[str]) -> None:
    others = set(present) - {IGNORE}
    if len(present) == len(classes) and IGNORE in present and others < set(range(len(classes))):
        absent = next(name for number, name in enumerate(classes) if number not in others)
        raise _two_readings(
            f"the values {_joined(present)}",
            (f"255 is ignored and `{absent}` has no pixel", _line("indices", ignore=IGNORE)),
            ("each value is a class", _line("values", values=dict(zip(classes, present, strict=True)))),
        )


def _stop_if_ground_is_unclear(summaries: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where the higher value looks like the ground around blobs of 0, or there is no 0."""
    if len(present) != 2:
        return
    low, high = present
    if low != 0 or _look_inverted(summaries):
        why = "that lies around enclosed blobs of 0" if low == 0 else "and no 0"
        share = percent(_share_above(summaries, low))
        raise _two_readings(
            f"the values {low} and {high}, {share} of the pixels {high}, {why}",
            (f"{high} is background", _line("values", values={classes[0]: high, classes[1]: low})),
            (f"{low} is background", _line("values", values={classes[0]: low, classes[1]: high})),
        )


def _share_above(summaries: list[Summary], low: int) -> float:
    above = sum(count for summary in summaries for value, count in summary.values if value > low)
    return above / _area(summaries)


def _look_inverted(summaries: list[Summary]) -> bool:
    framed = sum(summary.frame >= INVERTED_FRAME for summary in summaries)
    with_zeros = [summary for summary in summaries if summary.values[0][0] == 0]
    enclosed = sum(summary.enclosed for summary in with_zeros)
    return (
        _share_above(summaries, 0) > 0.5 and framed >= 0.8 * len(summaries) and 2 * enclosed > len(with_zeros)
    )


def _stop_if_mixed(files: list[Summary], present: list[int], classes: list[str]) -> None:
    held = [{value for value, _ in file.values} & {1, FULL_BYTE} for file in files]
    ones, full = held.count({1}), held.count({FULL_BYTE})
    if set(present) <= {0, 1, FULL_BYTE} and ones and full and {1, FULL_BYTE} not in held:
        both = {classes[0]: 0, classes[1]: [1, FULL_BYTE]}
        raise _two_readings(
            f"{_masks(ones)} with the value 1 and {full} with 255, none with both",
            (f"both values are `{classes[1]}`", _line("values", values=both)),
            ("255 is ignored", _line("indices", ignore=IGNORE)),
        )


def _are_numbered(files: list[Summary]) -> bool:
    """Whether the masks of several objects hold the numbers 1 .. n, each in one place."""
    several = [file for file in files if file.connected is not None]
    fitting = sum(file.connected and (file.many or _is_contiguous(file)) for file in several)
    return bool(several) and fitting >= 0.9 * len(several)


def _is_contiguous(file: Summary) -> bool:
    numbers = [value for value, _ in file.values if value]
    return file.bits > 8 or numbers == list(range(1, len(numbers) + 1))


def _are_objects(files: list[Summary]) -> bool:
    """Whether the numbers are too many, or differ too much between masks, to be classes."""
    counts = {sum(value != 0 for value, _ in file.values) for file in files}
    enough = FEW_OBJECTS if any(file.bits > 8 for file in files) else MANY_OBJECTS
    return max(counts) > enough and (len(counts) > 1 or len(files) == 1)


def _stop_if_grey(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where values between two extremes lie along edges, as JPEG and smooth scaling leave them."""
    spanning = [file for file in files if file.spans]
    edged = sum(map(_has_grey_edges, spanning))
    if 2 * edged <= len(spanning):
        return
    top = max(FULL_BYTE, present[-1])
    between = sum(count for file in files for value, count in file.values if 0 < value < top)
    line = _line("binary", threshold=(top + 1) // 2)
    raise _stop(
        f"grey edges in {edged} of {_masks(len(files))}: {percent(between / _area(files))} of the pixels are "
        f"neither 0 nor {top}",
        f"Say from which value on a pixel is `{classes[1]}`: `{line}`." + _band(present, classes),
    )


def _band(present: list[int], classes: list[str]) -> str:
    """The other reading of a single grey between two values."""
    if len(present) != 3:
        return ""
    low, grey, high = present
    line = _line("values", values={classes[0]: low, classes[1]: high}, ignore=grey)
    return f" If {grey} is to be ignored: `{line}`."


def _has_grey_edges(file: Summary) -> bool:
    if file.greys == 0:
        return file.values[-2][0] > 7 / 8 * FULL_BYTE  # nearly white, and white: a fine JPEG
    return file.edges >= 0.8 * file.greys and file.greys <= 0.5 * file.pixels


def _stop_if_few_objects(files: list[Summary], present: list[int], classes: list[str]) -> None:
    if not _are_numbered(files):
        return
    more = [*classes, *(f"class{number}" for number in range(len(classes), present[-1] + 1))]
    raise _two_readings(
        f"the values {_joined(present)}, each in one piece in most masks",
        (f"each number is one object of `{classes[1]}`", _line("instances")),
        (f"each number is a class: `classes: {_flow(more[:LISTED])}` with", _line("indices")),
    )


def _unread(files: list[Summary], present: list[int], classes: list[str]) -> DataError:
    line = _line("values", values=dict(zip(classes, present, strict=False)))
    pixels = _total(file.values for file in files)
    return _stop(
        f"the values {_listed(pixels, _area(files))}, which fit no encoding of {len(classes)} classes",
        f"Say which value is which class, and check the order: `{line}` (a class may have a list of values, "
        f"`ignore` names one that counts nowhere). If the value is the class: `{_line('indices')}`.",
    )


# Sentences


def _understood(summaries: list[Summary], encoding: Encoding, classes: list[str]) -> str:
    masks = "the one mask" if len(summaries) == 1 else f"all {len(summaries)} masks"
    if encoding.kind == "instances":
        border = "" if encoding.border is None else f", its border = {classes[encoding.border]}"
        return f"numbered objects in {masks}: 0 = {classes[0]}, each other number = {classes[1]}{border}"
    if encoding.kind == "overlay":
        meanings = ", ".join(f"{colour} = {_name(number, classes)}" for colour, number in encoding.colours)
        return f"painted copies of the images in {masks}: {meanings}, all else = {classes[0]}"
    if encoding.threshold is not None:
        return f"grey values in {masks}: {encoding.threshold} and more = {classes[1]}, less = {classes[0]}"
    table, name = class_of_code(encoding), _code_name(encoding)
    held = {code for summary in summaries for code, _ in _codes(summary, encoding)} & table.keys()
    order = sorted(held, key=lambda code: (table[code], code))
    meanings = ", ".join(f"{name(code)} = {_name(table[code], classes)}" for code in order)
    return f"{_joined(map(name, sorted(held)))} in {masks}: {meanings}"


def _name(number: int, classes: list[str]) -> str:
    return "ignored" if number == IGNORE else classes[number]


def _code_name(encoding: Encoding):
    return colour_name if encoding.kind == "colours" else str


def _notes(
    summaries: list[Summary], encoding: Encoding, pixels: list[dict[int, int]], auto: bool
) -> list[str]:
    """What the reader of a report should know of the set, a sentence each."""
    notes = []
    if auto and encoding.kind == "values" and len(encoding.values) > 2:
        notes.append("The values were taken as classes in ascending order.")
    bits = sum(summary.kind == "bilevel" for summary in summaries)
    if 0 < bits < len(summaries) and encoding.kind in ("indices", "values"):
        notes.append(f"1 bit a pixel in {_masks(bits)}; a set bit was read as {bit_code(encoding)}.")
    empty = sum({number for number, count in one.items() if count} == {0} for one in pixels)
    if empty:
        notes.append(f"Background alone in {empty} of {_masks(len(summaries))}.")
    ignored = sum(one.get(IGNORE, 0) for one in pixels)
    if ignored:
        notes.append(f"{percent(ignored / _area(summaries))} of the pixels are ignored.")
    return notes + _strange(summaries, encoding)


def _strange(summaries: list[Summary], encoding: Encoding) -> list[str]:
    """A sentence on each value or colour without a class."""
    found = [undeclared(summary, encoding) for summary in summaries]
    masks, area = Counter(name for one in found for name, _ in one), _area(summaries)
    return [
        f"{name} without a class: {percent(count / area)} of the pixels, in {_masks(masks[name])}."
        for name, count in _total(found).most_common(LISTED)
    ]


def _require_every_class(pixels: list[dict[int, int]], classes: list[str], understood: str) -> None:
    for number, name in enumerate(classes):
        if not any(one.get(number) for one in pixels):
            raise DataError(
                expected=f"pixels of each declared class, {', '.join(classes)}",
                found=f"none of `{name}` (read: {understood})",
                where="config keys `classes` and `labels`",
                remedy="Remove the class, or set `labels` to how the masks are encoded.",
            )


def _two_readings(found: str, *readings: tuple[str, str]) -> DataError:
    """Two meanings, each with the line of config that says it."""
    return _stop(
        found, "Say which: " + "; or ".join(f"{meaning}: `{line}`" for meaning, line in readings) + "."
    )


def _stop(found: str, remedy: str) -> DataError:
    return DataError(
        expected="masks that can be read in one way alone",
        found=found,
        where="config key `labels`",
        remedy=remedy,
    )


def _masks(count: int) -> str:
    return "1 mask" if count == 1 else f"{count} masks"


def _area(summaries: list[Summary]) -> int:
    return sum(summary.pixels for summary in summaries)


def _listed(pixels: Counter, area: int) -> str:
    """Values or colours with their share of the set, the most frequent first."""
    shares = [f"{code} ({percent(count / area)})" for code, count in pixels.most_common(LISTED)]
    return ", ".join(shares) + (f" and {len(pixels) - LISTED} more" if len(pixels) > LISTED else "")


def _joined(codes: Iterable) -> str:
    """ "0, 1 and 2"; of many the first and the last."""
    names = [str(code) for code in codes]
    if len(names) > LISTED:
        names = [*names[: LISTED - 1], "...", names[-1]]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _line(encoding: str, **keys) -> str:
    """A line of config to paste."""
    return f"labels: {_flow({'encoding': encoding} | keys)}"


def _flow(value) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return value if isinstance(value, str) and BARE.fullmatch(value) else json.dumps(value)
