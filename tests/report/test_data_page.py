"""The data report: each thing is told where it is so, and not where it is not."""

import html.parser
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.core.files import write_json, write_table
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.report import figures
from stratagem.report.data_page import StoredData, class_table, part_table, render

CLASSES = ("background", "cell", "speck")
PART_OF = {"a": "train", "b": "train", "c": "test", "d": "val"}
BAD = "file,reason\n" + "".join(f"bad-{number:02}.png,reason {number}\n" for number in range(23))


class Page(html.parser.HTMLParser):
    """What a browser makes of the page: text, links, rows, figures; unbalanced tags are refused."""

    EMPTY = frozenset({"meta", "link", "br"})

    def __init__(self, text: str):
        super().__init__()
        self.open, self.links, self.words, self.rows, self.figures = [], [], [], [], 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        """A tag opens, or asks for something."""
        self.links += [value for key, value in attributes if key in ("href", "src", "xlink:href")]
        self.open += [tag] * (tag not in self.EMPTY)
        self.figures += tag == "figure"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        """A tag closes, and it is the last one that opened."""
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        """A tag that opens and closes at once."""
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_data(self, data):
        """Text that is read; not style."""
        if not {"style", "svg"} & set(self.open):
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All that is written, blanks as one."""
        return " ".join("".join(self.words).split())


def _picture(name: str, size=(40, 48)) -> np.ndarray:
    """Noise, another for each name."""
    return np.random.default_rng(list(name.encode())).integers(0, 256, (*size, 3), dtype=np.uint8)


def _mask(side=10, size=(40, 48)) -> np.ndarray:
    """One square cell."""
    mask = np.zeros(size, np.uint8)
    mask[4 : 4 + side, 4 : 4 + side] = 1
    return mask


def _stored(folder, pictures: dict, masks: dict, **changes) -> StoredData:
    """Every file that the page reads, made as the workflow makes them; the parts by a name's first letter."""
    for kind, arrays in (("images", pictures), ("masks", masks)):
        (folder / kind).mkdir(parents=True)
        for name, array in arrays.items():
            Image.fromarray(array).save(folder / kind / f"{name}.png")
    given = {
        "classes": CLASSES[:2],
        "group": None,
        "part": None,
        "problems": None,
        "channels": None,
    } | changes
    found = find(folder / "images", folder / "masks", "{stem}", given["group"], given["part"])
    wanted = Wanted(list(given["classes"]), {"encoding": "indices"}, given["channels"])
    index = build_index(found, wanted)
    assert index.problems.empty
    parts = pd.DataFrame({"sample": index.table["sample"], "fold": 0})
    splits = parts.assign(part=parts["sample"].str[0].map(PART_OF).fillna("train"))
    split = {"seed": 7, "group": given["group"], "part": given["part"]}
    study = {"study": "tiny", "classes": list(given["classes"]), "split": split}
    paths = ("index.parquet", "duplicates.csv", "understood.json", "splits.parquet", "problems.csv")
    stored = StoredData(study, *(folder / name for name in paths))
    write_table(index.table, stored.index)
    write_table(index.duplicates, stored.duplicates)
    write_json(index.understood, stored.understood)
    write_table(splits, stored.splits)
    if given["problems"] is not None:
        stored.problems.write_text(given["problems"])
    return stored


def _rendered(stored: StoredData) -> Page:
    page = stored.index.parent / "data" / "report.html"
    render(stored, page)
    return Page(page.read_text(encoding="utf-8"))


def _calm(folder, names=("a", "c", "d"), **changes) -> StoredData:
    """Images of one size that all hold a cell: nothing to tell of."""
    return _stored(folder, {name: _picture(name) for name in names}, dict.fromkeys(names, _mask()), **changes)


