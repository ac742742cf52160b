"""Images of any number of channels are changed channel by channel, and shown as pictures."""

import functools

import cv2
import numpy as np
import pytest

from stratagem.data.channels import composite, in_fours

SMALLER = functools.partial(cv2.resize, dsize=(5, 4), interpolation=cv2.INTER_AREA)
TURNED = functools.partial(
    cv2.warpAffine, M=np.array([[0.9, 0.1, 2], [-0.1, 1.1, 1]]), dsize=(12, 10), flags=cv2.INTER_LINEAR
)


def _image(channels: int) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 256, (10, 12, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", range(1, 33))
@pytest.mark.parametrize("change", [SMALLER, TURNED])
def test_each_channel_is_changed_as_it_would_be_in_any_company(channels, change):
    """Alone in three equal ones, as grey images are: the same bits."""
    image = _image(channels)
    found = in_fours(image, change)
    assert found.shape[2] == channels
    for number in range(channels):
        alone = change(np.ascontiguousarray(image[..., [number] * 3]))
        np.testing.assert_array_equal(found[..., number], alone[..., 0])


def test_a_plane_without_channels_stays_one():
    """A mask's share of a class, which is resampled as an image is."""
    plane = _image(1)[..., 0]
    np.testing.assert_array_equal(in_fours(plane, SMALLER), SMALLER(plane))


def test_three_channels_are_their_own_picture_and_one_is_grey():
    """Nothing is mixed."""
    np.testing.assert_array_equal(composite(_image(3)), _image(3))
    np.testing.assert_array_equal(composite(_image(1)), _image(1)[..., [0, 0, 0]])


def test_other_channels_add_a_colour_each():
    """Cyan, magenta, yellow: where two meet, their lights add up, and no further than white."""
    image = np.zeros((1, 4, 5), np.uint8)
    image[0, 0, 0] = image[0, 1, 1] = image[0, 2, [0, 1]] = image[0, 3] = 200
    expected = [[0, 200, 200], [200, 0, 200], [200, 200, 255], [255, 255, 255]]
    np.testing.assert_array_equal(composite(image)[0], expected)
    assert composite(_image(32)).shape == (10, 12, 3)
