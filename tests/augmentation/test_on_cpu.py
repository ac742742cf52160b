"""Synthetic images follow their row: image and mask as one, along one map, and bit for bit the same."""

import itertools
import math
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import AffineTransform, rotate, warp

from stratagem.augmentation import on_cpu
from stratagem.augmentation.manifest import draw
from stratagem.augmentation.on_cpu import (
    apply,
    colours,
    displacement,
    exchange,
    gains,
    hidden,
    inverse,
    levels,
    matrix,
    mirrors,
    moves,
    paste,
    sources,
)
from stratagem.augmentation.transforms import NEUTRAL, TRANSFORMS, Policy, Strength
from stratagem.data.labels import IGNORE

CHOI_LEE = 1 / 2.046392675  # share of a grid's cell below which a 2D cubic B-spline never folds
PROPERTIES = settings(max_examples=30)
RANGES = {
    "rotation": 180,
    "translation": 0.2,
    "scale": 1.6,
    "shear": 25,
    "flip_horizontal": 1,
    "flip_vertical": 1,
    "turns": 1,
    "elastic": 0.12,
    "crop": 0.4,
    "brightness": 0.4,
    "contrast": 3,
    "gamma": 3,
    "saturation": 3,
    "hue": 180,
    "channel_noise": 0.3,
    "light": 1,
    "blur": 4,
    "low_resolution": 6,
    "noise": 30,
    "sharpen": 3,
    "jpeg": 5,
    "cutout": 0.6,
    "cutmix": 0.6,
    "channel_dropout": 1,
}
GEOMETRIC = [name for name, transform in TRANSFORMS.items() if transform.kind == "geometric"]
AFFINE = [name for name in GEOMETRIC if name != "elastic"]
PHOTOMETRIC = [name for name, transform in TRANSFORMS.items() if transform.kind == "photometric"]
# The range at which each transform does nothing, where there is one.
NOTHING = {name: transform.limits[name == "crop"] for name, transform in TRANSFORMS.items()}
sides = st.integers(1, 12)


def _row(**change) -> dict:
    assert set(change) <= set(NEUTRAL)
    return NEUTRAL | change


def _rows(names, count, probability=1.0, seed=0) -> list[dict]:
    """Rows drawn as a manifest draws them, with these transforms at full range."""
    policy = Policy(1, {name: Strength(RANGES[name], probability) for name in names})
    drawn = draw(policy, seed, [str(number) for number in range(count)], 0)
    return [{column: drawn[column][place].item() for column in NEUTRAL} for place in range(count)]


@st.composite
def rows(draw, names, probability=0.6):
    """A row with some of these transforms."""
    (row,) = _rows(names, 1, probability, draw(st.integers(0, 10_000)))
    return row


def _picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, rng.integers(0, 3, (height, width), dtype=np.uint8)


def _photograph() -> np.ndarray:
    """A real photograph, uint8 (96, 120, 3)."""
    return cv2.resize(skimage.data.astronaut()[40:232, 120:360], (120, 96), interpolation=cv2.INTER_AREA)


def _applied(image, mask=None, **change):
    mask = np.zeros(image.shape[:2], np.uint8) if mask is None else mask
    return apply(_row(**change), image, mask)


def _grey(value, height=8, width=8) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


# Channels.

COMMON = [name for name in TRANSFORMS if name not in ("cutmix", "hue", "saturation", "jpeg", "noise")]
APART = ("channel_noise", "channel_dropout")


@pytest.mark.parametrize("channels", [2, 4, 5, 13, 32])
def test_each_channel_is_changed_as_in_a_colour_image(channels):
    """The same map, light, levels and optics for all, to the bit; the mask is that of a colour image."""
    names = [name for name in COMMON if name not in APART]
    planes = np.random.default_rng(0).integers(0, 256, (21, 34, channels), dtype=np.uint8)
    mask = _picture(21, 34)[1]
    for row in _rows(names, 6, 0.6):
        image, moved = apply(row, planes, mask)
        for number in range(channels):
            alone, labels = apply(row, np.ascontiguousarray(planes[..., [number] * 3]), mask)
            np.testing.assert_array_equal(image[..., number], alone[..., 0])
        np.testing.assert_array_equal(moved, labels)


@pytest.mark.parametrize("channels", [3, 5, 32])
def test_channels_shift_apart_and_one_is_dropped(channels):
    """Each by its own amount within the range, the first three as ever; one alone is dropped."""
    image = np.full((4, 4, channels), 128, np.uint8)
    for row in _rows(["channel_noise"], 20):
        shifts = apply(row, image, _picture(4, 4)[1])[0][0, 0].astype(int) - 128
        assert abs(shifts).max() <= round(255 * RANGES["channel_noise"]) and len(set(shifts)) > 1
        assert shifts[:3].tolist() == [round(255 * row[f"channel_{number}"]) for number in range(3)]
    lost = set()
    for row in _rows(["channel_dropout"], 200):
        found = apply(row, image, _picture(4, 4)[1])[0]
        assert ((found == 0).all(axis=(0, 1)).sum(), (found == 128).all(axis=(0, 1)).sum()) == (
            1,
            channels - 1,
        )
        lost.add(int(found[0, 0].argmin()))
    assert lost == set(range(channels))


