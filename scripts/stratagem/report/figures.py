"""Drawings of numbers that others computed: each function takes a table and gives one SVG as text.

Text is drawn as paths and ids are salted with a constant, so a figure looks alike everywhere and the same
numbers give the same bytes.
"""

import io
import itertools
from collections.abc import Iterator
from typing import Any

import matplotlib

matplotlib.use("Agg")

import cv2
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.colors import hsv_to_rgb, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.typing import RcKeyType
from skimage.segmentation import find_boundaries

from stratagem.data.labels import IGNORE
from stratagem.evaluation.metrics import METRICS

__all__ = [
    "blocks",
    "changed",
    "class_colour",
    "cost",
    "curves",
    "effects",
    "example",
    "pairs",
    "runs",
    "sample",
    "sheet",
    "sizes",
    "transfer",
]

COLOURS = {"helps": "#1b7f4b", "hurts": "#b3362b", "no difference": "#4a5568", "cannot tell yet": "#b07d12"}
STYLE: dict[RcKeyType, Any] = {
    "svg.hashsalt": "stratagem",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
}
WIDTH_IN = 7.2
TALLEST = 3  # a panel, in its widths
# Of Paul Tol's schemes "vibrant" and "muted" (personal.sron.nl/~pault), made for the colour-blind; beyond
# these hues by the golden angle, at two brightnesses.
NAMED_COLOURS: tuple[str, ...] = (
    "#0077bb",
    "#ee7733",
    "#009988",
    "#cc3311",
    "#33bbee",
    "#ee3377",
    "#999933",
    "#332288",
)
NAMED_COLOURS += ("#ddcc77", "#117733", "#aa4499", "#882255", "#44aa99", "#cc6677", "#88ccee", "#bbbbbb")
GOLDEN = 0.381966  # of a turn
PART_COLOURS = {"training": "#bbccee", "validation": "#ccbb44", "test": "#0077bb"}
FILLED = 0.35  # share of its class's colour in a filled pixel


