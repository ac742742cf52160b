"""A user's own mistakes: found early, told in one sentence, nothing half-written left behind."""

import os
import re
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from PIL import Image


def _one(clone):
    return {"baseline": clone.strategies["baseline"]}


@pytest.fixture
def raw(clone):
    """A user's own folder of nine good images, named by a study with one strategy."""
    rng = np.random.default_rng(0)
    for folder in ("raw/images", "raw/masks"):
        (clone.folder / folder).mkdir(parents=True)
    for number in range(9):
        image = rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)
        mask = np.where(rng.random((16, 20)) < 0.3, 255, 0).astype(np.uint8)
        Image.fromarray(image).save(clone.folder / f"raw/images/{number}.png")
        Image.fromarray(mask).save(clone.folder / f"raw/masks/{number}.png")
    own = {"images": "raw/images", "masks": "raw/masks", "sources": {}, "strategies": _one(clone)}
    clone.study(**own, split={"test": 0.2, "validation": 0.2})
    return clone


def test_a_fresh_clone_can_plan_its_default_study(clone):
    """I clone and type `snakemake -n`: the whole study is planned."""
    said = clone.snakemake("--dry-run", "--configfile", "config.yaml")
    assert said.returncode == 0
    assert "report" in said.stdout


def test_a_study_file_is_the_whole_study(clone):
    """With --configfile nothing of config.yaml is merged in."""
    clone.study(strategies=_one(clone))
    assert clone.planned()["train"] == 2


def test_every_fault_of_the_study_is_told_before_any_job(clone):
    """I misspell two keys and name a resolution that is not there: three sentences, no traceback."""
    clone.study(budgets=1, split={"tst": 0.2}, strategies={"baseline": {"resolution": "rsize"}})
    said = clone.snakemake("--dry-run")
    assert said.returncode != 0
    for sentence in ("budgets: no such key", "split.tst: no such key", "`rsize` is not declared"):
        assert sentence in said.stdout
    assert "Traceback" not in said.stdout


def test_a_missing_folder_is_named(clone):
    """I point the study at a folder that is not there."""
    clone.study(images="no/such/folder")
    said = clone.snakemake("--dry-run")
    assert said.returncode != 0
    assert "images: expected a folder, but found none at no/such/folder" in said.stdout
    assert "Traceback" not in said.stdout


def test_every_bad_sample_is_listed_and_the_run_stops(raw):
    """Five kinds of bad file: all in one table after one run, with file and reason."""
    folder = raw.folder / "raw"
    (folder / "masks/0.png").unlink()
    Image.new("L", (9, 9)).save(folder / "masks/1.png")
    (folder / "images/2.png").write_bytes((folder / "images/2.png").read_bytes()[:100])
    (folder / "images/3.png").write_bytes(b"")
    Image.new("L", (20, 16), 7).save(folder / "masks/4.png")
    said = raw.snakemake("results/tiny/index.parquet")
    assert said.returncode != 0
    assert "Traceback" not in said.stdout
    assert "set `bad_samples: skip`" in said.stdout
    problems = pd.read_csv(raw.folder / "results/tiny/problems.csv")
    reasons = {file.split("/", 1)[1]: reason for file, reason, _ in problems.itertuples(index=False)}
    assert set(reasons) == {"images/0.png", "masks/1.png", "images/2.png", "images/3.png", "masks/4.png"}
    assert "9x9" in reasons["masks/1.png"]
    assert "found 7" in reasons["masks/4.png"]
    assert not (raw.folder / "results/tiny/index.parquet").exists()


def test_bad_samples_can_be_skipped(raw):
    """With `bad_samples: skip` the good ones are indexed and the bad one is still listed."""
    (raw.folder / "raw/masks/0.png").unlink()
    study = (raw.folder / "study.yaml").read_text()
    (raw.folder / "study.yaml").write_text(study + "bad_samples: skip\n")
    said = raw.snakemake("results/tiny/index.parquet")
    assert said.returncode == 0, said.stdout
    assert len(pd.read_parquet(raw.folder / "results/tiny/index.parquet")) == 8
    assert len(pd.read_csv(raw.folder / "results/tiny/problems.csv")) == 1


def test_changed_raw_files_are_indexed_anew(raw):
    """I replace an image: the index is made again; untouched, it is not."""
    target = "results/tiny/index.parquet"
    assert raw.snakemake(target).returncode == 0
    assert raw.planned(target) == {}
    shutil.copy(raw.folder / "raw/images/1.png", raw.folder / "raw/images/0.png")
    assert raw.planned(target) == {"index": 1}


