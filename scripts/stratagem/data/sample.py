"""The samples of a data set: an image with its mask or masks, found in folders or listed in a sheet.

A sample's identity is its image's POSIX path under the image folder (or the sheet's own folder), without
extension, in Unicode NFC. Every random choice hashes that identity, so an added sample moves hardly any
other. What is found is only names; `read_sample` and `read_classes` read the pixels of one row of the
index.

A sheet is a CSV file with a row an image: ``image, mask``, and as far as known ``group, part`` (train,
val, test) and ``pixel_size``. Several rows of one image are several masks of it, one an object.
"""

import difflib
import functools
import hashlib
import io
import json
import math
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from stratagem.core.errors import DataError
from stratagem.data.image import EXTENSIONS, Reading, read_image
from stratagem.data.labels import Encoding, RawMask, read_mask, to_classes, unite

__all__ = [
    "Files",
    "Found",
    "Sample",
    "find",
    "fingerprint",
    "group_of",
    "image_files",
    "listed_images",
    "one_mask",
    "problem_of",
    "read_classes",
    "read_sample",
    "read_sheet",
]

PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
PARTS |= {"test": "test", "testing": "test"}
USUAL: tuple[str, ...] = ("{stem}_mask", "{stem}_masks", "{stem}-mask", "{stem}_label", "{stem}_labels")
USUAL += ("{stem}_seg", "{stem}_segmentation", "{stem}_gt", "{stem}_*", "{stem}/*", "mask_{stem}")
COLUMNS = ("image", "mask", "group", "part", "pixel_size")  # of a sheet
MEANT = {"split": "part", "set": "part", "subset": "part", "patient": "group", "label": "mask"}
NAMED = 3  # images that a reason names
Files = Callable[[Path], Iterable[tuple[str, Path]]]  # from a folder to its image files, as `image_files`


@dataclass(frozen=True)
class Sample:
    """One image and what belongs to it.

    Attributes
    ----------
    sample : str
        Its identity.
    image : path
    masks : tuple of path
        One; several where each holds one object.
    group : str
        Samples of one group never straddle two parts of a split.
    part : {"train", "val", "test"} or None
        Where the user says so.
    pixel_size : float
        Of the side of a pixel, in a unit of the user's; NaN where it is not known.
    """

    sample: str
    image: Path
    masks: tuple[Path, ...]
    group: str
    part: str | None = None
    pixel_size: float = math.nan