def test_many_channels_may_be_noisy_and_compressed():
    """Noise is each channel's own; a channel is compressed as a grey picture."""
    image = np.repeat(_photograph()[..., :1], 5, axis=2)
    noisy = _applied(image, noise=9.0, noise_seed=3)[0]
    assert not np.array_equal(noisy[..., 0], noisy[..., 4])
    stored = _applied(image, jpeg=20)[0].astype(int)
    assert np.array_equal(stored[..., 0], stored[..., 4]) and 0 < abs(stored - image).mean() < 6


# Nothing.


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_without_strength_changes_nothing(name):
    """At a range of nothing, or with probability 0, image and mask are as they were, bit for bit."""
    image, mask = _picture(21, 16)
    other, other_mask = _picture(9, 30, 1)
    choices = [Strength(RANGES[name], 0.0)]
    if TRANSFORMS[name].probability is not None and name != "jpeg":
        choices.append(Strength(NOTHING[name], 1.0))
    for strength in choices:
        drawn = draw(Policy(1, {name: strength}), 0, [str(number) for number in range(10)], 0)
        for place in range(10):
            row = {column: values[place].item() for column, values in drawn.items()}
            pasted = image.copy(), mask.copy()
            paste(row, *pasted, other, other_mask)
            found = apply(row, *pasted, exchange([(1, 2)]))
            np.testing.assert_array_equal(found[0], image)
            np.testing.assert_array_equal(found[1], mask)


@given(sides, sides, st.integers(0, 9))
def test_a_neutral_row_changes_nothing(height, width, seed):
    """Neutral parameters give back what was given, as new arrays."""
    given_image, given_mask = _picture(height, width, seed)
    image, mask = _applied(given_image, given_mask)
    np.testing.assert_array_equal(image, given_image)
    np.testing.assert_array_equal(mask, given_mask)
    assert not np.shares_memory(image, given_image)
    assert not np.shares_memory(mask, given_mask)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_with_strength_changes_something(name):
    """Each transform of the table is applied: it changes image or mask, in all rows but a few."""
    image, mask = _picture(24, 24)
    changed = 0
    for row in _rows([name], 10):
        pasted = image.copy(), mask.copy()
        paste(row, *pasted, *_picture(24, 24, 1))
        changed += (apply(row, *pasted)[0] != image).any()
    assert changed >= 8


@PROPERTIES
@given(sides, sides, rows([name for name in TRANSFORMS if name != "cutmix"], 0.8))
def test_any_row_fits_any_size(height, width, row):
    """From one pixel on, image and mask keep their size and type, and what was given stays as it was."""
    given_image, given_mask = _picture(height, width)
    before = given_image.copy(), given_mask.copy()
    image, mask = apply(row, given_image, given_mask, exchange([(0, 1)]))
    assert image.shape == (height, width, 3) and mask.shape == (height, width)
    assert image.dtype == mask.dtype == np.uint8
    np.testing.assert_array_equal(given_image, before[0])
    np.testing.assert_array_equal(given_mask, before[1])


def test_buffers_are_filled_and_returned():
    """Given buffers hold the very result, whatever was in them, in any row."""
    image, mask = _picture(17, 22)
    for row in [_row(), *_rows(TRANSFORMS, 20, 0.3)]:
        expected = apply(row, image, mask)
        into = np.full_like(image, 77), np.full_like(mask, 77)
        found = apply(row, image, mask, into=into)
        assert found[0] is into[0] and found[1] is into[1]
        np.testing.assert_array_equal(into[0], expected[0])
        np.testing.assert_array_equal(into[1], expected[1])


def test_a_part_of_a_batch_is_a_buffer():
    """Buffers that are slices of a larger array are filled in place, and nothing beside them."""
    image, mask = _picture(17, 22)
    for row in _rows(TRANSFORMS, 10, 0.3):
        images, masks = np.full((3, 17, 22, 3), 9, np.uint8), np.full((3, 17, 22), 9, np.uint8)
        apply(row, image, mask, exchange([(1, 2)]), (images[1], masks[1]))
        expected = apply(row, image, mask, exchange([(1, 2)]))
        np.testing.assert_array_equal(images[1], expected[0])
        np.testing.assert_array_equal(masks[1], expected[1])
        assert (images[::2] == 9).all() and (masks[::2] == 9).all()


# What each geometric transform does.


@given(sides, sides)
def test_flips_mirror(height, width):
    """A flip exchanges left and right, or top and bottom, exactly; both are a half turn."""
    image, mask = _picture(height, width)
    for change, mirror in (
        ({"flip_horizontal": True}, np.fliplr),
        ({"flip_vertical": True}, np.flipud),
        ({"flip_horizontal": True, "flip_vertical": True}, lambda array: np.rot90(array, 2)),
        ({"turns": 2}, lambda array: np.rot90(array, 2)),
    ):
        flipped = _applied(image, mask, **change)
        np.testing.assert_array_equal(flipped[0], mirror(image))
        np.testing.assert_array_equal(flipped[1], mirror(mask))


@pytest.mark.parametrize("size", [1, 4, 5])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_exact(size, quarters):
    """A turn is clockwise, and exact on a square, as is a rotation by the same angle."""
    image, mask = _picture(size, size)
    for change in ({"turns": quarters}, {"rotation_deg": 90.0 * quarters}):
        turned = _applied(image, mask, **change)
        np.testing.assert_array_equal(turned[0], np.rot90(image, -quarters))
        np.testing.assert_array_equal(turned[1], np.rot90(mask, -quarters))


