"""Samples are found, checked and divided, and every bad file is named."""

import os
import unicodedata
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stratagem.errors import DataError
from stratagem.sample import build_index, divide, fingerprint, group_of, present, require_good, select

NAMES = ["background", "cell", "nucleus"]


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def _pair(folder, sample, mask, ending=".png"):
    """An image and its mask, in two folders."""
    _save(folder / "images" / f"{sample}.png", np.zeros((*np.shape(mask), 3)))
    _save(folder / "masks" / f"{sample}{ending}", mask)


def _index(folder, classes=3, labels="auto", group=None):
    for name in ("images", "masks"):
        (folder / name).mkdir(exist_ok=True)
    return build_index(folder / "images", folder / "masks", classes, labels, group)


def _table(samples: dict[str, tuple[int, ...]], groups=None) -> pd.DataFrame:
    """An index of samples that hold the classes given."""
    rows = [
        {"sample": sample, "group": groups[sample] if groups else sample}
        | {f"pixels_{number}": 9 * (number in classes) for number in range(3)}
        for sample, classes in samples.items()
    ]
    return pd.DataFrame(rows)


def _many(count: int) -> pd.DataFrame:
    return _table({f"s{number:03d}": (0, 1) if number % 3 else (0, 2) for number in range(count)})


def test_every_sample_is_measured(dataset):
    """The index holds each image's size, files and pixels a class, sorted by name."""
    images, masks = dataset
    index = build_index(images, masks, 3, "auto", None)
    assert index.problems.empty
    assert index.table["sample"].tolist() == ["a", "b", "c", "d", "e", "sub/f", "sub/g"]
    row = index.table.set_index("sample").loc["sub/f"]
    assert (row["image"], row["mask"]) == (str(images / "sub/f.png"), str(masks / "sub/f.png"))
    assert (row["height"], row["width"], row["group"], row["encoding"]) == (12, 8, "sub/f", "indices")
    mask = np.array(Image.open(masks / "sub/f.png"))
    assert row[["pixels_0", "pixels_1", "pixels_2"]].tolist() == [
        (mask == number).sum() for number in range(3)
    ]


def test_the_index_keeps_its_columns_when_nothing_is_found(tmp_path):
    """Two empty folders give an empty index and no problem, so that later steps can say so."""
    index = _index(tmp_path)
    assert index.table.columns.tolist()[:7] == [
        "sample",
        "group",
        "image",
        "mask",
        "height",
        "width",
        "encoding",
    ]
    assert index.table.columns.tolist()[7:] == ["pixels_0", "pixels_1", "pixels_2"]
    assert index.table.empty
    assert index.problems.columns.tolist() == ["file", "reason"]


def test_a_name_has_one_spelling(tmp_path):
    """A name with an accent is the same sample, however the file system spells it."""
    composed, decomposed = (unicodedata.normalize(form, "zoë") for form in ("NFC", "NFD"))
    _save(tmp_path / "images" / f"{decomposed}.png", np.zeros((2, 2, 3)))
    _save(tmp_path / "masks" / f"{composed}.png", np.zeros((2, 2)))
    index = _index(tmp_path)
    assert index.table["sample"].tolist() == [composed]
    assert index.problems.empty


def test_a_mask_may_have_another_ending(tmp_path):
    """A mask belongs to its image whatever its ending, and dots in names are kept."""
    _pair(tmp_path, "plate.1/well.2", [[0, 1]], ending=".TIF")
    assert _index(tmp_path).table["sample"].tolist() == ["plate.1/well.2"]


def test_other_and_hidden_files_are_passed_over(tmp_path):
    """Notes and the hidden files of an operating system are no samples and no problems."""
    _pair(tmp_path, "a", [[0, 1]])
    (tmp_path / "images" / "notes.txt").touch()
    (tmp_path / "images" / "._a.png").touch()
    index = _index(tmp_path)
    assert index.table["sample"].tolist() == ["a"]
    assert index.problems.empty


def test_hidden_folders_are_passed_over(tmp_path):
    """What a tool keeps in a hidden folder is no sample and no problem."""
    _pair(tmp_path, "a", [[0, 1]])
    _save(tmp_path / "images" / ".ipynb_checkpoints" / "a-checkpoint.png", np.zeros((1, 2, 3)))
    index = _index(tmp_path)
    assert index.table["sample"].tolist() == ["a"]
    assert index.problems.empty


