"""The encoding read off a set of masks, where the config says `labels: auto`, or a question.

`infer` tells several files an image, painted copies, colours and values apart, in this order. What a set
hardly ever means otherwise is read; where it may mean either of two things, a `_stop_if_...` raises the
question (`stratagem.data.masks.question`). Nothing is guessed.
"""

from stratagem.core.errors import DataError
from stratagem.data.labels import IGNORE, Encoding, colour_code, percent
from stratagem.data.masks.evidence import (
    FULL_BYTE,
    INVERTED_FRAME,
    Piece,
    Summary,
    area_of,
    has_grey_edges,
    named,
    piece_of,
    special,
    total_counts,
)
from stratagem.data.masks.question import (
    LISTED,
    colour_lines,
    enumerated,
    flow,
    hint_of_alpha,
    hint_of_few_codes,
    hint_of_many_colours,
    hint_of_many_values,
    hint_of_one_grey,
    listed,
    mask_count,
    paint_line,
    reading_as_classes,
    setting,
    stop,
    two_readings,
    value_lines,
)

__all__ = ["colour_counts", "indices", "infer", "looks_inverted"]

FEW_OBJECTS, MANY_OBJECTS = 4, 16  # more in a mask of over 8 bits, or of 8, are no classes left undeclared
SAME, SAME_OF_MANY = 0.8, 0.95  # share of the masks that hold each number, of few or many, as classes do
SOME_INVERTED = 0.2  # share of the masks that are no accident
LINE = 0.3  # of a line's pixels less than this are inside it
CUT_FRAME, CUT_SHARE = 0.25, 0.4  # shares of frame and pixels that what is cut away takes, not an object


def infer(summaries: list[Summary], classes: list[str]) -> Encoding:
    """The encoding that a set of masks has by itself.

    Parameters
    ----------
    summaries : list of Summary
        One a mask.
    classes : list of str
        The declared names, background first.

    Returns
    -------
    Encoding
        Never with a threshold or a border, which only the config declares.

    Raises
    ------
    DataError
        If the set can be read in two ways or in none.
    """
    _stop_if_fractions(summaries, classes)
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


def _stop_if_fractions(summaries: list[Summary], classes: list[str]) -> None:
    """Stop where values are no whole numbers: shades, such as a network's probabilities."""
    values = [value for summary in summaries for value, _ in summary.values]
    broken = sum(any(value % 1 for value, _ in summary.values) for summary in summaries)
    if not broken:
        return
    found = f"fractions from {min(values):g} to {max(values):g} in {mask_count(broken)}"
    if len(classes) != 2:
        raise stop(found, "Save the number of each pixel's class, as a whole number.")
    encoding = "instances" if any(summary.pieces for summary in summaries) else "binary"
    middle = float(f"{(min(values) + max(values)) / 2:.3g}")
    line = setting(encoding, threshold=middle)
    raise stop(found, f"Say from which value on a pixel is `{classes[1]}`: `{line}`.")


# Several files an image


def _by_object_files(summaries: list[Summary], classes: list[str]) -> Encoding:
    """Objects of one class, a file each, or a stop."""
    pieces = [piece for one in summaries for piece in one.pieces or (piece_of(one),)]
    odd = [piece for piece in pieces if not piece.plain]
    soft = sum(piece.soft for piece in odd)
    if len(classes) != 2:
        raise stop(
            f"several mask files an image, and {len(classes)} classes",
            "Several files are read as objects of one class. Is each file a class, unite them to one mask "
            f"an image, whose values are 0 to {len(classes) - 1}.",
        )
    covered = all(summary.upper == summary.pixels for summary in summaries)
    as_they_are = "" if covered else f" If all but 0 belongs to the objects: `{setting('instances')}`."
    _stop_if_filled(summaries, pieces, as_they_are)
    if 2 * soft > len(odd):
        raise stop(
            f"grey edges in {soft} of {len(pieces)} files of one object each",
            f"Say from which value on a pixel is the object: `{setting('instances', threshold=128)}`.",
        )
    if odd:
        raise stop(
            f"several mask files an image, {len(odd)} of {len(pieces)} with more than 0 and one other value "
            f"(such as {odd[0].held})",
            f"Save each object as 0 and one other value, and nothing else in these files.{as_they_are}",
        )
    return Encoding("instances")


