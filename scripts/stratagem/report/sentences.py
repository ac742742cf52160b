"""What the tables of a comparison say, in sentences: verdicts, what would settle them, how far they hold."""

import numpy as np
import pandas as pd

from stratagem.comparison.endpoints import UNITS
from stratagem.comparison.failures import may_fail
from stratagem.evaluation.metrics import METRICS

__all__ = ["certified", "changed", "failures", "fewer_steps", "sentence", "settling", "unfound"]

VERDICTS = {
    "helps": "{} helps against {}",
    "hurts": "{} hurts against {}",
    "no difference": "{} makes no difference against {}",
    "cannot tell yet": "{} against {}: cannot tell yet",
}
NO_INTERVAL = {
    "one seed": "One seed gives no interval: nothing is known of how much another one would differ.",
    "nothing found": "Neither of the two finds anything.",
    "nothing": "Both make the same predictions.",
}
FAR = 0.5  # of the reference's steps: more or fewer than that are told


def sentence(row) -> str:
    """One row of the comparison in words: verdict, effect, interval, how many seeds and units.

    The interval is told up to what a difference of two scores can be, -1 to 1. Beside *no difference* stands
    the interval that decides it, of two one-sided tests.

    Parameters
    ----------
    row : row of comparison.csv
        Of the primary endpoint, which alone has verdicts.
    """
    words = VERDICTS[row.verdict].format(row.strategy, row.reference)
    change = f"{METRICS[row.metric].label} {row.reference_mean:.3f} → {row.mean:.3f} ({row.difference:+.3f}"
    if not np.isnan(row.low):
        change += f", 95 % interval {_possible(row.low)} to {_possible(row.high)}"
    if row.verdict == "no difference" and row.low < row.high:
        change += f", 90 % interval {_possible(row.inner_low)} to {_possible(row.inner_high)}"
    return f"{words}: {change}; {_size(row, ' × ')})."


def settling(row, effect: float, margin: float) -> str:
    """What makes a row's interval wide, what the study can see, and what it would take to see more.

    Parameters
    ----------
    row : row of comparison.csv
        Of the primary endpoint.
    effect : float
        That the study is planned for.
    margin : float
        Of *no difference*.
    """
    if np.isnan(row.detectable):
        one = f"One {UNITS[row.unit][0]} gives no interval."
        return NO_INTERVAL.get(row.limit, one)
    if row.limit == "nothing":
        return NO_INTERVAL["nothing"]
    parts = [f"{_size(row, ' and ')} see an effect of {row.detectable:.2g} and more"]
    if row.detectable > effect > margin:
        parts.append(f"{_needed(row, 'effect')} would see {effect:g}")
    if row.verdict == "cannot tell yet" and margin > 0:
        parts.append(
            f"if there is none, to show that (within ±{margin:g}) would take {_needed(row, 'margin')}"
        )
    return f"{_limit(row)}{'; '.join(parts)}."


def certified(certificate: pd.DataFrame) -> str | None:
    """How often verdicts of such a study err, by simulation; None where nothing is compared.

    Parameters
    ----------
    certificate : DataFrame
        Of `stratagem.comparison.simulation.certificate`.
    """
    if certificate.empty:
        return None
    row = certificate.iloc[0]
    shares = {
        name: f"{100 * row[name]:.1f} % (± {100 * row[f'{name}_error']:.1f})"
        for name in ("false_verdict", "covered", "power")
    }
    seen = f" An effect of {row['effect']:g} was found in {shares['power']} of the comparisons."
    return (
        f"In {row['studies']:,} simulated studies of this size and scatter in which nothing differs, "
        f"{shares['false_verdict']} said helps or hurts of something, and all intervals held in "
        f"{shares['covered']}.{seen if row['power'] == row['power'] else ''}"
    )


def changed(changes: pd.DataFrame) -> str | None:
    """What this comparison names otherwise than the first one of its runs; None where it is the same.

    Parameters
    ----------
    changes : DataFrame
        Of `stratagem.comparison.precedent.changes`.
    """
    if changes.empty:
        return None
    told = [
        row.what if row.what.startswith("how ") else f"{row.what} ({row.first}, now {row.now})"
        for row in changes.itertuples()
    ]
    return (
        f"The first comparison of these runs ({changes['since'].iat[0]}) named otherwise: {'; '.join(told)}. "
        "A verdict holds at its level for what was named before any result was seen; what is chosen "
        "afterwards needs new seeds and, best, new images."
    )


