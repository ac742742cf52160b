"""Each stage under each fault, through Snakemake: what it says and loses, whether the call then finishes.

    python benchmarks/faults.py              (Linux, as root; less than an hour)
    python benchmarks/faults.py --stages train evaluate --faults full damaged

A study of few images has run to its report on a disk of its own (a tmpfs). For each stage its outputs are
removed, the fault is provoked, and the call that makes them anew is started:

    killed      SIGKILL as the job opens its output
    full        no byte is left on the disk of the results
    permission  the folder of the outputs is read-only; an input may not be read
    damaged     each file that the stage reads is cut to half, one after the other
    memory      nothing more is granted from when the job opens its log
    two         the call is started a second time while the first one works

A cell passes if the call ends with another status than 0 and the sentence of its fault, without a traceback;
if no other file of the results has changed; and if, after the cure that the sentence names, the same call
makes the outputs. Prints the table and what failed; exit status 1 if anything did.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from stratagem.data.demo import write_domain  # noqa: E402

PARTS = ("Snakefile", "envs", "profiles", "rules", "scripts")
DISK_MB = 64
KEPT_IMAGES = 12
CHECKOUTS = 2
STUDY = {
    "study": "s",
    "images": "raw/tissue/images",
    "masks": "raw/tissue/masks",
    "classes": ["background", "cell"],
    "split": {"test": 0.3, "validation": 0.2},
    "seeds": [1],
    "budget": {"images": 4},
    "shards": 2,
    "device": "cpu",
    "unet": {"width": 2, "depth": 2},
    "training": {"validations": 1},
    "resolutions": {"resize": {"plan": "resize", "size": [32, 32]}},
    "augmentations": {"flips": {"flip_horizontal": 0.5, "variants": 2}},
    "sources": {
        "glow": {
            "images": "raw/glow/images",
            "masks": "raw/glow/masks",
            "classes": ["background", "cell"],
            "resolution": "resize",
            "budget": {"images": 4},
        }
    },
    "strategies": {
        "baseline": {"resolution": "resize", "augmentation": "flips", "loader": {"batch_size": 2}},
        "transfer": {"resolution": "resize", "init": {"source": "glow"}, "loader": {"batch_size": 2}},
    },
    "report": {"examples": 1},
}
RESULTS = Path("results/s")
BASELINE, TRANSFER = (f"runs/{name}/fold0/seed1" for name in ("baseline", "transfer"))


class Stage(NamedTuple):
    """One rule: its outputs, the first of which is asked for, and the files that it reads."""

    outputs: tuple[str, ...]
    reads: tuple[str, ...]


def under(folder: str, *names: str) -> tuple[str, ...]:
    """Files of one folder."""
    return tuple(f"{folder}/{name}" for name in names)


R = "resolutions/resize"
TRAINED = ("model.safetensors", "history.parquet", "cost.json")
STAGES = {
    "index": Stage(("index.parquet", "duplicates.csv", "understood.json"), ()),
    "plan": Stage((f"{R}/plan.json",), ("index.parquet",)),
    "split": Stage(("splits.parquet",), ("index.parquet",)),
    "shard": Stage((f"{R}/0.h5",), ("index.parquet", f"{R}/plan.json")),
    "gather": Stage((f"{R}/shards.parquet",), (f"{R}/0.h5",)),
    "manifest": Stage(("augmentations/flips/seed1.parquet",), ("index.parquet",)),
    "audit_augmentation": Stage(
        under("audit/flips", "sheet.svg", "transforms.csv", "balance.csv", "pictures.json"),
        ("index.parquet", "splits.parquet"),
    ),
    "audit": Stage(("audit/report.html",), ("audit/flips/sheet.svg", "audit/flips/transforms.csv")),
    "data": Stage(
        ("data/report.html",), ("index.parquet", "duplicates.csv", "understood.json", "splits.parquet")
    ),
    "overlap": Stage(
        ("sources/glow/overlap.json",), ("sources/glow/index.parquet", "index.parquet", "splits.parquet")
    ),
    "roundtrip": Stage((f"{R}/roundtrip.parquet",), ("index.parquet", f"{R}/plan.json")),
    "pretrain": Stage(
        under("sources/glow", *TRAINED),
        under("sources/glow", "index.parquet", f"{R}/plan.json", f"{R}/shards.parquet", f"{R}/0.h5"),
    ),
    "train": Stage(
        under(TRANSFER, *TRAINED),
        ("index.parquet", f"{R}/plan.json", f"{R}/shards.parquet", f"{R}/0.h5", "splits.parquet",
         "sources/glow/model.safetensors"),
    ),
    "evaluate": Stage(
        under(BASELINE, "evaluation.parquet", "confusion.parquet", "predictions"),
        ("index.parquet", "splits.parquet", f"{R}/plan.json", f"{BASELINE}/model.safetensors"),
    ),
    "compare": Stage(
        ("report/tables/comparison.csv", "report/tables"),
        (*under(BASELINE, "evaluation.parquet", "history.parquet", "cost.json"), "index.parquet",
         f"{R}/roundtrip.parquet", "sources/glow/cost.json"),
    ),
    "report": Stage(
        ("report/report.html", "report/figures"),
        ("index.parquet", "splits.parquet", f"{R}/plan.json", "report/tables/comparison.csv",
         *under(BASELINE, "history.parquet", "evaluation.parquet", "cost.json", "predictions")),
    ),
}  # fmt: skip
SAID = {
    "killed": r"the job was ended by the system, most likely for memory",
    "full": r"expected room on the disk, but found",
    "permission": r"expected that \w+ may read and write it|expected a folder that",
    "damaged": r"expected the whole file that an earlier job wrote|damaged|cannot be (opened|read as such)",
    "memory": r"expected memory enough for this job|the job was ended by the system, most likely for memory",
    "two": r"Directory cannot be locked",
}
NEVER = ("Traceback", "fault of Stratagem", "Logging error")
CURE = re.compile(r"`(rm [^`]*results/[^`]+|snakemake --cores 1 repair)`")
# Python runs this file at its start, in each process of a call: a fault for the job of one rule.
INJECTED = """
import os, resource, signal, sys

