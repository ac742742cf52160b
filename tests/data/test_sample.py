"""Samples are found in folders or read from a sheet, and every file that is none is named with its reason."""

import math
import os
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from stratagem.core.errors import DataError
from stratagem.data import sample as module
from stratagem.data.sample import (
    PARTS,
    USUAL,
    find,
    fingerprint,
    group_of,
    image_files,
    read_sample,
    read_sheet,
)

STEM = "{stem}"


def _save(path, array=((0, 1),)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)
    return path


def _files(folder, *names):
    """Tiny image files below a folder, which is there even without any."""
    folder.mkdir(exist_ok=True)
    for name in names:
        _save(folder / name)
    return str(folder)


def _two(tmp_path, images, masks, pattern=STEM, **options):
    """What is found of images and masks in two folders."""
    places = _files(tmp_path / "images", *images), _files(tmp_path / "masks", *masks)
    return find(*places, pattern, options.get("group"), options.get("part"))


def _one(tmp_path, names, pattern):
    """What is found where one folder holds both."""
    folder = _files(tmp_path / "both", *names)
    return find(folder, folder, pattern, None)


def _sheet(tmp_path, text, **options):
    """What is found of a sheet beside two pairs, of which one has a second mask."""
    for name in ("a.png", "a_m.png", "a_n.png", "sub/b.png", "sub/b_m.png"):
        _save(tmp_path / name)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(text, encoding="utf-8")
    return read_sheet(str(sheet), options.get("group"), options.get("part"))


def _pairs(found):
    """The names of each sample's image and masks, where nothing is a problem."""
    assert found.problems == []
    return {one.sample: (one.image.name, [path.name for path in one.masks]) for one in found.samples}


def _reasons(found, folder) -> dict:
    reasons = {os.path.relpath(file, folder): reason for file, reason in found.problems}
    assert len(reasons) == len(found.problems)
    return reasons


# Folders


def test_a_mask_has_its_images_subfolder(tmp_path):
    """Subfolders are searched, samples are sorted, and one name in two subfolders is two samples."""
    names = ["p2/day 1/a.png", "p1/a.png", "b.png"]
    found = _two(tmp_path, names, names)
    assert [one.sample for one in found.samples] == ["b", "p1/a", "p2/day 1/a"]
    one = found.samples[1]
    assert (one.image, one.masks) == (tmp_path / "images/p1/a.png", (tmp_path / "masks/p1/a.png",))
    assert (one.group, one.part, math.isnan(one.pixel_size)) == ("p1/a", None, True)
    assert found.problems == []


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{stem}_mask", {"a": ("a.png", ["a_mask.png"]), "b": ("b.jpg", ["b_mask.tif"])}),
        ("{stem}.png", {"a": ("a.jpg", ["a.png"]), "b": ("b.jpeg", ["b.png"])}),
        ("mask_{stem}", {"a": ("a.png", ["mask_a.png"]), "b": ("b.png", ["mask_b.gif"])}),
        ("{stem}-mask.png", {"a": ("a.png", ["a-mask.png"]), "a-b": ("a-b.png", ["a-b-mask.png"])}),
        ("{stem} (mask)", {"a": ("a.png", ["a (mask).png"]), "a (2)": ("a (2).png", ["a (2) (mask).png"])}),
        ("{stem}[1]", {"a": ("a.png", ["a[1].png"])}),
        ("{stem}_*", {"a": ("a.png", ["a_1.png", "a_2.png"]), "a_b": ("a_b.png", [])}),
    ],
)
def test_images_and_masks_in_one_folder(tmp_path, pattern, names):
    """In one folder the pattern alone tells masks from images, in its subfolders as well."""
    if names.pop("a_b", None):  # without a mask of its own it is one of `a`
        names["a"][1].append("a_b.png")
    files = [name for image, masks in names.values() for name in (image, *masks)]
    found = _one(tmp_path, [f"{folder}{name}" for name in files for folder in ("", "sub/")], pattern)
    pairs = _pairs(found)
    assert pairs == names | {f"sub/{sample}": pair for sample, pair in names.items()}