def _busy(folder) -> StoredData:
    """Images of which there is something to tell in every section."""
    names = [f"{letter}{number}" for letter in "abc" for number in range(1, 5)] + ["d1"]
    sizes = {name: (40, 41 + place) for place, name in enumerate(names)}
    sizes |= {"b1": sizes["a1"], "b2": sizes["a2"]}
    pictures = {name: _picture(name, size) for name, size in sizes.items()}
    pictures["b1"] = pictures["a1"]
    pictures["b2"] = (0.8 * pictures["a2"]).astype(np.uint8)
    pictures["c2"] = pictures["c2"][..., 0]
    pictures["c3"] = pictures["c3"][..., 0].astype(np.uint16) * 4
    masks = {name: _mask(place + 2, sizes[name]) for place, name in enumerate(names)}
    masks["c1"][:] = 0
    masks["a1"][0, 0] = 2
    return _stored(folder, pictures, masks, classes=CLASSES, group="^(.)", problems=BAD)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The page of a data set of which there is nothing to tell."""
    stored = _calm(tmp_path_factory.mktemp("calm"))
    return SimpleNamespace(stored=stored, page=_rendered(stored))


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """The page of a data set of which there is much to tell."""
    stored = _busy(tmp_path_factory.mktemp("busy"))
    return SimpleNamespace(stored=stored, page=_rendered(stored))


def _tables(stored: StoredData) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_parquet(stored.index), pd.read_parquet(stored.splits)


def test_how_the_masks_were_read_stands_first(calm, busy):
    """A sentence, and what was found of each class."""
    assert "0 and 1 in all 3 masks: 0 = background, 1 = cell." in calm.page.text
    assert "cell: 5.21% of the pixels, 3 objects, in 3 of 3 images." in calm.page.text
    text = busy.page.text
    assert "0, 1 and 2 in all 13 masks" in text and "13 images with their masks, 3 classes" in text
    assert (
        text.index("in all 13 masks") < text.index("Problems") < text.index("Classes") < text.index("Sizes")
    )


def test_a_set_that_is_as_it_should_be_is_said_to_be(calm, busy):
    """One sentence says what was looked for and not found; beside a warning it would be untrue."""
    assert "Nothing else stands out" in calm.page.text
    assert "Nothing else stands out" not in busy.page.text


def test_notes_are_told(calm, busy):
    """What recognition found besides."""
    assert "Background alone in 1 of 13 masks." in busy.page.text
    assert "Background alone" not in calm.page.text


def test_a_note_is_something_that_stands_out(tmp_path):
    """A note stands among the things to look at, and nobody says that there are none."""
    stored = _calm(tmp_path)
    understood = {"labels": "0 and 1", "notes": ["Is it the ground?", "look at it"], "images": "uint8"}
    write_json(understood, stored.understood)
    text = _rendered(stored).text
    assert "Is it the ground? look at it." in text
    assert "Nothing else stands out" not in text


def test_how_many_images_copies_join_is_told(busy):
    """Pairs alone do not tell whether two images or twenty are one."""
    joined = pd.read_parquet(busy.stored.index)["cluster"].value_counts()
    joined = joined[joined > 1]
    told = f"{joined.sum()} images count as {len(joined)}; the most that are one: {joined.max()}."
    assert told in busy.page.text


def test_skipped_files_are_counted_and_the_first_twenty_listed(busy):
    """The study is of fewer images than I gave, and the page says which, and why."""
    assert "23 problems: what could not be used was skipped." in busy.page.text
    listed = [row for row in busy.page.rows if row[0].startswith("bad-")]
    assert listed == [[f"bad-{number:02}.png", f"reason {number}"] for number in range(20)]
    assert "And 3 more: problems.csv lists all." in busy.page.text


@pytest.mark.parametrize("problems", [None, "file,reason\n"])
def test_no_word_of_skipped_files_where_there_are_none(tmp_path, problems):
    """The list may be empty, or gone."""
    text = _rendered(_calm(tmp_path, problems=problems)).text
    assert "skipped." not in text and "Problems" not in text and "bad_samples" not in text


def test_few_problems_have_no_more(tmp_path):
    """All are listed; one is one."""
    page = _rendered(_calm(tmp_path, problems="file,reason\nNA,empty\n"))
    assert ["NA", "empty"] in page.rows and "1 problem: what" in page.text
    assert "more: problems.csv" not in page.text


def test_what_the_files_held_and_what_became_of_it(calm, busy):
    """Kinds of files with their counts; what was scaled, and what was converted."""
    assert "uint8, 3 channels: 3 images." in calm.page.text
    for words in (
        "uint8, 3 channels: 11 images; uint8, 1 channel: 1 image",
        "more than 8 bits scaled from",
        "2 images of one channel: the network sees three equal ones.",
    ):
        assert words in busy.page.text
    assert "more than 8 bits" not in calm.page.text and "of one channel" not in calm.page.text
    assert "Channels used" not in calm.page.text + busy.page.text


def test_chosen_channels_are_told(tmp_path):
    """The network sees what I asked for."""
    assert "Channels used, counted from 0: 2, 1, 0." in _rendered(_calm(tmp_path, channels=(2, 1, 0))).text


def test_channels_that_are_no_colours_are_named_with_the_colours_they_are_shown_in(tmp_path):
    """By their numbers, or as the study names them; colours need no key."""
    calm = _calm(tmp_path, channels=(2, 0))
    text = _rendered(calm).text
    assert "Pictures here add up the channels, each in a colour: 2, 0. The network sees them apart." in text
    text = _rendered(replace(calm, study=calm.study | {"channels": {"dapi": 2, "actin": 0}})).text
    assert "each in a colour: dapi, actin." in text and "counted from 0: 2 (dapi), 0 (actin)." in text
    assert "add up the channels" not in _rendered(_calm(tmp_path / "colour")).text


def test_many_sizes_are_drawn_and_few_are_listed(calm, busy):
    """Ten sizes stand in the table; a figure shows the others too."""
    assert ["40 × 48", "3"] in calm.page.rows and calm.page.figures == 3
    assert ["40 × 41", "2"] in busy.page.rows and ["1 other size", "1"] in busy.page.rows
    assert busy.page.figures == 6 + 1 and "Every size" in busy.page.text
    assert "other size" not in calm.page.text and "Every size" not in calm.page.text


def test_classes_are_measured(busy):
    """Share of the pixels, images, objects in all, and the median of those that hold any."""
    table = class_table(*_tables(busy.stored), list(CLASSES)).set_index("class")
    area = sum(40 * width for width in (41, 42, 43, 44, 41, 42, *range(47, 54)))
    cells = sum((place + 2) ** 2 for place in range(13) if place != 8)
    assert table.loc["cell", "share"] == pytest.approx(cells / area)
    assert table.loc["speck", "share"] == pytest.approx(1 / area)
    assert table["share"].sum() == pytest.approx(1)
    assert table["images"].to_list() == [13, 12, 1]
    assert table["objects"].to_list()[1:] == [12, 1] and table["median"].to_list()[1:] == [1, 1]
    assert table["tested"].to_list() == [4, 3, 0]
    assert ["speck", "<0.01%", "1 of 13", "1", "1", "rare"] in busy.page.rows


def test_the_median_is_of_images_that_hold_the_class(tmp_path):
    """Images without it do not pull it to zero."""
    masks = {"a": _mask(), "b": _mask(), "c": _mask(0), "d": _mask(0)}
    masks["a"][30:34, 30:34] = masks["a"][30:34, 40:44] = 1
    stored = _stored(tmp_path, {name: _picture(name) for name in masks}, masks)
    assert class_table(*_tables(stored), ["background", "cell"])["median"].to_list() == [1, 2]


def _measured(pixels: list[int], images=20, held=20) -> pd.DataFrame:
    """The class table of images alike, of which some hold the last class."""
    counts = {f"pixels_{number}": [count] * images for number, count in enumerate(pixels)}
    counts[f"pixels_{len(pixels) - 1}"][held:] = [0] * (images - held)
    objects = {f"objects_{number}": 1 for number in range(len(pixels))}
    index = pd.DataFrame({"sample": [str(number) for number in range(images)]} | counts | objects)
    splits = index[["sample"]].assign(fold=0, part="test")
    return class_table(index, splits, [f"class {number}" for number in range(len(pixels))])


@pytest.mark.parametrize(
    ("pixels", "held", "rare"),
    [
        ([990, 10], 20, [False, False]),  # 1 % in every image
        ([991, 9], 20, [False, True]),
        ([500, 500], 2, [False, False]),  # 10 % of the images
        ([500, 500], 1, [False, True]),
        ([1, 999], 20, [False, False]),  # background has no score that could suffer
    ],
)
def test_a_class_is_rare_by_its_pixels_or_its_images(pixels, held, rare):
    """Under 1 % of the pixels, or in under 10 % of the images."""
    assert _measured(pixels, held=held)["rare"].to_list() == rare


def test_a_rare_class_is_pointed_out_with_what_it_means(calm, busy, tmp_path):
    """I know before training that its score will be shaky; one that is not tested has none."""
    assert "speck is rare: <0.01% of the pixels, in 1 of 13 images. No" in busy.page.text
    assert "Fewer test images hold such a class" in busy.page.text
    assert "speck is rare" not in calm.page.text and "Rare" not in calm.page.text
    names = ("a", "c", "d")
    text = _rendered(_stored(tmp_path, {n: _picture(n) for n in names}, dict.fromkeys(names, _mask(4)))).text
    words = (
        "cell is rare: 0.83% of the pixels, in 3 of 3 images. Its score rests on the 1 test image that holds"
    )
    assert f"{words} it, where a few pixels change it:" in text


def test_empty_masks_are_counted(calm, busy):
    """Images without foreground have no score."""
    assert "1 image holds no foreground." in busy.page.text
    assert "no foreground" not in calm.page.text


def test_groups_are_told(calm, busy):
    """The largest first, and which part each is in."""
    assert "4 groups; the images of one are always in one part" in busy.page.text
    start = busy.page.rows.index(["group", "images", "part"])
    rows = [["a", "4", "training"], ["b", "4", "training"], ["c", "4", "test"], ["d", "1", "validation"]]
    assert busy.page.rows[start + 1 : start + 5] == rows
    assert "group" not in calm.page.text.replace("as groups allow", "")


def test_a_pattern_that_groups_nothing_is_pointed_out(tmp_path, busy):
    """A slip in the pattern would make leaks out of what I wanted to keep together."""
    text = _rendered(_calm(tmp_path, group="^none")).text
    assert "No two images share a group, though split.group is set" in text
    assert "Nothing else stands out" not in text
    assert "No two images share" not in busy.page.text


def test_many_groups_are_listed_in_part(tmp_path):
    """Twenty, and how many are left."""
    names = [f"a{number:02}" for number in range(21)] + ["b00x"]
    stored = _calm(tmp_path, names, group="[0-9]+")
    page = _rendered(stored)
    start = page.rows.index(["group", "images", "part"])
    assert page.rows[start + 1] == ["00", "2", "training"] and page.rows[start + 20][0] == "19"
    assert "21 groups" in page.text and "And 1 more, none of them larger." in page.text


def test_the_parts_are_set_beside_each_other(busy):
    """Images, groups, shares of the pixels and how many images hold each class."""
    rows = part_table(*_tables(busy.stored))
    assert [(row["part"], row["images"], row["groups"]) for row in rows] == [
        ("training", 8, 2),
        ("validation", 1, 1),
        ("test", 4, 1),
    ]
    assert rows[1]["shares"] == pytest.approx([1 - 14**2 / (40 * 53), 14**2 / (40 * 53), 0])
    assert rows[2]["held"] == [4, 3, 0]
    assert ["validation", "1", "1", "90.75% (1)", "9.25% (1)", "0.00% (0)"] in busy.page.rows
    assert ["part", "images", "groups", *CLASSES] in busy.page.rows


def test_a_part_that_lacks_a_class_is_pointed_out(calm, busy):
    """A class that no test image holds has no score."""
    assert "No test image holds speck: it has no score there." in busy.page.text
    assert "No validation image holds speck" in busy.page.text
    assert "No training image" not in busy.page.text and "image holds cell" not in busy.page.text
    assert not re.search("No (test|validation|training) image", calm.page.text)


def test_folds_are_told_apart(tmp_path, calm):
    """A row a fold and part, and in which fold a class is missing."""
    masks = {"a": _mask(), "b": _mask(), "c": _mask(0)}
    stored = _stored(tmp_path, {name: _picture(name) for name in masks}, masks)
    parts = [("a", 0, "test"), ("b", 0, "val"), ("c", 0, "train")]
    parts += [("c", 1, "test"), ("a", 1, "val"), ("b", 1, "train")]
    write_table(pd.DataFrame(parts, columns=["sample", "fold", "part"]), stored.splits)
    page = _rendered(stored)
    assert ["0", "training", "1", "100.00% (1)", "0.00% (0)"] in page.rows
    assert "No training image holds cell in fold 0: it cannot be learned there." in page.text
    assert "No test image holds cell in fold 1" in page.text
    assert "fold" not in calm.page.text


def test_who_divided_the_images_is_said(tmp_path, calm):
    """The study's seed, or I myself."""
    assert "drawn with seed 7" in calm.page.text and "came with the data" not in calm.page.text
    text = _rendered(_calm(tmp_path, ("train-1", "test-2", "val-3"), part="^[a-z]+")).text
    assert "came with the data" in text and "drawn with seed" not in text


