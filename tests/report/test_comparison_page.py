"""The page: verdicts in words first, self-contained, nothing computed that is not in the tables."""

import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.comparison import tables
from stratagem.comparison.design import Design
from stratagem.core.errors import MachineError
from stratagem.core.files import write_json, write_table
from stratagem.data.labels import Encoding
from stratagem.evaluation.metrics import confusion, counts, per_image
from stratagem.networks.arithmetic import multiply_adds
from stratagem.report import figures
from stratagem.report.comparison_page import StoredStudy, render
from stratagem.report.sentences import sentence, settling
from stratagem.study.declaration import Augmentation, Strategy, Training, UnetSection

SIZE = (16, 20)
SAMPLES = ["a", "b", "sub/c"]
COST = {"images": 6, "steps": 300, "epochs": 1, "pixels": 9e6, "train_images": 2, "training_s": 8.0}
COST |= {"waiting_s": 2.0, "validation_s": 1.0, "cpu_s": 9.0, "peak_memory_mb": 100.0}
COST |= {"images_per_s": 0.75, "loader_images_per_s": 2.0, "loader_mb_per_s": 0.5, "loader_mb": 8.0}
COST |= {"samples": 2, "recording_s": 0.0, "resumes": 0, "retried": False, "incidents": []}
COST |= {"mapped_mb": 40.0, "reading_share": 0.3, "mixing": 1.0}
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
    margin: float = 0.01
    errors: dict = field(default_factory=lambda: {"full-data": 0, "same": 3})
    folds: int = 1
    told: dict = field(default_factory=dict)  # of a strategy, beside its resolution
    costs: dict = field(default_factory=dict)  # of a strategy, other than COST
    blind: set = field(default_factory=set)  # (strategy, seed) of runs that predict background alone
    taught: dict = field(default_factory=dict)  # of a strategy: what its source predicts alone, if it does
    foreground: bool = True
    rise: float = 0.0  # of validation Dice over the last fifth
    problems: str | None = None
    copies: dict = field(default_factory=dict)  # the sample that a sample is a duplicate of
    groups: dict = field(default_factory=dict)  # of a sample, other than itself
    lost: dict = field(default_factory=dict)  # of a strategy: pixels of each object that its plan loses
    arms: dict = field(default_factory=dict)  # of a strategy that starts from other weights
    fates: dict = field(default_factory=dict)  # of a strategy: rows of its transfer.csv

    def stored(self, folder) -> StoredStudy:
        """Every file that a report reads, written by hand in the documented layout."""
        rows = [self._sample(folder, sample) for sample in SAMPLES]
        index, splits = folder / "index.parquet", folder / "splits.parquet"
        write_table(pd.DataFrame(rows), index)
        parts = [(sample, fold, "test") for fold in range(self.folds) for sample in self._tested(fold)]
        parts += [("x", 0, "train"), ("y", 0, "val")]
        write_table(pd.DataFrame(parts, columns=["sample", "fold", "part"]), splits)
        plan = folder / "resolutions" / "native" / "plan.json"
        write_json({"plan": "native", "stride": 8, "frames": [], "why": "each image its own size"}, plan)
        runs = [
            self._run(folder, name, fold, seed)
            for name in self.strategies
            for fold in range(self.folds)
            for seed in self.seeds
        ]
        problems = folder / "problems.csv"
        if self.problems is not None:
            problems.write_text(self.problems)
        others = {name: self.baseline for name in self.strategies if name != self.baseline}
        design = Design(others, self.metric, self.margin, 0.03, list(self.classes), self.arms)
        round_trips = {name: self._round_trip(folder, name) for name in self.lost}
        sources = {name: folder / "sources" / f"{name}.json" for name in self.taught}
        for name, path in sources.items():
            record = {"cpu_s": 5.0, "images": 40, "training_s": 4.0, "constant": self.taught[name]}
            write_json(record, path)
        made_from = tables.Stored(runs, index, sources, round_trips, folder / "first-comparison.json")
        tables.write_tables(tables.make_tables(made_from, design), folder / "tables")
        return StoredStudy(self._config(), "1.2.3", folder / "tables", runs, index, splits, problems, [plan])

    def _config(self) -> dict:
        return {
            "study": "tiny",
            "classes": list(self.classes),
            "folds": self.folds,
            "unet": UnetSection().model_dump(mode="json"),
            "training": Training().model_dump(mode="json"),
            "augmentations": {"turn": Augmentation(rotation=90).model_dump(mode="json")},
            "split": {"group": self.group},
            "seeds": list(self.seeds),
            "budget": {"images": 6, "steps": None},
            "strategies": {
                name: Strategy(resolution="native", **self.told.get(name, {})).model_dump(mode="json")
                for name in self.strategies
            },
            "report": {
                "baseline": self.baseline,
                "metric": self.metric,
                "margin": self.margin,
                "effect": 0.03,
                "examples": self.examples,
            },
        }

    def _tested(self, fold: int) -> list[str]:
        return SAMPLES[fold :: self.folds]

    def _truth(self, sample: str) -> np.ndarray:
        """A square of each foreground class, side by side."""
        mask = np.zeros(SIZE, np.uint8)
        for number in range(1, len(self.classes) if self.foreground else 1):
            mask[2:10, 8 * number - 6 : 8 * number] = number
        return mask

    def _predicted(self, sample: str, strategy: str, seed: int) -> np.ndarray:
        """The truth less a few rows: more for later samples, fewer for better strategies."""
        if (strategy, seed) in self.blind:
            return np.zeros(SIZE, np.uint8)
        mask = self._truth(sample)
        mask[2 : 3 + self.errors.get(strategy, 3) + SAMPLES.index(sample) % 2] = 0
        mask[9, : 1 + seed] = 0
        return mask

    def _sample(self, folder, sample: str) -> dict:
        image, mask = folder / "images" / f"{sample}.png", folder / "masks" / f"{sample}.png"
        _save(np.full((*SIZE, 3), 120, np.uint8), image)
        _save(self._truth(sample), mask)
        indices = Encoding("indices", values=tuple((number, number) for number in range(len(self.classes))))
        row = {
            "sample": sample,
            "group": self.groups.get(sample, sample),
            "cluster": self.copies.get(sample, sample),
        }
        row |= {"image": str(image), "masks": [str(mask)]}
        row |= {"height": SIZE[0], "width": SIZE[1], "mask_resized": False}
        return row | {"reading": "{}", "encoding": json.dumps(indices.as_record())}

    def _round_trip(self, folder, strategy: str):
        """Of a resolution of the strategy's own: some pixels of each object become background."""
        path = folder / "resolutions" / strategy / "roundtrip.parquet"
        pixels = (self._truth(SAMPLES[0]) == 1).sum() - self.lost[strategy]
        rows = [(sample, 1, pixels, 0, self.lost[strategy]) for sample in SAMPLES]
        write_table(pd.DataFrame(rows, columns=["sample", "class", "tp", "fp", "fn"]), path)
        return path

    def _run(self, folder, strategy: str, fold: int, seed: int):
        keys = {"strategy": strategy, "fold": fold, "seed": seed}
        run = folder / "runs" / strategy / f"fold{fold}" / f"seed{seed}"
        parts = []
        for sample in self._tested(fold):
            predicted = self._predicted(sample, strategy, seed)
            _save(predicted, run / "predictions" / f"{sample}.png")
            found = counts(confusion(self._truth(sample), predicted, len(self.classes)))
            parts.append(pd.DataFrame({"sample": sample, "class": range(len(self.classes))} | found))
        write_table(pd.concat(parts).assign(**keys), run / "evaluation.parquet")
        curve = {"share": [0.5, 0.8, 1.0], "images": [3, 5, 6], "val_dice": [0.2, 0.5, 0.5 + self.rise]}
        history = pd.DataFrame(curve)
        write_table(history.assign(**keys), run / "history.parquet")
        write_json(keys | COST | self.costs.get(strategy, {}), run / "cost.json")
        if strategy in self.fates:
            columns = ["tensor", "shape", "fate", "why"]
            write_table(pd.DataFrame(self.fates[strategy], columns=columns), run / "transfer.csv")
        return run


