"""The index: every sample read, checked and measured, its masks' encoding recognised on the whole set.

The index is a table, one row a sample, which is all that later stages need to read it:

    sample, group, part, cluster    identity; what must not straddle a split; the user's own part or None;
                                    the first sample of those that are duplicates of each other
    image, masks                    paths; one mask, or one an object
    height, width, channels         of the image as it is read, the same channels for all; 3 of grey ones
    pixel_size                      the physical side of a pixel or NaN
    stored                          what the image file held: "uint16, 2 channels"
    mask_resized                    whether the mask is brought to the image's size
    page, window                    which page of its files it is, -1: all; which block of its image: top,
                                    left, height, width, empty: all
    reading, encoding               how pixels and masks are read (JSON; see `data.image.Reading` and
                                    `data.labels.Encoding`)
    pixels_k, objects_k             the mask's pixels and connected objects of class k

Memory is bounded: of each sample only measures are kept, no pixels; of its mask at most 4096 values. Large
images are read one at a time, small ones by several threads.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd

from stratagem.core.errors import DataError
from stratagem.core.workers import in_order
from stratagem.data.blocks import Blocks, with_blocks
from stratagem.data.channels import COLOURS
from stratagem.data.duplicates import Print, alike, clusters, pairs, take_print
from stratagem.data.image import (
    AT_ONCE,
    Reading,
    channels_of,
    header_of,
    is_wide,
    levels_of,
    read_raw,
    sample_intensities,
    varies_in_alpha,
)
from stratagem.data.labels import RawMask, percent, read_mask
from stratagem.data.masks.evidence import Summary, piece_of, summarise
from stratagem.data.masks.recognition import Recognised, recognise
from stratagem.data.objects import count_objects, count_values
from stratagem.data.pages import with_pages
from stratagem.data.pixels import one_mask, read_classes
from stratagem.data.sample import Found, Problem, Sample, problem_of

__all__ = ["Index", "Wanted", "build_index", "present", "require_good"]

STRETCH = 1.05  # factor between the sides' ratios of an image and a mask that is resized to it
SELDOM = 0.2  # share of the images that may have more mask files than the others by mistake
STRAY = 0.05  # share of a set's masks that may hold values of no class without its encoding being in doubt
TURNS = {6: " clockwise", 8: " counterclockwise"}  # what an orientation does to an image
ENOUGH = 3  # masks that agree, at least
NAMED = 3  # values that a reason names
SPARE = (
    "expected one mask file an image, as most have, but found {}. Leave one of them in `mask_name` or the "
    "sheet; if each is an object, set `labels: {{encoding: instances}}`."
)
NO_OBJECT = (
    "expected files of one object each, 0 and one other value, as of the other images, but found {}. "
    "Take the file out of `mask_name` or the sheet, or mend it."
)
STRANGE = (
    "expected the values of the set's other masks, but found {}, which hardly another holds. Mend the mask, "
    "or set `labels` to how the masks are encoded."
)
OTHER_CHANNELS = (
    "expected {} channels, as {} other images have, but found {}. Name those that all images have in "
    "`channels`, such as `channels: [0, 1]`, or save the image with the same."
)
INTENSITIES = 256  # kept of each image of more than 8 bits
COLUMNS = [
    "sample",
    "group",
    "part",
    "cluster",
    "image",
    "masks",
    "height",
    "width",
    "channels",
    "pixel_size",
]
COLUMNS += ["stored", "mask_resized", "page", "window", "reading", "encoding"]


@dataclass(frozen=True)
class Wanted:
    """What the study says of its data.

    Attributes
    ----------
    classes : list of str
        Names by class index, background first.
    labels : dict
        The config key `labels`.
    channels : tuple of int, or None
        See `stratagem.data.image.Reading`.
    levels : (float, float) or None
        None: measured on the set.
    apart : bool
        Whether three channels, too, have each levels of their own.
    mask_size : {"same", "resize"}
        Whether a mask of another size than its image is a problem, or resized if it has the image's shape.
    pages : {"samples", "channels"} or None
        What the pages of a file are; None: to be asked where a file has several.
    blocks : Blocks or None
        How each image is divided into samples; None: not.
    duplicates : {"near", "exact", "off"}
        Which images count as copies of each other.
    group : str or None
        The config key `split.group`, for what is made of a file's pages and blocks.
    """

    classes: list[str]
    labels: dict
    channels: tuple[int, ...] | None = None
    levels: tuple[float, float] | None = None
    apart: bool = False
    mask_size: str = "same"
    pages: str | None = None
    blocks: Blocks | None = None
    duplicates: str = "near"
    group: str | None = None

    @classmethod
    def of(cls, data: dict) -> "Wanted":
        """From the config's keys of a data set.

        Parameters
        ----------
        data : dict
            At least `classes` and `labels`; keys that are no attribute here are passed over. `blocks` as its
            rows, columns and gap.

        Returns
        -------
        Wanted
        """
        own = {key: value for key, value in data.items() if key in cls.__dataclass_fields__}
        return cls(**own | ({"blocks": Blocks(*own["blocks"])} if own.get("blocks") else {}))


@dataclass(frozen=True)
class Index:
    """What was found.

    Attributes
    ----------
    table : DataFrame
        One row a usable sample, sorted by sample; see the module's docstring.
    problems : DataFrame
        ``file, reason, skippable``: one row a file that cannot be used.
    duplicates : DataFrame
        ``sample, other, kind, correlation``.
    understood : dict
        In words, how the masks and the pixels are read: ``labels, notes, images``.
    """

    table: pd.DataFrame
    problems: pd.DataFrame
    duplicates: pd.DataFrame
    understood: dict


@dataclass(frozen=True)
class Measure:
    """Of one sample, on its own.

    Attributes
    ----------
    sample : Sample
    height, width : int
        Of the image, in pixels.
    channels : int
        Of the image as it is read; 3 of a grey one.
    stored : str
        What the image file held: "uint16, 2 channels".
    mask_resized : bool
        Whether the mask has another size than the image.
    turned : bool
        Whether the file asks for the image to be turned, but for none of its masks.
    summary : Summary
        Of the mask.
    print : (str, int8 (1024,))
        From `stratagem.data.duplicates.take_print`.
    intensities : float64, (M,) or (M, C), or None
        Of at most 256 places, for the levels of the set; None of images of uint8.
    """

    sample: Sample
    height: int
    width: int
    channels: int
    stored: str
    mask_resized: bool
    turned: bool  # by its EXIF orientation, which its mask has not
    summary: Summary
    print: Print
    intensities: np.ndarray | None


def build_index(
    found: Found,
    wanted: Wanted,
    record: Callable[[pd.DataFrame], None] | None = None,
    threads: int = 1,
) -> Index:
    """Read and check every sample that was found.

    Parameters
    ----------
    found : Found
        From `stratagem.data.sample.find` or `read_sheet`.
    wanted : Wanted
    record : function, optional
        Is given the problems of single files, ``file, reason``, before the masks are recognised, which may
        stop; and again if some of the masks are set aside.
    threads : int
        How many read; the result is the same.

    Returns
    -------
    Index
        A file that cannot be used is a row of `problems`, no error. `table` is empty where no sample is
        usable.

    Raises
    ------
    DataError
        If the masks of the set can be read in two ways or in none, do not fit the encoding of the config, or
        leave a declared class without a pixel.
    """
    cv2.setNumThreads(0)  # OpenCV's own pool would take more cores than were granted
    found = with_blocks(with_pages(found, wanted.pages, wanted.group), wanted.blocks, wanted.group)
    problems = list(found.problems)
    measures = _each(lambda sample: _measure(sample, wanted), found.samples, problems, threads, _area)
    measures = _set_aside(measures, _other_channels(measures), problems)
    if not measures:
        nothing = pd.DataFrame(columns=COLUMNS)
        return Index(nothing, _listed(problems), pairs([], []), {})
    if record is not None:
        record(_listed(problems))
    found_problems = len(problems)
    try:
        measures, recognised = _recognised(measures, wanted, problems)
    finally:
        if record is not None and len(problems) > found_problems:
            record(_listed(problems))
    reading = _reading(measures, wanted)
    rows = [_row(measure, reading, recognised) for measure in measures]
    counted = _each(
        lambda row: _counted(row, len(wanted.classes)), rows, problems, threads, lambda r: r.height * r.width
    )
    table = pd.DataFrame(counted, columns=None if counted else COLUMNS)
    linked = _duplicates(measures, set(table["sample"]), wanted.duplicates)
    if counted:
        table.insert(3, "cluster", table["sample"].map(clusters(table["sample"].tolist(), linked)))
    understood = _understood(
        measures, reading, recognised, [*found.notes, *_notes(measures, wanted.duplicates)]
    )
    return Index(table, _listed(problems), linked, understood)


def require_good(index: Index, classes: list[str], policy: str, problems: str) -> None:
    """Stop where samples are bad and the study does not say to skip them, or where none is left.

    Parameters
    ----------
    index : Index
    classes : list of str
        Names by class index.
    policy : {"stop", "skip"}
        The config key `bad_samples`.
    problems : str
        The path of the table of problems, for the error.

    Raises
    ------
    DataError
        If there are problems and `policy` is "stop": naming how many are bad, the first of them, and the
        table that lists all. Also if no sample is left, or a class has no pixel in those that are.
    """
    bad, kept = index.problems, index.problems[~index.problems["skippable"].astype(bool)]
    stopping = bad if policy == "stop" else kept
    if len(stopping):
        first = (kept if len(kept) else bad).iloc[0]
        helps = not len(kept) and not index.table.empty
        skip = ", or set `bad_samples: skip` to go on without these samples" if helps else ""
        raise DataError(
            expected="every file usable",
            found=f"{len(stopping)} that are not; the first is {first['file']}: "
            f"{first['reason'].rstrip('.')}",
            where=problems,
            remedy=f"Mend the files listed there{skip}.",
        )
    if index.table.empty:
        raise _without_a_sample(bad, problems)
    for number, name in enumerate(classes):
        if index.table[f"pixels_{number}"].sum() == 0:
            raise DataError(
                expected=f"pixels of each declared class, {classes}",
                found=f"none of class {number}, `{name}` ({index.understood['labels']})",
                where="config key `classes`",
                remedy="Remove the class, or set `labels` to how the masks are encoded.",
            )


def _without_a_sample(bad: pd.DataFrame, problems: str) -> DataError:
    """Why no sample is left: all were skipped, or none was there."""
    if len(bad):
        first = bad.iloc[0]
        return DataError(
            expected="at least one image with its mask that can be used",
            found=f"that all {len(bad)} were skipped as bad; the first: {first['file']}: "
            f"{first['reason'].rstrip('.')}",
            where=problems,
            remedy="What is wrong with all is likely one key: mend that, not the files.",
        )
    return DataError(
        expected="at least one image with its mask",
        found="none",
        where="config keys `images` and `masks`, or `sheet`",
        remedy="Check the folders and `mask_name`.",
    )


def present(index: pd.DataFrame) -> np.ndarray:
    """Which classes each sample holds: bool, (N, K).

    Parameters
    ----------
    index : DataFrame
        Rows of the index, with its columns ``pixels_k``.

    Returns
    -------
    bool, (N, K)
        One row per sample, one column per class.
    """
    return index.filter(regex=r"^pixels_\d+$").to_numpy() > 0


def _each(function, items, problems: list[Problem], threads: int, area) -> list:
    """What a function makes of each item, in their order; an item that cannot be used becomes a problem."""

    def tried(item):
        try:
            return function(item)
        except DataError as error:
            return problem_of(error)

    made = list(in_order(tried, items, threads=threads, weight=area, limit=AT_ONCE))
    problems += [one for one in made if isinstance(one, Problem)]
    return [one for one in made if not isinstance(one, Problem)]


def _area(sample: Sample) -> int:
    """Pixels of an image, by what its file declares; 0 where it cannot be read, which is told later."""
    try:
        declared = header_of(sample.image)
    except DataError:
        return 0
    return declared.height * declared.width


def _measure(sample: Sample, wanted: Wanted) -> Measure:
    raw = read_raw(sample.image, sample.place)
    wide = is_wide(raw.dtype)
    channels = channels_of(raw, wanted.channels, sample.image)
    height, width = size = raw.shape[:2]
    orientation = header_of(sample.image).orientation
    turned = orientation != 1 and all(header_of(mask).orientation == 1 for mask in sample.masks)
    masks = [read_mask(path, sample.place) for path in sample.masks]
    found = one_mask(masks, None, _threshold(wanted), sample.masks[0]).values.shape[:2]
    if found != size:
        _require_resizable(sample, found, size, wanted, orientation if turned else 1)
    stored = 1 if raw.ndim == 2 else raw.shape[2]
    apart = wanted.apart or channels != COLOURS
    intensities = sample_intensities(raw, wanted.channels, apart=apart) if wide else None
    return Measure(
        sample,
        height,
        width,
        channels,
        f"{raw.dtype}, {stored} channel{'s' * (stored > 1)}",
        found != size,
        turned,
        _summary(sample, masks, raw, wanted),
        take_print(raw),
        None if intensities is None else _thinned(intensities),
    )


def _threshold(wanted: Wanted) -> int | None:
    """From which value on a pixel of a file of one object is the object."""
    return wanted.labels.get("threshold") if wanted.labels["encoding"] == "instances" else None


def _summary(sample: Sample, masks: list[RawMask], raw, wanted: Wanted) -> Summary:
    mask = one_mask(masks, raw.shape[:2], _threshold(wanted), sample.masks[0])
    # Of more than 8 bits no masks are painted; grey and colour are compared alike.
    shown = raw if raw.ndim == 2 or wanted.channels is None else raw[..., list(wanted.channels)]
    summary = summarise(mask, None if is_wide(raw.dtype) else shown)
    pieces = tuple(piece_of(summarise(one)) for one in masks) if len(masks) > 1 else ()
    copied = raw.dtype != np.uint8 and np.array_equal(raw, mask.values)  # of 8 bits the summary tells
    alpha = any(map(varies_in_alpha, sample.masks))
    return replace(summary, pieces=pieces, alpha=alpha, unchanged=1.0 if copied else summary.unchanged)


def _thinned(intensities: np.ndarray) -> np.ndarray:
    """Some of them, evenly spaced, as a copy, which keeps no more of them alive."""
    count = min(len(intensities), INTENSITIES)
    return intensities[np.linspace(0, len(intensities) - 1, count).astype(int)]


def _require_resizable(sample: Sample, found, expected, wanted: Wanted, orientation: int) -> None:
    """Refuse a mask of another size, unless it may be resized and is of its image's shape."""
    stretch = (found[0] / found[1]) / (expected[0] / expected[1])
    alike = 1 / STRETCH <= stretch <= STRETCH
    if wanted.mask_size == "resize" and alike:
        return
    remedy = (
        "Replace it, or set `mask_size: resize`." if alike else "Replace it: it is not of the same shape."
    )
    if found == expected[::-1]:
        remedy = f"It lies on its side: turn it by 90 degrees{TURNS.get(orientation, '')}."
    if orientation != 1:
        remedy += " The image is turned by its EXIF orientation, and the mask has none."
    raise DataError(
        expected=f"a mask of its image's {'size' if alike else 'shape'}, {expected[0]}x{expected[1]} "
        "(height x width)",
        found=f"{found[0]}x{found[1]}",
        where=str(sample.masks[0]),
        remedy=remedy,
    )


