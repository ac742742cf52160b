"""How the masks of a set are encoded: read off the whole set, or taken from the config and held against it.

Never file by file, since a file that happens to hold only zeros fits every reading: `recognise` reads the
summaries of all masks together (`stratagem.data.masks.evidence`). Where a set can be read in two ways it
stops and names both, each with the line of config that settles it (`stratagem.data.masks.encoding`); nothing
is guessed.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stratagem.core.errors import DataError
from stratagem.data.labels import IGNORE, Encoding, bit_code, class_of_code, colour_code, colour_name, percent
from stratagem.data.masks.encoding import colour_counts, indices, infer, looks_inverted
from stratagem.data.masks.evidence import FULL_BYTE, Summary, area_of, total_counts
from stratagem.data.masks.question import LISTED, enumerated, hint_of_alpha, mask_count, setting

__all__ = ["Recognised", "recognise", "undeclared"]


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

    Returns
    -------
    Recognised

    Raises
    ------
    DataError
        If the set can be read in two ways or in none, does not fit the encoding of the config (such as
        "binary" with three classes), or a declared class has no pixel in it.
    """
    auto = wanted["encoding"] == "auto"
    encoding = infer(summaries, classes) if auto else _declared(wanted, classes)
    _refuse_foreign_threshold(summaries, encoding)
    _refuse_object_files(summaries, encoding)
    understood = _understood(summaries, encoding, classes, besides)
    pixels = [_class_pixels(summary, encoding) for summary in summaries]
    _require_every_class(pixels, classes, understood, summaries)
    return Recognised(encoding, understood, _notes(summaries, encoding, pixels, classes, auto))


def undeclared(summary: Summary, encoding: Encoding) -> list[tuple[str, int]]:
    """The values or colours of a mask that the encoding gives no class, and their pixels.

    Parameters
    ----------
    summary : Summary
    encoding : Encoding
        Of "instances", "overlay" or with a threshold, nothing is without a class.

    Returns
    -------
    list of (str, int)
        A number or "#rrggbb", and its pixels; of a mask in colour, where the encoding is of numbers,
        "colours" and all its pixels.
    """
    if encoding.kind in ("instances", "overlay") or encoding.threshold is not None:
        return []
    if summary.kind == "colour" and encoding.kind != "colours":
        return [("colours", summary.pixels)]
    known, name = class_of_code(encoding), _code_name(encoding)
    return [(name(code), count) for code, count in _codes(summary, encoding) if code not in known]


# The config's encoding


def _declared(wanted: dict, classes: list[str]) -> Encoding:
    return DECLARED[wanted["encoding"]](wanted, classes)


def _declared_indices(wanted: dict, classes: list[str]) -> Encoding:
    return indices(len(classes), wanted.get("ignore", IGNORE))


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


def _refuse_foreign_threshold(summaries: list[Summary], encoding: Encoding) -> None:
    """Refuse a threshold where the numbers are no grey values."""
    palettes = sum(summary.kind == "palette" for summary in summaries)
    if encoding.threshold is None:
        return
    if encoding.kind == "values" and palettes:
        raise DataError(
            expected="grey values, which a threshold divides",
            found=f"{mask_count(palettes)} with a palette, whose numbers stand for colours",
            where="config key `labels`",
            remedy="Save these masks as grey images (8 bits a pixel), or leave out `threshold`.",
        )
    if encoding.kind == "instances" and not any(summary.pieces for summary in summaries):
        raise DataError(
            expected="several mask files an image, one an object, with `threshold` beside `instances`",
            found="one file an image",
            where="config key `labels`",
            remedy=f"Numbered objects: `{setting('instances')}`. Grey values of all objects in one file: "
            f"`{setting('binary', threshold=encoding.threshold)}`.",
        )


def _refuse_object_files(summaries: list[Summary], encoding: Encoding) -> None:
    """Refuse to read several files of an image as anything but an object each."""
    several = sum(bool(summary.pieces) for summary in summaries)
    if several and encoding.kind != "instances":
        raise DataError(
            expected=f"one mask file an image, or files of one object each with `{setting('instances')}`",
            found=f"{several} images with several mask files",
            where="config key `labels`",
            remedy="Say so in `labels`, or name one file an image by `mask_name` or the sheet.",
        )


# The set: what it holds


def _codes(summary: Summary, encoding: Encoding) -> Iterable[tuple[int, int]]:
    """The codes of a mask and their pixels, as `stratagem.data.labels.to_classes` would see them."""
    if encoding.kind == "colours" or summary.kind == "colour":
        return colour_counts(summary)
    if summary.kind == "bilevel":
        return [(bit_code(encoding) if value else 0, count) for value, count in summary.values]
    return summary.values


