"""Tables from stored runs alone: three kinds of file, and a sentence for what no longer fits."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from comparing import design_of, endpoints_of
from stratagem.comparison.design import TABLES
from stratagem.comparison.effects import compare
from stratagem.comparison.tables import Stored, certify, make_tables, usable, write_tables
from stratagem.core.errors import DataError
from stratagem.core.files import write_json, write_table

CLASSES = ["background", "cell"]
DESIGN = design_of({"flipped": "baseline"})
LINEAGE = {"resolution": {"plan": "resize", "size": [64, 64]}, "source": None, "files": "f00d"}
RECIPE = {"name": "flipped", "fold": 0, "seed": 1, "threads": 1, "strategy": {"resolution": "native"}}
COST = dict.fromkeys(["images", "steps", "epochs", "pixels", "train_images", "training_s", "waiting_s"], 2)
COST |= dict.fromkeys(["validation_s", "recording_s", "resumes", "retried", "peak_memory_mb"], 2)
COST |= dict.fromkeys(["mapped_mb", "parameters", "trainable"], 2)
COST |= dict.fromkeys(["samples", "images_per_s", "loader_images_per_s", "loader_mb_per_s", "loader_mb"], 2)
COST |= {"reading_share": 0.5, "mixing": 1.0, "cpu_s": 5.5}


def _evaluation(strategy: str, seed: int, hits: tuple[int, ...]) -> pd.DataFrame:
    """Images x, y, ... whose Dice are hits / 10."""
    rows = [(sample, 1, n, 10 - n, 10 - n) for sample, n in zip("xyz", hits, strict=False)]
    table = pd.DataFrame(rows, columns=["sample", "class", "tp", "fp", "fn"])
    return table.assign(strategy=strategy, fold=0, seed=seed)


def _store(folder, strategy, seed, hits):
    """A run's files, in the documented layout."""
    keys = {"strategy": strategy, "fold": 0, "seed": seed}
    folder = folder / "runs" / strategy / "fold0" / f"seed{seed}"
    write_table(_evaluation(strategy, seed, hits), folder / "evaluation.parquet")
    history = pd.DataFrame({"share": [0.8, 1.0], "images": [1, 2], "val_dice": [0.5, 0.6]}).assign(**keys)
    write_table(history, folder / "history.parquet")
    write_json(keys | COST | {"recipe": RECIPE, "lineage": LINEAGE, "source": "abc"}, folder / "cost.json")
    return folder


@pytest.fixture
def runs(tmp_path):
    """The folders of two strategies with two seeds, on two images; flipped is better by 0.2."""
    return [
        _store(tmp_path, strategy, seed, hits)
        for strategy, hits in (("baseline", (4, 5)), ("flipped", (6, 7)))
        for seed in (1, 2)
    ]


@pytest.fixture
def index(tmp_path):
    """An index in which each image is a group of its own, and of its own size."""
    return _index(tmp_path, ["x", "y"], ["x", "y"])


def _index(folder, group, cluster):
    table = pd.DataFrame({"sample": ["x", "y"], "group": group, "cluster": cluster})
    write_table(table.assign(height=[8, 4], width=[4, 4]), folder / "index.parquet")
    return folder / "index.parquet"


def _stored(runs, index, pretraining=None, round_trips=None) -> Stored:
    """What tables are made from; the first comparison is written down beside the index."""
    return Stored(runs, index, pretraining or {}, round_trips or {}, index.parent / "first.json")


def _tables(runs, index, design=DESIGN, **other):
    return make_tables(_stored(runs, index, **other), design)


def _round_trip(folder, hits: dict[str, int]):
    """Counts of a resolution's round trip: of ten pixels of each image so many come back."""
    rows = [(sample, 1, n, 10 - n, 10 - n) for sample, n in hits.items()]
    write_table(
        pd.DataFrame(rows, columns=["sample", "class", "tp", "fp", "fn"]), folder / "roundtrip.parquet"
    )
    return folder / "roundtrip.parquet"


def test_the_tables_are_those_of_the_stored_counts(runs, index):
    """Comparison, scores, sizes and costs follow from files alone: no network, no images."""
    tables = _tables(runs, index, DESIGN)
    assert list(tables) == list(TABLES)
    evaluation = pd.concat([pd.read_parquet(run / "evaluation.parquet") for run in runs])
    units = pd.Series(["x", "y"], index=["x", "y"])
    compared = tables["comparison"].drop(columns="round_trip")
    pd.testing.assert_frame_equal(compared, compare(endpoints_of(evaluation, units=units), DESIGN))
    first = tables["comparison"].iloc[0]
    assert (first["difference"], first["verdict"]) == (pytest.approx(0.2), "helps")
    assert tables["scores"]["dice"].tolist() == pytest.approx([0.45, 0.65])
    assert tables["costs"]["cpu_s"].tolist() == [5.5, 5.5]
    assert tables["costs"]["not_yet_trained"].tolist() == [True, True]


