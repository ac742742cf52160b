"""What is asked of a person says what was found, and each way on, in lines of config to paste."""

import re
from collections import Counter
from dataclasses import replace

import pytest
import yaml

from stratagem.core.errors import DataError
from stratagem.data.masks.evidence import Summary, area_of, total_counts
from stratagem.data.masks.question import (
    LISTED,
    colour_lines,
    enumerated,
    flow,
    hint_of_alpha,
    hint_of_few_codes,
    hint_of_many_colours,
    hint_of_many_values,
    hint_of_one_grey,
    listed,
    mask_count,
    paint_line,
    reading_as_classes,
    setting,
    stop,
    two_readings,
    value_lines,
)

TWO = ["background", "nucleus"]
THREE = ["background", "nucleus", "edge"]
COLOURS = ["#000000", "#c80000", "#0000c8", "#00c800"]


def _lines(text: str) -> list[dict]:
    """The lines of config in a message, as YAML reads them."""
    return [yaml.safe_load(line)["labels"] for line in re.findall(r"`(labels: .*?)`", text)]


# The stop


def test_a_stop_is_an_error_of_the_config_s_labels():
    """It says what was found, where it is settled, and how."""
    error = stop("two moons", "Look again.")
    assert isinstance(error, DataError)
    assert str(error) == (
        "config key `labels`: expected masks that can be read in one way alone, but found two moons. "
        "Look again."
    )


def test_each_reading_comes_with_its_line():
    """Meaning and line are joined by a colon, or by the meaning's own last word."""
    error = two_readings("two moons", ("one is a dot", "labels: a"), ("leave it out, with", "labels: b"))
    assert error.found == "two moons"
    assert error.remedy == "Say which: one is a dot: `labels: a`; or leave it out, with `labels: b`."


# Lines of config


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("nucleus", "nucleus"),
        ("cell-2_b", "cell-2_b"),
        ("no", '"no"'),
        ("null", '"null"'),
        ("10 % gelatine", '"10 % gelatine"'),
        ("#ff0000", '"#ff0000"'),
        ("...", '"..."'),
        (True, "true"),
        (-1, "-1"),
        (["a", 1], "[a, 1]"),
        ({"y": {"a": [0, 255]}}, '{"y": {a: [0, 255]}}'),
    ],
)
def test_a_value_is_written_as_yaml_reads_it(value, text):
    """Text is quoted where YAML would misread it, and only there."""
    assert flow(value) == text
    assert yaml.safe_load(flow(value)) == value


def test_a_setting_is_a_line_of_config():
    """The encoding comes first, then its keys."""
    line = setting("values", values={"no": 2, "10 % gelatine": [1, 3]}, ignore=255)
    assert line == 'labels: {encoding: values, values: {"no": 2, "10 % gelatine": [1, 3]}, ignore: 255}'
    values = {"no": 2, "10 % gelatine": [1, 3]}
    assert yaml.safe_load(line) == {"labels": {"encoding": "values", "values": values, "ignore": 255}}


def test_classes_that_nobody_declared_are_named():
    """Each value is a class; values from 0 on are indices."""
    meaning, line = reading_as_classes([0, 1, 2], TWO)
    assert meaning == "each number is a class: `classes: [background, nucleus, class2]` with"
    assert line == "labels: {encoding: indices}"
    values = {"background": 0, "nucleus": 10, "class2": 20}
    assert reading_as_classes([0, 10, 20], TWO)[1] == setting("values", values=values)


def test_values_are_united_ignored_or_classes():
    """Two classes: an extreme may be ignored, all but the ground united; more classes: a line to fill in."""
    lines = value_lines([0, 7, 255], Counter({0: 9, 7: 2, 255: 1}), TWO)
    ignored, united = _lines("; ".join(lines))
    assert ignored == {"encoding": "values", "values": {"background": 0, "nucleus": 7}, "ignore": 255}
    assert united == {"encoding": "values", "values": {"background": 0, "nucleus": [7, 255]}}
    (blank,) = value_lines([0, 1, 5, 6], Counter({0: 9, 1: 2, 5: 1, 6: 1}), THREE)
    assert blank.endswith("(fill in, a list where several)")
    assert _lines(blank)[0]["values"] == dict.fromkeys(THREE, "...")
    assert _lines(value_lines([0, 1, 2], Counter([0, 0, 1, 2]), TWO)[-1]) == [{"encoding": "indices"}]


