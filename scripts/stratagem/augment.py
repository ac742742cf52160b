"""Synthetic images: first drawn as values, then applied, image and mask as one.

A manifest has one row a (sample, variant) and one column a parameter. It is a pure function of the
policy, the seed and the sample's name: each parameter has its own counter-based stream (Philox, keyed
by a hash of seed, sample and parameter), so that a new sample, a further variant or another transform
in the policy changes no value drawn before.

All geometric parameters are composed into one affine map about the centre of the frame and sampled
once: linear in the image, nearest in the mask, new pixels 0 and `IGNORE`. Then contrast, brightness
and blur act on the image alone.
"""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from stratagem.labels import IGNORE

__all__ = ["PARAMETERS", "Policy", "apply", "draw"]

MIDDLE_GREY = 127.5
PARAMETERS = (
    "rotation_deg",
    "translation_x",
    "translation_y",
    "scale",
    "flip_horizontal",
    "flip_vertical",
    "brightness",
    "contrast",
    "blur_px",
)


@dataclass(frozen=True)
class Policy:
    """Ranges of an augmentation; see `stratagem.study.Augmentation` for units and meaning."""

    variants: int
    rotation: float = 0
    translation: float = 0
    scale: float = 1
    flip_horizontal: float = 0
    flip_vertical: float = 0
    brightness: float = 0
    contrast: float = 1
    blur: float = 0
    blur_probability: float = 0


def draw(policy: Policy, seed: int, samples: list[str]) -> pd.DataFrame:
    """The manifest: ``seed, sample, variant`` and a column each of `PARAMETERS`.

    Returns
    -------
    DataFrame
        ``len(samples) * policy.variants`` rows, by sample, then variant. Translations are shares of
        the frame's sides, brightness is a share of full range, scale and contrast are factors.
    """
    count = policy.variants
    columns = {name: [] for name in PARAMETERS}
    for sample in samples:
        for name, values in _draw_sample(policy, seed, sample).items():
            columns[name].append(values)
    keys = {
        "seed": np.full(len(samples) * count, seed),
        "sample": np.repeat(np.array(samples, dtype=object), count),
        "variant": np.tile(np.arange(count), len(samples)),
    }
    return pd.DataFrame(keys | {name: np.concatenate(parts) for name, parts in columns.items()})


def apply(row: dict, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The synthetic image and mask of one manifest row.

    Parameters
    ----------
    row : mapping
        A value for each of `PARAMETERS`.
    image : uint8, (H, W, 3)
    mask : uint8, (H, W)

    Returns
    -------
    image, mask : uint8, (H, W, 3) and (H, W)
        New arrays; at neutral parameters equal to what was given.
    """
    height, width = mask.shape
    matrix = _affine(row, height, width)
    flags = {"M": matrix, "dsize": (width, height), "borderMode": cv2.BORDER_CONSTANT}
    image = cv2.warpAffine(image, flags=cv2.INTER_LINEAR, borderValue=0, **flags)
    mask = cv2.warpAffine(mask, flags=cv2.INTER_NEAREST, borderValue=IGNORE, **flags)
    return _photometric(row, image), mask


def _draw_sample(policy: Policy, seed: int, sample: str) -> dict[str, np.ndarray]:
    uniform = {name: _stream(seed, sample, name).random((policy.variants, 2)) for name in PARAMETERS}
    signed = {name: 2 * values[:, 0] - 1 for name, values in uniform.items()}
    chance = {name: values[:, 1] for name, values in uniform.items()}
    blurred = chance["blur_px"] < policy.blur_probability
    return {
        "rotation_deg": policy.rotation * signed["rotation_deg"],
        "translation_x": policy.translation * signed["translation_x"],
        "translation_y": policy.translation * signed["translation_y"],
        "scale": policy.scale ** signed["scale"],
        "flip_horizontal": chance["flip_horizontal"] < policy.flip_horizontal,
        "flip_vertical": chance["flip_vertical"] < policy.flip_vertical,
        "brightness": policy.brightness * signed["brightness"],
        "contrast": policy.contrast ** signed["contrast"],
        "blur_px": np.where(blurred, policy.blur * uniform["blur_px"][:, 0], 0.0),
    }


def _stream(seed: int, sample: str, parameter: str) -> np.random.Generator:
    digest = hashlib.blake2b(f"{seed}/{sample}/{parameter}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def _affine(row: dict, height: int, width: int) -> np.ndarray:
    """The map from original to synthetic pixel coordinates, float64 (2, 3)."""
    angle = np.deg2rad(row["rotation_deg"])
    turn = row["scale"] * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([-1.0 if row["flip_horizontal"] else 1.0, -1.0 if row["flip_vertical"] else 1.0])
    linear = turn @ flip
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = centre + (row["translation_x"] * width, row["translation_y"] * height)
    return np.column_stack([linear, moved - linear @ centre])


def _photometric(row: dict, image: np.ndarray) -> np.ndarray:
    if row["contrast"] != 1 or row["brightness"] != 0:
        levels = (np.arange(256) - MIDDLE_GREY) * row["contrast"] + MIDDLE_GREY + 255 * row["brightness"]
        image = cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    if row["blur_px"] > 0:
        image = cv2.GaussianBlur(image, (0, 0), row["blur_px"])
    return image
