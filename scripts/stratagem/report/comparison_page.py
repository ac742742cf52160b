"""What a person looks at: one self-contained HTML page, the verdicts in words first.

The page holds its figures, so it works from disk, by mail and without a network. It is a function of the
files that it is made from. Effects, intervals, scores, runs and costs are those of the tables; the page puts
them into words and warns: of runs that collapsed, of devices that differ.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pandas as pd

from stratagem.comparison.design import PRIMARY_CLASS, RUN, TABLES, UNADJUSTED
from stratagem.comparison.endpoints import UNITS
from stratagem.comparison.savings import taught, told_saving, worth
from stratagem.core.files import read_table, replacing_folder, write_text
from stratagem.core.intact import require_whole
from stratagem.data.channels import composite
from stratagem.data.pixels import read_sample
from stratagem.data.rows import load
from stratagem.evaluation.metrics import METRICS, per_image, with_background
from stratagem.report import figures, sentences
from stratagem.report.page import fill

__all__ = ["StoredStudy", "render", "starved"]

NAMES = {name: metric.label for name, metric in METRICS.items()}
STARVED = 0.02  # share of training spent waiting for batches
FEW_STEPS = 100  # about five of them warm-up: such a run has hardly begun


@dataclass(frozen=True)
class StoredStudy:
    """What the report is made from.

    Attributes
    ----------
    study : dict
        The study as plain data.
    version : str
        Of Stratagem.
    tables : path
        The folder of the tables of `stratagem.comparison.design.TABLES`.
    runs : list of path
        The folder of every run.
    index, splits : path
    problems : path
        The bad files; may be absent.
    plans : list of path
        The plan.json of every resolution.
    """

    study: dict
    version: str
    tables: Path
    runs: list[Path]
    index: Path
    splits: Path
    problems: Path
    plans: list[Path]

    @property
    def metric(self) -> str:
        """Of the primary endpoint."""
        return self.study["report"]["metric"]


def render(stored: StoredStudy, page: Path, folder: Path) -> None:
    """Write the page, and every figure as an SVG file of its own into the folder.

    Parameters
    ----------
    stored : Stored
    page : path
        The HTML file; appears whole or not at all.
    folder : path
        Created, or replaced as a whole.

    Raises
    ------
    DataError
        If a test image that is shown, or its mask, cannot be read or changed its size since it was indexed.
    """
    tables = {name: _table(stored.tables / f"{name}.csv") for name in TABLES}
    evaluation = pd.concat([read_table(run / "evaluation.parquet") for run in stored.runs])
    if stored.study["report"].get("score_background"):
        evaluation = with_background(evaluation)
    records = [json.loads((run / "cost.json").read_text(encoding="utf-8")) for run in stored.runs]
    drawn = _figures(stored, tables, evaluation)
    with replacing_folder(folder) as beside:
        for name, svg in drawn.items():
            (beside / f"{name}.svg").write_text(svg, encoding="utf-8")
    text = fill(
        "comparison_page",
        study=stored.study,
        version=stored.version,
        metric=NAMES[stored.metric],
        metrics=NAMES,
        unit=UNITS[_unit(tables)],
        few_steps=FEW_STEPS,
        strategies=_strategies(stored.study),
        figures=drawn,
        colours=[(name, figures.class_colour(k)) for k, name in enumerate(stored.study["classes"]) if k],
        facts=_facts(stored, evaluation, records),
        fates=fates(records),
        fitted=_fitted(stored, records),
        constant=_shares(evaluation, tables["runs"], stored.study["classes"]),
        **_found(stored, tables),
    )
    write_text(text, page)


def _table(path: Path) -> pd.DataFrame:
    """A table with names as they were written: a strategy may be called 10, a class NA."""
    names = dict.fromkeys(("strategy", "reference", "class", "control", "arm", "what", "first", "now"), str)
    names |= dict.fromkeys(("source_predicts_only", "code"), str)
    return pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])


def starved(costs: pd.DataFrame) -> list[str]:
    """A sentence for each strategy whose network waited for batches, with what would help.

    Parameters
    ----------
    costs : DataFrame
        Rows of costs.csv: ``strategy, waiting_share, loader_images_per_s, reading_share``.

    Returns
    -------
    list of str
        Strategies that waited for at most 2 % of the training time have none.
    """
    return [
        f"{row.strategy} waited for batches in {100 * row.waiting_share:.0f} % of its training: one worker "
        f"of its loader makes {row.loader_images_per_s:.0f} images/s, and {100 * row.reading_share:.0f} % of "
        f"its time is reading. {_relief(row.reading_share)}"
        for row in costs.itertuples()
        if row.waiting_share > STARVED
    ]


def fates(records: list[dict]) -> list[str]:
    """What happened to runs on their way, a sentence each: cut short, in want of memory, in float32.

    Parameters
    ----------
    records : list of dict
        The cost.json of every run.

    Returns
    -------
    list of str
        Empty where no run was interrupted or had an incident.
    """
    found = []
    for record in records:
        name = f"{record['strategy']}, fold {record['fold']}, seed {record['seed']}"
        if record.get("resumes"):
            times = f"{record['resumes']} time{'s' * (record['resumes'] != 1)}"
            found.append(f"{name}: was cut short and went on {times}.")
        found += [f"{name}: {incident['said']}." for incident in record.get("incidents", [])]
    return found


def _relief(reading_share: float) -> str:
    """What makes batches faster, by what they wait for."""
    if reading_share < 0.5:
        return "More `loader.workers` would help where cores are free, or fewer and cheaper transforms."
    return (
        "`storage: memory` would help where the images fit, more `loader.workers` where cores are free; on "
        "a slow disk `shards: {compression: lz4}`, or a `window` that keeps reads near one another."
    )


def _primary(comparison: pd.DataFrame) -> pd.DataFrame:
    """The rows that have verdicts."""
    return comparison[comparison["verdict"] != UNADJUSTED]


def _possible(comparison: pd.DataFrame) -> pd.DataFrame:
    """A comparison with intervals cut to what a difference of two scores can be."""
    ends = [name for name in ("low", "high", "inner_low", "inner_high") if name in comparison]
    return comparison.assign(**{name: comparison[name].clip(-1, 1) for name in ends})


def _found(stored: StoredStudy, tables: dict) -> dict:
    """What the page tells of the results, by the template's names."""
    comparison, runs = _possible(tables["comparison"]), tables["runs"]
    order = runs["strategy"].unique()
    return {
        "verdicts": _verdicts(stored, _primary(tables["comparison"]), tables["costs"]),
        "changed": sentences.changed(tables["changes"]),
        "failures": sentences.failures(runs),
        "collapsed_any": bool(runs["collapsed"].any()),
        "unfound": sentences.unfound(tables["unfound"]),
        "certified": sentences.certified(tables["certificate"]),
        "cautions": _cautions(runs, tables["costs"]),
        "clipped": not comparison.equals(tables["comparison"]),
        "primary": _primary(comparison).to_dict("records"),
        "secondary": _secondary(comparison),
        "scores": tables["scores"].to_dict("records"),
        "sizes": tables["sizes"].to_dict("records"),
        "runs": runs.pivot(index=["strategy", "fold"], columns="seed").reindex(order, level=0),
        "costs": tables["costs"].to_dict("records"),
        "starved": starved(tables["costs"]),
        "savings": tables["savings"].to_dict("records"),
        "saved": _saved(tables["savings"], NAMES[stored.metric]),
    }