def effects(comparison: pd.DataFrame, margin: float) -> str:
    """Differences with their intervals, the margin as a band; rows of the primary endpoint.

    Parameters
    ----------
    comparison : DataFrame
        ``strategy, reference, metric, difference, low, high, inner_low, inner_high, verdict``; no line is
        drawn where `low` is NaN.
    margin : float
        Differences within plus or minus this are no difference.

    Returns
    -------
    str
        SVG.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH_IN, 0.9 + 0.42 * len(comparison)), layout="constrained")
        axes.axvspan(-margin, margin, color="#e2e8f0", label=f"no difference (±{margin:g})")
        axes.axvline(0, color="#4a5568", linewidth=0.8)
        for place, row in enumerate(comparison.itertuples()):
            colour = COLOURS[row.verdict]
            axes.plot(row.difference, place, "o", color=colour)
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.4)
            axes.plot([row.inner_low, row.inner_high], [place, place], color=colour, linewidth=3.6)
        names = [f"{row.strategy} − {row.reference}" for row in comparison.itertuples()]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        metric = METRICS[comparison["metric"].iat[0]].label if len(comparison) else ""
        axes.set_xlabel(f"difference of {metric}, simultaneous 95 % interval")
        axes.legend(loc="best", frameon=False)
        return _svg(figure)


def pairs(differences: pd.DataFrame, unit: str = "test image") -> str:
    """Every paired difference: ``strategy, reference, unit, difference`` (mean over seeds).

    Parameters
    ----------
    differences : DataFrame
        A row a strategy and unit.
    unit : str
        What one is called.

    Returns
    -------
    str
        SVG.
    """
    names = list(differences["strategy"].unique())
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH_IN, 0.9 + 0.42 * len(names)), layout="constrained")
        axes.axvline(0, color="#4a5568", linewidth=0.8)
        for place, name in enumerate(names):
            values = np.sort(differences.loc[differences["strategy"] == name, "difference"].to_numpy())
            spread = place + 0.28 * np.sin(np.arange(len(values)) * 2.4)  # spread evenly, no chance
            axes.plot(values, spread, ".", color="#3b6ea5", alpha=0.5, markersize=5)
            axes.plot([np.median(values)] * 2, [place - 0.35, place + 0.35], color="#1a202c", linewidth=2)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.set_xlabel(f"difference from the reference, a point a {unit} (bar: median)")
        return _svg(figure)


def runs(scores: pd.DataFrame, metric: str) -> str:
    """The endpoint of every run: ``strategy, score, collapsed``; a collapsed run is a cross.

    Parameters
    ----------
    scores : DataFrame
        A row a run; `score` 0 to 1, `collapsed` bool.
    metric : str
        As the axis shows it: ``Dice``.

    Returns
    -------
    str
        SVG.
    """
    names = list(scores["strategy"].unique())
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH_IN, 0.9 + 0.36 * len(names)), layout="constrained")
        for place, name in enumerate(names):
            for fallen, marker, colour in ((False, "o", "#3b6ea5"), (True, "X", COLOURS["hurts"])):
                chosen = (scores["strategy"] == name) & (scores["collapsed"] == fallen)
                values = scores.loc[chosen, "score"]
                axes.plot(values, [place] * len(values), marker, color=colour, alpha=0.6)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(f"{metric} on the test images, one point a run (cross: collapsed)")
        return _svg(figure)


def curves(histories: pd.DataFrame) -> str:
    """Validation Dice against the share of the budget: a thin line a run, a thick one their mean.

    Parameters
    ----------
    histories : DataFrame
        ``strategy, fold, seed, share, val_dice``: a row a validation, those of a run in order; `share` is 0
        to 1.

    Returns
    -------
    str
        SVG.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            figsize=_beside_legend(histories["strategy"].nunique(), 3.6), layout="constrained"
        )
        for colour, (name, runs) in zip(_colours(), histories.groupby("strategy", sort=False), strict=False):
            for _, run in runs.groupby(["fold", "seed"]):
                axes.plot(100 * run["share"], run["val_dice"], color=colour, linewidth=0.6, alpha=0.5)
            # Steps do not end exactly on a share, so runs are averaged by validation, not by share.
            number = runs.groupby(["fold", "seed"]).cumcount()
            mean = runs.groupby(number)[["share", "val_dice"]].mean()
            axes.plot(100 * mean["share"], mean["val_dice"], color=colour, linewidth=2, label=name)
        axes.set_xlabel("share of the budget, %")
        axes.set_ylabel("Dice on the validation images")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        return _svg(figure)