def test_all_bad_files_are_reported_at_once(tmp_path):
    """One table names every bad file with its reason, and the good samples are kept."""
    _pair(tmp_path, "good", [[0, 1, 2, 255]])
    for sample in ("other-size", "corrupt", "empty", "corrupt-mask", "undeclared", "missing", "orphan"):
        _pair(tmp_path, sample, [[0, 1, 2]])
    images, masks = tmp_path / "images", tmp_path / "masks"
    _save(masks / "other-size.png", [[0], [1], [2]])
    (images / "corrupt.png").write_bytes((images / "corrupt.png").read_bytes()[:40])
    (images / "empty.png").write_bytes(b"")
    (masks / "corrupt-mask.png").write_text("no image")
    _save(masks / "undeclared.png", [[0, 3, 77]])
    (masks / "missing.png").unlink()
    (images / "orphan.png").unlink()
    index = _index(tmp_path)
    assert index.table["sample"].tolist() == ["good"]
    reasons = {
        os.path.relpath(file, tmp_path): reason
        for file, reason in index.problems[["file", "reason"]].itertuples(index=False)
    }
    expected = {
        "masks/other-size.png": "1x3 (height x width), but found 3x1",
        "images/corrupt.png": "cannot be decoded",
        "images/empty.png": "an empty file",
        "masks/corrupt-mask.png": "cannot be decoded",
        "masks/undeclared.png": "expected values 0 to 2, or 255 for ignore, but found 3, 77",
        "images/missing.png": "expected a mask `missing`",
        "masks/orphan.png": "no image `orphan`",
    }
    for file, part in expected.items():
        assert part in reasons[file]
    assert reasons.keys() == expected.keys()


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_two_files_of_one_name_are_both_named(tmp_path, folder):
    """Where two files compete for one name both are named, and no other file gets a false reason."""
    _pair(tmp_path, "a", [[0, 1]])
    _save(tmp_path / folder / "a.tif", np.zeros((1, 2)))
    index = _index(tmp_path)
    assert index.table.empty
    files = [os.path.relpath(file, tmp_path) for file in index.problems["file"]]
    assert files == [f"{folder}/a.png", f"{folder}/a.tif"]
    assert set(index.problems["reason"]) == {"2 files are named `a`; one was expected"}


def test_one_name_in_two_spellings_is_a_duplicate(tmp_path):
    """Two files whose names differ only in how an accent is spelled are duplicates."""
    for form in ("NFC", "NFD"):
        _save(tmp_path / "images" / f"{unicodedata.normalize(form, 'zoë')}.png", np.zeros((1, 2, 3)))
    reasons = _index(tmp_path).problems["reason"].tolist()
    assert reasons == [f"2 files are named `{unicodedata.normalize('NFC', 'zoë')}`; one was expected"] * 2


def test_a_long_list_of_strange_values_is_cut(tmp_path):
    """Of many undeclared values the first five are shown."""
    _pair(tmp_path, "a", [[10, 11, 12, 13, 14, 15]])
    assert _index(tmp_path).problems["reason"].item().endswith("10, 11, 12, 13, 14, ...")


def test_binary_masks_are_counted_as_classes(tmp_path):
    """Masks of 0 and 255 are counted as classes 0 and 1, also a mask that holds zeros alone."""
    _pair(tmp_path, "a", [[0, 255, 255]])
    _pair(tmp_path, "b", [[0, 0, 0]])
    table = _index(tmp_path, classes=2).table
    assert table["encoding"].tolist() == ["binary", "binary"]
    assert table[["pixels_0", "pixels_1"]].to_numpy().tolist() == [[1, 2], [3, 0]]


def test_an_undeclared_value_in_a_binary_mask_is_named(tmp_path):
    """In a set declared binary, a mask with another value is named with what is legal."""
    _pair(tmp_path, "a", [[0, 255, 254]])
    reason = _index(tmp_path, classes=2, labels="binary").problems["reason"].item()
    assert reason == "expected values 0 and 255, but found 254"


@pytest.mark.parametrize("key", ["images", "masks"])
def test_a_missing_folder_is_named(tmp_path, key):
    """A folder that is not there is named with its config key."""
    folders = {"images": tmp_path, "masks": tmp_path} | {key: tmp_path / "nowhere"}
    with pytest.raises(DataError, match=rf"`{key}`, .*nowhere.*Correct the path"):
        build_index(folders["images"], folders["masks"], 2, "auto", None)


