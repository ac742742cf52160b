"""What a synthetic image may differ in: the table of transforms.

A transform is a row: its range in the config, and the parameters that a manifest draws from it. How it is
applied stands in `stratagem.augmentation.on_cpu`; a new transform is a row here, a function there and a test.

`stream` is what its draws are keyed by. It is never given to another transform, so that a new row changes no
draw of the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stratagem.core.axis import Axis
from stratagem.core.errors import DataError
from stratagem.data.channels import COLOURS

__all__ = [
    "NEUTRAL",
    "PHOTOMETRIC",
    "TRANSFORMS",
    "Parameter",
    "Policy",
    "Strength",
    "Transform",
    "coloured",
    "require_colour",
    "strength",
    "unsafe",
]

UPRIGHT_DEG = 45  # up is nearer to up than to a side
SEEDS = 2**31  # seeds of noise and elastic fields are drawn from below this

Draw = Callable[[float, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Strength:
    """How far one transform may go, and how often.

    Attributes
    ----------
    range : float
        In the transform's own unit.
    probability : float
        Of doing anything at all.
    """

    range: float
    probability: float


@dataclass(frozen=True)
class Policy:
    """The transforms of one augmentation.

    Attributes
    ----------
    variants : int
        Synthetic images an original.
    strengths : dict of str to Strength
        By the transform's name; those left out are off.
    """

    variants: int
    strengths: dict[str, Strength]

    @classmethod
    def of(cls, record: dict) -> "Policy":
        """From plain data: ``{"variants": 50, "strengths": {"blur": {"range": 1, "probability": 0.3}}}``.

        Parameters
        ----------
        record : dict
            As ``dataclasses.asdict`` gives of a policy.

        Returns
        -------
        Policy
        """
        return cls(record["variants"], {name: Strength(**own) for name, own in record["strengths"].items()})


@dataclass(frozen=True)
class Parameter:
    """One column of a manifest.

    Attributes
    ----------
    neutral : float
        Its value where the transform does nothing.
    draw : function
        From the range and uniform draws in [0, 1), float64 (N,), to values.
    dtype : numpy type
    """

    neutral: float
    draw: Draw
    dtype: type = np.float32


@dataclass(frozen=True)
class Transform:
    """One row of the table.

    Attributes
    ----------
    stream : int
    kind : {"geometric", "photometric", "occluding"}
        Moves image and mask; changes the image alone; hides a part of it.
    description : str
        Of the range, with its unit.
    limits : (float, float)
        Of the range.
    parameters : dict of str to Parameter
        By column.
    probability : float or None
        Where the config gives the range alone; None: the number in the config is the probability.
    """

    stream: int
    kind: str
    description: str
    limits: tuple[float, float]
    parameters: dict[str, Parameter]
    probability: float | None = 1.0


def _signed(most: float, uniform: np.ndarray) -> np.ndarray:
    return most * (2 * uniform - 1)


def _factor(most: float, uniform: np.ndarray) -> np.ndarray:
    return most ** (2 * uniform - 1)


def _most(most: float, uniform: np.ndarray) -> np.ndarray:
    return np.full_like(uniform, most)


def _amount(most: float, uniform: np.ndarray) -> np.ndarray:
    return most * uniform


def _share(_: float, uniform: np.ndarray) -> np.ndarray:
    return uniform


def _yes(_: float, uniform: np.ndarray) -> np.ndarray:
    return np.ones_like(uniform)


def _one_to_three(_: float, uniform: np.ndarray) -> np.ndarray:
    return 1 + np.floor(3 * uniform)


def _kept(least: float, uniform: np.ndarray) -> np.ndarray:
    return 1 - (1 - least) * uniform


def _reduction(most: float, uniform: np.ndarray) -> np.ndarray:
    return most**uniform


def _quality(least: float, uniform: np.ndarray) -> np.ndarray:
    return np.floor(least + (101 - least) * uniform)


def _degrees(_: float, uniform: np.ndarray) -> np.ndarray:
    return 360 * uniform


def _seed(_: float, uniform: np.ndarray) -> np.ndarray:
    return np.floor(SEEDS * uniform)


FLAG = Parameter(0, _yes, np.bool_)
PLACE = Parameter(0, _share)
SEED = Parameter(0, _seed, np.int64)

TRANSFORMS: Axis[Transform] = Axis(
    "transform",
    {
        "rotation": Transform(
            0, "geometric", "Degrees, plus or minus.", (0, 180), {"rotation_deg": Parameter(0, _signed)}
        ),
        "translation": Transform(
            1,
            "geometric",
            "Share of the side, plus or minus.",
            (0, 0.9),
            {"translation_x": Parameter(0, _signed), "translation_y": Parameter(0, _signed)},
        ),
        "scale": Transform(
            2, "geometric", "Factor, between 1 / scale and scale.", (1, 10), {"scale": Parameter(1, _factor)}
        ),
        "shear": Transform(
            3,
            "geometric",
            "Degrees, plus or minus, of each axis.",
            (0, 40),
            {"shear_x_deg": Parameter(0, _signed), "shear_y_deg": Parameter(0, _signed)},
        ),
        "flip_horizontal": Transform(
            4, "geometric", "Left and right exchanged.", (0, 1), {"flip_horizontal": FLAG}, None
        ),
        "flip_vertical": Transform(
            5, "geometric", "Top and bottom exchanged.", (0, 1), {"flip_vertical": FLAG}, None
        ),
        "turns": Transform(
            6,
            "geometric",
            "One, two or three quarter turns.",
            (0, 1),
            {"turns": Parameter(0, _one_to_three, np.int8)},
            None,
        ),
        "elastic": Transform(
            7,
            "geometric",
            "Largest displacement, share of the shorter side.",
            (0, 0.12),  # beyond it the map of a cubic B-spline may fold
            {"elastic": Parameter(0, _amount), "elastic_seed": SEED},
        ),
        "crop": Transform(
            8,
            "geometric",
            "Smallest share of the sides that is kept, and enlarged to the frame.",
            (0.1, 1),
            {"crop": Parameter(1, _kept), "crop_x": PLACE, "crop_y": PLACE},
        ),
        "brightness": Transform(
            9,
            "photometric",
            "Share of full range, plus or minus.",
            (0, 1),
            {"brightness": Parameter(0, _signed)},
        ),
        "contrast": Transform(
            10,
            "photometric",
            "Factor about middle grey, between 1 / contrast and contrast.",
            (1, 10),
            {"contrast": Parameter(1, _factor)},
        ),
        "gamma": Transform(
            11,
            "photometric",
            "Exponent, between 1 / gamma and gamma.",
            (1, 10),
            {"gamma": Parameter(1, _factor)},
        ),
        "saturation": Transform(
            12,
            "photometric",
            "Factor, between 1 / saturation and saturation.",
            (1, 10),
            {"saturation": Parameter(1, _factor)},
        ),
        "hue": Transform(
            13, "photometric", "Degrees, plus or minus.", (0, 180), {"hue_deg": Parameter(0, _signed)}
        ),
        "channel_noise": Transform(
            14,
            "photometric",
            "Shift of each channel on its own, share of full range, plus or minus.",
            (0, 1),
            {f"channel_{number}": Parameter(0, _signed) for number in range(COLOURS)}
            | {"channels_range": Parameter(0, _most), "channels_seed": SEED},
        ),
        "light": Transform(
            15,
            "photometric",
            "Uneven light: gain from 1 - light to 1 + light across the image.",
            (0, 1),
            {"light": Parameter(0, _amount), "light_deg": Parameter(0, _degrees)},
        ),
        "blur": Transform(
            16,
            "photometric",
            "Largest standard deviation of a Gaussian, pixels.",
            (0, 20),
            {"blur_px": Parameter(0, _amount)},
            0.3,
        ),
        "low_resolution": Transform(
            17,
            "photometric",
            "Largest factor by which it is shrunk, and enlarged again.",
            (1, 16),
            {"low_resolution": Parameter(1, _reduction)},
            0.3,
        ),
        "noise": Transform(
            18,
            "photometric",
            "Largest standard deviation of Gaussian noise, grey levels.",
            (0, 128),
            {"noise": Parameter(0, _amount), "noise_seed": SEED},
            0.3,
        ),
        "sharpen": Transform(
            19,
            "photometric",
            "Largest share of the fine structure that is added once more.",
            (0, 5),
            {"sharpen": Parameter(0, _amount)},
            0.3,
        ),
        "jpeg": Transform(
            20,
            "photometric",
            "Lowest quality of a JPEG.",
            (1, 100),
            {"jpeg": Parameter(0, _quality, np.int8)},
            0.3,
        ),
        "cutout": Transform(
            21,
            "occluding",
            "Largest side of a rectangle that is hidden (and ignored), share of the image's.",
            (0, 1),
            {"cutout": Parameter(0, _amount), "cutout_x": PLACE, "cutout_y": PLACE},
            0.5,
        ),
        "cutmix": Transform(
            22,
            "occluding",
            "Largest side of a rectangle taken from another training image, share of the image's.",
            (0, 1),
            {"cutmix": Parameter(0, _amount), "cutmix_x": PLACE, "cutmix_y": PLACE, "cutmix_partner": SEED},
            0.5,
        ),
        "channel_dropout": Transform(
            23,
            "occluding",
            "One of the channels set to 0.",
            (0, 1),
            {"dropped_channel": Parameter(-1, _share)},
            None,
        ),
    },
)
NEUTRAL = {
    column: parameter.dtype(parameter.neutral).item()
    for transform in TRANSFORMS.values()
    for column, parameter in transform.parameters.items()
}

# What changes an image alone, in the order in which a camera meets it: each step by name, with its columns. A
# step is done where any of them is not neutral; how, stands in `on_cpu` and `on_gpu` under its name.
PHOTOMETRIC = {
    "light": ("light",),
    "levels": (
        *("brightness", "contrast", "gamma"),
        *(f"channel_{number}" for number in range(COLOURS)),
        "channels_range",
    ),
    "colours": ("saturation", "hue_deg"),
    "blur": ("blur_px",),
    "low_resolution": ("low_resolution",),
    "noise": ("noise",),
    "sharpen": ("sharpen",),
    "jpeg": ("jpeg",),
    "dropout": ("dropped_channel",),
}
COLOURED = ("saturation", "hue")  # of images whose three channels are red, green and blue


def strength(name: str, given: float | tuple[float, float]) -> Strength:
    """A strength as the config writes it: a number, or a range with a probability.

    Parameters
    ----------
    name : str
        Of `TRANSFORMS`.
    given : float or (float, float)
        The range, or range and probability. Of a transform without a usual probability (flips, turns) a
        single number is the probability. Not compared with the transform's limits.

    Returns
    -------
    Strength
    """
    if isinstance(given, tuple):
        return Strength(*map(float, given))
    usual = TRANSFORMS[name].probability
    return Strength(1.0, float(given)) if usual is None else Strength(float(given), usual)


def coloured(policy: Policy) -> list[str]:
    """The transforms of a policy that are of colour images alone.

    Parameters
    ----------
    policy : Policy
        Transforms of probability 0 are passed over.

    Returns
    -------
    list of str
    """
    return [name for name in COLOURED if name in policy.strengths and policy.strengths[name].probability > 0]


def require_colour(policy: Policy, channels: int, name: str) -> None:
    """Refuse transforms of colour for images of other channels.

    Parameters
    ----------
    policy : Policy
    channels : int
        Of the images.
    name : str
        Of the augmentation.

    Raises
    ------
    DataError
        If the images have not three channels and the policy has such transforms.
    """
    found = coloured(policy)
    if channels != COLOURS and found:
        raise DataError(
            expected="images of red, green and blue for " + " and ".join(f"`{one}`" for one in found),
            found=f"images of {channels} channels",
            where=f"config key `augmentations.{name}`",
            remedy="Take it out, or set it to 0; `channel_noise` shifts each channel on its own.",
        )


def unsafe(declared: str, policy: Policy) -> dict[str, str]:
    """The transforms of a policy that classes declared so do not bear, each with the reason.

    Parameters
    ----------
    declared : {"handed", "upright"}
        Other than their mirror image; other than themselves upside down or on their side.
    policy : Policy
        Transforms of probability 0 are passed over.

    Returns
    -------
    dict of str to str
        The reason by the transform's name; empty where there is none.
    """
    on = {name: own for name, own in policy.strengths.items() if own.probability > 0}
    if declared == "handed":
        return {
            name: "a mirror makes it another" for name in ("flip_horizontal", "flip_vertical") if name in on
        }
    found: dict[str, str] = {name: "it has an up" for name in ("flip_vertical", "turns") if name in on}
    if "rotation" in on and on["rotation"].range > UPRIGHT_DEG:
        found["rotation"] = f"it has an up, which a rotation of more than {UPRIGHT_DEG} degrees loses"
    return found