def test_scores_stand_by_the_size_of_the_index(runs, index):
    """What the tests' two images differ in is their size, small to large: 4x4 is y, 8x4 is x."""
    sizes = _tables(runs, index, DESIGN)["sizes"]
    assert sizes[["strategy", "size", "images"]].values.tolist() == [
        [strategy, size, 1] for strategy in ("baseline", "flipped") for size in ("4×4", "8×4")
    ]
    assert sizes["dice"].tolist() == pytest.approx([0.5, 0.4, 0.7, 0.6])


def test_what_a_resolution_loses_stands_last_in_the_comparison(runs, index, tmp_path):
    """Mean over the test images alone, by metric and class; nothing where a strategy's is not known."""
    path = _round_trip(tmp_path, {"x": 8, "y": 10, "untested": 0})
    table = _tables(runs, index, DESIGN, round_trips={"flipped": path, "baseline": path})["comparison"]
    assert table.columns[-1] == "round_trip"
    found = table.set_index(["metric", "class"])["round_trip"].to_dict()
    kept = {"dice": (16 / 20 + 1) / 2, "iou": (8 / 12 + 1) / 2}
    assert found == {(m, c): pytest.approx(kept[m]) for m in kept for c in ("mean", "cell")}
    assert _tables(runs, index, DESIGN)["comparison"]["round_trip"].isna().all()


@pytest.mark.parametrize(
    ("group", "cluster"),
    [(["one", "one"], ["x", "y"]), (["x", "y"], ["x", "x"])],
    ids=["a patient", "a duplicate"],
)
def test_images_that_belong_together_are_one_unit(runs, tmp_path, group, cluster):
    """Two images of one patient, or twice the same image, are one unit, which gives no interval."""
    index = _index(tmp_path, group, cluster)
    first = _tables(runs, index, DESIGN)["comparison"].iloc[0]
    assert (first["units"], first["verdict"]) == (1, "cannot tell yet")


def test_a_source_s_cost_stands_with_the_strategies_that_use_it(runs, index, tmp_path):
    """What teaching the source took is read from the source's own record."""
    write_json({"cpu_s": 123.0, "constant": None}, tmp_path / "sources" / "cost.json")
    table = _tables(runs, index, DESIGN, pretraining={"flipped": tmp_path / "sources" / "cost.json"})["costs"]
    assert table["pretraining_cpu_s"].tolist() == [pytest.approx(math.nan, nan_ok=True), 123.0]


def test_a_study_of_the_baseline_alone_has_tables(runs, index):
    """Scores and costs are worth having before anything is compared."""
    tables = _tables(runs[:2], index, design_of({}))
    assert tables["comparison"].empty and len(tables["scores"]) == len(tables["costs"]) == 1


def test_each_table_is_written_in_three_kinds(runs, index, tmp_path):
    """CSV to compute with, Markdown to read, LaTeX to print."""
    write_tables(_tables(runs, index, DESIGN), tmp_path / "tables")
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert names == {f"{n}.{kind}" for n in TABLES for kind in ("csv", "md", "tex")}


def test_a_csv_holds_every_digit(tmp_path):
    """Nothing is lost between the table and its file."""
    table = pd.DataFrame({"strategy": ["a", "b"], "value": [1 / 3, np.pi * 1e-9], "count": [3, 10**9]})
    write_tables({"numbers": table}, tmp_path)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "numbers.csv"), table, check_exact=True, check_dtype=False
    )


def test_markdown_has_a_header_and_a_row_a_row(tmp_path):
    """The first line names the columns; numbers have four significant digits."""
    write_tables({"t": pd.DataFrame({"strategy": ["full-data"], "cpu_s": [123.456], "seeds": [3]})}, tmp_path)
    head, rule, row = (tmp_path / "t.md").read_text().splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["strategy", "cpu_s", "seeds"]
    assert set(rule) <= set("|:-")
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["full-data", "123.5", "3"]


def test_a_class_s_name_cannot_break_a_markdown_row(tmp_path):
    """A bar in a name is text, not a column."""
    write_tables({"t": pd.DataFrame({"class": ["a|b"], "dice": [0.5]})}, tmp_path)
    head, _, row = (tmp_path / "t.md").read_text().splitlines()
    bars = re.compile(r"(?<!\\)\|")
    assert len(bars.findall(row)) == len(bars.findall(head)) == 3


def test_a_name_that_looks_like_a_number_stays_as_it_is_written(tmp_path):
    """A strategy called 050 or 1e3 is not 50 or 1000."""
    write_tables({"t": pd.DataFrame({"strategy": ["050", "1e3"], "dice": [0.5, 0.25]})}, tmp_path)
    rows = (tmp_path / "t.md").read_text().splitlines()[2:]
    assert [row.strip("|").split("|")[0].strip() for row in rows] == ["050", "1e3"]


