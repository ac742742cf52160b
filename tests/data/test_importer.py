"""Collections of other tools become sample sheets: nnU-Net, COCO, label maps."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from stratagem.core.errors import DataError
from stratagem.data import importer
from stratagem.data.image import read_raw
from stratagem.data.importer import import_coco, import_labelmaps, import_nnunet

COMMAND = Path(__file__).parents[2] / "scripts" / "import_data.py"
SIZE = (6, 8)  # height, width


def _save(array: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)
    return path


def _picture(value: int = 0, size: tuple[int, ...] = SIZE) -> np.ndarray:
    return np.full(size, value, np.uint8)


def _json(record: dict, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def _sheet(out: Path) -> pd.DataFrame:
    """The sheet, after seeing that each path in it leads from its folder to a file."""
    table = pd.read_csv(out / "samples.csv")
    for path in [*table["image"], *table["mask"]]:
        assert "\\" not in path and (out / path).is_file(), path
    return table


def _study(out: Path) -> dict:
    return yaml.safe_load((out / "study.yaml").read_text(encoding="utf-8"))


def _refused(call, *words: str, out: Path) -> DataError:
    """The error of a call that must name all these words and leave no folder behind."""
    with pytest.raises(DataError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
    assert not out.exists() and not list(out.parent.glob(f".{out.name}*"))
    return caught.value


# nnU-Net


def _nnunet(folder: Path, cases=("a", "b"), channels=1, suffix="Tr", **changes) -> Path:
    """A data set as nnU-Net v2's documentation shows it."""
    for number, case in enumerate(cases):
        for channel in range(channels):
            picture = _picture(10 * number + channel)
            _save(picture, folder / f"images{suffix}" / f"{case}_{channel:04d}.png")
        _save(_picture(number), folder / f"labels{suffix}" / f"{case}.png")
    record = {
        "channel_names": {str(channel): f"channel {channel}" for channel in range(channels)},
        "labels": {"background": 0, "cell": 1},
        "numTraining": len(cases),
        "file_ending": ".png",
    }
    if suffix == "Tr":
        _json(record | changes, folder / "dataset.json")
    return folder


def test_an_nnunet_data_set_is_named_where_it_is(tmp_path):
    """Images and labels stay in place; without labelsTs the study divides the images."""
    out = tmp_path / "new" / "out"
    folder = _nnunet(tmp_path / "raw")
    (folder / "imagesTr" / "._a_0000.png").write_bytes(b"of the Finder")
    said = import_nnunet(folder, out)
    table = _sheet(out)
    assert list(table.columns) == ["image", "mask"]
    assert table["image"].tolist() == ["../../raw/imagesTr/a_0000.png", "../../raw/imagesTr/b_0000.png"]
    assert table["mask"].tolist() == ["../../raw/labelsTr/a.png", "../../raw/labelsTr/b.png"]
    assert sorted(path.name for path in out.iterdir()) == ["samples.csv", "study.yaml"]
    assert _study(out) == {
        "sheet": f"{out.as_posix()}/samples.csv",
        "classes": ["background", "cell"],
        "labels": {"encoding": "indices"},
    }
    assert said[0].startswith("2 samples")


@pytest.mark.parametrize("ignore", [3, 255])
def test_classes_stand_by_their_number_and_ignore_is_none(tmp_path, ignore):
    """The order in dataset.json does not matter; `ignore` is told to the study, not a class."""
    labels = {"ignore": ignore, "Stück, 2": 2, "background": 0, "no": 1}
    out = tmp_path / "out"
    import_nnunet(_nnunet(tmp_path / "raw", labels=labels), out)
    assert _study(out)["classes"] == ["background", "no", "Stück, 2"]
    assert _study(out)["labels"] == {"encoding": "indices", "ignore": ignore}


def test_channels_of_several_files_become_one_image(tmp_path):
    """A case of two channels is one TIFF, (H, W, 2), in nnU-Net's order, with their names; I am told so."""
    out = tmp_path / "out"
    said = import_nnunet(_nnunet(tmp_path / "raw", channels=2), out)
    table = _sheet(out)
    assert table["image"].tolist() == ["images/imagesTr/a.tif", "images/imagesTr/b.tif"]
    with tifffile.TiffFile(out / table["image"][1]) as file:
        image = file.asarray()
        assert len(file.pages) == 1 and file.series[0].axes == "YXS"
        assert file.shaped_metadata[0]["channel_names"] == ["channel 0", "channel 1"]
    np.testing.assert_array_equal(read_raw(out / table["image"][1]), image)
    assert image.dtype == np.uint8 and image.shape == (*SIZE, 2)
    np.testing.assert_array_equal(image[0, 0], [10, 11])
    assert any("Joined: 2 cases of 2 channels" in sentence for sentence in said)


