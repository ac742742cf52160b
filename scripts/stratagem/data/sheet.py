"""The samples that a sheet lists: a CSV file with a row an image.

Its columns are ``image, mask``, and as far as known ``group, part`` (train, val, test) and ``pixel_size``.
Several rows of one image are several masks of it, one an object.
"""

import difflib
import io
import math
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd

from stratagem.core.errors import DataError
from stratagem.data.files import identity
from stratagem.data.sample import Found, Problem, Sample, add, group_of, problem_of, require_a_part

__all__ = ["listed_images", "read_sheet", "sheet_files"]

COLUMNS = ("image", "mask", "group", "part", "pixel_size")
MEANT = {"split": "part", "set": "part", "subset": "part", "patient": "group", "label": "mask"}
NAMED = 3  # images that a reason names


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
            name = identity(file, Path(path).parent)
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
        add(found, sample, part, said["part"])
    found = _without_shared_masks(_without_namesakes(found))
    require_a_part(found, part)
    return found


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


def sheet_files(path: Path) -> list[tuple[str, Path]]:
    """A sheet and the files that it lists, with their names.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of (str, path)
        The sheet first.

    Raises
    ------
    DataError
        If the sheet cannot be read, lacks a column or has an unknown one.
    """
    table = _table(path)
    listed = sorted({*table["image"], *table["mask"]})
    return [(path.name, path), *((name, path.parent / name) for name in listed)]


def _without_namesakes(found: Found) -> Found:
    """The samples of a sheet, sorted, without those that share an identity."""
    counts = Counter(sample.sample for sample in found.samples)
    kept = Found(problems=found.problems)
    for sample in sorted(found.samples, key=lambda sample: sample.sample):
        count = counts[sample.sample]
        if count > 1:
            kept.problems.append(Problem(str(sample.image), f"{count} files are named `{sample.sample}`"))
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
        found.problems.append(Problem(str(path), reason))
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