def test_a_mask_of_a_mask_is_named(tmp_path):
    """Where an image is itself taken for a mask of another, its own masks are not dropped in silence."""
    found = _one(tmp_path, ["a.png", "a_b.png", "a_b_1.png"], "{stem}_*")
    assert _reasons(found, tmp_path / "both") == {
        "a_b_1.png": "its image, `a_b`, is itself taken for the mask of another"
    }


@pytest.mark.parametrize(("pattern", "name"), [("{stem}.png", "a.png"), ("{stem}*", "a.jpg")])
def test_no_image_is_its_own_mask(tmp_path, pattern, name):
    """In one folder a file that fits the pattern with its own name is an image without a mask."""
    reasons = _reasons(_one(tmp_path, [name], pattern), tmp_path / "both")
    assert reasons[name].startswith(f"expected a mask named `{pattern}`")


@pytest.mark.parametrize(("images", "masks"), [("data", "data/masks"), ("data/images", "data")])
def test_one_folder_may_lie_in_the_other(tmp_path, images, masks):
    """A folder of masks within that of the images, or the other way round, is no image and no mask."""
    for place in (images, masks):
        _files(tmp_path / "data")
        _files(tmp_path / place, "a.png", "sub/b.png")
    found = find(str(tmp_path / images), str(tmp_path / masks), STEM, None)
    assert found.problems == []
    assert [one.sample for one in found.samples] == ["a", "sub/b"]
    assert [one.masks for one in found.samples] == [
        (tmp_path / masks / "a.png",),
        (tmp_path / masks / "sub/b.png",),
    ]


@pytest.mark.parametrize("pattern", ["{stem}_*", "{stem}/*", "{stem}_*.png", "{stem}/object*"])
def test_one_file_an_object(tmp_path, pattern):
    """`*` takes several masks of one image, sorted, but none of an image whose name begins like it."""
    between = pattern[len(STEM)]
    masks = [f"{name}{between}object{number}.png" for name in ("s/a", "s/ab") for number in (2, 1)]
    pairs = _pairs(_two(tmp_path, ["s/a.jpg", "s/ab.jpg"], masks, pattern))
    for sample, (_, own) in pairs.items():
        stem = f"{Path(sample).name}_" if between == "_" else ""
        assert own == [f"{stem}object1.png", f"{stem}object2.png"]
    assert pairs.keys() == {"s/a", "s/ab"}


def test_a_star_stays_within_one_name(tmp_path):
    """`*` takes no mask from a subfolder."""
    reasons = _reasons(_two(tmp_path, ["a.png"], ["a_1/x.png"], "{stem}_*"), tmp_path)
    assert reasons["masks/a_1/x.png"] == f"no image in {tmp_path}/images for this mask"


@pytest.mark.parametrize("stem", ["a b", "mü", "a#1", "a (2)", "well.A1.ch0", "a[1]", "100%", "{a}", "日本"])
@pytest.mark.parametrize("pattern", [STEM, "{stem}_mask", "{stem}.png", "{stem}_*", "m/{stem}"])
def test_any_name_is_a_name(tmp_path, stem, pattern):
    """Spaces, unicode, brackets, # and several dots are parts of names."""
    mask = pattern.replace(STEM, stem).replace("*", "7").removesuffix(".png")
    pairs = _pairs(_two(tmp_path, [f"sub/{stem}.jpg"], [f"sub/{mask}.png"], pattern))
    assert pairs == {f"sub/{stem}": (f"{stem}.jpg", [f"{Path(mask).name}.png"])}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_a_name_has_one_spelling(tmp_path, forms):
    """A name with an accent is the same sample, however the file system spells it."""
    image, mask = (unicodedata.normalize(form, "zoë") for form in forms)
    pairs = _pairs(_two(tmp_path, [f"{image}.png"], [f"{mask}.png"]))
    assert pairs == {unicodedata.normalize("NFC", "zoë"): (f"{image}.png", [f"{mask}.png"])}


