"""From scores to sentences' numbers: effect, interval, verdict, and what would settle an open one.

Every strategy is compared with its reference on the same seeds and the same test images: a matrix of paired
differences, seeds by units (`stratagem.comparison.endpoints`). Intervals of the primary endpoint hold for the
whole family at once; all else is marked "not adjusted", and each comparison stands for itself.
"""

from typing import Any

import numpy as np
import pandas as pd

from stratagem.comparison.design import PRIMARY_CLASS, UNADJUSTED, Design
from stratagem.comparison.endpoints import Endpoint
from stratagem.comparison.intervals import Scatter, one_tail, p_value, scatter
from stratagem.comparison.verdicts import VERDICTS, detectable, limits, need, verdicts

__all__ = ["COLUMNS", "compare", "family", "is_primary", "pairs"]

AIMS = {"effect": False, "margin": True}  # what a study may be planned for; whether by showing equality
ENDS = ("low", "high")
INTERVAL = ["low", "high", "inner_low", "inner_high", "p"]
COLUMNS = [
    *("strategy", "reference", "metric", "class", "unit", "seeds", "units"),
    *("mean", "reference_mean", "difference", *INTERVAL, "verdict", "limit", "detectable"),
    *(f"{aim}_{what}_{end}" for aim in AIMS for what in ("seeds", "units") for end in ENDS),
]


def is_primary(endpoint: Endpoint, design: Design) -> bool:
    """Whether it is the endpoint that verdicts are about."""
    return (endpoint.metric, endpoint.name) == (design.metric, PRIMARY_CLASS)


def compare(endpoints: list[Endpoint], design: Design) -> pd.DataFrame:
    """The main table: one row a (strategy, reference, metric, class).

    Parameters
    ----------
    endpoints : list of Endpoint
        Of all metrics and classes.
    design : Design

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; first the primary endpoint (class ``mean``), with verdicts and what limits them,
        then the secondary ones.

    Raises
    ------
    DataError
        If a strategy and its reference were not tested with the same seeds on the same images.
    """
    ordered = sorted(endpoints, key=lambda endpoint: not is_primary(endpoint, design))
    rows = [row for endpoint in ordered for row in _rows(endpoint, design)]
    return pd.DataFrame(rows, columns=COLUMNS)


def family(differences: np.ndarray, unit: str) -> Scatter | None:
    """The parts of an endpoint's intervals; None where there are no two seeds and units, or no two folds.

    Parameters
    ----------
    differences : float, (m, S, U)
        Of each comparison.
    unit : str
        image, group or fold.
    """
    if unit == "fold":  # its networks share their training images: one replicate a fold
        differences = differences.mean(axis=1)[..., None]
    elif differences.shape[2] < 2:
        return None
    return scatter(differences) if differences.shape[1] > 1 else None


def pairs(endpoint: Endpoint | None, references: dict[str, str]) -> pd.DataFrame:
    """Every paired difference, mean over seeds: ``strategy, reference, unit, difference``.

    Parameters
    ----------
    endpoint : Endpoint or None
        None where no test image holds a foreground class.
    references : dict
        The reference of each strategy compared.
    """
    if endpoint is None or not references:
        return pd.DataFrame(columns=["strategy", "reference", "unit", "difference"])
    means = endpoint.differences(references).mean(axis=1)
    return pd.DataFrame(
        {
            "strategy": np.repeat(list(references), len(endpoint.units)),
            "reference": np.repeat(list(references.values()), len(endpoint.units)),
            "unit": endpoint.units * len(references),
            "difference": means.ravel(),
        }
    )


def _rows(endpoint: Endpoint, design: Design) -> list[dict]:
    """The rows of one endpoint, all strategies."""
    if not design.references:
        return []
    primary = is_primary(endpoint, design)
    comparisons = len(design.references) if primary else 1
    differences = endpoint.differences(design.references)
    found = family(differences, endpoint.unit)
    table = _means(endpoint, design.references).assign(
        difference=differences.mean(axis=(1, 2)), **_decided(endpoint, found, comparisons, design.margin)
    )
    blind = (table["mean"] == 0) & (table["reference_mean"] == 0)  # no tie: neither finds anything
    if found is not None:
        table.loc[blind, [*INTERVAL, "detectable"]] = np.nan
        table.loc[blind, ["verdict", "limit"]] = [VERDICTS[-1], "nothing found"]
    if not primary:
        table = table.assign(verdict=UNADJUSTED, limit="", detectable=np.nan)
    rows = table.to_dict("records")
    if primary and found is not None:
        for place in np.flatnonzero(~blind):
            rows[place] |= _needs(found, int(place), comparisons, design)
    return rows


def _means(endpoint: Endpoint, references: dict[str, str]) -> pd.DataFrame:
    """What is compared, of how many seeds and units, and both means."""
    table = pd.DataFrame({"strategy": list(references), "reference": list(references.values())})
    size = {"seeds": len(endpoint.seeds), "units": len(endpoint.units)}
    means = {
        name: [endpoint.of(strategy).mean() for strategy in table[of]]
        for name, of in (("mean", "strategy"), ("reference_mean", "reference"))
    }
    named: dict[str, Any] = {"metric": endpoint.metric, "class": endpoint.name, "unit": endpoint.unit}
    return table.assign(**named, **size, **means)


def _decided(endpoint: Endpoint, found: Scatter | None, comparisons: int, margin: float) -> dict[str, Any]:
    """The columns of intervals and verdicts; the reason where there is no interval."""
    if found is None:
        lacking = "one seed" if len(endpoint.seeds) < 2 and endpoint.unit != "fold" else "one unit"
        return dict.fromkeys([*INTERVAL, "detectable"], np.nan) | {"verdict": VERDICTS[-1], "limit": lacking}
    half, inner = (found.half(level * one_tail(comparisons)) for level in (1, 2))
    return {
        "low": found.mean - half,
        "high": found.mean + half,
        "inner_low": found.mean - inner,
        "inner_high": found.mean + inner,
        "p": [p_value(found, place, comparisons) for place in range(len(found.mean))],
        "verdict": verdicts(found, comparisons, margin),
        "limit": limits(found, comparisons),
        "detectable": detectable(found, comparisons),
    }


def _needs(found: Scatter, place: int, comparisons: int, design: Design) -> dict[str, float]:
    """The columns of what would settle a comparison; of folds all that counts is their number."""
    columns: dict[str, float] = {}
    for aim, equality in AIMS.items():
        wanted = need(found, place, comparisons, getattr(design, aim), equality=equality)
        sizes = {"seeds": wanted.seeds, "units": wanted.units} if found.units > 1 else {"units": wanted.seeds}
        for what, ends in sizes.items():
            columns |= {f"{aim}_{what}_{end}": size for end, size in zip(ENDS, ends, strict=True)}
    return columns
