"""What a run looks at on the way, for its curves alone: the validation images, and if one class is all."""

import functools
import logging
from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
import pandas as pd
import torch

from stratagem.evaluation.held_out import HeldOut, constant_class
from stratagem.evaluation.metrics import METRICS, as_counts, per_image
from stratagem.evaluation.predict import Predictor
from stratagem.networks.execution import Execution
from stratagem.runs.inputs import Inputs
from stratagem.runs.network import predictor
from stratagem.study.declaration import HELD_MB, Recipe
from stratagem.training.progress import Progress

__all__ = ["predicts_only", "validation"]

log = logging.getLogger("stratagem")

LOOKED_AT = 16  # images: enough to see whether a network says one thing to all


def validation(recipe: Recipe, inputs: Inputs) -> Callable[[torch.nn.Module, Execution], dict] | None:
    """A function that scores a model on the whole validation set; None where there is none.

    Parameters
    ----------
    recipe : Recipe
    inputs : Inputs

    Returns
    -------
    function or None
        From a model in evaluation mode, and how it is computed, to ``val_dice, val_iou`` (per image, mean
        over classes present) and ``val_constant``, the class that is predicted alone or None.
    """
    rows = inputs.of_part("val", recipe.fold)
    if rows.empty:
        return None
    images = HeldOut(rows, len(recipe.classes), HELD_MB)

    # What a prediction takes is reckoned once a model and way to compute, not at each validation.
    @functools.lru_cache(maxsize=1)
    def predict(model: torch.nn.Module, execution: Execution) -> Predictor:
        return predictor(model, recipe, inputs, execution)

    def validate(model: torch.nn.Module, execution: Execution) -> dict:
        looked = [(look.sample, look.confusion) for look in images.looks(predict(model, execution))]
        table = pd.concat([as_counts(sample, matrix) for sample, matrix in looked])
        table = table.assign(strategy=recipe.name, fold=recipe.fold, seed=recipe.seed)
        scores = {f"val_{metric}": per_image(table, metric)["score"].mean() for metric in METRICS}
        return scores | {"val_constant": _constant((matrix for _, matrix in looked), recipe.classes)}

    return validate


def predicts_only(progress: Progress, recipe: Recipe, inputs: Inputs, execution: Execution) -> str | None:
    """The one class that a trained network predicts, if it does: on the validation images, or some others.

    Parameters
    ----------
    progress : Progress
        Of a run at its end.
    recipe : Recipe
    inputs : Inputs
    execution : Execution
    """
    if "val_constant" in progress.rows[-1]:
        return progress.rows[-1]["val_constant"]
    rows = inputs.of_part("train", recipe.fold)
    apart = np.unique(np.linspace(0, len(rows) - 1, LOOKED_AT).round().astype(int))
    images = HeldOut(rows.iloc[apart], len(recipe.classes))
    looks = images.looks(predictor(progress.model, recipe, inputs, execution))
    return _constant((look.confusion for look in looks), recipe.classes)


def _constant(matrices: Iterable[np.ndarray], classes: tuple[str, ...]) -> str | None:
    """The name of the class that is predicted alone; the log has the true share of each."""
    matrix = cast(np.ndarray, sum(matrices))
    number = constant_class(matrix)
    if number is None:
        return None
    true = matrix.sum(axis=1)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(classes, true / true.sum(), strict=True))
    log.warning("predicts `%s` alone, where the truth is %s", classes[number], shares)
    return classes[number]