def test_a_turn_of_an_oblong_keeps_its_middle():
    """What no longer fits the frame is lost, what comes in is ignored, the middle square is turned."""
    image, mask = _picture(4, 8)
    turned = _applied(image, mask, turns=1)
    np.testing.assert_array_equal(turned[0][:, 2:6], np.rot90(image[:, 2:6], -1))
    np.testing.assert_array_equal(turned[1][:, 2:6], np.rot90(mask[:, 2:6], -1))
    assert (turned[1][:, [0, 1, 6, 7]] == IGNORE).all()
    assert (turned[0][:, [0, 1, 6, 7]] == 0).all()


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


def test_a_shear_slides_rows_over_each_other():
    """45 degrees move each row a pixel further to the right than the one above, about the middle row."""
    image, mask = _picture(5, 9)
    right = _applied(image, mask, shear_x_deg=45.0)
    down = _applied(image, mask, shear_y_deg=45.0)
    for row, shift in enumerate(range(-2, 3)):
        kept = slice(max(0, shift), 9 + min(0, shift))
        come = slice(max(0, -shift), 9 + min(0, -shift))
        for found, expected in zip(right, (image, mask), strict=True):
            np.testing.assert_array_equal(found[row, kept], expected[row, come])
        outside = np.delete(right[1][row], np.arange(9)[kept])
        assert (outside == IGNORE).all()
    np.testing.assert_array_equal(down[1][:, 4], mask[:, 4])
    np.testing.assert_array_equal(down[1][1:, 5], mask[:-1, 5])


def test_a_crop_enlarges_a_part_to_the_frame():
    """Half of the sides kept: the middle alone is seen, each of its pixels four times as large."""
    _, mask = _picture(8, 12)
    image = np.dstack([mask] * 3)
    cropped = _applied(image, mask, crop=0.5, crop_x=0.5, crop_y=0.5)[1]
    np.testing.assert_array_equal(cropped, mask[2:6, 3:9].repeat(2, axis=0).repeat(2, axis=1))


@PROPERTIES
@given(rows(["crop"], 1.0), st.integers(2, 40), st.integers(2, 40))
def test_a_crop_stays_inside_the_image(row, height, width):
    """Its window lies between the middles of the outermost pixels: nothing of outside blends in."""
    a, b, c, d, e, f = inverse(matrix(row, height, width))
    for place, side, (scale, shift) in (("crop_x", width, (a, c)), ("crop_y", height, (e, f))):
        first = row[place] * (1 - row["crop"]) * (side - 1)
        ends = [scale * edge + shift for edge in (0, side - 1)]
        assert ends == pytest.approx([first, first + row["crop"] * (side - 1)], abs=1e-6)
    assert b == d == 0
    flat = np.full((height, width, 3), 200, np.uint8)
    image, mask = apply(row, flat, np.zeros((height, width), np.uint8))
    assert (mask == 0).all()
    assert np.abs(image.astype(int) - 200).max() <= 1


def _about_the_middle(height, width, step) -> np.ndarray:
    middle = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    return middle @ np.vstack([step, [0, 0, 1]]) @ np.linalg.inv(middle)


def test_geometric_steps_act_in_one_order():
    """Crop, flips, turns, scale, shear, rotation, translation: each acts on what the ones before it gave."""
    steps = (
        "crop crop_x crop_y",
        "flip_horizontal flip_vertical",
        "turns",
        "scale",
        "shear_x_deg shear_y_deg",
    )
    steps += ("rotation_deg", "translation_x translation_y")
    for row in _rows(AFFINE, 20):
        whole = np.eye(3)
        for columns in map(str.split, steps):
            alone = _row(**{column: row[column] for column in columns})
            whole = np.vstack([np.reshape(matrix(alone, 30, 44), (2, 3)), [0, 0, 1]]) @ whole
        np.testing.assert_allclose(np.reshape(matrix(row, 30, 44), (2, 3)), whole[:2], atol=1e-9)


@PROPERTIES
@given(rows(AFFINE), st.integers(2, 50), st.integers(2, 50))
def test_the_inverse_leads_back(row, height, width):
    """A point moved and moved back is where it was."""
    there = np.vstack([np.reshape(matrix(row, height, width), (2, 3)), [0, 0, 1]])
    back = np.vstack([np.reshape(inverse(matrix(row, height, width)), (2, 3)), [0, 0, 1]])
    np.testing.assert_allclose(back @ there, np.eye(3), atol=1e-9)


def test_flips_come_before_the_turn():
    """A flip, then a turn, then a move: seen in the pixels."""
    image, mask = _picture(4, 4)
    both = _applied(image, mask, flip_horizontal=True, rotation_deg=90.0, translation_x=0.25)
    expected = np.rot90(np.fliplr(mask), -1)
    np.testing.assert_array_equal(both[1][:, 1:], expected[:, :-1])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_moves_pixels_says_so(name):
    """The geometric transforms move pixels, and no others do."""
    assert all(moves(row) == (name in GEOMETRIC) for row in _rows([name], 5))
    assert not moves(_row())


# Where landmarks go.


def _landmark(x, y, height, width):
    """A soft spot in the image and a disc in the mask, about the same point."""
    down, across = np.mgrid[:height, :width]
    square = (across - x) ** 2 + (down - y) ** 2
    spot = np.rint(255 * np.exp(-square / 8)).astype(np.uint8)
    return np.dstack([spot] * 3), (square <= 36).astype(np.uint8)


def _centre(weights) -> np.ndarray:
    """x and y."""
    return np.average(np.indices(weights.shape).reshape(2, -1), axis=1, weights=weights.ravel())[::-1]


