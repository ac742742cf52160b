"""What a person looks at before any training: one self-contained HTML page about the images and masks.

How the masks were understood stands first, with what may disappoint later: files that were skipped, rare
classes, parts that lack a class, duplicates. The page tells what the index, its companions and the split
hold; only its examples are read from the images themselves.

Shares are of the pixels that count: ignored ones are left out.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stratagem.core.files import read_table, write_text
from stratagem.data.channels import COLOURS, channels_in, lights
from stratagem.data.index import present
from stratagem.data.pixels import read_reduced
from stratagem.data.rows import load
from stratagem.report import figures
from stratagem.report.page import fill

__all__ = ["StoredData", "class_table", "part_table", "render"]

PARTS = {"train": "training", "val": "validation", "test": "test"}
MISSING = {
    "training": "it cannot be learned there",
    "validation": "the learning curves do not show it",
    "test": "it has no score there",
}
RARE_PIXELS = 0.01  # share of the pixels below which a class is rare
RARE_IMAGES = 0.1  # share of the images
LISTED = 20  # bad files, groups and duplicates that the page names
LISTED_SIZES = 10
EXAMPLES = 6
SIDE = 1024  # pixels: the longer side of a picture, which need not be as large as its image
MAPPED = 12  # images whose blocks are drawn


@dataclass(frozen=True)
class StoredData:
    """What the page is made from.

    Attributes
    ----------
    study : dict
        ``study, classes, split`` of the study as plain data.
    index, duplicates, understood, splits : path
    problems : path
        The bad files; may be absent.
    """

    study: dict
    index: Path
    duplicates: Path
    understood: Path
    splits: Path
    problems: Path


def render(stored: StoredData, page: Path) -> None:
    """Write the page.

    Parameters
    ----------
    stored : Stored
    page : path
        The HTML file; appears whole or not at all.

    Raises
    ------
    DataError
        If an image or mask that is shown cannot be read, or changed its size since it was indexed.
    """
    index, splits = load(stored.index), read_table(stored.splits)
    names = stored.study["classes"]
    duplicates = _table(stored.duplicates).astype({"correlation": float})
    parts = part_table(index, splits)
    text = fill(
        "data_page",
        study=stored.study,
        listed=LISTED,
        rare_pixels=RARE_PIXELS,
        rare_images=RARE_IMAGES,
        colours=[figures.class_colour(number) for number in range(len(names))],
        understood=json.loads(stored.understood.read_text(encoding="utf-8")),
        problems=_table(stored.problems).to_dict("records") if stored.problems.is_file() else [],
        duplicates=duplicates.sort_values(["kind", "correlation"], ascending=[True, False]).to_dict(
            "records"
        ),
        classes=class_table(index, splits, names).to_dict("records"),
        parts=parts,
        missing=_missing(parts, names),
        groups=_groups(index, splits),
        folds=splits["fold"].nunique(),
        sizes=_sizes(index),
        facts=_facts(index, stored.study.get("channels")),
        examples=_examples(index, names),
        blocks=_blocks(index, splits),
    )
    write_text(text, page)


def class_table(index: pd.DataFrame, splits: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """What the set holds of each class.

    Parameters
    ----------
    index : DataFrame
        See `stratagem.data.index`.
    splits : DataFrame
        ``sample, fold, part``.
    names : list of str
        Of the classes, by index; the first is the background.

    Returns
    -------
    DataFrame
        ``class, share`` (of the pixels) ``, images`` (that hold it) ``, objects, median`` (of objects, over
        the images that hold it) ``, tested`` (images that hold it and are tested in some fold) ``, rare``.
        Background is never called rare.
    """
    pixels, held = _pixels(index), present(index)
    objects = index[[f"objects_{number}" for number in range(len(names))]]
    tested = index["sample"].isin(splits.loc[splits["part"] == "test", "sample"]).to_numpy()
    table = pd.DataFrame(
        {
            "class": names,
            "share": (pixels.sum() / pixels.to_numpy().sum()).to_numpy(),
            "images": held.sum(axis=0),
            "objects": objects.sum().to_numpy(),
            "median": objects.where(held).median().to_numpy(),
            "tested": held[tested].sum(axis=0),
        }
    )
    rare = (table["share"] < RARE_PIXELS) | (table["images"] < RARE_IMAGES * len(index))
    return table.assign(rare=rare & (table.index > 0))


def part_table(index: pd.DataFrame, splits: pd.DataFrame) -> list[dict]:
    """What each part of each fold holds.

    Parameters
    ----------
    index : DataFrame
        See `stratagem.data.index`.
    splits : DataFrame
        ``sample, fold, part``.

    Returns
    -------
    list of dict
        ``fold, part, images, groups``, and a class: ``shares`` of the part's pixels, ``held``: images that
        hold it.
    """
    rows = []
    samples = splits.merge(index.drop(columns="part"), on="sample")  # that is the user's own, if any
    order = pd.Categorical(samples["part"], PARTS)
    for (fold, part), own in samples.groupby(["fold", order], observed=True):
        pixels = _pixels(own).sum()
        row = {"fold": fold, "part": PARTS[part], "images": len(own), "groups": own["group"].nunique()}
        rows.append(row | {"shares": list(pixels / pixels.sum()), "held": present(own).sum(axis=0).tolist()})
    return rows


def _table(path: Path) -> pd.DataFrame:
    """A table with names as they were written: a sample may be called 007 or NA."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _pixels(index: pd.DataFrame) -> pd.DataFrame:
    """The pixels of each class, a column a class."""
    return index.filter(regex=r"^pixels_\d+$")


