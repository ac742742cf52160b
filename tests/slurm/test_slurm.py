"""A small study through a real Slurm of one node, from images to the report: `make test-slurm`."""

import importlib.util
import re
import shutil
import subprocess
import sys
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


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the workflow consists of, with the small study in it."""
    shutil.copy(REPOSITORY / "Snakefile", tmp_path)
    for name in ("rules", "scripts", "profiles", "envs"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    return tmp_path


def snakemake(folder, *options):
    """What Snakemake says to a call in a folder, with the profile for Slurm."""
    polling = (
        "--slurm-init-seconds-before-status-checks=2",  # 40 by default
        "--seconds-between-status-checks=2",
        "--slurm-status-command=squeue",  # this Slurm keeps no accounts
    )
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *polling, *options],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


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