@settings(max_examples=60)
@given(rows(AFFINE), st.integers(25, 55), st.integers(20, 44))
def test_a_landmark_lands_where_the_map_says(row, x, y):
    """Under any affine row a landmark is found, in image and mask, where the matrix takes it."""
    a, b, c, d, e, f = matrix(row, 64, 80)
    expected = a * x + b * y + c, d * x + e * y + f
    reach = 1 + 7 * np.linalg.norm([[a, b], [d, e]], 2)  # of the spot, stretched
    assume(reach < expected[0] < 79 - reach and reach < expected[1] < 63 - reach)
    image, mask = apply(row, *_landmark(x, y, 64, 80))
    np.testing.assert_allclose(_centre(image[..., 0].astype(float)), expected, atol=0.05)
    np.testing.assert_allclose(_centre(mask == 1), expected, atol=0.501)


def _ramps(height, width):
    """An image whose colours are its coordinates, and masks that are its columns and its rows."""
    down, across = np.mgrid[:height, :width].astype(np.uint8)
    return np.dstack([across * 3, down * 3, np.full_like(down, 255)]), across, down


@pytest.mark.parametrize("name", [*GEOMETRIC, None])
def test_every_pixel_comes_from_where_the_map_says(name):
    """Image and mask alike: to a fraction of a pixel, from the place in the original that `sources` names."""
    image, *masks = _ramps(60, 80)
    for row in _rows(GEOMETRIC if name is None else [name], 12, 0.7 if name is None else 1.0):
        places = sources(row, 60, 80)
        outside = [
            np.maximum(-0.5 - place, place - side + 0.5) for place, side in zip(places, (80, 60), strict=True)
        ]
        outside = np.maximum(*outside)  # by how far
        for number, (place, mask) in enumerate(zip(places, masks, strict=True)):
            moved, labels = apply(row, image, mask)
            inside = moved[..., 2] == 255
            np.testing.assert_allclose(moved[inside][:, number] / 3, place[inside], atol=0.25)
            known = labels != IGNORE
            np.testing.assert_allclose(labels[known], place[known], atol=0.51)
            assert (known == (outside < 0))[np.abs(outside) > 0.01].all()
            assert (moved[outside > 0.51] == 0).all()
            assert inside[outside < -0.51].all()
        assert inside.any()


@PROPERTIES
@given(rows(GEOMETRIC), st.integers(1, 40), st.integers(1, 40))
def test_sources_are_the_way_back(row, height, width):
    """Each synthetic pixel is looked up where it is displaced to, and from there the matrix leads back."""
    a, b, c, d, e, f = inverse(matrix(row, height, width))
    down, across = np.mgrid[:height, :width].astype(float)
    if row["elastic"] > 0:
        right, below = displacement(row, height, width)
        down, across = down + below, across + right
    x, y = sources(row, height, width)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_allclose(x, a * across + b * down + c, atol=1e-3)
    np.testing.assert_allclose(y, d * across + e * down + f, atol=1e-3)


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


@PROPERTIES
@given(rows(GEOMETRIC))
def test_image_and_mask_stay_aligned(row):
    """Under any geometric row the class is where its pixels are, and what is new is 0 and ignored."""
    mask = np.zeros((48, 48), np.uint8)
    mask[12:24, 10:34], mask[24:34, 14:24] = 1, 2
    image = np.dstack([(mask == number) * np.uint8(255) for number in range(3)])
    image, mask = apply(row, image, mask)
    for number in range(3):
        assert (mask[image[..., number] == 255] == number).all()
    new = (image == 0).all(axis=2)
    assert (mask[new] == IGNORE).all()
    assert (image[mask == IGNORE] < 255).all()


@PROPERTIES
@given(rows(TRANSFORMS), st.integers(0, 9))
def test_labels_stay_labels(row, seed):
    """A synthetic mask holds labels of its original, or ignore."""
    image, mask = _picture(9, 7, seed)
    mask[mask == 1] = 200
    assert set(np.unique(apply(row, image, mask)[1])) <= {*np.unique(mask), IGNORE}


# The elastic part.


def _bent(row, height, width):
    x, y = displacement(row, height, width)
    return x + np.arange(width)[None, :], y + np.arange(height)[:, None]


def _jacobian(x, y) -> np.ndarray:
    """Of a map on the pixels' grid, by differences."""
    return (
        np.diff(x, axis=1)[:-1] * np.diff(y, axis=0)[:, :-1]
        - np.diff(x, axis=0)[:, :-1] * np.diff(y, axis=1)[:-1]
    )


@pytest.mark.parametrize(("height", "width"), [(2, 2), (20, 24), (57, 57), (64, 150), (200, 31)])
def test_elastic_maps_never_fold(height, width):
    """At the largest displacement allowed, neighbours stay neighbours and in order."""
    most = TRANSFORMS["elastic"].limits[1]
    for seed in range(60):
        assert _jacobian(*_bent(_row(elastic=most, elastic_seed=seed), height, width)).min() > 0.05


def test_the_largest_displacement_is_below_the_one_that_folds():
    """The limit of the range, in cells of the grid, is below the bound that Choi and Lee proved."""
    assert TRANSFORMS["elastic"].limits[1] * on_cpu.CELLS < CHOI_LEE


@PROPERTIES
@given(st.floats(0.001, 0.12), st.integers(0, 2**31 - 1), st.integers(1, 90), st.integers(1, 90))
def test_displacements_stay_within_their_range(elastic, seed, height, width):
    """No pixel is looked up further away, along an axis, than the share of the shorter side."""
    x, y = displacement(_row(elastic=elastic, elastic_seed=seed), height, width)
    assert x.shape == y.shape == (height, width)
    most = elastic * min(height, width)
    for moved in (x, y):
        assert np.abs(moved).max() <= most * (1 + 1e-5)


