"""What is said on the command line belongs to the call: it keeps, it uses, and it changes no study."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from repository import ROOT
from stratagem.comparison.design import TABLES
from stratagem.core.memory import total_mb
from workflow_edits import edited

SHARED = pytest.mark.xdist_group("workflow")  # those that use the study which was run once for all
TRAINING = "stratagem/training/loop.py"


@SHARED
def test_tests_that_share_a_study_run_in_one_process(request):
    """Else the study is run once a process, and its tests edit two copies: pytest-xdist names the group."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@workflow")


@SHARED
def test_an_upgrade_says_what_it_costs_before_it_starts(finished):
    """The code of training changed: I am told how many runs, of how long, and how to keep them."""
    with edited(finished, TRAINING):
        said = finished.snakemake("--dry-run").stdout
    assert re.search(
        r"^Stale: 8 finished runs were made by other code.*: 1 min by their own records", said, re.M
    )
    assert "To keep them: --config keep=code." in said
    assert "Stale" not in finished.snakemake("--dry-run").stdout


@SHARED
def test_finished_runs_can_be_kept(finished):
    """With keep=code nothing is made anew that other code made, at any stage."""
    with edited(finished, TRAINING, "stratagem/data/image.py", "stratagem/loading/shards.py"):
        assert finished.planned()["train"] == 8
        said = finished.snakemake("--dry-run", "--config", "keep=code").stdout
        assert "Kept: 8 finished runs that other code made" in said
        assert finished.planned("--config", "keep=code") == {}


def test_what_was_kept_is_recorded_in_tables_and_page(clone):
    """I keep old runs and add a strategy: the tables name both versions of the code, and the page warns."""
    baseline = {"baseline": clone.strategies["baseline"]}
    clone.study(seeds=[1], strategies=baseline)
    assert clone.snakemake().returncode == 0
    clone.study(seeds=[1], strategies=baseline | {"from-shards": clone.strategies["from-shards"]})
    with edited(clone, TRAINING):
        said = clone.snakemake("--config", "keep=code")
        assert said.returncode == 0, said.stdout
        assert clone.planned("--config", "keep=code") == {}
    report = clone.folder / "results/tiny/report"
    codes = pd.read_csv(report / "tables/costs.csv").set_index("strategy")["code"]
    assert codes["baseline"] != codes["from-shards"]
    page = (report / "report.html").read_text()
    assert "made by different versions of the code" in page and codes["baseline"] in page


def test_an_argument_in_a_study_file_stops_the_call(clone):
    """It is an argument of a call: I am told where to put it."""
    clone.study(keep="code")
    said = clone.snakemake("--dry-run")
    assert said.returncode != 0
    assert "keep: an argument of a call" in said.stdout and "--config keep=code" in said.stdout


@SHARED
@pytest.mark.parametrize(("target", "planned"), [("tables", {"tables": 1}), ("certify", {"certify": 1})])
def test_targets_that_use_results_train_nothing(finished, target, planned):
    """I edit the code of training and ask for what uses results: no run starts, stale ones are named."""
    with edited(finished, TRAINING):
        assert finished.planned(target) == planned
        said = finished.snakemake(target)
    assert said.returncode == 0, said.stdout
    assert len(re.findall(r"^Stale: \S+: trained by other code\.$", said.stdout, re.MULTILINE)) == 8


@SHARED
def test_a_certificate_is_of_the_study_s_own_scatter_once_it_has_run(finished):
    """Of its seeds and test images, printed and written beside the other tables that are asked for."""
    said = finished.snakemake("certify")
    assert said.returncode == 0, said.stdout
    table = pd.read_csv(finished.folder / "results/tiny/report/tables-stored/certified.csv")
    assert table["strategy"].tolist() == ["all", "from-shards", "augment", "transfer"]
    assert set(table["scatter"]) == {"measured"} and set(table["seeds"]) == {2}
    assert "false_verdict" in said.stdout and finished.planned() == {}


def test_before_it_is_trained_a_study_is_told_what_it_can_see(clone):
    """In a dry run too, with figures; its certificate assumes a scatter, and nothing is trained for it."""
    clone.study()
    said = clone.snakemake("--dry-run").stdout
    told = "What this study can see, assuming the scatter of published studies: "
    assert f"{told}2 seeds, 19 test images and 3 comparisons see effects" in said
    said = clone.snakemake("certify")
    assert said.returncode == 0, said.stdout
    assert "assumed" in said.stdout and not (clone.folder / "results/tiny/runs").exists()