@dataclass
class Found:
    """Samples, sorted by identity, and ``(file, reason)`` of every file that is none."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


def find(images: str, masks: str, pattern: str, group: str | None, part: str | None = None) -> Found:
    """The samples of a folder of images and a folder of masks, which may be one and the same.

    Parameters
    ----------
    images, masks : path
        Searched with their subfolders; a mask has its image's subfolder.
    pattern : str
        A mask's name: ``{stem}`` stands for the image's name without extension, ``*`` behind it for
        anything within one name; with an extension or without.
    group, part : str or None
        Regular expressions over the sample's name: what they match (their first bracket, if any) is the
        group, the part.

    Returns
    -------
    Found
        Files that make no sample are among its problems.

    Raises
    ------
    DataError
        If one of the folders does not exist, both are one and `pattern` is ``{stem}`` alone, or `part` is
        given and matches no sample.
    """
    found, together = Found(), _are_one_folder(images, masks, pattern)
    pictures = _listed(Path(images), "images", Path(masks), found)
    mask_files = pictures if together else _listed(Path(masks), "masks", Path(images), found)
    pairs = _paired(pictures, mask_files, pattern)
    taken = {path for paths in pairs.values() for path in paths}
    by_name = defaultdict(list)
    for name, path in pictures:
        if path not in taken:
            by_name[name].append(path)
    complete = by_name.keys() <= pairs.keys()
    hint = "" if complete else _usual(pictures, mask_files, pattern)
    missing = f"expected a mask named `{pattern}` in {masks}{hint}"
    for name, paths in sorted(by_name.items()):
        own = pairs.get(name, [])
        faults = _faults(name, paths, own, several="*" in pattern, missing=missing)
        found.problems += faults
        if not faults:
            _add(found, Sample(name, paths[0], tuple(own), group_of(name, group)), part)
    for name in sorted(pairs.keys() - by_name.keys()):
        reason = f"its image, `{name}`, is itself taken for the mask of another"
        found.problems += [(str(path), reason) for path in pairs[name]]
    if not together:  # in a folder of both, what is no mask is an image
        lonely = [path for _, path in mask_files if path not in taken]
        found.problems += [(str(path), f"no image in {images} for this mask") for path in lonely]
    _require_a_part(found, part)
    return found


def read_sheet(path: str, group: str | None, part: str | None = None) -> Found:
    """The samples that a sheet lists; see the module's docstring.

    Parameters
    ----------
    path : path
        A CSV file; the paths in it are relative to its folder.
    group, part : str or None
        As in `find`, for images whose cell in the sheet's own column is empty.

    Returns
    -------
    Found
        Images whose files are missing, or whose rows contradict each other, are among its problems.

    Raises
    ------
    DataError
        If the sheet cannot be read, lacks a column or has an unknown one, or `part` is given and none of the
        samples has a part.
    """
    table = _table(Path(path))
    found = Found()
    for image, rows in table.groupby("image", sort=True):
        file = Path(path).parent / image
        try:
            _require_file(file, file, "image")
            name = _identity(file, Path(path).parent)
            said = {key: _one_value(rows, key, file) for key in ("group", "part", "pixel_size")}
            sample = Sample(
                name,
                file,
                tuple(_require_file(Path(path).parent / mask, file, "mask") for mask in rows["mask"]),
                said["group"] or group_of(name, group),
                pixel_size=_positive(said["pixel_size"], file),
            )
        except DataError as error:
            found.problems.append(problem_of(error))
            continue
        _add(found, sample, part, said["part"])
    found = _without_shared_masks(_without_namesakes(found))
    _require_a_part(found, part)
    return found


def group_of(sample: str, pattern: str | None) -> str:
    """The part of a sample's name that the pattern matches; the whole name where it does not.

    Parameters
    ----------
    sample : str
        Its identity.
    pattern : str or None
        A regular expression, searched anywhere in the name; its first bracket, if any, is what counts.

    Returns
    -------
    str
    """
    return _matched(sample, pattern) or sample


def problem_of(error: DataError) -> tuple[str, str]:
    """The file of an error, and the reason with its cure, as the table of problems has them.

    Parameters
    ----------
    error : DataError

    Returns
    -------
    file, reason : str
    """
    return error.where, f"expected {error.expected}, but found {error.found}. {error.remedy}"


def fingerprint(*places: str, files: Files | None = None) -> str:
    """A digest of the path, size and time of every image file below some folders or listed in a sheet.

    Parameters
    ----------
    *places : path
        Folders, and sheets (any place that is no folder). Of a sheet, it and every image and mask it lists
        count.
    files : function, optional
        From a folder to what `image_files` gives, for a caller that has walked it already.

    Returns
    -------
    str
        12 hexadecimal digits.

    Raises
    ------
    DataError
        If a sheet cannot be read, lacks a column or has an unknown one.
    """
    digest, files = hashlib.sha256(), files or image_files
    for place in map(Path, places):
        for name, path in files(place) if place.is_dir() else _sheet_files(place):
            if path.is_file():  # not a broken link
                status = path.stat()
                digest.update(f"{name}{path.suffix}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def listed_images(sheet: str) -> set[Path]:
    """The images that a sheet lists, as absolute paths without links.

    Parameters
    ----------
    sheet : path

    Returns
    -------
    set of path
        Not all need exist.

    Raises
    ------
    DataError
        If the sheet cannot be read, lacks a column or has an unknown one.
    """
    path = Path(sheet)
    return {(path.parent / name).resolve() for name in _table(path)["image"]}


def image_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every image file below a folder, with its identity; nothing hidden.

    Parameters
    ----------
    folder : path

    Yields
    ------
    sample : str
        The identity.
    path : path
        A file with one of `stratagem.data.image.EXTENSIONS`; in the order of the paths.
    """
    return ((_identity(path, folder), path) for path in _visible(folder) if _is_image(path))