def _missing(parts: list[dict], names: list[str]) -> list[dict]:
    """Foreground classes that no image of a part holds, and what that means."""
    return [
        {"fold": row["fold"], "part": row["part"], "class": name, "means": MISSING[row["part"]]}
        for row in parts
        for name, count in list(zip(names, row["held"], strict=True))[1:]
        if count == 0
    ]


def _groups(index: pd.DataFrame, splits: pd.DataFrame) -> list[dict]:
    """``group, images, part`` (in the first fold), the largest first; none where each image is its own."""
    samples = splits[splits["fold"] == 0].merge(index[["sample", "group"]], on="sample")
    table = samples.groupby("group", as_index=False).agg(images=("sample", "size"), part=("part", "first"))
    if len(table) == len(index):
        return []
    ordered = table.assign(part=table["part"].map(PARTS)).sort_values(
        "images", ascending=False, kind="stable"
    )
    return ordered.to_dict("records")


def _blocks(index: pd.DataFrame, splits: pd.DataFrame) -> str:
    """Where the blocks of large scenes lie and which part each is in, drawn; nothing where there are none."""
    if "window" not in index or not index["window"].map(len).any():
        return ""
    table = splits[splits["fold"] == 0].merge(index[["sample", "window"]], on="sample")
    windows = pd.DataFrame(table["window"].tolist(), columns=["top", "left", "height", "width"])
    images = table["sample"].str.rpartition("@")[0]
    table = windows.assign(image=images, part=table["part"].map(PARTS))
    return figures.blocks(table[table["image"].isin(images.unique()[:MAPPED])])


def _sizes(index: pd.DataFrame) -> dict:
    """The sizes that most images have, what is left over, and a figure where not all are listed."""
    table = index.groupby(["height", "width"]).size().reset_index(name="images")
    table = table.sort_values("images", ascending=False, kind="stable", ignore_index=True)
    listed, others = table[:LISTED_SIZES], table[LISTED_SIZES:]
    return {
        "listed": listed.to_dict("records"),
        "others": len(others),
        "images_of_others": int(others["images"].sum()),
        "figure": figures.sizes(table) if len(others) else "",
    }


def _facts(index: pd.DataFrame, named: Any) -> dict:
    """What else the page tells of the samples."""
    channels = json.loads(index["reading"].iat[0]).get("channels")
    count = channels_in(index)
    named = named if isinstance(named, dict) else {}  # a list has no names
    names = list(named) or [str(n) for n in channels or range(count)]
    return {
        "images": len(index),
        "empty": int((~present(index)[:, 1:].any(axis=1)).sum()),
        "grey": int(index["stored"].str.endswith(" 1 channel").sum()),
        "channels": [f"{n} ({name})" for name, n in named.items()] if named else channels or [],
        "shown": dict(zip(names, lights(count), strict=True)) if count != COLOURS else {},
        "own_parts": bool(index["part"].notna().any()),
        "joined": index["cluster"].value_counts().loc[lambda images: images > 1].tolist(),
    }


def _examples(index: pd.DataFrame, names: list[str]) -> list[dict]:
    """Images evenly chosen from the smallest to the largest share of foreground, drawn."""
    pixels = _pixels(index)
    share = 1 - pixels["pixels_0"] / pixels.sum(axis=1)
    ranked = index.assign(share=share)[share > 0].sort_values(["share", "sample"])
    places = np.unique(np.linspace(0, len(ranked) - 1, EXAMPLES).round().astype(int))
    examples = []
    for row in ranked.iloc[places].itertuples():
        image, mask = read_reduced(row, SIDE)
        held = [name for number, name in enumerate(names) if number and getattr(row, f"pixels_{number}")]
        examples.append(
            {"sample": row.sample, "share": row.share, "held": held, "drawn": figures.sample(image, mask)}
        )
    return examples
