"""What a person looks at: one self-contained HTML page, the verdicts in words first.

The page holds its figures, so it works from disk, by mail and without a network; nothing is computed
here that is not in the tables.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import jinja2
import numpy as np
import pandas as pd

from stratagem import figures
from stratagem.comparison import PRIMARY_CLASS, UNADJUSTED, unequal_scatter
from stratagem.files import replacing_folder, write_text
from stratagem.image import read_image, read_plane
from stratagem.labels import to_classes
from stratagem.metrics import per_image

__all__ = ["Stored", "render", "sentence"]

TEMPLATE = Path(__file__).with_suffix(".html")
NAMES = {"dice": "Dice", "iou": "IoU"}


@dataclass(frozen=True)
class Stored:
    """What the report is made from.

    Attributes
    ----------
    study : dict
        The study as plain data.
    tables : path
        The folder of comparison.csv, scores.csv, costs.csv.
    runs : list of path
        The folder of every run.
    index, splits : path
    plans : list of path
        The plan.json of every resolution.
    """

    study: dict
    tables: Path
    runs: list[Path]
    index: Path
    splits: Path
    plans: list[Path]


def render(stored: Stored, page: Path, folder: Path) -> None:
    """Write the page, and every figure as an SVG file of its own into the folder."""
    tables = {name: _table(stored.tables / f"{name}.csv") for name in ("comparison", "scores", "costs")}
    primary = tables["comparison"][tables["comparison"]["verdict"] != UNADJUSTED]
    evaluation = pd.concat([pd.read_parquet(run / "evaluation.parquet") for run in stored.runs])
    drawn = _figures(stored, tables, primary, evaluation)
    with replacing_folder(folder) as beside:
        for name, svg in drawn.items():
            (beside / f"{name}.svg").write_text(svg, encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(
        study=stored.study,
        metric=NAMES[stored.study["report"]["metric"]],
        sentences=[(row.verdict, sentence(row, _unit(stored))) for row in primary.itertuples()],
        primary=primary.to_dict("records"),
        secondary=_secondary(tables["comparison"]),
        scores=tables["scores"].to_dict("records"),
        costs=tables["costs"].to_dict("records"),
        figures=drawn,
        facts=_facts(stored, evaluation, len(primary)),
    )
    write_text(text, page)


def sentence(row, unit: str = "test images") -> str:
    """One row of the comparison in words: verdict, effect, interval, how many seeds and units."""
    metric = NAMES[row.metric]
    change = f"{metric} {row.reference_mean:.3f} → {row.mean:.3f} ({row.difference:+.3f}"
    interval = "" if np.isnan(row.low) else f", 95 % interval {row.low:+.3f} to {row.high:+.3f}"
    words = {
        "helps": f"{row.strategy} helps against {row.reference}",
        "hurts": f"{row.strategy} hurts against {row.reference}",
        "no difference": f"{row.strategy} makes no difference against {row.reference}",
        "cannot tell yet": f"{row.strategy} against {row.reference}: cannot tell yet",
    }[row.verdict]
    extent = f"{row.seeds} seed{'s' * (row.seeds != 1)} × {row.images} {unit}"
    return f"{words}: {change}{interval}; {extent})."


def _table(path: Path) -> pd.DataFrame:
    """A table with names as they were written: a strategy may be called 10, a class NA."""
    names = dict.fromkeys(("strategy", "reference", "class"), str)
    return pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])


def _figures(stored: Stored, tables: dict, primary: pd.DataFrame, evaluation: pd.DataFrame) -> dict:
    margin, metric = stored.study["report"]["margin"], stored.study["report"]["metric"]
    histories = pd.concat([pd.read_parquet(run / "history.parquet") for run in stored.runs])
    drawn = {
        "effects": figures.effects(primary, margin),
        "pairs": figures.pairs(_differences(evaluation, primary, stored)),
        "curves": figures.curves(histories),
        "cost": figures.cost(tables["costs"], _means(evaluation, metric), NAMES[metric]),
    }
    return drawn | _examples(stored, evaluation)


def _means(evaluation: pd.DataFrame, metric: str) -> pd.Series:
    """The endpoint's mean over images and seeds, by strategy."""
    return per_image(evaluation, metric).groupby("strategy")["score"].mean()