def test_one_name_in_two_spellings_is_two_files_of_one_name(tmp_path):
    """Two files whose names differ only in how an accent is spelled compete for one sample."""
    names = [f"{unicodedata.normalize(form, 'zoë')}.png" for form in ("NFC", "NFD")]
    found = _two(tmp_path, names, [])
    assert set(_reasons(found, tmp_path / "images")) == set(names)
    composed = unicodedata.normalize("NFC", "zoë")
    assert {reason for _, reason in found.problems} == {f"2 files are named `{composed}`"}


@pytest.mark.parametrize("ending", [".png", ".TIF", ".gif", ".bmp", ".webp"])
def test_a_mask_may_have_another_ending(tmp_path, ending):
    """A mask beside JPEG images belongs to its image whatever its own ending."""
    pairs = _pairs(_two(tmp_path, ["plate.1/well.2.JPG"], [f"plate.1/well.2{ending}"]))
    assert pairs == {"plate.1/well.2": ("well.2.JPG", [f"well.2{ending}"])}


def test_other_and_hidden_files_are_passed_over(tmp_path):
    """Notes, hidden files and folders, and a folder named like an image are no samples and no problems."""
    hidden = [".ipynb_checkpoints/a-checkpoint.png", "sub/.thumbs/b.png"]
    for folder in ("images", "masks"):
        _files(tmp_path / folder, "a.png", "scan.tif/b.png", *hidden)
        (tmp_path / folder / "notes.txt").touch()
        (tmp_path / folder / "._a.png").touch()
    assert _pairs(_two(tmp_path, [], [])).keys() == {"a", "scan.tif/b"}


def test_missing_and_lonely_files_are_named(tmp_path):
    """An image without a mask and a mask without an image are problems; the others are samples."""
    found = _two(tmp_path, ["a.png", "sub/b.png"], ["a.png", "b.png"])
    assert [one.sample for one in found.samples] == ["a"]
    reasons = _reasons(found, tmp_path)
    assert reasons.keys() == {"images/sub/b.png", "masks/b.png"}
    assert reasons["images/sub/b.png"].startswith(f"expected a mask named `{STEM}` in {tmp_path}/masks")
    assert reasons["masks/b.png"] == f"no image in {tmp_path}/images for this mask"


@pytest.mark.parametrize("usual", USUAL)
@pytest.mark.parametrize("together", [False, True])
def test_the_usual_pattern_is_hinted(tmp_path, usual, together):
    """Where another pattern pairs the images, the message gives the line of config to set."""
    names = [usual.replace(STEM, stem).replace("*", "x") + ".png" for stem in ("p", "q")]
    images = ["p.jpg", "q.jpg"]
    found = _one(tmp_path, images + names, "{stem}.gif") if together else _two(tmp_path, images, names)
    reason = dict(found.problems)[str(tmp_path / ("both" if together else "images") / "p.jpg")]
    assert reason.endswith(f'; `mask_name: "{usual}"` would give 2 images one')


@pytest.mark.parametrize(
    ("images", "masks"), [(["a.png"], ["b.png"]), ([*"abcd"], ["a_mask"]), (["a.png"], [])]
)
def test_no_pattern_is_hinted_that_pairs_few(tmp_path, images, masks):
    """A pattern that pairs none, or a small part, is no hint."""
    ending = "" if "." in images[0] else ".png"
    found = _two(tmp_path, [name + ending for name in images], [name + ending for name in masks])
    assert found.problems
    assert not any("mask_name" in reason for _, reason in found.problems)