def _recognised(measures: list[Measure], wanted: Wanted, problems: list) -> tuple[list[Measure], Recognised]:
    """The encoding of the set, and the samples that it is of.

    Where few masks stand against it, it is that of the others, and those few are problems.
    """
    if wanted.labels["encoding"] != "auto":
        return measures, _recognise(measures, wanted, measures)
    kept = _set_aside(measures, _odd_files(measures), problems)
    try:
        return kept, _recognise(kept, wanted, measures)
    except DataError as error:
        strays = _strays(kept)
        put_off: list[Problem] = []
        usual = _set_aside(kept, strays, put_off)
        if not strays:
            raise
        try:
            recognised = _recognise(usual, wanted, measures)
        except DataError as later:  # of the others, if it is in their encoding too
            raise (later if later.where == error.where else error) from None
        problems += put_off
        return usual, recognised


def _recognise(kept: list[Measure], wanted: Wanted, measures: list[Measure]) -> Recognised:
    besides = len(measures) - len(kept)
    return recognise([measure.summary for measure in kept], wanted.classes, wanted.labels, besides)


def _odd_files(measures: list[Measure]) -> dict[str, tuple[Path, str]]:
    """Samples that alone have several masks, or alone such as are no objects: file and reason of each."""
    several = [measure for measure in measures if measure.summary.pieces]
    if 2 * len(several) < len(measures) and len(several) <= max(1, SELDOM * len(measures)):
        odd = {
            one.sample: (one.masks[0], SPARE.format(len(one.masks))) for one in (m.sample for m in several)
        }
    else:
        odd = {
            measure.sample.sample: (path, NO_OBJECT.format(piece.held))
            for measure in several
            for path, piece in zip(measure.sample.masks, measure.summary.pieces, strict=True)
            if not piece.plain
        }
    few = len(odd) <= max(1, SELDOM * len(measures)) and len(measures) - len(odd) > 1
    return odd if few else {}