def test_sixteen_bits_stay_sixteen_bits(tmp_path):
    """Joined channels keep their pixel type and values, from TIFF as from PNG."""
    folder = tmp_path / "raw"
    for ending in (".png", ".tif"):
        values = np.arange(48, dtype=np.uint16).reshape(SIZE) * 1000
        for channel in range(2):
            _save(values + channel, folder / ending / "imagesTr" / f"a_000{channel}{ending}")
        _save(_picture(), folder / ending / "labelsTr" / f"a{ending}")
        source = _json(
            {
                "channel_names": {"0": "T2", "1": "ADC"},
                "labels": {"background": 0, "PZ": 1},
                "numTraining": 1,
                "file_ending": ending,
            },
            folder / ending / "dataset.json",
        )
        out = tmp_path / ending[1:]
        import_nnunet(source.parent, out)
        image = tifffile.imread(out / "images" / "imagesTr" / "a.tif")
        assert image.dtype == np.uint16
        np.testing.assert_array_equal(image, np.stack([values, values + 1], axis=-1))


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_a_colour_image_is_one_file_of_three_channels(tmp_path, ending):
    """nnU-Net's natural images hold R, G and B in one file: nothing is joined, nothing is missing."""
    folder = _nnunet(
        tmp_path / "raw", cases=(), channels=3, numTraining=1, file_ending=ending, labels={"a": 0, "b": 1}
    )
    _save(_picture(7, (*SIZE, 3)), folder / "imagesTr" / f"road_0000{ending}")
    _save(_picture(), folder / "labelsTr" / f"road{ending}")
    import_nnunet(folder, tmp_path / "out")
    assert _sheet(tmp_path / "out")["image"].tolist() == [f"../raw/imagesTr/road_0000{ending}"]


@pytest.mark.parametrize("numbers", [(0, 1), (1,)])
def test_a_colour_image_is_the_only_file_of_its_case(tmp_path, numbers):
    """Three colours in one file of several, or in a file of another number, are no case of three channels."""
    folder = _nnunet(tmp_path / "raw", cases=(), channels=3)
    for number in numbers:
        _save(_picture(7, (*SIZE, 3)), folder / "imagesTr" / f"road_000{number}.png")
    _save(_picture(), folder / "labelsTr" / "road.png")
    _refused(lambda: import_nnunet(folder, tmp_path / "out"), "road has the channels", out=tmp_path / "out")


def test_labelled_test_cases_are_the_test_images(tmp_path):
    """With labelsTs the parts are nnU-Net's; a case of one name in both stays two samples."""
    folder = _nnunet(tmp_path / "raw", channels=2)
    _nnunet(folder, cases=("a", "c"), channels=2, suffix="Ts")
    import_nnunet(folder, tmp_path / "out")
    table = _sheet(tmp_path / "out")
    assert table["part"].tolist() == ["train", "train", "test", "test"]
    assert table["image"].is_unique and table["mask"].is_unique
    assert "images/imagesTs/c.tif" in table["image"].tolist()


def test_test_images_without_labels_are_left_out_and_counted(tmp_path):
    """imagesTs without labelsTs cannot be scored; I am told how many files that were."""
    folder = _nnunet(tmp_path / "raw")
    _save(_picture(), folder / "imagesTs" / "c_0000.png")
    said = import_nnunet(folder, tmp_path / "out")
    assert any("Left out: 1 files of imagesTs" in sentence for sentence in said)
    assert len(_sheet(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"labels": {"background": 0, "whole": [1, 2], "core": [2]}}, "label `whole` is a region of [1, 2]"),
        ({"file_ending": ".nii.gz"}, "`file_ending` is '.nii.gz'"),
        ({"file_ending": ".tif", "overwrite_image_reader_writer": "Tiff3DIO"}, "Tiff3DIO"),
        ({"dataset": {"a": {"images": ["x.png"], "label": "y.png"}}}, "under `dataset`"),
    ],
)
def test_what_nnunet_can_do_and_we_cannot_is_said(tmp_path, changes, word):
    """Regions, volumes and lists of cases are refused with what is supported instead."""
    folder = _nnunet(tmp_path / "raw", **changes)
    _refused(lambda: import_nnunet(folder, tmp_path / "out"), word, "2D files (.png", out=tmp_path / "out")


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "cell": 2},
        {"cell": 1, "nucleus": 2},
        {"background": 0, "cell": 1, "nucleus": 1},
        {"background": 0, "ignore": 1, "cell": 2},
        {"background": 0, "cell": 1, "ignore": 1},
        {"background": 0, "cell": 1, "ignore": 256},
        {"background": 0, "ignore": 1},
    ],
)
def test_labels_must_be_consecutive_with_ignore_on_top(tmp_path, labels):
    """nnU-Net's own rules hold, and there must be something to tell from background."""
    folder = _nnunet(tmp_path / "raw", labels=labels)
    _refused(lambda: import_nnunet(folder, tmp_path / "out"), json.dumps(labels), out=tmp_path / "out")


