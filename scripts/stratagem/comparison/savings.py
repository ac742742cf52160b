"""What transfer saves: images and seconds until a strategy is as good as its control ends.

A strategy that starts from other weights is held against its reference, fold by fold and seed by seed. The
target of a pair is the control's last validation score. When a curve first comes to it is read off, linear
between two validations. So it is for the control, whose curve may be there long before its budget ends: a
plateau of the control counts as no saving. A curve that is there at its first validation is taken to be there
then, not earlier. Seconds are a run's own pace, with what else the machine did. Means have a t-interval over
runs; where there are folds, over the means of the folds, since the runs of one share their training images.
They are told only where every pair came to the target.

Strategies that differ in nothing but the share of the images and of the budget are one *arm*: over the number
of labelled images they say up to where transfer is worth it.
"""

import numpy as np
import pandas as pd
from scipy import stats

from stratagem.comparison.design import RUN, UNADJUSTED, Design
from stratagem.comparison.intervals import LEVEL

__all__ = ["COLUMNS", "first_images", "savings", "taught", "told_saving", "worth"]

COLUMNS = [
    *("strategy", "control", "arm", "budget_share", "train_images", "budget_images"),
    *("runs", "reached", "target"),
    *("images", "control_images", "images_saved", "images_low", "images_high"),
    *("seconds_saved", "seconds_low", "seconds_high"),
    *("difference", "low", "high", "verdict"),
    *("trainable", "control_trainable", "epoch_s", "control_epoch_s"),
    *("peak_memory_mb", "control_peak_memory_mb", "pretraining_images", "pretraining_s"),
]
SPENT = {"images": "images", "s": "training_s"}  # by a source, as its cost.json has it


def savings(
    records: list[dict],
    histories: pd.DataFrame,
    comparison: pd.DataFrame,
    pretraining: dict[str, dict],
    design: Design,
) -> pd.DataFrame:
    """One row a strategy that starts from other weights and is compared with something.

    Parameters
    ----------
    records : list of dict
        The cost.json of every run.
    histories : DataFrame
        The history of every run.
    comparison : DataFrame
        See `stratagem.comparison.effects.compare`.
    pretraining : dict
        The cost.json of a strategy's source, by strategy, as far as known.
    design : Design

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. ``reached`` of ``runs`` came to the ``target``, the mean of the control's last
        validation scores; ``images`` and ``control_images`` are those seen until then. The difference and its
        verdict are the test images'. Memory is in MB, an epoch is once through the training images.
    """
    costs = pd.DataFrame(records).set_index(RUN).sort_index()
    curves = dict(list(histories.sort_values("images").groupby(RUN)))
    final = comparison[comparison["verdict"] != UNADJUSTED].set_index("strategy")
    rows = []
    for strategy, (arm, share) in design.arms.items():
        if strategy not in final.index:  # compared with nothing, or no test image holds a class
            continue
        control = design.references[strategy]
        pairs = _pairs(costs, curves, strategy, control, f"val_{design.metric}")
        sides = {"": costs.loc[strategy], "control_": costs.loc[control]}
        row = {"strategy": strategy, "control": control, "arm": arm, "budget_share": share}
        row |= final.loc[strategy, ["difference", "low", "high", "verdict"]].to_dict() | _saved(pairs)
        for prefix, runs in sides.items():
            row |= {f"{prefix}{key}": value for key, value in _cost(runs).items()}
        row |= {"train_images": sides[""]["train_images"].mean(), "budget_images": sides[""]["images"].mean()}
        source = pretraining.get(strategy, {})
        row |= {f"pretraining_{unit}": source.get(key, np.nan) for unit, key in SPENT.items()}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def first_images(images: np.ndarray, scores: np.ndarray, target: float) -> float:
    """How many images were seen when a curve first came to a score; NaN where it never did.

    Parameters
    ----------
    images : (V,)
        Seen at each validation, ascending.
    scores : float, (V,)
    target : float
    """
    there = np.flatnonzero(scores >= target)
    if not len(there):
        return np.nan
    place = there[0]
    if place == 0 or np.isnan(scores[place - 1]):
        return float(images[place])
    return float(np.interp(target, scores[place - 1 : place + 1], images[place - 1 : place + 1]))


