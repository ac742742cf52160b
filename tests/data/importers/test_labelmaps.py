"""Label maps of Cellpose and StarDist become sample sheets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collecting import block, cells, picture, refused, save, sheet, study
from stratagem.data.importers.labelmaps import import_labelmaps


def test_stardist_folders_are_paired_by_name(tmp_path):
    """images/NAME.tif and masks/NAME.tif, with subfolders, masks of 16 bits."""
    for name in ("a", "b", "plate/a"):
        save(picture(), tmp_path / "images" / f"{name}.tif")
        save(cells(), tmp_path / "masks" / f"{name}.tif")
    for folder in ("images", "masks"):
        (tmp_path / folder / ".thumbnails").mkdir()
        save(picture(), tmp_path / folder / ".thumbnails" / "a.tif")
    out = tmp_path / "out"
    said = import_labelmaps(tmp_path / "images", tmp_path / "masks", out)
    table = sheet(out)
    assert table["image"].tolist() == [f"../images/{name}.tif" for name in ("a", "b", "plate/a")]
    assert table["mask"].tolist() == [f"../masks/{name}.tif" for name in ("a", "b", "plate/a")]
    assert study(out)["labels"] == {"encoding": "instances"}
    assert study(out)["classes"] == ["background", "object"]
    assert sorted(path.name for path in out.iterdir()) == ["samples.csv", "study.yaml"]
    assert len(said) == 2


def test_cellpose_s_folder_is_paired_by_its_suffixes(tmp_path):
    """NAME_masks and NAME_cp_masks belong to NAME; flows, outlines and a _seg.npy beside are no samples."""
    folder = tmp_path / "cells"
    for name in ("a", "b", "c"):
        save(picture(), folder / f"{name}.png")
    save(cells(), folder / "a_masks.png")
    save(cells(), folder / "b_cp_masks.tif")
    save(cells(), folder / "c_cp_masks.png")
    for companion in ("a_flows.tif", "b_flows_cp_masks.tif", "b_outlines_cp_masks.png", "b_dP_cp_masks.tif"):
        save(picture(), folder / companion)
    np.save(folder / "a_seg.npy", {"masks": cells()}, allow_pickle=True)
    said = import_labelmaps(folder, folder, tmp_path / "out")
    table = sheet(tmp_path / "out")
    assert table["image"].tolist() == [f"../cells/{name}.png" for name in ("a", "b", "c")]
    assert table["mask"].tolist() == [
        "../cells/a_masks.png",
        "../cells/b_cp_masks.tif",
        "../cells/c_cp_masks.png",
    ]
    assert any("Passed over: 4 other files" in sentence for sentence in said)


def test_masks_may_lie_below_the_images(tmp_path):
    """A folder of masks inside the folder of images (Cellpose's --in_folders) holds no images."""
    save(picture(), tmp_path / "cells" / "a.png")
    save(cells(), tmp_path / "cells" / "masks" / "a_cp_masks.png")
    import_labelmaps(tmp_path / "cells", tmp_path / "cells" / "masks", tmp_path / "out")
    assert sheet(tmp_path / "out").to_dict("records") == [
        {"image": "../cells/a.png", "mask": "../cells/masks/a_cp_masks.png"}
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.float32])
def test_label_maps_of_any_whole_numbers_are_good(tmp_path, dtype):
    """Tools save 8, 16 and 32 bits, with and without sign, and whole numbers as fractions (ImageJ)."""
    save(picture(), tmp_path / "images" / "a.tif")
    save(cells(dtype, shift=0), tmp_path / "masks" / "a.tif")
    import_labelmaps(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert len(sheet(tmp_path / "out")) == 1


def test_label_maps_in_a_packed_tiff_are_read(tmp_path):
    """A TIFF packed by LZW, as ImageJ's plugins and Pillow write it, is read."""
    save(picture(), tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(cells()).save(tmp_path / "masks" / "a.tif", compression="tiff_lzw")
    import_labelmaps(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert len(sheet(tmp_path / "out")) == 1


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
    save(picture(), folders[0] / "a.png")
    np.save(
        tmp_path / place / "a_seg.npy", np.array(_Bomb(tmp_path / "ran"), dtype=object), allow_pickle=True
    )
    refused(
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
        save(picture(), images / f"{name}.png")
    save(picture(), images / "twice.tif")
    save(cells(), masks / "twice.png")
    save(cells(), masks / "twice_masks.tif")
    save(cells(), masks / "lost.png")
    save(cells(np.float32) / 2, masks / "fractions.tif")
    save(picture()[..., None] + np.arange(3, dtype=np.uint8), masks / "colours.png")
    save(np.stack([cells(), cells() + 1]), masks / "pages.tif")
    save(-cells(np.int16), masks / "negative.tif")
    (masks / "damaged.png").write_bytes(b"")
    error = refused(
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
    save(picture(), tmp_path / "images" / "a.png")
    save(255 * block(slice(1, 3), slice(1, 4)), tmp_path / "masks" / "a.png")
    refused(
        lambda: import_labelmaps(tmp_path / "images", tmp_path / "masks", tmp_path / "out"),
        "not cell from cell",
        out=tmp_path / "out",
    )
    save(picture(), tmp_path / "images" / "b.png")
    save(cells(), tmp_path / "masks" / "b.png")
    import_labelmaps(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    assert len(sheet(tmp_path / "out")) == 2


def test_folders_must_be_there_and_hold_images(tmp_path):
    """A folder that does not exist and one without images are told apart."""
    (tmp_path / "images").mkdir()
    out = tmp_path / "out"
    refused(lambda: import_labelmaps(tmp_path / "images", tmp_path / "no", out), "expected a folder", out=out)
    refused(
        lambda: import_labelmaps(tmp_path / "images", tmp_path / "images", out), "at least one image", out=out
    )