def _stop_if_filled(summaries: list[Summary], pieces: list[Piece], as_they_are: str) -> None:
    filled = sum(piece.share > 0.5 for piece in pieces)
    if 2 * filled > len(pieces):
        raise stop(
            f"several mask files an image, {filled} of {len(pieces)} of them filled for the most part with "
            "what is not 0",
            f"Are they inverted, save them with 0 outside the object.{as_they_are}"
            + hint_of_alpha(summaries),
        )


# Painted copies of the images


def _are_painted(summaries: list[Summary]) -> bool:
    """Whether most masks are their image for the most part, or but for a few colours."""
    painted = sum(
        summary.unchanged >= 0.5 or len(summary.painted) <= LISTED
        for summary in summaries
        if summary.unchanged is not None
    )
    return 2 * painted > len(summaries)


def _painted_over(summaries: list[Summary], classes: list[str]) -> Encoding:
    pixels = total_counts(summary.painted for summary in summaries)
    found = f"copies of the images with painted pixels of {listed(pixels, area_of(summaries))}"
    if not pixels:
        raise stop(
            "plain copies of the images, without a painted pixel",
            "Set `masks`, or the sheet's column `mask`, to the masks." + hint_of_alpha(summaries),
        )
    if len(pixels) > LISTED:
        raise stop(
            found,
            "Paint that lets the image through, or JPEG, leaves too many colours to say which is a class. "
            "Save the masks with opaque paint, as PNG.",
        )
    colours = [colour for colour, _ in pixels.most_common()]
    if len(classes) == 2 and len(colours) == 1:
        _stop_if_paint_is_unclear(summaries, colours[0], classes)
        return Encoding("overlay", colours=((colours[0], 1),))
    raise stop(
        found, f"Say which colour is which class, and check the order: `{paint_line(colours, classes)}`."
    )


def _stop_if_paint_is_unclear(summaries: list[Summary], colour: str, classes: list[str]) -> None:
    """Stop where what was painted are outlines of objects, or all but the objects."""
    area = sum(count for summary in summaries for _, count in summary.painted)
    core, inside = (sum(getattr(summary, key) for summary in summaries) for key in ("core", "inside"))
    frame = sum(summary.painted_frame for summary in summaries) / len(summaries)
    found = f"copies of the images with painted pixels of {colour} ({percent(area / area_of(summaries))})"
    as_paint = (f"the paint itself is `{classes[1]}`", setting("overlay", colours={classes[1]: colour}))
    if colour in ("#000000", "#ffffff") and (frame >= CUT_FRAME or area >= CUT_SHARE * area_of(summaries)):
        cut_out = setting("overlay", colours={classes[0]: colour})
        raise two_readings(
            f"{found}, which may be what was cut away",
            (f"it is `{classes[0]}`, and what is left of the image `{classes[1]}`", cut_out),
            as_paint,
        )
    if core < LINE * area or inside > area / 2:
        raise stop(
            f"{found}, most of them in lines",
            "Are these outlines, fill them: what they enclose is not read. "
            f"If {as_paint[0]}: `{as_paint[1]}`.",
        )


# Colours


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
    by_index = setting(
        "values", values=dict(zip(classes, values, strict=False)), **({"ignore": IGNORE} if ignored else {})
    )
    by_colour = setting(
        "colours",
        colours=dict(zip(classes, colours, strict=False)),
        **({"ignore": colour_of[IGNORE]} if ignored else {}),
    )
    raise two_readings(
        "palette masks whose index 0 is not black, and another is: "
        + ", ".join(f"{value} = {colour}" for value, colour in colour_of.items()),
        ("the colour is the class (check the order)", by_colour),
        ("the index is the class", by_index),
    )