def test_the_hint_is_sought_once(tmp_path, monkeypatch):
    """However many masks are missing, the usual patterns are tried once: many images take no age."""
    calls = []
    paired = module._paired
    monkeypatch.setattr(module, "_paired", lambda *some: calls.append(some[2]) or paired(*some))
    assert len(_two(tmp_path, [f"{number}.png" for number in range(9)], []).problems) == 9
    assert sorted(calls) == sorted([STEM, *USUAL])


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_two_files_of_one_name_are_both_named(tmp_path, folder):
    """Where two files compete for one name both are named, and no other file gets a false reason."""
    files = {"images": ["a.png", "b.png"], "masks": ["a.png", "b.png"]}
    files[folder].append("a.tif")
    found = _two(tmp_path, files["images"], files["masks"])
    reasons = _reasons(found, tmp_path)
    assert reasons.keys() == {f"{folder}/a.png", f"{folder}/a.tif"}
    expected = "2 files are named `a`" if folder == "images" else "2 masks are those of `a`"
    assert set(reasons.values()) == {expected}
    assert [one.sample for one in found.samples] == ["b"]


@pytest.mark.parametrize("together", [False, True])
def test_a_link_that_leaves_the_folder_is_named(tmp_path, together):
    """A linked file or folder from elsewhere is named once; a link within the folder is followed."""
    outside = _save(tmp_path / "outside" / "x.png")
    _files(tmp_path / "images", "a.png", "a_mask.png", "b_mask.png")
    (tmp_path / "images/x.png").symlink_to(outside)
    (tmp_path / "images/y").symlink_to(outside.parent)
    (tmp_path / "images/notes.txt").symlink_to(tmp_path / "outside" / "notes.txt")
    (tmp_path / "images/b.png").symlink_to(tmp_path / "images/a.png")
    masks = "images" if together else "masks"
    _files(tmp_path / masks, "a_mask.png", "b_mask.png")
    for name in () if together else ("a_mask.png", "b_mask.png"):
        (tmp_path / "images" / name).unlink()
    found = find(str(tmp_path / "images"), str(tmp_path / masks), "{stem}_mask", None)
    reasons = _reasons(found, tmp_path)
    assert reasons.keys() == {"images/x.png", "images/y"}
    assert all(reason.startswith("a link that leaves the folder") for reason in reasons.values())
    assert [one.sample for one in found.samples] == ["a", "b"]


@pytest.mark.parametrize("key", ["images", "masks"])
def test_a_missing_folder_is_named(tmp_path, key):
    """A folder that is not there is named with its config key."""
    folders = {"images": tmp_path, "masks": tmp_path} | {key: tmp_path / "nowhere"}
    with pytest.raises(DataError, match=rf"`{key}`, .*nowhere.*expected a folder.*Correct the path"):
        find(str(folders["images"]), str(folders["masks"]), STEM, None)


def test_empty_folders_hold_nothing(tmp_path):
    """Two empty folders give no sample and no problem."""
    found = _two(tmp_path, [], [])
    assert (found.samples, found.problems) == ([], [])


# Groups and parts


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


def test_samples_are_grouped_by_the_pattern(tmp_path):
    """Each sample has its group."""
    names = ["p1/a.png", "p1/b.png", "p2/a.png"]
    found = _two(tmp_path, names, names, group="^[^/]+")
    assert [one.group for one in found.samples] == ["p1", "p1", "p2"]


@pytest.mark.parametrize("word", [*PARTS, "TRAIN", "Validation"])
def test_a_part_may_stand_in_the_name(tmp_path, word):
    """A part is what the pattern matches in a sample's name, by any of the usual words."""
    names = [f"{word}/a.png", "b.png"]
    found = _two(tmp_path, names, names, part="^([^/]+)/")
    parts = {one.sample: one.part for one in found.samples}
    assert parts == {f"{word}/a": PARTS[word.lower()], "b": None}


def test_a_word_that_is_no_part_is_named(tmp_path):
    """A match that is no part is a problem that lists the words."""
    found = _two(tmp_path, ["tset/a.png"], ["tset/a.png"], part="^[^/]+")
    assert found.samples == []
    assert _reasons(found, tmp_path) == {
        "images/tset/a.png": f"expected one of {', '.join(PARTS)} as its part, but found `tset`"
    }


