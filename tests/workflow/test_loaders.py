"""Where images are read from, and shards that are damaged."""

import hashlib
import re

import h5py
import pytest

pytestmark = pytest.mark.xdist_group("workflow")

SHARD = "results/tiny/resolutions/resize/0.h5"


def _digests(checkout) -> dict[str, str]:
    """Of the weights of every run."""
    paths = (checkout.folder / "results/tiny/runs").rglob("model.safetensors")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_whole_shards_are_found_whole(finished):
    """I ask whether my shards are whole: they are, and nothing is said of any other."""
    said = finished.snakemake("verify")
    assert said.returncode == 0, said.stdout
    assert "Made: " not in said.stdout
    assert "Every sample of every shard is as its checksum says" in said.stdout
    log = (finished.folder / "results/tiny/logs/verify.log").read_text()
    assert log.count(" 0 damaged") == 6  # two shards of two resolutions, and of the source


def test_a_damaged_shard_is_named_and_it_alone_is_made_again(finished):
    """One byte of a shard changes: file and sample are named, and nothing else is made anew."""
    path = finished.folder / SHARD
    whole, weights = path.read_bytes(), _digests(finished)
    with h5py.File(path) as file:
        place = file["32x32/image"].id.get_chunk_info(0).byte_offset
        sample = next(row["sample"] for row in file["samples"][:] if row["row"] == 0).decode()
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    said = finished.snakemake("verify")
    assert said.returncode != 0 and "Traceback" not in said.stdout
    assert "`snakemake --cores 1 repair`" in said.stdout and f"`{sample}`" in said.stdout
    repaired = _repair(finished)
    assert repaired == [SHARD]
    assert path.read_bytes() == whole and _digests(finished) == weights
    assert finished.planned() == {}


def test_packing_shards_trains_nothing_anew(finished):
    """I have shards packed: those that are there stay until I ask, and no run is made again."""
    whole = {path: path.read_bytes() for path in finished.folder.rglob("*.h5")}
    finished.study(shards={"files": 2, "compression": "lz4"})
    try:
        assert finished.planned() == {}
        assert len(_repair(finished)) == len(whole) == 6
        assert finished.planned() == {}
    finally:
        finished.study()
    assert all(path.read_bytes() != content for path, content in whole.items())
    assert len(_repair(finished)) == 6
    assert all(path.read_bytes() == content for path, content in whole.items())


def _repair(checkout) -> list[str]:
    """Ask for a repair; the shards that its log says were made anew."""
    said = checkout.snakemake("repair")
    assert said.returncode == 0, said.stdout
    log = (checkout.folder / "results/tiny/logs/repair.log").read_text()
    return re.findall(r"(\S+\.h5): .*, made anew", log)


def test_how_batches_are_made_trains_nothing_anew(finished):
    """I give the loader more threads and less memory: nothing runs."""
    loader = {"workers": 2, "memory_mb": 64, "read": "positioned", "verify": True}
    finished.study(loader=loader)
    try:
        assert finished.planned() == {}
    finally:
        finished.study()


def test_images_are_read_without_shards_where_a_study_says_so(finished, clone):
    """With `storage: files` no shard is made, and the weights are those of the same run from shards."""
    own = finished.strategies["from-shards"]
    strategy = own | {"loader": own["loader"] | {"storage": "files"}}
    clone.study(strategies={"baseline": strategy}, sources={}, seeds=[1])
    target = "results/tiny/runs/baseline/fold0/seed1/model.safetensors"
    said = clone.snakemake(target)
    assert said.returncode == 0, said.stdout
    assert not list(clone.folder.rglob("*.h5"))
    path = "results/tiny/runs/from-shards/fold0/seed1/model.safetensors"
    assert (clone.folder / target).read_bytes() == (finished.folder / path).read_bytes()


def test_a_bound_that_is_too_small_is_told_with_what_is_needed(clone):
    """I allow less memory than two batches take: a sentence with both numbers, and no traceback."""
    strategy = {"resolution": "resize", "loader": {"batch_size": 4096, "storage": "shards"}}
    clone.study(strategies={"baseline": strategy}, sources={}, seeds=[1], loader={"memory_mb": 1})
    said = clone.snakemake("results/tiny/runs/baseline/fold0/seed1/model.safetensors")
    assert said.returncode != 0 and "Traceback" not in said.stdout
    assert "loader.memory_mb" in said.stdout and "batches of 16 MB" in said.stdout
