"""What each strategy cost, and what it was given: means over its runs."""

import contextlib

import pandas as pd

from stratagem.networks.arithmetic import multiply_adds

__all__ = ["costs"]


def costs(records: list[dict], histories: pd.DataFrame, pretraining: dict, margin: float) -> pd.DataFrame:
    """What each strategy cost, mean over its runs.

    Parameters
    ----------
    records : list of dict
        The cost.json of every run.
    histories : DataFrame
        The history of every run.
    pretraining : dict
        The cost.json of a strategy's source, by strategy.
    margin : float
        A validation Dice that rose by more than this over the last fifth was *not yet trained*.

    Returns
    -------
    DataFrame
        A row a strategy: numbers of cost.json, mean over runs, NaN where no run has them; ``resumes,
        retried``, summed; ``waiting_share`` of the training time; ``pretraining_cpu_s,
        source_predicts_only``, missing without a source; ``multiply_adds`` of the forward passes in training;
        ``not_yet_trained``, also true where there are too few validations to tell; ``code``, the digests of
        the code of training, one unless runs were kept.
    """
    table = pd.DataFrame(records)
    keys = ["images", "steps", "epochs", "pixels", "train_images", "training_s", "waiting_s", "cpu_s"]
    keys += ["validation_s", "recording_s", "peak_memory_mb", "mapped_mb", "parameters", "trainable"]
    keys += ["images_per_s", "loader_images_per_s", "loader_mb_per_s", "loader_mb", "reading_share", "mixing"]
    counted = ["resumes", "retried"]
    numbers = table.reindex(columns=[*keys, *counted]).astype(float)  # records of older versions lack some
    by_strategy = numbers.groupby(table["strategy"], sort=False)
    table = by_strategy[keys].mean().join(by_strategy[counted].sum())
    table["waiting_share"] = table["waiting_s"] / table["training_s"]
    of_sources = {name: record["cpu_s"] for name, record in pretraining.items()}
    table["pretraining_cpu_s"] = pd.Series(of_sources, dtype=float)
    alone = {name: record.get("constant") for name, record in pretraining.items()}
    table["source_predicts_only"] = pd.Series(alone, dtype=object)
    table["not_yet_trained"] = _still_rising(histories, margin)
    table["multiply_adds"] = table["pixels"] * pd.Series(_per_pixel(records), dtype=float)
    table["code"] = {name: _codes(records, name) for name in table.index}
    return table.reset_index()


def _per_pixel(records: list[dict]) -> dict[str, float]:
    """Multiply-adds for each pixel, of each strategy's network."""
    found = {}
    for record in records:
        with contextlib.suppress(KeyError, TypeError):  # records of older versions say less
            recipe = record["recipe"]
            network, classes = recipe["strategy"]["network"], len(recipe["classes"])
            channels = record.get("channels", 3)
            found[record["strategy"]] = multiply_adds(network, classes, **recipe["unet"], channels=channels)
    return found


def _codes(records: list[dict], strategy: str) -> str:
    """The digests of the code that a strategy's runs were made by: one, unless some were kept."""
    return " ".join(
        sorted({record.get("source", "") for record in records if record["strategy"] == strategy})
    )


def _still_rising(histories: pd.DataFrame, margin: float) -> pd.Series:
    """By strategy: whether validation Dice rose by more than the margin over the last fifth."""
    ordered = histories.sort_values("share")
    runs = ["strategy", "fold", "seed"]
    last = ordered.groupby(runs)["val_dice"].last()
    before = ordered[ordered["share"] <= 0.8 + 1e-9].groupby(runs)["val_dice"].last()
    rise = (last - before.reindex(last.index)).groupby("strategy").mean()
    return ~(rise <= margin)  # also where there are too few points to tell
