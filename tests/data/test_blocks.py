"""Blocks of large scenes: where they lie, how far apart, and that each is read as a sample of its own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from stratagem.data.blocks import Blocks
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.pixels import read_classes, read_reduced, read_sample

AUTO = {"encoding": "auto"}


def _scene(folder, size=(90, 120), **wanted):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    mask = (rng.random(size) < 0.2).astype(np.uint8)
    for name, array in (("images", image), ("masks", mask)):
        (folder / name).mkdir()
        Image.fromarray(array).save(folder / name / "scene.png")
    found = find(str(folder / "images"), str(folder / "masks"), "{stem}", None)
    return image, mask, build_index(found, Wanted(["ground", "tree"], AUTO, **wanted))


@given(
    height=some.integers(40, 3000),
    width=some.integers(40, 3000),
    rows=some.integers(1, 6),
    columns=some.integers(1, 6),
    gap=some.integers(0, 5),
)
def test_blocks_are_a_gap_apart_and_within(height, width, rows, columns, gap):
    """Any two blocks are apart by the gap along one side at least, and none reaches out of the image."""
    windows = list(Blocks(rows, columns, gap).windows(height, width).values())
    assert len(windows) == rows * columns
    for top, left, tall, wide in windows:
        assert top >= 0 and left >= 0 and top + tall <= height and left + wide <= width
    for place, (top, left, tall, wide) in enumerate(windows):
        for other_top, other_left, other_tall, other_wide in windows[:place]:
            apart = max(
                top - other_top - other_tall,
                other_top - top - tall,
                left - other_left - other_wide,
                other_left - left - wide,
            )
            assert apart >= gap


def test_without_a_gap_blocks_cover_the_image():
    """Every pixel is in one block."""
    covered = np.zeros((97, 53), int)
    for top, left, tall, wide in Blocks(3, 4).windows(97, 53).values():
        covered[top : top + tall, left : left + wide] += 1
    assert (covered == 1).all()


def test_a_block_is_a_sample_and_a_unit(tmp_path):
    """Its pixels are those of its window, and later stages read it as any other row."""
    image, mask, index = _scene(tmp_path, blocks=Blocks(2, 3, 4))
    assert index.table["sample"].tolist() == [
        f"scene@{row}-{column}" for row in (0, 1) for column in (0, 1, 2)
    ]
    assert index.table["group"].tolist() == index.table["sample"].tolist()
    for row in index.table.itertuples():
        top, left, tall, wide = row.window
        window = slice(top, top + tall), slice(left, left + wide)
        np.testing.assert_array_equal(read_sample(row)[0], image[window])
        np.testing.assert_array_equal(read_classes(row), mask[window])
        assert row.pixels_1 == mask[window].sum()
        assert read_reduced(row, 10)[0].shape[:2] < (tall, wide)


def test_blocks_too_small_are_refused(tmp_path):
    """With the size that they would have."""
    _, _, index = _scene(tmp_path, blocks=Blocks(8, 8))
    assert "expected blocks of at least 16 pixels a side, but found 11" in index.problems["reason"].item()


def test_a_mask_of_another_size_is_refused(tmp_path):
    """Since a window of the image is none of it."""
    _scene(tmp_path)
    Image.fromarray(np.zeros((45, 60), np.uint8)).save(tmp_path / "masks/scene.png")
    found = find(str(tmp_path / "images"), str(tmp_path / "masks"), "{stem}", None)
    wanted = Wanted(["ground", "tree"], AUTO, mask_size="resize", blocks=Blocks(2, 2))
    (reason,) = build_index(found, wanted).problems["reason"]
    assert "a mask of its image's size, 90x120 (height x width), but found 45x60" in reason
