"""What runs again after a change, and what does not."""

import hashlib
import re

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from repository import ROOT, all_modules
from stratagem.core.provenance import LEFT_OUT, modules
from workflow_edits import edited

SECTION = (ROOT / "docs/architecture.md").read_text().split("## What reruns")[1].split("\n## ")[0]
TABLE = [
    (re.findall(r"`([\w.]+)`", named), set(re.findall(r"`(\w+)`", rules)))
    for named, rules in re.findall(r"^\| (`\w+\..*?) \| (.*?) \|$", SECTION, re.MULTILINE)
]
STAGES = ["demo", "index", "plan", "shard", "gather", "manifest", "split"]
STAGES += ["roundtrip", "overlap", "pretrain", "train", "evaluate", "compare", "report"]
pytestmark = pytest.mark.xdist_group("workflow")


def weights(checkout, strategy: str, seed: int) -> str:
    """A digest of one run's weights."""
    path = checkout.folder / f"results/tiny/runs/{strategy}/fold0/seed{seed}/model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_finished_study_has_nothing_to_do(finished):
    """I start a finished study again: nothing runs."""
    assert finished.planned() == {}


def test_a_new_time_stamp_reruns_nothing(finished):
    """I check the code out again, so every file has a new time: nothing runs."""
    for path in [*finished.folder.rglob("*.py"), *finished.folder.rglob("*.smk")]:
        path.touch()
    assert finished.planned() == {}


def _file(module: str) -> str:
    return f"stratagem/{module.replace('.', '/')}.py"


def test_words_rerun_nothing(finished):
    """I mend the comments, docstrings and messages of every module and script: nothing runs."""
    spoken = b'\n# edited\n"""Edited."""\n'
    scripts = [f"{rule}.py" for rule in STAGES]
    with edited(finished, *map(_file, all_modules()), *scripts, addition=spoken):
        assert finished.planned() == {}


def test_the_table_names_every_module():
    """Each module of the package stands in docs/architecture.md, once."""
    assert len(TABLE) > 10
    assert sorted(module for named, _ in TABLE for module in named) == all_modules()


@pytest.fixture(scope="session")
def downstream(finished) -> dict[str, set[str]]:
    """What runs again where the script of a rule is edited: that rule, and all that follows from it."""
    found = {}
    for rule in STAGES:
        with edited(finished, f"{rule}.py"):
            found[rule] = set(finished.planned())
    return found


def test_a_changed_script_reruns_its_rule(downstream):
    """I edit the script of a rule: this rule runs again and what is downstream, nothing before it."""
    for rule, planned in downstream.items():
        assert rule in planned
        assert planned <= set(STAGES[STAGES.index(rule) :])


DIGESTS = {
    rule: set().union(*map(modules, re.findall(r'"([\w.]+)"', called)))
    for rule, called in re.findall(
        r"^rule (\w+):.*?source=(?:code|sources)\(([^)]*),\s*script=",
        "".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk"))),
        re.MULTILINE | re.DOTALL,
    )
    if rule in STAGES
}


def test_the_table_says_what_follows_from_each_module_s_digests(downstream):
    """For every module: the rules whose digest it enters, and what is downstream of these, and no other."""
    assert set(DIGESTS) == set(STAGES)
    for named, rules in TABLE:
        for module in named:
            entered = {rule for rule, found in DIGESTS.items() if module in found}
            follows = set().union(*(downstream[rule] for rule in entered))
            assert follows == rules - {"fetch"}, module


@pytest.mark.parametrize(("module", "rules"), [(named[0], rules) for named, rules in TABLE])
def test_a_changed_module_reruns_what_depends_on_it(finished, module, rules):
    """I edit a module: the rules that docs/architecture.md names run again, and no other."""
    with edited(finished, _file(module)):
        assert set(finished.planned()) == rules - {"fetch"}  # the tiny study fetches nothing


def test_a_changed_module_fetches_weights_again_where_the_table_says_so(clone):
    """I edit what reads weights files: they are read again; I edit anything else: they are not."""
    target = "results/tiny/sources/imagenet/model.safetensors"
    save_file({"weight": np.zeros(1, np.float32)}, clone.folder / "weights.safetensors")
    sources = {"imagenet": {"weights": "weights.safetensors"}}
    clone.study(sources=sources, strategies={"baseline": clone.strategies["baseline"]})
    said = clone.snakemake(target)
    assert said.returncode == 0, said.stdout
    fetching = [_file(named[0]) for named, rules in TABLE if "fetch" in rules]
    for path in (*fetching, "fetch.py"):
        with edited(clone, path):
            assert clone.planned(target) == {"fetch": 1}, path
    others = [_file(module) for named, rules in TABLE if "fetch" not in rules for module in named]
    with edited(clone, *others):
        assert clone.planned(target) == {}


def test_modules_left_out_of_the_digest_are_those_whose_effect_arrives_as_params():
    """What reruns nothing by itself is named in one place."""
    assert LEFT_OUT == ("core.errors", "data.layouts", "data.masks.question", "study.")