def read_sample(row) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of one row of the index: image, uint8 (H, W, 3), and mask, uint8 (H, W).

    Parameters
    ----------
    row : named tuple or namespace
        With the index's columns as attributes.

    Returns
    -------
    image : uint8, (H, W, 3)
        Red, green, blue.
    mask : uint8, (H, W)
        Class indices, 255 = ignore.

    Raises
    ------
    DataError
        If a file cannot be read, or changed its size since it was indexed, or the mask holds values or
        colours that have no class.
    """
    image = read_image(row.image, _reading(row.reading))
    encoding = _encoding(row.encoding)
    mask = to_classes(_mask_as_encoded(row, encoding), encoding, image, where=str(row.masks[0]))
    return _of_size(image, row, row.image), _of_size(mask, row, row.masks[0])


def read_classes(row) -> np.ndarray:
    """The mask alone, uint8 (H, W); the image is read only where the mask is painted over it.

    Parameters
    ----------
    row : named tuple or namespace
        With the index's columns as attributes.

    Returns
    -------
    uint8, (H, W)
        Class indices, 255 = ignore.

    Raises
    ------
    DataError
        As `read_sample`.
    """
    encoding = _encoding(row.encoding)
    if encoding.kind == "overlay":
        return read_sample(row)[1]
    mask = to_classes(_mask_as_encoded(row, encoding), encoding, where=str(row.masks[0]))
    return _of_size(mask, row, row.masks[0])


def one_mask(masks: list[RawMask], size: tuple[int, int] | None, threshold: int | None, where) -> RawMask:
    """The mask of an image: those of one object each united, brought to a size if asked for.

    Parameters
    ----------
    masks : list of RawMask
        Of one image, at least one.
    size : (int, int) or None
        Height and width, in pixels, to resize to by nearest neighbour; None keeps the masks' own.
    threshold : int, or None
        Of files of one object each; see `stratagem.data.labels.unite`.
    where : path
        What an error names.

    Returns
    -------
    RawMask
        A single mask without a threshold as it is; else the numbers of the objects.

    Raises
    ------
    DataError
        As `stratagem.data.labels.unite`.
    """
    single = len(masks) == 1 and threshold is None
    mask = masks[0] if single else _united(masks, threshold, str(where))
    if size is None or mask.values.shape[:2] == size:
        return mask
    values = cv2.resize(mask.values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return RawMask(values, mask.palette, mask.bilevel)


def _mask_as_encoded(row, encoding: Encoding) -> RawMask:
    masks = [read_mask(path) for path in row.masks]
    threshold = encoding.threshold if encoding.kind == "instances" else None
    size = (row.height, row.width) if row.mask_resized else None
    return one_mask(masks, size, threshold, row.masks[0])


def _of_size(array: np.ndarray, row, path) -> np.ndarray:
    """The array, which must have the size that was indexed."""
    if array.shape[:2] != (row.height, row.width):
        raise DataError(
            expected=f"the size that was indexed, {row.height}x{row.width}",
            found=f"{array.shape[0]}x{array.shape[1]}",
            where=str(path),
            remedy="Start again: a data set that changed is indexed anew.",
        )
    return array


def _united(masks: list[RawMask], threshold: int | None, where: str) -> RawMask:
    try:
        return unite(masks, threshold)
    except DataError as error:
        raise DataError(
            expected=error.expected, found=error.found, where=where, remedy=error.remedy
        ) from error


@functools.lru_cache(maxsize=8)
def _encoding(record: str) -> Encoding:
    return Encoding.from_record(json.loads(record))


@functools.lru_cache(maxsize=8)
def _reading(record: str) -> Reading:
    return Reading(**{key: value and tuple(value) for key, value in json.loads(record).items()})


def _are_one_folder(images: str, masks: str, pattern: str) -> bool:
    """Whether images and masks are in one folder, however it is spelled; then their names must differ."""
    together = Path(images).resolve() == Path(masks).resolve()
    if together and pattern == "{stem}":
        raise DataError(
            expected="a name of the masks that is not their image's, in the one folder of both",
            found="`{stem}`",
            where=f"config key `mask_name`, {images}",
            remedy='Say how a mask\'s name differs, such as `mask_name: "{stem}_mask"`, or name two folders.',
        )
    return together


def _listed(folder: Path, key: str, other: Path, found: Found) -> list[tuple[str, Path]]:
    """The image files of a folder, without the other folder within it; links out of it are problems."""
    if not folder.is_dir():
        raise DataError(
            expected="a folder",
            found="none of that name",
            where=f"config key `{key}`, {folder}",
            remedy="Correct the path.",
        )
    inside, root = [], folder.resolve()
    apart = Path(os.path.abspath(other))
    holds_other = apart.is_relative_to(os.path.abspath(folder)) and apart.resolve() != root
    for path in _visible(folder):
        if holds_other and Path(os.path.abspath(path)).is_relative_to(apart):
            continue
        leaves = path.is_symlink() and not path.resolve().is_relative_to(root)
        if leaves and (path.is_dir() or _is_image(path)):
            reason = "a link that leaves the folder; name the folder it leads to, or list it in a `sheet`"
            found.problems.append((str(path), reason))
        elif _is_image(path):
            inside.append((_identity(path, folder), path))
    return inside


def _visible(folder: Path) -> list[Path]:
    """All that is below a folder, sorted; nothing hidden, nor what is in a linked folder."""
    paths = sorted(folder.rglob("*"))
    return [path for path in paths if not any(part[0] == "." for part in path.relative_to(folder).parts)]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.is_dir()


def _faults(name: str, images: list[Path], masks: list[Path], *, several: bool, missing: str) -> list:
    """``(file, reason)`` of each file of a name that is no one image with one mask, or with several."""
    if len(images) > 1:
        return [(str(path), f"{len(images)} files are named `{name}`") for path in images]
    if not masks:
        return [(str(images[0]), missing)]
    if len(masks) > 1 and not several:
        return [(str(path), f"{len(masks)} masks are those of `{name}`") for path in masks]
    return []


def _paired(images: list[tuple[str, Path]], masks: list[tuple[str, Path]], pattern: str) -> dict:
    """The masks of each image's name: those whose name is the pattern with the image's name in it."""
    before, after = pattern.split("{stem}")
    with_extension = after.lower().endswith(tuple(EXTENSIONS))
    ending = re.compile(re.escape(after).replace(r"\*", "[^/]*"))
    beginnings: dict[str, list[tuple[str, Path]]] = {}
    for name, path in images:
        folder, _, stem = name.rpartition("/")
        beginnings.setdefault(f"{folder}/{before}{stem}" if folder else f"{before}{stem}", []).append(
            (name, path)
        )
    pairs = defaultdict(list)
    for name, path in masks:
        name = name + path.suffix if with_extension else name
        for cut in range(len(name), 0, -1):
            found = [image for image, file in beginnings.get(name[:cut], ()) if file != path]
            if found and ending.fullmatch(name[cut:]):
                pairs[found[0]].append(path)
                break
    return pairs


def _usual(images, masks, pattern: str) -> str:
    """The usual pattern that pairs most images, as a hint; nothing where none pairs any."""
    counts = {usual: len(_paired(images, masks, usual)) for usual in USUAL if usual != pattern}
    best = max(counts, key=counts.__getitem__)
    if counts[best] <= max(0, len(images) / 2 - 1):
        return _hint_of_layout([name for name, _ in images], [name for name, _ in masks])
    return f'; `mask_name: "{best}"` would give {counts[best]} images one'


def _hint_of_layout(images: list[str], masks: list[str]) -> str:
    """Why no pattern gives most images a mask, where their names tell it."""
    if any("/masks/" in f"/{name}" for name in images):
        return "; where each sample has folders of its own, list the files in a `sheet`"
    if 2 * len({*images} & {*masks}) > len(images):
        return ""
    for change, why in (
        (str.casefold, "names that differ in capital letters alone"),
        (lambda name: name.rpartition("/")[2], "the names, but in other subfolders"),
    ):
        if 2 * len({*map(change, images)} & {*map(change, masks)}) > len(images):
            return f"; most masks have {why}: rename or move them, or list the files in a `sheet`"
    return "; where no pattern fits, list the files in a `sheet`"


def _add(found: Found, sample: Sample, pattern: str | None, said: str = "") -> None:
    """Take a sample, with the part that is said of it or that its name says."""
    word = said or _matched(sample.sample, pattern) or ""
    if word and word.lower() not in PARTS:
        reason = f"expected one of {', '.join(PARTS)} as its part, but found `{word}`"
        found.problems.append((str(sample.image), reason))
        return
    found.samples.append(Sample(**vars(sample) | {"part": PARTS.get(word.lower())}))


def _require_a_part(found: Found, pattern: str | None) -> None:
    """Refuse a pattern of the parts that no name fits: the set would be divided without a word."""
    if pattern is None or not found.samples or any(sample.part for sample in found.samples):
        return
    loose = any(re.search(pattern, sample.sample, re.IGNORECASE) for sample in found.samples)
    capitals = f" Capital letters count: `split: {{part: '(?i){pattern}'}}` would match." if loose else ""
    raise DataError(
        expected="a pattern that gives samples their part",
        found=f"no match of `{pattern}` in {len(found.samples)} names, such as `{found.samples[0].sample}`",
        where="config key `split.part`",
        remedy=f"Mend the pattern, or leave it out to have the samples divided.{capitals}",
    )


def _matched(sample: str, pattern: str | None) -> str | None:
    match = re.search(pattern, sample) if pattern else None
    return match and (match.group(1) if match.re.groups else match.group(0))


def _sheet_files(path: Path) -> list[tuple[str, Path]]:
    """A sheet and the files that it lists, with their names."""
    table = _table(path)
    listed = sorted({*table["image"], *table["mask"]})
    return [(path.name, path), *((name, path.parent / name) for name in listed)]


def _identity(path: Path, folder: Path) -> str:
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path.relative_to(path.anchor)
    plain = Path(os.path.normpath(inside.with_suffix("")))
    # An identity becomes the path of a prediction, which must not leave its folder.
    return unicodedata.normalize("NFC", "/".join(part for part in plain.parts if part != ".."))


def _without_namesakes(found: Found) -> Found:
    """The samples of a sheet, sorted, without those that share an identity."""
    counts = Counter(sample.sample for sample in found.samples)
    kept = Found(problems=found.problems)
    for sample in sorted(found.samples, key=lambda sample: sample.sample):
        count = counts[sample.sample]
        if count > 1:
            kept.problems.append((str(sample.image), f"{count} files are named `{sample.sample}`"))
        else:
            kept.samples.append(sample)
    return kept


def _without_shared_masks(found: Found) -> Found:
    """The samples of a sheet without those whose mask is another's too."""
    users = defaultdict(list)
    for sample in found.samples:
        for path in sample.masks:
            users[path].append(sample.sample)
    shared = {path: names for path, names in users.items() if len(names) > 1}
    for path, names in shared.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        reason = (
            f"listed as the mask of {len(names)} images: {', '.join(names[:NAMED])}{more}. Mend the sheet."
        )
        found.problems.append((str(path), reason))
    kept = [sample for sample in found.samples if not shared.keys() & set(sample.masks)]
    return Found(kept, found.problems)


