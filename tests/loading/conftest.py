"""The tiny data set in shards and manifests, for tests of loaders."""

import functools

import pytest

from batches import CLASSES, PLANS
from stratagem.augmentation.manifest import Manifest, write_manifest
from stratagem.augmentation.transforms import Policy, strength
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.loading.shards import Shards, catalogue, write_shard
from stratagem.resolution.plans import fit_plan


@pytest.fixture
def index(dataset):
    """Of the tiny data set."""
    found = find(*map(str, dataset), "{stem}", None)
    return build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table


@pytest.fixture
def stored(index, tmp_path):
    """Writes the tiny data set by a plan; the catalogue's folder and table."""

    def written(name: str, **options) -> tuple:
        path = tmp_path / name / "0.h5"
        write_shard(path, index, fit_plan(name, index[["height", "width"]].to_numpy(), 4, **options), CLASSES)
        return path.parent, catalogue([path])

    return written


@pytest.fixture
def storages(stored):
    """The tiny data set by a plan: three shapes of frame, one shape, several windows a sample."""
    return functools.cache(lambda name: Shards(*stored(name, **PLANS[name])))


@pytest.fixture
def large(stored):
    """Seven samples of a megabyte each."""
    return Shards(*stored("resize", size=(512, 512)))


@pytest.fixture
def manifest(tmp_path):
    """Writes the manifest of a storage's samples for a policy of so many variants; its reader."""

    def drawn(storage, variants: int, seed: int = 0, **ranges) -> Manifest:
        policy = Policy(variants, {name: strength(name, given) for name, given in ranges.items()})
        write_manifest(policy, seed, set(storage.names), tmp_path / "manifest.parquet")
        return Manifest(tmp_path / "manifest.parquet", storage.names)

    return drawn
