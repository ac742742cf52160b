"""Samples are found in folders, and every file that is none is named with its reason."""

import math
import unicodedata
from pathlib import Path

import pytest

from folders import files, pairs_of, reasons_of, save
from stratagem.core.errors import DataError
from stratagem.data import pairing
from stratagem.data.naming import STEM, USUAL
from stratagem.data.pairing import find
from stratagem.data.sample import PARTS


def _two(tmp_path, images, masks, pattern=STEM, **options):
    """What is found of images and masks in two folders."""
    places = files(tmp_path / "images", *images), files(tmp_path / "masks", *masks)
    return find(*places, pattern, options.get("group"), options.get("part"))


def _one(tmp_path, names, pattern):
    """What is found where one folder holds both."""
    folder = files(tmp_path / "both", *names)
    return find(folder, folder, pattern, None)


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
    pairs = pairs_of(found)
    assert pairs == names | {f"sub/{sample}": pair for sample, pair in names.items()}


def test_a_mask_of_a_mask_is_named(tmp_path):
    """Where an image is itself taken for a mask of another, its own masks are not dropped in silence."""
    found = _one(tmp_path, ["a.png", "a_b.png", "a_b_1.png"], "{stem}_*")
    assert reasons_of(found, tmp_path / "both") == {
        "a_b_1.png": "its image, `a_b`, is itself taken for the mask of another"
    }


@pytest.mark.parametrize(("pattern", "name"), [("{stem}.png", "a.png"), ("{stem}*", "a.jpg")])
def test_no_image_is_its_own_mask(tmp_path, pattern, name):
    """In one folder a file that fits the pattern with its own name is an image without a mask."""
    reasons = reasons_of(_one(tmp_path, [name], pattern), tmp_path / "both")
    assert reasons[name].startswith(f"expected its mask, {tmp_path}/both/a")


@pytest.mark.parametrize(("images", "masks"), [("data", "data/masks"), ("data/images", "data")])
def test_one_folder_may_lie_in_the_other(tmp_path, images, masks):
    """A folder of masks within that of the images, or the other way round, is no image and no mask."""
    for place in (images, masks):
        files(tmp_path / "data")
        files(tmp_path / place, "a.png", "sub/b.png")
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
    pairs = pairs_of(_two(tmp_path, ["s/a.jpg", "s/ab.jpg"], masks, pattern))
    for sample, (_, own) in pairs.items():
        stem = f"{Path(sample).name}_" if between == "_" else ""
        assert own == [f"{stem}object1.png", f"{stem}object2.png"]
    assert pairs.keys() == {"s/a", "s/ab"}


def test_a_star_stays_within_one_name(tmp_path):
    """`*` takes no mask from a subfolder."""
    reasons = reasons_of(_two(tmp_path, ["a.png"], ["a_1/x.png"], "{stem}_*"), tmp_path)
    assert reasons["masks/a_1/x.png"].startswith(f"no image in {tmp_path}/images for this mask")


@pytest.mark.parametrize("stem", ["a b", "mü", "a#1", "a (2)", "well.A1.ch0", "a[1]", "100%", "{a}", "日本"])
@pytest.mark.parametrize("pattern", [STEM, "{stem}_mask", "{stem}.png", "{stem}_*", "m/{stem}"])
def test_any_name_is_a_name(tmp_path, stem, pattern):
    """Spaces, unicode, brackets, # and several dots are parts of names."""
    mask = pattern.replace(STEM, stem).replace("*", "7").removesuffix(".png")
    pairs = pairs_of(_two(tmp_path, [f"sub/{stem}.jpg"], [f"sub/{mask}.png"], pattern))
    assert pairs == {f"sub/{stem}": (f"{stem}.jpg", [f"{Path(mask).name}.png"])}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_a_name_has_one_spelling(tmp_path, forms):
    """A name with an accent is the same sample, however the file system spells it."""
    image, mask = (unicodedata.normalize(form, "zoë") for form in forms)
    pairs = pairs_of(_two(tmp_path, [f"{image}.png"], [f"{mask}.png"]))
    assert pairs == {unicodedata.normalize("NFC", "zoë"): (f"{image}.png", [f"{mask}.png"])}


def test_one_name_in_two_spellings_is_two_files_of_one_name(tmp_path):
    """Two files whose names differ only in how an accent is spelled compete for one sample."""
    names = [f"{unicodedata.normalize(form, 'zoë')}.png" for form in ("NFC", "NFD")]
    found = _two(tmp_path, names, [])
    assert set(reasons_of(found, tmp_path / "images")) == set(names)
    composed = unicodedata.normalize("NFC", "zoë")
    assert {reason for _, reason, _ in found.problems} == {f"2 files are named `{composed}`"}


