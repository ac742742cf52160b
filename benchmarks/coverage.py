"""Do the intervals hold? Coverage of a nominal 95 % in simulated studies, beside what most would print.

    python benchmarks/coverage.py [--studies 1000]

A study is drawn as two strategies' logit scores: an image's difficulty (sd 0.8), its own liking of each
strategy (sd 0.3), noise of each run and image (sd 0.3), and an effect of each training seed (sd 0.1 or 0.3);
Dice is their logistic, so it is skewed and bounded. The truth is the mean difference over 200,000 draws of
new seeds and images. `crossed` is `stratagem.comparison.effects.interval`; `images only` averages over seeds
and takes Student's t over images.

The second table is of a family: five strategies with one reference, none of which has an effect, in how
many of the studies all five intervals hold 0, and their mean width, with the seed variance of each
comparison alone and pooled.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.comparison.effects import Design, compare, interval

DESIGNS = [(3, 20), (3, 50), (3, 200), (5, 50), (10, 50)]  # seeds, images
SEED_SD = {"small": 0.1, "large": 0.3}
FAMILY = dict.fromkeys("bcdef", "a")
EFFECT, DIFFICULTY_SD, LIKING_SD, NOISE_SD = 0.2, 0.8, 0.3, 0.3


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    _one_comparison(studies)
    _family(studies)


def _one_comparison(studies: int) -> None:
    print(f"{'seeds x images':>15} {'seed sd':>8} {'images only':>12} {'crossed':>8}")
    for seeds, images in DESIGNS:
        for name, seed_sd in SEED_SD.items():
            rng = np.random.default_rng(0)
            truth = np.mean([_draw(rng, 20, 100, seed_sd).mean() for _ in range(100)])
            drawn = [_draw(rng, seeds, images, seed_sd) for _ in range(studies)]
            only = np.mean([_covers(_images_only(table), truth) for table in drawn])
            ours = np.mean([_covers(_crossed(table), truth) for table in drawn])
            print(f"{f'{seeds} x {images}':>15} {name:>8} {only:12.2f} {ours:8.2f}")


def _family(studies: int) -> None:
    print(
        f"\n{'seeds x images':>15} {'seed sd':>8} {'alone':>6} {'width':>6} {'as shipped':>11} {'width':>6}"
    )
    for seeds, images in DESIGNS[:2]:
        for name, seed_sd in SEED_SD.items():
            rng = np.random.default_rng(0)
            found = [_held(_scores(rng, (0.0,) * 6, seeds, images, seed_sd)) for _ in range(studies)]
            alone, width, ours, shipped = np.mean(found, axis=0)
            print(
                f"{f'{seeds} x {images}':>15} {name:>8} {alone:6.2f} {width:6.3f} {ours:11.2f} {shipped:6.3f}"
            )


def _held(scores: list[np.ndarray]) -> tuple[float, float, float, float]:
    """Whether all five intervals hold 0, and their mean width: each alone, and as shipped."""
    alone = [interval(one - scores[0], len(FAMILY)) for one in scores[1:]]
    alone = [(found.low, found.high) for found in alone]
    table = compare(
        _evaluation(scores),
        pd.Series(range(scores[0].shape[1])),
        Design(FAMILY, "dice", 0.01, ["background", "cell"]),
    )
    shipped = table[table["verdict"] != "not adjusted"][["low", "high"]].to_numpy()
    return tuple(
        value
        for bounds in (np.array(alone), shipped)
        for value in (all(_covers(one, 0) for one in bounds), np.diff(bounds).mean())
    )


def _evaluation(scores: list[np.ndarray]) -> pd.DataFrame:
    """Counts of a million pixels of which that share is found: Dice as drawn."""
    seeds, images = np.indices(scores[0].shape)
    parts = [
        pd.DataFrame({"seed": seeds.ravel(), "sample": images.ravel(), "tp": 1e6 * one.ravel()}).assign(
            strategy=name, fold=0
        )
        for name, one in zip("abcdef", scores, strict=True)
    ]
    table = pd.concat(parts, ignore_index=True).assign(**{"class": 1})
    return table.assign(fp=1e6 - table["tp"], fn=1e6 - table["tp"])


def _draw(rng: np.random.Generator, seeds: int, images: int, seed_sd: float) -> np.ndarray:
    """Paired differences of Dice, (S, U)."""
    one, other = _scores(rng, (0.0, EFFECT), seeds, images, seed_sd)
    return other - one


def _scores(
    rng: np.random.Generator, effects: tuple[float, ...], seeds: int, images: int, seed_sd: float
) -> list[np.ndarray]:
    """Dice of strategies with these effects, (S, U) each."""
    difficulty = rng.normal(1.2, DIFFICULTY_SD, images)
    scores = []
    for effect in effects:
        liking = rng.normal(0, LIKING_SD, images)
        seed = rng.normal(0, seed_sd, (seeds, 1))
        noise = rng.normal(0, NOISE_SD, (seeds, images))
        scores.append(expit(difficulty + effect + liking + seed + noise))
    return scores


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