def test_a_changed_strategy_reruns_that_strategy_alone(finished):
    """I change one strategy's rate: its two runs are trained again, then compared."""
    strategies = finished.strategies
    changed = strategies | {"augment": strategies["augment"] | {"learning_rate": 0.01}}
    finished.study(strategies=changed)
    try:
        planned = finished.planned()
    finally:
        finished.study()
    assert planned == {"train": 2, "evaluate": 2, "compare": 1, "report": 1}


def test_a_new_strategy_trains_only_itself(finished):
    """I add three lines: the new strategy's two runs are trained, no other."""
    finished.study(strategies=finished.strategies | {"mine": {"resolution": "native"}})
    try:
        planned = finished.planned()
    finally:
        finished.study()
    assert planned == {"train": 2, "evaluate": 2, "compare": 1, "report": 1}


def test_a_changed_report_trains_nothing(finished):
    """I widen the margin: tables and report are made again, nothing is trained."""
    finished.study(report={"margin": 0.05})
    try:
        planned = finished.planned()
    finally:
        finished.study()
    assert planned == {"compare": 1, "report": 1}


def test_tables_are_made_again_without_training_and_name_stale_runs(finished):
    """I ask for tables after a change of training: no run starts, the stale ones are named."""
    report = finished.folder / "results/tiny/report"
    before, trained = (report / "tables/comparison.csv").read_bytes(), weights(finished, "augment", 1)
    strategies = finished.strategies
    changed = strategies | {"augment": strategies["augment"] | {"learning_rate": 0.01}}
    finished.study(strategies=changed)
    try:
        said = finished.snakemake("tables")
    finally:
        finished.study()
    assert said.returncode == 0, said.stdout
    stale = re.findall(r"^Stale: (\S+): (.*)$", said.stdout, re.MULTILINE)
    assert [folder.split("/")[3] for folder, _ in stale] == ["augment", "augment"]
    assert stale[0][1] == "trained with other values of strategy.learning_rate."
    assert (report / "tables-stored/comparison.csv").read_bytes() == before
    assert weights(finished, "augment", 1) == trained


def test_tables_name_runs_whose_input_files_would_differ_and_leave_out_the_unfinished(finished):
    """I change an augmentation and add a strategy: runs of the first are stale, the second is left out."""
    policy = {"flips": {"flip_horizontal": 0.25, "variants": 2}}
    mine = finished.strategies | {"mine": {"resolution": "native"}}
    finished.study(strategies=mine, augmentations=policy)
    try:
        said = finished.snakemake("tables")
    finally:
        finished.study()
    assert said.returncode == 0, said.stdout
    assert "Left out: mine" in said.stdout
    stale = re.findall(r"^Stale: (\S+): (.*)$", said.stdout, re.MULTILINE)
    assert {folder.split("/")[3] for folder, _ in stale} == {"augment"}
    assert stale[0][1] == "trained with other values of augmentation.flip_horizontal.probability."


def test_tables_of_another_margin_do_not_slip_into_the_report(finished):
    """I try a margin with `tables` and go back: the report and its tables are as they were."""
    table = finished.folder / "results/tiny/report/tables/comparison.csv"
    before = table.read_bytes()
    finished.study(report={"margin": 0.9, "examples": 2})
    try:
        said = finished.snakemake("tables")
    finally:
        finished.study()
    assert said.returncode == 0, said.stdout
    assert finished.planned("tables") == {"tables": 1}  # a second call makes them again
    assert "no difference" in (table.parents[1] / "tables-stored/comparison.csv").read_text()
    assert "margin,0.01,0.9," in (table.parents[1] / "tables-stored/changes.csv").read_text()
    assert table.read_bytes() == before
    assert finished.planned() == {}


def test_the_main_table_has_the_documented_columns(finished):
    """comparison.csv has a row for each strategy, metric and class, with its columns in order."""
    table = pd.read_csv(finished.folder / "results/tiny/report/tables/comparison.csv")
    expected = (
        "strategy reference metric class unit seeds units mean reference_mean difference low high inner_low "
        "inner_high p verdict limit detectable effect_seeds_low effect_seeds_high effect_units_low "
        "effect_units_high margin_seeds_low margin_seeds_high margin_units_low margin_units_high round_trip"
    )
    assert list(table.columns) == expected.split()
    assert all(f"`{name}`" in (ROOT / "docs/comparison.md").read_text() for name in expected.split())
    assert set(table["strategy"]) == {"from-shards", "augment", "transfer"}
    primary = table[table["verdict"] != "not adjusted"]
    assert len(primary) == 3


def test_memory_and_shards_end_in_the_same_weights(finished):
    """The same fraction from memory and from shards: the same bytes, so no difference."""
    assert weights(finished, "baseline", 1) == weights(finished, "from-shards", 1)


def test_another_seed_ends_in_other_weights(finished):
    """A seed governs the run."""
    assert weights(finished, "baseline", 1) != weights(finished, "baseline", 2)


def test_one_core_and_two_give_the_same_weights(finished, clone):
    """How many jobs run at once does not show in a result."""
    clone.study(seeds=[1], strategies={"baseline": clone.strategies["baseline"]})
    path = "results/tiny/runs/baseline/fold0/seed1/model.safetensors"
    said = clone.snakemake("--cores", "1", path)
    assert said.returncode == 0, said.stdout
    assert weights(clone, "baseline", 1) == weights(finished, "baseline", 1)
