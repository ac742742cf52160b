"""What each transform of a policy does to a data set, before anything is trained.

Two questions a transform, asked on training images alone, each transform by itself at its own range:

- *What becomes of the labels?* The share of labelled pixels that leave the frame or are hidden, classes and
  objects that vanish, and how the balance of classes changes.
- *Does it make images unlike the data?* A tiny classifier (`stratagem.augmentation.realism`) tries to tell
  changed pictures from real ones. Both went through the same resampling, a shift by half a pixel and a turn
  by a degree at most, and of both only the interior is seen, so that neither blur nor borders give the
  answer.

Unlike is not harmful: what it does to a network's scores is for the comparison to measure.
"""

from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
import pandas as pd

from stratagem.augmentation.manifest import draw
from stratagem.augmentation.on_cpu import YIQ, apply, inverse, matrix, moves, sources
from stratagem.augmentation.realism import SIDE, distinguish
from stratagem.augmentation.transforms import TRANSFORMS, Policy, Strength
from stratagem.data.channels import composite
from stratagem.data.labels import IGNORE
from stratagem.data.pixels import read_sample
from stratagem.data.split import units

__all__ = ["Audit", "audit", "sheet"]

IMAGES = 80  # asked about, at most
SEED = 0
GROUPS = 10  # independent ones that the probe needs
INTERIORS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)  # shares of the shorter side
WHOLE = 0.9  # share of the changed images whose interior must hold no new pixel
SURE = 0.01  # of any false alarm, over all transforms of a policy
JITTERED = 0.95  # what of an interior is free of new pixels after the jitter too
CLEAR = 0.7  # share of pairs told apart from which on it is worth a word
CLASSES = 4  # foreground classes that the probe sees: the most frequent ones
UNLIKE, ALIKE = "unlike your data", "not told apart"
COLUMNS = ["transform", "range", "images", "left", "classes", "objects", "told", "p", "pairs", "verdict"]
JITTER = {"rotation": Strength(1.0, 1.0), "translation": Strength(1.0, 1.0)}
HALF_PX = 0.5  # what the jitter moves at most: so all parts of a pixel are equally likely, as in a rotation
MOST_PX = 1024  # of a larger image only the middle, of this side, is asked about: a bound of memory


