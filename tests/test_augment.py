"""Synthetic images are drawn as values and applied to image and mask as one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.augment import PARAMETERS, Policy, apply, draw
from stratagem.labels import IGNORE

NEUTRAL = dict.fromkeys(PARAMETERS, 0.0) | {
    "scale": 1.0,
    "contrast": 1.0,
    "flip_horizontal": False,
    "flip_vertical": False,
}
FULL = Policy(4, 180, 0.3, 1.5, 0.5, 0.5, 0.2, 1.5, 2.0, 0.5)
PHOTOMETRIC = [{"brightness": 0.3}, {"contrast": 2.0}, {"blur_px": 1.5}]
sides = st.integers(1, 12)


def _picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, rng.integers(0, 3, (height, width), dtype=np.uint8)


def _applied(image, mask, **change):
    return apply(NEUTRAL | change, image, mask)


@given(sides, sides, st.integers(0, 9))
def test_a_neutral_row_changes_nothing(height, width, seed):
    """Neutral parameters give back what was given, as new arrays."""
    given_image, given_mask = _picture(height, width, seed)
    image, mask = _applied(given_image, given_mask)
    np.testing.assert_array_equal(image, given_image)
    np.testing.assert_array_equal(mask, given_mask)
    assert not np.shares_memory(image, given_image)
    assert not np.shares_memory(mask, given_mask)


@given(st.integers(0, 99))
def test_a_policy_without_strength_is_neutral(seed):
    """A policy that leaves everything out draws neutral rows alone."""
    rows = draw(Policy(variants=3), seed, ["a"])
    for row in rows[list(PARAMETERS)].to_dict("records"):
        assert row == NEUTRAL


@given(sides, sides)
def test_flips_mirror(height, width):
    """A flip exchanges left and right, or top and bottom, exactly."""
    image, mask = _picture(height, width)
    for name, mirror in (("flip_horizontal", np.fliplr), ("flip_vertical", np.flipud)):
        flipped = _applied(image, mask, **{name: True})
        np.testing.assert_array_equal(flipped[0], mirror(image))
        np.testing.assert_array_equal(flipped[1], mirror(mask))


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_exact(size, quarters):
    """A positive rotation turns clockwise, and a quarter turn of a square is exact."""
    image, mask = _picture(size, size)
    turned = _applied(image, mask, rotation_deg=90.0 * quarters)
    np.testing.assert_array_equal(turned[0], np.rot90(image, -quarters))
    np.testing.assert_array_equal(turned[1], np.rot90(mask, -quarters))


def test_a_translation_moves_by_a_share_of_the_side():
    """A translation by a quarter of the width moves to the right; what comes in is ignore."""
    image, mask = _picture(3, 4)
    moved = _applied(image, mask, translation_x=0.25)
    np.testing.assert_array_equal(moved[0][:, 1:], image[:, :-1])
    np.testing.assert_array_equal(moved[1][:, 1:], mask[:, :-1])
    assert (moved[0][:, 0] == 0).all()
    assert (moved[1][:, 0] == IGNORE).all()
    down = _applied(image, mask, translation_y=1 / 3)
    np.testing.assert_array_equal(down[1][1:], mask[:-1])
    assert (down[1][0] == IGNORE).all()


def test_a_scale_enlarges_about_the_centre():
    """A scale of 3 triples the middle pixel; a scale of 1/3 brings ignore in from all sides."""
    mask = np.zeros((5, 5), np.uint8)
    mask[2, 2] = 1
    image = np.dstack([mask * 255] * 3)
    larger = np.zeros((5, 5), np.uint8)
    larger[1:4, 1:4] = 1
    np.testing.assert_array_equal(_applied(image, mask, scale=3.0)[1], larger)
    smaller = _applied(image, mask, scale=1 / 3)[1]
    assert (smaller[[0, -1]] == IGNORE).all()
    assert (smaller[:, [0, -1]] == IGNORE).all()
    assert smaller[2, 2] == 1


def test_flips_come_before_the_turn():
    """Flip, then scale and turn, then move: the order in which one row's values act."""
    image, mask = _picture(4, 4)
    both = _applied(image, mask, flip_horizontal=True, rotation_deg=90.0, translation_x=0.25)
    expected = np.rot90(np.fliplr(mask), -1)
    np.testing.assert_array_equal(both[1][:, 1:], expected[:, :-1])


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_image_and_mask_move_by_the_same_fraction_of_a_pixel(right, down):
    """A class stays under its pixels when moved by any fraction of a pixel."""
    mask = np.zeros((16, 16), np.uint8)
    mask[5:11, 5:11] = 1
    image = np.dstack([mask * 255] * 3)
    image, mask = _applied(image, mask, translation_x=right / 16, translation_y=down / 16)
    centre = [np.argwhere(mask == 1).mean(axis=0), np.argwhere(image[..., 0] > 127).mean(axis=0)]
    assert np.abs(centre[0] - centre[1]).max() <= 0.5
    exact = np.average(np.indices((16, 16)).reshape(2, -1), axis=1, weights=image[..., 0].ravel())
    np.testing.assert_allclose(exact, (7.5 + down, 7.5 + right), atol=0.05)
    assert np.abs(centre[0] - exact).max() <= 0.55  # nearest: at most half a pixel off