@pytest.mark.parametrize(
    ("pattern", "group"),
    [
        (None, "p12/day3-b"),
        ("^p[0-9]+", "p12"),
        ("(day[0-9])-", "day3"),
        ("nothing", "p12/day3-b"),
        ("b(x)?$", "p12/day3-b"),
    ],
)
def test_a_group_is_what_the_pattern_matches(pattern, group):
    """A group is the pattern's first bracket, else its match, else the whole name; never nothing."""
    assert group_of("p12/day3-b", pattern) == group


def test_the_index_groups_by_the_pattern(tmp_path):
    """The index holds each sample's group."""
    for sample in ("p1/a", "p1/b", "p2/a"):
        _pair(tmp_path, sample, [[0, 1]])
    assert _index(tmp_path, group="^[^/]+").table["group"].tolist() == ["p1", "p1", "p2"]


def test_bad_samples_stop_the_study(tmp_path):
    """A bad file stops the study with how many there are, the first, the list and the way out."""
    _pair(tmp_path, "a", [[0, 1, 2]])
    _pair(tmp_path, "b", [[0, 1, 3]])
    index = _index(tmp_path)
    with pytest.raises(DataError, match=r"problems\.csv.*1 that are not.*b\.png.*found 3.*bad_samples: skip"):
        require_good(index, NAMES, "stop", "problems.csv")
    require_good(index, NAMES, "skip", "problems.csv")


def test_no_sample_at_all_stops_the_study(tmp_path):
    """An empty data set stops the study even where bad files are skipped."""
    with pytest.raises(
        DataError, match="at least one image with its mask, but found none.*Check the folders"
    ):
        require_good(_index(tmp_path), NAMES, "skip", "problems.csv")


def test_a_class_without_pixels_stops_the_study(tmp_path):
    """A declared class of which there is no pixel is named, with how the masks were read."""
    _pair(tmp_path, "a", [[0, 1]])
    with pytest.raises(DataError, match=r"none of class 2, `nucleus`.*read as `indices`.*Remove the class"):
        require_good(_index(tmp_path), NAMES, "stop", "problems.csv")


def test_the_fingerprint_sees_every_change(dataset):
    """The fingerprint changes with a file's size, time or name, and with nothing else."""
    images, masks = dataset
    before = fingerprint(images, masks)
    assert fingerprint(images, masks) == before
    os.utime(images / "a.png", ns=(1, 1))
    touched = fingerprint(images, masks)
    (images / "a.png").rename(images / "z.png")
    renamed = fingerprint(images, masks)
    (masks / "sub/f.png").write_bytes(b"x")
    assert len({before, touched, renamed, fingerprint(images, masks)}) == 4


def test_present_classes_are_told_from_absent_ones():
    """The index tells which classes a sample holds."""
    np.testing.assert_array_equal(present(_table({"a": (0, 2), "b": (1,)})), [[1, 0, 1], [0, 1, 0]])


grouped = st.lists(st.tuples(st.integers(0, 11), st.integers(1, 7)), min_size=12, max_size=40).filter(
    lambda drawn: len({group for group, _ in drawn}) >= 8
)


@given(drawn=grouped, folds=st.integers(1, 5), seed=st.integers(0, 5))
def test_no_group_straddles_parts(drawn, folds, seed):
    """In each fold a sample is in exactly one part, and so is its group; no part is empty."""
    groups = {f"s{number}": f"g{group}" for number, (group, _) in enumerate(drawn)}
    classes = {f"s{n}": tuple(c for c in range(3) if bits >> c & 1) for n, (_, bits) in enumerate(drawn)}
    table = divide(_table(classes, groups), folds=folds, test=0.2, validation=0.15, seed=seed)
    assert table.columns.tolist() == ["sample", "fold", "part"]
    for fold in range(folds):
        rows = table[table["fold"] == fold]
        assert sorted(rows["sample"]) == sorted(groups)
        assert rows["part"].groupby(rows["sample"].map(groups)).nunique().max() == 1
        assert set(rows["part"]) == {"train", "val", "test"}
    tested = table[table["part"] == "test"].groupby("sample")["fold"].nunique()
    assert folds == 1 or (tested.max() == 1 and sorted(tested.index) == sorted(groups))


@pytest.mark.parametrize("folds", [1, 3])
def test_parts_have_their_shares(folds):
    """Of a hundred images the shares asked for are tested and validated, within one image."""
    table = divide(_many(100), folds=folds, test=0.2, validation=0.15, seed=0)
    for _, rows in table.groupby("fold"):
        counts = Counter(rows["part"])
        assert abs(counts["test"] - (20 if folds == 1 else 100 / 3)) < 1
        assert counts["val"] == 15