def test_latex_escapes_what_would_not_compile(tmp_path):
    """Column names with underscores and class names with special signs are text."""
    write_tables({"t": pd.DataFrame({"class": ["50%_&_{x}$#^~\\"], "cpu_s": [1.0]})}, tmp_path)
    text = (tmp_path / "t.tex").read_text()
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    assert r"cpu\_s" in body and r"50\%\_\&\_\{x\}\$\#" in body
    assert re.search(r"(?<!\\)[_%$#]", body) is None
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert all(line.endswith(r"\\") for line in body.splitlines() if "&" in line)


def test_the_study_s_own_tables_are_good_latex(runs, index, tmp_path):
    """No underscore of a column stands bare."""
    write_tables(_tables(runs, index, DESIGN), tmp_path)
    for name in TABLES:
        assert re.search(r"(?<!\\)_", (tmp_path / f"{name}.tex").read_text()) is None


def test_the_same_tables_are_the_same_bytes(runs, index, tmp_path):
    """Tables made anew differ from the old ones only if the numbers do."""
    for name in ("one", "two"):
        write_tables(_tables(runs, index, DESIGN), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def _named(runs):
    return {folder: folder.parents[1].name for folder in runs}


def test_a_strategy_with_an_unfinished_run_is_left_out(runs):
    """A run that was trained and not tested leaves its strategy out; the others stand in order."""
    assert usable(_named(runs)) == (runs, [])
    (runs[3] / "evaluation.parquet").unlink()
    assert usable(_named(runs)) == (runs[:2], ["flipped"])
    (runs[3] / "cost.json").unlink()
    assert usable(_named(runs)) == (runs[:2], ["flipped"])


def test_where_nothing_is_stored_i_am_told_to_run_the_study(runs):
    """Tables are made from finished runs; without any, the sentence says what to do."""
    for folder in runs[1:3]:
        (folder / "cost.json").unlink()
    with pytest.raises(DataError, match="expected stored evaluations of every seed") as caught:
        usable(_named(runs))
    assert caught.value.where == str(runs[0].parents[2])
    assert "Run the study first" in caught.value.remedy


def test_what_a_later_comparison_names_otherwise_is_a_table(runs, index):
    """The first one is written down beside the results, and the second is held against it."""
    assert _tables(runs, index)["changes"].empty
    changes = _tables(runs, index, design_of({"flipped": "baseline"}, margin=0.2))["changes"]
    assert changes[["what", "first", "now"]].values.tolist() == [["margin", "0.01", "0.2"]]


def test_strategies_that_are_left_out_are_no_change(runs, index):
    """A study looked at before it is finished has named what it will compare."""
    design = design_of({"flipped": "baseline", "late": "baseline"})
    tables = make_tables(_stored(runs, index), design, ["late"])
    assert set(tables["comparison"]["strategy"]) == {"flipped"}
    assert tables["changes"].empty
    assert set(pd.read_json(index.parent / "first.json", typ="series")["references"]) == {"flipped", "late"}


def test_the_certificate_is_of_this_study_s_shape(runs, index):
    """Two seeds and two images, and no more simulated than takes a moment; more where they are asked for."""
    table = _tables(runs, index)["certificate"]
    assert table[["seeds", "units", "comparisons", "studies"]].values.tolist() == [[2, 2, 1, 1000]] * 2
    more = certify(runs, index, DESIGN, None)
    assert set(more["studies"]) == {10_000} and set(more["scatter"]) == {"measured"}


def test_before_anything_has_run_a_certificate_assumes_a_scatter(index):
    """Of the shape that the study will have; where even that is not known I am told what to do."""
    table = certify([], index, DESIGN, {"unit": "image", "seeds": 3, "units": 20})
    assert table["strategy"].tolist() == ["all", "flipped"] and set(table["scatter"]) == {"assumed"}
    with pytest.raises(DataError, match="images and masks that make samples"):
        certify([], index, DESIGN, None)


def test_a_class_that_no_run_finds_is_a_table(tmp_path, runs, index):
    """None here; of runs that find nothing, the class, which covers all that is counted."""
    assert _tables(runs, index)["unfound"].empty
    blind = [
        _store(tmp_path, strategy, seed, (0, 0)) for strategy in ("baseline", "flipped") for seed in (1, 2)
    ]
    assert _tables(blind, index)["unfound"].values.tolist() == [["cell", 1.0]]


def test_a_study_without_foreground_has_tables(tmp_path, index):
    """No test image holds a class: no endpoint, no pairs, no certificate, and nothing fails."""
    folders = [
        _store(tmp_path, strategy, seed, (0, 0)) for strategy in ("baseline", "flipped") for seed in (1, 2)
    ]
    for folder in folders:
        table = pd.read_parquet(folder / "evaluation.parquet").assign(tp=0, fn=0)
        write_table(table, folder / "evaluation.parquet")
    tables = _tables(folders, index)
    assert all(tables[name].empty for name in ("comparison", "pairs", "certificate", "sizes"))
