"""The pixels of a sample are read as its row of the index says."""

from types import SimpleNamespace

import numpy as np
import pytest

from folders import save
from stratagem.core.errors import DataError
from stratagem.data.pixels import read_sample


def _row(tmp_path, image, masks, **changes):
    """A row of an index, as the index would have it."""
    paths = [str(save(tmp_path / f"mask{number}.png", mask)) for number, mask in enumerate(masks)]
    row = {"image": str(save(tmp_path / "image.png", image)), "masks": paths, "mask_resized": False}
    row |= {"height": np.shape(image)[0], "width": np.shape(image)[1]}
    row |= {"reading": '{"channels": null, "levels": null}'}
    row |= {"encoding": '{"kind": "indices", "values": [[0, 0], [1, 1], [2, 2]], "colours": []}'}
    return SimpleNamespace(**row | changes)


def test_a_sample_is_read_as_its_row_says(tmp_path):
    """Pixels become uint8 colour and class indices."""
    image, mask = read_sample(_row(tmp_path, [[7, 9]], [[[0, 2]]]))
    np.testing.assert_array_equal(image, [[[7] * 3, [9] * 3]])
    np.testing.assert_array_equal(mask, [[0, 2]])
    assert (image.dtype, mask.dtype) == (np.uint8, np.uint8)


def test_masks_of_one_object_each_are_united(tmp_path):
    """Several masks are one map of objects; a size that differs is named with a file."""
    encoding = '{"kind": "instances", "values": [], "colours": []}'
    row = _row(tmp_path, [[7, 9, 9]], [[[0, 255, 0]], [[0, 0, 255]]], encoding=encoding)
    np.testing.assert_array_equal(read_sample(row)[1], [[0, 1, 1]])
    save(tmp_path / "mask1.png", [[0, 255]])
    with pytest.raises(DataError, match=r"mask0\.png: expected masks of one size.*found 1x2, 1x3"):
        read_sample(row)


def test_a_mask_brought_to_size_keeps_its_labels(tmp_path):
    """No value comes in between: the nearest is taken."""
    row = _row(tmp_path, np.zeros((4, 6)), [[[0, 2, 1]]], mask_resized=True)
    np.testing.assert_array_equal(read_sample(row)[1], [[0, 0, 2, 2, 1, 1]] * 4)


@pytest.mark.parametrize("name", ["image", "mask0"])
def test_a_file_that_changed_its_size_is_named(tmp_path, name):
    """A file of another size than was indexed stops, since plans rest on it."""
    row = _row(tmp_path, [[7, 9]], [[[0, 2]]])
    save(tmp_path / f"{name}.png", [[0], [1]])
    with pytest.raises(DataError, match=rf"{name}\.png: .*indexed, 1x2, but found 2x1.*indexed anew"):
        read_sample(row)
