"""Kill training and pretraining with SIGKILL at random points: do they end in the same bits?

    make test-kill        or        python benchmarks/kill.py --points 20

A study of the demo's images runs through Snakemake in a folder of its own, once left alone, then killed and
started again: anywhere, while a record is written, while the final weights are, and with Snakemake itself.
Prints a table of what was killed when, and whether ``model.safetensors`` and ``history.parquet`` are those
of the run left alone, byte for byte; exit status 1 if any is not.
"""

import argparse
import contextlib
import functools
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "envs", "profiles", "rules", "scripts")
STUDY = {
    "study": "kill",
    "images": "data/demo/tissue/images",
    "masks": "data/demo/tissue/masks",
    "classes": ["background", "cell"],
    "seeds": [1],
    "budget": {"images": 320},
    "record_every_s": 0.25,
    "device": "cpu",
    "unet": {"width": 24, "depth": 3},
    "training": {"validations": 4},
    "resolutions": {"resize": {"plan": "resize", "size": [64, 64]}},
    "augmentations": {"turns": {"rotation": 180, "flip_horizontal": 0.5, "brightness": 0.1, "variants": 4}},
    "sources": {
        "glow": {
            "images": "data/demo/glow/images",
            "masks": "data/demo/glow/masks",
            "classes": ["background", "cell"],
            "resolution": "resize",
            "augmentation": "turns",
            "budget": {"images": 320},
        }
    },
    "strategies": {
        "baseline": {"resolution": "resize", "augmentation": "turns"},
        "transfer": {"resolution": "resize", "init": {"source": "glow"}},
    },
}
FOLDERS = {"train": "results/kill/runs/baseline/fold0/seed1", "pretrain": "results/kill/sources/glow"}
POLL_S = 0.0005


@dataclass(frozen=True)
class Job:
    """Training or pretraining, in a checkout of its own."""

    rule: str
    checkout: Path

    @property
    def folder(self) -> Path:
        """Where its outputs stand."""
        return self.checkout / FOLDERS[self.rule]

    def start(self, *options: str) -> subprocess.Popen:
        """Snakemake, making this job's weights."""
        words = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "study.yaml"]
        words += [*options, "--", f"{FOLDERS[self.rule]}/model.safetensors"]
        log = open(self.checkout / "said.txt", "a")  # noqa: SIM115  # closed with this process
        return subprocess.Popen(words, cwd=self.checkout, stdout=log, stderr=log, start_new_session=True)

    def finish(self) -> None:
        """Run to the end; the lock of a Snakemake that was killed is removed first."""
        if any((self.checkout / ".snakemake/locks").glob("*")):
            assert self.start("--unlock").wait() == 0
        assert self.start().wait() == 0, (self.checkout / "said.txt").read_text()[-3000:]

    def digest(self) -> str:
        """Of weights and history."""
        found = hashlib.sha256()
        for name in ("model.safetensors", "history.parquet"):
            found.update((self.folder / name).read_bytes())
        return found.hexdigest()

    def records(self) -> list[Path]:
        """The state records that are there, the newest last."""
        return sorted(self.folder.glob("state/*/step*.safetensors"))

    def log(self) -> str:
        """What the job itself wrote down last."""
        name = "baseline-fold0-seed1" if self.rule == "train" else "glow"
        return (self.checkout / f"results/kill/logs/{self.rule}/{name}.log").read_text()


def process(job: Job, snakemake: subprocess.Popen) -> psutil.Process:
    """The Python that trains, as soon as there is one."""
    while snakemake.poll() is None:
        for child in psutil.Process(snakemake.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(word.endswith(f".{job.rule}.py") for word in child.cmdline()[1:2]):
                    return child
        time.sleep(0.01)
    raise SystemExit((job.checkout / "said.txt").read_text()[-3000:])


def kill(job: Job, begin: Callable[[], Callable[[], bool]], *, all_of_it: bool = False) -> str:
    """Start, wait until it is due, kill; what was found on the disk."""
    shutil.rmtree(job.folder, ignore_errors=True)
    snakemake = job.start()
    child, due = process(job, snakemake), begin()
    while child.is_running() and snakemake.poll() is None and not due():
        time.sleep(POLL_S)
    if all_of_it:
        os.killpg(snakemake.pid, signal.SIGKILL)
    else:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGKILL)
            child.wait()
    found = state_of(job)  # before Snakemake removes the outputs of a job that failed
    snakemake.wait()
    return found