def cost(costs: pd.DataFrame, means: pd.Series, metric: str) -> str:
    """The endpoint (mean by strategy) against CPU seconds a run, a source's pretraining as a tail.

    Parameters
    ----------
    costs : DataFrame
        ``strategy, cpu_s, pretraining_cpu_s``; the last is NaN where there is no source.
    means : Series of float
        By strategy.
    metric : str
        As the axis shows it: ``Dice``.

    Returns
    -------
    str
        SVG.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=_beside_legend(len(costs), 3.2), layout="constrained")
        for colour, row in zip(_colours(), costs.itertuples(), strict=False):
            axes.plot(row.cpu_s, means[row.strategy], "o", color=colour, label=row.strategy)
            if row.pretraining_cpu_s > 0:
                whole = [row.cpu_s, row.cpu_s + row.pretraining_cpu_s]
                axes.plot(whole, [means[row.strategy]] * 2, "-|", color=colour)
        axes.set_xlabel("CPU seconds a run (tail: pretraining of the source, spent once)")
        axes.set_ylabel(f"{metric} on the test images")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        return _svg(figure)


def transfer(savings: pd.DataFrame, metric: str, margin: float) -> str:
    """The effect of starting from other weights against the number of labelled images, a line an arm.

    ``arm, budget_share, budget_images, train_images, difference, low, high`` of
    `stratagem.comparison.savings.savings`.

    Parameters
    ----------
    savings : DataFrame
        A row a strategy; no line is drawn where `low` is NaN.
    metric : str
        As the axis shows it: ``Dice``.
    margin : float
        Differences within plus or minus this are no difference.

    Returns
    -------
    str
        SVG.
    """
    with plt.rc_context(STYLE):
        arms = list(savings.groupby(["arm", "budget_share"], sort=False))
        figure, axes = plt.subplots(figsize=_beside_legend(2 * len(arms), 3.4), layout="constrained")
        axes.axhspan(-margin, margin, color="#e2e8f0")
        axes.axhline(0, color="#4a5568", linewidth=0.8)
        for number, (colour, ((arm, _), rows)) in enumerate(zip(_colours(), arms, strict=False)):
            rows = rows.sort_values("train_images")
            place = rows["train_images"] * 1.03 ** (number - (len(arms) - 1) / 2)  # beside one another
            label = f"{arm}\n{rows['budget_images'].mean():,.0f} images a run"
            axes.plot(place, rows["difference"], "o-", color=colour, label=label)
            axes.vlines(place, rows["low"], rows["high"], color=colour, linewidth=1.5)
        axes.set_xscale("log")
        sizes = sorted(savings["train_images"].unique())
        axes.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("labelled images to train on")
        axes.set_ylabel(f"difference of {metric} from the control")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        return _svg(figure)


def example(image: np.ndarray, truth: np.ndarray, predicted: dict[str, np.ndarray]) -> str:
    """One test image with the outlines of its truth and of each strategy's prediction.

    Parameters
    ----------
    image : uint8, (H, W, 3)
    truth : uint8, (H, W)
    predicted : dict of uint8, (H, W)
        By title.
    """
    masks = {"truth": truth} | predicted
    return _panels({title: _outlined(image, mask) for title, mask in masks.items()})


def sample(image: np.ndarray, mask: np.ndarray) -> str:
    """One image, and beside it the same with its classes outlined and filled with thin colour.

    Parameters
    ----------
    image : uint8, (H, W, 3)
    mask : uint8, (H, W)
    """
    return _panels({"image": image, "its mask": _outlined(_filled(image, mask), mask)}, letters=13)


def changed(image: np.ndarray, mask: np.ndarray, other: np.ndarray, other_mask: np.ndarray) -> str:
    """An image and what a transform made of it, with the outlines of their classes.

    Parameters
    ----------
    image, other : uint8, (H, W, 3)
        Before and after.
    mask, other_mask : uint8, (H, W)
        Theirs; 0 and 255 have no outline.

    Returns
    -------
    str
        SVG.
    """
    return _panels({"as it is": _outlined(image, mask), "changed": _outlined(other, other_mask)}, letters=13)


def sheet(rows: list[list[tuple[np.ndarray, np.ndarray]]]) -> str:
    """Originals and their synthetic images, a row each, with the outlines of their classes.

    Parameters
    ----------
    rows : list of list of (uint8 (H, W, 3), uint8 (H, W))
        Four a row: the original, then variants.
    """
    titles = ("image {}", "{}, variant 0", "{}, variant 1", "{}, variant 2")
    shown = {
        title.format(number): _outlined(*pair)
        for number, row in enumerate(rows, start=1)
        for title, pair in zip(titles, row, strict=True)
    }
    return _panels(shown)


def sizes(table: pd.DataFrame) -> str:
    """A point a size, larger where more images have it: ``height, width, images``.

    Parameters
    ----------
    table : DataFrame
        A row a size, in pixels; `images` counts those that have it.

    Returns
    -------
    str
        SVG.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH_IN, 3.6), layout="constrained")
        area = 15 + 300 * table["images"] / table["images"].max()
        axes.scatter(table["width"], table["height"], s=area, color="#3b6ea5", alpha=0.5)
        axes.set_xlim(0, 1.1 * table["width"].max())
        axes.set_ylim(0, 1.1 * table["height"].max())
        axes.set_xlabel("width, pixels")
        axes.set_ylabel("height, pixels")
        return _svg(figure)