@pytest.mark.parametrize("ending", [".png", ".TIF", ".gif", ".bmp", ".webp"])
def test_a_mask_may_have_another_ending(tmp_path, ending):
    """A mask beside JPEG images belongs to its image whatever its own ending."""
    pairs = pairs_of(_two(tmp_path, ["plate.1/well.2.JPG"], [f"plate.1/well.2{ending}"]))
    assert pairs == {"plate.1/well.2": ("well.2.JPG", [f"well.2{ending}"])}


def test_other_and_hidden_files_are_passed_over(tmp_path):
    """Notes, hidden files and folders, and a folder named like an image are no samples and no problems."""
    hidden = [".ipynb_checkpoints/a-checkpoint.png", "sub/.thumbs/b.png"]
    for folder in ("images", "masks"):
        files(tmp_path / folder, "a.png", "scan.tif/b.png", *hidden)
        (tmp_path / folder / "notes.txt").touch()
        (tmp_path / folder / "._a.png").touch()
    assert pairs_of(_two(tmp_path, [], [])).keys() == {"a", "scan.tif/b"}


def test_missing_and_lonely_files_are_named(tmp_path):
    """An image without a mask and a mask without an image are problems; the others are samples."""
    found = _two(tmp_path, ["a.png", "sub/b.png"], ["a.png", "b.png"])
    assert [one.sample for one in found.samples] == ["a"]
    reasons = reasons_of(found, tmp_path)
    assert reasons.keys() == {"images/sub/b.png", "masks/b.png"}
    assert reasons["images/sub/b.png"].startswith(f"expected its mask, {tmp_path}/masks/sub/b.*; ")
    assert reasons["masks/b.png"] == f"no image in {tmp_path}/images for this mask"


@pytest.mark.parametrize("usual", USUAL)
@pytest.mark.parametrize("together", [False, True])
def test_the_usual_pattern_is_hinted(tmp_path, usual, together):
    """Where another pattern pairs the images, the message gives the line of config to set."""
    names = [usual.replace(STEM, stem).replace("*", "x") + ".png" for stem in ("p", "q")]
    images = ["p.jpg", "q.jpg"]
    found = _one(tmp_path, images + names, "{stem}.gif") if together else _two(tmp_path, images, names)
    reason = {one.file: one.reason for one in found.problems}[
        str(tmp_path / ("both" if together else "images") / "p.jpg")
    ]
    pattern = usual if together or "/" in usual else usual.replace("*", "x")
    assert reason.endswith(f'; `mask_name: "{pattern}"` would give 2 images one')


@pytest.mark.parametrize(
    ("images", "masks"), [(["a.png"], ["b.png"]), ([*"abcd"], ["a_mask"]), (["a.png"], [])]
)
def test_no_pattern_is_hinted_that_pairs_few(tmp_path, images, masks):
    """A pattern that pairs none, or a small part, is no hint."""
    ending = "" if "." in images[0] else ".png"
    found = _two(tmp_path, [name + ending for name in images], [name + ending for name in masks])
    assert found.problems
    assert not any("mask_name" in reason for _, reason, _ in found.problems)


def test_the_hint_is_sought_once(tmp_path, monkeypatch):
    """However many masks are missing, the usual patterns are tried once: many images take no age."""
    calls = []
    advised = pairing.advice
    monkeypatch.setattr(pairing, "advice", lambda *some: calls.append(some) or advised(*some))
    assert len(_two(tmp_path, [f"{number}.png" for number in range(9)], []).problems) == 9
    assert len(calls) == 1


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_two_files_of_one_name_are_both_named(tmp_path, folder):
    """Where two files compete for one name both are named, and no other file gets a false reason."""
    files = {"images": ["a.png", "b.png"], "masks": ["a.png", "b.png"]}
    files[folder].append("a.tif")
    found = _two(tmp_path, files["images"], files["masks"])
    reasons = reasons_of(found, tmp_path)
    assert reasons.keys() == {f"{folder}/a.png", f"{folder}/a.tif"}
    expected = "2 files are named `a`" if folder == "images" else "2 masks are those of `a`"
    assert set(reasons.values()) == {expected}
    assert [one.sample for one in found.samples] == ["b"]


