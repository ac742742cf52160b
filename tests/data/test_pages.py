"""Pages of a file are samples or channels as the study says, and asked for where it does not."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from stratagem.core.errors import DataError
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.pixels import read_sample

AUTO = {"encoding": "auto"}
TWO = ["background", "cell"]


def _stacks(folder, pages, mask_pages=None, metadata=None, **options):
    """A stack of images beside a stack of masks, each page other than the rest."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (pages, 24, 30), np.uint8)
    masks = np.zeros((mask_pages or pages, 24, 30), np.uint8)
    for page, mask in enumerate(masks):
        mask[: page + 3, :5] = 1
    for name, stack in (("images", images), ("masks", masks)):
        (folder / name).mkdir(exist_ok=True)
        tifffile.imwrite(
            folder / name / "z.tif", stack, photometric="minisblack", metadata=metadata, **options
        )
    return images, masks


def _index(folder, **wanted):
    found = find(str(folder / "images"), str(folder / "masks"), "{stem}", None)
    return build_index(found, Wanted(TWO, AUTO, **wanted))


@pytest.mark.parametrize("pages", [2, 3, 30])
@pytest.mark.parametrize("metadata", [{}, None, {"axes": "ZYX"}, {"axes": "TYX"}])
def test_what_pages_are_is_asked(tmp_path, pages, metadata):
    """Also of three pages, which would pass as colours; the message gives both lines."""
    _stacks(tmp_path, pages, metadata=metadata)
    with pytest.raises(DataError, match=f"`pages`.*such as {pages} in.*`pages: samples`.*`pages: channels`"):
        _index(tmp_path)


@pytest.mark.parametrize("metadata", [{}, None, {"axes": "ZYX"}])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_each_page_is_a_sample_with_its_mask(tmp_path, metadata, compression):
    """Named by its number, read alone, and of one group with its neighbours."""
    images, masks = _stacks(tmp_path, 3, metadata=metadata, compression=compression)
    index = _index(tmp_path, pages="samples")
    assert index.problems.empty
    assert index.table["sample"].tolist() == ["z#0", "z#1", "z#2"]
    assert set(index.table["group"]) == {"z"}
    for page, row in enumerate(index.table.itertuples()):
        image, mask = read_sample(row)
        np.testing.assert_array_equal(image[..., 1], images[page])
        np.testing.assert_array_equal(mask, masks[page])


def test_a_stack_stored_as_one_block_is_read_by_page(tmp_path):
    """As ImageJ writes large ones."""
    images, _ = _stacks(tmp_path, 4)
    for name in ("images", "masks"):
        stack = tifffile.imread(tmp_path / name / "z.tif")
        tifffile.imwrite(tmp_path / name / "z.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    rows = list(_index(tmp_path, pages="samples").table.itertuples())
    np.testing.assert_array_equal(read_sample(rows[2])[0][..., 0], images[2])


def test_groups_may_be_said(tmp_path):
    """`split.group` says which pages belong together."""
    _stacks(tmp_path, 4)
    groups = _index(tmp_path, pages="samples", group="#[01]$").table["group"].tolist()
    assert groups == ["#0", "#1", "z", "z"]


def test_other_many_pages_are_a_problem(tmp_path):
    """Of an image and its mask, which then cannot belong together page by page."""
    _stacks(tmp_path, 4, mask_pages=3)
    (reason,) = _index(tmp_path, pages="samples").problems["reason"]
    assert reason.startswith("expected a mask of as many pages as its image, 4, but found 3.")


def test_pages_may_be_channels_of_the_image_alone(tmp_path):
    """Three are its colours; a mask of several pages stays a problem."""
    images, masks = _stacks(tmp_path, 3)
    (reason,) = _index(tmp_path, pages="channels").problems["reason"]
    assert "pages of a mask are never colours" in reason and "`pages: samples`" in reason
    tifffile.imwrite(tmp_path / "masks/z.tif", masks[0])
    (row,) = _index(tmp_path, pages="channels").table.itertuples()
    np.testing.assert_array_equal(read_sample(row)[0], images.transpose(1, 2, 0))


def test_what_the_file_calls_a_channel_is_one(tmp_path):
    """No question is asked where the file says what its pages are."""
    images, masks = _stacks(tmp_path, 3)
    tifffile.imwrite(tmp_path / "images/z.tif", images, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "masks/z.tif", masks[0])
    assert _index(tmp_path).table["sample"].tolist() == ["z"]


def test_frames_of_an_animation_are_pages(tmp_path):
    """Of GIF and WebP too."""
    _, masks = _stacks(tmp_path, 2)
    (tmp_path / "images/z.tif").unlink()
    frames = [Image.fromarray(np.full((24, 30), value, np.uint8)) for value in (40, 200)]
    frames[0].save(tmp_path / "images/z.gif", save_all=True, append_images=frames[1:])
    rows = list(_index(tmp_path, pages="samples").table.itertuples())
    assert [int(read_sample(row)[0].mean()) for row in rows] == [40, 200]
