"""The samples of a data set: found, read, checked, measured, and divided without leakage.

A sample's identity is its image's POSIX path under the image folder, without extension, in Unicode
NFC. Every random choice hashes that identity, so an added sample moves hardly any other: only those at
the borders between parts.

The index is a table, one row a sample: ``sample, group, image, mask`` (paths), ``height, width``
(pixels), ``encoding`` (how the mask is read; see `stratagem.labels`), and ``pixels_0 .. pixels_{K-1}``,
the mask's pixels of each class.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stratagem.errors import DataError
from stratagem.image import EXTENSIONS, read_image, read_plane
from stratagem.labels import recognise, undeclared

__all__ = ["Index", "build_index", "divide", "fingerprint", "present", "require_good", "select"]


@dataclass(frozen=True)
class Index:
    """What was found in the two folders.

    Attributes
    ----------
    table : DataFrame
        One row a usable sample, sorted by sample.
    problems : DataFrame
        ``file, reason``: one row a file that cannot be used.
    """

    table: pd.DataFrame
    problems: pd.DataFrame


def build_index(images: str, masks: str, classes: int, labels: str, group: str | None) -> Index:
    """Read and check every image and mask of two folders.

    Parameters
    ----------
    images, masks : path
        The folders; a mask has its image's path below the folder, with any extension.
    classes : int
        How many are declared.
    labels : {"auto", "indices", "binary"}
        How masks are to be read.
    group : str or None
        Regular expression over the sample's name; see `stratagem.study.Split`.
    """
    image_files, problems = _by_sample(Path(images), "images")
    mask_files, mask_problems = _by_sample(Path(masks), "masks")
    problems += mask_problems
    for sample in mask_files.keys() - image_files.keys():
        problems.append((mask_files[sample][0], f"no image `{sample}` in {images} for this mask"))
    rows, histograms = [], []
    for sample in sorted(image_files):
        found = image_files[sample], mask_files.get(sample, [None])
        if max(map(len, found)) > 1:
            continue  # two files of one name: among the problems already
        try:
            row, histogram = _measure(sample, found[0][0], found[1][0], masks)
        except DataError as error:
            problems.append((error.where, f"expected {error.expected}, but found {error.found}"))
            continue
        rows.append(row | {"group": group_of(sample, group)})
        histograms.append(histogram)
    return _checked(rows, histograms, problems, classes, labels)


def group_of(sample: str, pattern: str | None) -> str:
    """The part of a sample's name that the pattern matches; the whole name where it does not."""
    match = re.search(pattern, sample) if pattern else None
    if match is None:
        return sample
    return (match.group(1) if match.re.groups else match.group(0)) or sample


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
            where="config keys `images` and `masks`",
            remedy="Check the folders: a mask has its image's name, with any extension.",
        )
    for number, name in enumerate(classes):
        if index.table[f"pixels_{number}"].sum() == 0:
            raise DataError(
                expected=f"pixels of each declared class, {classes}",
                found=f"none of class {number}, `{name}` (masks read as `{index.table['encoding'].iat[0]}`)",
                where="config key `classes`",
                remedy="Remove the class, or set `labels` to how the masks are encoded.",
            )


def fingerprint(*folders: str) -> str:
    """A digest of the path, size and time of every image file below the folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for name, path in _image_files(Path(folder)):
            if path.is_file():  # not a broken link
                status = path.stat()
                digest.update(f"{name}{path.suffix}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def divide(index: pd.DataFrame, *, folds: int, test: float, validation: float, seed: int) -> pd.DataFrame:
    """Training, validation and test samples, by group, stratified by the classes present.

    Parameters
    ----------
    index : DataFrame
        The index.
    folds : int
        1: the share `test` is tested. k: each group is tested in exactly one of k folds.
    test, validation : float
        Shares of the groups.
    seed : int
        Other seeds give other parts.

    Returns
    -------
    DataFrame
        ``sample, fold, part``, part being one of train, val, test.

    Raises
    ------
    DataError
        If there are too few groups to give every part one.
    """
    groups = index.assign(classes=_signatures(index)).groupby("group")["classes"].agg(_union)
    order = _stratified(groups, seed)
    count = len(order)
    tested = max(1, round(test * count)) if folds == 1 else -(-count // folds)
    validated = max(1, round(validation * count))
    if count < tested + validated + 1 or count < folds:
        raise DataError(
            expected=f"at least {max(tested + validated + 1, folds)} independent images or groups",
            found=f"{count}",
            where="config keys `split` and `folds`",
            remedy="Add images, lower `folds` or the shares, or make groups smaller.",
        )
    parts = [_parts(order, fold, folds, tested, validated) for fold in range(folds)]
    table = pd.concat(parts, ignore_index=True)
    return index[["sample", "group"]].merge(table, on="group")[["sample", "fold", "part"]]


def select(index: pd.DataFrame, fraction: float, seed: int) -> list[str]:
    """A share of the samples that holds every class; smaller shares lie within larger ones.

    Parameters
    ----------
    index : DataFrame
        Rows of the training samples alone.
    fraction : float
        At least one image a class is taken, whatever the share.
    seed : int
        Other seeds draw other samples.
    """
    signatures = pd.Series(_signatures(index).to_numpy(), index=index["sample"])
    order = _stratified(signatures, seed)
    cover: list[str] = []
    for number in sorted(_union(signatures)):
        if not any(number in signatures[sample] for sample in cover):
            cover.append(next(sample for sample in order if number in signatures[sample]))
    order = cover + [sample for sample in order if sample not in set(cover)]
    return order[: max(len(cover), round(fraction * len(order)))]


def present(index: pd.DataFrame) -> np.ndarray:
    """Which classes each sample holds: bool, (N, K)."""
    return index.filter(regex=r"^pixels_\d+$").to_numpy() > 0


def _by_sample(folder: Path, key: str) -> tuple[dict[str, list[Path]], list[tuple[Path, str]]]:
    """The files of each sample's name, and a problem for each file that shares its name."""
    if not folder.is_dir():
        raise DataError(
            expected="a folder",
            found="none of that name",
            where=f"config key `{key}`, {folder}",
            remedy="Correct the path.",
        )
    found: dict[str, list[Path]] = defaultdict(list)
    for name, path in _image_files(folder):
        found[name].append(path)
    problems = [
        (path, f"{len(paths)} files are named `{name}`; one was expected")
        for name, paths in found.items()
        if len(paths) > 1
        for path in paths
    ]
    return found, problems