def _saved(savings: pd.DataFrame, metric: str) -> list[str]:
    """What transfer saves, in words: up to how many images it is worth it, what a run saves, what it took."""
    return worth(savings) + [told_saving(row, metric) for row in savings.itertuples()] + taught(savings)


def _fitted(stored: StoredStudy, records: list[dict]) -> list[dict]:
    """What became of the tensors of each strategy's source: taken, adapted, left, or new, how many and why.

    Of the first run of each; its whole table stands in ``transfer.csv``.
    """
    found = {}
    for run, record in zip(stored.runs, records, strict=True):
        strategy, path = record["strategy"], run / "transfer.csv"
        if strategy in found or not path.is_file():
            continue
        table = pd.read_csv(path, keep_default_na=False)
        groups = table.groupby(["fate", "why"], sort=False)["tensor"]
        found[strategy] = [
            {"strategy": strategy, "fate": fate, "why": why, "tensors": len(names), "from": names.iat[0],
             "to": names.iat[-1]}
            for (fate, why), names in groups
        ]  # fmt: skip
    return [row for rows in found.values() for row in rows]


def _verdicts(stored: StoredStudy, primary: pd.DataFrame, costs: pd.DataFrame) -> list[dict]:
    """Each verdict in words, with what limits it, and what it is of beside what the strategy names."""
    report, given = stored.study["report"], {row.strategy: row for row in costs.itertuples()}
    found = []
    for row in primary.itertuples():
        told = {
            "words": sentences.sentence(row),
            "settling": sentences.settling(row, report["effect"], report["margin"]),
            "steps": sentences.fewer_steps(given[row.strategy], given[row.reference]),
        }
        names = {"verdict": row.verdict, "strategy": row.strategy, "reference": row.reference}
        found.append(names | told)
    return found


