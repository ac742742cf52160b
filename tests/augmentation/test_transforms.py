"""The table of transforms says what a manifest may hold, and which of it a class does not bear."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.augmentation.transforms import (
    NEUTRAL,
    SEEDS,
    TRANSFORMS,
    Policy,
    Strength,
    require_colour,
    strength,
    unsafe,
)
from stratagem.core.errors import DataError

UNIFORM = np.array([0, 2.0**-32, 0.25, 0.5, 0.75, 1 - 2.0**-32])  # with the least and the largest draw
ROUNDING, TINY = 2.0**-23, 1e-38  # of float32, relative and absolute

# The least and the largest value of each column, by the transform's range.
BOUNDS = {
    "channels_range": lambda most: (most, most),
    "channels_seed": lambda most: (0, 2**31),
    "dropped_channel": lambda most: (0, 1),
    "rotation_deg": lambda most: (-most, most),
    "translation_x": lambda most: (-most, most),
    "translation_y": lambda most: (-most, most),
    "scale": lambda most: (1 / most, most),
    "shear_x_deg": lambda most: (-most, most),
    "shear_y_deg": lambda most: (-most, most),
    "flip_horizontal": lambda _: (1, 1),
    "flip_vertical": lambda _: (1, 1),
    "turns": lambda _: (1, 3),
    "elastic": lambda most: (0, most),
    "elastic_seed": lambda _: (0, SEEDS - 1),
    "crop": lambda least: (least, 1),
    "crop_x": lambda _: (0, 1),
    "crop_y": lambda _: (0, 1),
    "brightness": lambda most: (-most, most),
    "contrast": lambda most: (1 / most, most),
    "gamma": lambda most: (1 / most, most),
    "saturation": lambda most: (1 / most, most),
    "hue_deg": lambda most: (-most, most),
    "channel_0": lambda most: (-most, most),
    "channel_1": lambda most: (-most, most),
    "channel_2": lambda most: (-most, most),
    "light": lambda most: (0, most),
    "light_deg": lambda _: (0, 360),
    "blur_px": lambda most: (0, most),
    "low_resolution": lambda most: (1, most),
    "noise": lambda most: (0, most),
    "noise_seed": lambda _: (0, SEEDS - 1),
    "sharpen": lambda most: (0, most),
    "jpeg": lambda least: (int(least), 100),
    "cutout": lambda most: (0, most),
    "cutout_x": lambda _: (0, 1),
    "cutout_y": lambda _: (0, 1),
    "cutmix": lambda most: (0, most),
    "cutmix_x": lambda _: (0, 1),
    "cutmix_y": lambda _: (0, 1),
    "cutmix_partner": lambda _: (0, SEEDS - 1),
}
STREAMS = (
    *("rotation", "translation", "scale", "shear", "flip_horizontal", "flip_vertical", "turns", "elastic"),
    *("crop", "brightness", "contrast", "gamma", "saturation", "hue", "channel_noise", "light", "blur"),
    *("low_resolution", "noise", "sharpen", "jpeg", "cutout", "cutmix"),
)
SPREAD = ("turns", "jpeg")  # whole numbers, each as often as the others
SAME = ("flip_horizontal", "flip_vertical", "channels_range")


def _drawn(column, most, uniform) -> np.ndarray:
    (parameter,) = (row.parameters[column] for row in TRANSFORMS.values() if column in row.parameters)
    return parameter.draw(most, uniform).astype(parameter.dtype)


def _transform(column):
    return next(row for row in TRANSFORMS.values() if column in row.parameters)


def test_streams_do_not_drift():
    """Each transform has a stream of its own, the same in every version."""
    assert [TRANSFORMS[name].stream for name in STREAMS] == list(range(len(STREAMS)))
    streams = [row.stream for row in TRANSFORMS.values()]
    assert len(set(streams)) == len(streams)


def test_no_two_transforms_share_a_column():
    """A manifest has a column for each parameter of each transform, and a neutral value for each."""
    columns = [column for row in TRANSFORMS.values() for column in row.parameters]
    assert len(set(columns)) == len(columns)
    assert set(columns) == set(NEUTRAL) == set(BOUNDS)


def test_colour_is_changed_in_colour_images_alone():
    """Hue and saturation are refused, by name, where channels are no colours."""
    policy = Policy(1, {"hue": Strength(30, 0.5), "saturation": Strength(2, 0), "blur": Strength(1, 1)})
    require_colour(policy, 3, "mine")
    with pytest.raises(DataError, match=r"`augmentations.mine`: expected .* for `hue`, .* of 5 channels"):
        require_colour(policy, 5, "mine")
    require_colour(Policy(1, {"hue": Strength(30, 0)}), 5, "mine")


def test_every_transform_says_what_it_is():
    """A kind, a sentence on the range, limits in order, and a usual probability or none."""
    for name, row in TRANSFORMS.items():
        assert row.kind in ("geometric", "photometric", "occluding"), name
        assert row.description.endswith("."), name
        assert row.limits[0] < row.limits[1], name
        assert row.probability is None or 0 < row.probability <= 1, name


@pytest.mark.parametrize("column", BOUNDS)
@settings(max_examples=20)
@given(share=st.floats(0, 1), uniform=st.floats(0, 1 - 2.0**-32))
def test_draws_lie_within_the_range(column, share, uniform):
    """Whatever range the limits allow, no draw leaves it, in the type that is stored."""
    low, high = _transform(column).limits
    most = low + share * (high - low)
    least, largest = BOUNDS[column](most)
    drawn = _drawn(column, most, np.append(UNIFORM, uniform)).astype(float)
    slack = ROUNDING * max(abs(least), abs(largest)) + TINY
    assert drawn.min() >= least - slack
    assert drawn.max() <= largest + slack


@pytest.mark.parametrize("column", BOUNDS)
def test_draws_reach_both_ends_of_the_range(column):
    """The least and the largest draw give the ends of the range, and what lies between is spread over it."""
    low, high = _transform(column).limits
    most = (low + high) / 2
    least, largest = BOUNDS[column](most)
    drawn = _drawn(column, most, UNIFORM).astype(float)
    assert (drawn.min(), drawn.max()) == pytest.approx((least, largest), rel=1e-6, abs=1e-6)
    if column not in SAME:
        assert len(set(drawn)) >= 3


@pytest.mark.parametrize("column", SPREAD)
def test_whole_numbers_are_drawn_equally_often(column):
    """Quarter turns and qualities: each from the least to the largest, the ends included, in equal shares."""
    least, largest = map(int, BOUNDS[column](98))
    drawn = _drawn(column, 98, (np.arange(300) + 0.5) / 300)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == list(range(least, largest + 1))
    assert set(counts) == {300 // len(values)}


@pytest.mark.parametrize("column", ["scale", "contrast", "gamma", "saturation"])
def test_a_factor_is_as_often_below_one_as_above(column):
    """Halving is as likely as doubling."""
    drawn = _drawn(column, 4, np.array([0, 0.25, 0.5, 0.75, 1]))
    np.testing.assert_allclose(drawn, [1 / 4, 1 / 2, 1, 2, 4], rtol=1e-6)


def test_a_number_is_a_range_or_a_probability():
    """A number is a range with the usual probability; of flips and turns it is the probability itself."""
    assert strength("rotation", 15) == Strength(15, 1)
    assert strength("blur", 2) == Strength(2, 0.3)
    assert strength("cutout", 0.4) == Strength(0.4, 0.5)
    for name in ("flip_horizontal", "flip_vertical", "turns"):
        assert strength(name, 0.25) == Strength(1, 0.25)


def test_a_pair_is_a_range_and_a_probability():
    """A pair says both, as numbers of one type whatever was written."""
    drawn = strength("elastic", (1, 0))
    assert drawn == Strength(1, 0)
    assert isinstance(drawn.range, float) and isinstance(drawn.probability, float)


@given(
    st.integers(1, 99),
    st.dictionaries(
        st.sampled_from(list(TRANSFORMS)), st.builds(Strength, st.floats(0, 180), st.floats(0, 1)), max_size=5
    ),
)
def test_a_policy_comes_back_from_its_record(variants, strengths):
    """A policy read from a manifest's metadata is the one that was written."""
    policy = Policy(variants, strengths)
    assert Policy.of(json.loads(json.dumps(dataclasses.asdict(policy)))) == policy


