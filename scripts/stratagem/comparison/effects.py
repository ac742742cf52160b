"""From scores to sentences' numbers: effect, interval, verdict, and what would settle an open one.

Every strategy is compared with its reference on the same seeds and the same test images: a matrix of paired
differences, seeds by units (`stratagem.comparison.endpoints`). Intervals of the primary endpoint hold for the
whole family at once; all else is marked "not adjusted", and each comparison stands for itself.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from stratagem.comparison.design import PRIMARY_CLASS, UNADJUSTED, Design
from stratagem.comparison.endpoints import Endpoint
from stratagem.comparison.intervals import Scatter, one_tail, p_value, scatter
from stratagem.comparison.verdicts import VERDICTS, detectable, limits, need, verdicts

__all__ = ["COLUMNS", "compare", "family", "is_primary", "pairs"]

NEEDS = [
    f"{aim}_{what}_{end}"
    for aim in ("effect", "margin")
    for what in ("seeds", "units")
    for end in ("low", "high")
]
COLUMNS = [
    *("strategy", "reference", "metric", "class", "unit", "seeds", "units"),
    *("mean", "reference_mean", "difference", "low", "high", "inner_low", "inner_high", "p"),
    *("verdict", "limit", "detectable"),
    *NEEDS,
]


@dataclass(frozen=True)
class _Decision:
    """What one comparison comes to; numbers are NaN where there is no interval."""

    low: float = np.nan
    high: float = np.nan
    inner_low: float = np.nan
    inner_high: float = np.nan
    p: float = np.nan
    verdict: str = VERDICTS[-1]
    limit: str = ""
    detectable: float = np.nan


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


def family(endpoint: Endpoint, references: dict[str, str]) -> Scatter | None:
    """The parts of an endpoint's intervals; None where there are no two seeds and units, or no two folds.

    Parameters
    ----------
    endpoint : Endpoint
    references : dict
        The reference of each strategy compared; one at least.
    """
    differences = endpoint.differences(references)
    if endpoint.unit == "fold":  # its networks share their training images: one replicate a fold
        return scatter(differences.mean(axis=1)[..., None]) if len(endpoint.units) > 1 else None
    return scatter(differences) if min(differences.shape[1:]) > 1 else None


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
    found = family(endpoint, design.references)
    comparisons = len(design.references) if primary else 1
    decided = _decisions(endpoint, found, design, comparisons)
    differences = endpoint.differences(design.references).mean(axis=(1, 2))
    rows = []
    for place, (strategy, reference) in enumerate(design.references.items()):
        row: dict[str, Any] = {"strategy": strategy, "reference": reference, "metric": endpoint.metric}
        row |= {"class": endpoint.name, "unit": endpoint.unit}
        row |= {"seeds": len(endpoint.seeds), "units": len(endpoint.units)}
        row |= {"mean": endpoint.of(strategy).mean(), "reference_mean": endpoint.of(reference).mean()}
        row |= {"difference": differences[place]} | asdict(decided[place])
        if not primary:
            row |= {"verdict": UNADJUSTED, "limit": "", "detectable": np.nan}
        elif found is not None and np.isfinite(row["low"]):
            row |= _needs(found, place, comparisons, design)
        rows.append(row)
    return rows


def _decisions(
    endpoint: Endpoint, found: Scatter | None, design: Design, comparisons: int
) -> list[_Decision]:
    if found is None:
        lacking = "one seed" if len(endpoint.seeds) < 2 and endpoint.unit != "fold" else "one unit"
        return [_Decision(limit=lacking)] * len(design.references)
    half, inner = (found.half(level * one_tail(comparisons)) for level in (1, 2))
    answers = verdicts(found, comparisons, design.margin)
    limited, seen = limits(found, comparisons), detectable(found, comparisons)
    return [
        _Decision(
            mean - half[place],
            mean + half[place],
            mean - inner[place],
            mean + inner[place],
            p_value(found, place, comparisons),
            str(answers[place]),
            str(limited[place]),
            seen[place],
        )
        if endpoint.of(strategy).any() or endpoint.of(reference).any()
        else _Decision(limit="nothing found")  # no tie: neither finds anything
        for place, (mean, (strategy, reference)) in enumerate(
            zip(found.mean, design.references.items(), strict=True)
        )
    ]


def _needs(found: Scatter, place: int, comparisons: int, design: Design) -> dict[str, float]:
    """The columns of what would settle a comparison; of folds all that counts is their number."""
    columns: dict[str, float] = {}
    for aim, size, equality in (("effect", design.effect, False), ("margin", design.margin, True)):
        wanted = need(found, place, comparisons, size, equality=equality)
        seeds, units = wanted.seeds, wanted.units
        if found.units == 1:
            seeds, units = (np.nan, np.nan), wanted.seeds
        values = dict(zip(NEEDS[:2], seeds, strict=True)) | dict(zip(NEEDS[2:4], units, strict=True))
        columns |= {name.replace("effect", aim): value for name, value in values.items()}
    return columns
