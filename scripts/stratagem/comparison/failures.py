"""What no interval covers: runs that learned nothing, and classes that no run finds.

An interval speaks of runs like those that it has sampled. A failure that strikes one run in twenty is in no
sample of three, so what failed is named beside the verdict, with how often it may: `may_fail`.
"""

import pandas as pd
from scipy import stats

from stratagem.comparison.design import RUN

__all__ = ["collapsed", "may_fail", "unfound"]

FOUND = 0.01  # share of a class's pixels; fewer may be chance


def collapsed(evaluation: pd.DataFrame) -> pd.Series:
    """Whether a run finds one class alone, or none, in most of the test images that hold several.

    A class is found where more than a hundredth of its pixels are.

    Parameters
    ----------
    evaluation : DataFrame
        ``strategy, fold, seed, sample, class, tp, fp, fn`` of all runs.

    Returns
    -------
    Series of bool
        By strategy, fold, seed; a run without such an image is absent.
    """
    pixels = evaluation["tp"] + evaluation["fn"]
    signs = {"held": pixels > 0, "found": evaluation["tp"] > FOUND * pixels}
    classes = evaluation.assign(**signs).groupby([*RUN, "sample"])[["held", "found"]].sum()
    alone = classes.loc[classes["held"] > 1, "found"] <= 1
    return alone.groupby(RUN).mean() > 0.5


def unfound(evaluation: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The foreground classes of which no run finds a hundredth of the pixels.

    Parameters
    ----------
    evaluation : DataFrame
        As for `collapsed`.
    classes : list of str
        Names by index.

    Returns
    -------
    DataFrame
        ``class, share``: of all test pixels that the class covers.
    """
    counted = evaluation.assign(true=evaluation["tp"] + evaluation["fn"])
    by_run = counted.groupby([*RUN, "class"])[["true", "tp"]].sum()
    best = (by_run["tp"] / by_run["true"].where(by_run["true"] > 0)).groupby("class").max()
    share = by_run["true"].groupby("class").sum() / by_run["true"].sum()
    lost = [number for number in best.index[best <= FOUND] if number > 0]
    return pd.DataFrame({"class": [classes[n] for n in lost], "share": [share[n] for n in lost]})


def may_fail(failed: int, runs: int) -> float:
    """The share of new runs that may fail: the upper end of an exact 95 % interval (Clopper & Pearson 1934).

    Parameters
    ----------
    failed, runs : int
        How many of how many.
    """
    return float(stats.binomtest(failed, runs, alternative="less").proportion_ci(0.95).high)
