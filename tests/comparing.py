"""Evaluations of made-up studies, and their comparison, for tests."""

import numpy as np
import pandas as pd

from stratagem.comparison.design import Design
from stratagem.comparison.effects import compare
from stratagem.comparison.endpoints import Endpoint, endpoints
from stratagem.evaluation.metrics import METRICS

__all__ = [
    "CLASSES",
    "alone",
    "compared",
    "design_of",
    "endpoint_of",
    "endpoints_of",
    "evaluation_of",
    "primary",
    "counted",
    "scattered",
    "as_evaluation",
]

CLASSES = ["background", "cell"]
WHOLE = 10**6  # pixels of a class in each simulated image: a score keeps six digits


def counted(strategy, seed, sample, score, number=1, fold=0) -> tuple:
    """Counts of an image whose Dice of one class is the score."""
    hits = round(score * WHOLE)
    return strategy, fold, seed, sample, number, hits, WHOLE - hits, WHOLE - hits


def as_evaluation(rows) -> pd.DataFrame:
    """Rows as an evaluation."""
    return pd.DataFrame(rows, columns=["strategy", "fold", "seed", "sample", "class", "tp", "fp", "fn"])


def evaluation_of(dice: dict[str, np.ndarray], folds: int = 1) -> pd.DataFrame:
    """Evaluations of one class whose Dice are these: seeds x images, by strategy; images dealt to folds."""
    return as_evaluation(
        counted(strategy, seed, f"image-{image:02}", score, fold=image % folds)
        for strategy, matrix in dice.items()
        for seed, line in enumerate(matrix, start=1)
        for image, score in enumerate(line)
    )


def alone(evaluation: pd.DataFrame) -> pd.Series:
    """Each image a group of its own."""
    samples = evaluation["sample"].unique()
    return pd.Series(samples, index=samples)


def endpoints_of(evaluation, *, units=None, classes=CLASSES) -> list[Endpoint]:
    """The endpoints of both metrics."""
    units = alone(evaluation) if units is None else units
    return [one for metric in METRICS for one in endpoints(evaluation, units, metric, classes)]


def endpoint_of(dice: dict[str, np.ndarray], folds: int = 1) -> Endpoint:
    """Dice of one class, seeds x images by strategy, as the primary endpoint."""
    return endpoints_of(evaluation_of(dice, folds))[0]


def design_of(references, *, metric="dice", margin=0.01, effect=0.03, classes=CLASSES) -> Design:
    """A design with the defaults of a study."""
    return Design(references, metric, margin, effect, classes)


def compared(evaluation, references, *, units=None, classes=CLASSES, **options) -> pd.DataFrame:
    """The comparison of an evaluation."""
    measured = endpoints_of(evaluation, units=units, classes=classes)
    return compare(measured, design_of(references, classes=classes, **options))


def primary(evaluation, references, **options) -> pd.DataFrame:
    """The rows that have verdicts, by strategy."""
    found = compared(evaluation, references, **options)
    return found[found["verdict"] != "not adjusted"].set_index("strategy")


def scattered(scatter: dict[str, float], level=0.8, seeds=3, images=12, seed=0) -> dict[str, np.ndarray]:
    """Dice of strategies that are equally good, whose seeds scatter by so much."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 0.04, images)
    return {
        strategy: np.clip(
            level + hard + rng.normal(0, sd, (seeds, 1)) + rng.normal(0, 0.02, (seeds, images)), 0.01, 0.99
        )
        for strategy, sd in scatter.items()
    }