def test_parts_are_stratified():
    """Each part holds a rare class in about its share of the whole."""
    index = _table({f"s{number:02d}": (0, 2) if number < 20 else (0, 1) for number in range(80)})
    table = divide(index, folds=4, test=0.2, validation=0.2, seed=0)
    rare = table[table["sample"] < "s20"]
    counts = rare.groupby(["fold", "part"]).size().unstack()
    assert counts["test"].between(4, 6).all()
    assert counts["val"].between(3, 5).all()


def test_the_seed_fixes_the_parts():
    """The same seed gives the same parts whatever the order of the index; another seed others."""
    index, options = _many(30), {"folds": 1, "test": 0.2, "validation": 0.2}
    parts = divide(index, **options, seed=0).set_index("sample")["part"]
    shuffled = divide(index.iloc[::-1], **options, seed=0).set_index("sample")["part"]
    assert parts.to_dict() == shuffled.to_dict()
    assert parts.to_dict() != divide(index, **options, seed=1).set_index("sample")["part"].to_dict()


@settings(max_examples=15)
@given(count=st.integers(10, 60), seed=st.integers(0, 9))
def test_an_added_sample_moves_hardly_any_other(count, seed):
    """Adding an image of the same kind moves no other, but for those at the borders of the parts."""
    index = _table({f"s{number:02d}": (0, 1) for number in range(count + 1)})
    options = {"folds": 1, "test": 0.2, "validation": 0.2, "seed": seed}
    after = divide(index, **options).set_index("sample")["part"]
    before = divide(index.iloc[:-1], **options).set_index("sample")["part"]
    moved = before[before != after[before.index]]
    assert moved.value_counts().max() <= 2 or moved.empty


@pytest.mark.parametrize(("count", "folds"), [(2, 1), (3, 4)])
def test_too_few_groups_are_refused(count, folds):
    """Too few groups for the parts are refused with how many there are and what would help."""
    with pytest.raises(DataError, match=rf"`split` and `folds`.*independent.*found {count}\. Add images"):
        divide(_many(count), folds=folds, test=0.2, validation=0.2, seed=0)


def test_the_least_number_of_groups_works():
    """The number of groups that the refusal asks for is enough."""
    with pytest.raises(DataError, match="at least 4 "):
        divide(_many(3), folds=2, test=0.2, validation=0.2, seed=0)
    assert divide(_many(4), folds=2, test=0.2, validation=0.2, seed=0)["sample"].nunique() == 4


@given(
    bits=st.lists(st.integers(1, 7), min_size=1, max_size=25),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    seed=st.integers(0, 9),
)
def test_fractions_are_nested_and_hold_every_class(bits, shares, seed):
    """A smaller share lies within a larger one; each holds every class and no sample twice."""
    classes = {f"s{n}": tuple(c for c in range(3) if value >> c & 1) for n, value in enumerate(bits)}
    small, large = (select(_table(classes), share, seed) for share in sorted(shares))
    assert small == large[: len(small)]
    assert len(set(large)) == len(large)
    assert len(small) >= round(min(shares) * len(bits))
    held = set().union(*(classes[sample] for sample in small))
    assert held == set().union(*classes.values())


def test_the_whole_is_everything_once():
    """A fraction of 1 takes every sample once."""
    assert sorted(select(_many(20), 1.0, 0)) == _many(20)["sample"].tolist()


def test_a_fraction_has_its_size():
    """A tenth of fifty images is five."""
    assert len(select(_many(50), 0.1, 0)) == 5


def test_the_seed_fixes_the_fraction():
    """The same seed draws the same images whatever the order of the index; another seed others."""
    first = select(_many(30), 0.3, 0)
    assert first == select(_many(30).iloc[::-1], 0.3, 0)
    assert set(first) != set(select(_many(30), 0.3, 1))


def test_masks_of_two_encodings_are_refused(tmp_path):
    """Some of my masks say 255 for the cell, some say 1: nothing is guessed, both readings are named."""
    for name, value in {"a": 255, "b": 255, "c": 1}.items():
        for folder, array in {
            "images": np.zeros((4, 4, 3), np.uint8),
            "masks": np.array([[0, value]] * 2, np.uint8).repeat(2, axis=0).repeat(2, axis=1),
        }.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / folder / f"{name}.png")
    with pytest.raises(DataError, match="1 with the value 1 and 2 with 255.*labels: indices"):
        build_index(str(tmp_path / "images"), str(tmp_path / "masks"), 2, "auto", None)
