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
from stratagem.summary import (
    FULL_BYTE,
    INVERTED_FRAME,
    Piece,
    Summary,
    has_grey_edges,
    named,
    piece_of,
    special,
)

__all__ = ["Recognised", "recognise", "undeclared"]

LISTED = 12  # values or colours that a message lists
FEW_OBJECTS, MANY_OBJECTS = 4, 16  # more in a mask of over 8 bits, or of 8, are no classes left undeclared
SAME, SAME_OF_MANY = 0.8, 0.95  # share of the masks that hold each number, of few or many, as classes do
SOME_INVERTED = 0.2  # share of the masks that are no accident
LINE = 0.3  # of a line's pixels less than this are inside it
CUT_FRAME, CUT_SHARE = 0.25, 0.4  # shares of frame and pixels that what is cut away takes, not an object
BARE = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9_-]*"
)  # text that YAML takes as such


@dataclass(frozen=True)
class Recognised:
    """The encoding of a set, what was understood, in a sentence, and what a reader should know besides."""

    encoding: Encoding
    understood: str
    notes: list[str]


def recognise(summaries: list[Summary], classes: list[str], wanted: dict, besides: int = 0) -> Recognised:
    """The encoding of a set of masks.

    Parameters
    ----------
    summaries : list of Summary
        One a mask.
    classes : list of str
        The declared names, background first.
    wanted : dict
        The config key `labels`: ``{"encoding": "auto"}``, or another encoding with its keys.
    besides : int
        Masks of the set that were set aside, for the sentence.

    Raises
    ------
    DataError
        If the set can be read in two ways or in none, or a declared class has no pixel in it.
    """
    auto = wanted["encoding"] == "auto"
    encoding = _read_off(summaries, classes) if auto else _declared(wanted, classes)
    _refuse_foreign_threshold(summaries, encoding)
    _refuse_object_files(summaries, encoding)
    understood = _understood(summaries, encoding, classes, besides)
    pixels = [_class_pixels(summary, encoding) for summary in summaries]
    _require_every_class(pixels, classes, understood, summaries)
    return Recognised(encoding, understood, _notes(summaries, encoding, pixels, classes, auto))


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
            classes[int((code >= encoding.threshold) != encoding.inverted)] += count
        elif code in table:
            classes[table[code]] += count
    return classes


def _object_pixels(summary: Summary, encoding: Encoding) -> dict[int, int]:
    pixels = dict(_colour_counts(summary) if summary.kind == "colour" else summary.values)
    ground, ignored = pixels.get(encoding.background, 0), pixels.get(encoding.ignore, 0)
    objects = summary.pixels - ground - ignored
    return {0: ground, 1: objects, IGNORE: ignored} | ({encoding.border: objects} if encoding.border else {})


def _painted_pixels(summary: Summary, encoding: Encoding) -> Counter:
    table, classes = class_of_code(encoding), Counter()
    for colour, count in summary.painted:
        classes[table.get(colour_code(colour), int(encoding.cut_out))] += count
    classes[int(encoding.cut_out)] += summary.pixels - classes.total()
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
    inverted = wanted.get("inverted", False)
    if wanted.get("threshold") is None:
        values = ((0, int(inverted)), (FULL_BYTE, int(not inverted)))
        return Encoding("values", values=values, ignore=wanted.get("ignore"))
    return Encoding("values", threshold=wanted["threshold"], inverted=inverted, ignore=wanted.get("ignore"))


def _declared_values(wanted: dict, classes: list[str]) -> Encoding:
    return Encoding("values", values=_numbered(wanted["values"], classes), ignore=wanted.get("ignore"))


def _declared_colours(wanted: dict, classes: list[str]) -> Encoding:
    colours = tuple((colour.lower(), number) for colour, number in _numbered(wanted["colours"], classes))
    return Encoding(wanted["encoding"], colours=colours, ignore=wanted.get("ignore"))


def _declared_instances(wanted: dict, classes: list[str]) -> Encoding:
    border = wanted.get("border")
    return Encoding(
        "instances",
        border=None if border is None else classes.index(border),
        ignore=wanted.get("ignore"),
        threshold=wanted.get("threshold"),
        background=wanted.get("background") or 0,
    )


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


def _refuse_foreign_threshold(summaries: list[Summary], encoding: Encoding) -> None:
    """Refuse a threshold where the numbers are no grey values."""
    palettes = sum(summary.kind == "palette" for summary in summaries)
    if encoding.threshold is None:
        return
    if encoding.kind == "values" and palettes:
        raise DataError(
            expected="grey values, which a threshold divides",
            found=f"{_masks(palettes)} with a palette, whose numbers stand for colours",
            where="config key `labels`",
            remedy="Save these masks as grey images (8 bits a pixel), or leave out `threshold`.",
        )
    if encoding.kind == "instances" and not any(summary.pieces for summary in summaries):
        raise DataError(
            expected="several mask files an image, one an object, with `threshold` beside `instances`",
            found="one file an image",
            where="config key `labels`",
            remedy=f"Numbered objects: `{_line('instances')}`. Grey values of all objects in one file: "
            f"`{_line('binary', threshold=encoding.threshold)}`.",
        )


