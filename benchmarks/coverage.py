"""Do the intervals hold? Coverage of a nominal 95 % in simulated studies, beside what most would print.

    python benchmarks/coverage.py [--studies 1000]

A study is drawn as two strategies' logit scores: an image's difficulty (sd 0.8), its own liking of each
strategy (sd 0.3), noise of each run and image (sd 0.3), and an effect of each training seed (sd 0.1 or
0.3); Dice is their logistic, so it is skewed and bounded. The truth is the mean difference over 200,000
draws of new seeds and images. `crossed` is `stratagem.comparison.interval`; `images only` averages over
seeds and takes Student's t over images.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.comparison import interval

DESIGNS = [(3, 20), (3, 50), (3, 200), (5, 50), (10, 50)]  # seeds, images
SEED_SD = {"small": 0.1, "large": 0.3}
EFFECT, DIFFICULTY_SD, LIKING_SD, NOISE_SD = 0.2, 0.8, 0.3, 0.3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    print(f"{'seeds x images':>15} {'seed sd':>8} {'images only':>12} {'crossed':>8}")
    for seeds, images in DESIGNS:
        for name, seed_sd in SEED_SD.items():
            rng = np.random.default_rng(0)
            truth = np.mean([_draw(rng, 20, 100, seed_sd).mean() for _ in range(100)])
            drawn = [_draw(rng, seeds, images, seed_sd) for _ in range(studies)]
            only = np.mean([_covers(_images_only(table), truth) for table in drawn])
            ours = np.mean([_covers(_crossed(table), truth) for table in drawn])
            print(f"{f'{seeds} x {images}':>15} {name:>8} {only:12.2f} {ours:8.2f}")


def _draw(rng: np.random.Generator, seeds: int, images: int, seed_sd: float) -> np.ndarray:
    """Paired differences of Dice, (S, U)."""
    difficulty = rng.normal(1.2, DIFFICULTY_SD, images)
    scores = []
    for effect in (0.0, EFFECT):
        liking = rng.normal(0, LIKING_SD, images)
        seed = rng.normal(0, seed_sd, (seeds, 1))
        noise = rng.normal(0, NOISE_SD, (seeds, images))
        scores.append(expit(difficulty + effect + liking + seed + noise))
    return scores[1] - scores[0]


def _crossed(table: np.ndarray) -> tuple[float, float]:
    found = interval(table)
    return found.low, found.high


def _images_only(table: np.ndarray) -> tuple[float, float]:
    means = table.mean(axis=0)
    return stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means))


def _covers(bounds: tuple[float, float], truth: float) -> bool:
    return bounds[0] <= truth <= bounds[1]


if __name__ == "__main__":
    main()