def state_of(job: Job) -> str:
    """Where a run was when it was killed, by what it left."""
    if list(job.folder.glob(".model.safetensors.*.part")):
        return "weights half written"
    if (job.folder / "model.safetensors").exists():
        return "weights there"
    if list(job.folder.glob("state/*/.*.part")):
        return "a record half written"
    return "in steps, records there" if job.records() else "before the first record"


def after(seconds: float) -> Callable[[], bool]:
    """A time after now."""
    start = time.monotonic()
    return lambda: time.monotonic() - start > seconds


def seen(job: Job, pattern: str, nth: int) -> Callable[[], bool]:
    """When a file of such a name is there for the n-th time."""
    there: set[Path] = set()

    def due() -> bool:
        found = set(job.folder.glob(pattern))
        there.update(found)
        return bool(found) and len(there) >= nth

    return due


def points(job: Job, count: int, lasts_s: float, chance: random.Random):
    """What is killed when: its name, when it is due, and whether Snakemake is killed too."""
    writes, ends = count // 4, count // 5
    for number in range(count - writes - ends):
        whole = number % 4 == 3
        yield (
            "at a random time" + whole * ", with Snakemake",
            functools.partial(after, chance.uniform(0, lasts_s)),
            whole,
        )
    for _ in range(writes):
        nth = chance.randint(1, 8)
        yield "as a record is written", functools.partial(seen, job, "state/*/.step*.part", nth), False
    for _ in range(ends):
        yield (
            "as the weights are written",
            functools.partial(seen, job, ".model.safetensors.*.part", 1),
            False,
        )


def flip(job: Job) -> bool:
    """Kill, flip a bit of the newest record, go on: whether that was told."""
    kill(job, lambda: lambda: len(job.records()) > 1)
    newest = job.records()[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    job.finish()
    return f"{newest.name} is damaged" in job.log() and "the record before it is used" in job.log()


def prepared(folder: Path, rule: str) -> Job:
    """A checkout in which all stands ready for the job."""
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, folder / part)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return Job(rule, folder)


def main() -> None:
    """Kill both kinds of run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the random points (default: 0)")
    given = parser.parse_args()
    same = Counter()
    print("| job | killed | found on the disk | times | same bits |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for rule in FOLDERS:
        with tempfile.TemporaryDirectory() as folder:
            job = prepared(Path(folder), rule)
            for row, ends in outcomes(job, given).items():
                print(f"| {rule} | {row[0]} | {row[1]} | {len(ends)} | {sum(ends)} |", flush=True)
                same.update(ends)
    print(f"\n{same[True]} of {same.total()} ended in the bits of a run left alone.")
    raise SystemExit(same[False] > 0)


def outcomes(job: Job, given: argparse.Namespace) -> dict[tuple[str, str], list[bool]]:
    """Whether the bits are the same, by what was killed and what was found."""
    job.finish()
    whole = job.digest()
    shutil.rmtree(job.folder)
    snakemake = job.start()
    process(job, snakemake)
    start = time.monotonic()
    snakemake.wait()
    lasts_s, found = time.monotonic() - start, {}
    for name, begin, all_of_it in points(job, given.points, lasts_s, random.Random(given.seed)):
        state = kill(job, begin, all_of_it=all_of_it)
        job.finish()
        found.setdefault((name, state), []).append(job.digest() == whole)
    told = flip(job)
    found["in steps, a bit of the newest record flipped", "damaged, and told" if told else "NOT told"] = [
        told and job.digest() == whole
    ]
    return found


if __name__ == "__main__":
    main()
