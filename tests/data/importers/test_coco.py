"""COCO's objects become class masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from collecting import block, coco, drawn, picture, rectangle, refused, save, sheet, study
from stratagem.data.importers import outlines
from stratagem.data.importers.coco import import_coco


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


def test_coco_becomes_masks_of_class_indices(tmp_path):
    """Polygons are drawn with their category's place in the order of ids, images stay where they are."""
    files = coco(tmp_path, rectangle(1, 1, 4, 3), rectangle(5, 0, 8, 6) | {"category_id": 44})
    out = tmp_path / "out"
    import_coco(*files, out)
    expected = block(slice(1, 3), slice(1, 4)) + 2 * block(slice(0, 6), slice(5, 8))
    np.testing.assert_array_equal(drawn(out), expected)
    assert sheet(out).to_dict("records") == [{"image": "../images/one.png", "mask": "masks/one.png"}]
    assert study(out)["classes"] == ["background", "dog", "bottle"]
    assert study(out)["labels"] == {"encoding": "indices", "ignore": 255}
    assert sorted(path.name for path in out.iterdir()) == ["masks", "samples.csv", "study.yaml"]


@pytest.mark.parametrize("encode", [_plain, _compressed])
def test_run_lengths_plain_and_compressed_are_drawn(tmp_path, encode):
    """Both kinds of run lengths give the pixels they were made of, corner pixels included."""
    shown = block(slice(2, 5), slice(3, 7)) | block(slice(0, 1), slice(0, 1))
    import_coco(*coco(tmp_path, {"segmentation": encode(shown)}), tmp_path / "out")
    np.testing.assert_array_equal(drawn(tmp_path / "out"), shown)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_compressed_run_lengths_are_pycocotools_own(height, width, seed, share):
    """Whatever mask pycocotools packs as text, the same runs come back."""
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    assert outlines._runs(_compressed(mask)["counts"]) == _plain(mask)["counts"]


def test_an_object_of_two_polygons_is_one(tmp_path):
    """An object that something hides in the middle is drawn in both its parts."""
    parts = rectangle(0, 0, 2, 2)["segmentation"] + rectangle(5, 3, 7, 5)["segmentation"]
    import_coco(*coco(tmp_path, {"segmentation": parts}), tmp_path / "out")
    expected = block(slice(0, 2), slice(0, 2)) | block(slice(3, 5), slice(5, 7))
    np.testing.assert_array_equal(drawn(tmp_path / "out"), expected)


def test_small_objects_lie_on_top(tmp_path):
    """The order in the file does not hide a small object under a large one."""
    small, large = rectangle(2, 2, 4, 4) | {"category_id": 44}, rectangle(0, 0, 8, 6)
    masks = []
    for name, annotations in (("a", (small, large)), ("b", (large, small))):
        import_coco(*coco(tmp_path / name, *annotations), tmp_path / name / "out")
        masks.append(drawn(tmp_path / name / "out"))
    np.testing.assert_array_equal(masks[0], 1 + block(slice(2, 4), slice(2, 4)))
    np.testing.assert_array_equal(masks[0], masks[1])


def test_of_those_of_one_size_the_later_is_on_top(tmp_path):
    """Objects of one area are drawn in the order of the file, however many they are."""
    several = [rectangle(0, 0, 3, 3), rectangle(3, 0, 6, 3)] * 40
    several += [rectangle(1, 0, 4, 3) | {"category_id": 44}]
    import_coco(*coco(tmp_path, *several), tmp_path / "out")
    assert drawn(tmp_path / "out")[0].tolist() == [1, 2, 2, 2, 1, 1, 0, 0]


def test_crowds_are_ignored_and_counted(tmp_path):
    """A crowd region counts as neither class nor background; an object smaller than it stays."""
    crowd = {"segmentation": _plain(block(slice(0, 6), slice(0, 4))), "iscrowd": 1}
    said = import_coco(*coco(tmp_path, rectangle(1, 1, 3, 3), crowd), tmp_path / "out")
    expected = 255 * block(slice(0, 6), slice(0, 4))
    expected[1:3, 1:3] = 1
    np.testing.assert_array_equal(drawn(tmp_path / "out"), expected)
    assert any("Ignored: 1 crowd regions" in sentence for sentence in said)