def test_touched_moved_and_renamed_data_are_the_same(raw):
    """Content decides: nothing is made anew, and what is made next finds the files where they are."""
    target = "results/tiny/resolutions/native/0.h5"
    assert raw.snakemake(target).returncode == 0
    for path in (raw.folder / "raw/images").iterdir():
        os.utime(path, ns=(1, 1))
    (raw.folder / "raw/images").rename(raw.folder / "raw/photos")
    study = (raw.folder / "study.yaml").read_text().replace("raw/images", "raw/photos")
    (raw.folder / "study.yaml").write_text(study.replace("cell", "nucleus"))
    assert raw.planned(target) == {}
    assert raw.snakemake("results/tiny/data/report.html").returncode == 0
    assert "nucleus" in (raw.folder / "results/tiny/data/report.html").read_text()


def test_a_source_with_a_copy_of_a_test_image_is_refused(raw):
    """Under another name and of another size; each of the two cures that the message names lets it pass."""
    folders = {kind: f"web/{kind}" for kind in ("images", "masks")}
    for kind in folders:
        (raw.folder / folders[kind]).mkdir(parents=True)
        with Image.open(raw.folder / f"raw/{kind}/0.png") as picture:
            picture.transpose(Image.Transpose.ROTATE_90).save(raw.folder / folders[kind] / "other.png")
            picture.resize((40, 32), Image.Resampling.NEAREST).save(raw.folder / folders[kind] / "copy.png")
    web = folders | {"classes": ["background", "cell"], "resolution": "resize", "budget": {"images": 4}}
    everything_tested = {"folds": 3, "split": {"validation": 0.2}}
    own = {"images": "raw/images", "masks": "raw/masks", "strategies": _one(raw)} | everything_tested
    raw.study(**own, sources={"web": web})
    check = "results/tiny/sources/web/overlap.json"
    said = raw.snakemake(check)
    assert said.returncode != 0
    assert "1 that are copies of one; the first is web/images/copy.png, of raw/images/0.png" in said.stdout
    assert "`sources.web.duplicates: exact`" in said.stdout and "Traceback" not in said.stdout
    assert len(pd.read_csv(raw.folder / "results/tiny/sources/web/overlap.csv")) == 1
    raw.study(**own, sources={"web": web | {"duplicates": "exact"}})
    assert raw.snakemake(check).returncode == 0
    raw.study(**own, sources={"web": web})
    for kind in folders:
        (raw.folder / folders[kind] / "copy.png").unlink()
    assert raw.snakemake(check).returncode == 0


def test_a_damaged_result_is_named_and_its_cure_works(raw):
    """A file that an earlier job wrote was cut: which, and followed, the cure finishes the same call."""
    results = raw.folder / "results/tiny"
    made = {
        "resolutions/native/plan.json": "results/tiny/resolutions/native/0.h5",
        "splits.parquet": "results/tiny/data/report.html",
        "index.parquet": "results/tiny/resolutions/native/roundtrip.parquet",
    }
    assert raw.snakemake(*(f"results/tiny/{name}" for name in made)).returncode == 0
    for damaged, target in made.items():
        path = results / damaged
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        said = raw.snakemake(target)
        assert said.returncode != 0
        assert f"results/tiny/{damaged}: expected the whole file that an earlier job wrote" in said.stdout
        assert "fault of Stratagem" not in said.stdout and "Traceback" not in said.stdout
        cure = re.search(rf"`(rm -f results/tiny/{damaged})`", said.stdout)[1]
        subprocess.run(cure.split(), cwd=raw.folder, check=True)
        assert raw.snakemake(target).returncode == 0