# Sheets


def test_a_sheet_says_all(tmp_path):
    """A sheet's samples have its group, part and pixel size; paths are relative to it or absolute."""
    found = _sheet(
        tmp_path,
        ",pixel_size,mask,image,part,group\n"
        f"0,0.5,{tmp_path}/sub/b_m.png,{tmp_path}/sub/b.png,Testing ,g\n"
        "1,,a_m.png,a.png,,\n",
    )
    assert found.problems == []
    first, second = found.samples
    assert (first.sample, first.group, first.part) == ("a", "a", None)
    assert math.isnan(first.pixel_size)
    assert (first.image, first.masks) == (tmp_path / "a.png", (tmp_path / "a_m.png",))
    assert (second.sample, second.group, second.part, second.pixel_size) == ("sub/b", "g", "test", 0.5)
    assert (second.image, second.masks) == (tmp_path / "sub/b.png", (tmp_path / "sub/b_m.png",))


def test_a_sheet_may_be_named_without_a_folder(tmp_path, monkeypatch):
    """A sheet in the folder where one works is read, and a blank after a comma is no part of a name."""
    _sheet(tmp_path, "image, mask\na.png, a_m.png\n")
    monkeypatch.chdir(tmp_path)
    assert _pairs(read_sheet("sheet.csv", None)) == {"a": ("a.png", ["a_m.png"])}


def test_several_rows_of_one_image_are_its_masks(tmp_path):
    """Each row of an image is one object; a row that stands twice is one row."""
    rows = "a.png,a_n.png\nsub/b.png,sub/b_m.png\na.png,a_m.png\na.png,a_n.png\n"
    pairs = _pairs(_sheet(tmp_path, f"image,mask\n{rows}"))
    assert pairs == {"a": ("a.png", ["a_n.png", "a_m.png"]), "sub/b": ("b.png", ["b_m.png"])}


def test_a_name_in_a_sheet_is_a_name(tmp_path):
    """Names of a sheet may hold what names may, the text NA included, and are normalised."""
    accent = unicodedata.normalize("NFD", "zoë")
    for name in (f"{accent} #1.x.png", "NA.png", "m, 1.png"):
        _save(tmp_path / name)
    found = _sheet(tmp_path, f'image,mask,group\n{accent} #1.x.png,"m, 1.png",NA\nNA.png,a_m.png,\n')
    assert found.problems == []
    composed = unicodedata.normalize("NFC", "zoë")
    assert [(one.sample, one.group) for one in found.samples] == [
        ("NA", "NA"),
        (f"{composed} #1.x", "NA"),
    ]


def test_samples_of_a_sheet_are_sorted_by_name(tmp_path):
    """The order is that of the names without extension, as for folders."""
    _save(tmp_path / "a-b.png")
    found = _sheet(tmp_path, "image,mask\na-b.png,a_n.png\na.png,a_m.png\n")
    assert [one.sample for one in found.samples] == ["a", "a-b"]


@pytest.mark.parametrize("place", ["../a.png", "../../{top}/a.png", "x/../../a.png"])
def test_the_name_of_a_file_outside_has_no_way_up(tmp_path, place):
    """An image above the sheet gets a name under which a prediction stays in its own folder."""
    (tmp_path / "sheets" / "x").mkdir(parents=True)
    sheet = tmp_path / "sheets" / "sheet.csv"
    _save(tmp_path / "a.png")
    place = place.format(top=tmp_path.name)
    sheet.write_text(f"image,mask\n{place},{place}\n")
    found = read_sheet(str(sheet), None)
    assert found.problems == []
    assert found.samples[0].sample in ("a", f"{tmp_path.name}/a")