def _table(path: Path) -> pd.DataFrame:
    text = io.StringIO(_text(path))
    try:
        table = pd.read_csv(text, dtype=str, keep_default_na=False, skipinitialspace=True)
    except ValueError as error:
        raise _bad_sheet(path, "a CSV file", str(error).strip()) from error
    if table.columns[0].startswith("Unnamed: "):  # the numbers of rows
        table = table.drop(columns=table.columns[0])
    _require_columns(path, list(table.columns))
    table = table.reindex(columns=list(COLUMNS), fill_value="")
    for key in ("group", "part", "pixel_size"):
        table[key] = table[key].str.strip()
    return table.drop_duplicates()  # a mask that is listed twice is one mask


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _bad_sheet(path, "a CSV file", str(error.strerror), "Correct the path.") from error
    if data.startswith(b"PK"):
        raise _bad_sheet(path, "a CSV file", "a spreadsheet (.xlsx, .ods)", "Export it as CSV.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        remedy = "Save it as CSV in UTF-8."
        raise _bad_sheet(path, "a CSV file of UTF-8 text", "another text encoding", remedy) from error


def _require_columns(path: Path, columns: list[str]) -> None:
    """Refuse a sheet that lacks a column or has an unknown one, with the likely cause."""
    missing, unknown = {"image", "mask"} - set(columns), [name for name in columns if name not in COLUMNS]
    if not missing and not unknown:
        return
    remedy = (
        f"Known columns: {', '.join(COLUMNS)}; a header with at least `image` and `mask`, and a row an image."
    )
    hints = [f"`{name}` is perhaps `{near}`" for name in unknown if (near := _nearest_column(name))]
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        hints = ["the columns are to be separated by commas"]
    remedy = "; ".join(hints)[:1].upper() + "; ".join(hints)[1:] + ". " * bool(hints) + remedy
    expected = "the columns `image` and `mask`" if missing else "no columns but the known ones"
    raise _bad_sheet(path, expected, ", ".join(unknown or columns), remedy)


def _nearest_column(name: str) -> str:
    plain = name.strip().lower()
    return MEANT.get(plain) or next(iter(difflib.get_close_matches(plain, COLUMNS, 1)), "")


def _bad_sheet(path: Path, expected: str, found: str, remedy: str | None = None) -> DataError:
    return DataError(
        expected=expected,
        found=found,
        where=f"config key `sheet`, {path}",
        remedy=remedy or "Give the sheet a header with at least `image` and `mask`, and a row an image.",
    )


def _one_value(rows: pd.DataFrame, key: str, image: Path) -> str:
    values = sorted(set(rows[key]))
    if len(values) > 1:
        raise DataError(
            expected=f"one `{key}` for all rows of an image",
            found=", ".join(values),
            where=str(image),
            remedy="Mend the sheet.",
        )
    return values[0]


def _require_file(path: Path, image: Path, key: str) -> Path:
    if path.is_file():
        return path
    if path.is_dir():  # the sheet's own, to which nothing was added
        raise DataError(
            expected=f"a file in the column `{key}`", found="none", where=str(image), remedy="Fill the cell."
        )
    remedy = "Mend the sheet."
    if Path(str(path).strip()).is_file():
        remedy = "The name in the sheet ends with a blank: take it away."
    if "\\" in str(path):
        remedy = "Write paths with `/` instead of `\\`."
    raise DataError(expected=f"the file {path}", found="none", where=str(image), remedy=remedy)


def _positive(text: str, image: Path) -> float:
    try:
        number = float(text or "nan")
    except ValueError:
        number = -1.0
    if number <= 0 or number == math.inf:
        raise DataError(
            expected="a `pixel_size` above 0",
            found=text,
            where=str(image),
            remedy="Mend the sheet; leave the cell empty where it is not known, and write 0.5, not 0,5.",
        )
    return number