def _differences(evaluation: pd.DataFrame, primary: pd.DataFrame, stored: Stored) -> pd.DataFrame:
    """The paired difference of every unit, averaged over seeds."""
    groups = pd.read_parquet(stored.index, columns=["sample", "group"]).set_index("sample")["group"]
    table = per_image(evaluation, stored.study["report"]["metric"])
    table["unit"] = table["sample"].map(groups)
    means = table.groupby(["strategy", "unit"])["score"].mean()
    parts = []
    for row in primary.itertuples():
        difference = (means[row.strategy] - means[row.reference]).rename("difference").reset_index()
        parts.append(difference.assign(strategy=row.strategy, reference=row.reference))
    return pd.concat(parts) if parts else pd.DataFrame(columns=["strategy", "difference"])


def _examples(stored: Stored, evaluation: pd.DataFrame) -> dict[str, str]:
    """Test images from the baseline's worst to its best, each with every strategy's prediction."""
    report = stored.study["report"]
    own = evaluation[evaluation["strategy"] == report["baseline"]]
    ranked = per_image(own, report["metric"]).groupby("sample")["score"].mean().sort_values()
    count = min(report["examples"], len(ranked))
    chosen = ranked.index[np.linspace(0, len(ranked) - 1, count).round().astype(int)]
    rows = pd.read_parquet(stored.index).set_index("sample")
    scores = per_image(evaluation, report["metric"]).set_index(["strategy", "seed", "sample"])["score"]
    drawn = {}
    for number, sample in enumerate(chosen):
        row = rows.loc[sample]
        truth = to_classes(read_plane(row["mask"]), row["encoding"])
        drawn[f"example-{number + 1}"] = figures.example(
            read_image(row["image"]), truth, _predictions(stored, sample, scores)
        )
    return drawn


def _predictions(stored: Stored, sample: str, scores: pd.Series) -> dict[str, np.ndarray]:
    """Each strategy's predicted mask with its first seed, titled with name and score."""
    seed = stored.study["seeds"][0]
    found = {}
    for run in stored.runs:
        path = run / "predictions" / f"{sample}.png"
        if run.name == f"seed{seed}" and path.is_file():
            record = json.loads((run / "cost.json").read_text(encoding="utf-8"))
            score = scores.get((record["strategy"], seed, sample), np.nan)
            found[f"{record['strategy']} {score:.2f}"] = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return found


def _secondary(comparison: pd.DataFrame) -> list[dict]:
    table = comparison[comparison["verdict"] == UNADJUSTED]
    only_one_class = comparison["class"].nunique() == 2
    if only_one_class:  # the class and the mean over classes are then the same
        table = table[table["class"] == PRIMARY_CLASS]
    return table.to_dict("records")


def _unit(stored: Stored) -> str:
    return "groups of test images" if stored.study["split"]["group"] else "test images"


def _scatter(evaluation: pd.DataFrame, metric: str, comparisons: int) -> str:
    """Whether the seed variance could be pooled, as a sentence."""
    if evaluation["seed"].nunique() < 2:
        return "One seed gives no interval: nothing is known of how much another one would differ."
    if unequal_scatter(per_image(evaluation, metric)):
        return (
            "The seeds of some strategies scatter more than those of others, so each comparison "
            "takes its own seed variance; intervals are wide where seeds are few."
        )
    if comparisons < 2:
        return "With one comparison there is no seed variance of others to pool with its own."
    return (
        "The variance between seeds is pooled over all comparisons: "
        "there is no sign that some strategies scatter more than others."
    )


def _facts(stored: Stored, evaluation: pd.DataFrame, comparisons: int) -> dict:
    """How the data were split, framed and computed."""
    index, splits = pd.read_parquet(stored.index), pd.read_parquet(stored.splits)
    sizes = index.groupby(["height", "width"]).size().sort_values(ascending=False)
    record = json.loads((stored.runs[0] / "cost.json").read_text(encoding="utf-8"))
    return {
        "images": len(index),
        "sizes": [f"{height}×{width}: {count}" for (height, width), count in sizes.items()],
        "parts": splits[splits["fold"] == 0]["part"].value_counts().to_dict(),
        "tested": splits.loc[splits["part"] == "test", "sample"].nunique(),
        "plans": {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in stored.plans},
        "execution": record["execution"],
        "threads": record["recipe"]["threads"],
        "scatter": _scatter(evaluation, stored.study["report"]["metric"], comparisons),
    }
