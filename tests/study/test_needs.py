"""What jobs ask for follows from network, frames and batch; what cannot fit is told before anything runs."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from examples import small
from stratagem.core.files import write_json, write_table
from stratagem.resolution.plans import Plan
from stratagem.study import needs
from stratagem.study.declaration import Delivery
from stratagem.study.needs import Frames
from stratagem.study.reading import read_study

TINY = Frames((64 * 64,), 100, 100 * 64 * 64, 64 * 64)
LARGE = Frames((1024 * 1024,), 100, 100 * 1024 * 1024, 1024 * 1024)


def _recipe(name="baseline", **changes):
    study = read_study(small(changes))
    return study.run(name, 0, 1)


def _training(frames, delivery=None, on_gpu=False, **changes) -> int:
    return needs.training_mb(_recipe(**changes), frames, delivery or Delivery(), on_gpu=on_gpu)


def test_a_small_study_runs_eight_jobs_in_16_gb():
    """Libraries are most of what a small training takes, and a small test of it."""
    assert 8 * _training(TINY) <= 16000
    assert 8 * needs.prediction_mb(_recipe(), TINY, on_gpu=False) <= 16000


def test_larger_frames_networks_and_batches_ask_for_more():
    """Each of them; a stated bound is kept, but for what is beside the network."""
    assert _training(LARGE) > _training(TINY) + 1000
    assert _training(TINY, **{"unet.width": 256}) > _training(TINY) + 1000
    wide = {"training.micro_batch_pixels": 2**24}
    assert _training(TINY, **wide, **{"strategies.baseline.loader.batch_size": 256}) > _training(TINY) + 1000
    bounded = _training(LARGE, **{"training.memory_mb": 1000})
    assert bounded < _training(LARGE) and bounded <= 1000 + 450 + 512 + 512


def test_a_network_whose_size_nobody_knows_asks_for_the_common_amount(monkeypatch):
    """As does a study whose frames are not known, and a job whose network is in a GPU's memory."""
    assert _training(None) == _training(None, **{"unet.width": 256})
    assert _training(TINY, on_gpu=True) == _training(TINY, on_gpu=True, **{"unet.width": 256})
    assert needs.prediction_mb(_recipe(), None, on_gpu=False) >= 3000


def test_the_loader_asks_for_what_the_data_can_fill():
    """A large allowance costs a small data set nothing."""
    assert _training(TINY, Delivery(memory_mb=100_000)) == _training(TINY)
    assert _training(LARGE, Delivery(memory_mb=100_000)) > _training(LARGE, Delivery(memory_mb=100))
    held = {"strategies.baseline.loader.storage": "memory"}
    big = Frames(LARGE.areas, 1000, LARGE.pixels, LARGE.largest)
    assert _training(big, Delivery(memory_mb=9000), **held) > _training(big, Delivery(memory_mb=9000)) + 3000


def _minutes(frames, on_gpu=False, **changes) -> int:
    return needs.training_min(_recipe(**changes), frames, on_gpu=on_gpu)


def test_larger_budgets_frames_and_networks_get_more_minutes():
    """A small run gets half an hour; a budget counts in images or in steps of a batch; a GPU takes less."""
    week = {"budget": {"images": 2_000_000}}
    assert _minutes(TINY) == 40 and needs.prediction_min(_recipe(), TINY, on_gpu=False) == 40
    assert _minutes(TINY, **week) > 5 * _minutes(TINY)
    assert _minutes(LARGE, **week) > 50 * _minutes(TINY, **week)
    assert _minutes(LARGE, **week, **{"unet.width": 64}) > 5 * _minutes(LARGE, **week)
    assert _minutes(LARGE, **week, threads=4) < 0.5 * _minutes(LARGE, **week)
    assert _minutes(LARGE, on_gpu=True, **week) < 0.1 * _minutes(LARGE, **week)
    steps = {"budget": {"steps": 1_000_000}, "strategies.baseline.loader.batch_size": 2}
    assert _minutes(LARGE, **steps) == pytest.approx(_minutes(LARGE, **week), rel=0.5)


def test_testing_many_large_images_gets_more_minutes():
    """All are predicted, each once."""
    many = Frames(LARGE.areas, 10_000, 100 * LARGE.pixels, LARGE.largest)
    few, all_of_them = (needs.prediction_min(_recipe(), frames, on_gpu=False) for frames in (LARGE, many))
    assert all_of_them > 10 * few


def _image_mb(frames) -> int:
    return needs.image_mb(frames, images=3, masks=3)