def test_an_elastic_map_is_smooth_and_its_own():
    """Each seed bends otherwise, twice as far at twice the range, and the same way at every size."""
    row = _row(elastic=0.05, elastic_seed=1)
    x, y = displacement(row, 41, 61)
    assert np.abs(x).max() > 0.3 * 0.05 * 41
    assert np.abs(x - displacement(row | {"elastic_seed": 2}, 41, 61)[0]).max() > 0.5
    assert np.abs(x - y).max() > 0.5
    np.testing.assert_allclose(displacement(row | {"elastic": 0.1}, 41, 61)[0], 2 * x, rtol=1e-4)
    np.testing.assert_allclose(displacement(row, 81, 121)[1][::2, ::2] / 80, y / 40, atol=1e-5)
    assert np.abs(np.diff(x, 2, axis=1)).max() < 0.02 * np.abs(x).max()


# One interpolation.


@pytest.mark.parametrize("elastic", [False, True])
def test_the_whole_map_is_sampled_once(elastic):
    """A row of many parts gives what a single interpolation at its sources gives, to rounding."""
    image = _photograph()
    height, width = image.shape[:2]
    for row in _rows(GEOMETRIC if elastic else AFFINE, 8):
        x, y = sources(row, height, width)
        once = [
            ndimage.map_coordinates(image[..., channel].astype(float), [y, x], order=1)
            for channel in range(3)
        ]
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        differences = np.abs(apply(row, image, image[..., 0])[0] - np.dstack(once))[inside]
        assert differences.max() < 6
        assert differences.mean() < 0.5


def test_parts_that_cancel_out_lose_nothing():
    """A crop to the middle half, enlarged, and a scale of a half: the middle comes back bit for bit."""
    image, mask = _picture(16, 24)
    both = _applied(image, mask, crop=0.5, crop_x=0.5, crop_y=0.5, scale=0.5)
    np.testing.assert_array_equal(both[0], image)
    np.testing.assert_array_equal(both[1], mask)


PARTS = {
    "rotation": ({"rotation_deg": 33.0}, {"rotation": math.radians(33)}),
    "scale": ({"scale": 1.37}, {"scale": 1.37}),
    "shrinking": ({"scale": 0.71}, {"scale": 0.71}),
    "shear": ({"shear_x_deg": 14.0}, {"shear": (-math.radians(14), 0)}),
    "shear_down": ({"shear_y_deg": -9.0}, {"shear": (0, math.radians(9))}),
    "translation": (
        {"translation_x": 0.11, "translation_y": -0.07},
        {"translation": (0.11 * 120, -0.07 * 96)},
    ),
}


def _interior(image, row) -> np.ndarray:
    """Where no pixel from outside takes part."""
    x, y = sources(row, *image.shape[:2])
    return (x > 1) & (x < image.shape[1] - 2) & (y > 1) & (y < image.shape[0] - 2)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["astronaut", "camera"])
def test_scikit_image_agrees(part, name):
    """Rotation, scale, shear and translation of a photograph are those of scikit-image, to rounding."""
    image = (
        _photograph() if name == "astronaut" else np.dstack([skimage.data.camera()[::5, ::4][:96, :120]] * 3)
    )
    ours, theirs = PARTS[part]
    middle = AffineTransform(translation=(59.5, 47.5))
    whole = AffineTransform(matrix=middle.params @ AffineTransform(**theirs).params @ middle.inverse.params)
    expected = warp(image, whole.inverse, order=1, preserve_range=True)
    row = _row(**ours)
    differences = np.abs(apply(row, image, image[..., 0])[0] - expected)[_interior(image, row)]
    assert len(differences) > 3000
    assert differences.mean() < 0.5
    assert differences.max() < 6


@pytest.mark.parametrize("degrees", [-120.0, -10.0, 3.0, 45.0])
def test_a_rotation_is_that_of_scikit_image(degrees):
    """Ours is clockwise, theirs counter-clockwise, about the same point."""
    image, row = _photograph(), _row(rotation_deg=degrees)
    expected = rotate(image, -degrees, order=1, preserve_range=True)
    differences = np.abs(apply(row, image, image[..., 0])[0] - expected)[_interior(image, row)]
    assert len(differences) > 3000
    assert differences.mean() < 0.5
    assert differences.max() < 6


# Mirrored classes.


@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("turned", [{}, {"turns": 1}, {"rotation_deg": 90.0}])
def test_a_mirror_exchanges_classes(horizontal, vertical, turned):
    """Left becomes right where the number of flips is odd; other classes and ignore stay."""
    image, _ = _picture(6, 6)
    mask = np.random.default_rng(0).choice(np.array([0, 1, 2, 3, 4, IGNORE], np.uint8), (6, 6))
    row = _row(flip_horizontal=horizontal, flip_vertical=vertical, **turned)
    plain, exchanged = (apply(row, image, mask, table)[1] for table in (None, exchange([(1, 4), (2, 3)])))
    other = {0: 0, 1: 4, 2: 3, 3: 2, 4: 1, IGNORE: IGNORE}
    odd = horizontal != vertical
    assert mirrors(row) == odd
    expected = np.vectorize(other.get)(plain) if odd else plain
    np.testing.assert_array_equal(exchanged, expected)
    assert set(np.unique(mask)) == set(other)