def _unit(tables: dict) -> str:
    """What means are taken over: image, group or fold."""
    named = tables["scores"]["unit"]
    return named.iat[0] if len(named) else "image"


def _cautions(runs: pd.DataFrame, costs: pd.DataFrame) -> dict[str, list[str]]:
    """What speaks against taking a strategy's score as what it can do, by strategy."""
    fallen = runs.groupby("strategy")["collapsed"].agg(["sum", "size"])
    found = {}
    for row in costs.itertuples():
        count, of = fallen.loc[row.strategy]
        signs = {
            f"{count} of {of} run{'s' * (of != 1)} collapsed": count > 0,
            f"its source predicts {row.source_predicts_only} alone": pd.notna(row.source_predicts_only),
            "not yet trained": row.not_yet_trained,
            f"only {row.steps:.0f} step{'s' * (row.steps != 1)}": row.steps < FEW_STEPS,
        }
        found[row.strategy] = [words for words, there in signs.items() if there]
    return found


def _shares(evaluation: pd.DataFrame, runs: pd.DataFrame, classes: list[str]) -> list[dict]:
    """Of every collapsed run and class: the shares of all test pixels that are it, and that are called it."""
    fallen = runs.loc[runs["collapsed"], RUN].merge(evaluation, on=RUN)
    counted = fallen.assign(true=fallen["tp"] + fallen["fn"], predicted=fallen["tp"] + fallen["fp"])
    table = counted.groupby([*RUN, "class"], sort=False)[["true", "predicted"]].sum()
    table = (table / table.groupby(RUN, sort=False).transform("sum")).reset_index()
    return table.assign(name=[classes[number] for number in table["class"]]).to_dict("records")


def _strategies(study: dict) -> dict[str, dict[str, tuple]]:
    """By strategy and what is told of it: the value, and whether it differs from the baseline's."""
    described = {name: _described(one, study["training"]) for name, one in study["strategies"].items()}
    baseline = described[study["report"]["baseline"]]
    return {
        name: {key: (value, value != baseline[key]) for key, value in one.items()}
        for name, one in described.items()
    }


def _described(strategy: dict, training: dict) -> dict[str, str]:
    """One strategy of the study in words, by what they tell."""
    loader = strategy["loader"]
    return {
        "resolution": strategy["resolution"],
        "augmentation": strategy["augmentation"] or "none",
        "first weights": _first_weights(strategy["init"]),
        "training images": f"{100 * loader['fraction']:g} %",
        "read from": loader["storage"],
        "order": _order(loader),
        "batch": str(loader["batch_size"])
        + ("" if loader["last"] == "fill" else f", last: {loader['last']}"),
        "network": strategy["network"],
        "learning rate": f"{strategy['learning_rate'] or training['learning_rate']:g}",
        "budget": f"{100 * strategy['budget_share']:g} %",
    }


def _first_weights(init: dict | None) -> str:
    """Where a strategy's first weights come from, and which of them learn, in words."""
    if init is None:
        return "random"
    held = {
        "none": "",
        "encoder": ", encoder frozen",
        "all-but-last": ", all frozen but the last layer",
        "gradual": f", opened from the last layer on, all by {100 * init['thaw']:g} % of the budget",
    }
    slower = "" if init["rate"] == 1 else f", at {init['rate']:g} times the rate"
    return init["source"] + held[init["freeze"]] + slower


def _order(loader: dict) -> str:
    """The order of the images, in words."""
    mixed = f"mixed within {loader['window']}" if loader["window"] else "all mixed"
    return mixed + ("" if loader["balance"] == "none" else f", balanced by {loader['balance']}")


