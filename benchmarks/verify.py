"""What does `loader.verify` cost? Epochs with and without it, beside a training.

    python benchmarks/verify.py [--samples 2000] [--rounds 5] [--seconds 60]

Samples of 256x256 RGB and mask, not packed, in two shards, in the page cache; epochs at batch 16 in random
order, each way in turn, round after round. Prints the median microseconds a sample, and which share of a
training of one epoch the checksums are: of the default U-Net on one thread, as `benchmarks/step.py` measures
it here. A sample is compared once a process, so that of a training of ten epochs it is a tenth of that share.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.loading.shards import Shards, catalogue, write_shard
from stratagem.resolution.plans import Plan

SIDE, BATCH, SHARDS = 256, 16, 2
CLASSES = ["background", "cell"]
STEP = Path(__file__).with_name("step.py")


def main() -> None:
    """Print the table and the share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="of training")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = written(Path(folder), given.samples)
        found = [epochs(Path(folder), table, number) for number in range(given.rounds)]
    microseconds = {way: statistics.median(one[way] for one in found) for way in found[0]}
    for way, value in microseconds.items():
        print(f"{way:28} {value:8.1f} us a sample")
    words = [sys.executable, str(STEP), "--row", "as shipped", "--width", "16", "--threads", "1"]
    words += ["--seconds", str(given.seconds)]
    rate = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    extra = microseconds["verified, first epoch"] - microseconds["not verified"]
    print(f"{'a training step':28} {1e6 / rate:8.1f} us an image")
    print(f"checksums are {100 * extra * rate / 1e6:.3f} % of a training of one epoch")


def written(folder: Path, count: int) -> pd.DataFrame:
    """Shards of noise; their catalogue."""
    rng = np.random.default_rng(0)
    for kind, shape, levels in (("images", (SIDE, SIDE, 3), 256), ("masks", (SIDE, SIDE), 2)):
        (folder / kind).mkdir()
        for number in range(count):
            noise = rng.integers(0, levels, shape, np.uint8)
            Image.fromarray(noise).save(folder / kind / f"{number}.png", compress_level=0)
    found = find(str(folder / "images"), str(folder / "masks"), "{stem}", None)
    index = build_index(found, Wanted(CLASSES, {"encoding": "indices"}, duplicates="off")).table
    paths = [folder / f"{number}.h5" for number in range(SHARDS)]
    for number, path in enumerate(paths):
        write_shard(path, index[number::SHARDS], Plan("native", 16), CLASSES)
    return catalogue(paths)


def epochs(folder: Path, table: pd.DataFrame, seed: int) -> dict[str, float]:
    """Microseconds a sample of each way."""
    plain, verified = (Shards(folder, table, verify=verify) for verify in (False, True))
    epoch(plain, seed)  # its pages are mapped
    found = {"not verified": epoch(plain, seed)}
    found["verified, first epoch"] = epoch(verified, seed)
    return found | {"verified, later epochs": epoch(verified, seed)}


def epoch(shards: Shards, seed: int) -> float:
    """One epoch in random order, into buffers that are kept."""
    order = np.random.default_rng(seed).permutation(len(shards))
    image = np.empty((BATCH, SIDE, SIDE, 3), np.uint8)
    mask = np.empty((BATCH, SIDE, SIDE), np.uint8)
    start = time.perf_counter()
    for places in np.split(order, range(BATCH, len(order), BATCH)):
        shards.read(places, image[: len(places)], mask[: len(places)])
    return 1e6 * (time.perf_counter() - start) / len(order)


if __name__ == "__main__":
    main()
