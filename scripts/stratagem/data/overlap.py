"""Images that a network learns from elsewhere and that are among the test images: copies, also near ones.

The files of a source and of a study differ, or the study is refused before it starts. Their pictures may be
the same nevertheless: from one collection, saved in another format or size. A strategy that starts from such
a source has seen what it is tested on.
"""

from pathlib import Path

import pandas as pd

from stratagem.core.errors import DataError
from stratagem.core.workers import in_order
from stratagem.data.duplicates import Print, pairs, take_print
from stratagem.data.image import AT_ONCE, read_raw
from stratagem.data.pixels import place_of

__all__ = ["require_apart", "shared", "still_there"]


def still_there(source: pd.DataFrame, start: str | Path) -> tuple[pd.DataFrame, int]:
    """The rows of an index whose images are there, with their paths, and how many are not.

    Parameters
    ----------
    source : DataFrame
        Rows of an index.
    start : path
        Where relative paths in it start.

    Returns
    -------
    DataFrame, int
    """
    source = source.assign(image=[str(Path(start, image)) for image in source["image"]])
    there = source["image"].map(lambda image: Path(image).is_file()).astype(bool)
    return source[there], int((~there).sum())


def shared(source: pd.DataFrame, tested: pd.DataFrame, *, near: bool, threads: int = 1) -> pd.DataFrame:
    """The images of a source that are copies of tested ones.

    Parameters
    ----------
    source, tested : DataFrame
        Rows of two indexes.
    near : bool
        Whether to look for more than the same pixels.
    threads : int
        How many read; the result is the same.

    Returns
    -------
    DataFrame
        ``image, tested, kind, correlation``: the files of the source and of the test, and how they agree, as
        of `stratagem.data.duplicates.pairs`.

    Raises
    ------
    DataError
        If an image cannot be read.
    """
    both = pd.concat([source, tested if len(source) else tested[:0]], ignore_index=True)
    prints = in_order(_print, both.itertuples(), threads=threads, weight=_area, limit=AT_ONCE)
    found = pairs(range(len(both)), list(prints), near=near)
    found = found[(found["sample"] < len(source)) & (found["other"] >= len(source))]
    files = {"image": found["sample"].map(both["image"]), "tested": found["other"].map(both["image"])}
    return found.assign(**files)[["image", "tested", "kind", "correlation"]].reset_index(drop=True)


def _print(row) -> Print:
    return take_print(read_raw(row.image, place_of(row)))


def _area(row) -> int:
    return int(row.height) * int(row.width)


def require_apart(found: pd.DataFrame, key: str, looser: str, table: str | Path) -> None:
    """Refuse a source that holds copies of test images.

    Parameters
    ----------
    found : DataFrame
        From `shared`.
    key : str
        The config key of the source.
    looser : str
        The config key that says what counts as a copy.
    table : path
        Where `found` is stored.

    Raises
    ------
    DataError
        If there are any.
    """
    if found.empty:
        return
    first, count = found.iloc[0], found["image"].nunique()
    same = "the same pixels" if first["kind"] == "exact" else f"near, correlation {first['correlation']:.2f}"
    looser = f"`{looser}: {'off' if (found['kind'] == 'exact').any() else 'exact'}`"
    raise DataError(
        expected=f"no test image among the images of `{key}`, which would be learned before they are tested",
        found=f"{count} that are copies of one; the first is {first['image']}, of {first['tested']} ({same})",
        where=str(table),
        remedy=f"Take the images listed there, with their masks, out of `{key}`, or set {looser} where they "
        "are no copies.",
    )