@SHARED
def test_a_finished_study_is_not_told_again_what_it_might_see(finished):
    """The page says it by the runs' own scatter."""
    assert "What this study can see" not in finished.snakemake("--dry-run").stdout


@SHARED
def test_an_argument_enters_no_record(finished):
    """What a run was trained with knows of no call."""
    for path in (finished.folder / "results/tiny/runs").glob("*/*/*/cost.json"):
        assert "keep" not in json.loads(path.read_text())["recipe"]


def _own_images(clone) -> dict:
    """Twelve images of the user's own, and the keys of a study of them."""
    rng = np.random.default_rng(0)
    for number in range(12):
        for kind, array in (
            ("images", rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)),
            ("masks", rng.integers(0, 2, (16, 16), dtype=np.uint8) * 255),
        ):
            path = clone.folder / "mine" / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    baseline = clone.strategies["baseline"] | {"loader": {"batch_size": 2}}
    own = {"images": "mine/images", "masks": "mine/masks", "labels": "binary", "sources": {}, "seeds": [1]}
    return own | {"strategies": {"baseline": baseline}, "split": {"test": 0.3, "validation": 0.2}}


def test_keeping_holds_on_one_s_own_images_and_records_the_truth(clone):
    """Whatever digests stand in a record: nothing runs where nothing changed, what changed is made anew."""
    own = _own_images(clone)
    clone.study(**own)
    assert clone.snakemake().returncode == 0
    assert clone.planned("--config", "keep=code") == {}
    assert clone.planned("verify", "--config", "keep=code") == {"verify": 1}
    image = clone.folder / "mine/images/0.png"
    image.write_bytes(image.read_bytes() + b"0")
    with edited(clone, TRAINING, "stratagem/data/index.py"):
        planned = clone.planned("--config", "keep=code")
        assert planned["index"] == planned["train"] == 1
    clone.study(**own, training={"validations": 2, "learning_rate": 0.01})
    run = clone.folder / "results/tiny/runs/baseline/fold0/seed1/cost.json"
    before = json.loads(run.read_text())["source"]
    with edited(clone, TRAINING):
        assert clone.snakemake("--config", "keep=code").returncode == 0
        assert json.loads(run.read_text())["source"] != before
        assert clone.planned() == {}  # recorded by the code that made it, so a plain call has nothing to do


JOB = "--target-jobs train:strategy=baseline,fold=0,seed=1 --allowed-rules train --mode remote"
JOB += " --force --nolock --target-files-omit-workdir-adjustment --ignore-incomplete --rerun-triggers mtime"


def test_a_job_of_a_cluster_records_the_lineage_of_a_local_one(clone):
    """A job on a node reads what the call that planned it found: it walks no folder, and records the same."""
    clone.study(**_own_images(clone))
    run = clone.folder / "results/tiny/runs/baseline/fold0/seed1"
    said = clone.snakemake("results/tiny/runs/baseline/fold0/seed1/cost.json")
    assert said.returncode == 0, said.stdout
    # It asked for what this study takes, and the call was bounded by the memory of the machine.
    log = (clone.folder / "results/tiny/logs/train/baseline-fold0-seed1.log").read_text()
    granted = int(re.findall(r"(\d+) MB granted", log)[-1])
    assert 500 < granted < 2000
    assert int(re.search(r"Provided resources: .*mem_mb=.*?(\d+)", said.stdout)[1]) == total_mb()
    local = json.loads((run / "cost.json").read_text())["lineage"]
    assert local["files"] == json.loads((clone.folder / "results/tiny/raw.json").read_text())["files"]
    (run / "cost.json").unlink()
    os.utime(clone.folder / "mine/images/0.png", (0, 0))  # a walk would find other files now
    said = clone.snakemake(*JOB.split(), "--attempt", "2")
    assert said.returncode == 0, said.stdout
    assert json.loads((run / "cost.json").read_text())["lineage"] == local
    # A second attempt is granted twice as much.
    log = (clone.folder / "results/tiny/logs/train/baseline-fold0-seed1.log").read_text()
    assert int(re.findall(r"(\d+) MB granted", log)[-1]) == 2 * granted