def told_saving(row, metric: str) -> str:
    """A row of the table in words."""
    if np.isnan(row.target):
        return f"{row.strategy}: no validation score of {row.control} says what there is to reach."
    ends = f"what {row.control} ends with (validation {metric} {row.target:.3f})"
    if row.reached < row.runs:
        counted = f"in {row.reached} of {row.runs} runs"
        return f"{row.strategy} came to {ends} {counted}: no saving can be told."
    found = f"{row.strategy} came to {ends} after {row.images:,.0f} images, {row.control} itself after "
    found += f"{row.control_images:,.0f}: {row.images_saved:,.0f} images a run saved"
    if np.isnan(row.images_low):
        return f"{found}, {_time(row.seconds_saved)}; one run gives no interval."
    unsure = ", so maybe none" if row.images_low <= 0 <= row.images_high else ""
    found += f" (95 % interval {row.images_low:,.0f} to {row.images_high:,.0f}{unsure})"
    times = [_time(seconds) for seconds in (row.seconds_saved, row.seconds_low, row.seconds_high)]
    return f"{found}, or {times[0]} ({times[1]} to {times[2]})."


def worth(table: pd.DataFrame) -> list[str]:
    """Up to how many labelled images an arm is worth it: a sentence an arm and budget with several sizes."""
    found = []
    for (arm, _), rows in table.groupby(["arm", "budget_share"], sort=False):
        if rows["train_images"].nunique() < 2:
            continue
        rows = rows.sort_values("train_images")
        helps = (rows["verdict"] == "helps").to_numpy()
        good = len(helps) if helps.all() else int(helps.argmin())  # how many of the smallest help
        other = rows.iloc[good:]
        rest = "; ".join(f"{row.verdict} at {row.train_images:.0f}" for row in other.itertuples())
        if good == 0:
            said = f"is not shown to be worth it where labelled images are fewest ({rest})"
        else:
            said = f"is worth it up to {rows['train_images'].iat[good - 1]:.0f} labelled images"
            said += f" ({rest})" if rest else ", the most that were tried"
        found.append(f"{arm}, at {rows['budget_images'].mean():,.0f} images a run, {said}.")
    return found


def taught(table: pd.DataFrame) -> list[str]:
    """What teaching the sources took, a sentence a source."""
    found = []
    for (images, seconds), rows in table.groupby(["pretraining_images", "pretraining_s"], sort=False):
        names = ", ".join(rows["arm"].unique())
        found.append(f"The source of {names} took {images:,.0f} images and {_time(seconds)}, once.")
    return found


def _pairs(costs, curves, strategy: str, control: str, column: str) -> pd.DataFrame:
    """Fold by fold and seed by seed: ``target``, and ``images, seconds`` of both until it is reached."""
    rows = []
    for key in costs.loc[strategy].index:
        own, other = (curves[(name, *key)] for name in (strategy, control))
        scores = [curve.get(column, pd.Series(np.nan, curve.index)).to_numpy(float) for curve in (own, other)]
        target = scores[1][-1]
        seen = [
            first_images(curve["images"].to_numpy(), score, target)
            for curve, score in zip((own, other), scores, strict=True)
        ]
        pace = [costs.loc[(name, *key), "images_per_s"] for name in (strategy, control)]
        row = {"fold": key[0], "target": target, "images": seen[0], "control_images": seen[1]}
        row |= {"images_saved": seen[1] - seen[0], "seconds_saved": seen[1] / pace[1] - seen[0] / pace[0]}
        rows.append(row)
    return pd.DataFrame(rows)


def _saved(pairs: pd.DataFrame) -> dict:
    """The means of the pairs, with intervals; none of what not every pair came to."""
    reached = int(pairs["images"].notna().sum())
    found = {"runs": len(pairs), "reached": reached, "target": pairs["target"].mean()}
    means = pairs.mean() if reached == len(pairs) else pairs.mean() * np.nan
    found |= means.drop(["fold", "target"]).to_dict()
    for unit in ("images", "seconds"):
        low, high = _interval(_independent(pairs, f"{unit}_saved"))
        found |= {f"{unit}_low": low, f"{unit}_high": high}
    return found


def _independent(pairs: pd.DataFrame, column: str) -> np.ndarray:
    """Values that do not share a training set: the mean of each fold, or of one fold its seeds."""
    folds = pairs.groupby("fold")[column].agg(lambda values: values.mean(skipna=False))
    return folds.to_numpy() if len(folds) > 1 else pairs[column].to_numpy()


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Of the mean, over independent values."""
    if len(values) < 2 or np.isnan(values).any():
        return np.nan, np.nan
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _cost(runs: pd.DataFrame) -> dict:
    """What a run of a strategy takes, mean over runs."""
    epoch_s = runs["samples"] / runs["images_per_s"] if "samples" in runs else pd.Series(np.nan, runs.index)
    means = {key: runs[key].mean() for key in ("trainable", "peak_memory_mb")}
    return means | {"epoch_s": epoch_s.mean()}


def _time(seconds: float) -> str:
    """Seconds, minutes or hours, whichever shows two digits."""
    for size, unit in ((3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{round(seconds)} s"
