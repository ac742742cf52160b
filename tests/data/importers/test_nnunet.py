"""Data sets of nnU-Net become sample sheets."""

import json

import numpy as np
import pytest
import tifffile

from collecting import (
    SIZE,
    nnunet,
    picture,
    refused,
    save,
    sheet,
    study,
    write_json,
)
from stratagem.data.image import read_raw
from stratagem.data.importers.nnunet import import_nnunet


def test_an_nnunet_data_set_is_named_where_it_is(tmp_path):
    """Images and labels stay in place; without labelsTs the study divides the images."""
    out = tmp_path / "new" / "out"
    folder = nnunet(tmp_path / "raw")
    (folder / "imagesTr" / "._a_0000.png").write_bytes(b"of the Finder")
    said = import_nnunet(folder, out)
    table = sheet(out)
    assert list(table.columns) == ["image", "mask"]
    assert table["image"].tolist() == ["../../raw/imagesTr/a_0000.png", "../../raw/imagesTr/b_0000.png"]
    assert table["mask"].tolist() == ["../../raw/labelsTr/a.png", "../../raw/labelsTr/b.png"]
    assert sorted(path.name for path in out.iterdir()) == ["samples.csv", "study.yaml"]
    assert study(out) == {
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
    import_nnunet(nnunet(tmp_path / "raw", labels=labels), out)
    assert study(out)["classes"] == ["background", "no", "Stück, 2"]
    assert study(out)["labels"] == {"encoding": "indices", "ignore": ignore}


def test_channels_of_several_files_become_one_image(tmp_path):
    """A case of two channels is one TIFF, (H, W, 2), in nnU-Net's order, with their names; I am told so."""
    out = tmp_path / "out"
    said = import_nnunet(nnunet(tmp_path / "raw", channels=2), out)
    table = sheet(out)
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
            save(values + channel, folder / ending / "imagesTr" / f"a_000{channel}{ending}")
        save(picture(), folder / ending / "labelsTr" / f"a{ending}")
        source = write_json(
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
    folder = nnunet(
        tmp_path / "raw", cases=(), channels=3, numTraining=1, file_ending=ending, labels={"a": 0, "b": 1}
    )
    save(picture(7, (*SIZE, 3)), folder / "imagesTr" / f"road_0000{ending}")
    save(picture(), folder / "labelsTr" / f"road{ending}")
    import_nnunet(folder, tmp_path / "out")
    assert sheet(tmp_path / "out")["image"].tolist() == [f"../raw/imagesTr/road_0000{ending}"]


@pytest.mark.parametrize("numbers", [(0, 1), (1,)])
def test_a_colour_image_is_the_only_file_of_its_case(tmp_path, numbers):
    """Three colours in one file of several, or in a file of another number, are no case of three channels."""
    folder = nnunet(tmp_path / "raw", cases=(), channels=3)
    for number in numbers:
        save(picture(7, (*SIZE, 3)), folder / "imagesTr" / f"road_000{number}.png")
    save(picture(), folder / "labelsTr" / "road.png")
    refused(lambda: import_nnunet(folder, tmp_path / "out"), "road has the channels", out=tmp_path / "out")


def test_labelled_test_cases_are_the_test_images(tmp_path):
    """With labelsTs the parts are nnU-Net's; a case of one name in both stays two samples."""
    folder = nnunet(tmp_path / "raw", channels=2)
    nnunet(folder, cases=("a", "c"), channels=2, suffix="Ts")
    import_nnunet(folder, tmp_path / "out")
    table = sheet(tmp_path / "out")
    assert table["part"].tolist() == ["train", "train", "test", "test"]
    assert table["image"].is_unique and table["mask"].is_unique
    assert "images/imagesTs/c.tif" in table["image"].tolist()


def test_test_images_without_labels_are_left_out_and_counted(tmp_path):
    """imagesTs without labelsTs cannot be scored; I am told how many files that were."""
    folder = nnunet(tmp_path / "raw")
    save(picture(), folder / "imagesTs" / "c_0000.png")
    said = import_nnunet(folder, tmp_path / "out")
    assert any("Left out: 1 files of imagesTs" in sentence for sentence in said)
    assert len(sheet(tmp_path / "out")) == 2


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
    folder = nnunet(tmp_path / "raw", **changes)
    refused(lambda: import_nnunet(folder, tmp_path / "out"), word, "2D files (.png", out=tmp_path / "out")


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
    folder = nnunet(tmp_path / "raw", labels=labels)
    refused(lambda: import_nnunet(folder, tmp_path / "out"), json.dumps(labels), out=tmp_path / "out")


def test_every_fault_of_the_cases_is_in_one_error(tmp_path):
    """I see all that is wrong at once: channels, labels, images, names."""
    folder = nnunet(tmp_path / "raw", cases=("a", "b", "c"), channels=2)
    (folder / "imagesTr" / "a_0001.png").unlink()
    (folder / "labelsTr" / "b.png").unlink()
    save(picture(), folder / "labelsTr" / "d.png")
    save(picture(), folder / "imagesTr" / "plain.png")
    error = refused(
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
    folder = nnunet(tmp_path / "raw", cases=("a",), channels=3)
    for channel in (1, 2):
        (folder / "imagesTr" / f"a_000{channel}.png").unlink()
    (folder / "imagesTr" / "a_0000.png").write_bytes(b"no image")
    refused(lambda: import_nnunet(folder, tmp_path / "out"), "cannot be decoded", out=tmp_path / "out")


def test_an_incomplete_copy_is_noticed(tmp_path):
    """Fewer cases than numTraining says are a fault."""
    folder = nnunet(tmp_path / "raw", numTraining=3)
    refused(
        lambda: import_nnunet(folder, tmp_path / "out"),
        "`numTraining` is 3, but imagesTr holds 2 cases",
        out=tmp_path / "out",
    )


@pytest.mark.parametrize(
    ("second", "word"),
    [
        (picture(0, (6, 9)), "uint8 (6, 9) beside uint8 (6, 8)"),
        (picture().astype(np.uint16), "uint16 (6, 8) beside uint8 (6, 8)"),
        (picture(0, (*SIZE, 3)), "uint8 (6, 8, 3) beside uint8 (6, 8)"),
        (None, "cannot be decoded"),
    ],
)
def test_channels_that_do_not_fit_are_refused(tmp_path, second, word):
    """Channels of two sizes or pixel types, in colour or damaged make no image; nothing appears."""
    folder = nnunet(tmp_path / "raw", channels=2)
    path = folder / "imagesTr" / "b_0001.png"
    if second is None:
        path.write_bytes(path.read_bytes()[:44])
    else:
        save(second, path)
    refused(lambda: import_nnunet(folder, tmp_path / "out"), str(path), word, out=tmp_path / "out")


def test_dataset_json_of_version_1_is_refused(tmp_path):
    """A data set of nnU-Net v1 is refused with the command that converts it."""
    folder = nnunet(tmp_path / "raw")
    old = {"modality": {"0": "T2"}, "labels": {"0": "background", "1": "PZ"}, "numTraining": 2}
    write_json(old, folder / "dataset.json")
    refused(
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
    folder = nnunet(tmp_path / "raw")
    break_it(folder)
    refused(lambda: import_nnunet(folder, tmp_path / "out"), word, out=tmp_path / "out")