def test_duplicates_are_listed(calm, busy):
    """Exact ones first, then near ones, and that they do no harm in the split."""
    assert "2 pairs of images that are there twice: 1 exact, 1 near." in busy.page.text
    start = busy.page.rows.index(["image", "other", "kind", "correlation"])
    (first, second) = busy.page.rows[start + 1 : start + 3]
    assert first == ["a1", "b1", "exact", "1.000"]
    assert second[:3] == ["a2", "b2", "near"] and 0.9 < float(second[3]) <= 1
    assert "never straddle two parts of the split" in busy.page.text
    assert "more: duplicates.csv" not in busy.page.text
    assert "straddle" not in calm.page.text and "Duplicates" not in calm.page.text


def test_many_duplicates_are_listed_in_part(tmp_path):
    """The most alike twenty, with names as they are, and how many are left."""
    stored = _calm(tmp_path)
    pairs = "".join(f"007,NA,near,0.8{number:02}\n" for number in range(21)) + "1e5,None,exact,1.0\n"
    stored.duplicates.write_text("sample,other,kind,correlation\n" + pairs)
    page = _rendered(stored)
    start = page.rows.index(["image", "other", "kind", "correlation"])
    assert page.rows[start + 1 : start + 3] == [
        ["1e5", "None", "exact", "1.000"],
        ["007", "NA", "near", "0.820"],
    ]
    assert sum(row[-2:-1] == ["near"] for row in page.rows) == 19
    assert "And 2 more: duplicates.csv lists all." in page.text