@dataclass(frozen=True)
class Subject:
    """An image that is asked about; `unit`: what is independent of all others.

    Attributes
    ----------
    sample : str
        Its name.
    unit : str
        Of `stratagem.data.split.units`.
    image, mask : uint8, (H, W, C) and (H, W)
        Of a larger image the middle, at most 1024 pixels a side.
    """

    sample: str
    unit: str
    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes
    ----------
    transforms : DataFrame
        A row a transform: ``transform, range, images, left`` (share of the labelled pixels) ``, classes``
        (share of the classes present that vanish) ``, objects`` (share that vanishes) ``, told`` (share of
        the pairs) ``, p, pairs, verdict`` ("unlike your data", "not told apart", or why it was not asked).
    balance : DataFrame
        ``transform, class, before, after``: shares of the pixels that count.
    pictures : dict
        By transform that makes images unlike the data: ``(image, mask, image, mask)``, real and changed.
    """

    transforms: pd.DataFrame
    balance: pd.DataFrame
    pictures: dict


def audit(index: pd.DataFrame, policy: Policy, classes: list[str]) -> Audit:
    """Ask both questions of every transform of a policy.

    Parameters
    ----------
    index : DataFrame
        Rows of training images, at least one with foreground; at most 80 such images are asked about.
    policy : Policy
        Transforms of probability 0 are left out.
    classes : list of str
        Names by class index, background first.

    Returns
    -------
    Audit

    Raises
    ------
    DataError
        If an image or mask cannot be read, see `stratagem.data.sample.read_sample`.
    """
    subjects = _subjects(index, IMAGES)
    found, balance, pictures = [], [], {}
    for name, strength in policy.strengths.items():
        if strength.probability == 0:
            continue
        draws = _draws(name, strength, subjects)
        labels, shares = _labels(subjects, draws, len(classes))
        balance += [(name, label, *share) for label, share in zip(classes, shares, strict=True)]
        asked = _asked(name, subjects, draws, len(policy.strengths))
        found.append({"transform": name, "range": strength.range, "images": len(subjects)} | labels | asked)
        if asked["verdict"] == UNLIKE:
            first = subjects[0]
            changed, moved = apply(draws[0], first.image, first.mask)
            pictures[name] = composite(first.image), first.mask, composite(changed), moved
    columns = ["transform", "class", "before", "after"]
    return Audit(pd.DataFrame(found, columns=COLUMNS), pd.DataFrame(balance, columns=columns), pictures)


def sheet(index: pd.DataFrame, policy: Policy, exchanged, images: int = 4, variants: int = 3) -> list[list]:
    """Rows of pictures for a contact sheet: each original, then some of its synthetic images.

    Parameters
    ----------
    index : DataFrame
        Rows of training images; those that hold foreground are shown.
    policy : Policy
        Of `cutmix` nothing is shown: no partner is pasted in.
    exchanged : uint8, (256,), or None
        See `stratagem.augmentation.on_cpu.exchange`.
    images : int
        Originals, at most.
    variants : int
        Synthetic images of each.

    Returns
    -------
    list of list of (image, mask)
        uint8 (H, W, 3) and (H, W); of a larger image the middle, at most 1024 pixels a side.

    Raises
    ------
    DataError
        If an image or mask cannot be read, see `stratagem.data.sample.read_sample`.
    """
    subjects = _subjects(index, images)
    pictures = [[(composite(subject.image), subject.mask)] for subject in subjects]
    for variant in range(variants):
        draws = _rows(draw(policy, SEED, [subject.sample for subject in subjects], variant))
        for shown, subject, drawn in zip(pictures, subjects, draws, strict=True):
            changed, moved = apply(drawn, subject.image, subject.mask, exchanged)
            shown.append((composite(changed), moved))
    return pictures


def _subjects(index: pd.DataFrame, count: int) -> list[Subject]:
    """Images that hold foreground, evenly over the set."""
    foreground = index.filter(regex=r"^pixels_[1-9]\d*$").sum(axis=1) > 0
    held, unit = index[foreground].sort_values("sample"), units(index)
    places = np.unique(np.linspace(0, len(held) - 1, min(count, len(held))).round().astype(int))
    return [
        Subject(row.sample, unit[row.sample], *map(_within, read_sample(row)))
        for row in held.iloc[places].itertuples()
    ]


def _within(array: np.ndarray) -> np.ndarray:
    """The middle of an array, no larger than is asked about."""
    height, width = (min(side, MOST_PX) for side in array.shape[:2])
    top, left = (array.shape[0] - height) // 2, (array.shape[1] - width) // 2
    return np.ascontiguousarray(array[top : top + height, left : left + width])


def _draws(name: str, strength: Strength, subjects: list[Subject]) -> list[dict]:
    """A row each of the transform alone, always happening."""
    alone = Policy(1, {name: replace(strength, probability=1.0)})
    return _rows(draw(alone, SEED, [subject.sample for subject in subjects], 0))


def _rows(columns: dict[str, np.ndarray]) -> list[dict]:
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, one, strict=True)) for one in values]


# What becomes of the labels


def _labels(subjects: list[Subject], draws: list[dict], classes: int) -> tuple[dict, np.ndarray]:
    """Shares that leave or vanish, over all images, and each class's share of the pixels."""
    counted = np.array(
        [_counted(one.mask, drawn, classes) for one, drawn in zip(subjects, draws, strict=True)]
    )
    before, after, kept, objects, lost = (counted[:, number] for number in range(5))
    present = before[:, 1:] > 0
    total = before[:, 1:].sum()
    found = {
        "left": max(0.0, 1 - kept[:, 1:].sum() / total) if total else np.nan,
        "classes": (present & (after[:, 1:] == 0)).sum() / max(1, present.sum()),
        "objects": lost.sum() / max(1, objects.sum()),
    }
    shares = [counts.sum(axis=0) / max(1, counts.sum()) for counts in (before, after)]
    return found, np.stack(shares, axis=1)


def _counted(mask: np.ndarray, drawn: dict, classes: int) -> np.ndarray:
    """Of each class: pixels before, pixels after, original area that is still there, objects, lost ones."""
    image = np.zeros((*mask.shape, 3), np.uint8)
    _, after = apply(drawn, image, mask)
    area = _area(drawn, mask.shape)
    kept = np.bincount(after.ravel(), np.broadcast_to(area, mask.shape).ravel(), minlength=256)
    counts = np.array(
        [np.bincount(mask.ravel(), minlength=256), np.bincount(after.ravel(), minlength=256), kept]
    )
    objects = np.array([_objects(mask == number, drawn) for number in range(1, classes)]).T
    return np.concatenate([counts[:, :classes], np.insert(objects, 0, 0, axis=1)])


def _area(drawn: dict, shape: tuple[int, int]) -> np.ndarray | float:
    """How much of the original each pixel shows: the determinant of the map back."""
    if not moves(drawn):
        return 1.0
    if drawn["elastic"] == 0:
        a, b, _, d, e, _ = inverse(matrix(drawn, *shape))
        return abs(a * e - b * d)
    x, y = sources(drawn, *shape)
    (x_down, x_across), (y_down, y_across) = np.gradient(x), np.gradient(y)
    return np.abs(x_across * y_down - x_down * y_across)