rule, _, fault = os.environ.get("FAULT", "").partition(":")
slept = []


def hook(event, arguments):
    if event not in ("open", "os.mkdir") or not isinstance(arguments[0], (str, os.PathLike)):
        return
    path = os.fspath(arguments[0])
    if fault == "killed" and path.endswith(".part"):
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "slow" and path.endswith(".part") and not slept:
        import time
        slept.append(True)
        time.sleep(6)
    if fault == "memory" and "/logs/" in path and path.endswith(".log"):
        held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held, held))


if fault and sys.orig_argv[-1].endswith(f".{rule}.py"):
    sys.addaudithook(hook)
"""


class Checkout(NamedTuple):
    """A copy of the workflow whose results are on a small disk, and one of all as it was when finished."""

    folder: Path
    pristine: Path

    def snakemake(self, target: str, *before: str, fault: str = "") -> subprocess.Popen:
        """A call for one file; output and errors come as one text."""
        words = [
            sys.executable,
            "-m",
            "snakemake",
            "--cores",
            "2",
            "--configfile",
            "study.yaml",
            "--",
            target,
        ]
        environment = os.environ | {"PYTHONPATH": "injected", "FAULT": fault, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [*before, *words],
            cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def restore(self) -> None:
        """All as it was when the study was finished."""
        for name in ("results/s", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            shutil.copytree(self.pristine / name, self.folder / name)

    def files(self, stage: Stage) -> dict[str, str]:
        """What stands in the results beside a stage's outputs and what jobs say, by digest."""
        root = self.folder / RESULTS
        said = ("logs", "benchmarks", "problems.csv", "sources/glow/overlap.csv")
        apart = [root / one for one in (*stage.outputs, *said)]
        found = (path for path in root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
            if not any(path == one or one in path.parents for one in apart)
        }