def failures(runs: pd.DataFrame) -> str:
    """Which runs collapsed, and what no interval says of such failures.

    Parameters
    ----------
    runs : DataFrame
        ``strategy, fold, seed, collapsed``: a row a run.
    """
    fallen = runs[runs["collapsed"]]
    folds = runs["fold"].nunique() > 1
    named = [
        f"{row.strategy} ({f'fold {row.fold}, ' if folds else ''}seed {row.seed})"
        for row in fallen.itertuples()
    ]
    each = int(runs.groupby("strategy").size().min())
    most = int(fallen.groupby("strategy").size().max()) if named else 0
    bound = f"{100 * may_fail(most, each):.0f} %"
    told = f"Collapsed: {', '.join(named)}." if named else "No run collapsed."
    return (
        f"{told} An interval covers no failure that it has not sampled: where {most} of a strategy's {each} "
        f"run{'s' * (each != 1)} collapsed, up to {bound} of new ones may."
    )


def unfound(table: pd.DataFrame) -> list[str]:
    """A sentence for each class that no run finds.

    Parameters
    ----------
    table : DataFrame
        ``class, share``: of all test pixels.
    """
    return [
        f"No run finds {row.name} ({100 * row.share:.3g} % of the test pixels): it scores about 0 for "
        "every strategy, which makes all differences of the mean smaller."
        for row in table.rename(columns={"class": "name"}).itertuples()
    ]


def fewer_steps(row, reference) -> str | None:
    """What is told where a strategy took other numbers of steps than its reference; None where it did not.

    Parameters
    ----------
    row, reference : rows of costs.csv
    """
    if not reference.steps > 0 or abs(row.steps / reference.steps - 1) <= FAR:
        return None
    ratio = row.steps / reference.steps
    times = f"{ratio:.2g} times" if ratio > 0.2 else f"1 / {1 / ratio:.0f}"
    return (
        f"{row.strategy} took {row.steps:.0f} steps, {reference.strategy} {reference.steps:.0f} ({times} as "
        "many): the verdict is of the number of steps too."
    )


def _possible(end: float) -> str:
    return f"{min(max(end, -1), 1):+.3f}"


def _size(row, between: str) -> str:
    """Seeds and units of a row."""
    seeds = f"{row.seeds} seed{'s' * (row.seeds != 1)}"
    units = f"{row.units} {UNITS[row.unit][row.units != 1]}"
    return f"{units} of {seeds}" if row.unit == "fold" else f"{seeds}{between}{units}"


def _limit(row) -> str:
    """What makes the interval wide."""
    if row.limit == "folds":
        return "The folds make the interval wide: "
    causes = ["seeds", UNITS[row.unit][1]]
    if row.limit == "units":
        causes.reverse()
    return "The {}, more than the {}, make the interval wide: ".format(*causes)


def _needed(row, aim: str) -> str:
    """The size of a study that would do."""
    seeds, units = _ends(row, aim, "seeds"), _ends(row, aim, "units")
    many = UNITS[row.unit][1]
    if np.isnan(units[0]):
        return f"{_range(*_beyond(row.seeds, seeds))} seeds"
    if np.isnan(seeds[0]):  # of folds
        return f"{_range(*_beyond(row.units, units))} {many}"
    # The least may be what there is already.
    told = f"up to {_rounded(units[1])}" if units[0] == row.units else _range(*units)
    return f"{told} {many} with {_range(*seeds)} seeds (with {row.units} no number of seeds is likely to do)"


def _ends(row, aim: str, what: str) -> tuple[float, float]:
    """From how many to how many are needed; NaN where those that there are do."""
    return getattr(row, f"{aim}_{what}_low"), getattr(row, f"{aim}_{what}_high")


def _beyond(now: int, ends: tuple[float, float]) -> tuple[float, float]:
    """The part of a range that is more than there is."""
    return max(ends[0], now + 1), max(ends[1], now + 1)


def _range(low: float, high: float) -> str:
    """From and to, large numbers rounded."""
    if np.isinf(low):
        return "more than 1,000"
    if np.isinf(high):
        return f"{_rounded(low)} or more"
    return _rounded(low) if _rounded(low) == _rounded(high) else f"{_rounded(low)} to {_rounded(high)}"


def _rounded(count: float) -> str:
    """A whole number of two significant digits."""
    digits = max(0, int(np.log10(max(count, 1))) - 1)
    return f"{round(count, -digits):,.0f}"
