"""Figures draw numbers that others computed: the same numbers, the same bytes, and none left out."""

import functools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from stratagem.report import figures

SVG = "{http://www.w3.org/2000/svg}"
VERDICTS = ["helps", "hurts", "no difference", "cannot tell yet"]


def _comparison(names=("resize", "augment"), low=0.01) -> pd.DataFrame:
    """Rows of the primary endpoint, every verdict in turn."""
    rows = [
        (name, "baseline", "dice", "mean", 0.05, low, 0.09, low, 0.08, VERDICTS[place % 4])
        for place, name in enumerate(names)
    ]
    columns = ["strategy", "reference", "metric", "class", "difference", "low", "high"]
    columns += ["inner_low", "inner_high", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _differences(names=("resize", "augment"), step=0.01) -> pd.DataFrame:
    rows = [(name, "baseline", f"image-{i}", step * i) for name in names for i in range(5)]
    return pd.DataFrame(rows, columns=["strategy", "reference", "unit", "difference"])


def _histories(names=("baseline", "resize"), last=0.8) -> pd.DataFrame:
    rows = [
        (name, 0, seed, share, dice)
        for name in names
        for seed in (1, 2)
        for share, dice in ((0.5, 0.4), (1.0, last))
    ]
    return pd.DataFrame(rows, columns=["strategy", "fold", "seed", "share", "val_dice"])


def _costs(names=("baseline", "resize"), cpu_s=10.0, pretraining=None) -> pd.DataFrame:
    return pd.DataFrame(
        {"strategy": names, "cpu_s": cpu_s, "pretraining_cpu_s": pd.Series(pretraining, dtype=float)},
        index=range(len(names)),
    )


def _runs(names=("baseline", "resize"), last=0.8, collapsed=False) -> pd.DataFrame:
    rows = [(name, seed, score) for name in names for seed, score in ((1, 0.7), (2, last))]
    table = pd.DataFrame(rows, columns=["strategy", "seed", "score"])
    return table.assign(collapsed=collapsed & (table["seed"] == 2))


def _means(names=("baseline", "resize"), score=0.7) -> pd.Series:
    return pd.Series(score, index=list(names))


def _savings(high=0.2, budgets=(100,)) -> pd.DataFrame:
    rows = [
        (arm, budget / 1000, budget, size, 0.1, 0.05, high)
        for arm in ("fine-tuned", "frozen")
        for budget in budgets
        for size in (8, 80)
    ]
    columns = ["arm", "budget_share", "budget_images", "train_images", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _picture(value=90) -> tuple[np.ndarray, np.ndarray]:
    """A grey image of 20 x 30 and a mask with two classes and an ignored corner."""
    mask = np.zeros((20, 30), np.uint8)
    mask[4:10, 4:10], mask[12:18, 20:26], mask[0, 0] = 1, 2, 255
    return np.full((20, 30, 3), value, np.uint8), mask


def _example(value=90, names=("baseline", "resize")) -> str:
    image, mask = _picture(value)
    return figures.example(image, mask, {name: np.roll(mask, 1, axis=1) for name in names})


DRAWN = {
    "effects": (lambda: figures.effects(_comparison(), 0.01), lambda: figures.effects(_comparison(), 0.02)),
    "effects-rows": (
        lambda: figures.effects(_comparison(), 0.01),
        lambda: figures.effects(_comparison(low=0.02), 0.01),
    ),
    "pairs": (lambda: figures.pairs(_differences()), lambda: figures.pairs(_differences(step=0.02))),
    "pairs-unit": (
        lambda: figures.pairs(_differences()),
        lambda: figures.pairs(_differences(), "group of test images"),
    ),
    "runs": (lambda: figures.runs(_runs(), "Dice"), lambda: figures.runs(_runs(last=0.1), "Dice")),
    "runs-collapsed": (
        lambda: figures.runs(_runs(), "Dice"),
        lambda: figures.runs(_runs(collapsed=True), "Dice"),
    ),
    "curves": (lambda: figures.curves(_histories()), lambda: figures.curves(_histories(last=0.7))),
    "cost": (
        lambda: figures.cost(_costs(), _means(), "Dice"),
        lambda: figures.cost(_costs(cpu_s=11.0), _means(), "Dice"),
    ),
    "cost-scores": (
        lambda: figures.cost(_costs(), _means(), "Dice"),
        lambda: figures.cost(_costs(), _means(score=[0.7, 0.8]), "Dice"),
    ),
    "cost-pretraining": (
        lambda: figures.cost(_costs(), _means(), "Dice"),
        lambda: figures.cost(_costs(pretraining=[np.nan, 30.0]), _means(), "Dice"),
    ),
    "transfer": (
        lambda: figures.transfer(_savings(), "Dice", 0.01),
        lambda: figures.transfer(_savings(high=0.3), "Dice", 0.01),
    ),
    "example": (_example, lambda: _example(value=91)),
}


@functools.cache
def _drawn(name: str) -> str:
    return DRAWN[name][0]()


def _parsed(svg: str) -> ElementTree.Element:
    """An SVG that may stand inside a page: well formed, from its first to its last sign."""
    assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    return root


def _words(svg: str) -> set[str]:
    """What is written in a figure: letters are paths, and a comment beside them says which."""
    return {found.strip() for found in re.findall(r"<!--(.*?)-->", svg)}


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_numbers_give_the_same_bytes(name):
    """A report made again differs only where its numbers do."""
    draw, draw_other = DRAWN[name]
    svg = _drawn(name)
    _parsed(svg)
    assert draw() == svg
    assert draw_other() != svg


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_needs_nothing_from_elsewhere(name):
    """No address is asked for, no font either: a figure looks alike everywhere and without a network."""
    svg = _drawn(name)
    links = [
        value
        for element in _parsed(svg).iter()
        for key, value in element.attrib.items()
        if key.rpartition("}")[2] in ("href", "src")
    ]
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert f"{SVG}text" not in {element.tag for element in _parsed(svg).iter()}
    assert not re.search(r"20\d\d-\d\d-\d\dT", svg)  # no date


@pytest.mark.filterwarnings("error")
def test_a_study_of_the_baseline_alone_is_drawn_without_a_warning():
    """Nothing is compared: the figures are empty, not broken."""
    _parsed(figures.effects(_comparison(names=()), 0.01))
    _parsed(figures.pairs(pd.DataFrame(columns=["strategy", "difference"])))
    _parsed(figures.runs(_runs(("baseline",)), "Dice"))
    _parsed(figures.curves(_histories(names=("baseline",))))
    _parsed(figures.cost(_costs(("baseline",)), _means(("baseline",)), "Dice"))
    image, mask = _picture()
    _parsed(figures.example(image, mask, {}))


@pytest.mark.filterwarnings("error")
def test_one_seed_is_drawn_without_a_warning():
    """A comparison without an interval is a point."""
    svg = figures.effects(_comparison(low=np.nan).assign(high=np.nan, inner_high=np.nan), 0.01)
    assert "resize − baseline" in _words(svg)


@pytest.mark.parametrize("count", [1, 45])
def test_every_strategy_is_named_however_many_there_are(count):
    """No strategy is left out of a figure for want of a colour."""
    names = [f"strategy-{number}" for number in range(count)]
    drawn = {
        "effects": figures.effects(_comparison(names), 0.01),
        "pairs": figures.pairs(_differences(names)),
        "runs": figures.runs(_runs(names), "Dice"),
        "curves": figures.curves(_histories(names)),
        "cost": figures.cost(_costs(names), _means(names), "Dice"),
    }
    for name, svg in drawn.items():
        _parsed(svg)
        written = {word.removesuffix(" − baseline") for word in _words(svg)}
        assert set(names) - written == set(), name


def test_twenty_strategies_have_twenty_colours():
    """Two lines of one colour could not be told apart."""
    svg = figures.curves(_histories([f"s-{number}" for number in range(20)]))
    legend = svg[svg.index('id="legend_1"') :]
    assert len(set(re.findall(r"stroke: (#[0-9a-f]{6})[^\"]*stroke-width: 2", legend))) == 20


def test_each_verdict_has_its_own_colour():
    """Good and bad news can be told at a glance."""
    svg = figures.effects(_comparison(["a", "b", "c", "d"]), 0.01)
    for colour in figures.COLOURS.values():
        assert colour in svg
    assert sorted(figures.COLOURS) == sorted(VERDICTS) and len(set(figures.COLOURS.values())) == 4


def test_the_endpoint_is_named():
    """The axis says which score it is about."""
    assert "difference of Dice, simultaneous 95 % interval" in _words(figures.effects(_comparison(), 0.01))
    other = figures.effects(_comparison().assign(metric="iou"), 0.01)
    assert "difference of IoU, simultaneous 95 % interval" in _words(other)


def test_a_name_with_hyphens_is_drawn_whole():
    """Names are of a-z, 0-9 and hyphens, two in a row too: all of it is well-formed."""
    for name in ("full-data", "a--b", "a-"):
        svg = figures.effects(_comparison([name]), 0.01)
        _parsed(svg)
        _parsed(figures.pairs(_differences([name])))


def test_every_run_is_a_point_and_a_collapsed_one_stands_out():
    """Each seed is seen, and one that failed at a glance."""
    points = {}
    for collapsed in (False, True):
        svg = figures.runs(_runs(collapsed=collapsed), "IoU")
        points[collapsed] = re.findall(r"<use [^>]*style=\"fill: (#[0-9a-f]{6}); fill-opacity: 0.6", svg)
        assert "IoU on the test images, one point a run (cross: collapsed)" in _words(svg)
    assert len(points[False]) == len(points[True]) == 4
    assert points[False].count(figures.COLOURS["hurts"]) == 0
    assert points[True].count(figures.COLOURS["hurts"]) == 2


@pytest.mark.filterwarnings("error")
def test_runs_without_a_score_are_drawn_without_a_warning():
    """No test image holds foreground: there is no point, and the names stand all the same."""
    assert {"baseline", "resize"} <= _words(figures.runs(_runs().assign(score=np.nan), "Dice"))


def test_the_unit_of_a_pair_is_named():
    """A point is an image, or a group of images."""
    words = " ".join(_words(figures.pairs(_differences(), "group of test images")))
    assert "a point a group of test images" in words
    assert "a point a test image" in " ".join(_words(figures.pairs(_differences())))


def test_pretraining_is_a_tail():
    """A source's cost is drawn beside the run's own, not added in silence."""
    tables = [_costs(cpu_s=[10.0, 100.0], pretraining=values) for values in ([np.nan] * 2, [90.0, np.nan])]
    lines = [figures.cost(table, _means(), "Dice").count('<g id="line2d_') for table in tables]
    assert lines[1] == lines[0] + 1


def test_transfer_is_drawn_over_the_labelled_images():
    """An arm and a budget are a line, named; each number of images tried is a mark of the axis."""
    words = _words(figures.transfer(_savings(budgets=(100, 1000)), "IoU", 0.01))
    assert {"8", "80", "fine-tuned", "frozen", "100 images a run", "1,000 images a run"} <= words
    assert "labelled images to train on" in words and "difference of IoU from the control" in words


@pytest.mark.filterwarnings("error")
def test_transfer_without_intervals_is_drawn_without_a_warning():
    """One seed."""
    _parsed(figures.transfer(_savings(high=np.nan).assign(low=np.nan), "Dice", 0.01))


def test_an_example_shows_truth_and_every_prediction():
    """One panel for the truth and one a strategy, in rows of four."""
    svg = _example(names=[f"s-{number} 0.50" for number in range(9)])
    assert {"truth", *(f"s-{number} 0.50" for number in range(9))} <= _words(svg)
    assert len([one for one in _parsed(svg).iter() if one.tag == f"{SVG}image"]) == 10


def test_outlines_lie_on_the_edge_of_each_class():
    """The inside keeps the image's own pixels; ignored pixels and background have no outline."""
    image, mask = _picture()
    drawn = figures._outlined(image, mask)
    changed = (drawn != image).any(axis=-1)
    assert changed[4, 4] and changed[9, 9] and changed[12, 20]
    assert not changed[7, 7] and not changed[0, 0] and not changed[15, 23]
    assert tuple(drawn[4, 4]) != tuple(drawn[12, 20])
    for number, pixel in ((1, drawn[4, 4]), (2, drawn[12, 20])):
        assert figures.class_colour(number) == "#{:02x}{:02x}{:02x}".format(*pixel)
    assert (image == 90).all()  # the caller's image is not drawn on


def test_figures_leave_no_open_figure_and_no_setting_behind():
    """Drawing a hundred reports costs the memory of one."""
    before, open_before = dict(figures.plt.rcParams), figures.plt.get_fignums()
    for name in ("pairs", "example"):
        DRAWN[name][0]()
    assert figures.plt.get_fignums() == open_before
    assert dict(figures.plt.rcParams) == before


def test_no_two_classes_have_one_colour():
    """Of as many classes as a mask can have; those of small studies are far apart."""
    colours = [figures.class_colour(number) for number in range(256)]
    assert len(set(colours)) == 256
    few = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours[:16]])
    apart = np.abs(few[:, None] - few[None]).sum(axis=2) + 999 * np.eye(16)
    assert apart.min() >= 60


def test_blocks_are_drawn_where_they_lie():
    """One rectangle a block, in the colour of its part."""
    rows = [("scene", part, 10 * n, 0, 8, 30) for n, part in enumerate(("training", "training", "test"))]
    table = pd.DataFrame(rows, columns=["image", "part", "top", "left", "height", "width"])
    drawn = figures.blocks(table)
    assert drawn.count(figures.PART_COLOURS["training"]) > drawn.count(figures.PART_COLOURS["test"]) > 0
