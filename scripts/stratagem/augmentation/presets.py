"""Policies for domains: what varies there by nature, and for each transform left out, why.

A preset is a beginning: the keys beside it in the config replace its own. Its ranges are the ones usual in
each field, chosen by judgement, not measured; the comparison measures what they do on a user's images.
"""

from dataclasses import dataclass

from stratagem.augmentation.transforms import Strength, strength

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A policy for a domain.

    Attributes
    ----------
    strengths : dict of str to Strength
    omitted : dict of str to str
        Why each other transform is off.
    """

    strengths: dict[str, Strength]
    omitted: dict[str, str]


def _preset(strengths: dict[str, tuple | float], omitted: dict[tuple[str, ...], str]) -> Preset:
    """From ranges, or ranges with probabilities, and from reasons for several transforms at once."""
    return Preset(
        {name: strength(name, given) for name, given in strengths.items()},
        {name: reason for names, reason in omitted.items() for name in names},
    )


OPTICAL = "degrades the image as no camera of this kind does; set it where yours varies in it"
SPEED = "a choice of the comparison, no property of the domain; set it to try it"

PRESETS = {
    "microscopy": _preset(
        {
            "rotation": 180,
            "translation": 0.1,
            "scale": 1.2,
            "flip_horizontal": 0.5,
            "flip_vertical": 0.5,
            "elastic": (0.03, 0.3),
            "brightness": 0.1,
            "contrast": 1.25,
            "gamma": 1.25,
            "light": (0.15, 0.3),
            "blur": 1,
            "noise": 8,
        },
        {
            ("turns",): "rotation covers them",
            ("shear",): "a microscope keeps angles",
            ("crop",): "scale covers it, and sizes of objects stay like those of the set",
            ("hue", "saturation", "channel_noise"): "a stain's or a channel's colour says what it marks",
            ("low_resolution", "sharpen", "jpeg"): OPTICAL,
            ("cutout", "cutmix", "channel_dropout"): SPEED,
        },
    ),
    "natural": _preset(
        {
            "rotation": 15,
            "translation": 0.1,
            "scale": 1.4,
            "shear": (5, 0.3),
            "flip_horizontal": 0.5,
            "crop": (0.6, 0.5),
            "brightness": 0.15,
            "contrast": 1.4,
            "gamma": 1.4,
            "saturation": 1.4,
            "hue": 10,
            "blur": 1,
            "low_resolution": 2,
            "noise": 8,
            "jpeg": 50,
        },
        {
            ("flip_vertical", "turns"): "photographs have an up: nothing stands on its head",
            ("elastic",): "solid things do not bend",
            ("channel_noise", "light", "sharpen"): OPTICAL,
            ("cutout", "cutmix", "channel_dropout"): SPEED,
        },
    ),
    "aerial": _preset(
        {
            "rotation": 180,
            "translation": 0.1,
            "scale": 1.25,
            "flip_horizontal": 0.5,
            "flip_vertical": 0.5,
            "turns": 0.75,
            "brightness": 0.15,
            "contrast": 1.25,
            "gamma": 1.25,
            "channel_noise": (0.03, 0.5),
            "blur": 1,
            "noise": 5,
        },
        {
            ("shear", "elastic"): "images are rectified: straight roads stay straight",
            ("crop",): "scale covers it, and the size of a pixel on the ground matters",
            ("hue", "saturation"): "colour tells vegetation from roofs",
            ("light",): "mosaics are balanced",
            ("low_resolution", "sharpen", "jpeg"): OPTICAL,
            ("cutout", "cutmix", "channel_dropout"): SPEED,
        },
    ),
    "medical": _preset(
        {
            "rotation": 15,
            "translation": 0.1,
            "scale": 1.2,
            "elastic": (0.03, 0.3),
            "brightness": 0.1,
            "contrast": 1.25,
            "gamma": 1.4,
            "blur": 1,
            "low_resolution": 2,
            "noise": 8,
        },
        {
            (
                "flip_horizontal",
                "flip_vertical",
                "turns",
            ): "organs have sides; where none of your classes has, "
            "or `swaps` names the pairs, set flip_horizontal",
            ("shear",): "elastic covers it as bodies do",
            ("crop",): "scale covers it, and sizes are a finding",
            (
                "hue",
                "saturation",
                "channel_noise",
            ): "most scans are grey; a stain's colour says what it marks",
            ("light",): "depends on the device (a coil's field, say); set it where yours has it",
            ("sharpen", "jpeg"): OPTICAL,
            ("cutout", "cutmix", "channel_dropout"): SPEED,
        },
    ),
    "documents": _preset(
        {
            "rotation": 3,
            "translation": 0.05,
            "scale": 1.15,
            "shear": (2, 0.5),
            "brightness": 0.1,
            "contrast": 1.3,
            "gamma": 1.3,
            "light": (0.2, 0.5),
            "blur": 1,
            "low_resolution": 1.5,
            "noise": 8,
            "jpeg": 40,
        },
        {
            ("flip_horizontal", "flip_vertical", "turns"): "mirrored or upside-down writing is no writing",
            ("elastic",): "letters would change their shape",
            ("crop",): "a page's layout says what its parts are",
            ("hue", "saturation", "channel_noise"): "ink and paper differ in colour on purpose",
            ("sharpen",): OPTICAL,
            ("cutout", "cutmix", "channel_dropout"): SPEED,
        },
    ),
    "traffic-signs": _preset(
        {
            "translation": 0.1,
            "scale": 1.25,
            "brightness": 0.2,
            "contrast": 1.4,
            "gamma": 1.4,
            "light": (0.2, 0.3),
            "blur": 1.5,
            "low_resolution": 2,
            "noise": 8,
            "jpeg": 40,
        },
        {
            ("rotation", "turns"): "an arrow that is turned is another sign",
            (
                "flip_horizontal",
                "flip_vertical",
            ): "a mirrored arrow is another sign, mirrored digits are none",
            ("shear", "elastic"): "shape is meaning: a bent triangle is no sign",
            ("crop",): "a sign cut off is often another",
            ("hue", "saturation", "channel_noise"): "colour is meaning: red forbids, blue orders",
            ("sharpen",): OPTICAL,
            ("cutout", "cutmix", "channel_dropout"): SPEED,
        },
    ),
}