def test_without_pairs_nothing_is_exchanged():
    """A study that declares no pairs has no table; pairs give one that is its own inverse."""
    assert exchange([]) is None
    table = exchange([(0, 5), (7, 2)])
    assert table.dtype == np.uint8 and table.shape == (256,)
    np.testing.assert_array_equal(table[table], np.arange(256))
    assert np.flatnonzero(table != np.arange(256)).tolist() == [0, 2, 5, 7]


# What is hidden, and what is pasted.

shares = st.floats(0, 1)


@given(st.floats(0.001, 1), shares, shares, st.integers(1, 40), st.integers(1, 40))
def test_cut_out_hides_a_rectangle_and_ignores_it(share, x, y, height, width):
    """Of the share of the sides, wholly inside; nothing else changes."""
    given_image, given_mask = _picture(height, width)
    row = _row(cutout=share, cutout_x=x, cutout_y=y)
    image, mask = apply(row, given_image, given_mask)
    rows, columns = hidden(row, height, width)
    assert 0 <= rows.start <= rows.stop <= height and rows.stop - rows.start == round(share * height)
    assert 0 <= columns.start <= columns.stop <= width and columns.stop - columns.start == round(
        share * width
    )
    gone = np.zeros((height, width), bool)
    gone[rows, columns] = True
    assert (image[gone] == 0).all() and (mask[gone] == IGNORE).all()
    np.testing.assert_array_equal(image[~gone], given_image[~gone])
    np.testing.assert_array_equal(mask[~gone], given_mask[~gone])


def test_a_rectangle_goes_from_corner_to_corner():
    """A place of 0 is the top left, of 1 the bottom right, as far as it goes."""
    first, last = (hidden(_row(cutout=0.5, cutout_x=place, cutout_y=place), 10, 20) for place in (0.0, 1.0))
    assert first == (slice(0, 5), slice(0, 10))
    assert last == (slice(5, 10), slice(10, 20))
    assert hidden(_row(cutout=0.2, cutout_x=1.0, cutout_y=0.0), 10, 20) == (slice(0, 2), slice(16, 20))


def test_what_is_hidden_is_hidden_last():
    """No brightness, noise, blur or compression comes into the rectangle, and no map moves it."""
    image, mask = _picture(20, 20)
    for row in _rows([name for name in TRANSFORMS if name != "cutmix"], 10):
        rows, columns = hidden(row, 20, 20)
        found = apply(row, image, mask)
        assert (found[0][rows, columns] == 0).all()
        assert (found[1][rows, columns] == IGNORE).all()


@given(st.floats(0.01, 1), shares, shares, st.tuples(sides, sides), st.tuples(sides, sides))
def test_a_rectangle_is_pasted_pixel_for_pixel(share, x, y, size, other_size):
    """From the same relative place of a smaller or larger partner; of a smaller one no more than it has."""
    row = _row(cutmix=share, cutmix_x=x, cutmix_y=y)
    image, mask = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    down, across = np.mgrid[: other_size[0], : other_size[1]].astype(np.uint8) + 1
    other = np.dstack([down, across, np.full_like(down, 9)])
    before = other.copy(), down.copy()
    paste(row, image, mask, other, down)
    np.testing.assert_array_equal(other, before[0])
    np.testing.assert_array_equal(down, before[1])
    into = hidden(_row(cutout=share, cutout_x=x, cutout_y=y), *size)
    sizes = [min(part.stop - part.start, own) for part, own in zip(into, other_size, strict=True)]
    places = [
        round(place * (own - length)) for place, own, length in zip((y, x), other_size, sizes, strict=True)
    ]
    expected, expected_mask = np.zeros_like(image), np.zeros_like(mask)
    for row_number, column in itertools.product(*map(range, sizes)):
        at = into[0].start + row_number, into[1].start + column
        source = places[0] + row_number, places[1] + column
        expected[at], expected_mask[at] = other[source], down[source]
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(mask, expected_mask)


def test_a_partner_of_the_same_size_stays_in_place():
    """The rectangle shows what the partner has at the very same pixels; a share of 1 is all of it."""
    one, other = _picture(12, 18), _picture(12, 18, 1)
    for share in (0.5, 1.0):
        row = _row(cutmix=share, cutmix_x=0.3, cutmix_y=0.8)
        image, mask = one[0].copy(), one[1].copy()
        paste(row, image, mask, *other)
        rows, columns = hidden(_row(cutout=share, cutout_x=0.3, cutout_y=0.8), 12, 18)
        expected = one[0].copy()
        expected[rows, columns] = other[0][rows, columns]
        np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(mask, other[1])


# What each photometric transform does.


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_what_changes_light_leaves_the_mask_alone(name):
    """Photometric transforms change the image, and no label."""
    image, mask = _photograph(), _picture(96, 120)[1]
    for row in _rows([name], 5):
        found = apply(row, image, mask, exchange([(0, 1)]))
        np.testing.assert_array_equal(found[1], mask)
        assert (found[0] != image).any()


def test_golden_brightness_and_contrast():
    """Brightness adds a share of full range; contrast stretches about middle grey; both stop at the ends."""
    image = np.array([[[0, 100, 250]]], np.uint8)
    assert _applied(image, brightness=0.2)[0].tolist() == [[[51, 151, 255]]]
    assert _applied(image, brightness=-0.4)[0].tolist() == [[[0, 0, 148]]]
    assert _applied(image, brightness=1.0)[0].tolist() == [[[255, 255, 255]]]
    assert _applied(image, brightness=-250 / 255)[0].tolist() == [[[0, 0, 0]]]
    assert _applied(image, contrast=2.0)[0].tolist() == [[[0, 72, 255]]]
    assert _applied(image, contrast=0.5)[0].tolist() == [[[64, 114, 189]]]