def _policy(**given) -> Policy:
    return Policy(1, {name: strength(name, own) for name, own in given.items()})


ALL = {name: row.limits[1] for name, row in TRANSFORMS.items()}


def test_a_mirror_is_unsafe_for_handed_classes():
    """Both flips are named, each with a reason, and no other transform."""
    found = unsafe("handed", _policy(**ALL))
    assert set(found) == {"flip_horizontal", "flip_vertical"}
    assert all("mirror" in reason for reason in found.values())


def test_what_loses_the_up_is_unsafe_for_upright_classes():
    """Vertical flips, turns and rotations beyond 45 degrees are named, each with a reason, and no other."""
    found = unsafe("upright", _policy(**ALL))
    assert set(found) == {"flip_vertical", "turns", "rotation"}
    assert all("up" in reason for reason in found.values())


@pytest.mark.parametrize(("rotation", "named"), [(0, False), (45, False), (45.1, True), (180, True)])
def test_a_rotation_is_unsafe_where_up_may_become_a_side(rotation, named):
    """Up to 45 degrees up is still up."""
    assert ("rotation" in unsafe("upright", _policy(rotation=rotation))) == named


@pytest.mark.parametrize("declared", ["handed", "upright"])
def test_what_never_happens_is_safe(declared):
    """A transform with probability 0, or none at all, is not named."""
    never = Policy(1, {name: Strength(most, 0) for name, most in ALL.items()})
    assert unsafe(declared, never) == unsafe(declared, Policy(1, {})) == {}