def _by_colour(summaries: list[Summary], classes: list[str]) -> Encoding:
    pixels = total_counts(named(colour_counts(summary)) for summary in summaries)
    colours = sorted(pixels, key=lambda colour: (colour != "#000000", -pixels[colour], colour))
    found = f"the colours {listed(pixels, area_of(summaries))}"
    if len(classes) == len(colours) == 2 and colours[0] == "#000000":
        _stop_if_ground_is_unclear(summaries, colours, classes)
        return Encoding("colours", colours=((colours[0], 0), (colours[1], 1)))
    if _are_objects_in_colours(summaries, colours, classes):
        objects = f" If each colour is one object: `{setting('instances')}`."
    else:
        objects = ""
    if len(colours) < len(classes):
        raise stop(found, hint_of_few_codes(len(colours), classes) + hint_of_alpha(summaries))
    if len(colours) > LISTED:
        raise stop(found, hint_of_many_colours(colours) + objects)
    raise stop(
        found,
        f"Say which colour is which class, and check the order: {colour_lines(colours, classes)}.{objects}",
    )


def colour_counts(summary: Summary) -> list[tuple[int, int]]:
    """The colours of a mask as codes, and their pixels; grey ones of a mask without colours.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    list of (int, int)
        Code, 0xrrggbb, and pixels. A code may occur twice where a palette has two indices of one colour.
    """
    if summary.colours:
        return [(colour_code(colour), count) for colour, count in summary.colours]
    white = 0xFFFFFF if summary.kind == "bilevel" else 0x010101
    return [(value * white, count) for value, count in summary.values]


def _are_objects_in_colours(summaries: list[Summary], colours: list[str], classes: list[str]) -> bool:
    joined = [one.connected for one in summaries if one.kind == "colour" and one.connected is not None]
    return len(colours) > len(classes) and bool(joined) and sum(joined) >= 0.9 * len(joined)


# Values


def _by_value(summaries: list[Summary], classes: list[str]) -> Encoding:
    files = [summary for summary in summaries if summary.kind != "bilevel"] or summaries
    present = sorted(total_counts(summary.values for summary in files))
    if len(classes) == 2:
        return _two_classes(summaries, files, present, classes)
    _stop_if_bits_are_unclear(summaries, files, present, classes)
    _stop_if_some_are_binary(files, present, classes)
    _stop_if_extreme_is_unclear(present, classes)
    if set(present) - set(range(len(classes))) and len(present) < len(classes):
        raise stop(f"the values {enumerated(present)}", hint_of_few_codes(len(present), classes))
    if set(present) <= {*range(len(classes)), IGNORE}:
        return indices(len(classes), IGNORE)
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
        return indices(2, IGNORE)
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


def indices(count: int, ignore: int | None) -> Encoding:
    """The encoding of masks whose numbers are the classes, 0 .. count - 1.

    Parameters
    ----------
    count : int
        Classes, background among them.
    ignore : int or None
        The number that becomes 255.

    Returns
    -------
    Encoding
        Of kind "indices".
    """
    return Encoding("indices", values=tuple((number, number) for number in range(count)), ignore=ignore)


def _unread(files: list[Summary], present: list[int], classes: list[str]) -> DataError:
    pixels = total_counts(file.values for file in files)
    found = f"the values {listed(pixels, area_of(files))}, which fit no encoding of {len(classes)} classes"
    if len(present) > LISTED:
        return stop(found, hint_of_many_values(present, classes))
    return stop(
        found,
        "Say which value is which class, and check the order: "
        + "; or ".join(value_lines(present, pixels, classes))
        + ".",
    )