@pytest.mark.parametrize("together", [False, True])
def test_links_are_followed(tmp_path, together):
    """Linked files and folders are read, wherever they lead: git-annex and clusters link all there is."""
    outside = tmp_path / "outside"
    files(outside, "x.png", "x_mask.png")
    files(tmp_path / "images", "a.png", "a_mask.png")
    (tmp_path / "images/site").symlink_to(outside)
    (tmp_path / "images/b.png").symlink_to(tmp_path / "images/a.png")
    (tmp_path / "images/b_mask.png").symlink_to(tmp_path / "images/a_mask.png")
    masks = tmp_path / "images"
    if not together:
        masks = tmp_path / "masks"
        masks.mkdir()
        for name in ("a_mask.png", "b_mask.png"):
            (masks / name).symlink_to(tmp_path / "images/a_mask.png")
            (tmp_path / "images" / name).unlink()
        save(tmp_path / "images/a_mask.png").rename(masks / "kept.png")
        (masks / "kept.png").rename(tmp_path / "mask.png")
        for name in ("a_mask.png", "b_mask.png"):
            (masks / name).unlink()
            (masks / name).symlink_to(tmp_path / "mask.png")
        (outside / "x_mask.png").unlink()
        (masks / "site").symlink_to(tmp_path / "other")
        files(tmp_path / "other", "x_mask.png")
    found = find(str(tmp_path / "images"), str(masks), "{stem}_mask", None)
    assert found.problems == []
    assert [one.sample for one in found.samples] == ["a", "b", "site/x"]


def test_a_link_to_what_is_read_anyway_is_not_followed(tmp_path):
    """A link to the folder itself, to one within it or to one linked before would read images twice."""
    folder = files(tmp_path / "images", "sub/a.png")
    files(tmp_path / "masks", "sub/a.png")
    (tmp_path / "images/again").symlink_to(tmp_path / "images/sub")
    (tmp_path / "images/round").symlink_to(tmp_path)
    found = find(folder, str(tmp_path / "masks"), STEM, None)
    assert [one.sample for one in found.samples] == ["sub/a"]
    assert [note for note in found.notes if note.startswith("Not followed: 2 links")]


@pytest.mark.parametrize(
    ("target", "cure"), [("gone.png", "mend or remove it"), (".git/annex/objects/x", "git annex get")]
)
def test_a_broken_link_is_called_one(tmp_path, target, cure):
    """With where it leads to, and what fetches it."""
    found = _two(tmp_path, ["a.png"], ["a.png"])
    (tmp_path / "images/b.png").symlink_to(tmp_path / target)
    found = find(str(tmp_path / "images"), str(tmp_path / "masks"), STEM, None)
    reason = reasons_of(found, tmp_path)["images/b.png"]
    assert reason.startswith("a broken link: it leads to ") and cure in reason


# Names of images, further masks