@given(st.floats(0.1, 10))
def test_gamma_keeps_black_and_white(gamma):
    """The ends stay; between them levels follow the power, in order."""
    found = levels(_row(gamma=gamma))
    assert found[0].tolist() == [0] * 3 and found[255].tolist() == [255] * 3
    assert (np.diff(found.astype(int), axis=0) >= 0).all()
    np.testing.assert_allclose(found[:, 0], 255 * (np.arange(256) / 255) ** gamma, atol=0.51)


def test_levels_are_gamma_then_contrast_then_brightness_and_shifts():
    """All of them make one table, rounded once."""
    row = _row(gamma=0.5, contrast=1.5, brightness=0.1, channel_0=0.05, channel_1=-0.2, channel_2=0.0)
    one = (255 * (60 / 255) ** 0.5 - 127.5) * 1.5 + 127.5 + 25.5
    assert levels(row)[60].tolist() == [round(one + 12.75), round(one - 51), round(one)]


def test_channels_shift_each_on_its_own():
    """By a share of full range, red, green and blue in the order of the image."""
    found = _applied(_grey(100), channel_0=0.2, channel_1=-0.1, channel_2=0.0)[0]
    assert found[3, 3].tolist() == [151, round(100 - 25.5), 100]


@PROPERTIES
@given(st.integers(0, 255), st.floats(0.1, 10), st.floats(-180, 180))
def test_greys_have_no_colour_to_change(value, saturation, hue):
    """Saturation and hue leave every grey as it is."""
    image = _grey(value)
    np.testing.assert_array_equal(_applied(image, saturation=saturation, hue_deg=hue)[0], image)


@PROPERTIES
@given(st.floats(0.1, 3), st.floats(-180, 180))
def test_saturation_and_hue_keep_luma(saturation, hue):
    """A colour may change, how bright it looks (Rec. 601) does not."""
    turned = colours(_row(saturation=saturation, hue_deg=hue))
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(luma @ turned, luma, atol=1e-9)
    image = np.random.default_rng(0).integers(110, 140, (9, 9, 3), dtype=np.uint8)
    found = _applied(image, saturation=saturation, hue_deg=hue)[0]
    if (found > 0).all() and (found < 255).all():  # nothing was clipped
        np.testing.assert_allclose(found @ luma, image @ luma, atol=0.75)


def test_saturation_stretches_colours_about_grey():
    """Twice the saturation is twice as far from the grey of the same luma."""
    image = np.tile(np.array([120, 100, 90], np.uint8), (4, 4, 1))
    luma = image[0, 0] @ np.array([0.299, 0.587, 0.114])
    for factor in (0.5, 2.0):
        found = _applied(image, saturation=factor)[0][0, 0]
        np.testing.assert_allclose(found - luma, factor * (image[0, 0] - luma), atol=0.51)


@given(st.floats(-180, 180), st.floats(-180, 180))
def test_hues_add_up(one, other):
    """A hue turned twice is turned by the sum; by 360 degrees or by none it is the same."""
    both = colours(_row(hue_deg=one)) @ colours(_row(hue_deg=other))
    np.testing.assert_allclose(both, colours(_row(hue_deg=one + other)), atol=1e-9)
    np.testing.assert_allclose(colours(_row(hue_deg=360.0)), np.eye(3), atol=1e-12)


def test_a_full_turn_of_hue_changes_no_byte():
    """And a half turn does, by its complement: what was reddest is bluest or greenest."""
    image = _photograph()
    np.testing.assert_array_equal(_applied(image, hue_deg=360.0)[0], image)
    red = _applied(np.tile(np.array([140, 110, 110], np.uint8), (2, 2, 1)), hue_deg=180.0)[0][0, 0]
    assert red[0] < min(red[1:])


@PROPERTIES
@given(st.floats(0.01, 1), st.floats(0, 360), st.integers(2, 40), st.integers(2, 40))
def test_uneven_light_is_even_on_average(light, degrees, height, width):
    """Gains have mean 1, lie between 1 - light and 1 + light, reach both, and grow the way it says."""
    found = gains(_row(light=light, light_deg=degrees), height, width)
    assert found.shape == (height, width)
    assert found.mean() == pytest.approx(1, abs=1e-5)
    assert (found.min(), found.max()) == pytest.approx((1 - light, 1 + light), abs=1e-5)
    for axis, slope in ((1, math.cos(math.radians(degrees))), (0, math.sin(math.radians(degrees)))):
        if abs(slope) > 0.01:
            assert (np.sign(np.diff(found, axis=axis)) == np.sign(slope)).all()


def test_light_multiplies_the_image():
    """Each pixel by its gain, all channels alike, up to white."""
    row = _row(light=0.6, light_deg=30.0)
    image = np.tile(np.array([40, 100, 200], np.uint8), (10, 14, 1))
    expected = np.clip(image * gains(row, 10, 14)[..., None].astype(float), 0, 255)
    np.testing.assert_allclose(apply(row, image, image[..., 0])[0], expected, atol=0.51)


def test_blur_spreads_as_wide_as_it_says():
    """A point blurred by 2 pixels has that standard deviation along each side."""
    image = np.zeros((33, 33, 3), np.uint8)
    image[16, 15:18] = 255
    profile = _applied(image, blur_px=2.0)[0][..., 0].sum(axis=1)
    assert abs(np.average((np.arange(33) - 16) ** 2, weights=profile) - 4) < 0.8