@given(
    st.floats(-180, 180),
    st.floats(0.7, 1.4),
    st.booleans(),
    st.booleans(),
    st.floats(-0.1, 0.1),
    st.floats(-0.1, 0.1),
)
def test_image_and_mask_stay_aligned(rotation_deg, scale, horizontal, vertical, right, down):
    """Under any geometric row the class is where its pixels are, but for a rim of one pixel."""
    mask = np.zeros((48, 48), np.uint8)
    mask[12:24, 10:34], mask[24:34, 14:24] = 1, 2
    image = np.dstack([(mask == number) * np.uint8(255) for number in range(3)])
    row = {"rotation_deg": rotation_deg, "scale": scale, "flip_horizontal": horizontal}
    row |= {"flip_vertical": vertical, "translation_x": right, "translation_y": down}
    image, mask = _applied(image, mask, **row)
    for number in range(3):
        sure = image[..., number] == 255
        assert (mask[sure] == number).all()
        assert sure.any()
    new = (image == 0).all(axis=2)
    assert (mask[new] == IGNORE).all()
    assert new.sum() <= (mask == IGNORE).sum() <= new.sum() + 4 * 48


@given(st.integers(0, 30))
def test_labels_stay_labels(seed):
    """A synthetic mask holds labels of its original, or ignore."""
    image, mask = _picture(9, 7)
    for row in draw(FULL, seed, ["a"]).to_dict("records"):
        assert set(np.unique(apply(row, image, mask)[1])) <= {0, 1, 2, IGNORE}


@pytest.mark.parametrize("change", PHOTOMETRIC)
def test_light_and_blur_leave_the_mask_alone(change):
    """Brightness, contrast and blur change the image and leave the mask as it is."""
    image, mask = _picture(9, 7)
    changed = _applied(image, mask, **change)
    np.testing.assert_array_equal(changed[1], mask)
    assert changed[0].shape == image.shape
    assert (changed[0] != image).any()


def test_golden_brightness_and_contrast():
    """Brightness adds a share of full range; contrast stretches about middle grey; both stop at the ends."""
    image = np.array([[[0, 100, 250]]], np.uint8)
    mask = np.zeros((1, 1), np.uint8)
    assert _applied(image, mask, brightness=0.2)[0].tolist() == [[[51, 151, 255]]]
    assert _applied(image, mask, brightness=-0.4)[0].tolist() == [[[0, 0, 148]]]
    assert _applied(image, mask, contrast=2.0)[0].tolist() == [[[0, 72, 255]]]
    assert _applied(image, mask, contrast=0.5)[0].tolist() == [[[64, 114, 189]]]


def test_blur_spreads_as_wide_as_it_says():
    """A point blurred by 2 pixels has that standard deviation along each side."""
    image = np.zeros((33, 33, 3), np.uint8)
    image[16, 15:18] = 255
    profile = _applied(image, np.zeros((33, 33), np.uint8), blur_px=2.0)[0][..., 0].sum(axis=1)
    assert abs(np.average((np.arange(33) - 16) ** 2, weights=profile) - 4) < 0.8


@given(st.integers(0, 99))
def test_draws_lie_within_the_policy(seed):
    """Every value drawn lies within what the policy allows."""
    rows = draw(FULL, seed, ["a", "b"])
    assert rows["rotation_deg"].abs().max() <= 180
    assert rows[["translation_x", "translation_y"]].abs().to_numpy().max() <= 0.3
    assert rows[["scale", "contrast"]].to_numpy().max() <= 1.5
    assert rows[["scale", "contrast"]].to_numpy().min() >= 1 / 1.5
    assert rows["brightness"].abs().max() <= 0.2
    assert rows["blur_px"].between(0, 2).all()