def _refuse_object_files(summaries: list[Summary], encoding: Encoding) -> None:
    """Refuse to read several files of an image as anything but an object each."""
    several = sum(bool(summary.pieces) for summary in summaries)
    if several and encoding.kind != "instances":
        raise DataError(
            expected=f"one mask file an image, or files of one object each with `{_line('instances')}`",
            found=f"{several} images with several mask files",
            where="config key `labels`",
            remedy="Say so in `labels`, or name one file an image by `mask_name` or the sheet.",
        )


# The encoding read off the set


def _read_off(summaries: list[Summary], classes: list[str]) -> Encoding:
    if any(summary.pieces for summary in summaries):
        return _by_object_files(summaries, classes)
    if _are_painted(summaries):
        return _painted_over(summaries, classes)
    kinds = {summary.kind for summary in summaries}
    by_index = "palette" not in kinds or _palettes_hold_indices(summaries, len(classes))
    if "colour" in kinds or not by_index:
        return _by_colour(summaries, classes)
    _stop_if_palette_is_unclear(summaries, classes)
    return _by_value(summaries, classes)


# ... of several files an image


def _by_object_files(summaries: list[Summary], classes: list[str]) -> Encoding:
    """Objects of one class, a file each, or a stop."""
    pieces = [piece for one in summaries for piece in one.pieces or (piece_of(one),)]
    odd = [piece for piece in pieces if not piece.plain]
    soft = sum(piece.soft for piece in odd)
    if len(classes) != 2:
        raise _stop(
            f"several mask files an image, and {len(classes)} classes",
            "Several files are read as objects of one class. Is each file a class, unite them to one mask "
            f"an image, whose values are 0 to {len(classes) - 1}.",
        )
    covered = all(summary.upper == summary.pixels for summary in summaries)
    as_they_are = "" if covered else f" If all but 0 belongs to the objects: `{_line('instances')}`."
    _stop_if_filled(summaries, pieces, as_they_are)
    if 2 * soft > len(odd):
        raise _stop(
            f"grey edges in {soft} of {len(pieces)} files of one object each",
            f"Say from which value on a pixel is the object: `{_line('instances', threshold=128)}`.",
        )
    if odd:
        raise _stop(
            f"several mask files an image, {len(odd)} of {len(pieces)} with more than 0 and one other value "
            f"(such as {odd[0].held})",
            f"Save each object as 0 and one other value, and nothing else in these files.{as_they_are}",
        )
    return Encoding("instances")


def _stop_if_filled(summaries: list[Summary], pieces: list[Piece], as_they_are: str) -> None:
    filled = sum(piece.share > 0.5 for piece in pieces)
    if 2 * filled > len(pieces):
        raise _stop(
            f"several mask files an image, {filled} of {len(pieces)} of them filled for the most part with "
            "what is not 0",
            f"Are they inverted, save them with 0 outside the object.{as_they_are}"
            + _hint_of_alpha(summaries),
        )


# ... of painted copies


def _are_painted(summaries: list[Summary]) -> bool:
    """Whether most masks are their image for the most part, or but for a few colours."""
    pictures = [summary for summary in summaries if summary.unchanged is not None]
    painted = sum(one.unchanged >= 0.5 or len(one.painted) <= LISTED for one in pictures)
    return 2 * painted > len(summaries)


def _painted_over(summaries: list[Summary], classes: list[str]) -> Encoding:
    pixels = _total(summary.painted for summary in summaries)
    found = f"copies of the images with painted pixels of {_listed(pixels, _area(summaries))}"
    if not pixels:
        raise _stop(
            "plain copies of the images, without a painted pixel",
            "Set `masks`, or the sheet's column `mask`, to the masks." + _hint_of_alpha(summaries),
        )
    if len(pixels) > LISTED:
        raise _stop(
            found,
            "Paint that lets the image through, or JPEG, leaves too many colours to say which is a class. "
            "Save the masks with opaque paint, as PNG.",
        )
    colours = [colour for colour, _ in pixels.most_common()]
    if len(classes) == 2 and len(colours) == 1:
        _stop_if_paint_is_unclear(summaries, colours[0], classes)
        return Encoding("overlay", colours=((colours[0], 1),))
    raise _stop(
        found, f"Say which colour is which class, and check the order: `{_paint_line(colours, classes)}`."
    )


