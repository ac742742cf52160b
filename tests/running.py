"""What tests of runs share: a small study, its files, a run of it."""

from pathlib import Path

import numpy as np

from stratagem.augmentation.manifest import write_manifest
from stratagem.augmentation.transforms import Policy
from stratagem.core.files import write_table
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.split import divide
from stratagem.loading.shards import catalogue, write_shard
from stratagem.resolution import plans
from stratagem.runs.inputs import Inputs
from stratagem.runs.train import train
from stratagem.study.declaration import Delivery, Recipe, Study
from stratagem.study.reading import read_study

CLASSES = ["background", "a", "b"]
CONFIG = {
    "study": "tiny",
    "images": "images",
    "masks": "masks",
    "classes": CLASSES,
    "seeds": [1, 2],
    "budget": {"images": 6},
    "unet": {"width": 2, "depth": 1},
    "training": {"validations": 2},
    "resolutions": {"native": {"plan": "native"}},
    "augmentations": {"flips": {"flip_horizontal": 0.5, "brightness": 0.5, "variants": 3}},
    "sources": {
        "others": {
            "images": "others/images",
            "masks": "others/masks",
            "classes": CLASSES,
            "resolution": "native",
            "batch_size": 2,
            "budget": {"steps": 2},
        }
    },
    "strategies": {
        "baseline": {"resolution": "native", "loader": {"batch_size": 2}},
        "memory": {"resolution": "native", "loader": {"batch_size": 2, "storage": "memory"}},
        "half": {"resolution": "native", "loader": {"batch_size": 2, "fraction": 0.5}},
        "flips": {"resolution": "native", "augmentation": "flips", "loader": {"batch_size": 2}},
        "slow": {"resolution": "native", "learning_rate": 1e-5, "loader": {"batch_size": 2}},
        "classifier": {"resolution": "native", "network": "shufflenet_v2_x0_5", "loader": {"batch_size": 2}},
        "taught": {"resolution": "native", "init": {"source": "others"}, "loader": {"batch_size": 2}},
        "frozen": {
            "resolution": "native",
            "init": {"source": "others", "freeze": "encoder"},
            "loader": {"batch_size": 2},
        },
    },
}
DELIVERY = Delivery(workers=1)


def study() -> Study:
    """The study; its folders play no part in a training job."""
    return read_study(CONFIG)


def recipe_of(strategy: str, seed: int = 1) -> Recipe:
    """The recipe of one of its runs, fold 0."""
    return study().run(strategy, 0, seed)


def prepared(images: Path, masks: Path, folder: Path, plan: str = "native", **options) -> Inputs:
    """Index, plan, two shards and split of two folders, with the shards in `folder`."""
    found = find(str(images), str(masks), "{stem}", None)
    index = build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table
    plan = plans.fit_plan(plan, index[["height", "width"]].to_numpy(), stride=2, **options)
    folder.mkdir()
    for number, places in enumerate(np.array_split(np.arange(len(index)), 2)):
        write_shard(folder / f"{number}.h5", index.iloc[places], plan, CLASSES)
    write_table(catalogue([folder / "0.h5", folder / "1.h5"]), folder / "shards.parquet")
    splits = divide(index, folds=1, test=0.3, validation=0.15, seed=0)
    return Inputs(index, plan, folder / "shards.parquet", splits)


def manifest_of(inputs: Inputs, seed: int = 1):
    """The synthetic images of the study's one augmentation, written beside the shards."""
    policy = Policy.of(study().augmentations["flips"].policy())
    path = inputs.shards.parent / f"seed{seed}.parquet"
    write_manifest(policy, seed, inputs.index["sample"], path)
    return path


def trained(recipe: Recipe, inputs: Inputs, folder, delivery: Delivery = DELIVERY) -> bytes:
    """Train a run; the bytes of its weights."""
    train(recipe, inputs, "cpu", delivery, {"source": "0123456789ab"}, folder, record_every_s=1000)
    return (folder / "model.safetensors").read_bytes()
