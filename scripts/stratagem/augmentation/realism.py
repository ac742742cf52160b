"""Can a tiny classifier tell changed images from real ones?

Each picture is asked about in a pair, as it is and changed. The classifier sees the difference of two
pictures' features and has to say which of them is the real one: ridge regression, trained on other groups
than it is asked about. How often it is right is held against what it reaches when the pairs are exchanged
by chance, whole groups at once (a permutation test). If a transform leaves the data's distribution as it
is, real and changed are exchangeable, and the test is exact.

Features, all without training, of brightness and of the classes:

- how well small exemplars, cut from the pictures themselves, are found again at their own orientation
  (tells what is up, and textures), and
- at any orientation (tells hands, wherever objects point),
- levels, contrast and layout, of every channel.

Sources: Coates, Ng, Lee 2011 (features from patches of the data itself); Ojala, Garriga 2010 (permutation
tests of classifiers).
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch.nn import functional

__all__ = ["SIDE", "Told", "distinguish", "features"]

SIDE = 48  # pixels of a picture
EXEMPLARS = 40
EXEMPLAR = 9  # pixels of an exemplar
TURNS = 12
SCALES = (1, 2)
BEST = 20  # responses that are averaged
CELLS = 4  # of the layout, along each side
FOLDS = 5
RIDGE = 1.0
PERMUTATIONS = 9999
SEED = 0


@dataclass(frozen=True)
class Told:
    """What came out.

    Attributes
    ----------
    share : float
        Of the pairs that were told apart rightly; one half is chance.
    p : float
        How often chance does as well.
    """

    share: float
    p: float


def distinguish(real: np.ndarray, changed: np.ndarray, groups: list[str]) -> Told:
    """Tell changed pictures from real ones.

    Parameters
    ----------
    real, changed : float32, (N, SIDE, SIDE, C)
        Pictures, changed in the same order: brightness first, then planes of classes, then what else.
    groups : list of str
        Of each pair; pairs of one group are not independent. Five at least.

    Returns
    -------
    Told
    """
    both = features(np.concatenate([real, changed]))
    kernel = cast(np.ndarray, sum(_kernel(found[: len(real)], found[len(real) :]) for found in both))
    names, group = np.unique(groups, return_inverse=True)
    rng = np.random.Generator(np.random.Philox(SEED))
    answers = _answers(kernel, rng.permutation(len(names))[group] % FOLDS)
    signs = rng.choice([-1.0, 1.0], (len(names), PERMUTATIONS))
    signs = np.concatenate([np.ones((len(names), 1)), signs], axis=1)[group]
    margins = signs * (answers @ signs)
    scores = margins.mean(axis=0) / (margins.std(axis=0) + 1e-12)
    # One that only equals it counts too, so that p is never 0.
    return Told(float((margins[:, 0] > 0).mean()), float((scores >= scores[0] - 1e-9).mean()))


def features(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three families of features: float32 (N, F) each, see the module's docstring.

    Parameters
    ----------
    pictures : float32, (N, SIDE, SIDE, C)
        As in `tell`; the last two channels, the differences of colour, count in the third family alone.

    Returns
    -------
    upright, turned, levels : float32, (N, F)
        F differs between them.
    """
    given = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
    shapes = given[:, :-2]  # without the two differences of colour
    rng = np.random.Generator(np.random.Philox(SEED + 1))
    upright, turned = [], []
    for scale in SCALES:
        coarse = _equalised(functional.avg_pool2d(shapes, scale))
        upright += _responses(coarse, _exemplars(coarse, 1, rng))
        turned += _responses(coarse, _exemplars(coarse, TURNS, rng))
    layout = functional.avg_pool2d(given, SIDE // CELLS).flatten(1)
    levels = [given.mean((2, 3)), given.std((2, 3)), layout]
    return _joined(upright), _joined(turned), _joined(levels)


def _joined(family: list[torch.Tensor]) -> np.ndarray:
    return torch.cat(family, dim=1).numpy()


def _kernel(real: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Products of the pairs' differences, on one scale for every family: (N, N)."""
    differences = (changed - real) / (np.concatenate([real, changed]).std(axis=0) + 1e-6)
    products = differences @ differences.T
    return products / max(np.trace(products) / len(products), 1e-12)


def _answers(kernel: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """What each pair's answer is made of: times the others' signs it gives the answer, (N, N)."""
    answers = np.zeros_like(kernel)
    for number in np.unique(fold):
        asked, taught = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        inner = kernel[np.ix_(taught, taught)] + RIDGE * np.eye(len(taught))
        answers[np.ix_(asked, taught)] = np.linalg.solve(inner, kernel[np.ix_(taught, asked)]).T
    return answers


def _equalised(pictures: torch.Tensor) -> torch.Tensor:
    """Channels brought to the same local contrast."""
    return pictures / (_energy(pictures).mean((0, 2, 3), keepdim=True).sqrt() + 1e-6)


def _energy(pictures: torch.Tensor) -> torch.Tensor:
    """Sum of squares about the mean of each window of an exemplar's size, by channel."""
    mean, square = (functional.avg_pool2d(values, EXEMPLAR, 1) for values in (pictures, pictures**2))
    return (square - mean**2).clamp(min=0) * EXEMPLAR**2


def _exemplars(pictures: torch.Tensor, turns: int, rng: np.random.Generator) -> torch.Tensor:
    """Round patches rich in contrast, without their mean, of length 1: (EXEMPLARS, turns, C, h, w)."""
    windows = pictures.unfold(2, EXEMPLAR, 1).unfold(3, EXEMPLAR, 1)
    count, _, rows, columns = windows.shape[:4]
    places = zip(*(rng.integers(0, most, 10 * EXEMPLARS) for most in (count, rows, columns)), strict=True)
    patches = torch.stack([windows[place, :, row, column] for place, row, column in places])
    offset = torch.arange(EXEMPLAR) - EXEMPLAR // 2
    disc = (offset[:, None] ** 2 + offset**2 <= (EXEMPLAR / 2) ** 2).float()
    patches = (patches - (patches * disc).sum((2, 3), keepdim=True) / disc.sum()) * disc
    rich = patches.flatten(1).norm(dim=1).argsort(descending=True)[: 4 * EXEMPLARS]
    patches = patches[rich[torch.from_numpy(rng.permutation(len(rich))[:EXEMPLARS])]]
    patches = patches / (patches.flatten(1).norm(dim=1)[:, None, None, None] + 1e-6)
    return torch.stack([_turned(patches, 2 * np.pi * turn / turns) for turn in range(turns)], dim=1)


def _turned(patches: torch.Tensor, angle: float) -> torch.Tensor:
    if angle == 0:
        return patches
    cos, sin = np.cos(angle), np.sin(angle)
    turn = torch.tensor([[cos, -sin, 0], [sin, cos, 0]], dtype=torch.float32)
    grid = functional.affine_grid(turn.expand(len(patches), 2, 3), list(patches.shape), align_corners=False)
    return functional.grid_sample(patches, grid, align_corners=False)


def _responses(pictures: torch.Tensor, exemplars: torch.Tensor) -> list[torch.Tensor]:
    """How well each exemplar is found: the best place, the best few, and how much of it there is."""
    energy = _energy(pictures).sum(1, keepdim=True)
    contrast = (energy + 0.1 * energy.mean() + 1e-6).sqrt()
    found = functional.conv2d(pictures, exemplars.flatten(0, 1)) / contrast
    best = found.unflatten(1, exemplars.shape[:2]).amax(2).flatten(2)
    return [best.amax(2), best.topk(BEST, dim=2).values.mean(2), (best - 0.5).clamp(min=0).mean(2)]