def _other_channels(measures: list[Measure]) -> dict[str, tuple[Path, str]]:
    """Samples whose images have other channels than most, as `_odd_files`."""
    counted = Counter(measure.channels for measure in measures)
    if len(counted) < 2:
        return {}
    common = counted.most_common(1)[0][0]
    return {
        measure.sample.sample: (
            measure.sample.image,
            OTHER_CHANNELS.format(common, counted[common], measure.stored),
        )
        for measure in measures
        if measure.channels != common
    }


def _strays(measures: list[Measure]) -> dict[str, tuple[Path, str]]:
    """Samples whose masks hold values that hardly another holds, as `_odd_files`; none if not few."""
    held = Counter(value for measure in measures for value in _values(measure.summary))
    few = max(1, STRAY * len(measures))
    rare = {value for value, count in held.items() if count <= few}
    odd = {}
    for measure in measures:
        found = {value: share for value, share in _values(measure.summary).items() if value in rare}
        if found:
            named = ", ".join(f"{value} ({percent(share)})" for value, share in list(found.items())[:NAMED])
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            odd[measure.sample.sample] = measure.sample.masks[0], STRANGE.format(named + more)
    return odd if len(measures) - len(odd) >= max(ENOUGH, len(measures) - few) else {}


def _values(summary: Summary) -> dict[str, float]:
    """The values or colours of a mask, by name, with their share; a set bit is of its own kind."""
    if summary.kind == "colour":
        counts: Sequence[tuple[str, int]] = summary.colours
    else:
        counts = [
            (f"{value}{' of 1 bit' * (summary.kind == 'bilevel' and value)}", n)
            for value, n in summary.values
        ]
    return {name: count / summary.pixels for name, count in counts}