def _class_pixels(summary: Summary, encoding: Encoding) -> dict[int, int]:
    """Pixels of each class in one mask; of instances, the border's count is that of all objects."""
    counted = {"instances": _object_pixels, "overlay": _painted_pixels}.get(encoding.kind, _declared_pixels)
    return counted(summary, encoding)


def _declared_pixels(summary: Summary, encoding: Encoding) -> Counter:
    table = class_of_code(encoding)
    classes: Counter[int] = Counter()
    if summary.kind == "colour" and encoding.kind != "colours":
        return classes
    for code, count in _codes(summary, encoding):
        if encoding.threshold is not None and code != encoding.ignore:
            classes[int((code >= encoding.threshold) != encoding.inverted)] += count
        elif code in table:
            classes[table[code]] += count
    return classes


def _object_pixels(summary: Summary, encoding: Encoding) -> dict[int, int]:
    counts = colour_counts(summary) if summary.kind == "colour" else summary.values
    pixels: dict[int | str | None, int] = dict(counts)
    ground, ignored = pixels.get(encoding.background, 0), pixels.get(encoding.ignore, 0)
    objects = summary.pixels - ground - ignored
    return {0: ground, 1: objects, IGNORE: ignored} | ({encoding.border: objects} if encoding.border else {})


def _painted_pixels(summary: Summary, encoding: Encoding) -> Counter:
    table = class_of_code(encoding)
    classes: Counter[int] = Counter()
    for colour, count in summary.painted:
        classes[table.get(colour_code(colour), int(encoding.cut_out))] += count
    classes[int(encoding.cut_out)] += summary.pixels - classes.total()
    return classes


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
                + hint_of_alpha(summaries),
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
    return f"{enumerated(map(name, sorted(held)))} in {masks}: {meanings}"


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
        notes.append(f"1 bit a pixel in {mask_count(bits)}; a set bit was read as {bit_code(encoding)}.")
    empty = sum({number for number, count in one.items() if count} == {0} for one in pixels)
    if empty:
        notes.append(f"Background alone in {empty} of {mask_count(len(summaries))}.")
    ignored = sum(one.get(IGNORE, 0) for one in pixels)
    if ignored:
        notes.append(f"{percent(ignored / area_of(summaries))} of the pixels are ignored.")
    alpha = sum(summary.alpha for summary in summaries)
    if alpha:
        notes.append(
            f"An alpha channel that varies in {mask_count(alpha)}: it was not read, the colours were."
        )
    return notes + _strange(summaries, encoding)


def _doubts(
    summaries: list[Summary], encoding: Encoding, pixels: list[dict[int, int]], classes: list[str]
) -> list[str]:
    """What a person should look at, since the encoding was read off the set."""
    doubts = []
    if encoding.kind == "values" and len(encoding.values) > 2:
        doubts.append("The values were taken as classes in ascending order.")
    if encoding.kind in ("instances", "overlay"):
        several = any(summary.pieces for summary in summaries)
        objects = "objects, one a file" if several else "numbered objects"
        way = objects if encoding.kind == "instances" else "painted copies"
        doubts.append(f"The masks were taken for {way}; look at the examples.")
    little = sum(
        any(count > one.get(0, 0) for number, count in one.items() if number not in (0, IGNORE))
        for one in pixels
    )
    if 2 * little > len(summaries):
        doubts.append(
            f"`{classes[0]}`, class 0, does not cover most of {little} of {mask_count(len(summaries))}. "
            "Class 0 has no score: where it is a class like the others, set `report: {score_background: "
            "true}`."
        )
    inverted = sum(map(looks_inverted, summaries)) if encoding.kind in ("values", "indices", "colours") else 0
    if inverted and len(classes) == 2:
        doubts.append(
            f"Foreground lies around blobs of background in {mask_count(inverted)}, as in inverted ones."
        )
    return doubts


def _strange(summaries: list[Summary], encoding: Encoding) -> list[str]:
    """A sentence on each value or colour without a class."""
    found = [undeclared(summary, encoding) for summary in summaries]
    masks, area = Counter(name for one in found for name, _ in one), area_of(summaries)
    return [
        f"{name} without a class: {percent(count / area)} of the pixels, in {mask_count(masks[name])}."
        for name, count in total_counts(found).most_common(LISTED)
    ]