def _paint_line(colours: list[str], classes: list[str]) -> str:
    of_class = {classes[1]: colours} if len(classes) == 2 else dict(zip(classes[1:], colours, strict=False))
    return _line("overlay", colours=of_class)


def _stop_if_paint_is_unclear(summaries: list[Summary], colour: str, classes: list[str]) -> None:
    """Stop where what was painted are outlines of objects, or all but the objects."""
    area = sum(count for summary in summaries for _, count in summary.painted)
    core, inside = (sum(getattr(summary, key) for summary in summaries) for key in ("core", "inside"))
    frame = sum(summary.painted_frame for summary in summaries) / len(summaries)
    found = f"copies of the images with painted pixels of {colour} ({percent(area / _area(summaries))})"
    as_paint = (f"the paint itself is `{classes[1]}`", _line("overlay", colours={classes[1]: colour}))
    if colour in ("#000000", "#ffffff") and (frame >= CUT_FRAME or area >= CUT_SHARE * _area(summaries)):
        cut_out = _line("overlay", colours={classes[0]: colour})
        raise _two_readings(
            f"{found}, which may be what was cut away",
            (f"it is `{classes[0]}`, and what is left of the image `{classes[1]}`", cut_out),
            as_paint,
        )
    if core < LINE * area or inside > area / 2:
        raise _stop(
            f"{found}, most of them in lines",
            "Are these outlines, fill them: what they enclose is not read. "
            f"If {as_paint[0]}: `{as_paint[1]}`.",
        )


# ... by colour


def _palettes_hold_indices(summaries: list[Summary], count: int) -> bool:
    """Whether an index means one colour in all masks, and the indices make classes."""
    meanings = _palette_meanings(summaries)
    present = {value for value, _ in meanings}
    plain = present - {IGNORE}
    fits = plain <= {*range(count)} or (plain < present and 0 in plain and len(plain) == count)
    return len(meanings) == len(present) and (fits or (count == len(present | {0}) == 2))


def _palette_meanings(summaries: list[Summary]) -> set[tuple[int, str]]:
    """Each index of the palette masks with its colours."""
    return {
        (value, colour)
        for summary in summaries
        if summary.kind == "palette"
        for (value, _), (colour, _) in zip(summary.values, summary.colours, strict=True)
    }


def _stop_if_palette_is_unclear(summaries: list[Summary], classes: list[str]) -> None:
    """Stop where an index other than 0 is black, as programs that choose a palette by frequency leave it."""
    colour_of = dict(sorted(_palette_meanings(summaries)))
    if "#000000" not in colour_of.values() or colour_of.get(0, "#000000") == "#000000":
        return
    ignored = IGNORE in colour_of and len(colour_of) > len(classes)
    values = [value for value in colour_of if not (ignored and value == IGNORE)]
    colours = sorted((colour_of[value] for value in values), key=lambda one: one != "#000000")
    by_index = _line(
        "values", values=dict(zip(classes, values, strict=False)), **({"ignore": IGNORE} if ignored else {})
    )
    by_colour = _line(
        "colours",
        colours=dict(zip(classes, colours, strict=False)),
        **({"ignore": colour_of[IGNORE]} if ignored else {}),
    )
    raise _two_readings(
        "palette masks whose index 0 is not black, and another is: "
        + ", ".join(f"{value} = {colour}" for value, colour in colour_of.items()),
        ("the colour is the class (check the order)", by_colour),
        ("the index is the class", by_index),
    )


def _by_colour(summaries: list[Summary], classes: list[str]) -> Encoding:
    pixels = _total(named(_colour_counts(summary)) for summary in summaries)
    colours = sorted(pixels, key=lambda colour: (colour != "#000000", -pixels[colour], colour))
    found = f"the colours {_listed(pixels, _area(summaries))}"
    if len(classes) == len(colours) == 2 and colours[0] == "#000000":
        _stop_if_ground_is_unclear(summaries, colours, classes)
        return Encoding("colours", colours=((colours[0], 0), (colours[1], 1)))
    if _are_objects_in_colours(summaries, colours, classes):
        objects = f" If each colour is one object: `{_line('instances')}`."
    else:
        objects = ""
    if len(colours) < len(classes):
        raise _stop(found, _too_few(len(colours), classes) + _hint_of_alpha(summaries))
    if len(colours) > LISTED:
        raise _stop(found, _smooth_colours(colours) + objects)
    raise _stop(
        found,
        f"Say which colour is which class, and check the order: {_colour_lines(colours, classes)}.{objects}",
    )


def _are_objects_in_colours(summaries: list[Summary], colours: list[str], classes: list[str]) -> bool:
    several = [summary for summary in summaries if summary.kind == "colour" and summary.connected is not None]
    joined = sum(summary.connected for summary in several)
    return len(colours) > len(classes) and bool(several) and joined >= 0.9 * len(several)


