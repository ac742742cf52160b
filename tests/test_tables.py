"""Tables from stored runs alone: three kinds of file, and a sentence for what no longer fits."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from stratagem.comparison import Design, compare
from stratagem.errors import DataError
from stratagem.files import write_json, write_table
from stratagem.tables import make, stale, stored, write

CLASSES = ["background", "cell"]
DESIGN = Design({"flipped": "baseline"}, "dice", 0.01, CLASSES)
RECIPE = {"name": "flipped", "fold": 0, "seed": 1, "threads": 1, "strategy": {"resolution": "native"}}
COST = dict.fromkeys(["images", "steps", "epochs", "pixels", "train_images", "training_s", "waiting_s"], 2)
COST |= dict.fromkeys(["validation_s", "peak_memory_mb", "parameters", "trainable"], 2) | {"cpu_s": 5.5}


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
    history = pd.DataFrame({"share": [0.8, 1.0], "val_dice": [0.5, 0.6]}).assign(**keys)
    write_table(history, folder / "history.parquet")
    write_json(keys | COST | {"recipe": RECIPE, "source": "abc"}, folder / "cost.json")
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
    """An index in which each image is a group of its own."""
    write_table(pd.DataFrame({"sample": ["x", "y"], "group": ["x", "y"]}), tmp_path / "index.parquet")
    return tmp_path / "index.parquet"


def test_the_tables_are_those_of_the_stored_counts(runs, index):
    """Comparison, scores and costs follow from files alone: no network, no images."""
    tables = make(runs, index, {}, DESIGN)
    assert list(tables) == ["comparison", "scores", "costs"]
    evaluation = pd.concat([pd.read_parquet(run / "evaluation.parquet") for run in runs])
    units = pd.Series(["x", "y"], index=["x", "y"])
    pd.testing.assert_frame_equal(tables["comparison"], compare(evaluation, units, DESIGN))
    first = tables["comparison"].iloc[0]
    assert (first["difference"], first["verdict"]) == (pytest.approx(0.2), "helps")
    assert tables["scores"]["dice"].tolist() == pytest.approx([0.45, 0.65])
    assert tables["costs"]["cpu_s"].tolist() == [5.5, 5.5]
    assert tables["costs"]["not_yet_trained"].tolist() == [True, True]


def test_groups_are_those_of_the_index(runs, index):
    """Two images of one patient are one unit, and one unit gives no interval."""
    write_table(pd.DataFrame({"sample": ["x", "y"], "group": ["one", "one"]}), index)
    first = make(runs, index, {}, DESIGN)["comparison"].iloc[0]
    assert (first["images"], first["verdict"]) == (1, "cannot tell yet")


def test_a_source_s_cost_stands_with_the_strategies_that_use_it(runs, index, tmp_path):
    """What teaching the source took is read from the source's own record."""
    write_json({"cpu_s": 123.0}, tmp_path / "sources" / "cost.json")
    table = make(runs, index, {"flipped": tmp_path / "sources" / "cost.json"}, DESIGN)["costs"]
    assert table["pretraining_cpu_s"].tolist() == [pytest.approx(math.nan, nan_ok=True), 123.0]


def test_a_study_of_the_baseline_alone_has_tables(runs, index):
    """Scores and costs are worth having before anything is compared."""
    tables = make(runs[:2], index, {}, Design({}, "dice", 0.01, CLASSES))
    assert tables["comparison"].empty and len(tables["scores"]) == len(tables["costs"]) == 1


def test_each_table_is_written_in_three_kinds(runs, index, tmp_path):
    """CSV to compute with, Markdown to read, LaTeX to print."""
    write(make(runs, index, {}, DESIGN), tmp_path / "tables")
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert names == {
        f"{n}.{kind}" for n in ("comparison", "scores", "costs") for kind in ("csv", "md", "tex")
    }


def test_a_csv_holds_every_digit(tmp_path):
    """Nothing is lost between the table and its file."""
    table = pd.DataFrame({"strategy": ["a", "b"], "value": [1 / 3, np.pi * 1e-9], "count": [3, 10**9]})
    write({"numbers": table}, tmp_path)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "numbers.csv"), table, check_exact=True, check_dtype=False
    )


