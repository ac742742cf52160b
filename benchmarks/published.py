"""What the intervals of today make of studies published with earlier ones, as far as their tables allow.

    python benchmarks/published.py

Of docs/dsb2018.md there are the mean Dice of every run (to a thousandth) and the intervals of version 0.2.
The first give each comparison's seed variance. The second, undone by the method that made them (each
comparison's own mean squares and Satterthwaite's degrees of freedom, since the strategies scatter unequally),
give the images' part. What rounding leaves open is tried out: seeds' means moved at random within their last
digit.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.comparison.intervals import Scatter, one_tail, scatter
from stratagem.comparison.verdicts import detectable, limits, need, verdicts

UNITS, MARGIN, EFFECT = 133, 0.01, 0.03
BASELINE = (0.907, 0.901, 0.905)
RUNS = {  # mean Dice by seed; ends of the interval of 0.2
    "resize": ((0.863, 0.890, 0.877), (-0.122, 0.066)),
    "pad": ((0.851, 0.829, 0.778), (-0.320, 0.145)),
    "letterbox": ((0.850, 0.890, 0.874), (-0.164, 0.098)),
    "bucket": ((0.867, 0.890, 0.863), (-0.143, 0.081)),
    "tile": ((0.854, 0.838, 0.857), (-0.080, -0.033)),
    "augment": ((0.877, 0.888, 0.875), (-0.064, 0.016)),
    "full-data": ((0.908, 0.909, 0.908), (-0.025, 0.032)),
    "transfer": ((0.906, 0.898, 0.905), (-0.005, 0.002)),
}
ROUNDED = 0.0005
DRAWS = 200


def main() -> None:
    """Print each comparison as it was and as it is now."""
    found = _scatter(np.array([runs for runs, _ in RUNS.values()]) - BASELINE)
    halves = np.array([_scatter(_unrounded(seed)).half(one_tail(len(RUNS))) for seed in range(DRAWS)])
    tail, half = one_tail(len(RUNS)), found.half(one_tail(len(RUNS)))
    low, high = (found.mean + sign * half for sign in (-1, 1))
    wanted = [need(found, place, len(RUNS), EFFECT).seeds for place in range(len(RUNS))]
    table = pd.DataFrame(
        {
            "strategy": list(RUNS),
            "difference": found.mean,
            "half, 0.2": [(high - low) / 2 for _, (low, high) in RUNS.values()],
            "half": half,
            "rounding, from": np.quantile(halves, 0.05, axis=0),
            "to": np.quantile(halves, 0.95, axis=0),
            "low": low,
            "high": high,
            "inner low": found.mean - found.half(2 * tail),
            "inner high": found.mean + found.half(2 * tail),
            "verdict": verdicts(found, len(RUNS), MARGIN),
            "limit": limits(found, len(RUNS)),
            "sees": detectable(found, len(RUNS)),
            f"seeds for {EFFECT}": [f"{least:.0f} to {most:.0f}" for least, most in wanted],
        }
    )
    print(table.round(3).to_string(index=False))


def _unrounded(seed: int) -> np.ndarray:
    """Differences of seeds' means, (8, 3), as they may have been before they were rounded."""
    rng = np.random.default_rng(seed)
    runs = np.array([runs for runs, _ in RUNS.values()])
    return (
        runs
        + rng.uniform(-ROUNDED, ROUNDED, runs.shape)
        - (BASELINE + rng.uniform(-ROUNDED, ROUNDED, len(BASELINE)))
    )


def _scatter(differences: np.ndarray) -> Scatter:
    """The parts of today's intervals: seed variances from the runs, the images' from the old widths."""
    found = scatter(differences[..., None])
    variances = differences.var(axis=1, ddof=1)
    ends = [ends for _, ends in RUNS.values()]
    unit = [_unit(variance, (high - low) / 2) for variance, (low, high) in zip(variances, ends, strict=True)]
    return Scatter(
        found.mean,
        found.seed_variance,
        np.array(unit) * UNITS,
        found.prior,
        found.replicates,
        UNITS,
        found.identical,
    )


def _unit(variance: float, half: float) -> float:
    """The images' part of the squared error that makes the old interval so wide."""
    seeds = len(BASELINE)

    def excess(part: float) -> float:
        whole = variance / seeds + part
        freedom = whole**2 / ((variance / seeds) ** 2 / (seeds - 1) + part**2 / (UNITS - 1))
        return float(-stdtrit(freedom, one_tail(len(RUNS))) * np.sqrt(whole)) - half

    ends = np.geomspace(1e-9, 1e-1, 400)
    values = np.array([excess(part) for part in ends])
    crossed = np.flatnonzero(np.diff(np.sign(values)))
    if not len(crossed):  # no part fits, for rounding: the nearest
        return float(ends[np.abs(values).argmin()])
    # Two may fit, since an image part also raises the degrees of freedom. The larger one would mean that
    # images differ by 0.3 Dice and more in how they like a strategy, which they do not.
    place = crossed[0]
    return float(brentq(excess, ends[place], ends[place + 1]))


if __name__ == "__main__":
    main()
