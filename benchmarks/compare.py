"""How long the comparison takes, beside the mixed models that would be fitted for the same rows.

    python benchmarks/compare.py [--strategies 10] [--seeds 5] [--images 200] [--classes 4] [--fits 20]

Counts of a made-up study; the median of three. `compare` builds the arrays of all endpoints once and makes
every row of comparison.csv; `all tables of evaluations` adds scores, sizes, runs, pairs, classes that no run
finds and the certificate. The peer is R's lme4, where it is installed: seconds a fit, times the rows.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.comparison.design import Design
from stratagem.comparison.effects import compare, pairs
from stratagem.comparison.endpoints import Endpoint, endpoints
from stratagem.comparison.failures import unfound
from stratagem.comparison.scores import by_run, by_size, scores
from stratagem.comparison.simulation import certificate, measured, shape_of
from stratagem.evaluation.metrics import METRICS

ROUNDS = 3
FIT = """
suppressMessages(library(lme4))
rows <- read.csv(commandArgs(TRUE)[1])
fits <- as.integer(commandArgs(TRUE)[2])
taken <- system.time(for (n in 1:fits) suppressMessages(lmer(y ~ 1 + (1 | seed) + (1 | unit), rows)))
cat(taken[["elapsed"]] / fits)
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, size in (("strategies", 10), ("seeds", 5), ("images", 200), ("classes", 4), ("fits", 20)):
        parser.add_argument(f"--{name}", type=int, default=size)
    given = parser.parse_args()
    evaluation, units, sizes = _study(given)
    names = list(evaluation["strategy"].unique())
    classes = [f"class-{number}" for number in range(given.classes)]
    design = Design(dict.fromkeys(names[1:], names[0]), "dice", 0.01, 0.03, classes)

    def built() -> list[Endpoint]:
        return [one for metric in METRICS for one in endpoints(evaluation, units, metric, classes)]

    def whole() -> None:
        found = built()
        compare(found, design)
        scores(evaluation, units, found, classes)
        by_size(evaluation, units, sizes)
        by_run(evaluation, units, "dice")
        pairs(found[0], design.references)
        unfound(evaluation, classes)
        certificate(measured(found[0]), shape_of(found[0]), design)

    rows = compare(built(), design)
    print(f"{len(evaluation):,} counts, {len(rows)} rows")
    seconds = _seconds(lambda: compare(built(), design))
    print(f"compare: {seconds:.2f} s; all tables of evaluations: {_seconds(whole):.2f} s")
    if shutil.which("Rscript"):
        peer = _fit_seconds(built()[0], design, given.fits) * len(rows)
        print(f"lme4, a fit a row: {peer:.2f} s; compare takes {seconds / peer:.2f} times as long")


def _study(given) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Counts of every strategy, seed, image and class; each image a group of its own; sizes."""
    rng = np.random.default_rng(0)
    shape = (given.strategies, given.seeds, given.images, given.classes)
    strategy, seed, image, number = (place.ravel() for place in np.indices(shape))
    hits = rng.integers(1, 1000, strategy.size)
    table = pd.DataFrame({"strategy": [f"strategy-{n:02}" for n in strategy], "fold": 0, "seed": seed})
    table["sample"] = [f"image-{n:04}" for n in image]
    table = table.assign(**{"class": number, "tp": hits, "fp": 1000 - hits, "fn": 1000 - hits, "tn": 0})
    names = table["sample"].unique()
    sizes = pd.DataFrame({"height": 64, "width": rng.integers(64, 70, len(names))}, index=names)
    return table, pd.Series(names, index=names), sizes


def _seconds(work: Callable) -> float:
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken)


def _fit_seconds(endpoint: Endpoint, design: Design, fits: int) -> float:
    """Of lme4, for one matrix of paired differences."""
    matrix = endpoint.differences(design.references)[0]
    seed, unit = (place.ravel() for place in np.indices(matrix.shape))
    with tempfile.TemporaryDirectory() as folder:
        data, script = Path(folder, "rows.csv"), Path(folder, "fit.R")
        pd.DataFrame({"seed": seed, "unit": unit, "y": matrix.ravel()}).to_csv(data, index=False)
        script.write_text(FIT)
        done = subprocess.run(
            ["Rscript", script, data, str(fits)], capture_output=True, text=True, check=True
        )
    return float(done.stdout)


if __name__ == "__main__":
    main()
