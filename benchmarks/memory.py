"""What the loader holds, as the data set grows: samples of 32x32 at batch 16, three shuffled epochs.

    python benchmarks/memory.py

In a process of its own for each number of samples: seconds from the catalogue's file to the first batch,
and the process's own memory (without pages of mapped files), the most in three epochs; then for the
smallest, after one epoch and after fifty. `held` is what the loader itself says that it holds.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

SIDE, BATCH = 32, 16
COUNTS = (1_000, 10_000, 100_000)
EPOCHS = 3
MANY = 50
CLASSES = ["background", "object"]


def main() -> None:
    """Print a row a number of samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(measure(Path(given.folder), given.epochs)))
        return
    print(f"{'samples':>8}{'epochs':>8}{'first batch s':>15}{'own MB, most':>14}{'epoch 1':>9}{'held':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            prepare(Path(folder, str(count)), count)
            for epochs in (EPOCHS, MANY) if count == COUNTS[0] else (EPOCHS,):
                words = [sys.executable, __file__, "--folder", f"{folder}/{count}", "--epochs", str(epochs)]
                row = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
                print(f"{count:8,}{epochs:8}{row['first']:15.2f}{row['most']:14.1f}{row['one']:9.1f}"
                      f"{row['held']:7.1f}", flush=True)  # fmt: skip


def prepare(folder: Path, count: int) -> None:
    """A shard and its catalogue; a few images under many names."""
    import cv2
    import pandas as pd

    from stratagem.data.index import Wanted, build_index
    from stratagem.data.pairing import find
    from stratagem.loading.shards import catalogue, write_catalogue, write_shard
    from stratagem.resolution.plans import Plan

    rng = np.random.default_rng(0)
    for kind, shape in (("images", (SIDE, SIDE, 3)), ("masks", (SIDE, SIDE))):
        (folder / kind).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256 if kind == "images" else 2, shape, dtype=np.uint8)
            cv2.imwrite(str(folder / kind / f"{number}.png"), pixels)
    found = find(str(folder / "images"), str(folder / "masks"), "{stem}", None)
    index = build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table
    many = pd.concat([index] * (count // len(index)), ignore_index=True)
    names = [f"plate/well/{number:06d}" for number in range(len(many))]
    write_shard(folder / "0.h5", many.assign(sample=names), Plan("native", 16), CLASSES)
    write_catalogue(catalogue([folder / "0.h5"]), folder / "shards.parquet")


def measure(folder: Path, epochs: int) -> dict:
    """Seconds to the first batch, and memory, in this process."""
    from stratagem.loading.loader import Loader
    from stratagem.loading.order import Order
    from stratagem.loading.shards import Shards, read_catalogue
    from stratagem.networks.execution import memory_mb

    start = time.perf_counter()
    shards = Shards(folder, read_catalogue(folder / "shards.parquet"))
    loader = Loader(shards, Order(shards.shapes, BATCH, seed=0))
    batches, own = loader.batches(), []
    seen = len(next(batches))
    first = time.perf_counter() - start
    for epoch in range(1, epochs + 1):
        while seen < epoch * len(shards):
            seen += len(next(batches))
            if seen % (100 * BATCH) == 0:
                own.append(memory_mb()[0])
        if epoch == 1:
            after_one = memory_mb()[0]
    return {"first": first, "most": max([*own, memory_mb()[0]]), "one": after_one, "held": loader.held_mb}


if __name__ == "__main__":
    main()
