"""Images and masks to shards, beside the script that most people write.

    python benchmarks/preprocess.py IMAGES MASKS [--classes background nucleus] [--rounds 3]

Every image is brought to 256x256 and written to HDF5, images/s. `plain` is one loop of scikit-image's
imread and resize (anti-aliased; masks by nearest neighbour) into gzip-compressed h5py data sets; `ours`
is what the rule `shard` does, in one process, then in two at once with half of the samples each. Rounds
in turn; the median of each.
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from skimage.io import imread
from skimage.transform import resize

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.loading.shards import write_shard
from stratagem.resolution.plans import Plan

SIZE = (256, 256)
PLAN = Plan("resize", 16, (SIZE,))


def main() -> None:
    """Print images/s of each way, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("masks")
    parser.add_argument("--classes", nargs="+", default=["background", "nucleus"])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found = find(arguments.images, arguments.masks, "{stem}", None)
    index = build_index(found, Wanted(arguments.classes, {"encoding": "auto"})).table
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        list(pool.map(_warm, range(2)))
        ways = {"plain": _plain, "ours": _ours, "ours, two jobs": lambda *to: _two(pool, *to)}
        rounds = [
            {name: _rate(way, index, Path(folder)) for name, way in ways.items()}
            for _ in range(arguments.rounds)
        ]
    _report(pd.DataFrame(rounds).median(), len(index))


def _report(rate: pd.Series, count: int) -> None:
    print(f"{count} images to {SIZE[0]}x{SIZE[1]}, images/s")
    for name, value in rate.items():
        print(f"{name:>15} {value:8.1f}")
    print(f"one process: {rate['ours'] / rate['plain']:.2f} times the plain loop")
    print(f"two jobs:    {rate['ours, two jobs'] / rate['ours']:.2f} times one")


def _rate(way, index: pd.DataFrame, folder: Path) -> float:
    start = time.perf_counter()
    way(index, folder)
    return len(index) / (time.perf_counter() - start)


def _plain(index: pd.DataFrame, folder: Path) -> None:
    with h5py.File(folder / "plain.h5", "w") as file:
        shape = (len(index), *SIZE)
        images = file.create_dataset("image", (*shape, 3), np.uint8, chunks=(1, *SIZE, 3), compression="gzip")
        masks = file.create_dataset("mask", shape, np.uint8, chunks=(1, *SIZE), compression="gzip")
        for number, row in enumerate(index.itertuples()):
            image, mask = imread(row.image), imread(row.masks[0])
            image = image[..., :3] if image.ndim == 3 else np.dstack([image] * 3)
            images[number] = np.rint(255 * resize(image, SIZE, anti_aliasing=True))
            masks[number] = resize(mask, SIZE, order=0, preserve_range=True, anti_aliasing=False)


def _ours(index: pd.DataFrame, folder: Path) -> None:
    write_shard(str(folder / "ours.h5"), index, PLAN, ["background", "object"])


def _two(pool: ProcessPoolExecutor, index: pd.DataFrame, folder: Path) -> None:
    jobs = [
        pool.submit(write_shard, str(folder / f"{number}.h5"), index.iloc[number::2], PLAN, ["a", "b"])
        for number in range(2)
    ]
    for job in jobs:
        job.result()


def _warm(_) -> None:
    """Start a worker and import what it needs, as a job that runs already."""
    time.sleep(0.5)


if __name__ == "__main__":
    main()