def test_every_fault_of_the_cases_is_in_one_error(tmp_path):
    """I see all that is wrong at once: channels, labels, images, names."""
    folder = _nnunet(tmp_path / "raw", cases=("a", "b", "c"), channels=2)
    (folder / "imagesTr" / "a_0001.png").unlink()
    (folder / "labelsTr" / "b.png").unlink()
    _save(_picture(), folder / "labelsTr" / "d.png")
    _save(_picture(), folder / "imagesTr" / "plain.png")
    error = _refused(
        lambda: import_nnunet(folder, tmp_path / "out"),
        "a has the channels 0000 where 2 are declared",
        "b has no labels in labelsTr",
        "d.png has no image",
        "plain.png has no channel number",
        out=tmp_path / "out",
    )
    assert error.found.startswith("4 faults: ")


def test_a_single_file_that_cannot_be_opened_is_a_fault(tmp_path):
    """A damaged file where a channel is missing does not end in a traceback."""
    folder = _nnunet(tmp_path / "raw", cases=("a",), channels=3)
    for channel in (1, 2):
        (folder / "imagesTr" / f"a_000{channel}.png").unlink()
    (folder / "imagesTr" / "a_0000.png").write_bytes(b"no image")
    _refused(lambda: import_nnunet(folder, tmp_path / "out"), "cannot be decoded", out=tmp_path / "out")


def test_an_incomplete_copy_is_noticed(tmp_path):
    """Fewer cases than numTraining says are a fault."""
    folder = _nnunet(tmp_path / "raw", numTraining=3)
    _refused(
        lambda: import_nnunet(folder, tmp_path / "out"),
        "`numTraining` is 3, but imagesTr holds 2 cases",
        out=tmp_path / "out",
    )


@pytest.mark.parametrize(
    ("second", "word"),
    [
        (_picture(0, (6, 9)), "uint8 (6, 9) beside uint8 (6, 8)"),
        (_picture().astype(np.uint16), "uint16 (6, 8) beside uint8 (6, 8)"),
        (_picture(0, (*SIZE, 3)), "uint8 (6, 8, 3) beside uint8 (6, 8)"),
        (None, "cannot be decoded"),
    ],
)
def test_channels_that_do_not_fit_are_refused(tmp_path, second, word):
    """Channels of two sizes or pixel types, in colour or damaged make no image; nothing appears."""
    folder = _nnunet(tmp_path / "raw", channels=2)
    path = folder / "imagesTr" / "b_0001.png"
    if second is None:
        path.write_bytes(path.read_bytes()[:44])
    else:
        _save(second, path)
    _refused(lambda: import_nnunet(folder, tmp_path / "out"), str(path), word, out=tmp_path / "out")


def test_dataset_json_of_version_1_is_refused(tmp_path):
    """A data set of nnU-Net v1 is refused with the command that converts it."""
    folder = _nnunet(tmp_path / "raw")
    old = {"modality": {"0": "T2"}, "labels": {"0": "background", "1": "PZ"}, "numTraining": 2}
    _json(old, folder / "dataset.json")
    _refused(
        lambda: import_nnunet(folder, tmp_path / "out"),
        "channel_names: Field required",
        "file_ending: Field required",
        "nnUNetv2_convert_old_nnUNet_dataset",
        out=tmp_path / "out",
    )


@pytest.mark.parametrize(
    ("break_it", "word"),
    [
        (lambda folder: (folder / "dataset.json").unlink(), "No such file"),
        (lambda folder: (folder / "dataset.json").write_text("{'a': 1}"), "Invalid JSON"),
        (lambda folder: (folder / "imagesTr").rename(folder / "images"), "imagesTr: expected a folder"),
        (lambda folder: (folder / "labelsTr").rename(folder / "labels"), "labelsTr: expected a folder"),
    ],
)
def test_what_is_not_a_data_set_is_refused(tmp_path, break_it, word):
    """A folder without its parts names the part."""
    folder = _nnunet(tmp_path / "raw")
    break_it(folder)
    _refused(lambda: import_nnunet(folder, tmp_path / "out"), word, out=tmp_path / "out")