def test_as_many_colours_as_classes_make_one_line():
    """One more colour is united or ignored; yet more are united, or filled in."""
    (one,) = _lines(colour_lines(COLOURS[:2], TWO))
    assert one["colours"] == {"background": "#000000", "nucleus": "#c80000"}
    united, ignored = _lines(colour_lines(COLOURS[:3], TWO))
    assert united["colours"]["nucleus"] == COLOURS[1:3] and ignored["ignore"] == COLOURS[2]
    (united,) = _lines(colour_lines(COLOURS, TWO))
    assert united["colours"]["nucleus"] == COLOURS[1:]
    blank, ignored = _lines(colour_lines(COLOURS, THREE))
    assert set(blank["colours"].values()) == {"..."} and ignored["ignore"] == COLOURS[3]


def test_paint_belongs_to_the_classes_but_the_ground():
    """With two classes all paint is the second, with more each class has a colour."""
    assert paint_line(COLOURS[1:3], TWO) == setting("overlay", colours={"nucleus": COLOURS[1:3]})
    two = {"nucleus": "#c80000", "edge": "#0000c8"}
    assert paint_line(COLOURS[1:], THREE) == setting("overlay", colours=two)


# What to do besides


def test_too_few_codes_are_counted():
    """Of two classes one has the files in doubt, of more the classes."""
    assert "check that they are the right files" in hint_of_few_codes(1, TWO)
    assert hint_of_few_codes(2, THREE).startswith("They are 2, and the classes 3: leave out of `classes`")


def test_shades_are_divided_where_there_are_two_classes():
    """A threshold in the middle, never 0; with more classes the masks are saved anew."""
    assert _lines(hint_of_many_values([100, 199], TWO)) == [{"encoding": "binary", "threshold": 150}]
    assert _lines(hint_of_many_values([-9, 5], TWO)) == [{"encoding": "binary", "threshold": 1}]
    assert not _lines(hint_of_many_values([100, 199], THREE))


def test_greys_of_a_palette_are_told_from_colours():
    """Greys are to be saved as such, mixed colours anew."""
    assert _lines(hint_of_many_colours(["#010101", "#a0a0a0"])) == [{"encoding": "binary", "threshold": 128}]
    assert "resized by nearest neighbour" in hint_of_many_colours(["#010101", "#a0a0a1"])


def test_one_grey_between_two_values_may_be_ignored():
    """Of three values the middle one; of other numbers there is nothing to say."""
    (line,) = _lines(hint_of_one_grey([0, 128, 255], TWO))
    assert line == {"encoding": "values", "values": {"background": 0, "nucleus": 255}, "ignore": 128}
    assert hint_of_one_grey([0, 1, 2, 3], TWO) == ""


def test_alpha_is_pointed_to_where_it_varies():
    """The masks with an alpha channel that varies are counted."""
    plain = Summary("grey", 8, 6)
    assert hint_of_alpha([plain]) == ""
    assert "varies in 1 mask, and alpha is not read" in hint_of_alpha([plain, replace(plain, alpha=True)])


# Counts


def test_counts_are_added_over_masks():
    """Pixels by code, and of all masks."""
    assert total_counts([[(0, 4), (1, 2)], [(1, 3)]]) == {0: 4, 1: 5}
    assert area_of([Summary("grey", 8, 6), Summary("grey", 8, 5)]) == 11


@pytest.mark.parametrize(("count", "words"), [(0, "0 masks"), (1, "1 mask"), (2, "2 masks")])
def test_one_mask_is_no_plural(count, words):
    """A single mask is one mask."""
    assert mask_count(count) == words


def test_the_most_frequent_are_listed_and_the_rest_counted():
    """Codes come with their share of the pixels; beyond a dozen they are but counted."""
    assert listed(Counter({7: 1, 0: 3}), 4) == "0 (75.00%), 7 (25.00%)"
    many = listed(Counter(range(LISTED + 2)), LISTED + 2)
    assert many.count("%") == LISTED and many.endswith(" and 2 more")


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ([0], "0"),
        ([0, 1], "0 and 1"),
        ("abc", "a, b and c"),
        (range(99), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... and 98"),
    ],
)
def test_codes_are_enumerated(codes, words):
    """Of many codes the first and the last are named."""
    assert enumerated(codes) == words