def prepared(work: Path) -> None:
    """A study run to its report, and the pages that a report does not need."""
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        work.mkdir(exist_ok=True)
        copy(ROOT / part, work / part)
    for domain in ("tissue", "glow"):
        kinds = [work / f"raw/{domain}/{kind}" for kind in ("images", "masks")]
        write_domain(domain, *kinds)
        for kind in kinds:
            for path in sorted(kind.iterdir())[KEPT_IMAGES:]:
                path.unlink()
    (work / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    (work / "injected").mkdir()
    (work / "injected/sitecustomize.py").write_text(INJECTED)
    for target in ("all", "data", "audit"):
        said = Checkout(work, work).snakemake(target).communicate()[0]
        assert "Made:" in said, said


def copied(pristine: Path, folder: Path) -> Checkout:
    """A copy whose results are on a disk of their own."""
    shutil.copytree(pristine, folder, ignore=shutil.ignore_patterns("results"))
    (folder / "results").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "disk", folder / "results"], check=True)
    return Checkout(folder, pristine)


def half(path: Path) -> None:
    """Cut a file, or each file of a folder, to half; its time stays, so that nothing reruns for it."""
    for file in [path] if path.is_file() else sorted(path.iterdir()):
        status = file.stat()
        file.write_bytes(file.read_bytes()[: status.st_size // 2])
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def fill(folder: Path) -> Path:
    """A file that takes all that is left on a disk."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return path


UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")  # root, held to permissions


def provoked(checkout: Checkout, rule: str, fault: str, read: str) -> tuple[str, int, Callable[[str], None]]:
    """What a call says under a fault, its status, and the cure."""
    stage, root = STAGES[rule], checkout.folder / RESULTS
    target = str(RESULTS / stage.outputs[0])
    if fault == "full":
        filler = fill(checkout.folder / "results")
        call = checkout.snakemake(target)
        return call.communicate()[0], call.returncode, lambda said: filler.unlink()
    if fault == "permission":
        place = root / read if read else (root / stage.outputs[0]).parent
        mode = place.stat().st_mode
        place.chmod(0o000 if read else 0o555)
        call = checkout.snakemake(target, *UNPRIVILEGED)
        return call.communicate()[0], call.returncode, lambda said: place.exists() and place.chmod(mode)
    if fault == "two":
        return twice(checkout, rule, target)
    if fault == "damaged":
        half(root / read)
        call = checkout.snakemake(target)
        return call.communicate()[0], call.returncode, lambda said: removed(checkout, said)
    call = checkout.snakemake(target, fault=f"{rule}:{fault}")
    return call.communicate()[0], call.returncode, lambda said: None


def twice(checkout: Checkout, rule: str, target: str) -> tuple[str, int, Callable[[str], None]]:
    """What a second call says while the first one works."""
    first = checkout.snakemake(target, fault=f"{rule}:slow")
    while first.poll() is None and not any((checkout.folder / ".snakemake/locks").glob("*")):
        time.sleep(0.05)
    second = checkout.snakemake(target)
    said = second.communicate()[0]
    own = first.communicate()[0]
    return said if first.returncode == 0 else own, second.returncode, lambda said: None


def removed(checkout: Checkout, said: str) -> None:
    """Follow the cure that a sentence names."""
    for words in dict.fromkeys(CURE.findall(said)):
        if "repair" in words:
            checkout.snakemake("repair").communicate()
        else:
            subprocess.run(words, shell=True, cwd=checkout.folder, check=True)


def cell(checkout: Checkout, rule: str, fault: str, read: str) -> str:
    """Nothing where a stage stands a fault, else what is wrong."""
    checkout.restore()
    stage, root = STAGES[rule], checkout.folder / RESULTS
    for output in stage.outputs:
        path = root / output
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (root / stage.outputs[0]).parent.mkdir(exist_ok=True)
    for name in ("logs", "benchmarks"):  # Snakemake removes them before a job, which would leave it some room
        shutil.rmtree(root / name)
    before = checkout.files(stage)
    said, status, cure = provoked(checkout, rule, fault, read)
    wrong = [word for word in NEVER if word in said]
    if status == 0:
        wrong.append("finished under the fault")
    if not re.search(SAID[fault], said):
        wrong.append("no sentence of this fault")
    cure(said)
    after = checkout.files(stage)
    lost = sorted(
        name for name in before if after.get(name) != before[name] and name != read and read not in name
    )
    wrong += [f"changed: {', '.join(lost)}"] * bool(lost and fault != "damaged")
    again = checkout.snakemake(str(RESULTS / stage.outputs[0]))
    said_again = again.communicate()[0]
    made = all((root / output).exists() for output in stage.outputs)
    if again.returncode != 0 or not made:
        wrong.append(f"the same call does not finish:\n{of_job(said_again)}")
    return "; ".join(wrong) + (f"\n{of_job(said)}" if wrong else "")


def of_job(said: str) -> str:
    """What a call says after it has begun its jobs."""
    return re.split(r"^Execute \d+ jobs?.*$", said, maxsplit=1, flags=re.MULTILINE)[-1][:1500]


def cells(stages: list[str], faults: list[str]) -> Iterator[tuple[str, str, str]]:
    """Stage, fault, and the file that it is about."""
    for stage in stages:
        for fault in faults:
            reads = {"damaged": STAGES[stage].reads, "permission": ("", *STAGES[stage].reads[:1])}
            for read in reads.get(fault, ("",)):
                yield stage, fault, read


def main() -> None:
    """Provoke all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--faults", nargs="+", choices=SAID, default=list(SAID))
    given = parser.parse_args()
    if os.environ.get("OWN_MOUNTS") is None:  # what is mounted here ends with this process
        os.execvpe(
            "unshare", ["unshare", "--mount", sys.executable, *sys.argv], os.environ | {"OWN_MOUNTS": "1"}
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = outcomes(Path(folder), list(cells(given.stages, given.faults)))
    print(table(given.stages, given.faults, found))
    raise SystemExit(any(found.values()))


def outcomes(folder: Path, todo: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """What is wrong with each cell; told as it is found."""
    free: SimpleQueue[Checkout] = SimpleQueue()
    prepared(folder / "pristine")
    for number in range(CHECKOUTS):
        free.put(copied(folder / "pristine", folder / str(number)))

    def one(key: tuple[str, str, str]) -> str:
        checkout = free.get()
        try:
            wrong = cell(checkout, *key)
        finally:
            free.put(checkout)
        print(f"{' '.join(key)}: {wrong or 'stands'}", file=sys.stderr, flush=True)
        return wrong

    with ThreadPoolExecutor(CHECKOUTS) as pool:
        return dict(zip(todo, pool.map(one, todo), strict=True))


def table(stages: list[str], faults: list[str], found: dict[tuple[str, str, str], str]) -> str:
    """Stage by fault: in how many of the tried ways the stage stands it."""
    lines = [f"| stage | {' | '.join(faults)} |", f"| --- |{' --- |' * len(faults)}"]
    for stage in stages:
        row = []
        for fault in faults:
            tried = [not wrong for key, wrong in found.items() if key[:2] == (stage, fault)]
            row.append(f"{sum(tried)} of {len(tried)}" if tried else "")
        lines.append(f"| {stage} | {' | '.join(row)} |")
    return "\n".join([*lines, f"\n{sum(not wrong for wrong in found.values())} of {len(found)} stand."])


if __name__ == "__main__":
    main()
