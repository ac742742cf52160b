"""The index: every sample read, checked and measured, its masks' encoding recognised on the whole set.

The index is a table, one row a sample, which is all that later stages need to read it:

    sample, group, part, cluster    identity; what must not straddle a split; the user's own part or None;
                                    the first sample of those that are duplicates of each other
    image, masks                    paths; one mask, or one an object
    height, width, pixel_size       pixels; the physical side of a pixel or NaN
    stored                          what the image file held: "uint16, 2 channels"
    mask_resized                    whether the mask is brought to the image's size
    reading, encoding               how pixels and masks are read (JSON; see `stratagem.image.Reading` and
                                    `stratagem.labels.Encoding`)
    pixels_k, objects_k             the mask's pixels and connected objects of class k

Memory is bounded: of each sample only measures are kept, no pixels; of its mask at most 4096 values.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd

from stratagem.duplicates import Print, clusters, pairs, take_print
from stratagem.errors import DataError
from stratagem.image import Reading, is_wide, levels_of, read_raw, sample_intensities, to_image
from stratagem.recognition import Recognised, recognise
from stratagem.sample import Found, Sample, read_classes, read_mask_of
from stratagem.summary import Summary, summarise

__all__ = ["Index", "Wanted", "build_index", "present", "require_good"]

STRAY = 0.05  # share of a set's masks that may hold values of no class without its encoding being in doubt
ENOUGH = 3  # masks that agree, at least
INTENSITIES = 256  # kept of each image of more than 8 bits
COLUMNS = ["sample", "group", "part", "cluster", "image", "masks", "height", "width", "pixel_size"]
COLUMNS += ["stored", "mask_resized", "reading", "encoding"]


@dataclass(frozen=True)
class Wanted:
    """What the study says of its data.

    Attributes
    ----------
    classes : list of str
    labels : dict
        The config key `labels`.
    channels : tuple of int, or None
    levels : (float, float) or None
        None: measured on the set.
    mask_size : {"same", "resize"}
    """

    classes: list[str]
    labels: dict
    channels: tuple[int, ...] | None = None
    levels: tuple[float, float] | None = None
    mask_size: str = "same"

    @classmethod
    def of(cls, data: dict) -> "Wanted":
        """From the config's keys of a data set."""
        return cls(**{key: value for key, value in data.items() if key in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Index:
    """What was found.

    Attributes
    ----------
    table : DataFrame
        One row a usable sample, sorted by sample; see the module's docstring.
    problems : DataFrame
        ``file, reason``: one row a file that cannot be used.
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
    """Of one sample, on its own."""

    sample: Sample
    height: int
    width: int
    stored: str
    mask_resized: bool
    summary: Summary
    print: Print
    intensities: np.ndarray | None


def build_index(found: Found, wanted: Wanted, record: Callable[[pd.DataFrame], None] | None = None) -> Index:
    """Read and check every sample that was found.

    Parameters
    ----------
    found : Found
    wanted : Wanted
    record : function, optional
        Is given the problems of single files before the masks are recognised, which may stop.

    Raises
    ------
    DataError
        If the masks of the set can be read in two ways, or leave a declared class without a pixel.
    """
    problems = list(found.problems)
    measures = list(_each(lambda sample: _measure(sample, wanted), found.samples, problems))
    if not measures:
        return Index(pd.DataFrame(columns=COLUMNS), _listed(problems), pairs([], []), {})
    if record is not None:
        record(_listed(problems))
    recognised = _recognised(measures, wanted)
    reading = _reading(measures, wanted)
    rows = [_row(measure, reading, recognised) for measure in measures]
    counted = list(_each(lambda row: _counted(row, len(wanted.classes)), rows, problems))
    table = pd.DataFrame(counted, columns=None if counted else COLUMNS)
    duplicates = _duplicates(measures, set(table["sample"])) if counted else pairs([], [])
    if counted:
        table.insert(3, "cluster", table["sample"].map(clusters(table["sample"].tolist(), duplicates)))
    return Index(table, _listed(problems), duplicates, _understood(measures, reading, recognised))


def require_good(index: Index, classes: list[str], policy: str, problems: str) -> None:
    """Stop where samples are bad and the study does not say to skip them, or where none is left.

    Raises
    ------
    DataError
        Naming how many are bad, the first of them, and the table that lists all.
    """
    bad = len(index.problems)
    if bad and policy == "stop":
        first = index.problems.iloc[0]
        raise DataError(
            expected="every file usable",
            found=f"{bad} that are not; the first is {first['file']}: {first['reason']}",
            where=problems,
            remedy="Mend the files listed there, or set `bad_samples: skip` to go on without them.",
        )
    if index.table.empty:
        raise DataError(
            expected="at least one image with its mask",
            found="none",
            where="config keys `images` and `masks`, or `sheet`",
            remedy="Check the folders and `mask_name`.",
        )
    for number, name in enumerate(classes):
        if index.table[f"pixels_{number}"].sum() == 0:
            raise DataError(
                expected=f"pixels of each declared class, {classes}",
                found=f"none of class {number}, `{name}` ({index.understood['labels']})",
                where="config key `classes`",
                remedy="Remove the class, or set `labels` to how the masks are encoded.",
            )


def present(index: pd.DataFrame) -> np.ndarray:
    """Which classes each sample holds: bool, (N, K)."""
    return index.filter(regex=r"^pixels_\d+$").to_numpy() > 0


def _each(function, items, problems: list):
    """What a function makes of each item; an item that cannot be used becomes a problem."""
    for item in items:
        try:
            yield function(item)
        except DataError as error:
            problems.append((error.where, f"expected {error.expected}, but found {error.found}"))


def _measure(sample: Sample, wanted: Wanted) -> Measure:
    raw = read_raw(sample.image)
    wide = is_wide(raw.dtype)
    # Levels are not known yet; they change no size and no overlay, which is of 8 bits.
    image = to_image(raw, Reading(wanted.channels, (0, 1)), sample.image)
    height, width = raw.shape[:2]
    place = SimpleNamespace(masks=sample.masks, height=height, width=width, mask_resized=False)
    mask = read_mask_of(place)
    resized = mask.values.shape[:2] != (height, width)
    if resized:
        _require_resizable(sample, mask.values.shape[:2], (height, width), wanted)
        place.mask_resized = True
        mask = read_mask_of(place)
    channels = 1 if raw.ndim == 2 else raw.shape[2]
    intensities = sample_intensities(raw, wanted.channels) if wide else None
    return Measure(
        sample,
        height,
        width,
        f"{raw.dtype}, {channels} channel{'s' * (channels > 1)}",
        resized,
        summarise(mask, image),
        take_print(raw),
        None if intensities is None else _thinned(intensities),
    )


def _thinned(intensities: np.ndarray) -> np.ndarray:
    """Some of them, evenly spaced, as a copy, which keeps no more of them alive."""
    count = min(len(intensities), INTENSITIES)
    return intensities[np.linspace(0, len(intensities) - 1, count).astype(int)]


def _require_resizable(sample: Sample, found, expected, wanted: Wanted) -> None:
    if wanted.mask_size == "same":
        raise DataError(
            expected=f"a mask of its image's size, {expected[0]}x{expected[1]} (height x width)",
            found=f"{found[0]}x{found[1]}",
            where=str(sample.masks[0]),
            remedy="Replace it, or set `mask_size: resize`.",
        )


def _recognised(measures: list[Measure], wanted: Wanted) -> Recognised:
    """The encoding of the set; where few masks stand against it, that of the others: those few are bad."""
    labels = _labels(measures, wanted.labels)
    summaries = [measure.summary for measure in measures]
    try:
        return recognise(summaries, wanted.classes, labels)
    except DataError as error:
        usual = _without_strays(summaries)
        if len(usual) == len(summaries):
            raise
        try:
            return recognise(usual, wanted.classes, labels)
        except DataError:
            raise error from None


def _without_strays(summaries: list[Summary]) -> list[Summary]:
    """The masks without values that hardly any holds; all of them where those are more than a few."""
    held = Counter(value for summary in summaries for value, _ in summary.values)
    few = max(1, STRAY * len(summaries))
    rare = {value for value, count in held.items() if count <= few}
    usual = [summary for summary in summaries if not any(value in rare for value, _ in summary.values)]
    return usual if len(usual) >= max(ENOUGH, len(summaries) - few) else summaries


def _labels(measures: list[Measure], labels: dict) -> dict:
    """How the masks are to be read: with several files an image, their numbers are of objects."""
    united = any(len(measure.sample.masks) > 1 for measure in measures)
    return {"encoding": "instances"} if united and labels["encoding"] == "auto" else labels


def _reading(measures: list[Measure], wanted: Wanted) -> Reading:
    """How the pixels of the set become uint8: the same for all its images."""
    sampled = [measure.intensities for measure in measures if measure.intensities is not None]
    levels = wanted.levels or (levels_of(sampled) if sampled else None)
    return Reading(wanted.channels, levels)


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
        pixel_size=sample.pixel_size,
        stored=measure.stored,
        mask_resized=measure.mask_resized,
        reading=json.dumps(asdict(reading)),
        encoding=json.dumps(recognised.encoding.as_record()),
    )


def _counted(row: SimpleNamespace, classes: int) -> dict:
    """A row with the pixels and objects of each class, from the mask as training will read it."""
    mask = read_classes(row)
    pixels = np.bincount(mask.ravel(), minlength=256)[:classes]
    objects = [cv2.connectedComponents((mask == number).astype(np.uint8))[0] - 1 for number in range(classes)]
    counts = {f"pixels_{number}": int(count) for number, count in enumerate(pixels)}
    return vars(row) | counts | {f"objects_{number}": count for number, count in enumerate(objects)}


def _duplicates(measures: list[Measure], usable: set[str]) -> pd.DataFrame:
    kept = [measure for measure in measures if measure.sample.sample in usable]
    return pairs([measure.sample.sample for measure in kept], [measure.print for measure in kept])


def _understood(measures: list[Measure], reading: Reading, recognised: Recognised) -> dict:
    stored = Counter(measure.stored for measure in measures)
    images = "; ".join(f"{kind}: {count} image{'s' * (count > 1)}" for kind, count in stored.most_common())
    if reading.levels and any(measure.intensities is not None for measure in measures):
        images += f"; more than 8 bits scaled from {reading.levels[0]:g} .. {reading.levels[1]:g} to 0 .. 255"
    resized = sum(measure.mask_resized for measure in measures)
    notes = recognised.notes + ([f"{resized} masks brought to their image's size"] if resized else [])
    return {"labels": recognised.understood, "notes": notes, "images": images}


def _listed(problems: list[tuple[str, str]]) -> pd.DataFrame:
    table = pd.DataFrame([(str(file), reason) for file, reason in problems], columns=["file", "reason"])
    return table.sort_values("file", ignore_index=True)
