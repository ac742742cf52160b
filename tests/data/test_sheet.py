"""Samples are read from a sheet, and what is wrong in it is named with its cause."""

import math
import unicodedata

import pytest

from folders import pairs_of, reasons_of, save
from stratagem.core.errors import DataError
from stratagem.data.sheet import read_sheet


def _sheet(tmp_path, text, **options):
    """What is found of a sheet beside two pairs, of which one has a second mask."""
    for name in ("a.png", "a_m.png", "a_n.png", "sub/b.png", "sub/b_m.png"):
        save(tmp_path / name)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(text, encoding="utf-8")
    return read_sheet(str(sheet), options.get("group"), options.get("part"))


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
    assert pairs_of(read_sheet("sheet.csv", None)) == {"a": ("a.png", ["a_m.png"])}


def test_several_rows_of_one_image_are_its_masks(tmp_path):
    """Each row of an image is one object; a row that stands twice is one row."""
    rows = "a.png,a_n.png\nsub/b.png,sub/b_m.png\na.png,a_m.png\na.png,a_n.png\n"
    pairs = pairs_of(_sheet(tmp_path, f"image,mask\n{rows}"))
    assert pairs == {"a": ("a.png", ["a_n.png", "a_m.png"]), "sub/b": ("b.png", ["b_m.png"])}


def test_a_name_in_a_sheet_is_a_name(tmp_path):
    """Names of a sheet may hold what names may, the text NA included, and are normalised."""
    accent = unicodedata.normalize("NFD", "zoë")
    for name in (f"{accent} #1.x.png", "NA.png", "m, 1.png"):
        save(tmp_path / name)
    found = _sheet(tmp_path, f'image,mask,group\n{accent} #1.x.png,"m, 1.png",NA\nNA.png,a_m.png,\n')
    assert found.problems == []
    composed = unicodedata.normalize("NFC", "zoë")
    assert [(one.sample, one.group) for one in found.samples] == [
        ("NA", "NA"),
        (f"{composed} #1.x", "NA"),
    ]


def test_samples_of_a_sheet_are_sorted_by_name(tmp_path):
    """The order is that of the names without extension, as for folders."""
    save(tmp_path / "a-b.png")
    found = _sheet(tmp_path, "image,mask\na-b.png,a_n.png\na.png,a_m.png\n")
    assert [one.sample for one in found.samples] == ["a", "a-b"]


@pytest.mark.parametrize("place", ["../a.png", "../../{top}/a.png", "x/../../a.png"])
def test_the_name_of_a_file_outside_has_no_way_up(tmp_path, place):
    """An image above the sheet gets a name under which a prediction stays in its own folder."""
    (tmp_path / "sheets" / "x").mkdir(parents=True)
    sheet = tmp_path / "sheets" / "sheet.csv"
    save(tmp_path / "a.png")
    place = place.format(top=tmp_path.name)
    sheet.write_text(f"image,mask\n{place},{place}\n")
    found = read_sheet(str(sheet), None)
    assert found.problems == []
    assert found.samples[0].sample in ("a", f"{tmp_path.name}/a")


def test_two_files_of_one_name_in_a_sheet_are_named(tmp_path):
    """Images that differ in their extension alone would be one sample, so both are named."""
    save(tmp_path / "a.jpg")
    found = _sheet(tmp_path, "image,mask\na.png,a_m.png\na.jpg,a_n.png\nsub/b.png,sub/b_m.png\n")
    assert [one.sample for one in found.samples] == ["sub/b"]
    assert reasons_of(found, tmp_path) == dict.fromkeys(["a.png", "a.jpg"], "2 files are named `a`")


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
    reasons = reasons_of(found, tmp_path)
    assert reasons.keys() == {file}
    assert reason.format(folder=tmp_path) in reasons[file]


def test_a_sheets_part_comes_before_the_names(tmp_path):
    """The patterns of group and part count where the sheet says nothing."""
    text = "image,mask,group,part\na.png,a_m.png,g,val\nsub/b.png,sub/b_m.png,,\n"
    found = _sheet(tmp_path, text.replace("sub/b", "train/b"))
    assert len(found.problems) == 1  # there is no train/b.png yet
    for name in ("train/b.png", "train/b_m.png", "train/a.png"):
        save(tmp_path / name)
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
    save(tmp_path / "c.png")
    found = _sheet(tmp_path, "image,mask\na.png,a_m.png\nc.png,a_m.png\nsub/b.png,sub/b_m.png\n")
    assert [one.sample for one in found.samples] == ["sub/b"]
    assert reasons_of(found, tmp_path) == {"a_m.png": "listed as the mask of 2 images: a, c. Mend the sheet."}


def test_a_part_that_no_name_gives_stops(tmp_path):
    """A pattern that matches nothing would divide the set at random, unless the sheet says the parts."""
    with pytest.raises(DataError, match="no match of `xyz` in 1 names, such as `a`"):
        _sheet(tmp_path, "image,mask\na.png,a_m.png\n", part="xyz")
    assert _sheet(tmp_path, "image,mask,part\na.png,a_m.png,test\n", part="xyz").samples[0].part == "test"
