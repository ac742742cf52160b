"""The page: verdicts in words first, self-contained, nothing computed that is not in the tables."""

import html.parser
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem import tables
from stratagem.comparison import Design
from stratagem.files import write_json, write_table
from stratagem.metrics import confusion, counts
from stratagem.report import Stored, render, sentence

SIZE = (16, 20)
SAMPLES = ["a", "b", "sub/c"]
COST = {"images": 6, "steps": 3, "epochs": 1, "pixels": 9e6, "train_images": 2, "training_s": 8.0}
COST |= {"waiting_s": 2.0, "validation_s": 1.0, "cpu_s": 9.0, "peak_memory_mb": 100.0}
COST |= {"parameters": 50, "trainable": 50, "recipe": {"threads": 1}, "source": "abc"}
COST |= {"execution": {"device": "cpu", "dtype": "float32", "layout": "contiguous_format", "why": "a reason"}}


@dataclass
class Study:
    """A finished study in a folder, with what the tests change of it."""

    strategies: tuple[str, ...] = ("baseline", "full-data", "same")
    seeds: tuple[int, ...] = (1, 2, 3)
    classes: tuple[str, ...] = ("background", "cell")
    baseline: str = "baseline"
    group: str | None = None
    examples: int = 2
    metric: str = "dice"
    errors: dict = field(default_factory=lambda: {"full-data": 0, "same": 3})

    def stored(self, folder) -> Stored:
        """Every file that a report reads, written by hand in the documented layout."""
        rows = [self._sample(folder, sample) for sample in SAMPLES]
        index, splits = folder / "index.parquet", folder / "splits.parquet"
        write_table(pd.DataFrame(rows), index)
        parts = [(sample, 0, "test") for sample in SAMPLES] + [("x", 0, "train"), ("y", 0, "val")]
        write_table(pd.DataFrame(parts, columns=["sample", "fold", "part"]), splits)
        plan = folder / "resolutions" / "native" / "plan.json"
        write_json({"plan": "native", "stride": 8, "size": None, "why": "each image its own size"}, plan)
        runs = [self._run(folder, name, seed) for name in self.strategies for seed in self.seeds]
        others = {name: self.baseline for name in self.strategies if name != self.baseline}
        design = Design(others, self.metric, 0.01, list(self.classes))
        tables.write(tables.make(runs, index, {}, design), folder / "tables")
        return Stored(self._config(), folder / "tables", runs, index, splits, [plan])

    def _config(self) -> dict:
        return {
            "study": "tiny",
            "split": {"group": self.group},
            "seeds": list(self.seeds),
            "budget": {"images": 6, "steps": None},
            "strategies": {name: {"resolution": "native"} for name in self.strategies},
            "report": {
                "baseline": self.baseline,
                "metric": self.metric,
                "margin": 0.01,
                "examples": self.examples,
            },
        }

    def _truth(self, sample: str) -> np.ndarray:
        """A square of each foreground class, side by side."""
        mask = np.zeros(SIZE, np.uint8)
        for number in range(1, len(self.classes)):
            mask[2:10, 8 * number - 6 : 8 * number] = number
        return mask

    def _predicted(self, sample: str, strategy: str, seed: int) -> np.ndarray:
        """The truth less a few rows: more for later samples, fewer for better strategies."""
        mask = self._truth(sample)
        mask[2 : 3 + self.errors.get(strategy, 3) + SAMPLES.index(sample) % 2] = 0
        mask[9, : 1 + seed] = 0
        return mask

    def _sample(self, folder, sample: str) -> dict:
        image, mask = folder / "images" / f"{sample}.png", folder / "masks" / f"{sample}.png"
        _save(np.full((*SIZE, 3), 120, np.uint8), image)
        _save(self._truth(sample), mask)
        row = {"sample": sample, "group": sample, "image": str(image), "mask": str(mask)}
        return row | {"height": SIZE[0], "width": SIZE[1], "encoding": "indices"}

    def _run(self, folder, strategy: str, seed: int):
        keys = {"strategy": strategy, "fold": 0, "seed": seed}
        run = folder / "runs" / strategy / "fold0" / f"seed{seed}"
        parts = []
        for sample in SAMPLES:
            predicted = self._predicted(sample, strategy, seed)
            _save(predicted, run / "predictions" / f"{sample}.png")
            found = counts(confusion(self._truth(sample), predicted, len(self.classes)))
            parts.append(pd.DataFrame({"sample": sample, "class": range(len(self.classes))} | found))
        write_table(pd.concat(parts).assign(**keys), run / "evaluation.parquet")
        history = pd.DataFrame({"share": [0.5, 0.8, 1.0], "val_dice": [0.2, 0.5, 0.6]})
        write_table(history.assign(**keys), run / "history.parquet")
        write_json(keys | COST, run / "cost.json")
        return run