def test_blur_takes_away_contrast_and_keeps_light():
    """The more blur the less variance, at the same mean; what is flat stays flat."""
    image = _photograph()
    variances = [_applied(image, blur_px=blur)[0].var() for blur in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < 0.8 * variances[0]
    assert _applied(image, blur_px=4.0)[0].mean() == pytest.approx(image.mean(), abs=2)
    np.testing.assert_array_equal(_applied(_grey(90), blur_px=3.0)[0], _grey(90))


def test_low_resolution_loses_what_is_fine():
    """Shrunk by 2, stripes of a pixel become grey; what is coarse stays where it is, at the same size."""
    stripes = _grey(0, 16, 16)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(_applied(stripes, low_resolution=2.0)[0], _grey(100, 16, 16))
    coarse = _grey(0, 16, 32)
    coarse[:, 16:] = 200
    found = _applied(coarse, low_resolution=4.0)[0]
    assert found.shape == coarse.shape
    assert (found[:, :14] == 0).all() and (found[:, 18:] == 200).all()
    assert found.mean() == pytest.approx(100, abs=1)


def test_noise_has_the_standard_deviation_asked_for():
    """On middle grey, about the same mean, in each channel on its own; another seed gives other noise."""
    image = _grey(128, 96, 96)
    one, again, other = (
        _applied(image, noise=20.0, noise_seed=seed)[0].astype(float) - 128 for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, again)
    assert one.std(axis=(0, 1)) == pytest.approx([20] * 3, rel=0.05)
    assert one.mean() == pytest.approx(0, abs=0.5)
    channels = np.concatenate([one.reshape(-1, 3), other.reshape(-1, 3)], axis=1).T
    assert np.abs(np.corrcoef(channels) - np.eye(6)).max() < 0.05


def test_sharpening_adds_the_fine_structure():
    """Once more the difference to a Gaussian of a pixel, times the share; what is flat stays flat."""
    image = _photograph() // 2 + 60
    fine = image - ndimage.gaussian_filter(image.astype(float), (1, 1, 0), mode="mirror", truncate=4)
    for share in (0.5, 1.5):
        found = _applied(image, sharpen=share)[0]
        expected = np.clip(image + share * fine, 0, 255)
        assert np.abs(found - expected).max() < 0.6 + share
        assert found.var() > image.var()
    np.testing.assert_array_equal(_applied(_grey(90), sharpen=2.0)[0], _grey(90))


def test_jpeg_loses_the_more_the_lower_its_quality():
    """Nothing much at 95, a lot at 5; and red stays red."""
    image = _photograph()
    losses = [
        np.abs(_applied(image, jpeg=quality)[0] - image.astype(float)).mean() for quality in (95, 60, 20, 5)
    ]
    assert losses == sorted(losses)
    assert losses[0] < 4 and losses[-1] > 8
    for colour in np.diag([200, 200, 200]).astype(np.uint8) + 20:
        flat = np.tile(colour, (16, 16, 1))
        np.testing.assert_allclose(_applied(flat, jpeg=95)[0], flat, atol=4)


def test_photometric_steps_act_in_one_order():
    """As a camera meets them: light, levels, colours, blur, pixels, noise, sharpening, compression."""
    steps = [
        "light light_deg",
        "brightness contrast gamma channel_0 channel_1 channel_2",
        "saturation hue_deg",
    ]
    steps += ["blur_px", "low_resolution", "noise noise_seed", "sharpen", "jpeg"]
    image = _photograph()[::2, ::2].copy()
    for row in _rows(PHOTOMETRIC, 5):
        found = image
        for columns in map(str.split, steps):
            found = _applied(found, **{column: row[column] for column in columns})[0]
        np.testing.assert_array_equal(apply(row, image, image[..., 0])[0], found)


def test_what_moves_is_moved_before_its_light_changes():
    """So new pixels are as bright as the light makes them: geometry first, and all the rest after it."""
    image, mask = _picture(24, 24)
    for row in _rows([name for name in TRANSFORMS if TRANSFORMS[name].kind != "occluding"], 5):
        moved = apply(
            row | {column: NEUTRAL[column] for name in PHOTOMETRIC for column in TRANSFORMS[name].parameters},
            image,
            mask,
        )
        still = row | {
            column: NEUTRAL[column] for name in GEOMETRIC for column in TRANSFORMS[name].parameters
        }
        np.testing.assert_array_equal(apply(still, *moved)[0], apply(row, image, mask)[0])


# The same row, the same pixels.


def _tasks() -> list[tuple]:
    image, mask = _photograph(), _picture(96, 120)[1]
    return [(row, image, mask, exchange([(1, 2)])) for row in _rows(TRANSFORMS, 12, 0.5)]


def _same(found, expected) -> bool:
    pairs = zip(itertools.chain(*found), itertools.chain(*expected), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_threads_change_no_pixel(threads):
    """However many threads make images at the same time, each gets its own."""
    tasks = _tasks()
    expected = [apply(*task) for task in tasks]
    if threads == 0:
        found = [apply(*task) for task in reversed(tasks)][::-1]
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda task: apply(*task), tasks))
    assert _same(found, expected)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_change_no_pixel(method):
    """However a process was started, the same rows give the same images in it."""
    tasks = _tasks()
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.starmap_async(apply, tasks).get(timeout=60)
    assert _same(found, [apply(*task) for task in tasks])