def _set_aside(measures: list[Measure], odd: dict[str, tuple[Path, str]], problems: list) -> list[Measure]:
    """The samples that are not odd; of the others file and reason become problems."""
    problems += [Problem(str(path), reason) for path, reason in odd.values()]
    return [measure for measure in measures if measure.sample.sample not in odd]


def _reading(measures: list[Measure], wanted: Wanted) -> Reading:
    """How the pixels of the set become uint8: the same for all its images."""
    sampled = [measure.intensities for measure in measures if measure.intensities is not None]
    if wanted.levels or not sampled:
        return Reading(wanted.channels, wanted.levels)
    if 2 * len(sampled) < len(measures):  # a few among those of 8 bits are in their units, only finer
        return Reading(wanted.channels, (0.0, 1.0 if max(map(np.max, sampled)) <= 1 else 65535.0))
    return Reading(wanted.channels, levels_of(sampled))


def _row(measure: Measure, reading: Reading, recognised: Recognised) -> SimpleNamespace:
    sample = measure.sample
    return SimpleNamespace(
        sample=sample.sample,
        group=sample.group,
        part=sample.part,
        image=str(sample.image),
        masks=[str(path) for path in sample.masks],
        height=measure.height,
        width=measure.width,
        channels=measure.channels,
        pixel_size=sample.pixel_size,
        stored=measure.stored,
        mask_resized=measure.mask_resized,
        page=-1 if sample.page is None else sample.page,
        window=list(sample.window or ()),
        reading=json.dumps(asdict(reading)),
        encoding=json.dumps(recognised.encoding.as_record()),
    )