def _objects(region: np.ndarray, drawn: dict) -> tuple[int, int]:
    """Connected objects of a region, and how many of them no pixel is left of."""
    count, numbers = cv2.connectedComponents(region.astype(np.uint8))
    lost = 0
    for start in range(1, count, IGNORE - 1):  # masks hold that many labels besides background
        stop = min(count, start + IGNORE - 1)
        part = np.where((numbers >= start) & (numbers < stop), numbers - start + 1, 0).astype(np.uint8)
        _, after = apply(drawn, np.zeros((*region.shape, 3), np.uint8), part)
        lost += stop - start - len(np.setdiff1d(after, [0, IGNORE]))
    return count - 1, lost


# Does it make images unlike the data


def _asked(name: str, subjects: list[Subject], draws: list[dict], transforms: int) -> dict:
    """What the probe says of one transform."""
    nothing = {"told": np.nan, "p": np.nan, "pairs": 0}
    if TRANSFORMS[name].kind == "occluding":
        return nothing | {"verdict": "not asked: it hides on purpose"}
    free = np.array([_free(one.mask.shape, drawn) for one, drawn in zip(subjects, draws, strict=True)])
    interior = next((share for share in INTERIORS if (free >= share).mean() >= WHOLE), None)
    if interior is None:
        return nothing | {"verdict": "not asked: it moves too far, no interior is left"}
    kept = np.flatnonzero(free >= interior)
    subjects, draws = [subjects[place] for place in kept], [draws[place] for place in kept]
    groups = [one.unit for one in subjects]
    if len(set(groups)) < GROUPS:
        return nothing | {"verdict": f"not asked: fewer than {GROUPS} independent images"}
    real, changed = _pictures(subjects, draws, interior)
    told = distinguish(real, changed, groups)
    unlike = told.p * transforms <= SURE and told.share >= CLEAR
    return {"told": told.share, "p": told.p, "pairs": len(groups), "verdict": UNLIKE if unlike else ALIKE}


def _free(shape: tuple[int, int], drawn: dict) -> float:
    """The share of the shorter side of the largest middle square without a new pixel; 0 if none is free."""
    _, outside = apply(drawn, np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8))
    return next((share for share in INTERIORS if not _middle(outside, share).any()), 0.0)


def _middle(array: np.ndarray, share: float) -> np.ndarray:
    """The middle square whose side is a share of the shorter one."""
    height, width = array.shape[:2]
    side = max(1, round(share * min(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    return array[top : top + side, left : left + side]


def _pictures(subjects: list[Subject], draws: list[dict], interior: float) -> np.ndarray:
    """Pictures as the probe sees them, real and changed: float32 (2, N, SIDE, SIDE, C)."""
    names, shown = [one.sample for one in subjects], _shown(subjects)
    pictures = []
    for seed, rows in ((SEED + 1, _rows(draw(Policy(1, {}), SEED, names, 0))), (SEED + 2, draws)):
        jitters = _rows(draw(Policy(1, JITTER), seed, names, 0))
        each = zip(subjects, rows, jitters, strict=True)
        pictures.append([_seen(one, _jittered(one, *both), interior, shown) for one, *both in each])
    return np.array(pictures)


def _jittered(subject: Subject, drawn: dict, jitter: dict) -> dict:
    """The transform, turned by a degree and shifted by half a pixel at most besides."""
    height, width = subject.mask.shape
    return drawn | {
        "rotation_deg": drawn["rotation_deg"] + jitter["rotation_deg"],
        "translation_x": drawn["translation_x"] + HALF_PX / width * jitter["translation_x"],
        "translation_y": drawn["translation_y"] + HALF_PX / height * jitter["translation_y"],
    }


def _seen(subject: Subject, drawn: dict, interior: float, shown: list[int]) -> np.ndarray:
    """A picture for the probe: brightness, planes of classes, two differences of colour."""
    found = apply(drawn, subject.image, subject.mask)
    image, mask = (_middle(array, interior * JITTERED) for array in found)
    colour = (composite(image) / np.float32(255)) @ YIQ.T.astype(np.float32)
    planes = [(mask == number).astype(np.float32) for number in shown]
    stacked = np.dstack([colour[..., 0], *planes, colour[..., 1:]])
    return cv2.resize(stacked, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _shown(subjects: list[Subject]) -> list[int]:
    """The foreground classes of most pixels, by index."""
    counted = sum(np.bincount(one.mask.ravel(), minlength=256) for one in subjects)
    pixels = cast(np.ndarray, counted)[1:IGNORE]
    most = 1 + np.argsort(-pixels, kind="stable")[:CLASSES]
    return sorted(int(number) for number in most if pixels[number - 1])