@pytest.mark.parametrize(
    ("image_name", "mask_name", "images", "masks"),
    [
        ("{stem}_sat", "{stem}_mask", ["1_sat.jpg", "2_sat.jpg"], ["1_mask.png", "2_mask.png"]),
        ("{stem}_0000", "{stem}", ["a_0000.png", "b_0000.png"], ["a.png", "b.png"]),
        ("img_{stem}", "gt_{stem}", ["s/img_1.png", "s/img_2.png"], ["s/gt_1.png", "s/gt_2.png"]),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_images_may_have_a_suffix(tmp_path, together, image_name, mask_name, images, masks):
    """What stands for the stem is the same in both names; without the key the message gives both lines."""
    one = files(tmp_path / "both", *images, *masks)
    places = (one, one) if together else (files(tmp_path / "images", *images), files(tmp_path / "m", *masks))
    found = find(*places, mask_name, None, image_name=image_name)
    assert found.problems == []
    assert [one.sample for one in found.samples] == [name.split(".")[0] for name in images]
    if together:  # names alone cannot tell which are the images
        return
    lost = find(*places, "{stem}_label", None)
    assert (
        f'`image_name: "{image_name}"` with `mask_name: "{mask_name}"` would give 2'
        in lost.problems[0].reason
    )


def test_kinds_of_masks_are_offered_by_name(tmp_path):
    """As of Cityscapes, where each image has several; the others are then passed over with a note."""
    images = [f"train/{n}_leftImg8bit.png" for n in range(4)]
    kinds = ("color", "instanceIds", "labelIds")
    masks = [f"train/{n}_gtFine_{kind}.png" for n in range(4) for kind in kinds]
    reason = _two(tmp_path, images, masks).problems[0].reason
    for kind in kinds:
        assert f'`mask_name: "{{stem}}_gtFine_{kind}"`' in reason
    places = str(tmp_path / "images"), str(tmp_path / "masks")
    found = find(*places, "{stem}_gtFine_labelIds", None, image_name="{stem}_leftImg8bit")
    assert found.problems == [] and len(found.samples) == 4
    assert [note.split(",")[0] for note in found.notes] == [
        "Passed over: 4 files named `{stem}_gtFine_color`",
        "Passed over: 4 files named `{stem}_gtFine_instanceIds`",
    ]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    ("pattern", "first", "further", "widened"),
    [
        ("{stem}_mask", "a_mask", "a_mask_1", "{stem}_mask*"),
        ("{stem}_lesion1", "a_lesion1", "a_lesion2", "{stem}_lesion*"),
        ("{stem}_seg.png", "a_seg", "a_seg-2", "{stem}_seg*"),
    ],
)
def test_further_masks_are_never_skipped(tmp_path, together, pattern, first, further, widened):
    """What they mark would become background: the stop names the pattern of all, which reads them."""
    images, masks = (
        ["a.png", "b.png"],
        [first + ".png", first.replace("a", "b", 1) + ".png", further + ".png"],
    )
    if together:
        found = _one(tmp_path, images + masks, pattern)
        places = [str(tmp_path / "both")] * 2
    else:
        found = _two(tmp_path, images, masks, pattern)
        places = [str(tmp_path / "images"), str(tmp_path / "masks")]
    (problem,) = found.problems
    assert not problem.skippable and f'`mask_name: "{widened}"`' in problem.reason
    followed = find(*places, widened, None)
    assert followed.problems == []
    assert [len(one.masks) for one in followed.samples] == [2, 1]


def test_the_name_that_was_sought_and_the_nearest_are_said(tmp_path):
    """Not a pattern, but the file that is missing, and the one that may have been meant."""
    names = [f"{stem}.png" for stem in ("alpha", "beta", "gamma")]
    found = _two(tmp_path, names, ["alpha.png", "beta.png", "gama.png"])
    reasons = reasons_of(found, tmp_path)
    sought = f"expected its mask, {tmp_path}/masks/gamma.*; the nearest name there is `gama`"
    assert reasons["images/gamma.png"].startswith(sought)


def test_what_is_not_read_is_counted_by_kind(tmp_path):
    """With what helps; what systems leave is passed over in silence."""
    folder = tmp_path / "images"
    files(folder, "a.png", "@eaDir/a.png", "__MACOSX/b.png", "$RECYCLE.BIN/c.png")
    for name in ("v.nii.gz", "w.nii.gz", "x.mat", "y.json", "Thumbs.db", "desktop.ini", ".DS_Store"):
        (folder / name).touch()
    found = find(str(folder), files(tmp_path / "masks", "a.png"), STEM, None)
    (note,) = found.notes
    assert [one.sample for one in found.samples] == ["a"] and found.problems == []
    for part in ("2 .nii.gz (volumes", "1 .mat (MATLAB", "1 .json (annotations"):
        assert part in note
    assert "Thumbs" not in note and ".db" not in note and ".ini" not in note


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
    assert reasons_of(found, tmp_path) == {
        "images/tset/a.png": f"expected one of {', '.join(PARTS)} as its part, but found `tset`"
    }


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


@pytest.mark.parametrize(
    ("images", "masks", "hint"),
    [
        (["Cat.png", "Dog.png"], ["cat.png", "dog.png"], "differ in capital letters alone"),
        (["s/a.png", "t/b.png"], ["a.png", "b.png"], "the names, but in other subfolders"),
        (["a.png", "b.png"], ["p.png", "q.png"], "where no pattern fits, list the files in a"),
        (["img_1.png", "img_2.png"], ["gt_1.png", "gt_2.png"], 'g_{stem}"` with `mask_name: "gt_{stem}"`'),
    ],
)
def test_why_names_do_not_fit_is_said(tmp_path, images, masks, hint):
    """Where no usual pattern pairs the files, the reason says what their names tell."""
    reasons = reasons_of(_two(tmp_path, images, masks), tmp_path)
    assert all(hint in reasons[f"images/{name}"] for name in images)


def test_folders_of_each_sample_are_for_a_sheet(tmp_path):
    """Images and masks in folders below each patient's own are paired by no pattern."""
    names = [f"id{n}/{kind}/{m}.png" for n in range(3) for m in range(2) for kind in ("images", "masks")]
    found = _one(tmp_path, names, "{stem}_*")
    assert all(
        "has folders of its own, list the files in a `sheet`" in reason for _, reason, _ in found.problems
    )


@pytest.mark.parametrize("spelled", ["{folder}/", "{folder}/../both", "{folder}/."])
def test_one_folder_spelled_in_two_ways_is_one(tmp_path, spelled):
    """However it is spelled, a folder of both needs a name that tells the masks."""
    folder = files(tmp_path / "both", "a.png", "a_mask.png")
    other = spelled.format(folder=folder)
    assert pairs_of(find(folder, other, "{stem}_mask", None)) == {"a": ("a.png", ["a_mask.png"])}
    with pytest.raises(DataError, match="in the one folder of both"):
        find(folder, other, "{stem}", None)


def test_a_folder_of_masks_within_is_apart_however_spelled(tmp_path):
    """Masks in a folder within that of the images are no images, whatever their path looks like."""
    images, _ = files(tmp_path / "images", "a.png"), files(tmp_path / "images" / "masks", "a.png")
    found = find(images, f"{images}/../images/masks", STEM, None)
    assert pairs_of(found) == {"a": ("a.png", ["a.png"])}