def _save(array: np.ndarray, path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


class Page(html.parser.HTMLParser):
    """What a browser makes of the page: its text, links, verdicts and rows; unbalanced tags are refused."""

    EMPTY = frozenset({"meta", "link", "br", "img"})

    def __init__(self, text: str):
        super().__init__()
        self.open, self.links, self.words, self.verdicts, self.rows = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        """A tag opens, or asks for something."""
        named = dict(attributes)
        self.links += [value for key, value in named.items() if key in ("href", "src", "xlink:href")]
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
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
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
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


def test_scores_stand_by_size_too(finished):
    """The tests' images are of one size, so its scores are those of all, and every row is shown."""
    known = pd.read_csv(finished.folder / "tables" / "scores.csv")
    rows = [row for row in finished.page.rows if row[1:2] == ["16×20"]]
    assert rows == [
        [row.strategy, "16×20", "3", f"{row.dice:.3f}", f"{row.iou:.3f}"] for row in known.itertuples()
    ]
    assert [row[0] for row in rows] == ["baseline", "full-data", "same"]


def test_what_a_resolution_loses_stands_beside_the_verdict(tmp_path):
    """Exact, or the score that no training can pass; a dash where it is not known."""
    page = _rendered(
        tmp_path, strategies=("baseline", "full-data", "same", "new"), lost={"full-data": 0, "same": 12}
    )
    head = next(row for row in page.rows if "round trip" in row)
    found = {row[0]: row[-1] for row in page.rows if len(row) == len(head) and row[1] == "baseline"}
    assert (head[-1], found) == ("round trip", {"full-data": "exact", "same": f"{72 / 84:.3f}", "new": "–"})


def test_duplicates_are_one_unit(tmp_path):
    """An image that is there twice counts once: in the verdict's extent and among the points of the pairs."""
    page = _rendered(tmp_path, copies={"b": "a"}, seeds=(1, 2))
    assert all("2 seeds × 2 " in words for _, words in page.verdicts)
    points = re.findall("<use [^>]*fill-opacity: 0.5", (tmp_path / "report/figures/pairs.svg").read_text())
    assert len(points) == 2 * len(page.verdicts)
    table = pd.read_csv(tmp_path / "tables/comparison.csv")
    evaluation = pd.concat(map(pd.read_parquet, tmp_path.glob("runs/*/*/*/evaluation.parquet")))
    dice = per_image(evaluation, "dice").groupby(["strategy", "sample"])["score"].mean()
    gain = dice["full-data"] - dice["baseline"]
    known = (gain[["a", "b"]].mean() + gain["sub/c"]) / 2
    assert table["difference"].iloc[0] == pytest.approx(known) != pytest.approx(gain.mean())


def test_the_page_asks_for_nothing_from_elsewhere(finished):
    """It works from disk, by mail and without a network."""
    assert finished.page.links
    assert [link for link in finished.page.links if not link.startswith(("#", "data:"))] == []
    assert "script" not in (finished.folder / "report/report.html").read_text().lower()


def test_each_figure_is_also_a_file(finished):
    """For a paper or a slide: one SVG a figure, the same as in the page."""
    files = {path.name: path.read_text() for path in (finished.folder / "report/figures").iterdir()}
    names = ["effects", "pairs", "runs", "curves", "cost", "example-1", "example-2"]
    assert sorted(files) == sorted(f"{name}.svg" for name in names)
    page = (finished.folder / "report/report.html").read_text()
    for svg in files.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert svg.strip() in page


def test_the_page_says_how_it_was_measured(finished):
    """Sizes, parts, plan, device and reasons are read without opening another file."""
    for words in (
        "3 images: 16×20: 3 (height × width)",
        " 1 training, 1 validation, 3 test images",
        "Resolution native: native (each image its own size)",
        "9 runs computed on cpu in float32 (contiguous_format) with 1 thread: a reason.",
        "3 strategies, 3 seeds, 3 test images, 6 images seen a run.",
        "Augmentation turn: 50 variants an image; rotation 90.",
        "U-Net: 16 channels at the first level, image halved 4 times.",
        "AdamW: learning rate 0.001, weight decay 0.01.",
        "Made by Stratagem 1.2.3.",
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


def test_a_predicted_mask_that_was_cut_is_named_with_its_cure(tmp_path):
    """Its folder is what a job makes anew."""
    stored = Study(seeds=(1,), strategies=("baseline",), errors={}, examples=1).stored(tmp_path)
    (folder,) = tmp_path.glob("runs/*/*/*/predictions")
    for path in folder.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(MachineError, match=f"rm -rf {folder}"):
        render(stored, tmp_path / "report.html", tmp_path / "figures")


def test_more_examples_than_images_shows_each_once(tmp_path):
    """Asking for 50 pictures of three images gives three."""
    _rendered(tmp_path, examples=50, seeds=(1,), strategies=("baseline",), errors={})
    assert len(list((tmp_path / "report/figures").glob("example-*.svg"))) == 3


def test_a_study_of_the_baseline_alone_has_a_page(tmp_path):
    """One strategy has scores, curves and costs, and no verdict."""
    page = _rendered(tmp_path, strategies=("baseline",), errors={})
    assert page.verdicts == [] and "1 strategies" not in page.text
    assert "Only the baseline was trained" in page.text
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
    return SimpleNamespace(folder=folder, page=_rendered(folder, metric="iou", groups={"b": "a"}, examples=0))


def test_groups_are_named_where_the_study_has_them(unusual):
    """A unit is a group of test images if the study says which belong together."""
    assert all("2 groups of test images" in words for _, words in unusual.page.verdicts)
    assert "all means are over groups of test images" in unusual.page.text
    assert "Every group of test images: how far" in unusual.page.text
    assert "a point a group of test images" in (unusual.folder / "report/figures/pairs.svg").read_text()


def test_a_study_decided_by_iou_says_so(unusual):
    """The endpoint is named in verdicts, table head and note."""
    assert all(": IoU " in words for _, words in unusual.page.verdicts)
    assert "Endpoint, fixed before training: IoU of each test image" in unusual.page.text


def test_no_examples_are_shown_where_none_are_asked_for(unusual):
    """`examples: 0` leaves the page without pictures of my images."""
    names = {path.stem for path in (unusual.folder / "report/figures").iterdir()}
    assert names == {"effects", "pairs", "runs", "curves", "cost"}
    assert "No examples are shown." in unusual.page.text
    assert len(unusual.page.verdicts) == 2


def test_a_collapsed_seed_is_seen_at_the_verdict_and_among_the_runs(tmp_path):
    """One of three runs found nothing; the mean over seeds alone would not tell."""
    page = _rendered(tmp_path, seeds=(1, 2, 3), blind={("full-data", 2)})
    (_, collapsed_one), (_, other) = page.verdicts
    assert "Caution with full-data: 1 of 3 runs collapsed." in collapsed_one
    assert "Caution" not in other
    (row,) = [row for row in page.rows if "0.000 collapsed" in row]
    assert (row[0], row.index("0.000 collapsed"), len(row)) == ("full-data", 2, 4)
    pixels, cells = 3 * SIZE[0] * SIZE[1], 3 * 8 * 6
    shares = {row[2]: row[3:] for row in page.rows if row[:2] == ["full-data", "2"]}
    assert shares == {
        "background": [f"{100 * (1 - cells / pixels):.1f} %", "100.0 %"],
        "cell": [f"{100 * cells / pixels:.1f} %", "0.0 %"],
    }


def test_a_source_that_predicts_one_class_is_told_at_the_verdict(tmp_path):
    """What it taught is worth little; a source that predicts several is no reason for a word."""
    page = _rendered(tmp_path, seeds=(1, 2), taught={"full-data": "background", "same": None})
    (_, told), (_, other) = page.verdicts
    assert "Caution with full-data: its source predicts background alone." in told
    assert "Caution" not in other


def test_what_befell_a_run_is_told_below_the_costs(tmp_path):
    """Cut short, in want of memory, begun again in float32: a sentence each."""
    said = "a loss of nan in layer `head` at step 5, samples a, b: once more from step 0, in float32"
    incidents = [{"kind": "diverged", "step": 5, "said": said}]
    page = _rendered(tmp_path, seeds=(1,), costs={"same": {"resumes": 2, "incidents": incidents}})
    assert "same, fold 0, seed 1: was cut short and went on 2 times." in page.text
    assert f"same, fold 0, seed 1: {said}." in page.text
    assert "full-data, fold 0" not in page.text


def test_a_reference_that_collapsed_is_told_at_each_of_its_verdicts(tmp_path):
    """A strategy looks good beside a baseline that failed."""
    page = _rendered(tmp_path, seeds=(1, 2), blind={("baseline", 1)})
    assert all("Caution with baseline: 1 of 2 runs collapsed." in words for _, words in page.verdicts)


def test_what_was_trained_too_little_is_told_at_the_verdict(tmp_path):
    """A curve that still rises, and steps that can be counted, warn where the verdict is read."""
    page = _rendered(tmp_path, rise=0.1, costs={"same": {"steps": 99}})
    words = dict(zip(("full-data", "same"), (words for _, words in page.verdicts), strict=True))
    assert "Caution with full-data: not yet trained." in words["full-data"]
    assert "Caution with same: not yet trained, only 99 steps." in words["same"]
    assert "Caution with baseline: not yet trained." in words["same"]


def test_a_study_without_faults_has_no_cautions(tmp_path):
    """100 steps are not few, a flat curve is not rising, nothing collapsed."""
    page = _rendered(tmp_path, costs={"same": {"steps": 100}})
    assert "Caution" not in page.text and "Collapsed:" not in page.text


def test_a_baseline_alone_is_warned_of_too(tmp_path):
    """There is no verdict to stand beside."""
    page = _rendered(tmp_path, strategies=("baseline",), costs={"baseline": {"steps": 1}})
    assert "Caution with baseline: only 1 step." in page.text


def test_intervals_beyond_the_possible_are_cut_on_the_page_alone(tmp_path):
    """Two seeds that differ much give an interval wider than all scores; the table keeps it."""
    page = _rendered(tmp_path, strategies=("baseline", "same"), seeds=(1, 2), blind={("same", 2)})
    row = pd.read_csv(tmp_path / "tables/comparison.csv").iloc[0]
    assert row["low"] < -1 and row["high"] > 1
    assert "95 % interval -1.000 to +1.000" in page.verdicts[0][1]
    assert f"{row['low']:.3f}" not in page.text and f"{row['high']:.3f}" not in page.text
    assert "Intervals are shown up to ±1" in page.text
    inner = {name: float(np.clip(row[name], -1, 1)) for name in ("inner_low", "inner_high")}
    cut = pd.DataFrame([row.to_dict() | {"low": -1.0, "high": 1.0} | inner])
    assert (tmp_path / "report/figures/effects.svg").read_text() == figures.effects(cut, 0.01)
    assert "The seeds, more than the test images, make the interval wide: " in page.verdicts[0][1]


def test_intervals_within_the_possible_are_not_said_to_be_cut(finished):
    """A note that does not apply is noise."""
    assert "Intervals are shown up to" not in finished.page.text


def test_each_strategy_is_told_with_what_sets_it_apart(tmp_path):
    """I see what a name stands for without opening the study."""
    own = {"augmentation": "turn", "learning_rate": 0.01, "loader": {"fraction": 0.125, "batch_size": 4}}
    own |= {"init": {"source": "cells", "freeze": "encoder"}, "network": "resnet18", "budget_share": 0.25}
    page = _rendered(tmp_path, told={"full-data": own})
    read = ["shards", "all mixed"]
    told = ["native", "turn", "cells, encoder frozen", "12.5 %", *read, "4", "resnet18", "0.01", "25 %"]
    assert ["full-data", *told] in page.rows
    plain = ["native", "none", "random", "100 %", *read, "16", "unet", "0.001", "100 %"]
    assert ["baseline", *plain] in page.rows
    text = (tmp_path / "report/report.html").read_text()
    marked = re.findall(r'<td class="differs">(.*?)</td>', text)
    assert marked == [word for word in told if word not in ("native", *read)]


@pytest.mark.parametrize(
    ("init", "told"),
    [
        ({"freeze": "none"}, "cells"),
        ({"freeze": "all-but-last"}, "cells, all frozen but the last layer"),
        (
            {"freeze": "gradual", "thaw": 0.3},
            "cells, opened from the last layer on, all by 30 % of the budget",
        ),
        ({"freeze": "none", "rate": 0.1}, "cells, at 0.1 times the rate"),
    ],
)
def test_what_stays_fixed_is_told_in_words(tmp_path, init, told):
    """Each way of freezing has its own."""
    page = _rendered(tmp_path, told={"full-data": {"init": {"source": "cells"} | init}})
    assert any(row[:1] == ["full-data"] and told in row for row in page.rows)


FATES = [
    ("decoder.0.weight", "2x2", "taken", "same name and shape"),
    ("encoder.0.bias", "2", "taken", "same name and shape"),
    ("encoder.0.weight", "2x3x3x3", "adapted", "from 1 channels to 3"),
    ("head.weight", "2x2", "new", "the last layer is replaced"),
    ("fc.weight", "9x2", "left", "the network has no such layer"),
]


def test_what_transfer_saves_is_told(tmp_path):
    """In words first, then the table, and what was taken of the weights; the source's cost apart."""
    arms = {"full-data": ("full-data", 1), "same": ("full-data", 1)}
    costs = {"same": {"train_images": 9, "images_per_s": 1.5}}
    page = _rendered(tmp_path, arms=arms, costs=costs, fates={"full-data": FATES}, taught={"full-data": None})
    assert "What transfer saves" in page.text
    assert "full-data came to what baseline ends with (validation Dice 0.500) after 5 images" in page.text
    assert "The source of full-data took 40 images and 4 s, once." in page.text
    found = "cannot tell yet at 2; cannot tell yet at 9"
    assert f"is not shown to be worth it where labelled images are fewest ({found})." in page.text
    assert [
        "full-data",
        "taken",
        "same name and shape",
        "2",
        "decoder.0.weight",
        "encoder.0.bias",
    ] in page.rows
    assert ["full-data", "adapted", "from 1 channels to 3", "1", *["encoder.0.weight"] * 2] in page.rows
    assert (tmp_path / "report" / "figures" / "transfer.svg").is_file()
    row = next(row for row in page.rows if row[:4] == ["same", "baseline", "9", "1 of 1"])
    assert row[-2:] == ["–", "–"]


def test_a_study_without_transfer_has_no_such_section(tmp_path):
    """Nor one whose transfer has one size the figure of sizes."""
    assert "What transfer saves" not in _rendered(tmp_path / "a").text
    page = _rendered(tmp_path / "b", arms={"same": ("same", 1)})
    assert "What transfer saves" in page.text
    assert not (tmp_path / "b" / "report" / "figures" / "transfer.svg").exists()


def test_skipped_files_are_counted(tmp_path):
    """The study is of fewer images than I gave; the page says so, and where to look."""
    page = _rendered(tmp_path, problems="file,reason\na.png,empty\nb.png,empty\n")
    assert "2 bad files skipped." in page.text and "problems.csv lists each" in page.text


@pytest.mark.parametrize("problems", [None, "file,reason\n"])
def test_no_word_of_skipped_files_where_there_are_none(tmp_path, problems):
    """The list may be empty, or gone."""
    assert "skipped" not in _rendered(tmp_path, problems=problems).text


def test_the_colours_of_outlines_have_names(tmp_path):
    """Which class is green is written beside the pictures, background apart."""
    page = _rendered(tmp_path, classes=("background", "cell", "mitosis"), examples=1)
    assert "Outlines:cellmitosis" in page.text
    text = (tmp_path / "report/report.html").read_text()
    for number, name in ((1, "cell"), (2, "mitosis")):
        assert f'style="background: {figures.class_colour(number)}"></span>{name}' in text


def test_every_way_of_computing_is_named_and_a_mixture_warned_of(tmp_path):
    """A strategy on a GPU against one on a CPU may differ by the machine."""
    card = {"device": "Card", "dtype": "bfloat16", "layout": "channels_last", "why": "it can"}
    page = _rendered(tmp_path, costs={"same": {"execution": card}})
    assert "2 runs computed on cpu in float32 (contiguous_format)" in page.text
    assert "1 run computed on Card in bfloat16 (channels_last) with 1 thread: it can." in page.text
    assert "in different ways (2 runs on cpu in float32, 1 run on Card in bfloat16)" in page.text


def test_one_way_of_computing_is_no_mixture(finished):
    """Nothing to warn of."""
    assert "in different ways" not in finished.page.text


def test_images_without_foreground_are_not_a_study_of_the_baseline_alone(tmp_path):
    """Nothing can be compared, and the page says the right thing about it."""
    page = _rendered(tmp_path, foreground=False, seeds=(1, 2), examples=2)
    assert "No test image holds a foreground class" in page.text
    assert "Only the baseline was trained" not in page.text and page.verdicts == []


def test_folds_are_told(tmp_path):
    """How many, that each image is tested once, and every run by fold and seed."""
    page = _rendered(tmp_path, folds=3, seeds=(1, 2))
    assert "3 test images in 3 folds, each tested once" in page.text
    assert "3 folds: every image is tested once" in page.text
    assert "First fold: 1 training, 1 validation, 1 test images" in page.text
    evaluation = pd.read_parquet(tmp_path / "runs/same/fold2/seed1/evaluation.parquet")
    cell = evaluation[evaluation["class"] == 1].iloc[0]
    dice = 2 * cell["tp"] / (2 * cell["tp"] + cell["fp"] + cell["fn"])
    assert [row[:3] for row in page.rows if row[:2] == ["same", "2"]] == [["same", "2", f"{dice:.3f}"]]


def test_one_fold_is_not_told(finished):
    """A single split has no folds to speak of."""
    assert not re.search(r"\bfolds?\b", finished.page.text)


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


def test_what_would_settle_each_verdict_stands_below_it(finished):
    """What limits it, what the study sees, what would see more: as the table has it."""
    table = pd.read_csv(finished.folder / "tables" / "comparison.csv")
    rows = table[table["verdict"] != "not adjusted"].itertuples()
    for row, (_, words) in zip(rows, finished.page.verdicts, strict=True):
        assert settling(row, 0.03, 0.01) in " ".join(words.split())


def test_the_certificate_and_the_failures_stand_beside_the_verdicts(finished):
    """How often such verdicts err, and what no interval covers."""
    assert (
        "In 1,000 simulated studies of this size and scatter in which nothing differs" in finished.page.text
    )
    assert "No run collapsed. An interval covers no failure that it has not sampled" in finished.page.text
    assert "named otherwise" not in finished.page.text


def test_collapsed_runs_are_named_beside_the_verdicts(tmp_path):
    """Which ones, before the details."""
    page = _rendered(tmp_path, seeds=(1, 2, 3), blind={("full-data", 2)})
    assert "Collapsed: full-data (seed 2). An interval covers no failure" in page.text


def test_a_second_look_with_another_margin_is_told(tmp_path):
    """The first comparison of the same runs named 0.01."""
    study = Study(seeds=(1, 2), examples=0)
    study.stored(tmp_path)
    page = _rendered(tmp_path, seeds=(1, 2), margin=0.2)
    assert "named otherwise: margin (0.01, now 0.2)." in page.text
    assert page.text.index("named otherwise") < page.text.index(page.verdicts[0][1].split(":")[0])


def test_a_class_that_nobody_finds_is_named(tmp_path):
    """Three classes, and every network predicts background alone."""
    blind = {(name, seed) for name in ("baseline", "full-data", "same") for seed in (1, 2)}
    page = _rendered(tmp_path, classes=("background", "cell", "crack"), seeds=(1, 2), blind=blind)
    assert "No run finds crack (" in page.text and "No run finds cell (" in page.text


def test_what_each_strategy_was_given_stands_side_by_side(tmp_path):
    """Images, steps, pixels and multiply-adds; a sixteenth of the steps is told at the verdict."""
    recipe = {"threads": 1, "strategy": {"network": "unet"}, "classes": ["background", "cell"]}
    recipe |= {"unet": {"width": 2, "depth": 1}}
    page = _rendered(tmp_path, costs={"same": {"steps": 15, "recipe": recipe}, "full-data": {"steps": 250}})
    assert "What each strategy was given" in page.text
    assert [
        "same",
        "6",
        "2",
        "15",
        "9.0",
        f"{9e6 * multiply_adds('unet', 2, width=2, depth=1) / 1e9:.1f} G",
    ] in page.rows
    words = dict(zip(("full-data", "same"), (words for _, words in page.verdicts), strict=True))
    assert "same took 15 steps, baseline 300 (1 / 20 as many)" in words["same"]
    assert "steps" not in words["full-data"]


def test_with_folds_the_unit_is_the_fold_and_what_is_assumed_is_said(tmp_path):
    """Every figure and sentence counts folds."""
    page = _rendered(tmp_path, folds=3, seeds=(1, 2))
    assert all("3 folds of 2 seeds" in words for _, words in page.verdicts)
    assert "all means are over folds" in page.text and "though their training images overlap" in page.text
    points = re.findall("<use [^>]*fill-opacity: 0.5", (tmp_path / "report/figures/pairs.svg").read_text())
    assert len(points) == 3 * len(page.verdicts)