def _smooth_colours(colours: list[str]) -> str:
    if all(colour[1:3] == colour[3:5] == colour[5:7] for colour in colours):
        return (
            "These are the greys of a palette. Save the masks as grey images (8 bits a pixel): those a "
            f"threshold reads, `{_line('binary', threshold=128)}`."
        )
    return (
        "So many colours are mixed ones along smoothed edges, JPEG's, or those of a picture, and no line "
        "reads them. Save the masks anew in their plain colours: as PNG, not JPEG, without smoothing "
        "(resized by nearest neighbour)."
    )


def _colour_lines(colours: list[str], classes: list[str]) -> str:
    """A line for as many colours as classes; for one more also that it is ignored."""
    if len(colours) == len(classes):
        return f"`{_line('colours', colours=dict(zip(classes, colours, strict=True)))}`"
    if len(classes) == 2:
        united = f"`{_line('colours', colours={classes[0]: colours[0], classes[1]: colours[1:]})}`"
    else:
        united = (
            f"`{_line('colours', colours=dict.fromkeys(classes, '...'))}` (fill in, a list where several)"
        )
    if len(colours) > len(classes) + 1:
        return united
    line = _line("colours", colours=dict(zip(classes, colours, strict=False)), ignore=colours[-1])
    return f"{united}; or, if {colours[-1]} counts nowhere: `{line}`"


# ... by value


def _by_value(summaries: list[Summary], classes: list[str]) -> Encoding:
    files = [summary for summary in summaries if summary.kind != "bilevel"] or summaries
    present = sorted(_total(summary.values for summary in files))
    if len(classes) == 2:
        return _two_classes(summaries, files, present, classes)
    _stop_if_bits_are_unclear(summaries, files, present, classes)
    _stop_if_some_are_binary(files, present, classes)
    _stop_if_extreme_is_unclear(present, classes)
    if set(present) - set(range(len(classes))) and len(present) < len(classes):
        raise _stop(f"the values {_joined(present)}", _too_few(len(present), classes))
    if set(present) <= {*range(len(classes)), IGNORE}:
        return _indices(len(classes), IGNORE)
    if len(present) == len(classes):
        _stop_if_order_is_unclear(files, present, classes)
        return _in_order(present)
    raise _unread(files, present, classes)


def _two_classes(summaries: list[Summary], files: list[Summary], present: list[int], classes) -> Encoding:
    if len(present) == 2:
        _stop_if_ground_is_unclear(summaries, present, classes)
    _stop_if_mixed(files, present, classes)
    if FULL_BYTE in present and set(present) <= {0, FULL_BYTE}:
        return _in_order([0, FULL_BYTE])
    if set(present) <= {0, 1, IGNORE}:
        return _indices(2, IGNORE)
    if len(present) == 2:
        return _in_order(present)
    _stop_if_soft(files, classes)
    if _are_numbered(files):
        _stop_if_number_is_unclear(files, present, classes)
        _stop_if_few_objects(files, present, classes)
        return Encoding("instances")
    _stop_if_grey(files, present, classes)
    raise _unread(files, present, classes)


def _in_order(present: list[int]) -> Encoding:
    return Encoding("values", values=tuple((value, number) for number, value in enumerate(present)))


def _stop_if_bits_are_unclear(summaries: list[Summary], files: list[Summary], present, classes) -> None:
    bits = len(summaries) - len(files)
    indices = f" If a set bit is `{classes[1]}`: `{_line('indices')}`."
    if bits:
        raise _stop(
            f"1 bit a pixel in {_masks(bits)} among others of three or more classes",
            "Which class a set bit is cannot be told: save these masks with the values of the others."
            + (indices if set(present) <= {*range(len(classes)), IGNORE} else ""),
        )