def test_two_files_of_one_name_in_a_sheet_are_named(tmp_path):
    """Images that differ in their extension alone would be one sample, so both are named."""
    _save(tmp_path / "a.jpg")
    found = _sheet(tmp_path, "image,mask\na.png,a_m.png\na.jpg,a_n.png\nsub/b.png,sub/b_m.png\n")
    assert [one.sample for one in found.samples] == ["sub/b"]
    assert _reasons(found, tmp_path) == dict.fromkeys(["a.png", "a.jpg"], "2 files are named `a`")


@pytest.mark.parametrize(
    ("rows", "file", "reason"),
    [
        (["no.png,a_m.png,,,"], "no.png", "expected the file {folder}/no.png, but found none"),
        (["a.png,no.png,,,"], "a.png", "expected the file {folder}/no.png, but found none"),
        (["a.png,,,,"], "a.png", "expected a file in the column `mask`, but found none. Fill the cell."),
        ([",a_m.png,,,"], ".", "expected a file in the column `image`, but found none"),
        (["a.png,a_m.png ,,,"], "a.png", "ends with a blank: take it away"),
        ([r"a.png,sub\b_m.png,,,"], "a.png", r"Write paths with `/` instead of `\`"),
        (['a.png,a_m.png,,,"0,5"'], "a.png", "write 0.5, not 0,5"),
        (["a.png,a_m.png,,,x"], "a.png", "expected a `pixel_size` above 0, but found x"),
        (["a.png,a_m.png,,,-1"], "a.png", "expected a `pixel_size` above 0, but found -1"),
        (["a.png,a_m.png,,,0"], "a.png", "expected a `pixel_size` above 0, but found 0"),
        (["a.png,a_m.png,,,inf"], "a.png", "expected a `pixel_size` above 0, but found inf"),
        (["a.png,a_m.png,,tset,"], "a.png", "as its part, but found `tset`"),
        (["a.png,a_m.png,g,,", "a.png,a_n.png,h,,"], "a.png", "expected one `group` for all rows"),
        (["a.png,a_m.png,,val,", "a.png,a_n.png,,test,"], "a.png", "expected one `part` for all rows"),
        (["a.png,a_m.png,,,1", "a.png,a_n.png,,,2"], "a.png", "an image, but found 1, 2"),
    ],
)
def test_what_is_wrong_in_a_sheet_is_named(tmp_path, rows, file, reason):
    """A wrong row is a problem of its image, with its reason, and the other rows are samples."""
    text = "\n".join(["image,mask,group,part,pixel_size", *rows, "sub/b.png,sub/b_m.png,,,"])
    found = _sheet(tmp_path, text)
    assert [one.sample for one in found.samples] == ["sub/b"]
    reasons = _reasons(found, tmp_path)
    assert reasons.keys() == {file}
    assert reason.format(folder=tmp_path) in reasons[file]


def test_a_sheets_part_comes_before_the_names(tmp_path):
    """The patterns of group and part count where the sheet says nothing."""
    text = "image,mask,group,part\na.png,a_m.png,g,val\nsub/b.png,sub/b_m.png,,\n"
    found = _sheet(tmp_path, text.replace("sub/b", "train/b"))
    assert len(found.problems) == 1  # there is no train/b.png yet
    for name in ("train/b.png", "train/b_m.png", "train/a.png"):
        _save(tmp_path / name)
    text = text.replace("sub/b", "train/b").replace("\na.png", "\ntrain/a.png")
    found = _sheet(tmp_path, text, part="^[^/]+", group="^[^/]+")
    assert [(one.group, one.part) for one in found.samples] == [("g", "val"), ("train", "train")]


