"""What the tests share: a tiny data set, and property tests that draw the same examples every time."""

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("stratagem", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("stratagem")

SIZES = {"a": (5, 7), "b": (5, 7), "c": (8, 4), "d": (8, 4), "e": (5, 7), "sub/f": (12, 8), "sub/g": (5, 7)}


@pytest.fixture
def dataset(tmp_path):
    """Folders of seven images and masks of three sizes: classes 0 to 2, and 255 at one pixel."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    rng = np.random.default_rng(0)
    for sample, size in SIZES.items():
        mask = rng.integers(0, 3, size, dtype=np.uint8)
        mask[0, 0] = 255
        for folder, array in ((images, rng.integers(0, 256, (*size, 3), dtype=np.uint8)), (masks, mask)):
            path = folder / f"{sample}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    return images, masks
