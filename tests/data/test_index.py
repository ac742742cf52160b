"""Every sample is read, checked and measured, and the table of them is all that later stages need."""

import json
import os
import pickle
import struct
import zlib
from dataclasses import fields

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from stratagem.core.errors import DataError
from stratagem.core.files import write_table
from stratagem.data.index import COLUMNS, Measure, Wanted, _measure, build_index, present, require_good
from stratagem.data.masks.evidence import Summary
from stratagem.data.pairing import find
from stratagem.data.pixels import read_classes, read_sample
from stratagem.data.sample import Found, Problem
from stratagem.data.sheet import read_sheet

TWO = ["background", "cell"]
NAMES = ["background", "cell", "nucleus"]
AUTO, INDICES = {"encoding": "auto"}, {"encoding": "indices"}
COUNTS = [f"{key}_{number}" for key in ("pixels", "objects") for number in range(3)]


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(np.asarray(array)).save(path)
    return path


def _picture(seed: int, shape=(8, 12, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _pair(folder, sample, mask, image=None):
    """An image and its mask, in two folders; the image another one each time."""
    mask = np.asarray(mask, np.uint8)
    seed = zlib.crc32(sample.encode())
    _save(
        folder / "images" / f"{sample}.png", _picture(seed, (*mask.shape[:2], 3)) if image is None else image
    )
    _save(folder / "masks" / f"{sample}.png", mask)


def _index(folder, classes=NAMES, labels=AUTO, pattern="{stem}", **wanted):
    for name in ("images", "masks"):
        (folder / name).mkdir(exist_ok=True)
    found = find(str(folder / "images"), str(folder / "masks"), pattern, None)
    return build_index(found, Wanted(classes, labels, **wanted))


def _reasons(index, folder) -> dict:
    return {os.path.relpath(file, folder): reason for file, reason, _ in index.problems.to_numpy()}


def _through_parquet(index, folder) -> list:
    """The rows of a table that was written and read again."""
    write_table(index.table, folder / "index.parquet")
    return list(pd.read_parquet(folder / "index.parquet").itertuples())


# The table


def test_every_sample_is_measured(dataset):
    """The index holds each image's size, files and pixels a class, sorted by name."""
    images, masks = dataset
    index = build_index(find(str(images), str(masks), "{stem}", None), Wanted(NAMES, AUTO))
    assert index.problems.empty and index.duplicates.empty
    assert index.table.columns.tolist() == [*COLUMNS, *COUNTS]
    assert index.table["sample"].tolist() == ["a", "b", "c", "d", "e", "sub/f", "sub/g"]
    row = index.table.set_index("sample").loc["sub/f"]
    assert (row["image"], row["masks"]) == (str(images / "sub/f.png"), [str(masks / "sub/f.png")])
    assert (row["height"], row["width"], row["group"], row["part"]) == (12, 8, "sub/f", None)
    assert (row["cluster"], row["stored"], row["mask_resized"]) == ("sub/f", "uint8, 3 channels", False)
    assert np.isnan(row["pixel_size"])
    mask = np.array(Image.open(masks / "sub/f.png"))
    assert row[COUNTS[:3]].tolist() == [(mask == number).sum() for number in range(3)]
    assert index.understood["labels"].startswith("0, 1, 2 and 255 in all 7 masks: 0 = background")
    assert index.understood["images"] == "uint8, 3 channels: 7 images"


def test_objects_are_connected_regions(tmp_path):
    """Objects of a class are its connected regions, corners included."""
    _pair(tmp_path, "a", [[1, 0, 0, 2, 2], [0, 1, 0, 0, 0], [0, 0, 0, 1, 2]])
    row = _index(tmp_path).table.iloc[0]
    assert row[COUNTS].tolist() == [9, 3, 3, 1, 2, 2]


def test_one_image_is_a_set(tmp_path):
    """A set of one image of a single pixel a class is indexed."""
    _pair(tmp_path, "a", [[0, 1]])
    index = _index(tmp_path, TWO)
    assert index.table["cluster"].tolist() == ["a"]
    assert index.understood["labels"].startswith("0 and 1 in the one mask")
    require_good(index, TWO, "stop", "problems.csv")


@pytest.mark.parametrize("bad", [False, True])
def test_the_index_keeps_its_columns_when_nothing_is_usable(tmp_path, bad):
    """An empty set gives empty tables with their columns, so that later steps can say so."""
    if bad:
        _pair(tmp_path, "a", [[0, 1, 2, 77]])
    index = _index(tmp_path, labels=INDICES)
    assert index.table.columns.tolist() == COLUMNS
    assert index.table.empty and index.duplicates.empty
    assert index.problems.columns.tolist() == ["file", "reason", "skippable"]
    assert len(index.problems) == bad
    assert index.duplicates.columns.tolist() == ["sample", "other", "kind", "correlation"]


def test_what_a_sheet_says_is_in_the_index(tmp_path):
    """Group, part and pixel size of a sheet go into the index."""
    for name in "ab":
        _pair(tmp_path, name, [[0, 1]])
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        "image,mask,group,part,pixel_size\nimages/a.png,masks/a.png,g,val,0.5\nimages/b.png,masks/b.png,,,\n"
    )
    table = build_index(read_sheet(str(sheet), None), Wanted(TWO, AUTO)).table
    assert table["group"].tolist() == ["g", "images/b"]
    assert table["part"].fillna("none").tolist() == ["val", "none"]
    assert table["pixel_size"].fillna(-1).tolist() == [0.5, -1]


def test_rows_are_read_back_from_parquet(tmp_path):
    """A sample is read from a row of the table that was written and read again, masks and all."""
    truth = np.zeros((4, 2, 6), np.uint8)
    truth[:, 0, :4] = 1
    for number in range(4):
        _save(tmp_path / f"images/s{number}.png", _picture(number, (2, 6, 3)))
        for column in range(4):
            mask = np.zeros((2, 6), np.uint8)
            mask[0, column] = 255
            _save(tmp_path / f"masks/s{number}/{column}.png", mask)
    rows = _through_parquet(_index(tmp_path, TWO, pattern="{stem}/*"), tmp_path)
    for number, row in enumerate(rows):
        image, mask = read_sample(row)
        np.testing.assert_array_equal(image, _picture(number, (2, 6, 3)))
        np.testing.assert_array_equal(mask, truth[number])
        assert len(row.masks) == 4
        assert (row.part, row.pixels_1, row.objects_1) == (None, 4, 1)


def test_present_classes_are_told_from_absent_ones(tmp_path):
    """The index tells which classes a sample holds."""
    _pair(tmp_path, "a", [[0, 2]])
    _pair(tmp_path, "b", [[1, 1]])
    np.testing.assert_array_equal(present(_index(tmp_path).table), [[1, 0, 1], [0, 1, 0]])


# What cannot be used


def _bomb(path):
    """A PNG of a few bytes that claims 200,000 x 200,000 pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts:
        check = struct.pack(">I", zlib.crc32(kind + content))
        data += struct.pack(">I", len(content)) + kind + content + check
    path.write_bytes(data)


def test_all_bad_files_are_reported_at_once(tmp_path):
    """One table names every bad file with its reason, and the good samples are kept."""
    names = (
        "other-size",
        "cut",
        "cut-mask",
        "empty",
        "empty-mask",
        "text",
        "undeclared",
        "missing",
        "orphan",
    )
    for sample in ("good", *names, "bomb", "bomb-mask", "broken"):
        _pair(tmp_path, sample, [[0, 1, 2, 255]] * 40)
    images, masks = tmp_path / "images", tmp_path / "masks"
    _save(masks / "other-size.png", np.zeros((3, 1), np.uint8))
    for file in (images / "cut.png", masks / "cut-mask.png"):
        file.write_bytes(file.read_bytes()[:50])
    (images / "empty.png").write_bytes(b"")
    (masks / "empty-mask.png").write_bytes(b"")
    (masks / "text.png").write_text("no image")
    _save(masks / "undeclared.png", np.array([[0, 3, 77, 77]] * 40, np.uint8))
    (masks / "missing.png").unlink()
    (images / "orphan.png").unlink()
    _bomb(images / "bomb.png")
    _bomb(masks / "bomb-mask.png")
    (images / "broken.png").unlink()
    (images / "broken.png").symlink_to(images / "nowhere.png")
    index = _index(tmp_path, labels=INDICES)
    assert index.table["sample"].tolist() == ["good"]
    reasons = _reasons(index, tmp_path)
    expected = {
        "masks/other-size.png": "40x4 (height x width), but found 3x1",
        "images/cut.png": "cannot be decoded",
        "masks/cut-mask.png": "cannot be decoded",
        "images/empty.png": "an empty file",
        "masks/empty-mask.png": "an empty file",
        "masks/text.png": "cannot be decoded",
        "masks/undeclared.png": "77 (50.00% of the pixels), 3 (25.00% of the pixels)",
        "images/missing.png": "expected its mask, ",
        "masks/orphan.png": "no image in",
        "images/bomb.png": "200000x200000 (height x width)",
        "masks/bomb-mask.png": "200000x200000 (height x width)",
        "images/broken.png": "a broken link",
        "masks/broken.png": "no image in",
    }
    for file, part in expected.items():
        assert part in reasons[file]
    assert reasons.keys() == expected.keys()
    assert index.problems["file"].is_monotonic_increasing


def test_masks_of_one_image_that_differ_in_size_are_named(tmp_path):
    """Of one file an object, sizes that differ are a problem that names a file."""
    _save(tmp_path / "images/a.png", _picture(0, (2, 3, 3)))
    for number, width in enumerate((3, 4)):
        _save(tmp_path / f"masks/a_{number}.png", np.eye(2, width, dtype=np.uint8))
    reasons = _reasons(_index(tmp_path, TWO, pattern="{stem}_*"), tmp_path)
    assert reasons == {
        "masks/a_0.png": "expected masks of one size for the objects of one image, but found 2x3, 2x4. "
        "Replace the masks that differ from their image's size."
    }


def test_a_mask_of_another_size_may_be_resized(tmp_path):
    """With `mask_size: resize` a mask takes its image's size, and its labels stay labels."""
    _pair(tmp_path, "a", [[0, 1], [2, 255]], image=_picture(0, (10, 10, 3)))
    _pair(tmp_path, "b", [[0, 1], [2, 2]])
    index = _index(tmp_path, mask_size="resize")
    assert index.problems.empty
    assert index.table["mask_resized"].tolist() == [True, False]
    assert index.table.loc[0, COUNTS].tolist() == [25, 25, 25, 1, 1, 1]
    assert "1 masks brought to their image's size" in index.understood["notes"]
    _, mask = read_sample(_through_parquet(index, tmp_path)[0])
    np.testing.assert_array_equal(mask, np.kron([[0, 1], [2, 255]], np.ones((5, 5))))


@pytest.mark.parametrize("mask_size", ["same", "resize"])
def test_a_mask_of_another_shape_is_never_resized(tmp_path, mask_size):
    """A mask that lies on its side, or is of other proportions, is a problem that says so."""
    _pair(tmp_path, "side", np.eye(8, 10), image=_picture(0, (10, 8, 3)))
    _pair(tmp_path, "wide", np.eye(8, 10), image=_picture(1, (8, 8, 3)))
    _pair(tmp_path, "good", np.eye(8, 10))
    reasons = _reasons(_index(tmp_path, TWO, mask_size=mask_size), tmp_path)
    assert "10x8 (height x width), but found 8x10. It lies on its side" in reasons["masks/side.png"]
    assert "Replace it: it is not of the same shape" in reasons["masks/wide.png"]
    assert reasons.keys() == {"masks/side.png", "masks/wide.png"}


def _turned(path, orientation=6):
    """The file, saved so that it asks to be shown turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(path).save(path, exif=exif)


def test_an_image_turned_by_its_exif_alone_is_told(tmp_path):
    """Where the image is turned and its mask has no orientation, a note tells it; and so does a size."""
    for name in ("a", "b", "c"):
        _pair(tmp_path, name, np.eye(8, 8))
    _turned(tmp_path / "images/a.png")
    _turned(tmp_path / "images/b.png")
    _turned(tmp_path / "masks/b.png")
    _pair(tmp_path, "d", np.eye(8, 10))
    _turned(tmp_path / "images/d.png")
    index = _index(tmp_path, TWO)
    assert index.understood["notes"][0].startswith("The EXIF orientation turns 1 of 3 images")
    assert _reasons(index, tmp_path)["masks/d.png"].endswith(
        "turn it by 90 degrees clockwise. The image is turned by its EXIF orientation, and the mask has none."
    )


def test_a_varying_alpha_is_told(tmp_path):
    """Alpha is dropped, and where it varies this is told."""
    mask = np.kron([[0, 255], [0, 0]], np.ones((4, 4))).astype(np.uint8)
    _save(tmp_path / "images/a.png", _picture(0))
    _save(tmp_path / "masks/a.png", np.dstack([mask] * 3 + [np.full_like(mask, 255)])[:, :12])
    _save(tmp_path / "images/a.png", _picture(0, (8, 8, 3)))
    assert _index(tmp_path, TWO).understood["notes"] == []
    _save(tmp_path / "masks/a.png", np.dstack([mask] * 4))
    (note,) = _index(tmp_path, TWO).understood["notes"]
    assert note.startswith("An alpha channel that varies in 1 mask")


@pytest.mark.parametrize("wide", [False, True])
def test_masks_that_are_their_images_are_named(tmp_path, wide):
    """The images' own folder as that of the masks is told from masks, at any depth."""
    for number in range(3):
        image = _picture(number, (40, 40)).astype(np.uint16 if wide else np.uint8) * (99 if wide else 1)
        for kind in ("images", "masks"):
            _save(tmp_path / f"{kind}/{number}.tif", image)
    with pytest.raises(DataError, match="plain copies of the images"):
        _index(tmp_path, TWO)


def test_a_mask_reads_alone_as_beside_its_image(tmp_path):
    """Whether its image is needed (painted over) or may even be gone (values), the classes are the same."""
    painted = _picture(0, (6, 8, 3))
    _pair(tmp_path, "a", np.where(np.eye(6, 8)[..., None] > 0, [255, 0, 0], painted), image=painted)
    labels = {"encoding": "overlay", "colours": {"cell": ["#ff0000"]}}
    (row,) = _through_parquet(_index(tmp_path, TWO, labels=labels), tmp_path)
    np.testing.assert_array_equal(read_classes(row), np.eye(6, 8))
    _pair(tmp_path, "a", np.eye(6, 8), image=painted)
    (row,) = _through_parquet(_index(tmp_path, TWO), tmp_path)
    _, beside = read_sample(row)
    os.unlink(row.image)
    np.testing.assert_array_equal(read_classes(row), beside)


def test_masks_that_can_be_read_in_two_ways_are_refused(tmp_path):
    """Some of my masks say 255 for the cell, some say 1: nothing is guessed, both readings are named."""
    for name, value in {"a": 255, "b": 255, "c": 1}.items():
        _pair(tmp_path, name, np.kron([[0, value]], np.ones((4, 2))))
    with pytest.raises(DataError, match=r"1 mask with the value 1 and 2 with 255, none with both.*`labels: "):
        _index(tmp_path, TWO)


# Stops


def test_bad_samples_stop_the_study(tmp_path):
    """A bad file stops the study with how many there are, the first, the list and the way out."""
    _pair(tmp_path, "a", [[0, 1, 2]])
    _pair(tmp_path, "b", [[0, 1, 3]])
    index = _index(tmp_path, labels=INDICES)
    with pytest.raises(
        DataError, match=r"problems\.csv.*1 that are not.*b\.png: .*found.*3.*bad_samples: skip"
    ):
        require_good(index, NAMES, "stop", "problems.csv")
    require_good(index, NAMES, "skip", "problems.csv")


def test_no_sample_at_all_stops_the_study(tmp_path):
    """An empty data set stops the study even where bad files are skipped."""
    with pytest.raises(
        DataError, match="at least one image with its mask, but found none.*Check the folders"
    ):
        require_good(_index(tmp_path), NAMES, "skip", "problems.csv")


def test_a_class_without_usable_pixels_stops_the_study(tmp_path):
    """A declared class whose only mask is bad is named, with how the masks were read."""
    _pair(tmp_path, "a", [[0, 1]])
    _pair(tmp_path, "b", [[2, 77]])
    index = _index(tmp_path, labels=INDICES)
    with pytest.raises(
        DataError, match=r"none of class 2, `nucleus` \(0, 1 and 2 in all 2 masks.*Remove the class"
    ):
        require_good(index, NAMES, "skip", "problems.csv")


def test_a_class_without_pixels_stops_the_study(tmp_path):
    """A declared class of which no mask has a pixel is named."""
    _pair(tmp_path, "a", [[0, 1]])
    with pytest.raises(DataError, match=r"none of `nucleus`.*Remove the class"):
        _index(tmp_path, labels=INDICES)


# Pixels of other kinds


def _wide(folder, images):
    for number, image in enumerate(images):
        _save(folder / f"images/s{number}.tif", image)
        _save(folder / f"masks/s{number}.png", np.eye(*image.shape[:2], dtype=np.uint8))


def test_wide_images_are_scaled_by_the_sets_levels(tmp_path):
    """16-bit images share the levels of the whole set, so that a dark image stays dark."""
    ramp = np.linspace(1000, 3000, 400).reshape(20, 20).astype(np.uint16)
    _wide(tmp_path, [ramp, ramp // 10, ramp.T])
    index = _index(tmp_path, TWO)
    bright, dark, _ = (read_sample(row)[0] for row in _through_parquet(index, tmp_path))
    assert (bright.dtype, bright.max(), dark.max() < 30) == (np.uint8, 255, True)
    assert index.table["stored"].tolist() == ["uint16, 1 channel"] * 3
    assert "uint16, 1 channel: 3 images; more than 8 bits scaled from 100" in index.understood["images"]


def test_wide_images_are_scaled_by_given_levels(tmp_path):
    """Levels of the config are taken as they are."""
    _wide(tmp_path, [np.array([[0, 100], [150, 999]], np.uint16)])
    index = _index(tmp_path, TWO, levels=(100, 200))
    image, _ = read_sample(_through_parquet(index, tmp_path)[0])
    np.testing.assert_array_equal(image[..., 0], [[0, 0], [128, 255]])
    assert index.understood["images"].endswith("scaled from 100 .. 200 to 0 .. 255")


@pytest.mark.parametrize("side", [8, 100])
def test_levels_are_measured_on_every_channel(tmp_path, side):
    """A dim first channel does not set the levels of a bright third one."""
    image = np.zeros((side, side, 3), np.uint16)
    image[:, :, 1:] = [500, 40_000]
    image += np.random.default_rng(0).integers(0, 9, image.shape, np.uint16)
    _wide(tmp_path, [image])
    low, high = json.loads(_index(tmp_path, TWO).table["reading"][0])["levels"]
    assert low < 10 and high > 39_000


@pytest.mark.parametrize(("count", "apart"), [(2, False), (5, False), (3, True), (3, False)])
def test_channels_that_are_no_colours_have_levels_of_their_own(tmp_path, count, apart):
    """A dim channel fills 0 to 255 beside a bright one; of colours, the balance is kept."""
    (tmp_path / "images").mkdir()
    ramp = np.arange(400).reshape(20, 20)
    image = np.stack([ramp * 10**number // 10 for number in range(count)], axis=2).astype(np.uint16)
    tifffile.imwrite(tmp_path / "images/s0.tif", image, photometric="minisblack", planarconfig="contig")
    _save(tmp_path / "masks/s0.png", np.eye(20, dtype=np.uint8))
    index = _index(tmp_path, TWO, apart=apart)
    found = read_sample(_through_parquet(index, tmp_path)[0])[0].reshape(-1, count).max(axis=0)
    told = index.understood["images"]
    if count == 3 and not apart:
        assert found[0] < 5 and found[2] > 250
        assert "channel by channel" not in told
        return
    assert (found > 250).all() and told.count(" .. ") == count + 1 and told.endswith(", channel by channel")


def test_eight_bits_beside_sixteen_are_left_alone(tmp_path):
    """Levels are those of the wide images alone."""
    _wide(tmp_path, [np.arange(400, dtype=np.uint16).reshape(20, 20) + 5000, _picture(0, (20, 20))])
    index = _index(tmp_path, TWO)
    low, high = json.loads(index.table["reading"][1])["levels"]
    assert 5000 <= low < high < 5400
    np.testing.assert_array_equal(read_sample(index.table.loc[1])[0][..., 1], _picture(0, (20, 20)))


def test_many_channels_are_read_or_chosen(tmp_path):
    """An image of seven channels is read with all, or with those that are chosen; one is grey."""
    image = np.random.default_rng(0).integers(0, 4000, (6, 5, 7)).astype(np.uint16)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images/s0.tif", image.transpose(2, 0, 1), metadata={"axes": "CYX"})
    _save(tmp_path / "masks/s0.png", np.eye(6, 5, dtype=np.uint8))
    for channels, taken in ((None, range(7)), ((6, 0, 2), (6, 0, 2)), ((5, 1), (5, 1)), ((3,), (3, 3, 3))):
        index = _index(tmp_path, TWO, channels=channels, levels=(0, 255))
        assert index.table["stored"].tolist() == ["uint16, 7 channels"]
        assert index.table["channels"].tolist() == [len(taken)]
        read, _ = read_sample(_through_parquet(index, tmp_path)[0])
        np.testing.assert_array_equal(read, image[..., list(taken)].clip(0, 255))
    assert _reasons(_index(tmp_path, TWO, channels=(0, 7)), tmp_path) == {
        "images/s0.tif": "expected channels [0, 7] of the image, but found 7, numbered 0 to 6. Set the "
        "config key `channels` to those to use, such as `channels: [0, 2]`."
    }


def test_an_image_of_other_channels_than_most_is_a_problem(tmp_path):
    """Two channels among fours: named, with what the others have; with channels that all have it is read."""
    (tmp_path / "images").mkdir()
    for number, count in enumerate((4, 4, 2, 4)):
        image = np.random.default_rng(number).integers(0, 255, (count, 6, 5), dtype=np.uint8)
        tifffile.imwrite(tmp_path / f"images/s{number}.tif", image, photometric="minisblack")
        _save(tmp_path / f"masks/s{number}.png", np.eye(6, 5, dtype=np.uint8))
    index = _index(tmp_path, TWO, pages="channels")
    assert index.table["channels"].tolist() == [4, 4, 4]
    assert _reasons(index, tmp_path) == {
        "images/s2.tif": "expected 4 channels, as 3 other images have, but found uint8, 2 channels. Name "
        "those that all images have in `channels`, such as `channels: [0, 1]`, or save the image with the "
        "same."
    }
    chosen = _index(tmp_path, TWO, channels=(0, 1), pages="channels")
    assert chosen.table["channels"].tolist() == [2, 2, 2, 2]


# Masks of other kinds


def _discs(seed: int, count: int) -> np.ndarray:
    """Numbered discs that do not touch, uint16 (48, 48)."""
    objects = np.zeros((48, 48), np.uint16)
    for label, cell in enumerate(np.random.default_rng(seed).permutation(16)[:count].tolist(), start=1):
        row, column = (12 * place + 6 for place in divmod(cell, 4))
        cv2.circle(objects, (column, row), 4, label, thickness=-1)
    return objects


def test_maps_of_objects_become_classes(tmp_path):
    """16-bit maps of numbered objects are recognised, and their objects counted."""
    for number, count in enumerate((5, 9, 12)):
        _save(tmp_path / f"images/s{number}.png", _picture(number, (48, 48)))
        _save(tmp_path / f"masks/s{number}.tif", _discs(number, count))
    index = _index(tmp_path, TWO)
    assert index.understood["labels"].startswith("numbered objects in all 3 masks")
    assert index.table["objects_1"].tolist() == [5, 9, 12]
    _, mask = read_sample(_through_parquet(index, tmp_path)[1])
    np.testing.assert_array_equal(mask, _discs(1, 9) > 0)


@pytest.mark.parametrize("counts", [(1, 2), (2, 3, 1), (5, 1, 8)])
def test_one_file_an_object_is_read_as_objects(tmp_path, counts):
    """With several masks an image, their numbers are objects, however few, and nobody is asked."""
    for number, count in enumerate(counts):
        _save(tmp_path / f"images/s{number}.png", _picture(number, (48, 48)))
        for label in range(1, count + 1):
            mask = np.uint8(255) * (_discs(number, count) == label)
            _save(tmp_path / f"masks/s{number}_{label}.png", mask)
    index = _index(tmp_path, TWO, pattern="{stem}_*")
    assert index.table["objects_1"].tolist() == list(counts)
    for number, row in enumerate(_through_parquet(index, tmp_path)):
        np.testing.assert_array_equal(read_sample(row)[1], _discs(number, counts[number]) > 0)


def test_one_file_a_class_is_not_read_in_the_order_of_names(tmp_path):
    """Files that are classes, not objects, are no classes by the alphabet: the study stops."""
    _save(tmp_path / "images/a.png", _picture(0, (48, 48)))
    for number, name in enumerate(("nucleus", "cell"), start=1):
        _save(tmp_path / f"masks/a_{name}.png", np.uint8(255) * (_discs(0, 2) == number))
    with pytest.raises(DataError, match=r"several mask files an image, and 3 classes"):
        _index(tmp_path, pattern="{stem}_*")


def _objects_in_files(folder, count, values=(0, 255)):
    """Images with three objects each, a file an object."""
    for number in range(count):
        _save(folder / f"images/s{number}.png", _picture(number, (48, 48)))
        for label in (1, 2, 3):
            mask = np.where(_discs(number, 3) == label, *values[::-1]).astype(np.uint8)
            _save(folder / f"masks/s{number}_{label}.png", mask)


def test_a_strange_file_among_those_of_objects_is_a_problem(tmp_path):
    """A preview among the files of one object each makes its image bad, not a full mask."""
    _objects_in_files(tmp_path, 5)
    _save(tmp_path / "masks/s3_preview.png", _picture(3, (48, 48)))
    index = _index(tmp_path, TWO, pattern="{stem}_*")
    assert len(index.table) == 4
    (reason,) = _reasons(index, tmp_path).items()
    assert reason[0] == "masks/s3_preview.png" and "expected files of one object each" in reason[1]
    assert "in 12 files of 4 images" in index.understood["labels"]


def test_soft_files_of_objects_are_read_by_a_threshold(tmp_path):
    """An object is what reaches the threshold in its own file, before the files are united."""
    _objects_in_files(tmp_path, 3)
    for path in (tmp_path / "masks").iterdir():
        _save(path, cv2.GaussianBlur(np.array(Image.open(path)), (0, 0), 1))
    with pytest.raises(DataError, match=r"encoding: instances, threshold: 128"):
        _index(tmp_path, TWO, pattern="{stem}_*")
    index = _index(tmp_path, TWO, {"encoding": "instances", "threshold": 128}, "{stem}_*")
    assert "what is 128 and more = cell" in index.understood["labels"]
    for number, row in enumerate(_through_parquet(index, tmp_path)):
        assert ((read_sample(row)[1] > 0) == (_discs(number, 3) > 0)).mean() > 0.99


def test_one_image_with_two_files_does_not_turn_a_set(tmp_path):
    """Two files of one image are its problem; the others are read as what they are."""
    for number in range(6):
        _save(tmp_path / f"images/s{number}.png", _picture(number, (48, 48)))
        mask = np.where(_discs(number, 3) > 0, 1, 0).astype(np.uint8)
        mask[0] = 255
        _save(tmp_path / f"masks/s{number}_mask.png", mask)
    _save(tmp_path / "masks/s2_mask_old.png", np.zeros((48, 48), np.uint8))
    index = _index(tmp_path, TWO, pattern="{stem}_*")
    assert index.understood["labels"] == (
        "0, 1 and 255 in 5 of 6 masks: 0 = background, 1 = cell, 255 = ignored"
    )
    assert "expected one mask file an image, as most have, but found 2" in index.problems["reason"].item()


def test_painted_copies_of_images_are_masks(tmp_path):
    """Where a mask is its image painted over in one colour, what is painted is the class."""
    for number in range(3):
        image = _picture(number, (48, 48, 3))
        painted = image.copy()
        painted[_discs(number, 4) > 0] = (255, 0, 0)
        _pair(tmp_path, f"s{number}", painted, image=image)
    index = _index(tmp_path, TWO)
    assert index.understood["labels"].startswith(
        "painted copies of the images in all 3 masks: #ff0000 = cell"
    )
    assert index.table["objects_1"].tolist() == [4, 4, 4]
    _, mask = read_sample(_through_parquet(index, tmp_path)[2])
    np.testing.assert_array_equal(mask, _discs(2, 4) > 0)


@pytest.mark.parametrize("ignore", [255, 9])
def test_what_is_ignored_is_of_no_class(tmp_path, ignore):
    """The ignored value becomes 255 and counts in no class."""
    _pair(tmp_path, "a", [[0, 1, 2, ignore, ignore]])
    index = _index(tmp_path, labels=INDICES | {"ignore": ignore})
    assert index.table.loc[0, COUNTS[:3]].tolist() == [1, 1, 1]
    assert "40.00% of the pixels are ignored." in index.understood["notes"]
    np.testing.assert_array_equal(read_sample(index.table.loc[0])[1], [[0, 1, 2, 255, 255]])


def test_values_without_a_class_in_binary_masks_are_named(tmp_path):
    """In a set declared binary, a mask with another value is named with what is legal."""
    _pair(tmp_path, "a", [[0, 255, 254]])
    reason = _index(tmp_path, TWO, {"encoding": "binary"}).problems["reason"].item()
    assert "0, 255, but found" in reason and "254 (33.33% of the pixels)" in reason


# Duplicates


def test_duplicates_form_clusters(tmp_path):
    """Copies of an image have its first name as their cluster; a bad sample is nobody's copy."""
    for number, name in enumerate("abcd"):
        _pair(tmp_path, name, np.eye(40, 48), image=_picture(number % 2, (40, 48, 3)))
    _save(tmp_path / "masks/a.png", np.full((40, 48), 9, np.uint8))
    Image.fromarray(_picture(1, (40, 48, 3))).save(tmp_path / "images/e.jpg", quality=90)
    _save(tmp_path / "masks/e.png", np.eye(40, 48, dtype=np.uint8))
    index = _index(tmp_path, TWO, INDICES)
    assert _reasons(index, tmp_path).keys() == {"masks/a.png"}
    assert index.table["cluster"].tolist() == ["b", "c", "b", "b"]
    assert index.duplicates[["sample", "other", "kind"]].to_numpy().tolist() == [
        ["b", "d", "exact"],
        ["b", "e", "near"],
        ["d", "e", "near"],
    ]


def test_a_sample_without_pixels_of_its_own_is_no_copy(tmp_path):
    """Black images are no copies of each other."""
    for name in "abc":
        _pair(tmp_path, name, [[0, 1]], image=np.zeros((1, 2, 3), np.uint8))
    assert _index(tmp_path, TWO).table["cluster"].tolist() == ["a", "b", "c"]


# Memory


@pytest.mark.parametrize("channels", [None, (0,)])
def test_nothing_of_pixels_is_kept(tmp_path, channels):
    """What is measured of a sample is small, whatever the image's size, and holds no larger array alive."""
    side = 700
    image = np.random.default_rng(0).integers(0, 60_000, (side, side, 3)).astype(np.uint16)
    mask = np.indices((side, side)).sum(axis=0).astype(np.uint8) % 3
    _save(tmp_path / "images/s0.tif", image)
    _save(tmp_path / "masks/s0.png", mask)
    found = find(str(tmp_path / "images"), str(tmp_path / "masks"), "{stem}", None)
    measure = _measure(found.samples[0], Wanted(NAMES, AUTO, channels))
    assert len(pickle.dumps(measure)) < 8000
    arrays = [measure.intensities, measure.print[1]]
    assert [array.nbytes for array in arrays] == [2048, 1024]
    for array in arrays:
        assert array.base is None or array.base.nbytes == array.nbytes
    others = [getattr(measure, field.name) for field in fields(Measure) if field.name != "print"]
    assert sum(isinstance(value, np.ndarray) for value in others) == 1
    assert not any(isinstance(getattr(measure.summary, field.name), np.ndarray) for field in fields(Summary))


def test_problems_of_finding_are_kept():
    """What was no sample to begin with stands among the problems."""
    index = build_index(Found(problems=[Problem("b", "two"), Problem("a", "one", False)]), Wanted(TWO, AUTO))
    assert index.problems.to_numpy().tolist() == [["a", "one", False], ["b", "two", True]]


def test_a_few_masks_with_strange_values_are_bad_files_and_put_no_encoding_in_doubt(tmp_path):
    """One mask in thirty with a strange value is a problem; where half of them have it, it is a question."""
    for name, strange in (("few", 1), ("many", 15)):
        images, masks = tmp_path / name / "images", tmp_path / name / "masks"
        images.mkdir(parents=True), masks.mkdir()
        for number in range(30):
            mask = np.zeros((16, 16), np.uint8)
            mask[4:9, 4:9] = 255
            mask[0, 0] = 7 if number < strange else 0
            cv2.imwrite(str(images / f"{number}.png"), np.full((16, 16, 3), number, np.uint8))
            cv2.imwrite(str(masks / f"{number}.png"), mask)
    wanted = Wanted(["background", "cell"], {"encoding": "auto"})
    few = build_index(find(str(tmp_path / "few/images"), str(tmp_path / "few/masks"), "{stem}", None), wanted)
    assert len(few.table) == 29 and few.problems["file"].tolist() == [str(tmp_path / "few/masks/0.png")]
    assert "found 7 (0.39%), which hardly another holds. Mend the mask" in few.problems["reason"].iat[0]
    assert few.understood["labels"].startswith("0 and 255 in 29 of 30 masks")
    many, recorded = find(str(tmp_path / "many/images"), str(tmp_path / "many/masks"), "{stem}", None), []
    with pytest.raises(DataError):
        build_index(many, wanted, recorded.append)
    assert [len(table) for table in recorded] == [
        0
    ]  # what was bad by itself is told also where the set stops


@pytest.mark.parametrize(
    "stray",
    [
        lambda mask: mask * 255,
        lambda mask: np.dstack([mask * 200, mask, mask]),
        lambda mask: mask.astype(bool),
        lambda mask: mask + 1,
    ],
    ids=["255", "colour", "1 bit", "1 and 2"],
)
def test_a_stray_mask_is_a_problem_and_never_read(tmp_path, stray):
    """One mask of another encoding among twenty is set aside with its values, whatever they could mean."""
    for number in range(20):
        truth = np.uint8(_discs(number, 4)) % 3
        mask = stray(np.minimum(truth, 1)) if number == 7 else truth
        _save(tmp_path / f"images/{number:02}.png", _picture(number, (48, 48)))
        _save(tmp_path / f"masks/{number:02}.png", mask)
        if number == 7 and mask.max() == 2:  # values that the others hold too are no strays
            _save(tmp_path / f"masks/{number:02}.png", mask * 3)
    recorded = []
    found = find(str(tmp_path / "images"), str(tmp_path / "masks"), "{stem}", None)
    index = build_index(found, Wanted(NAMES, AUTO), recorded.append)
    assert _reasons(index, tmp_path).keys() == {"masks/07.png"}
    assert "which hardly another holds" in index.problems["reason"].item()
    assert "07" not in set(index.table["sample"])
    assert "in 19 of 20 masks" in index.understood["labels"]
    assert [len(table) for table in recorded] == [0, 1]


def test_strays_are_named_apart_where_the_others_are_a_question(tmp_path):
    """Where the usual masks can be read in two ways, the question is about those."""
    for number in range(20):
        discs = _discs(number, 4)
        _save(tmp_path / f"images/{number:02}.png", _picture(number, (48, 48)))
        _save(
            tmp_path / f"masks/{number:02}.png",
            discs if number == 3 else np.where(discs > 0, 0, 255).astype(np.uint8),
        )
    with pytest.raises(DataError, match=r"255, that lies around enclosed blobs of 0"):
        _index(tmp_path, TWO)


def test_a_common_aperture_is_told(tmp_path):
    """Where images share a bright disc, copies are looked for in what else they show, and this is told."""
    rows, columns = np.indices((64, 64)) - 32
    disc = rows**2 + columns**2 < 900
    for number in range(12):
        _pair(
            tmp_path,
            f"s{number:02}",
            disc,
            image=np.where(disc, 180 + _picture(number, (64, 64)) // 8, 3).astype(np.uint8),
        )
    index = _index(tmp_path, TWO)
    assert index.duplicates.empty
    assert index.understood["notes"][-1].startswith("12 images have much in common")


def test_soft_masks_are_asked_for_and_read(tmp_path):
    """Floats from 0 to 1: the line that the message gives reads them."""
    (tmp_path / "masks").mkdir()
    for number in range(3):
        _save(tmp_path / "images" / f"{number}.png", _picture(number, (20, 20)))
        soft = np.clip(np.linspace(-0.5, 1.5, 400).reshape(20, 20), 0, 1).astype(np.float32)
        tifffile.imwrite(tmp_path / "masks" / f"{number}.tif", soft)
    with pytest.raises(
        DataError, match=r"fractions from 0 to 1 in 3 masks.*`labels: \{encoding: binary, threshold: 0\.5\}`"
    ):
        _index(tmp_path, TWO)
    index = _index(tmp_path, TWO, {"encoding": "binary", "threshold": 0.5})
    assert index.table["pixels_1"].tolist() == [200, 200, 200]


def test_a_16_bit_image_among_others_is_told_and_not_scaled_by_itself(tmp_path):
    """One in four keeps its place in the full range, as those of 8 bits do."""
    for number in range(4):
        picture = _picture(number, (20, 20))
        image = picture.astype(np.uint16) * 257 if number == 1 else picture
        _pair(tmp_path, f"s{number}", np.eye(20) > 0, image=image)
    index = _index(tmp_path, TWO)
    assert any("1 of 4 images have more than 8 bits, such as s1.png" in n for n in index.understood["notes"])
    rows = list(index.table.itertuples())
    np.testing.assert_array_equal(read_sample(rows[1])[0][..., 0], _picture(1, (20, 20)))


def test_threads_change_nothing(dataset):
    """The index is the same, row by row, whoever reads."""
    found = find(*map(str, dataset), "{stem}", None)
    one, other = (build_index(found, Wanted(NAMES, INDICES), threads=threads) for threads in (1, 3))
    pd.testing.assert_frame_equal(one.table, other.table)
    pd.testing.assert_frame_equal(one.problems, other.problems)


def test_all_skipped_is_said_so(tmp_path):
    """Not that there is nothing, where everything was bad."""
    for number in range(3):
        _pair(tmp_path, f"s{number}", np.zeros((9, 9)), image=np.zeros((5, 5), np.uint8))
    index = _index(tmp_path, TWO)
    with pytest.raises(
        DataError, match=r"that all 3 were skipped as bad; the first: .*s0\.png: expected a mask"
    ):
        require_good(index, TWO, "skip", "problems.csv")
    with pytest.raises(DataError) as stopped:
        require_good(index, TWO, "stop", "problems.csv")
    assert "3 that are not" in str(stopped.value) and "bad_samples" not in str(stopped.value)


def test_a_further_mask_is_never_skipped(tmp_path):
    """Whatever `bad_samples` says, and the message does not offer it."""
    for number in range(3):
        _pair(tmp_path, f"s{number}", np.eye(9))
    _save(tmp_path / "masks" / "s0_1.png", np.eye(9, dtype=np.uint8))
    for policy in ("stop", "skip"):
        with pytest.raises(DataError, match="further mask of `s0`") as caught:
            require_good(_index(tmp_path, TWO), TWO, policy, "problems.csv")
        assert "bad_samples" not in str(caught.value)
