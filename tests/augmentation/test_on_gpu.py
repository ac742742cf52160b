"""A batch made at once, on the device, is what the CPU makes image by image, to rounding."""

import functools

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from stratagem.augmentation import on_cpu, on_gpu, transforms
from stratagem.augmentation.manifest import draw
from stratagem.augmentation.on_cpu import exchange, hidden
from stratagem.augmentation.transforms import NEUTRAL, TRANSFORMS, Policy, Strength
from stratagem.data.labels import IGNORE

torch.set_num_threads(1)  # images this small gain nothing from more

# How far the two ways may be apart: grey levels on average over an image, share of a mask's pixels.
GEOMETRY, LEVELS, MASK_SHARE = 0.5, 1.0, 0.002
JPEG, LOW_RESOLUTION = 2.0, 4.0  # libjpeg rounds in between; boxes of whole pixels instead of parts of them
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
    "blur": 5,
    "low_resolution": 8,
    "noise": 30,
    "sharpen": 3,
    "jpeg": 5,
    "cutout": 0.6,
    "channel_dropout": 1,
}
GEOMETRIC = [name for name in RANGES if TRANSFORMS[name].kind == "geometric"]
PHOTOMETRIC = [name for name in RANGES if TRANSFORMS[name].kind == "photometric"]
LOOSE = {"jpeg": JPEG, "low_resolution": LOW_RESOLUTION}
SIZE = 48, 64
PAIRS = exchange([(1, 2)])


def _row(**change) -> dict:
    return NEUTRAL | change


def _rows(names, count=6, probability=1.0, seed=0) -> list[dict]:
    policy = Policy(1, {name: Strength(RANGES[name], probability) for name in names})
    drawn = draw(policy, seed, [str(number) for number in range(count)], 0)
    return [{column: drawn[column][place].item() for column in NEUTRAL} for place in range(count)]


@functools.cache
def _pictures(count=6, height=SIZE[0], width=SIZE[1]) -> tuple[list, list]:
    """Parts of a photograph, and masks in which no two neighbours need be alike."""
    photograph, rng = skimage.data.astronaut(), np.random.default_rng(0)
    images = [
        cv2.resize(photograph[top : top + 150, 150:330], (width, height), interpolation=cv2.INTER_AREA)
        for top in 20 * np.arange(count)
    ]
    return images, list(rng.choice(np.array([0, 1, 2, 7, IGNORE], np.uint8), (count, height, width)))


def _batch(rows, images, masks, exchanged=None) -> tuple[np.ndarray, np.ndarray]:
    """By the device's way, on the CPU."""
    given = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    found, labels = on_gpu.apply(rows, given, torch.from_numpy(np.stack(masks)), exchanged)
    assert found.dtype == labels.dtype == torch.uint8
    return found.permute(0, 2, 3, 1).numpy(), labels.numpy()


def _single(rows, images, masks, exchanged=None) -> tuple[np.ndarray, np.ndarray]:
    """By the CPU's way."""
    made = [on_cpu.apply(*one, exchanged) for one in zip(rows, images, masks, strict=True)]
    return tuple(map(np.stack, zip(*made, strict=True)))


def _apart(one, other) -> np.ndarray:
    """Mean difference of each image, in grey levels."""
    return np.abs(one.astype(float) - other).mean(axis=(1, 2, 3))


def _equal(one, other) -> bool:
    return all(np.array_equal(*arrays) for arrays in zip(one, other, strict=True))


@pytest.mark.parametrize("names", [*([name] for name in GEOMETRIC), GEOMETRIC], ids="+".join)
def test_geometry_is_that_of_the_cpu(names):
    """Each image within half a grey level on average, each mask in all but a small share of its pixels."""
    pictures, rows = _pictures(), _rows(names, 6, 1.0 if len(names) == 1 else 0.7)
    (images, masks), (expected, labels) = _batch(rows, *pictures, PAIRS), _single(rows, *pictures, PAIRS)
    assert _apart(images, expected).max() < GEOMETRY
    assert (masks != labels).mean(axis=(1, 2)).max() <= MASK_SHARE
    assert (images != np.stack(pictures[0])).any()


@pytest.mark.parametrize("name", [*GEOMETRIC, *PHOTOMETRIC, "channel_dropout"])
def test_five_channels_are_changed_as_on_the_cpu(name):
    """Within the bounds of three; what is of colour alone is refused before."""
    if name in ("hue", "saturation", "noise"):
        pytest.skip("of colour alone, or of the device's own generator")
    images, masks = _pictures()
    five = [np.ascontiguousarray(image[..., [0, 1, 2, 0, 1]]) for image in images]
    rows = _rows([name])
    found, expected = _batch(rows, five, masks)[0], _single(rows, five, masks)[0]
    bound = LOOSE.get(name, GEOMETRY if name in GEOMETRIC else LEVELS)
    assert found.shape == expected.shape == (6, *SIZE, 5) and _apart(found, expected).max() < bound