def test_probabilities_are_kept():
    """A probability of 0 never happens, of 1 always, of a half about half of the time."""
    rows = draw(Policy(400, flip_horizontal=1, flip_vertical=0.5, blur=1, blur_probability=0.5), 0, ["a"])
    assert rows["flip_horizontal"].all()
    assert 0.4 < rows["flip_vertical"].mean() < 0.6
    assert 0.4 < (rows["blur_px"] > 0).mean() < 0.6
    assert not draw(Policy(400, blur=1), 0, ["a"])["blur_px"].any()


def test_draws_are_spread_evenly():
    """Rotations are as often left as right, scales as often smaller as larger."""
    rows = draw(Policy(2000, rotation=10, scale=2), 0, ["a"])
    assert abs(rows["rotation_deg"].mean()) < 0.5
    assert abs(rows["rotation_deg"].std() - 10 / np.sqrt(3)) < 0.3
    assert abs(np.log2(rows["scale"]).mean()) < 0.05


def test_the_seed_governs_the_draw():
    """The same seed draws the same manifest, another seed another, in every column."""
    first, again, other = (draw(FULL, seed, ["a", "b"]) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    for name in PARAMETERS:
        assert (first[name] != other[name]).any(), name


def test_samples_variants_and_parameters_are_independent():
    """Two samples, two variants, two parameters: no two draw the same values."""
    rows = draw(Policy(50, translation=0.5), 0, ["a", "b"])
    values = rows[["translation_x", "translation_y"]].to_numpy().ravel()
    assert len(set(values)) == 200


def test_a_manifest_has_a_row_a_synthetic_image():
    """The manifest has its keys and parameters as columns and a row a sample and variant."""
    rows = draw(FULL, 3, ["b", "a/c"])
    assert rows.columns.tolist() == ["seed", "sample", "variant", *PARAMETERS]
    assert rows["sample"].tolist() == ["b"] * 4 + ["a/c"] * 4
    assert rows["variant"].tolist() == [0, 1, 2, 3] * 2
    assert set(rows["seed"]) == {3}


def test_an_added_sample_changes_no_other():
    """A new sample leaves every row of the others as it was, wherever it stands."""
    before = draw(FULL, 0, ["a", "b"])
    after = draw(FULL, 0, ["b", "new", "a"])
    for sample in ("a", "b"):
        old, new = (rows[rows["sample"] == sample].reset_index(drop=True) for rows in (before, after))
        pd.testing.assert_frame_equal(old, new)


def test_added_variants_change_no_earlier():
    """More variants leave the earlier ones as they were."""
    few, many = (draw(Policy(count, 9, 0.1, 2, 0.5, 0.5, 0.1, 2, 1, 0.5), 0, ["a"]) for count in (3, 50))
    pd.testing.assert_frame_equal(few, many.iloc[:3])


@pytest.mark.parametrize(
    ("setting", "column"),
    [
        ({"rotation": 90}, ["rotation_deg"]),
        ({"translation": 0.1}, ["translation_x", "translation_y"]),
        ({"scale": 3}, ["scale"]),
        ({"flip_horizontal": 1}, ["flip_horizontal"]),
        ({"flip_vertical": 1}, ["flip_vertical"]),
        ({"brightness": 0.5}, ["brightness"]),
        ({"contrast": 3}, ["contrast"]),
        ({"blur": 3, "blur_probability": 1}, ["blur_px"]),
    ],
)
def test_another_transform_changes_no_other_value(setting, column):
    """Switching one transform on changes its own column and no other."""
    before, after = draw(Policy(20), 0, ["a"]), draw(Policy(20, **setting), 0, ["a"])
    changed = [name for name in before.columns if (before[name] != after[name]).any()]
    assert changed == column


def test_golden_draw():
    """The values drawn do not drift from one version to the next."""
    row = draw(Policy(1, 30, 0.1, 1.2, 0.5, 0.5, 0.1, 1.3, 2, 0.5), 0, ["a"]).iloc[0]
    assert row["rotation_deg"] == pytest.approx(27.548502671846432, rel=1e-12)
    assert row["translation_x"] == pytest.approx(0.0436166299654798, rel=1e-12)
    assert row["scale"] == pytest.approx(1.1528147182391522, rel=1e-12)
    assert row["contrast"] == pytest.approx(1.2749496975650327, rel=1e-12)
    assert (row["flip_horizontal"], row["flip_vertical"], row["blur_px"]) == (True, True, 0.0)