def test_markdown_has_a_header_and_a_row_a_row(tmp_path):
    """The first line names the columns; numbers have four significant digits."""
    write({"t": pd.DataFrame({"strategy": ["full-data"], "cpu_s": [123.456], "seeds": [3]})}, tmp_path)
    head, rule, row = (tmp_path / "t.md").read_text().splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["strategy", "cpu_s", "seeds"]
    assert set(rule) <= set("|:-")
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["full-data", "123.5", "3"]


def test_a_class_s_name_cannot_break_a_markdown_row(tmp_path):
    """A bar in a name is text, not a column."""
    write({"t": pd.DataFrame({"class": ["a|b"], "dice": [0.5]})}, tmp_path)
    head, _, row = (tmp_path / "t.md").read_text().splitlines()
    bars = re.compile(r"(?<!\\)\|")
    assert len(bars.findall(row)) == len(bars.findall(head)) == 3


def test_a_name_that_looks_like_a_number_stays_as_it_is_written(tmp_path):
    """A strategy called 050 or 1e3 is not 50 or 1000."""
    write({"t": pd.DataFrame({"strategy": ["050", "1e3"], "dice": [0.5, 0.25]})}, tmp_path)
    rows = (tmp_path / "t.md").read_text().splitlines()[2:]
    assert [row.strip("|").split("|")[0].strip() for row in rows] == ["050", "1e3"]


def test_latex_escapes_what_would_not_compile(tmp_path):
    """Column names with underscores and class names with special signs are text."""
    write({"t": pd.DataFrame({"class": ["50%_&_{x}$#^~\\"], "cpu_s": [1.0]})}, tmp_path)
    text = (tmp_path / "t.tex").read_text()
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    assert r"cpu\_s" in body and r"50\%\_\&\_\{x\}\$\#" in body
    assert re.search(r"(?<!\\)[_%$#]", body) is None
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert all(line.endswith(r"\\") for line in body.splitlines() if "&" in line)


def test_the_study_s_own_tables_are_good_latex(runs, index, tmp_path):
    """No underscore of a column stands bare."""
    write(make(runs, index, {}, DESIGN), tmp_path)
    for name in ("comparison", "scores", "costs"):
        assert re.search(r"(?<!\\)_", (tmp_path / f"{name}.tex").read_text()) is None


def test_the_same_tables_are_the_same_bytes(runs, index, tmp_path):
    """Tables made anew differ from the old ones only if the numbers do."""
    for name in ("one", "two"):
        write(make(runs, index, {}, DESIGN), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_runs_without_all_their_files_are_not_counted_as_stored(runs):
    """A run that was trained and not tested is left out, in the order of the study."""
    (runs[1] / "evaluation.parquet").unlink()
    (runs[2] / "cost.json").unlink()
    assert stored(runs) == [runs[0], runs[3]]


def test_where_nothing_is_stored_i_am_told_to_run_the_study(tmp_path):
    """Tables are made from finished runs; without any, the sentence says what to do."""
    folders = [tmp_path / "runs" / "baseline" / "fold0" / f"seed{seed}" for seed in (1, 2)]
    with pytest.raises(DataError, match="expected stored evaluations, but found none") as caught:
        stored(folders)
    assert caught.value.where == str(tmp_path / "runs")
    assert "Run the study first" in caught.value.remedy


def test_a_run_that_fits_the_study_is_not_stale(runs):
    """The same recipe, in any order of keys, and the same code."""
    assert stale(runs[0], dict(reversed(RECIPE.items())), "abc") is None
    assert stale(runs[0], json.loads(json.dumps(RECIPE)), "abc") is None


@pytest.mark.parametrize(
    ("recipe", "source", "reason"),
    [
        (RECIPE | {"threads": 2}, "abc", "trained with other values of threads"),
        (RECIPE | {"threads": 2, "name": "x"}, "abc", "trained with other values of name, threads"),
        (
            RECIPE | {"strategy": {"resolution": "pad"}},
            "abc",
            "trained with other values of strategy.resolution",
        ),
        (RECIPE | {"budget": {"images": 6}}, "abc", "trained with other values of budget.images"),
        (RECIPE, "xyz", "trained by other code"),
        (RECIPE | {"seed": 7}, "xyz", "trained with other values of seed"),
    ],
)
def test_a_stale_run_is_told_with_its_reason(runs, recipe, source, reason):
    """The keys that changed are named; other code is named where the recipe is the same."""
    assert stale(runs[0], recipe, source) == reason