@pytest.mark.parametrize("text", ["", "image;mask\na.png;a_m.png\n", "image\na.png\n"])
def test_a_sheet_without_its_columns_is_refused(tmp_path, text):
    """An empty sheet, another separator or a missing column is refused with what a header needs."""
    with pytest.raises(DataError, match=r"`sheet`, .*sheet\.csv.*header with at least `image` and `mask`"):
        _sheet(tmp_path, text)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "No such file or directory. Correct the path."),
        (b"\xff\xfe\x00", "another text encoding. Save it as CSV in UTF-8."),
        ("image,mask,group\na.png,a_m.png,Müller\n".encode("latin1"), "another text encoding"),
        ("image,mask\na.png,a_m.png\n".encode("utf-16"), "another text encoding"),
        (b"PK\x03\x04...", "a spreadsheet (.xlsx, .ods). Export it as CSV."),
        (b"image;mask\na.png;a_m.png\n", "separated by commas"),
        (b"Image,Mask\na.png,a_m.png\n", "`Image` is perhaps `image`; `Mask` is perhaps `mask`"),
        (b"image ,mask\na.png,a_m.png\n", "`image ` is perhaps `image`"),
        (b"image,label\na.png,a_m.png\n", "`label` is perhaps `mask`"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_refused_with_the_cause(tmp_path, content, cause):
    """A sheet that is not there, no text, or has other names of columns is refused with what to do."""
    if content:
        (tmp_path / "sheet.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"^config key `sheet`, .*sheet\.csv: expected") as caught:
        read_sheet(str(tmp_path / "sheet.csv"), None)
    assert str(caught.value).count("`sheet`") == 1
    assert cause in str(caught.value) or cause.replace("separated", "Separated") in str(caught.value)


@pytest.mark.parametrize(("column", "near"), [("split", "part"), ("groups", "group"), ("Part", "part")])
def test_an_unknown_column_is_refused(tmp_path, column, near):
    """A column whose name is not known would be left out without a word: the nearest is named."""
    with pytest.raises(DataError, match=f"no columns but the known ones, but found {column}") as caught:
        _sheet(tmp_path, f"image,mask,{column}\na.png,a_m.png,train\n")
    assert f"`{column}` is perhaps `{near}`. Known columns: image, mask, group, part" in str(caught.value)


def test_one_mask_of_several_images_is_a_problem(tmp_path):
    """A mask that is listed for two images is surely wrong for one of them."""
    _save(tmp_path / "c.png")
    found = _sheet(tmp_path, "image,mask\na.png,a_m.png\nc.png,a_m.png\nsub/b.png,sub/b_m.png\n")
    assert [one.sample for one in found.samples] == ["sub/b"]
    assert _reasons(found, tmp_path) == {"a_m.png": "listed as the mask of 2 images: a, c. Mend the sheet."}


def test_a_part_that_no_name_gives_stops(tmp_path):
    """A pattern that matches nothing would divide the set at random without a word."""
    names = ["Train/a.png", "Test/b.png"]
    with pytest.raises(
        DataError, match=r"`split\.part`: .*no match of `\^\(train\|test\)/` in 2 names"
    ) as caught:
        _two(tmp_path, names, names, part="^(train|test)/")
    assert "`split: {part: '(?i)^(train|test)/'}` would match" in str(caught.value)
    found = _two(tmp_path, names, names, part="(?i)^(train|test)/")
    assert [one.part for one in found.samples] == ["test", "train"]
    with pytest.raises(DataError, match="no match of `xyz` in 1 names, such as `a`"):
        _sheet(tmp_path, "image,mask\na.png,a_m.png\n", part="xyz")
    assert _sheet(tmp_path, "image,mask,part\na.png,a_m.png,test\n", part="xyz").samples[0].part == "test"


@pytest.mark.parametrize(
    ("images", "masks", "hint"),
    [
        (["IMG_1.png", "IMG_2.png"], ["img_1.png", "img_2.png"], "differ in capital letters alone"),
        (["s/a.png", "t/b.png"], ["a.png", "b.png"], "the names, but in other subfolders"),
        (["img_1.png", "img_2.png"], ["gt_1.png", "gt_2.png"], "where no pattern fits, list the files in a"),
    ],
)
def test_why_names_do_not_fit_is_said(tmp_path, images, masks, hint):
    """Where no usual pattern pairs the files, the reason says what their names tell."""
    reasons = _reasons(_two(tmp_path, images, masks), tmp_path)
    assert all(hint in reasons[f"images/{name}"] for name in images)


def test_folders_of_each_sample_are_for_a_sheet(tmp_path):
    """Images and masks in folders below each sample's own are paired by no pattern."""
    names = [f"id{n}/{kind}/{n}.png" for n in range(3) for kind in ("images", "masks")]
    found = _one(tmp_path, names, "{stem}_*")
    assert all(
        "has folders of its own, list the files in a `sheet`" in reason for _, reason in found.problems
    )


@pytest.mark.parametrize("spelled", ["{folder}/", "{folder}/../both", "{folder}/."])
def test_one_folder_spelled_in_two_ways_is_one(tmp_path, spelled):
    """However it is spelled, a folder of both needs a name that tells the masks."""
    folder = _files(tmp_path / "both", "a.png", "a_mask.png")
    other = spelled.format(folder=folder)
    assert _pairs(find(folder, other, "{stem}_mask", None)) == {"a": ("a.png", ["a_mask.png"])}
    with pytest.raises(DataError, match="in the one folder of both"):
        find(folder, other, "{stem}", None)


def test_a_folder_of_masks_within_is_apart_however_spelled(tmp_path):
    """Masks in a folder within that of the images are no images, whatever their path looks like."""
    images, _ = _files(tmp_path / "images", "a.png"), _files(tmp_path / "images" / "masks", "a.png")
    found = find(images, f"{images}/../images/masks", STEM, None)
    assert _pairs(found) == {"a": ("a.png", ["a.png"])}


# Files and pixels


def test_image_files_have_their_identity(dataset):
    """Every image file below a folder is listed with its name, sorted by path."""
    images, _ = dataset
    names = ["a", "b", "c", "d", "e", "sub/f", "sub/g"]
    assert list(image_files(images)) == [(name, images / f"{name}.png") for name in names]


def test_the_fingerprint_sees_every_change(dataset):
    """The fingerprint changes with a file's size, time or name, and with nothing else."""
    images, masks = dataset
    before = fingerprint(images, masks)
    (images / "notes.txt").write_text("seen by nobody")
    (images / "broken.png").symlink_to(images / "nowhere.png")
    assert fingerprint(images, masks) == before
    os.utime(images / "a.png", ns=(1, 1))
    touched = fingerprint(images, masks)
    (images / "a.png").rename(images / "z.png")
    renamed = fingerprint(images, masks)
    (masks / "sub/f.png").write_bytes(b"x")
    assert len({before, touched, renamed, fingerprint(images, masks)}) == 4


def test_the_fingerprint_sees_a_change_of_a_sheet(tmp_path):
    """A change of a sheet, or of a file that it lists, is seen; a file that it does not list counts not."""
    _sheet(tmp_path, "image,mask\na.png,a_m.png\n")
    sheet = tmp_path / "sheet.csv"
    before = fingerprint(sheet)
    os.utime(tmp_path / "sub/b.png", ns=(1, 1))
    assert fingerprint(sheet) == before
    os.utime(tmp_path / "a_m.png", ns=(1, 1))
    touched = fingerprint(sheet)
    sheet.write_text("image,mask\na.png,a_m.png\nno.png,no.png\n")
    assert len({before, touched, fingerprint(sheet)}) == 3


def _row(tmp_path, image, masks, **changes):
    """A row of an index, as the index would have it."""
    paths = [str(_save(tmp_path / f"mask{number}.png", mask)) for number, mask in enumerate(masks)]
    row = {"image": str(_save(tmp_path / "image.png", image)), "masks": paths, "mask_resized": False}
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
    _save(tmp_path / "mask1.png", [[0, 255]])
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
    _save(tmp_path / f"{name}.png", [[0], [1]])
    with pytest.raises(DataError, match=rf"{name}\.png: .*indexed, 1x2, but found 2x1.*indexed anew"):
        read_sample(row)