def _figures(stored: StoredStudy, tables: dict, evaluation: pd.DataFrame) -> dict[str, str]:
    """Every figure as SVG, by name."""
    runs, unit = tables["runs"], UNITS[_unit(tables)]
    histories = pd.concat([read_table(run / "history.parquet") for run in stored.runs])
    means = runs.groupby("strategy")["score"].mean()
    costs, metric = tables["costs"], NAMES[stored.metric]
    drawn = {
        "effects": figures.effects(
            _possible(_primary(tables["comparison"])), stored.study["report"]["margin"]
        ),
        "pairs": figures.pairs(tables["pairs"], unit[0]),
        "runs": figures.runs(runs, metric),
        "curves": figures.curves(histories),
        "cost": figures.cost(costs, means.reindex(costs["strategy"]), metric),
    }
    if (tables["savings"].groupby(["arm", "budget_share"])["train_images"].nunique() > 1).any():
        shown = _possible(tables["savings"])
        drawn["transfer"] = figures.transfer(shown, metric, stored.study["report"]["margin"])
    return drawn | _examples(stored, evaluation)


def _examples(stored: StoredStudy, evaluation: pd.DataFrame) -> dict[str, str]:
    """Test images from the baseline's worst to its best, each with every strategy's prediction."""
    report = stored.study["report"]
    own = evaluation[evaluation["strategy"] == report["baseline"]]
    ranked = per_image(own, stored.metric).groupby("sample")["score"].mean().sort_values()
    count = min(report["examples"], len(ranked))
    chosen = ranked.index[np.linspace(0, len(ranked) - 1, count).round().astype(int)]
    rows = load(stored.index).set_index("sample").loc[chosen]
    scores = per_image(evaluation, stored.metric).set_index(["strategy", "seed", "sample"])["score"]
    drawn = {}
    for number, row in enumerate(rows.itertuples(), start=1):
        image, truth = read_sample(row)
        drawn[f"example-{number}"] = figures.example(
            composite(image), truth, _predictions(stored, row.Index, scores)
        )
    return drawn


def _predictions(stored: StoredStudy, sample: str, scores: pd.Series) -> dict[str, np.ndarray]:
    """Each strategy's predicted mask with its first seed, titled with name and score."""
    seed = stored.study["seeds"][0]
    found: dict[str, np.ndarray] = {}
    for run in stored.runs:
        path = run / "predictions" / f"{sample}.png"
        if run.name == f"seed{seed}" and path.is_file():
            record = json.loads((run / "cost.json").read_text(encoding="utf-8"))
            score = scores.get((record["strategy"], seed, sample), np.nan)
            require_whole([path], made=run / "predictions")
            mask = cast(np.ndarray, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))  # as the run wrote it
            found[f"{record['strategy']} {score:.2f}"] = mask
    return found


def _secondary(comparison: pd.DataFrame) -> list[dict]:
    table = comparison[comparison["verdict"] == UNADJUSTED]
    only_one_class = comparison["class"].nunique() == 2
    if only_one_class:  # the class and the mean over classes are then the same
        table = table[table["class"] == PRIMARY_CLASS]
    return table.to_dict("records")


def _facts(stored: StoredStudy, evaluation: pd.DataFrame, records: list[dict]) -> dict:
    """How the data were split, framed and computed."""
    index, splits = load(stored.index), read_table(stored.splits)
    sizes = index.groupby(["height", "width"]).size().sort_values(ascending=False)
    parts = splits[splits["fold"] == 0]["part"].value_counts()
    executions = _executions(records)
    return {
        "images": len(index),
        "skipped": len(pd.read_csv(stored.problems)) if stored.problems.is_file() else 0,
        "sizes": [f"{height}×{width}: {count}" for (height, width), count in sizes.items()],
        "parts": parts.reindex(["train", "val", "test"], fill_value=0).to_dict(),
        "tested": splits.loc[splits["part"] == "test", "sample"].nunique(),
        "plans": {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in stored.plans},
        "executions": executions.to_dict("records"),
        "mixed": len(executions[["device", "dtype"]].drop_duplicates()) > 1,
        "codes": Counter(record.get("source", "unknown") for record in records),
        "foreground": not per_image(evaluation, stored.metric).empty,
    }


def _executions(records: list[dict]) -> pd.DataFrame:
    """Every way the runs were computed, and how many runs: ``device, dtype, layout, why, threads, runs``."""
    rows = [record["execution"] | {"threads": record["recipe"]["threads"]} for record in records]
    table = pd.DataFrame(rows)
    return table.groupby(list(table), sort=False, dropna=False).size().reset_index(name="runs")