# COCO


def _coco(folder: Path, *annotations: dict, names=("one.png",), **changes) -> tuple[Path, Path]:
    """A COCO file and its image folder; sizes and ids as the collection's own files have them."""
    images = folder / "images"
    for name in names:
        _save(_picture(0, (*SIZE, 3)), images / name)
    record = {
        "info": {"year": 2026},
        "licenses": [],
        "images": [
            {"id": 100 + number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            for number, name in enumerate(names)
        ],
        "annotations": [
            {"id": number, "image_id": 100, "category_id": 18, "iscrowd": 0} | annotation
            for number, annotation in enumerate(annotations)
        ],
        "categories": [{"id": 44, "name": "bottle"}, {"id": 18, "name": "dog", "supercategory": "animal"}],
    }
    return _json(record | changes, folder / "instances.json"), images


def _rectangle(left: float, top: float, right: float, bottom: float) -> dict:
    return {"segmentation": [[left, top, right, top, right, bottom, left, bottom]]}


def _block(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[rows, columns] = 1
    return mask


def _compressed(mask: np.ndarray) -> dict:
    """A mask as the run-length text of pycocotools."""
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def _plain(mask: np.ndarray) -> dict:
    """A mask as a list of run lengths, column by column, the first of pixels outside."""
    pixels = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff([0, *edges, pixels.size]).tolist()
    return {"size": list(mask.shape), "counts": [0] * int(pixels[0]) + runs}


def _mask(out: Path, row: int = 0) -> np.ndarray:
    path = out / _sheet(out)["mask"][row]
    with Image.open(path) as image:
        assert image.format == "PNG" and image.mode == "L"
        return np.array(image)


def test_coco_becomes_masks_of_class_indices(tmp_path):
    """Polygons are drawn with their category's place in the order of ids, images stay where they are."""
    files = _coco(tmp_path, _rectangle(1, 1, 4, 3), _rectangle(5, 0, 8, 6) | {"category_id": 44})
    out = tmp_path / "out"
    import_coco(*files, out)
    expected = _block(slice(1, 3), slice(1, 4)) + 2 * _block(slice(0, 6), slice(5, 8))
    np.testing.assert_array_equal(_mask(out), expected)
    assert _sheet(out).to_dict("records") == [{"image": "../images/one.png", "mask": "masks/one.png"}]
    assert _study(out)["classes"] == ["background", "dog", "bottle"]
    assert _study(out)["labels"] == {"encoding": "indices", "ignore": 255}
    assert sorted(path.name for path in out.iterdir()) == ["masks", "samples.csv", "study.yaml"]


@pytest.mark.parametrize("encode", [_plain, _compressed])
def test_run_lengths_plain_and_compressed_are_drawn(tmp_path, encode):
    """Both kinds of run lengths give the pixels they were made of, corner pixels included."""
    block = _block(slice(2, 5), slice(3, 7)) | _block(slice(0, 1), slice(0, 1))
    import_coco(*_coco(tmp_path, {"segmentation": encode(block)}), tmp_path / "out")
    np.testing.assert_array_equal(_mask(tmp_path / "out"), block)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_compressed_run_lengths_are_pycocotools_own(height, width, seed, share):
    """Whatever mask pycocotools packs as text, the same runs come back."""
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    assert importer._runs(_compressed(mask)["counts"]) == _plain(mask)["counts"]


def test_an_object_of_two_polygons_is_one(tmp_path):
    """An object that something hides in the middle is drawn in both its parts."""
    parts = _rectangle(0, 0, 2, 2)["segmentation"] + _rectangle(5, 3, 7, 5)["segmentation"]
    import_coco(*_coco(tmp_path, {"segmentation": parts}), tmp_path / "out")
    expected = _block(slice(0, 2), slice(0, 2)) | _block(slice(3, 5), slice(5, 7))
    np.testing.assert_array_equal(_mask(tmp_path / "out"), expected)


def test_small_objects_lie_on_top(tmp_path):
    """The order in the file does not hide a small object under a large one."""
    small, large = _rectangle(2, 2, 4, 4) | {"category_id": 44}, _rectangle(0, 0, 8, 6)
    masks = []
    for name, annotations in (("a", (small, large)), ("b", (large, small))):
        import_coco(*_coco(tmp_path / name, *annotations), tmp_path / name / "out")
        masks.append(_mask(tmp_path / name / "out"))
    np.testing.assert_array_equal(masks[0], 1 + _block(slice(2, 4), slice(2, 4)))
    np.testing.assert_array_equal(masks[0], masks[1])


def test_of_those_of_one_size_the_later_is_on_top(tmp_path):
    """Objects of one area are drawn in the order of the file, however many they are."""
    several = [_rectangle(0, 0, 3, 3), _rectangle(3, 0, 6, 3)] * 40
    several += [_rectangle(1, 0, 4, 3) | {"category_id": 44}]
    import_coco(*_coco(tmp_path, *several), tmp_path / "out")
    assert _mask(tmp_path / "out")[0].tolist() == [1, 2, 2, 2, 1, 1, 0, 0]


def test_crowds_are_ignored_and_counted(tmp_path):
    """A crowd region counts as neither class nor background; an object smaller than it stays."""
    crowd = {"segmentation": _plain(_block(slice(0, 6), slice(0, 4))), "iscrowd": 1}
    said = import_coco(*_coco(tmp_path, _rectangle(1, 1, 3, 3), crowd), tmp_path / "out")
    expected = 255 * _block(slice(0, 6), slice(0, 4))
    expected[1:3, 1:3] = 1
    np.testing.assert_array_equal(_mask(tmp_path / "out"), expected)
    assert any("Ignored: 1 crowd regions" in sentence for sentence in said)


def test_images_without_annotations_are_background_and_counted(tmp_path):
    """An image that nobody marked is kept; I am told how many there are."""
    names = ("one.png", "sub/two.png", "sub/three.tif")
    said = import_coco(*_coco(tmp_path, _rectangle(1, 1, 4, 3), names=names), tmp_path / "out")
    assert _sheet(tmp_path / "out")["mask"].tolist() == [
        "masks/one.png",
        "masks/sub/two.png",
        "masks/sub/three.png",
    ]
    assert not _mask(tmp_path / "out", 1).any()
    assert any("All background: 2 images" in sentence for sentence in said)


def test_objects_too_small_and_categories_unused_are_told(tmp_path):
    """Nothing vanishes without a word: an outline between pixels, a category nobody used."""
    said = " ".join(import_coco(*_coco(tmp_path, _rectangle(1.1, 1.1, 1.2, 1.2)), tmp_path / "out"))
    assert not _mask(tmp_path / "out").any()
    assert "Too small to hold a pixel: 1 outlines" in said
    assert "Categories without an object: bottle;" in said


def test_a_clean_collection_has_no_notes(tmp_path):
    """What did not happen is not spoken of."""
    both = _rectangle(1, 1, 4, 3), _rectangle(5, 0, 8, 6) | {"category_id": 44}
    assert len(import_coco(*_coco(tmp_path, *both), tmp_path / "out")) == 2


def test_every_fault_of_a_coco_file_is_in_one_error(tmp_path):
    """Missing files, sizes that differ, ids that nothing declares: all at once."""
    names = ("one.png", "gone.png", "other.png", "broken.png")
    annotations, images = _coco(
        tmp_path,
        _rectangle(1, 1, 4, 3) | {"category_id": 5},
        _rectangle(1, 1, 4, 3) | {"image_id": 9},
        names=names,
    )
    (images / "gone.png").unlink()
    _save(_picture(0, (8, 6)), images / "other.png")
    (images / "broken.png").write_bytes(b"no image")
    error = _refused(
        lambda: import_coco(annotations, images, tmp_path / "out"),
        "gone.png is missing",
        "other.png is 8x6 (height x width), not 6x8 as declared",
        "broken.png: expected a readable image file, but found one that cannot be decoded",
        "annotations.0: category 5 is not declared",
        "annotations.1: image 9 is not declared",
        out=tmp_path / "out",
    )
    assert error.found.startswith("5 faults: ")


@pytest.mark.parametrize(
    ("segmentation", "word"),
    [
        ([], "at least 1 item"),
        ([[1, 1, 4, 3]], "at least 6 items"),  # pycocotools would read a box
        ([[1, 1, 4, 1, 4, 3, 2]], "a polygon is pairs of x and y"),
        ([[1, 1, 4, 1, 4, float("nan")]], "finite number"),
        ([[1, 1, 4, 1, 4, 1e9]], "does not fit the size"),
        ({"size": [8, 6], "counts": [48]}, "does not fit the size"),
        ({"size": [6, 8], "counts": [40, 5]}, "does not fit the size"),
        ({"size": [6, 8], "counts": [-1, 49]}, "greater than or equal to 0"),
        ({"size": [6, 8], "counts": "05"}, "does not fit the size"),  # pycocotools would read stray memory
        ({"size": [6, 8], "counts": "0`"}, "not COCO's compressed run lengths"),
        ({"size": [6, 8], "counts": "0 1"}, "not COCO's compressed run lengths"),
        ({"size": [6, 8]}, "counts: Field required"),
    ],
)
def test_an_outline_that_is_none_is_refused(tmp_path, segmentation, word):
    """A damaged outline is named by its place in the file, never drawn as something else."""
    files = _coco(tmp_path, _rectangle(0, 0, 2, 2), {"segmentation": segmentation})
    _refused(lambda: import_coco(*files, tmp_path / "out"), "annotations.1", word, out=tmp_path / "out")


def test_an_annotation_without_outline_is_refused(tmp_path):
    """A box alone says nothing of pixels."""
    files = _coco(tmp_path, {"bbox": [0, 0, 2, 2]})
    _refused(
        lambda: import_coco(*files, tmp_path / "out"),
        "annotations.0.segmentation: Field required",
        out=tmp_path / "out",
    )


@pytest.mark.parametrize("name", ["../one.png", "/one.png", "a/../../one.png", ""])
def test_a_file_name_cannot_lead_out_of_the_folders(tmp_path, name):
    """A collection from elsewhere can neither read nor write beside its folders."""
    image = {"id": 100, "file_name": name, "height": 6, "width": 8}
    files = _coco(tmp_path, images=[image])
    _save(_picture(), tmp_path / "one.png")
    _refused(
        lambda: import_coco(*files, tmp_path / "out"),
        f"file_name {name!r} is no path below the image folder",
        out=tmp_path / "out",
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"names": ("a.png", "a.tif")}, "image name 'a' is given 2 times"),
        ({"categories": [{"id": 18, "name": "a"}, {"id": 18, "name": "b"}]}, "category id 18 is given 2"),
        ({"categories": [{"id": 18, "name": "a"}, {"id": 2, "name": "a"}]}, "'a' is given 2 times"),
        ({"categories": [{"id": 18, "name": "background"}]}, "'background' is given 2 times"),
        ({"categories": []}, "categories: List should have at least 1 item"),
        (
            {"categories": [{"id": number, "name": str(number)} for number in range(255)]},
            "categories: List should have at most 254 items",
        ),
        (
            {
                "images": [
                    {"id": 100, "file_name": name, "height": 6, "width": 8} for name in ("one.png", "b")
                ]
            },
            "image id 100 is given 2 times",
        ),
    ],
)
def test_names_and_ids_are_unique(tmp_path, changes, word):
    """Two of one name or id would be mixed up; there are 254 numbers for classes beside background."""
    files = _coco(tmp_path, **changes)
    _refused(lambda: import_coco(*files, tmp_path / "out"), word, out=tmp_path / "out")