def _counted(row: SimpleNamespace, classes: int) -> dict:
    """A row with the pixels and objects of each class, from the mask as training will read it."""
    mask = read_classes(row)
    pixels = count_values(mask)[:classes]
    objects = [count_objects(mask, number) if pixels[number] else 0 for number in range(classes)]
    counts = {f"pixels_{number}": int(count) for number, count in enumerate(pixels)}
    return vars(row) | counts | {f"objects_{number}": count for number, count in enumerate(objects)}


def _duplicates(measures: list[Measure], usable: set[str], policy: str) -> pd.DataFrame:
    kept = [measure for measure in measures if measure.sample.sample in usable and policy != "off"]
    return pairs(
        [measure.sample.sample for measure in kept],
        [measure.print for measure in kept],
        near=policy == "near",
    )


def _understood(measures: list[Measure], reading: Reading, recognised: Recognised, notes: list[str]) -> dict:
    stored = Counter(measure.stored for measure in measures)
    images = "; ".join(f"{kind}: {count} image{'s' * (count > 1)}" for kind, count in stored.most_common())
    if reading.levels and any(measure.intensities is not None for measure in measures):
        pairs = np.array(reading.levels).reshape(-1, 2)
        listed = ", ".join(f"{low:g} .. {high:g}" for low, high in pairs)
        images += f"; more than 8 bits scaled from {listed} to 0 .. 255"
        images += ", channel by channel" * (len(pairs) > 1)
    return {"labels": recognised.understood, "notes": recognised.notes + notes, "images": images}


def _notes(measures: list[Measure], policy: str) -> list[str]:
    """What a reader should know of how images and masks fit, a sentence each."""
    notes = []
    shared = alike([measure.print for measure in measures]) if policy == "near" else 0
    if shared:
        notes.append(
            f"{shared} images have much in common, such as a round aperture or a frame: copies were looked "
            "for in what else they show"
        )
    wide = [measure for measure in measures if measure.intensities is not None]
    if wide and 2 * len(wide) < len(measures):
        notes.append(
            f"{len(wide)} of {len(measures)} images have more than 8 bits, such as "
            f"{wide[0].sample.image.name}: their full range became 0 .. 255; `levels` says another"
        )
    resized = sum(measure.mask_resized for measure in measures)
    if resized:
        notes.append(f"{resized} masks brought to their image's size")
    turned = sum(measure.turned for measure in measures)
    if turned:
        notes.append(
            f"The EXIF orientation turns {turned} of {len(measures)} images, but not their masks, which have "
            "none: look at the examples whether they fit"
        )
    return notes


def _listed(problems: list[Problem]) -> pd.DataFrame:
    table = pd.DataFrame(problems, columns=list(Problem._fields)).astype({"skippable": bool})
    return table.sort_values("file", ignore_index=True)