@pytest.mark.parametrize("name", ["flip_horizontal", "flip_vertical", "turns"])
def test_what_needs_no_interpolation_is_exact(name):
    """Flips and turns are those of the CPU, bit for bit."""
    pictures, rows = _pictures(), _rows([name])
    assert _equal(_batch(rows, *pictures), _single(rows, *pictures))


@pytest.mark.parametrize("name", [name for name in PHOTOMETRIC if name != "noise"])
def test_light_is_that_of_the_cpu(name):
    """Each image within a grey level on average, or what is stated above; no label changes."""
    images, masks = _pictures()
    rows = _rows([name])
    found, labels = _batch(rows, images, masks)
    expected, _ = _single(rows, images, masks)
    assert _apart(found, expected).max() < LOOSE.get(name, LEVELS)
    assert _apart(found, np.stack(images)).max() > 2 * LOOSE.get(name, LEVELS)  # it does something
    np.testing.assert_array_equal(labels, masks)


@pytest.mark.parametrize("names", [GEOMETRIC + ["brightness", "gamma", "hue", "light", "blur", "cutout"]])
def test_whole_rows_are_those_of_the_cpu(names):
    """Map, light, colours, blur and cut-out of one row together, within a grey level on average."""
    pictures, rows = _pictures(), _rows(names, 6, 0.6)
    (images, masks), (expected, labels) = _batch(rows, *pictures, PAIRS), _single(rows, *pictures, PAIRS)
    assert _apart(images, expected).max() < LEVELS
    assert (masks != labels).mean(axis=(1, 2)).max() <= MASK_SHARE


def test_photometric_steps_act_in_the_cpu_s_order():
    """Light, levels, colours, blur, pixels, noise, sharpening, compression, each rounded."""
    steps = [
        "light light_deg",
        "brightness contrast gamma channel_0 channel_1 channel_2",
        "saturation hue_deg",
    ]
    steps += ["blur_px", "low_resolution", "noise noise_seed", "sharpen", "jpeg"]
    images, masks = _pictures(2)
    for row in _rows(PHOTOMETRIC, 2):
        found = images
        for columns in map(str.split, steps):
            found, _ = _batch([_row(**{column: row[column] for column in columns})] * 2, found, masks)
        np.testing.assert_array_equal(_batch([row] * 2, images, masks)[0], found)


def test_noise_has_the_standard_deviation_asked_for():
    """On middle grey, about the same mean, in each channel on its own; another seed gives other noise."""
    rows = [_row(noise=20.0, noise_seed=seed) for seed in (3, 4, 3)]
    grey, mask = np.full((96, 96, 3), 128, np.uint8), np.zeros((96, 96), np.uint8)
    one, other, again = _batch(rows, [grey] * 3, [mask] * 3)[0].astype(float) - 128
    np.testing.assert_array_equal(one, again)
    assert one.std(axis=(0, 1)) == pytest.approx([20] * 3, rel=0.05)
    assert one.mean() == pytest.approx(0, abs=0.5)
    channels = np.concatenate([one.reshape(-1, 3), other.reshape(-1, 3)], axis=1).T
    assert np.abs(np.corrcoef(channels) - np.eye(6)).max() < 0.05


def test_noise_goes_as_far_as_the_row_says():
    """Rows of one batch each have their own standard deviation."""
    rows = [_row(noise=most, noise_seed=5) for most in (2.0, 8.0, 30.0)]
    grey, mask = np.full((64, 64, 3), 128, np.uint8), np.zeros((64, 64), np.uint8)
    found = _batch(rows, [grey] * 3, [mask] * 3)[0].astype(float)
    assert found.std(axis=(1, 2, 3)) == pytest.approx([2, 8, 30], rel=0.05)


@pytest.mark.parametrize("name", RANGES)
def test_a_row_s_pixels_do_not_depend_on_the_rest_of_the_batch(name):
    """Alone, among others, or in another order: the same row gives the same pixels."""
    images, masks = _pictures()
    rows = _rows([name])
    whole = _batch(rows, images, masks)
    assert _equal([part[::-1] for part in _batch(rows[::-1], images[::-1], masks[::-1])], whole)
    for number in range(len(rows)):
        alone = _batch(rows[number : number + 1], images[number : number + 1], masks[number : number + 1])
        assert _equal(alone, [part[number : number + 1] for part in whole])


def test_whole_rows_do_not_depend_on_the_rest_of_the_batch():
    """Nor do rows of many transforms, among others of which some do nothing."""
    images, masks = _pictures()
    rows = _rows([name for name in RANGES if name != "blur"], 5, 0.5) + [_row()]
    whole = _batch(rows, images, masks, PAIRS)
    for part in (slice(0, 1), slice(2, 5), slice(5, 6), slice(None, None, -1)):
        found = _batch(rows[part], images[part], masks[part], PAIRS)
        assert _equal(found, [array[part] for array in whole])