def test_a_coco_file_without_images_is_refused(tmp_path):
    """An empty collection makes no study."""
    files = _coco(tmp_path, images=[])
    _refused(lambda: import_coco(*files, tmp_path / "out"), "at least one image", out=tmp_path / "out")


def test_the_image_folder_of_coco_must_be_there(tmp_path):
    """A folder that does not exist is one fault, not one an image."""
    annotations, _ = _coco(tmp_path)
    missing = tmp_path / "elsewhere"
    _refused(
        lambda: import_coco(annotations, missing, tmp_path / "out"),
        f"{missing}: expected a folder",
        out=tmp_path / "out",
    )


# Label maps


def _cells(dtype=np.uint16, shift: int = 299) -> np.ndarray:
    """Two cells that touch."""
    labels = np.zeros(SIZE, dtype)
    labels[1:4, 1:3] = 1 + shift
    labels[1:4, 3:6] = 2 + shift
    return labels


def test_stardist_folders_are_paired_by_name(tmp_path):
    """images/NAME.tif and masks/NAME.tif, with subfolders, masks of 16 bits."""
    for name in ("a", "b", "plate/a"):
        _save(_picture(), tmp_path / "images" / f"{name}.tif")
        _save(_cells(), tmp_path / "masks" / f"{name}.tif")
    for folder in ("images", "masks"):
        (tmp_path / folder / ".thumbnails").mkdir()
        _save(_picture(), tmp_path / folder / ".thumbnails" / "a.tif")
    out = tmp_path / "out"
    said = import_labelmaps(tmp_path / "images", tmp_path / "masks", out)
    table = _sheet(out)
    assert table["image"].tolist() == [f"../images/{name}.tif" for name in ("a", "b", "plate/a")]
    assert table["mask"].tolist() == [f"../masks/{name}.tif" for name in ("a", "b", "plate/a")]
    assert _study(out)["labels"] == {"encoding": "instances"}
    assert _study(out)["classes"] == ["background", "object"]
    assert sorted(path.name for path in out.iterdir()) == ["samples.csv", "study.yaml"]
    assert len(said) == 2