def _captions(page: Page) -> list[tuple[str, float]]:
    """The names and foreground shares under the examples, in their order."""
    return [(name, float(share)) for name, share in re.findall(r"(\w+): ([\d.]+)% foreground", page.text)]


def test_six_examples_go_from_little_foreground_to_much(busy):
    """The smallest and the largest share of all are among them; an image without any is not."""
    captions = _captions(busy.page)
    shares = [share for _, share in captions]
    assert len(captions) == 6 and shares == sorted(shares)
    assert captions[0][0] == "a1" and captions[-1][0] == "d1"
    assert "c1" not in dict(captions)
    assert "a1: 0.30% foreground (cell, speck)" in busy.page.text


def test_fewer_images_are_all_shown_once(calm):
    """Of three images, three."""
    assert [name for name, _ in _captions(calm.page)] == ["a", "c", "d"]


def test_the_colours_of_outlines_have_names(busy):
    """Which class is green is written beside the pictures."""
    text = (busy.stored.index.parent / "data/report.html").read_text()
    for number, name in ((1, "cell"), (2, "speck")):
        assert f'style="background: {figures.class_colour(number)}"></span>{name}' in text


def test_one_image_is_enough(tmp_path):
    """The page does not need a set to compare with."""
    page = _rendered(_calm(tmp_path, ("a",)))
    assert "1 image with its mask" in page.text and "0 and 1 in the one mask" in page.text
    assert page.figures == 1 and ["training", "1", "94.79% (1)", "5.21% (1)"] in page.rows