def _save(array: np.ndarray, path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


class Page(html.parser.HTMLParser):
    """What a browser makes of the page: its text, links and verdicts; unbalanced tags are refused."""

    EMPTY = frozenset({"meta", "link", "br", "img"})

    def __init__(self, text: str):
        super().__init__()
        self.open, self.links, self.words, self.verdicts, self.ids = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        """A tag opens, or asks for something."""
        named = dict(attributes)
        self.links += [value for key, value in named.items() if key in ("href", "src", "xlink:href")]
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "li" and "class" in named:
            self.verdicts.append((named["class"], ""))

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
        if "style" not in self.open and "svg" not in self.open:
            self.words.append(data)
        if "li" in self.open and self.verdicts and "svg" not in self.open:
            kind, words = self.verdicts[-1]
            self.verdicts[-1] = (kind, words + data)

    @property
    def text(self) -> str:
        """All that is written, blanks as one."""
        return " ".join("".join(self.words).split())


def _rendered(folder, **changes) -> Page:
    study = Study(**{"seeds": (1,), "examples": 0} | changes)
    render(study.stored(folder), folder / "report" / "report.html", folder / "report" / "figures")
    return Page((folder / "report" / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished study of three strategies, and its page."""
    folder = tmp_path_factory.mktemp("study")
    return SimpleNamespace(folder=folder, page=_rendered(folder, seeds=(1, 2, 3), examples=2))


def _row(verdict="helps", **changes) -> SimpleNamespace:
    row = {"strategy": "full-data", "reference": "baseline", "metric": "dice", "verdict": verdict}
    row |= {"reference_mean": 0.7, "mean": 0.75, "difference": 0.05, "low": 0.02, "high": 0.08}
    return SimpleNamespace(**row | {"seeds": 3, "images": 20} | changes)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("helps", "full-data helps against baseline"),
        ("hurts", "full-data hurts against baseline"),
        ("no difference", "full-data makes no difference against baseline"),
        ("cannot tell yet", "full-data against baseline: cannot tell yet"),
    ],
)
def test_each_verdict_has_its_sentence(verdict, words):
    """Verdict, effect, interval, and how many seeds and images it rests on."""
    assert sentence(_row(verdict)) == (
        f"{words}: Dice 0.700 → 0.750 (+0.050, 95 % interval +0.020 to +0.080; 3 seeds × 20 test images)."
    )


def test_one_seed_is_said_without_an_interval():
    """No interval is made up, and a seed alone is one seed."""
    row = _row("cannot tell yet", low=np.nan, high=np.nan, seeds=1, difference=-0.05, mean=0.65)
    assert sentence(row) == (
        "full-data against baseline: cannot tell yet: Dice 0.700 → 0.650 (-0.050; 1 seed × 20 test images)."
    )


def test_the_sentence_names_metric_and_unit():
    """IoU is IoU, and groups are not called images."""
    words = sentence(_row(metric="iou"), "groups of test images")
    assert ": IoU 0.700 → 0.750" in words and words.endswith("3 seeds × 20 groups of test images).")


def test_the_verdicts_stand_first_in_words(finished):
    """A sentence a strategy, in the order of the study, as the table has it."""
    table = pd.read_csv(finished.folder / "tables" / "comparison.csv")
    primary = table[table["verdict"] != "not adjusted"]
    expected = [(row.verdict.replace(" ", "-"), sentence(row)) for row in primary.itertuples()]
    assert [strategy.split()[0] for _, strategy in expected] == ["full-data", "same"]
    assert [kind for kind, _ in expected] == ["helps", "no-difference"]
    found = finished.page.verdicts
    assert [kind for kind, _ in found] == [kind for kind, _ in expected]
    for (_, words), (_, known) in zip(found, expected, strict=True):
        assert words.startswith(known)
    text = finished.page.text
    assert text.index(expected[0][1]) < text.index("Comparison") < text.index("Scores")


def test_the_page_asks_for_nothing_from_elsewhere(finished):
    """It works from disk, by mail and without a network."""
    assert finished.page.links
    assert [link for link in finished.page.links if not link.startswith(("#", "data:"))] == []
    assert "script" not in (finished.folder / "report/report.html").read_text().lower()


def test_each_figure_is_also_a_file(finished):
    """For a paper or a slide: one SVG a figure, the same as in the page."""
    files = {path.name: path.read_text() for path in (finished.folder / "report/figures").iterdir()}
    names = ["effects", "pairs", "curves", "cost", "example-1", "example-2"]
    assert sorted(files) == sorted(f"{name}.svg" for name in names)
    page = (finished.folder / "report/report.html").read_text()
    for svg in files.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert svg.strip() in page


def test_the_page_says_how_it_was_measured(finished):
    """Sizes, parts, plan, device and reasons are read without opening another file."""
    for words in (
        "3 images: 16×20: 3 (height × width)",
        "First fold: 1 training, 1 validation, 3 test images",
        "Resolution native: native (each image its own size)",
        "Computed on cpu in float32 (contiguous_format) with 1 thread: a reason.",
        "3 strategies, 3 seeds, 3 test images, 6 images seen a run.",
        "not yet trained",
    ):
        assert words in finished.page.text, words


def test_a_report_made_again_is_the_same_bytes(finished, tmp_path):
    """The same files give the same page and figures; an older figure does not stay."""
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.svg").write_text("")
    study = Study().stored(finished.folder)
    render(study, tmp_path / "report.html", tmp_path / "figures")
    assert (tmp_path / "report.html").read_bytes() == (finished.folder / "report/report.html").read_bytes()
    for path in (finished.folder / "report/figures").iterdir():
        assert (tmp_path / "figures" / path.name).read_bytes() == path.read_bytes()
    assert not (tmp_path / "figures" / "old.svg").exists()


def test_examples_go_from_worst_to_best_with_every_strategy(finished):
    """The first seed's prediction of each strategy, its score in the title."""
    evaluation = pd.read_parquet(finished.folder / "runs/baseline/fold0/seed1/evaluation.parquet")
    cell = evaluation[evaluation["class"] == 1].set_index("sample")
    dice = 2 * cell["tp"] / (2 * cell["tp"] + cell["fp"] + cell["fn"])
    shown = [(finished.folder / f"report/figures/example-{n}.svg").read_text() for n in (1, 2)]
    assert f"<!-- baseline {dice.min():.2f} -->" in shown[0]
    assert f"<!-- baseline {dice.max():.2f} -->" in shown[1]
    for svg in shown:
        assert svg.count("<!-- full-data ") == svg.count("<!-- same ") == svg.count("<!-- truth -->") == 1


def test_more_examples_than_images_shows_each_once(tmp_path):
    """Asking for 50 pictures of three images gives three."""
    _rendered(tmp_path, examples=50, seeds=(1,), strategies=("baseline",), errors={})
    assert len(list((tmp_path / "report/figures").glob("example-*.svg"))) == 3


def test_a_study_of_the_baseline_alone_has_a_page(tmp_path):
    """One strategy has scores, curves and costs, and no verdict."""
    page = _rendered(tmp_path, strategies=("baseline",), errors={})
    assert page.verdicts == [] and "1 strategies" not in page.text
    assert (tmp_path / "report/figures/curves.svg").is_file()


def test_one_seed_has_a_page_that_says_what_is_missing(tmp_path):
    """No interval from one seed, and a sentence that says why."""
    page = _rendered(tmp_path, seeds=(1,))
    assert [kind for kind, _ in page.verdicts] == ["cannot-tell-yet"] * 2
    assert "One seed gives no interval" in page.text
    assert " nan" not in page.text and "3 strategies, 1 seed, " in page.text


def test_names_are_text_whatever_signs_they_have(tmp_path):
    """A class called `<b>&co` is written as such and changes nothing of the page."""
    page = _rendered(tmp_path, classes=("background", "<b>&co", "x"))
    assert "<b>&co" in page.text
    text = (tmp_path / "report/report.html").read_text()
    assert "<b>" not in text and "&lt;b&gt;&amp;co" in text
    # With one class it is the mean itself and not shown; with two each has its rows among the secondary.
    after = page.text[page.text.index("Secondary endpoints") : page.text.index("Scores strategy")]
    assert after.count("<b>&co") == 2 * 2  # two strategies, Dice and IoU


def test_a_name_that_looks_like_no_name_is_kept(tmp_path):
    """Strategies called 10 and 050, and classes called NA and None, are names like any other."""
    page = _rendered(
        tmp_path,
        strategies=("baseline", "10", "050"),
        classes=("background", "NA", "None"),
        errors={"10": 0, "050": 3},
    )
    assert [words.split()[0] for _, words in page.verdicts] == ["10", "050"]
    assert "diceNA" in page.text and "diceNone" in page.text  # cells of the table of secondary endpoints


@pytest.fixture(scope="module")
def unusual(tmp_path_factory):
    """The folder of a study decided by IoU, of grouped images, without examples, and its page."""
    folder = tmp_path_factory.mktemp("unusual")
    return SimpleNamespace(folder=folder, page=_rendered(folder, metric="iou", group="^[a-z]+", examples=0))


def test_groups_are_named_where_the_study_has_them(unusual):
    """A unit is a group of test images if the study says which belong together."""
    assert all("3 groups of test images" in words for _, words in unusual.page.verdicts)


def test_a_study_decided_by_iou_says_so(unusual):
    """The endpoint is named in verdicts, table head and note."""
    assert all(": IoU " in words for _, words in unusual.page.verdicts)
    assert "Endpoint, fixed before training: IoU of each test image" in unusual.page.text


def test_no_examples_are_shown_where_none_are_asked_for(unusual):
    """`examples: 0` leaves the page without pictures of my images."""
    names = {path.stem for path in (unusual.folder / "report/figures").iterdir()}
    assert names == {"effects", "pairs", "curves", "cost"}
    assert len(unusual.page.verdicts) == 2


def test_what_is_said_of_the_seed_variance_is_what_was_done(tmp_path):
    """One comparison has nothing to pool with, and the page does not say that it was pooled."""
    page = _rendered(tmp_path, strategies=("baseline", "full-data"), seeds=(1, 2))
    assert "pooled over all comparisons" not in page.text


def test_figures_in_one_page_do_not_borrow_from_each_other(finished):
    """Ids of several drawings meet in one page: what one refers to is its own, or drawn just alike."""
    meant = {}
    for path in sorted((finished.folder / "report/figures").iterdir()):
        svg = path.read_text()
        named = {
            one.get("id"): ElementTree.tostring(one).strip() for one in ElementTree.fromstring(svg).iter()
        }
        used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
        for name in filter(None, (name for pair in used for name in pair)):
            assert meant.setdefault(name, named[name]) == named[name]
    assert meant