def test_cellpose_s_folder_is_paired_by_its_suffixes(tmp_path):
    """NAME_masks and NAME_cp_masks belong to NAME; flows, outlines and a _seg.npy beside are no samples."""
    folder = tmp_path / "cells"
    for name in ("a", "b", "c"):
        _save(_picture(), folder / f"{name}.png")
    _save(_cells(), folder / "a_masks.png")
    _save(_cells(), folder / "b_cp_masks.tif")
    _save(_cells(), folder / "c_cp_masks.png")
    for companion in ("a_flows.tif", "b_flows_cp_masks.tif", "b_outlines_cp_masks.png", "b_dP_cp_masks.tif"):
        _save(_picture(), folder / companion)
    np.save(folder / "a_seg.npy", {"masks": _cells()}, allow_pickle=True)
    said = import_labelmaps(folder, folder, tmp_path / "out")
    table = _sheet(tmp_path / "out")
    assert table["image"].tolist() == [f"../cells/{name}.png" for name in ("a", "b", "c")]
    assert table["mask"].tolist() == [
        "../cells/a_masks.png",
        "../cells/b_cp_masks.tif",
        "../cells/c_cp_masks.png",
    ]
    assert any("Passed over: 4 other files" in sentence for sentence in said)


def test_masks_may_lie_below_the_images(tmp_path):
    """A folder of masks inside the folder of images (Cellpose's --in_folders) holds no images."""
    _save(_picture(), tmp_path / "cells" / "a.png")
    _save(_cells(), tmp_path / "cells" / "masks" / "a_cp_masks.png")
    import_labelmaps(tmp_path / "cells", tmp_path / "cells" / "masks", tmp_path / "out")
    assert _sheet(tmp_path / "out").to_dict("records") == [
        {"image": "../cells/a.png", "mask": "../cells/masks/a_cp_masks.png"}
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.float32])
def test_label_maps_of_any_whole_numbers_are_good(tmp_path, dtype):
    """Tools save 8, 16 and 32 bits, with and without sign, and whole numbers as fractions (ImageJ)."""
    _save(_picture(), tmp_path / "images" / "a.tif")
    _save(_cells(dtype, shift=0), tmp_path / "masks" / "a.tif")
    import_labelmaps(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert len(_sheet(tmp_path / "out")) == 1


def test_label_maps_in_a_packed_tiff_are_read(tmp_path):
    """A TIFF packed by LZW, as ImageJ's plugins and Pillow write it, is read."""
    _save(_picture(), tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(_cells()).save(tmp_path / "masks" / "a.tif", compression="tiff_lzw")
    import_labelmaps(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert len(_sheet(tmp_path / "out")) == 1


class _Bomb:
    """What runs a program when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("place", ["images", "masks"])
def test_a_pickle_is_never_opened(tmp_path, place):
    """Where masks exist as _seg.npy alone, I am told to save them as PNG or TIFF, and nothing runs."""
    folders = tmp_path / "images", tmp_path / "masks"
    for folder in folders:
        folder.mkdir()
    _save(_picture(), folders[0] / "a.png")
    np.save(
        tmp_path / place / "a_seg.npy", np.array(_Bomb(tmp_path / "ran"), dtype=object), allow_pickle=True
    )
    _refused(
        lambda: import_labelmaps(*folders, tmp_path / "out"),
        "a_seg.npy is a pickle",
        "Save each mask as PNG or TIFF",
        out=tmp_path / "out",
    )
    assert not (tmp_path / "ran").exists()


def test_every_fault_of_label_maps_is_in_one_error(tmp_path):
    """Images and masks that stand alone or twice, masks of fractions, of colours, of pages, damaged ones."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    for name in ("alone", "twice", "fractions", "colours", "pages", "damaged", "negative"):
        _save(_picture(), images / f"{name}.png")
    _save(_picture(), images / "twice.tif")
    _save(_cells(), masks / "twice.png")
    _save(_cells(), masks / "twice_masks.tif")
    _save(_cells(), masks / "lost.png")
    _save(_cells(np.float32) / 2, masks / "fractions.tif")
    _save(_picture()[..., None] + np.arange(3, dtype=np.uint8), masks / "colours.png")
    _save(np.stack([_cells(), _cells() + 1]), masks / "pages.tif")
    _save(-_cells(np.int16), masks / "negative.tif")
    (masks / "damaged.png").write_bytes(b"")
    error = _refused(
        lambda: import_labelmaps(images, masks, tmp_path / "out"),
        "alone.png has no mask",
        "twice.png and " + str(images / "twice.tif") + " share a name",
        "twice.png and " + str(masks / "twice_masks.tif") + " share a name",
        "lost.png has no image",
        "fractions.tif holds fractions, no labels",
        "colours.png holds colours or negative numbers, no labels",
        "pages.tif: expected a mask of one page",
        "damaged.png: expected a readable image file, but found an empty file",
        "negative.tif holds colours or negative numbers, no labels",
        out=tmp_path / "out",
    )
    assert error.found.startswith("9 faults: ")


def test_black_and_white_masks_are_no_label_maps(tmp_path):
    """Masks that hold 0 and 255 alone would count all cells of an image as one object."""
    _save(_picture(), tmp_path / "images" / "a.png")
    _save(255 * _block(slice(1, 3), slice(1, 4)), tmp_path / "masks" / "a.png")
    _refused(
        lambda: import_labelmaps(tmp_path / "images", tmp_path / "masks", tmp_path / "out"),
        "not cell from cell",
        out=tmp_path / "out",
    )
    _save(_picture(), tmp_path / "images" / "b.png")
    _save(_cells(), tmp_path / "masks" / "b.png")
    import_labelmaps(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert len(_sheet(tmp_path / "out")) == 2


def test_folders_must_be_there_and_hold_images(tmp_path):
    """A folder that does not exist and one without images are told apart."""
    (tmp_path / "images").mkdir()
    out = tmp_path / "out"
    _refused(
        lambda: import_labelmaps(tmp_path / "images", tmp_path / "no", out), "expected a folder", out=out
    )
    _refused(
        lambda: import_labelmaps(tmp_path / "images", tmp_path / "images", out), "at least one image", out=out
    )


# The folder that is made


def test_a_folder_that_holds_something_is_never_replaced(tmp_path):
    """A study.yaml that I have edited, or a folder named by mistake, stays as it is; an empty one is used."""
    folder = _nnunet(tmp_path / "raw")
    out = tmp_path / "out"
    out.mkdir()
    import_nnunet(folder, out)
    (out / "study.yaml").write_text("mine")
    for taken in (out, folder, folder / "dataset.json"):
        with pytest.raises(DataError, match="a new folder, or an empty one"):
            import_nnunet(folder, taken)
    assert (out / "study.yaml").read_text() == "mine"
    assert len(list(folder.iterdir())) == 3


def test_the_sheet_is_found_from_where_the_study_is_started(tmp_path, monkeypatch):
    """`sheet` is the path as I gave it; the paths in the sheet start at the sheet, also behind a link."""
    _nnunet(tmp_path / "raw")
    (tmp_path / "deep" / "store").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "store")
    monkeypatch.chdir(tmp_path)
    import_nnunet("raw", "link/out")
    assert _study(tmp_path / "link" / "out")["sheet"] == "link/out/samples.csv"
    assert len(_sheet(Path("link/out"))) == 2
    assert _sheet(tmp_path / "deep" / "store" / "out")["image"][0] == "../../../raw/imagesTr/a_0000.png"


# The command


def _run(*words: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, COMMAND, *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def test_the_command_imports_each_format(tmp_path):
    """The three formats by their names; what was done is printed."""
    annotations, images = _coco(tmp_path / "coco", _rectangle(1, 1, 4, 3))
    _save(_picture(), tmp_path / "cells" / "a.png")
    _save(_cells(), tmp_path / "cells" / "a_masks.png")
    commands = {
        "nnunet": [_nnunet(tmp_path / "raw")],
        "coco": [annotations, images],
        "labelmaps": [tmp_path / "cells", tmp_path / "cells"],
    }
    for name, places in commands.items():
        out = tmp_path / f"from {name}"
        done = _run(name, *places, "--out", out)
        assert (done.returncode, done.stderr) == (0, "")
        assert str(out / "samples.csv") in done.stdout
        assert len(_sheet(out)) >= 1


def test_the_command_ends_a_mistake_with_a_sentence(tmp_path):
    """A wrong path, or a place that cannot be written to, is one line and exit status 1."""
    wrong = _run("nnunet", tmp_path / "no", "--out", tmp_path / "out")
    unwritable = _run("nnunet", _nnunet(tmp_path / "raw"), "--out", tmp_path / "raw" / "dataset.json" / "out")
    for done in (wrong, unwritable):
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
        assert done.stdout == ""
    assert "dataset.json: expected a JSON file with channel_names" in wrong.stderr
    assert "Not a directory" in unwritable.stderr