def test_names_cannot_break_the_page(tmp_path):
    """A file or class may be called anything; it is written as it is, and does nothing."""
    evil = '<script>alert("$x$")&amp;'
    names = (f"a {evil[1:]}", f"a {evil[1:]} 2", "c", "d")
    stored = _calm(tmp_path, names, classes=("back<ground", evil), group="^(.)")
    stored.problems.write_text(f'file,reason\n"<b>.png","<i>{evil[8:11]}"\n')
    stored.duplicates.write_text("sample,other,kind,correlation\n<u>,</table>,near,0.9\n")
    understood = {"labels": f"0 = {evil}", "notes": ["<img src=x>"], "images": "<p>"}
    write_json(understood, stored.understood)
    study = stored.study | {"study": "<h1>"}
    page = _rendered(replace(stored, study=study))
    for words in (
        evil,
        "back<ground",
        names[0],
        "<b>.png",
        "<u>",
        "</table>",
        "<img src=x>.",
        "<h1>: the data",
    ):
        assert words in page.text
    text = (tmp_path / "data/report.html").read_text().lower()
    assert "<script" not in text and "<img" not in text


def test_the_page_asks_for_nothing_from_elsewhere(busy):
    """It works from disk, by mail and without a network; links within it lead somewhere."""
    text = (busy.stored.index.parent / "data/report.html").read_text()
    assert [link for link in busy.page.links if not link.startswith(("#", "data:"))] == []
    named = set(re.findall(r'\bid="([^"]+)"', text))
    assert {link[1:] for link in busy.page.links if link.startswith("#")} <= named
    assert {"problems", "classes", "parts", "duplicates"} <= {link[1:] for link in busy.page.links}