def test_a_killed_job_is_told_as_one(raw):
    """The system ends a training, as it does for memory: its log is named, and what it held."""
    study = yaml.safe_load((raw.folder / "study.yaml").read_text())
    longer = study | {"budget": {"images": 100_000}, "seeds": [1]}
    (raw.folder / "study.yaml").write_text(yaml.safe_dump(longer))
    words = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "study.yaml"]
    call = subprocess.Popen(
        words, cwd=raw.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    log = raw.folder / "results/tiny/logs/train/baseline-fold0-seed1.log"
    deadline = time.monotonic() + 120
    while "memory: " not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    jobs = psutil.Process(call.pid).children(recursive=True)
    next(job for job in reversed(jobs) if "train.py" in " ".join(job.cmdline()[:3])).kill()
    said, _ = call.communicate(timeout=120)
    assert call.returncode != 0
    assert "results/tiny/logs/train/baseline-fold0-seed1.log: the job was ended by the system, most" in said
    assert re.search(r"It held [\d,]+ MB when it last said so, and was granted [\d,]+ MB", said)


def test_a_damaged_shard_is_named(raw):
    """A shard that was cut short stops the run with its name and the cure."""
    shard = "results/tiny/resolutions/native/0.h5"
    assert raw.snakemake(shard).returncode == 0
    path = raw.folder / shard
    path.write_bytes(path.read_bytes()[:-200])
    said = raw.snakemake("results/tiny/resolutions/native/shards.parquet")
    assert said.returncode != 0
    assert shard in said.stdout
    assert f"`rm {shard}`" in said.stdout
    path.unlink()
    assert raw.snakemake("results/tiny/resolutions/native/shards.parquet").returncode == 0
    assert "Traceback" not in said.stdout


def test_a_training_stops_at_bytes_that_have_changed(raw):
    """Bits flip on the disk, size and time stay: it is named; a run that did not look is trained again."""
    study = yaml.safe_load((raw.folder / "study.yaml").read_text())
    study["strategies"]["baseline"]["loader"] = {"batch_size": 2}
    (raw.folder / "study.yaml").write_text(yaml.safe_dump(study))
    assert raw.snakemake("results/tiny/resolutions/native/shards.parquet").returncode == 0
    for path in (raw.folder / "results/tiny/resolutions/native").glob("*.h5"):
        with h5py.File(path) as file:
            images = file["16x20/image"]
            places = [images.id.get_chunk_info(n).byte_offset for n in range(len(images))]
        data, status = bytearray(path.read_bytes()), path.stat()
        for place in places:
            data[place] ^= 1
        path.write_bytes(bytes(data))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    target = "results/tiny/runs/baseline/fold0/seed1/model.safetensors"
    said = raw.snakemake(target)
    assert said.returncode != 0 and "Traceback" not in said.stdout
    assert "`snakemake --cores 1 repair`" in said.stdout
    (raw.folder / "study.yaml").write_text(yaml.safe_dump(study | {"loader": {"verify": False}}))
    assert raw.snakemake(target).returncode == 0
    said = raw.snakemake("repair")
    assert said.returncode == 0
    assert "runs/baseline/fold0/seed1: trained on damaged samples, unverified" in said.stdout
    (raw.folder / "study.yaml").write_text(yaml.safe_dump(study))
    assert raw.planned(target) == {"train": 1}
    assert raw.snakemake(target).returncode == 0


def test_too_few_threads_stop_a_run(raw):
    """`threads: 2` on one core would give other bits: the run stops and says so."""
    study = (raw.folder / "study.yaml").read_text()
    (raw.folder / "study.yaml").write_text(study + "threads: 2\n")
    said = raw.snakemake("--cores", "1", "results/tiny/runs/baseline/fold0/seed1/model.safetensors")
    assert said.returncode != 0
    assert "config key `threads`: expected 2 threads a job, but found 1 granted" in said.stdout


def test_a_study_file_in_the_place_of_a_target_is_refused(clone):
    """Snakemake would say that there is nothing to do; after --configfile, the same words plan the study."""
    said = clone.snakemake("--dry-run", "--configfile", "config.yaml", "--cores", "2", "studies/dsb2018.yaml")
    assert said.returncode != 0
    assert "studies/dsb2018.yaml: expected a target, but found a study file. Say --configfile" in said.stdout
    assert clone.snakemake("--dry-run", "--configfile", "config.yaml").returncode == 0


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs `unshare`, of Linux")
@pytest.mark.parametrize("folder", ["results/tiny", "results/tiny/report/tables", "."])
def test_results_that_may_not_be_written_are_told_before_any_job(clone, folder):
    """Mounted for reading: one sentence, and its cure works."""
    clone.study(strategies=_one(clone), sources={})
    (clone.folder / folder).mkdir(parents=True, exist_ok=True)
    place, words = (
        clone.folder / folder,
        f"{sys.executable} -m snakemake --cores 1 --configfile study.yaml -n",
    )
    elsewhere = clone.folder.parent / "elsewhere"
    script = (
        f"mount --bind {place} {place} && mount -o remount,ro,bind {place} && cd {clone.folder} || exit 9\n"
    )
    script += f"{words}; {words} --directory {elsewhere}"
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(["unshare", "--mount", *root, "sh", "-c", script], capture_output=True, text=True)
    if done.returncode == 9 or "unshare failed" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    said = done.stdout + done.stderr
    assert f"{place}: expected a folder that" in said and "`--directory DIR`" in said
    assert "Traceback" not in said and done.returncode == 0 and "This was a dry-run" in said
