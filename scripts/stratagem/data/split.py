"""Samples divided into training, validation and test images, without leakage, and shares of them.

What must not straddle two parts is one unit: samples of one group, and duplicates of each other
(`stratagem.data.duplicates`), joined where they overlap. Units are drawn by hash, stratified by the classes
present and the size (powers of two of the area). A user's own parts are kept as they are, and checked
for units that straddle them.
"""

import hashlib

import numpy as np
import pandas as pd

from stratagem.core.errors import DataError
from stratagem.data.duplicates import clusters
from stratagem.data.index import present

__all__ = ["divide", "select", "units"]

STRADDLING = 5  # units that an error names


def divide(index: pd.DataFrame, *, folds: int, test: float, validation: float, seed: int) -> pd.DataFrame:
    """Training, validation and test samples.

    Parameters
    ----------
    index : DataFrame
        The index.
    folds : int
        1: the share `test` is tested. k: each unit is tested in exactly one of k folds.
    test, validation : float
        Shares of the units; `test` where `folds` is 1, neither where the user's own parts say it.
    seed : int
        Other seeds give other parts.

    Returns
    -------
    DataFrame
        ``sample, fold, part``, part being one of train, val, test.

    Raises
    ------
    DataError
        If there are too few units to give every part one, or the user's own parts leave out a sample, lack
        one of training and test, or tear a unit apart.
    """
    index = index.assign(unit=units(index).to_numpy())
    order = _stratified(_unit_signatures(index), seed)
    if index["part"].notna().any():
        parts = [_own_parts(index, order, folds, validation)]
    else:
        parts = _drawn_parts(order, folds, test, validation, index)
    table = pd.concat(parts, ignore_index=True)
    return index[["sample", "unit"]].merge(table, on="unit")[["sample", "fold", "part"]]


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

    Returns
    -------
    list of str
        Names; those of a smaller share are the first of them.
    """
    signatures = pd.Series(_signatures(index), index=index["sample"])
    order = _stratified(signatures, seed)
    cover: list[str] = []
    for number in sorted(set().union(*signatures)):
        if not any(number in signatures[sample] for sample in cover):
            cover.append(next(sample for sample in order if number in signatures[sample]))
    order = cover + [sample for sample in order if sample not in set(cover)]
    return order[: max(len(cover), round(fraction * len(order)))]


def units(index: pd.DataFrame) -> pd.Series:
    """The unit of each sample, by sample: the first of the groups that its group is joined with.

    Named by group, so that a further image of a group does not draw the group anew.

    Parameters
    ----------
    index : DataFrame
        Of which ``sample, group, cluster`` count.

    Returns
    -------
    Series of str
        By sample, in the index's order.
    """
    of_cluster = index.groupby("cluster")["group"].transform("first")
    linked = pd.DataFrame({"sample": index["group"], "other": of_cluster})
    return index.set_index("sample")["group"].map(clusters(sorted(set(index["group"])), linked))


def _signatures(index: pd.DataFrame) -> list[tuple[int, ...]]:
    return [tuple(np.flatnonzero(row).tolist()) for row in present(index)]


def _unit_signatures(index: pd.DataFrame) -> pd.Series:
    """The classes and the size of each unit, by unit."""
    size = np.log2(index["height"] * index["width"]).astype(int)
    units = index.assign(classes=_signatures(index), size=size).groupby("unit")
    classes = units["classes"].agg(lambda ones: tuple(sorted(set().union(*ones))))
    return pd.Series(list(zip(classes, units["size"].max(), strict=True)), index=classes.index)


def _drawn_parts(
    order: list[str], folds: int, test: float, validation: float, index: pd.DataFrame
) -> list[pd.DataFrame]:
    count = len(order)
    tested = max(1, round(test * count)) if folds == 1 else -(-count // folds)
    validated = max(1, round(validation * count))
    if count < tested + validated + 1 or count < folds:
        raise DataError(
            expected=f"at least {max(tested + validated + 1, folds)} independent images or groups",
            found=f"{count}{_joined(index)}",
            where="config keys `split` and `folds`",
            remedy=f"Add images, lower `folds` or the shares, or make groups smaller. {_cure(index)}",
        )
    return [_fold(order, fold, folds, tested, validated) for fold in range(folds)]


def _cure(index: pd.DataFrame) -> str:
    """What to do about too few units, by what made them few."""
    if index["cluster"].is_unique:
        return (
            "Of a few large scenes `split: {blocks: [rows, columns], gap: pixels}` makes blocks that are "
            "independent units."
        )
    return (
        "The pairs are listed in duplicates.csv, in the study's results: are they no copies, set "
        "`duplicates: exact`, which joins the same pixels alone, or `duplicates: off`."
    )


def _joined(index: pd.DataFrame) -> str:
    """How images became fewer units; nothing where each is its own."""
    largest, groups, copies = (
        index["unit"].value_counts().iat[0],
        len(index) - index["group"].nunique(),
        len(index) - index["cluster"].nunique(),
    )
    if largest == 1:
        return ""
    why = [f"groups join {groups}"] * bool(groups) + [f"duplicates join {copies}"] * bool(copies)
    return f", of {len(index)} images ({', '.join(why)} with others; the largest unit holds {largest})"


def _fold(order: list[str], fold: int, folds: int, tested: int, validated: int) -> pd.DataFrame:
    start = fold * len(order) // folds
    stop = (fold + 1) * len(order) // folds if folds > 1 else tested
    rest = order[stop:] + order[:start]
    parts = [(name, fold, "test") for name in order[start:stop]]
    parts += [(name, fold, "val" if place < validated else "train") for place, name in enumerate(rest)]
    return pd.DataFrame(parts, columns=["unit", "fold", "part"])


def _own_parts(index: pd.DataFrame, order: list[str], folds: int, validation: float) -> pd.DataFrame:
    """The parts that the user gives; validation is drawn from training where it is not among them."""
    parts = index.groupby("unit")["part"].agg(lambda ones: sorted(set(ones.fillna("none"))))
    _require_own_parts(parts, folds)
    parts = parts.str[0].reindex(order)
    if "val" not in set(parts):
        training = parts.index[parts == "train"]
        count = min(max(1, round(validation * len(training))), len(training) - 1)
        parts[training[:count]] = "val"
    return pd.DataFrame({"unit": parts.index, "fold": 0, "part": parts.to_numpy()})


def _require_own_parts(parts: pd.Series, folds: int) -> None:
    torn = parts[parts.str.len() > 1]
    named = [f"`{unit}` and what belongs with it in {' and '.join(ones)}" for unit, ones in torn.items()]
    given = {part for ones in parts for part in ones}
    alone = "val" not in given and parts.explode().eq("train").sum() == 1
    faults = {
        "`folds: 1` beside parts of your own": f"folds: {folds}" if folds > 1 else "",
        "a part for every sample": "samples without one" if "none" in given else "",
        "one part for samples of one group and for duplicates": "; ".join(named[:STRADDLING]),
        "images to train on and images to test": "" if {"train", "test"} <= given else f"{sorted(given)}",
        "a second independent image or group to train on, to draw validation from": "one" if alone else "",
    }
    for expected, found in faults.items():
        if found:
            raise DataError(
                expected=expected,
                found=found,
                where="the column `part` of the sheet, or config key `split.part`",
                remedy="Mend the parts, or leave them out to have the samples divided.",
            )


def _stratified(signatures: pd.Series, seed: int) -> list[str]:
    """The names in an order every stretch of which holds each signature in its share."""
    names = pd.DataFrame({"signature": signatures, "draw": [_draw(seed, n) for n in signatures.index]})
    names["rank"] = names.groupby("signature")["draw"].rank(method="first")
    names["place"] = (names["rank"] - 0.5) / names.groupby("signature")["draw"].transform("size")
    return names.sort_values(["place", "draw"]).index.tolist()


def _draw(seed: int, name: str) -> int:
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")