def test_the_same_data_give_the_same_bytes(calm):
    """A page made again differs only where the data do."""
    page = calm.stored.index.parent / "data/report.html"
    before = page.read_bytes()
    render(calm.stored, page)
    assert page.read_bytes() == before


@pytest.mark.filterwarnings("error")
def test_figures_show_what_they_are_given():
    """Other pixels, outlines or sizes give another drawing; one point is no special case."""
    image = _picture("a")
    drawn = [
        figures.sample(image, _mask()),
        figures.sample(image, _mask(11)),
        figures.sample(image[::-1], _mask()),
    ]
    sizes = [pd.DataFrame({"height": [40, 50], "width": [60, 60], "images": [1, n]}) for n in (1, 9)]
    drawn += [figures.sizes(table) for table in (*sizes, sizes[0][:1])]
    assert len(set(drawn)) == 6
    for svg in drawn:
        ElementTree.fromstring(svg)
    assert [svg.count("<image ") for svg in drawn] == [2, 2, 2, 0, 0, 0]


def test_a_panel_of_a_very_tall_image_stays_on_the_page():
    """A strip of a thousand rows is shown small, not pages long."""
    strip = figures.sample(np.zeros((4000, 4, 3), np.uint8), np.zeros((4000, 4), np.uint8))
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', strip).groups())
    assert height < 2 * width
