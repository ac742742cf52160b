"""Is the error of a mean the one that mixed models find? Beside R's lme4 and lmerTest, where R is installed.

    apt-get install r-cran-lme4 r-cran-lmertest
    python benchmarks/lme4.py [--studies 20]

Matrices of paired differences are drawn, seeds and units with effects of their own. lme4 fits y ~ 1 + (1 |
seed) + (1 | unit) by REML, lmerTest adds Satterthwaite's degrees of freedom. Where no variance is estimated
as zero (`isSingular`), REML and the mean squares of `stratagem.comparison.intervals` are the same estimate,
so the standard errors have to agree. The half-widths need not: ours adds the parts as squares of half-widths,
which is wider where seeds are few.
"""

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.comparison.intervals import one_tail, scatter

SIZES = ((3, 20), (5, 20), (5, 50), (10, 50))  # seeds, units
SEED_SDS, UNIT_SD, NOISE_SD = (0.03, 0.03, 0.004), 0.06, 0.04  # the last is often estimated as zero
FIT = """
suppressMessages(library(lmerTest))
rows <- read.csv(commandArgs(TRUE)[1])
for (study in unique(rows$study)) {
  own <- rows[rows$study == study, ]
  fit <- suppressMessages(lmer(y ~ 1 + (1 | seed) + (1 | unit), own))
  found <- coef(summary(fit))
  cat(study, isSingular(fit), found[1, "Std. Error"], found[1, "df"], sep = ",")
  cat("\\n")
}
"""


def main() -> None:
    """Print both, study by study, and how far they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20)
    studies = parser.parse_args().studies
    drawn = [_drawn(number) for number in range(studies)]
    found = [scatter(matrix[None]) for matrix in drawn]
    table = _fitted(drawn)
    table["seeds x units"] = [f"{matrix.shape[0]} x {matrix.shape[1]}" for matrix in drawn]
    table["error, ours"] = [one.error()[0] for one in found]
    table["half, lmerTest"] = -_quantile(table["df"]) * table["error, lme4"]
    table["half, ours"] = [one.half(one_tail(1))[0] for one in found]
    print(table.to_string(index=False))
    for kind, name in (("FALSE", "regular"), ("TRUE", "singular")):
        fits = table[table["singular"] == kind]
        apart = fits["error, ours"] / fits["error, lme4"] - 1
        ratio = fits["half, ours"] / fits["half, lmerTest"]
        print(f"\n{len(fits)} {name} fits: standard errors, ours to lme4's: {apart.min():+.1e} to", end=" ")
        print(f"{apart.max():+.1e}; half-widths, ours to lmerTest's: {ratio.min():.2f} to {ratio.max():.2f}")


def _drawn(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    seeds, units = SIZES[number % len(SIZES)]
    return (
        0.02
        + rng.normal(0, SEED_SDS[number % len(SEED_SDS)], (seeds, 1))
        + rng.normal(0, UNIT_SD, (1, units))
        + rng.normal(0, NOISE_SD, (seeds, units))
    )


def _fitted(drawn: list[np.ndarray]) -> pd.DataFrame:
    """What R makes of each: ``study, singular``, standard error of the mean, degrees of freedom."""
    rows = [
        pd.DataFrame({"seed": seed, "unit": unit, "y": matrix.ravel(), "study": number})
        for number, matrix in enumerate(drawn)
        for seed, unit in [(place.ravel() for place in np.indices(matrix.shape))]
    ]
    with tempfile.TemporaryDirectory() as folder:
        data, script = Path(folder, "rows.csv"), Path(folder, "fit.R")
        pd.concat(rows).to_csv(data, index=False)
        script.write_text(FIT)
        done = subprocess.run(["Rscript", script, data], capture_output=True, text=True, check=True)
    return pd.read_csv(
        io.StringIO(done.stdout), names=["study", "singular", "error, lme4", "df"], dtype={"singular": str}
    )


def _quantile(freedom: pd.Series) -> np.ndarray:
    """Student's t below which a tail of the level lies."""
    return stdtrit(freedom, one_tail(1))


if __name__ == "__main__":
    main()