@SHARED
@pytest.mark.parametrize(
    ("target", "made"),
    [
        ("data", "data/report.html"),
        ("tables", "report/tables-stored/comparison.md"),
    ],
)
def test_a_call_names_what_it_was_started_for(finished, target, made):
    """Its own page or table, and not the report, which an earlier call made."""
    said = finished.snakemake(target, "--forcerun", target)
    assert said.returncode == 0, said.stdout
    assert re.findall(r"^Made: (.*)$", said.stdout, re.MULTILINE) == [f"results/tiny/{made}"]


@SHARED
def test_why_each_job_runs_is_said_where_it_is_asked_for(finished):
    """Tens of paths a job otherwise hide what runs."""
    assert "Reason: " not in finished.snakemake("--dry-run", "--forcerun", "train").stdout
    asked = finished.snakemake("--dry-run", "--forcerun", "train", "--quiet", "host").stdout
    assert "Reason: Forced execution" in asked


@SHARED
@pytest.mark.parametrize(
    ("words", "gpus"),
    [
        ("", 1),
        ("--workflow-profile profiles/gpu", 2),
        ("--profile profiles/gpu", 1),  # profiles/default is read as well, and wins
        ("--workflow-profile profiles/gpu --resources gpu=4", 4),
        ("--resources gpu=3", 3),
    ],
)
def test_how_many_gpus_jobs_share_is_what_profiles_say(finished, words, gpus):
    """As Snakemake then sees it: the command line before a workflow profile before any other."""
    said = finished.snakemake("verify", *words.split()).stdout
    assert re.findall(r"^Provided resources: .*?gpu=.*?(\d+)", said, re.MULTILINE) == [str(gpus)], said
    assert "Reason: " not in said  # both profiles keep it off the screen


def test_every_rule_asks_for_more_when_it_failed():
    """Memory and minutes follow from the attempt, with a number of its own for what grows with the data."""
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for name, value in re.findall(r"^ +(mem_mb|runtime)=(.+),$", path.read_text(), re.MULTILINE):
            own = re.fullmatch(r"(training|prediction|image)_(mb|min)(\(images=\d+, masks=\d+\))?", value)
            assert own or re.fullmatch(r"more\(\d+\)", value), (path.name, name, value)


@SHARED
def test_a_study_fits_into_one_file_with_captions(finished, tmp_path):
    """Snakemake's own report: the page, each table and each figure, said what it is, without any server."""
    said = finished.snakemake("--report", str(tmp_path / "study.html"), "all")
    assert said.returncode == 0, said.stdout
    text = (tmp_path / "study.html").read_text(encoding="utf-8")
    for words in ("images of the study", "Which strategy helped, by how much", *TABLES.values()):
        assert words in text, words
    drawn = {path.stem for path in (finished.folder / "results/tiny/report/figures").glob("*.svg")}
    assert {"effects", "runs", "example-1"} <= drawn and all(f'"figure": "{name}"' in text for name in drawn)
    assert "the score of every run" in text.lower() and "what each strategy predicts" in text
    assert not re.search(r'(src|href)="http', text)


@SHARED
def test_the_list_of_rules_says_what_each_is_for(finished):
    """`snakemake --list`: a sentence a rule."""
    said = finished.snakemake("--list")
    rules = re.findall(r"^(\w+)( \([A-Z].*\.\))?$", said.stdout, re.MULTILINE)
    assert {"all", "data", "audit", "tables", "verify", "train"} <= {name for name, _ in rules}
    assert [name for name, sentence in rules if not sentence] == []
    assert "None" not in said.stdout and "wildcards" not in said.stdout


def test_absurd_costs_are_named_before_they_are_spent(clone):
    """A network, frames and cores that this machine has not got: numbers, and what to lower."""
    clone.study(unet={"width": 4096}, sources={}, strategies={"baseline": clone.strategies["baseline"]})
    said = clone.snakemake("--dry-run")
    assert said.returncode != 0 and "lower `unet.width`" in said.stdout and "Traceback" not in said.stdout
    huge = {"plan": "resize", "size": [200000, 200000]}
    clone.study(resolutions={"native": {"plan": "native"}, "resize": huge})
    said = clone.snakemake("--dry-run")
    assert said.returncode != 0 and said.stdout.count("resolutions.resize.size") >= 2
    clone.study()
    said = clone.snakemake("--dry-run", "--cores", "640")
    assert said.returncode == 0 and f"this machine has {os.cpu_count()}" in said.stdout
