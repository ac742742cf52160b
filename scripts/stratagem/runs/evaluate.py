"""The test images of one run, looked at once and stored in full.

Every later score comes from these counts: no score asks for the network again.
"""

import logging
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from stratagem.core.files import remove_partial, replacing_folder, write_table
from stratagem.evaluation.held_out import HeldOut
from stratagem.evaluation.metrics import as_counts
from stratagem.networks.execution import choose
from stratagem.runs.inputs import Inputs
from stratagem.runs.network import load_model, predictor
from stratagem.study.declaration import Recipe

__all__ = ["evaluate"]

log = logging.getLogger("stratagem")


def evaluate(
    recipe: Recipe, inputs: Inputs, model: str, device: str, folder: Path, *, exact: bool = False
) -> None:
    """Predict the test images and write counts, confusion and predicted masks.

    Parameters
    ----------
    recipe : Recipe
        Of the run.
    inputs : Inputs
    model : path
        The run's weights.
    device : {"cpu", "cuda"}
    folder : path
        Gets ``evaluation.parquet`` (``strategy, fold, seed, sample, class, tp, fp, fn, tn``),
        ``confusion.parquet`` (``..., sample, truth, predicted, pixels``) and
        ``predictions/<sample>.png`` (class indices at the image's own size).
    exact : bool
        In float32, as a run that had to be trained so.
    """
    remove_partial(folder)
    execution = choose(device, recipe.threads, deterministic=recipe.deterministic)
    execution = execution.exact() if exact else execution
    network = load_model(recipe, inputs.channels, model, execution)
    keys = {"strategy": recipe.name, "fold": recipe.fold, "seed": recipe.seed}
    images = HeldOut(inputs.of_part("test", recipe.fold), len(recipe.classes))
    evaluations, confusions = [], []
    with replacing_folder(folder / "predictions") as pictures:
        for look in images.looks(predictor(network, recipe, inputs, execution)):
            evaluations.append(as_counts(look.sample, look.confusion))
            confusions.append(_as_pairs(look.sample, look.confusion))
            _save(look.predicted, pictures / f"{look.sample}.png")
    log.info("%d test images", len(evaluations))
    write_table(_keyed(evaluations, keys), folder / "evaluation.parquet")
    write_table(_keyed(confusions, keys), folder / "confusion.parquet")


def _keyed(tables: list[pd.DataFrame], keys: dict) -> pd.DataFrame:
    table = pd.concat(tables, ignore_index=True)
    return table.assign(**keys)[[*keys, *table.columns]]


def _as_pairs(sample: str, matrix: np.ndarray) -> pd.DataFrame:
    truth, predicted = np.indices(matrix.shape)
    columns = {"truth": truth.ravel(), "predicted": predicted.ravel(), "pixels": matrix.ravel()}
    return pd.DataFrame({"sample": sample} | columns)


def _save(mask: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