def _stop_if_bits_are_unclear(summaries: list[Summary], files: list[Summary], present, classes) -> None:
    bits = len(summaries) - len(files)
    indices = f" If a set bit is `{classes[1]}`: `{setting('indices')}`."
    if bits:
        raise stop(
            f"1 bit a pixel in {mask_count(bits)} among others of three or more classes",
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
        raise two_readings(
            f"{mask_count(full)} with no other values than 0 and 255, and {others} with others but never 255",
            (f"255 is `{classes[1]}` there", setting("values", values=values | both)),
            ("255 is ignored", setting("values", values=values, ignore=FULL_BYTE)),
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
            line = setting("indices", ignore=odd) if plain else setting("values", values=held, ignore=odd)
            without = f"leave it out, `classes: {flow([*held])}`, with"
            raise two_readings(
                f"the values {enumerated(present)}",
                (f"{odd} is ignored and `{absent[0]}` has no pixel: {without}", line),
                (
                    "each value is a class",
                    setting("values", values=dict(zip(classes, [*others, odd], strict=True))),
                ),
            )
        if len(others) == len(classes) and odd != IGNORE:
            line = setting("values", values=dict(zip(classes, others, strict=True)), ignore=odd)
            raise stop(
                f"the values {enumerated(present)}, one more than classes",
                f"If {odd} is ignored, check the order: `{line}`.",
            )


def _stop_if_order_is_unclear(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where the lowest of the values is not 0, or not the one that covers most."""
    pixels = total_counts(file.values for file in files)
    most = max(present, key=pixels.__getitem__)
    if present[0] == 0 == most:
        return
    orders = [[most, *(value for value in present if value != most)], present]
    ways = [
        (f"{order[0]} is `{classes[0]}`", setting("values", values=dict(zip(classes, order, strict=True))))
        for order in (orders if most != present[0] else orders[:1])
    ]
    raise stop(
        f"the values {listed(pixels, area_of(files))}, of which "
        + ("none is 0" if present[0] else "0 does not cover most"),
        "Say which value is which class, and check the order: "
        + "; or ".join(f"{meaning}: `{line}`" for meaning, line in ways)
        + ".",
    )


def _stop_if_mixed(files: list[Summary], present: list[int], classes: list[str]) -> None:
    held = [{value for value, _ in file.values} & {1, FULL_BYTE} for file in files]
    ones, full = held.count({1}), held.count({FULL_BYTE})
    if set(present) <= {0, 1, FULL_BYTE} and ones and full and {1, FULL_BYTE} not in held:
        both = {classes[0]: 0, classes[1]: [1, FULL_BYTE]}
        raise two_readings(
            f"{mask_count(ones)} with the value 1 and {full} with 255, none with both",
            (f"both values are `{classes[1]}`", setting("values", values=both)),
            ("255 is ignored", setting("indices", ignore=IGNORE)),
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
        raise two_readings(
            f"{len(present)} numbers up to {top}, which {tops} of {mask_count(len(files))} hold",
            (
                f"grey edges: from a value on a pixel is `{classes[1]}`",
                setting("binary", threshold=(top + 1) // 2),
            ),
            ("each number is an object", setting("instances")),
        )


def _stop_if_grey(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where values between two extremes lie along edges, as JPEG and smooth scaling leave them."""
    spanning = [file for file in files if file.spans]
    edged = sum(map(has_grey_edges, spanning))
    if 2 * edged <= len(spanning):
        return
    top = max(FULL_BYTE, present[-1])
    between = sum(count for file in files for value, count in file.values if 0 < value < top)
    line = setting("binary", threshold=(top + 1) // 2)
    found = (
        f"grey edges in {edged} of {mask_count(len(files))}: {percent(between / area_of(files))} of the "
        f"pixels are neither 0 nor {top}"
    )
    why = _looks_like_ground(files, 0)
    if why:
        inverted = setting("binary", threshold=(top + 1) // 2, inverted=True)
        raise two_readings(
            f"{found}; {percent(_share_above(files, 0))} are above half, {why}",
            (f"the high values are `{classes[0]}`", inverted),
            (f"the low values are `{classes[0]}`", line),
        )
    raise stop(
        found,
        f"Say from which value on a pixel is `{classes[1]}`: `{line}`." + hint_of_one_grey(present, classes),
    )


# ... whether they are inverted


def _stop_if_ground_is_unclear(summaries: list[Summary], present: list, classes: list[str]) -> None:
    """Stop where the higher value, or the colour, looks like the ground, or there is no 0."""
    low, high = present
    is_colour = isinstance(low, str)
    why = "and no 0" if not is_colour and low != 0 else _looks_like_ground(summaries, low)
    if not why:
        return
    what, key = ("colours", "colours") if is_colour else ("values", "values")
    raise two_readings(
        f"the {what} {low} and {high}, {percent(_share_above(summaries, low))} of the pixels {high}, {why}",
        (f"{high} is `{classes[0]}`", setting(key, **{key: {classes[0]: high, classes[1]: low}})),
        (f"{low} is `{classes[0]}`", setting(key, **{key: {classes[0]: low, classes[1]: high}})),
    )


def _looks_like_ground(summaries: list[Summary], low: int | str) -> str:
    """Why what is not 0 may be the ground; nothing where it hardly is."""
    if _are_inverted(summaries):
        return f"that lies around enclosed blobs of {low}"
    frame = sum(summary.frame or 0 for summary in summaries) / len(summaries)
    if sum(summary.upper for summary in summaries) > area_of(summaries) / 2 and frame > 0.5:
        return "as are most at the masks' edges"
    inverted = sum(map(looks_inverted, summaries))
    if inverted >= SOME_INVERTED * len(summaries):
        of = mask_count(len(summaries))
        return f"in {inverted} of {of} as a ground around blobs (invert those files if they alone are so)"
    return ""


def _share_above(summaries: list[Summary], low: int | str) -> float:
    if isinstance(low, str) or low == 0:
        return sum(summary.upper for summary in summaries) / area_of(summaries)
    above = sum(count for summary in summaries for value, count in summary.values if value > low)
    return above / area_of(summaries)


def _are_inverted(summaries: list[Summary]) -> bool:
    framed = sum((summary.frame or 0) >= INVERTED_FRAME for summary in summaries)
    with_zeros = [summary for summary in summaries if summary.upper < summary.pixels]
    enclosed = sum(summary.enclosed for summary in with_zeros)
    above = sum(summary.upper for summary in summaries)
    return (
        2 * above > area_of(summaries) and framed >= 0.8 * len(summaries) and 2 * enclosed > len(with_zeros)
    )


def looks_inverted(summary: Summary) -> bool:
    """Whether a mask's foreground takes most of it, and lies around blobs of background."""
    return summary.enclosed and 2 * summary.upper > summary.pixels


# ... whether they are numbers of objects


def _are_numbered(files: list[Summary]) -> bool:
    """Whether most masks hold several objects, numbered 1 .. n, each in one place."""
    several = [file for file in files if file.connected is not None]
    filled = sum(any(value for value, _ in file.values) for file in files)
    fitting = sum(bool(file.connected) and (file.many or _is_contiguous(file)) for file in several)
    return 2 * len(several) >= filled and bool(several) and fitting >= 0.9 * len(several)


def _is_contiguous(file: Summary) -> bool:
    numbers = _numbers(file)
    return file.bits > 8 or numbers == list(range(1, len(numbers) + 1))


def _numbers(file: Summary) -> list[int]:
    """What may be numbers of objects: all but 0 and what often stands for something else."""
    present = [value for value, _ in file.values]
    return [value for value in present if value and value not in special(present)]


def _stop_if_number_is_unclear(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where a number of the objects may be what is ignored, or the ground; or there is no 0."""
    odd, pixels = special(present), total_counts(file.values for file in files)
    if 0 not in pixels:
        ground = pixels.most_common(1)[0][0]
        others = [value for value in odd if value != ground]
        line = setting("instances", background=ground, **({"ignore": others[-1]} if others else {}))
        besides = f", {others[-1]} ignored" if others else ""
        raise stop(
            f"numbered objects, and no 0: {ground} covers most",
            f"If {ground} is `{classes[0]}`{besides}: `{line}`.",
        )
    if odd:
        number = odd[-1]
        raise two_readings(
            f"numbered objects, and {number} among the numbers ({percent(pixels[number] / area_of(files))} "
            "of the pixels)",
            (f"{number} is ignored", setting("instances", ignore=number)),
            (f"{number} is `{classes[0]}`, and 0 an object", setting("instances", background=number)),
            (f"{number} is an object", setting("instances")),
        )


def _stop_if_few_objects(files: list[Summary], present: list[int], classes: list[str]) -> None:
    """Stop where numbered regions may as well be classes that nobody declared."""
    if _are_objects(files):
        return
    raise two_readings(
        f"the values {enumerated(present)}, each in one piece in most masks",
        (f"each number is one object of `{classes[1]}`", setting("instances")),
        reading_as_classes(present, classes),
    )


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