@pytest.mark.parametrize(("height", "width"), [(48, 64), (33, 47), (1, 500), (300, 3)])
def test_neutral_rows_change_nothing(height, width):
    """Bit for bit, also beside rows that move."""
    images, masks = _pictures(3, height, width)
    moving = _row(rotation_deg=30.0, elastic=0.1, blur_px=2.0, cutout=0.5, noise=9.0)
    for rows in ([_row()] * 3, [_row(), moving, _row()]):
        found, labels = _batch(rows, images, masks, PAIRS)
        for number in (0, 2):
            np.testing.assert_array_equal(found[number], images[number])
            np.testing.assert_array_equal(labels[number], masks[number])


def test_a_mirror_exchanges_classes():
    """In the rows with an odd number of flips, and in no others."""
    images, masks = _pictures(4)
    flips = [(False, False), (True, False), (False, True), (True, True)]
    rows = [_row(flip_horizontal=across, flip_vertical=down) for across, down in flips]
    _, labels = _batch(rows, images, masks, PAIRS)
    mirrors = [
        mask[:: -1 if down else 1, :: -1 if across else 1]
        for mask, (across, down) in zip(masks, flips, strict=True)
    ]
    expected = [
        mask if across == down else PAIRS[mask] for mask, (across, down) in zip(mirrors, flips, strict=True)
    ]
    np.testing.assert_array_equal(labels, expected)
    assert (_batch(rows, images, masks)[1] == np.stack(mirrors)).all()


def test_cut_out_hides_last_and_ignores():
    """The CPU's rectangle is 0 and ignored, whatever else the row does; without more nothing else changes."""
    images, masks = _pictures()
    rows = _rows(RANGES)
    found, labels = _batch(rows, images, masks)
    for row, image, mask in zip(rows, found, labels, strict=True):
        place = hidden(row, *SIZE)
        assert mask[place].size > 0
        assert (image[place] == 0).all() and (mask[place] == IGNORE).all()
    rows = _rows(["cutout"])
    assert _equal(_batch(rows, images, masks), _single(rows, images, masks))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_is_kept(layout):
    """And changes no pixel."""
    images, masks = _pictures()
    given = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    for rows in ([_row()] * 6, _rows(RANGES, 6, 0.4)):
        found, _ = on_gpu.apply(rows, given, torch.from_numpy(np.stack(masks)))
        assert found.is_contiguous(memory_format=layout)
        np.testing.assert_array_equal(found.permute(0, 2, 3, 1), _batch(rows, images, masks)[0])


@pytest.mark.parametrize("name", [None, *RANGES])
def test_what_was_given_stays_as_it_was(name):
    """Images and masks that went in are not written to."""
    images, masks = _pictures()
    given = (
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(np.stack(masks)),
    )
    before = [tensor.clone() for tensor in given]
    on_gpu.apply([_row()] * 6 if name is None else _rows([name]), *given)
    assert all(map(torch.equal, given, before))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 1), (2, 2), (3, 5), (17, 33)])
def test_any_row_fits_any_size(height, width):
    """From one pixel on, and where no side is a multiple of anything; labels stay labels."""
    images, masks = _pictures(6, height, width)
    rows = _rows(RANGES, 5, 0.8) + [_row()]
    found, labels = _batch(rows, images, masks, PAIRS)
    assert found.shape == (6, height, width, 3) and labels.shape == (6, height, width)
    assert set(np.unique(labels)) <= {0, 1, 2, 7, IGNORE}
    alone = [_batch([row], images[:1], masks[:1]) for row in _rows(["jpeg"], 2) + _rows(["blur"], 2)]
    assert all(image.shape == (1, height, width, 3) for image, _ in alone)


@pytest.mark.parametrize(("height", "width", "blur"), [(1, 40, 2.0), (12, 30, 10.0), (40, 48, 20.0)])
def test_a_blur_may_be_wider_than_the_image(height, width, blur):
    """It is then as wide as on the CPU."""
    images, masks = _pictures(2, height, width)
    rows = [_row(blur_px=blur)] * 2
    assert _apart(_batch(rows, images, masks)[0], _single(rows, images, masks)[0]).max() < LEVELS


def test_both_ways_know_the_same_steps():
    """Their order stands once, and each has an operation for every step."""
    assert list(on_cpu.OPERATIONS) == list(on_gpu.OPERATIONS) == list(transforms.PHOTOMETRIC)
    used = {column for columns in transforms.PHOTOMETRIC.values() for column in columns}
    assert used <= set(transforms.NEUTRAL)