def _image_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every image file below a folder, with its sample's name; nothing hidden."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if path.suffix.lower() in EXTENSIONS and not hidden:
            yield unicodedata.normalize("NFC", name), path


def _measure(sample: str, image: Path, mask: Path | None, masks: str) -> tuple[dict, np.ndarray]:
    if mask is None:
        raise DataError(
            expected=f"a mask `{sample}` in {masks}", found="none", where=str(image), remedy="Add it."
        )
    height, width = read_image(image).shape[:2]
    values = read_plane(mask)
    if values.shape != (height, width):
        raise DataError(
            expected=f"a mask of its image's size, {height}x{width} (height x width)",
            found=f"{values.shape[0]}x{values.shape[1]}",
            where=str(mask),
            remedy="Replace it.",
        )
    row = {"sample": sample, "image": str(image), "mask": str(mask), "height": height, "width": width}
    return row, np.bincount(values.ravel(), minlength=256)


def _checked(rows, histograms, problems, classes: int, labels: str) -> Index:
    counts = np.array(histograms, dtype=np.int64).reshape(-1, 256)
    _require_one_encoding(counts > 0, classes, labels)
    encoding = recognise(counts.any(axis=0), classes, labels)
    good = []
    for row, count in zip(rows, counts, strict=True):
        strange = undeclared(count > 0, classes, encoding)
        if strange:
            shown = ", ".join(map(str, strange[:5])) + (", ..." if len(strange) > 5 else "")
            legal = "0 and 255" if encoding == "binary" else f"0 to {classes - 1}, or 255 for ignore"
            problems.append((row["mask"], f"expected values {legal}, but found {shown}"))
            continue
        per_class = count[[0, 255]] if encoding == "binary" else count[:classes]
        good.append(
            row | {"encoding": encoding} | {f"pixels_{number}": int(n) for number, n in enumerate(per_class)}
        )
    columns = ["sample", "group", "image", "mask", "height", "width", "encoding"]
    columns += [f"pixels_{number}" for number in range(classes)]
    listed = pd.DataFrame([(str(file), reason) for file, reason in problems], columns=["file", "reason"])
    return Index(pd.DataFrame(good, columns=columns), listed.sort_values("file"))


def _require_one_encoding(values: np.ndarray, classes: int, labels: str) -> None:
    """Stop where some masks say 1 and others 255 for what may be one class: bool, (N, 256)."""
    ones, full = values[:, 1], values[:, 255]
    if labels == "auto" and classes == 2 and ones.any() and full.any() and not (ones & full).any():
        raise DataError(
            expected="masks of one encoding",
            found=f"{ones.sum()} with the value 1 and {full.sum()} with 255, none with both",
            where="config key `labels`",
            remedy="Set `labels: indices` if 255 means ignore there, else bring the masks to one encoding.",
        )


def _signatures(index: pd.DataFrame) -> pd.Series:
    return pd.Series([tuple(np.flatnonzero(row).tolist()) for row in present(index)], index=index.index)


def _union(signatures: pd.Series) -> tuple[int, ...]:
    return tuple(sorted(set().union(*signatures)))


def _stratified(signatures: pd.Series, seed: int) -> list[str]:
    """The names in an order every stretch of which holds each signature in its share."""
    names = pd.DataFrame({"signature": signatures, "draw": [_draw(seed, n) for n in signatures.index]})
    names["rank"] = names.groupby("signature")["draw"].rank(method="first")
    names["place"] = (names["rank"] - 0.5) / names.groupby("signature")["draw"].transform("size")
    return names.sort_values(["place", "draw"]).index.tolist()


def _draw(seed: int, name: str) -> int:
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def _parts(order: list[str], fold: int, folds: int, tested: int, validated: int) -> pd.DataFrame:
    start = fold * len(order) // folds
    stop = (fold + 1) * len(order) // folds if folds > 1 else tested
    rest = order[stop:] + order[:start]
    parts = [(name, fold, "test") for name in order[start:stop]]
    parts += [(name, fold, "val" if place < validated else "train") for place, name in enumerate(rest)]
    return pd.DataFrame(parts, columns=["group", "fold", "part"])