def test_a_job_that_reads_images_asks_for_its_largest_or_its_frame():
    """And for the time that all of them take."""
    scan = Frames((64 * 64,), 2, 20_000**2, 20_000**2)
    assert _image_mb(TINY) == 600 and _image_mb(scan) > 4500
    assert _image_mb(Frames((20_000**2,), 2, 99, 64)) == _image_mb(scan)
    many = dataclasses.replace(scan, channels=13)
    assert _image_mb(many) - 500 == pytest.approx(14 / 4 * (_image_mb(scan) - 500), rel=0.05)
    assert needs.image_mb(many, images=0, masks=28) == needs.image_mb(scan, images=0, masks=28)
    assert needs.image_min(TINY) == 40 and needs.image_min(scan) == 40
    assert needs.image_min(Frames(LARGE.areas, 10_000, 10_000 * LARGE.pixels, LARGE.largest)) > 1000


def test_minutes_and_memory_of_what_is_not_known():
    """Damaged files, whose job tells of them, or a network whose size nobody counted."""
    assert (
        _minutes(None) == needs.prediction_min(_recipe(), None, on_gpu=False) == needs.image_min(None) == 720
    )
    assert _image_mb(None) == 600


def test_patches_hold_whole_images_and_one_that_is_cut():
    """The network's frame says nothing of them; in memory all are held at their own size."""
    whole = Frames((256 * 256,), 20, 20 * 2048**2, 2048**2, whole=True)
    tiles = dataclasses.replace(whole, whole=False)
    wide = Delivery(memory_mb=10_000)
    assert _training(whole, wide) - _training(tiles, wide) == pytest.approx(4 * 2048**2 / 2**20, abs=100)
    held = {"strategies.baseline.loader.storage": "memory"}
    more = _training(whole, wide, **held) - _training(whole, wide)
    assert more == pytest.approx(20 * 4 * 2048**2 / 2**20, abs=100)


@pytest.mark.parametrize(
    ("plan", "area"),
    [
        (Plan("native", 16), 112 * 208),
        (Plan("resize", 16, ((64, 64),)), 64 * 64),
        (Plan("bucket", 16, ((112, 208), (128, 256))), 128 * 256),
        (Plan("tile", 16, ((32, 32),), overlap=0.25), 32 * 32),
        (Plan("patches", 16, ((32, 32),), foreground=0.5), 32 * 32),
        (Plan("rescale", 16, pixel_size=1.0), 208 * 400),
    ],
)
def test_frames_are_those_of_the_largest_images(plan, area, tmp_path):
    """Of what earlier jobs wrote down, whichever plan."""
    index = pd.DataFrame({"height": [100, 90], "width": [200, 30], "pixel_size": [2.0, 0.5]})
    write_json(plan.as_record(), tmp_path / "plan.json")
    write_table(index, tmp_path / "index.parquet")
    found = Frames.read(tmp_path / "plan.json", tmp_path / "index.parquet")
    assert max(found.areas) == area and found.whole == (plan.plan == "patches")
    assert (found.count, found.pixels, found.largest) == (2, 100 * 200 + 90 * 30, 100 * 200)


def test_files_that_are_not_there_yet_are_waited_for_and_damaged_ones_stop_nothing_here(tmp_path):
    """Snakemake asks again where a file is missing; the job tells of a damaged one."""
    with pytest.raises(FileNotFoundError):
        Frames.read(tmp_path / "plan.json", tmp_path / "index.parquet")
    for name in ("plan.json", "index.parquet"):
        (tmp_path / name).write_bytes(b"damaged")
    assert Frames.read(tmp_path / "plan.json", tmp_path / "index.parquet") is None


def _beyond(memory_mb=16000, **changes) -> list[str]:
    study = read_study(small(changes))
    frames = {name: Frames.declared(study, name, 100) for name in study.resolutions}
    return list(needs.beyond_memory(study, frames, memory_mb))


def test_what_no_machine_of_this_size_can_train_is_told_with_the_number():
    """A network that is too wide once, a frame that is too large for each of its strategies."""
    assert _beyond() == []
    assert len(_beyond(**{"unet.width": 4096})) == 1
    (said,) = _beyond(**{"unet.width": 4096})
    assert "strategies.baseline, flipped, taught" in said and "4,847,8" in said and "`unet.width`" in said
    said = _beyond(**{"resolutions.native": {"plan": "resize", "size": [20000, 20000]}})
    assert len(said) == 2 and all("`resolutions.native.size`" in sentence for sentence in said)


def test_shards_that_the_disk_has_no_room_for_are_told_with_the_number():
    """A hundred images of 20000x20000; as many of 64x64 are nothing."""
    study = read_study(small({"resolutions.resize.size": [20000, 20000]}))
    frames = {"resize": Frames.declared(study, "resize", 100)}
    (said,) = needs.beyond_disk(study, frames, 10_000, "results")
    assert "resolutions.resize.size" in said and "10,000 MB in results" in said and "152,588 MB" in said
    assert not list(needs.beyond_disk(study, {"resize": TINY}, 10_000, str(Path("results"))))