def test_images_without_annotations_are_background_and_counted(tmp_path):
    """An image that nobody marked is kept; I am told how many there are."""
    names = ("one.png", "sub/two.png", "sub/three.tif")
    said = import_coco(*coco(tmp_path, rectangle(1, 1, 4, 3), names=names), tmp_path / "out")
    assert sheet(tmp_path / "out")["mask"].tolist() == [
        "masks/one.png",
        "masks/sub/two.png",
        "masks/sub/three.png",
    ]
    assert not drawn(tmp_path / "out", 1).any()
    assert any("All background: 2 images" in sentence for sentence in said)


def test_objects_too_small_and_categories_unused_are_told(tmp_path):
    """Nothing vanishes without a word: an outline between pixels, a category nobody used."""
    said = " ".join(import_coco(*coco(tmp_path, rectangle(1.1, 1.1, 1.2, 1.2)), tmp_path / "out"))
    assert not drawn(tmp_path / "out").any()
    assert "Too small to hold a pixel: 1 outlines" in said
    assert "Categories without an object: bottle;" in said


def test_a_clean_collection_has_no_notes(tmp_path):
    """What did not happen is not spoken of."""
    both = rectangle(1, 1, 4, 3), rectangle(5, 0, 8, 6) | {"category_id": 44}
    assert len(import_coco(*coco(tmp_path, *both), tmp_path / "out")) == 2


def test_every_fault_of_a_coco_file_is_in_one_error(tmp_path):
    """Missing files, sizes that differ, ids that nothing declares: all at once."""
    names = ("one.png", "gone.png", "other.png", "broken.png")
    annotations, images = coco(
        tmp_path,
        rectangle(1, 1, 4, 3) | {"category_id": 5},
        rectangle(1, 1, 4, 3) | {"image_id": 9},
        names=names,
    )
    (images / "gone.png").unlink()
    save(picture(0, (8, 6)), images / "other.png")
    (images / "broken.png").write_bytes(b"no image")
    error = refused(
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
    files = coco(tmp_path, rectangle(0, 0, 2, 2), {"segmentation": segmentation})
    refused(lambda: import_coco(*files, tmp_path / "out"), "annotations.1", word, out=tmp_path / "out")


def test_an_annotation_without_outline_is_refused(tmp_path):
    """A box alone says nothing of pixels."""
    files = coco(tmp_path, {"bbox": [0, 0, 2, 2]})
    refused(
        lambda: import_coco(*files, tmp_path / "out"),
        "annotations.0.segmentation: Field required",
        out=tmp_path / "out",
    )


@pytest.mark.parametrize("name", ["../one.png", "/one.png", "a/../../one.png", ""])
def test_a_file_name_cannot_lead_out_of_the_folders(tmp_path, name):
    """A collection from elsewhere can neither read nor write beside its folders."""
    image = {"id": 100, "file_name": name, "height": 6, "width": 8}
    files = coco(tmp_path, images=[image])
    save(picture(), tmp_path / "one.png")
    refused(
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
    files = coco(tmp_path, **changes)
    refused(lambda: import_coco(*files, tmp_path / "out"), word, out=tmp_path / "out")


def test_a_coco_file_without_images_is_refused(tmp_path):
    """An empty collection makes no study."""
    files = coco(tmp_path, images=[])
    refused(lambda: import_coco(*files, tmp_path / "out"), "at least one image", out=tmp_path / "out")


def test_the_image_folder_of_coco_must_be_there(tmp_path):
    """A folder that does not exist is one fault, not one an image."""
    annotations, _ = coco(tmp_path)
    missing = tmp_path / "elsewhere"
    refused(
        lambda: import_coco(annotations, missing, tmp_path / "out"),
        f"{missing}: expected a folder",
        out=tmp_path / "out",
    )


def test_names_of_windows_are_read_and_images_that_are_not_named_counted(tmp_path):
    """`sub\\one.png` is `sub/one.png`."""
    annotations, images = coco(tmp_path, rectangle(1, 1, 4, 3), names=("sub/one.png",))
    annotations.write_text(annotations.read_text().replace("sub/one.png", "sub\\\\one.png"))
    save(picture(), images / "two.png")
    said = import_coco(annotations, images, images / "out")
    assert sheet(images / "out")["mask"].tolist() == ["masks/sub/one.png"]
    assert "Left out: 1 images that the annotations do not name." in said
