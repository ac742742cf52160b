"""How long does a call think before its first job, beside a bare Snakefile of the same jobs?

    python benchmarks/dag.py [--pairs 20000 100000] [--bytes 1] [--runs 1000 5000] [--rounds 3]

Two tables of seconds of whole processes, median of the rounds, the ways in turn.

The first: a study of six strategies on so many pairs of images and masks, files of so many bytes:
`snakemake -n`, which opens none of them; the same where every image has a new time, so that its content is
read and compared; the start of one job as a cluster starts it; and the walk of the folders alone.

The second: a study of so many runs (five seeds a strategy), none of them made: `snakemake -n` of ours, and of
a bare Snakefile with rules of the same names, inputs and outputs, without params, resources or a study.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
PARTS = ("Snakefile", "envs", "profiles", "rules", "scripts")
SEEDS = 5
STUDY = {
    "study": "big",
    "classes": ["background", "cell"],
    "seeds": [1],
    "budget": {"images": 100},
    "unet": {"width": 2, "depth": 2},
    "resolutions": {"native": {"plan": "native"}},
    "report": {"examples": 0},
}
BARE = """
RUNS = [(f"s{{strategy}}", seed) for strategy in range({strategies}) for seed in range({seeds})]
PATHS = [f"results/runs/{{s}}/fold0/seed{{seed}}" for s, seed in RUNS]
rule all:
    input: "results/report.html", [f"{{p}}/model" for p in PATHS], [f"{{p}}/evaluation" for p in PATHS]
rule index:
    output: "results/index"
    shell: "touch {{output}}"
rule plan:
    input: "results/index"
    output: "results/plan"
    shell: "touch {{output}}"
rule shard:
    input: "results/index", "results/plan"
    output: "results/{{shard}}.h5"
    shell: "touch {{output}}"
rule gather:
    input: expand("results/{{shard}}.h5", shard=range(4))
    output: "results/shards"
    shell: "touch {{output}}"
rule split:
    input: "results/index"
    output: "results/splits"
    shell: "touch {{output}}"
rule roundtrip:
    input: "results/index", "results/plan"
    output: "results/roundtrip"
    shell: "touch {{output}}"
rule train:
    input: "results/index", "results/plan", "results/shards", "results/splits"
    output: multiext("results/runs/{{s}}/fold0/seed{{seed}}/", "model", "history", "cost")
    shell: "touch {{output}}"
rule evaluate:
    input: "results/index", "results/splits", "results/plan",
        multiext("results/runs/{{s}}/fold0/seed{{seed}}/", "model", "cost")
    output: multiext("results/runs/{{s}}/fold0/seed{{seed}}/", "evaluation", "confusion", "predictions")
    shell: "touch {{output}}"
rule compare:
    input: "results/index", "results/roundtrip",
        [f"{{p}}/{{name}}" for p in PATHS for name in ("evaluation", "history", "cost")]
    output: "results/comparison"
    shell: "touch {{output}}"
rule report:
    input: "results/index", "results/splits", "results/plan", "results/comparison",
        [f"{{p}}/{{name}}" for p in PATHS for name in ("history", "cost", "evaluation", "predictions")]
    output: "results/report.html"
    shell: "touch {{output}}"
"""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="*", default=[20_000, 100_000])
    parser.add_argument("--bytes", type=int, default=1)
    parser.add_argument("--runs", type=int, nargs="*", default=[1_000, 5_000])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print("| pairs | snakemake -n | all images touched | start of a job | walk alone |")
    print("| --- | --- | --- | --- | --- |")
    for pairs in given.pairs:
        with tempfile.TemporaryDirectory() as folder:
            print(_row(pairs, _of_pairs(Path(folder), pairs, given.bytes, given.rounds)), flush=True)
    if given.runs:
        print("\n| runs | snakemake -n | bare Snakefile | ratio |\n| --- | --- | --- | --- |")
    for runs in given.runs:
        with tempfile.TemporaryDirectory() as folder:
            ours, bare = _of_runs(Path(folder), runs, given.rounds)
            print(f"{_row(runs, (ours, bare))} {ours / bare:.2f} |", flush=True)


def _of_pairs(folder: Path, pairs: int, size: int, rounds: int) -> tuple[float, ...]:
    """Seconds of a dry run, of one with touched images, of a job's start, and of the walk."""
    from stratagem.data import raw

    for kind in ("images", "masks"):
        (folder / kind).mkdir()
        for number in range(pairs):
            (folder / kind / f"{number}.png").write_bytes(b"0" * size)
    strategies = {"baseline" if not number else f"s{number}": {"resolution": "native"} for number in range(6)}
    study = STUDY | {"images": "images", "masks": "masks", "strategies": strategies}
    _checkout(folder, study)
    os.chdir(folder)
    root = folder / "results" / "big"
    digest = raw.found(["images", "masks"], root)  # as the call that starts it does
    raw.record_contents(study, study, digest, root)  # as the index job does
    dry = _snakemake("-n", "--quiet", "all")
    job = _snakemake("--mode", "subprocess", "--quiet", "all", "--force", "--allowed-rules", "split", "-n")
    walk = [
        sys.executable,
        "-c",
        "from stratagem.data.raw import fingerprint; fingerprint('images', 'masks')",
    ]
    untouched, start, alone = _medians(rounds, folder, dry, job, walk)
    for path in (folder / "images").iterdir():
        os.utime(path, ns=(1, 1))
    (touched,) = _medians(rounds, folder, dry)  # a dry run writes down nothing: each of them reads the files
    assert raw.found(["images", "masks"], root, record=False) == digest
    return untouched, touched, start, alone


def _of_runs(folder: Path, runs: int, rounds: int) -> tuple[float, ...]:
    """Seconds of our dry run, and of a bare one."""
    strategies = {
        "baseline" if not number else f"s{number}": {"resolution": "native"}
        for number in range(runs // SEEDS)
    }
    own = {"images": "data/demo/tissue/images", "masks": "data/demo/tissue/masks"}
    _checkout(folder, STUDY | own | {"seeds": list(range(SEEDS)), "strategies": strategies})
    (folder / "Bare").write_text(BARE.format(strategies=runs // SEEDS, seeds=SEEDS))
    bare = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", "Bare", "-n", "--quiet", "all"]
    return _medians(rounds, folder, _snakemake("-n", "--quiet", "all"), bare)


def _checkout(folder: Path, study: dict) -> None:
    """The workflow and a study in a folder."""
    for part in PARTS:
        (folder / part).symlink_to(ROOT / part)
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def _snakemake(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "study.yaml", *arguments]


def _medians(rounds: int, folder: Path, *commands: list[str]) -> tuple[float, ...]:
    """Median seconds of each command, in turn."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    seconds: list[list[float]] = [[] for _ in commands]
    for _ in range(rounds):
        for number, command in enumerate(commands):
            start = time.perf_counter()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            seconds[number].append(time.perf_counter() - start)
            if done.returncode:
                sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return tuple(map(statistics.median, seconds))


def _row(count: int, seconds: tuple[float, ...]) -> str:
    return f"| {count:,} | " + " | ".join(f"{one:.1f} s" for one in seconds) + " |"


if __name__ == "__main__":
    main()
