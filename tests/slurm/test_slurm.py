"""A small study through a real Slurm of one node, from images to the report: `make test-slurm`."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
ONE_NODE = Path(__file__).with_name("one_node.sh")
CANNOT = 77  # exit status of one_node.sh where Slurm cannot be had

STRATEGY = {"loader": {"fraction": 0.1, "storage": "memory", "batch_size": 1}}
STUDY = {
    "study": "cluster",
    "images": "data/demo/tissue/images",
    "masks": "data/demo/tissue/masks",
    "classes": ["background", "cell"],
    "seeds": [1],
    "budget": {"images": 8},
    "device": "cpu",
    "shards": 2,
    "unet": {"width": 2, "depth": 2},
    "resolutions": {"native": {"plan": "native"}, "resize": {"plan": "resize"}},
    "strategies": {
        "baseline": STRATEGY | {"resolution": "native"},
        "resize": STRATEGY | {"resolution": "resize"},
    },
}

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
        reason="Snakemake's Slurm plugin is not in this environment; `make test-slurm` uses one that has it",
    ),
]


@pytest.fixture(scope="module")
def slurm():
    """A running Slurm of one node, ended and removed afterwards."""
    started = subprocess.run([ONE_NODE, "start"], capture_output=True, text=True)
    if started.returncode == CANNOT:
        pytest.skip(started.stdout.strip().splitlines()[-1])
    assert started.returncode == 0, started.stdout + started.stderr
    yield
    subprocess.run([ONE_NODE, "stop"], check=True)


def copy_to(folder) -> None:
    """What the workflow consists of, with the small study in it."""
    shutil.copy(REPOSITORY / "Snakefile", folder)
    for name in ("rules", "scripts", "profiles", "envs"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")


@pytest.fixture
def checkout(tmp_path):
    """A copy of the workflow."""
    copy_to(tmp_path)
    return tmp_path


def start(folder, *options):
    """Snakemake, called in a folder with the profile for Slurm."""
    polling = (
        "--slurm-init-seconds-before-status-checks=2",  # 40 by default
        "--seconds-between-status-checks=2",
        "--slurm-status-command=squeue",  # this Slurm keeps no accounts
    )
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *polling, *options],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def snakemake(folder, *options):
    """What Snakemake says to such a call, which ends well."""
    running = start(folder, *options)
    said, _ = running.communicate()
    assert running.returncode == 0, said
    return said


def completed():
    """The jobs that ended well, as Slurm itself remembers them."""
    listed = subprocess.run(
        ["squeue", "--noheader", "--states=COMPLETED", "--format=%i"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(listed.stdout.split())


def test_a_study_runs_through_slurm_from_images_to_report(slurm, checkout):
    """All heavy jobs end well in Slurm, the light ones stay outside, and nothing is left to do."""
    said = snakemake(checkout, "--configfile", "study.yaml")
    assert (checkout / "results/cluster/report/report.html").stat().st_size > 0

    # Snakemake names the log of a submitted job after its rule.
    submitted = re.findall(r"submitted with SLURM jobid (\d+) \(log: \S*/rule_(\w+)/", said)
    rules = [rule for _, rule in submitted]
    assert rules.count("train") == rules.count("evaluate") == len(STUDY["strategies"])
    assert not {"plan", "split", "compare", "report"} & set(rules), "local rules were submitted"
    assert {job for job, _ in submitted} <= completed()

    again = snakemake(checkout, "--configfile", "study.yaml", "--dry-run")
    assert "Nothing to be done" in again


# Each job waits for the other, so both end only if both run at once.
TWO_GPU_JOBS = """
rule all:
    input: "0", "1"

rule gpu:
    output: "{n}"
    wildcard_constraints: n="[01]"
    resources: gpu=1, mem_mb=100, runtime=5
    shell:
        "touch started{wildcards.n}; echo $CUDA_VISIBLE_DEVICES > {output}; "
        "for _ in $(seq 120); do [ -e started0 ] && [ -e started1 ] && exit 0; sleep 1; done; exit 1"
"""


def test_gpu_jobs_run_side_by_side_each_on_its_own(slurm, tmp_path):
    """The limit of profiles/default, one GPU at a time, does not hold for a whole cluster."""
    shutil.copytree(REPOSITORY / "profiles", tmp_path / "profiles")
    (tmp_path / "Snakefile").write_text(TWO_GPU_JOBS, encoding="utf-8")
    snakemake(tmp_path)
    assert sorted((tmp_path / name).read_text().strip() for name in "01") == ["0", "1"]


RUN = "results/cluster/runs/baseline/fold0/seed1"
SECONDS = {"cancelled": 25, "preempted": 25, "timed out": 110}  # of training; a limit is a minute at least


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A checkout in which all stands ready for one run, and how many images it trains on in a second."""
    folder = tmp_path_factory.mktemp("ready")
    copy_to(folder)
    change(folder, images=200)
    return folder, alone(folder)["images_per_s"]


def change(folder, images: int) -> None:
    """A study of one run of so many images, its state recorded all the time."""
    one = {"strategies": {"baseline": STRATEGY | {"resolution": "native"}}, "budget": {"images": images}}
    study = STUDY | one | {"record_every_s": 1, "unet": {"width": 8, "depth": 3}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")


def alone(folder) -> dict:
    """The cost of the run where Slurm has no part in it."""
    words = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "study.yaml"]
    done = subprocess.run(
        [*words, "--", f"{RUN}/model.safetensors"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / RUN / "cost.json").read_text())


def end(how: str, job: str) -> None:
    """What a cluster does to a job."""
    if how == "cancelled":
        subprocess.run(["scancel", job], check=True)
    elif how == "preempted":
        whole_node = ["--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 5"]
        subprocess.run(["sbatch", *whole_node], check=True, capture_output=True)


@pytest.mark.parametrize("how", SECONDS)
def test_a_run_that_slurm_ends_goes_on_to_the_same_bits(slurm, ready, how):
    """Cancelled, at its time limit, or preempted: it starts again by itself, where it was."""
    folder, images_per_s = ready
    shutil.rmtree(folder / RUN, ignore_errors=True)
    change(folder, images=int(SECONDS[how] * images_per_s))
    alone(folder)
    names = ("model.safetensors", "history.parquet")
    whole = [(folder / RUN / name).read_bytes() for name in names]
    shutil.rmtree(folder / RUN)
    options = ["--configfile", "study.yaml", "--set-resources", "train:runtime=1"]
    running = start(folder, *options, "--", f"{RUN}/model.safetensors")
    while running.poll() is None and len(list((folder / RUN).glob("state/*/step*"))) < 2:
        time.sleep(0.2)
    listed = ["squeue", "--noheader", "--states=RUNNING", "--format=%i"]
    end(how, subprocess.run(listed, check=True, capture_output=True, text=True).stdout.strip())
    said, _ = running.communicate()
    assert running.returncode == 0, said
    assert [(folder / RUN / name).read_bytes() for name in names] == whole
    assert json.loads((folder / RUN / "cost.json").read_text())["resumes"] >= 1
    assert not (folder / RUN / "state").exists()