def blocks(windows: pd.DataFrame) -> str:
    """The blocks of images, coloured by their part of the split, in rows of four images.

    Parameters
    ----------
    windows : DataFrame
        ``image, part`` (training, validation, test) ``, top, left, height, width``: a row a block, in pixels.

    Returns
    -------
    str
        SVG.
    """
    images = list(windows.groupby("image", sort=False))
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, axes = plt.subplots(
            rows, columns, figsize=(WIDTH_IN, 0.3 + 2 * rows), layout="constrained", squeeze=False
        )
        for place in axes.flat:
            place.axis("off")
        for place, (name, blocks) in zip(axes.flat, images, strict=False):
            for block in blocks.itertuples():
                corner = (block.left, block.top)
                place.add_patch(Rectangle(corner, block.width, block.height, color=PART_COLOURS[block.part]))
            place.set_xlim(0, (blocks["left"] + blocks["width"]).max())
            place.set_ylim((blocks["top"] + blocks["height"]).max(), 0)
            place.set_aspect("equal")
            place.set_title(name, fontsize=8)
        figure.legend(
            handles=[Rectangle((0, 0), 1, 1, color=c, label=p) for p, c in PART_COLOURS.items()],
            loc="outside lower center",  # below the axes, as only this spelling keeps it
            ncols=len(PART_COLOURS),
            frameon=False,
        )
        return _svg(figure)


def class_colour(number: int) -> str:
    """The colour of a class's outline, as ``#rrggbb``.

    Parameters
    ----------
    number : int
        Index of the class, from 0; no two of up to 256 classes have the same.

    Returns
    -------
    str
    """
    if number < len(NAMED_COLOURS):
        return NAMED_COLOURS[number]
    further = number - len(NAMED_COLOURS)
    saturation, value = (0.9, 0.55)[further % 2], (0.8, 0.95)[further // 2 % 2]
    return to_hex(tuple(hsv_to_rgb((further * GOLDEN % 1, saturation, value))))


def _bytes_of(number: int) -> np.ndarray:
    """The colour of a class, float32 (3,), 0 to 255."""
    return 255 * np.array(to_rgb(class_colour(number)), np.float32)


def _panels(pictures: dict[str, np.ndarray], letters: int = 8) -> str:
    """Pictures of one size, by title (its letters in points), in rows of four."""
    first = next(iter(pictures.values()))
    columns = min(4, len(pictures))
    rows = -(-len(pictures) // columns)
    tall = min(first.shape[0] / first.shape[1], TALLEST)
    height = rows * (WIDTH_IN / columns) * tall + 0.3 * rows
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, axes = plt.subplots(
            rows, columns, figsize=(WIDTH_IN, height), layout="constrained", squeeze=False
        )
        for place in axes.flat:
            place.axis("off")
        for place, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
            place.imshow(picture, interpolation="nearest")
            place.set_title(title, fontsize=letters)
        return _svg(figure)


def _filled(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with each foreground class in its colour, through which the image is seen."""
    drawn = image.astype(np.float32)
    for number in np.unique(mask[(mask > 0) & (mask != IGNORE)]):
        drawn[mask == number] += FILLED * (_bytes_of(number) - drawn[mask == number])
    return np.rint(drawn).astype(np.uint8)


def _outlined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with each foreground class's outline drawn in its colour."""
    drawn = image.copy()
    wide = np.ones((max(1, round(max(image.shape[:2]) / 300)),) * 2, np.uint8)  # seen when shown small
    for number in np.unique(mask[(mask > 0) & (mask != IGNORE)]):
        edge = find_boundaries(mask == number, mode="inner").astype(np.uint8)
        drawn[cv2.dilate(edge, wide) > 0] = _bytes_of(number)
    return drawn


def _colours() -> Iterator:
    """Dark tones, then light ones, then again."""
    return itertools.cycle([plt.get_cmap("tab20")(2 * (place % 10) + place // 10) for place in range(20)])


def _beside_legend(names: int, height_in: float) -> tuple[float, float]:
    """A figure's size with room for a legend of so many names."""
    return WIDTH_IN, max(height_in, 0.24 * names)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    try:
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    finally:
        plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]  # without the XML prologue it can stand inside a page