def _stop_if_some_are_binary(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where 255 never stands beside another value but 0, as in masks of another encoding."""
    held = [{value for value, _ in file.values} - {0} for file in files]
    full, others = held.count({FULL_BYTE}), sum(bool(values - {FULL_BYTE}) for values in held)
    mixed = sum(FULL_BYTE in values and len(values) > 1 for values in held)
    if full and others and not mixed:
        others_present = [value for value in present if value != FULL_BYTE]
        fits = len(others_present) == len(classes)
        values = dict(zip(classes, others_present, strict=True)) if fits else dict.fromkeys(classes, "...")
        both = {classes[1]: [others_present[1], FULL_BYTE]} if fits else {}
        raise _two_readings(
            f"{_masks(full)} with no other values than 0 and 255, and {others} with others but never 255",
            (f"255 is `{classes[1]}` there", _line("values", values=values | both)),
            ("255 is ignored", _line("values", values=values, ignore=FULL_BYTE)),
        )


def _stop_if_extreme_is_unclear(present: list[int], classes: list[str]) -> None:
    """Stop where -1, 255 or 65535 may be what is ignored, or a class."""
    for odd in special(present):
        others = [value for value in present if value != odd]
        absent = [name for number, name in enumerate(classes) if number not in others]
        indices = set(others) <= set(range(len(classes)))
        if indices and len(others) == len(classes) - 1:
            held = {name: number for number, name in enumerate(classes) if number in others}
            plain = [*held] == classes[:-1]
            line = _line("indices", ignore=odd) if plain else _line("values", values=held, ignore=odd)
            without = f"leave it out, `classes: {_flow([*held])}`, with"
            raise _two_readings(
                f"the values {_joined(present)}",
                (f"{odd} is ignored and `{absent[0]}` has no pixel: {without}", line),
                (
                    "each value is a class",
                    _line("values", values=dict(zip(classes, [*others, odd], strict=True))),
                ),
            )
        if len(others) == len(classes) and odd != IGNORE:
            line = _line("values", values=dict(zip(classes, others, strict=True)), ignore=odd)
            raise _stop(
                f"the values {_joined(present)}, one more than classes",
                f"If {odd} is ignored, check the order: `{line}`.",
            )


def _stop_if_order_is_unclear(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where the lowest of the values is not 0, or not the one that covers most."""
    pixels = _total(file.values for file in files)
    most = max(present, key=pixels.get)
    if present[0] == 0 == most:
        return
    orders = [[most, *(value for value in present if value != most)], present]
    ways = [
        (f"{order[0]} is `{classes[0]}`", _line("values", values=dict(zip(classes, order, strict=True))))
        for order in (orders if most != present[0] else orders[:1])
    ]
    raise _stop(
        f"the values {_listed(pixels, _area(files))}, of which "
        + ("none is 0" if present[0] else "0 does not cover most"),
        "Say which value is which class, and check the order: "
        + "; or ".join(f"{meaning}: `{line}`" for meaning, line in ways)
        + ".",
    )


def _stop_if_ground_is_unclear(summaries: list[Summary], present: list, classes: list[str]) -> None:
    """Stop where the higher value, or the colour, looks like the ground, or there is no 0."""
    low, high = present
    is_colour = isinstance(low, str)
    why = "and no 0" if not is_colour and low != 0 else _looks_like_ground(summaries, low)
    if not why:
        return
    what, key = ("colours", "colours") if is_colour else ("values", "values")
    raise _two_readings(
        f"the {what} {low} and {high}, {percent(_share_above(summaries, low))} of the pixels {high}, {why}",
        (f"{high} is background", _line(key, **{key: {classes[0]: high, classes[1]: low}})),
        (f"{low} is background", _line(key, **{key: {classes[0]: low, classes[1]: high}})),
    )


def _looks_like_ground(summaries: list[Summary], low: int | str) -> str:
    """Why what is not 0 may be the ground; nothing where it hardly is."""
    if _look_inverted(summaries):
        return f"that lies around enclosed blobs of {low}"
    frame = sum(summary.frame or 0 for summary in summaries) / len(summaries)
    if sum(summary.upper for summary in summaries) > _area(summaries) / 2 and frame > 0.5:
        return "as are most at the masks' edges"
    inverted = sum(map(_looks_inverted, summaries))
    if inverted >= SOME_INVERTED * len(summaries):
        of = _masks(len(summaries))
        return f"in {inverted} of {of} as a ground around blobs (invert those files if they alone are so)"
    return ""


def _share_above(summaries: list[Summary], low: int | str) -> float:
    if isinstance(low, str) or low == 0:
        return sum(summary.upper for summary in summaries) / _area(summaries)
    above = sum(count for summary in summaries for value, count in summary.values if value > low)
    return above / _area(summaries)


def _look_inverted(summaries: list[Summary]) -> bool:
    framed = sum((summary.frame or 0) >= INVERTED_FRAME for summary in summaries)
    with_zeros = [summary for summary in summaries if summary.upper < summary.pixels]
    enclosed = sum(summary.enclosed for summary in with_zeros)
    above = sum(summary.upper for summary in summaries)
    return 2 * above > _area(summaries) and framed >= 0.8 * len(summaries) and 2 * enclosed > len(with_zeros)


def _looks_inverted(summary: Summary) -> bool:
    return summary.enclosed and 2 * summary.upper > summary.pixels


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


def _stop_if_soft(files: list[Summary], classes: list[str]) -> None:
    """Stop where few numbers spread up to one that most masks share: edges between 0 and that."""
    held = [[value for value, _ in file.values if value] for file in files if file.bits > 8]
    held = [values for values in held if values]
    if not held:
        return
    present = sorted(set().union(*held))
    top, tops = present[-1], sum(values[-1] == present[-1] for values in held)
    spread = top > 4 * len(present) and present[len(present) // 2] > top / 16
    if len(present) > 2 and 2 * tops >= len(held) and spread:
        raise _two_readings(
            f"{len(present)} numbers up to {top}, which {tops} of {_masks(len(files))} hold",
            (
                f"grey edges: from a value on a pixel is `{classes[1]}`",
                _line("binary", threshold=(top + 1) // 2),
            ),
            ("each number is an object", _line("instances")),
        )


def _numbers(file: Summary) -> list[int]:
    """What may be numbers of objects: all but 0 and what often stands for something else."""
    present = [value for value, _ in file.values]
    return [value for value in present if value and value not in special(present)]


def _are_numbered(files: list[Summary]) -> bool:
    """Whether most masks hold several objects, numbered 1 .. n, each in one place."""
    several = [file for file in files if file.connected is not None]
    filled = sum(any(value for value, _ in file.values) for file in files)
    fitting = sum(file.connected and (file.many or _is_contiguous(file)) for file in several)
    return 2 * len(several) >= filled and bool(several) and fitting >= 0.9 * len(several)


def _is_contiguous(file: Summary) -> bool:
    numbers = _numbers(file)
    return file.bits > 8 or numbers == list(range(1, len(numbers) + 1))


def _are_objects(files: list[Summary]) -> bool:
    """Whether the numbers are too many, or differ too much between masks, to be classes."""
    counts = {len(_numbers(file)) for file in files}
    enough = FEW_OBJECTS if any(file.bits > 8 for file in files) else MANY_OBJECTS
    differ = len(counts) > 1 and not _are_the_same(files) and not _are_bands(files)
    return max(counts) > enough and (differ or len(files) == 1)


def _are_the_same(files: list[Summary]) -> bool:
    """Whether hardly a mask lacks one of the numbers, as where they are classes."""
    held = [numbers for numbers in map(_numbers, files) if numbers]
    kinds = set().union(*held)
    same = sum(map(len, held)) / (len(kinds) * len(held))
    return len(kinds) < IGNORE and same >= (SAME if len(kinds) <= MANY_OBJECTS else SAME_OF_MANY)


def _are_bands(files: list[Summary]) -> bool:
    """Whether the regions of most masks reach from side to side, as layers do."""
    return 2 * sum(file.bands for file in files) > len(files)


def _stop_if_number_is_unclear(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where a number of the objects may be what is ignored, or the ground; or there is no 0."""
    odd, pixels = special(present), _total(file.values for file in files)
    if 0 not in pixels:
        ground = pixels.most_common(1)[0][0]
        others = [value for value in odd if value != ground]
        line = _line("instances", background=ground, **({"ignore": others[-1]} if others else {}))
        besides = f", {others[-1]} ignored" if others else ""
        raise _stop(
            f"numbered objects, and no 0: {ground} covers most",
            f"If {ground} is `{classes[0]}`{besides}: `{line}`.",
        )
    if odd:
        number = odd[-1]
        raise _two_readings(
            f"numbered objects, and {number} among the numbers ({percent(pixels[number] / _area(files))} of "
            "the pixels)",
            (f"{number} is ignored", _line("instances", ignore=number)),
            (f"{number} is `{classes[0]}`, and 0 an object", _line("instances", background=number)),
            (f"{number} is an object", _line("instances")),
        )


def _stop_if_grey(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where values between two extremes lie along edges, as JPEG and smooth scaling leave them."""
    spanning = [file for file in files if file.spans]
    edged = sum(map(has_grey_edges, spanning))
    if 2 * edged <= len(spanning):
        return
    top = max(FULL_BYTE, present[-1])
    between = sum(count for file in files for value, count in file.values if 0 < value < top)
    line = _line("binary", threshold=(top + 1) // 2)
    found = (
        f"grey edges in {edged} of {_masks(len(files))}: {percent(between / _area(files))} of the pixels are "
        f"neither 0 nor {top}"
    )
    why = _looks_like_ground(files, 0)
    if why:
        inverted = _line("binary", threshold=(top + 1) // 2, inverted=True)
        raise _two_readings(
            f"{found}; {percent(_share_above(files, 0))} are above half, {why}",
            ("the high values are background", inverted),
            ("the low values are background", line),
        )
    raise _stop(
        found, f"Say from which value on a pixel is `{classes[1]}`: `{line}`." + _band(present, classes)
    )


def _band(present: list[int], classes: list[str]) -> str:
    """The other reading of a single grey between two values."""
    if len(present) != 3:
        return ""
    low, grey, high = present
    line = _line("values", values={classes[0]: low, classes[1]: high}, ignore=grey)
    return f" If {grey} is to be ignored: `{line}`."


def _stop_if_few_objects(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where numbered regions may as well be classes that nobody declared."""
    if _are_objects(files):
        return
    raise _two_readings(
        f"the values {_joined(present)}, each in one piece in most masks",
        (f"each number is one object of `{classes[1]}`", _line("instances")),
        _as_classes(present, classes),
    )


def _as_classes(present: list[int], classes: list[str]) -> tuple[str, str]:
    """What it means that each value is a class, those that were not declared among them, and the line."""
    more = [*classes, *(f"class{number}" for number in range(len(classes), len(present)))]
    plain = present == list(range(len(present)))
    line = _line("indices") if plain else _line("values", values=dict(zip(more, present, strict=True)))
    return f"each number is a class: `classes: {_flow(more)}` with", line


def _unread(files: list[Summary], present: list[int], classes: list[str]) -> DataError:
    pixels = _total(file.values for file in files)
    found = f"the values {_listed(pixels, _area(files))}, which fit no encoding of {len(classes)} classes"
    if len(present) > LISTED:
        return _stop(found, _no_classes(present, classes))
    return _stop(
        found,
        "Say which value is which class, and check the order: "
        + "; or ".join(_value_lines(present, pixels, classes))
        + ".",
    )


def _no_classes(present: list[int], classes: list[str]) -> str:
    """What to do about values too many to be classes."""
    picture = "If this is a picture, set `masks` to the masks."
    if len(classes) > 2:
        return (
            f"JPEG and smooth scaling make such values: save the masks anew as PNG, without either. {picture}"
        )
    line = _line("binary", threshold=max(1, (present[0] + present[-1] + 1) // 2))
    return f"If they are shades of `{classes[1]}`, say from which value on: `{line}`. {picture}"


def _value_lines(present: list[int], pixels: Counter, classes: list[str]) -> list[str]:
    """Lines that give each of some values a class, with what each would mean."""
    lines, odd = [], special(present)
    ground = pixels.most_common(1)[0][0]
    odd += [0] * (ground != 0 and 0 in present)
    others = sorted((value for value in present if value not in odd), key=lambda value: value != ground)
    if len(odd) == 1 and len(others) == len(classes):
        values = dict(zip(classes, others, strict=True))
        lines.append(f"{odd[0]} is ignored: `{_line('values', values=values, ignore=odd[0])}`")
    if len(classes) == 2:
        rest = [value for value in present if value != ground]
        values = {classes[0]: ground, classes[1]: rest}
        lines.append(f"all but {ground} is `{classes[1]}`: `{_line('values', values=values)}`")
    else:
        values = dict.fromkeys(classes, "...")
        lines.append(f"`{_line('values', values=values)}` (fill in, a list where several)")
    if present == list(range(len(present))):
        meaning, line = _as_classes(present, classes)
        lines.append(f"{meaning} `{line}`")
    return lines


def _too_few(held: int, classes: list[str]) -> str:
    """What to do where a class has no value or colour."""
    if len(classes) == 2:
        return "All masks are of one colour: check that they are the right files."
    return (
        f"They are {held}, and the classes {len(classes)}: leave out of `classes` what has no pixel in any "
        "mask."
    )


def _hint_of_alpha(summaries: list[Summary]) -> str:
    alpha = sum(summary.alpha for summary in summaries)
    if not alpha:
        return ""
    return (
        f" The alpha channel varies in {_masks(alpha)}, and alpha is not read: if it holds the mask, save it "
        "as a grey image."
    )


# Sentences


def _understood(summaries: list[Summary], encoding: Encoding, classes: list[str], besides: int) -> str:
    masks = "the one mask" if len(summaries) == 1 else f"all {len(summaries)} masks"
    masks = f"{len(summaries)} of {len(summaries) + besides} masks" if besides else masks
    if encoding.kind == "instances":
        return _understood_objects(summaries, encoding, classes, masks)
    if encoding.kind == "overlay":
        meanings = ", ".join(f"{colour} = {_name(number, classes)}" for colour, number in encoding.colours)
        rest = classes[int(encoding.cut_out)]
        return f"painted copies of the images in {masks}: {meanings}, all else = {rest}"
    if encoding.threshold is not None:
        above, below = (classes[0], classes[1]) if encoding.inverted else (classes[1], classes[0])
        return f"grey values in {masks}: {encoding.threshold} and more = {above}, less = {below}"
    table, name = class_of_code(encoding), _code_name(encoding)
    held = {code for summary in summaries for code, _ in _codes(summary, encoding)} & table.keys()
    order = sorted(held, key=lambda code: (table[code], code))
    meanings = ", ".join(f"{name(code)} = {_name(table[code], classes)}" for code in order)
    return f"{_joined(map(name, sorted(held)))} in {masks}: {meanings}"


def _understood_objects(summaries: list[Summary], encoding: Encoding, classes: list[str], masks: str) -> str:
    border = "" if encoding.border is None else f", its border = {classes[encoding.border]}"
    ignored = "" if encoding.ignore is None else f", {encoding.ignore} = ignored"
    ground = f"{encoding.background} = {classes[0]}"
    files = sum(len(summary.pieces) or 1 for summary in summaries)
    if files == len(summaries):
        return f"numbered objects in {masks}: {ground}, each other number = {classes[1]}{border}{ignored}"
    held = "what is not 0" if encoding.threshold is None else f"what is {encoding.threshold} and more"
    what = f"{held} = {classes[1]}{border}"
    return f"objects, one a file, in {files} files of {len(summaries)} images: {what}"


def _name(number: int, classes: list[str]) -> str:
    return "ignored" if number == IGNORE else classes[number]


def _code_name(encoding: Encoding):
    return colour_name if encoding.kind == "colours" else str


def _notes(
    summaries: list[Summary],
    encoding: Encoding,
    pixels: list[dict[int, int]],
    classes: list[str],
    auto: bool,
) -> list[str]:
    """What the reader of a report should know of the set, a sentence each."""
    notes = _doubts(summaries, encoding, pixels, classes) if auto else []
    bits = sum(summary.kind == "bilevel" for summary in summaries)
    if 0 < bits < len(summaries) and encoding.kind in ("indices", "values"):
        notes.append(f"1 bit a pixel in {_masks(bits)}; a set bit was read as {bit_code(encoding)}.")
    empty = sum({number for number, count in one.items() if count} == {0} for one in pixels)
    if empty:
        notes.append(f"Background alone in {empty} of {_masks(len(summaries))}.")
    ignored = sum(one.get(IGNORE, 0) for one in pixels)
    if ignored:
        notes.append(f"{percent(ignored / _area(summaries))} of the pixels are ignored.")
    alpha = sum(summary.alpha for summary in summaries)
    if alpha:
        notes.append(f"An alpha channel that varies in {_masks(alpha)}: it was not read, the colours were.")
    return notes + _strange(summaries, encoding)


def _doubts(
    summaries: list[Summary], encoding: Encoding, pixels: list[dict[int, int]], classes: list[str]
) -> list[str]:
    """What a person should look at, since the encoding was read off the set."""
    doubts = []
    if encoding.kind == "values" and len(encoding.values) > 2:
        doubts.append("The values were taken as classes in ascending order.")
    if encoding.kind in ("instances", "overlay"):
        way = "numbered objects" if encoding.kind == "instances" else "painted copies"
        doubts.append(f"The masks were taken for {way}; look at the examples.")
    little = sum(
        any(count > one.get(0, 0) for number, count in one.items() if number not in (0, IGNORE))
        for one in pixels
    )
    if 2 * little > len(summaries):
        doubts.append(
            f"`{classes[0]}` does not cover most of {little} of {_masks(len(summaries))}: is it the ground?"
        )
    inverted = (
        sum(map(_looks_inverted, summaries)) if encoding.kind in ("values", "indices", "colours") else 0
    )
    if inverted and len(classes) == 2:
        doubts.append(
            f"Foreground lies around blobs of background in {_masks(inverted)}, as in inverted ones."
        )
    return doubts


def _strange(summaries: list[Summary], encoding: Encoding) -> list[str]:
    """A sentence on each value or colour without a class."""
    found = [undeclared(summary, encoding) for summary in summaries]
    masks, area = Counter(name for one in found for name, _ in one), _area(summaries)
    return [
        f"{name} without a class: {percent(count / area)} of the pixels, in {_masks(masks[name])}."
        for name, count in _total(found).most_common(LISTED)
    ]


def _require_every_class(
    pixels: list[dict[int, int]], classes: list[str], understood: str, summaries: list[Summary]
) -> None:
    for number, name in enumerate(classes):
        if not any(one.get(number) for one in pixels):
            raise DataError(
                expected=f"pixels of each declared class, {', '.join(classes)}",
                found=f"none of `{name}` (read: {understood})",
                where="config keys `classes` and `labels`",
                remedy="Remove the class, or set `labels` to how the masks are encoded."
                + _hint_of_alpha(summaries),
            )


def _two_readings(found: str, *readings: tuple[str, str]) -> DataError:
    """Two meanings or more, each with the line of config that says it."""
    told = [f"{meaning}{' ' if meaning.endswith('with') else ': '}`{line}`" for meaning, line in readings]
    return _stop(found, f"Say which: {'; or '.join(told)}.")


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
