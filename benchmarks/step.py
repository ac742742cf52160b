"""How fast is one training step? Ours as shipped, beside the loop that people write, in one run.

    python benchmarks/step.py [--seconds 60] [--size 256] [--width 32] [--threads 2]

Three rows, the same U-Net, batch 16, forward + backward + update, images/s (median of the rounds):

    plain loop     eager, channels first, float32, the allocator's defaults
    as shipped     what `stratagem.networks.execution` chooses here, batches through the loader from shards
    fixed batch    the same, one batch held in memory: what the loader could at best give

Each row runs in a process of its own (the allocator's settings are those of a process), the rows in turn,
round after round, so that a machine that slows down slows all of them.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

ROWS = ("plain loop", "as shipped", "fixed batch")
BATCH, ROUNDS, SAMPLES = 16, 3, 64


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=60, help="sustained, for each row, all rounds together"
    )
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--width", type=int, default=32, help="channels of the first level")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(measure(given))
        return
    rates: dict[str, list[float]] = {row: [] for row in ROWS}
    for _ in range(ROUNDS):
        for row in ROWS:
            words = [sys.executable, __file__, *sys.argv[1:], "--row", row]
            rates[row].append(float(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
    base = statistics.median(rates["plain loop"])
    print(f"{'':12} {'images/s':>9} {'ratio':>6}   rounds")
    for row, found in rates.items():
        middle = statistics.median(found)
        print(f"{row:12} {middle:9.2f} {middle / base:6.2f}   {', '.join(f'{rate:.2f}' for rate in found)}")


def measure(given: argparse.Namespace) -> float:
    """Images a second of one row, in this process."""
    step, warm_up, images = (_plain if given.row == "plain loop" else _shipped)(given), 2, 0
    for _ in range(warm_up):
        step()
    start = time.perf_counter()
    while time.perf_counter() - start < given.seconds / ROUNDS:
        step()
        images += BATCH
    return images / (time.perf_counter() - start)


def _plain(given: argparse.Namespace):
    import torch

    from stratagem.networks.build import build
    from stratagem.training.losses import losses

    torch.set_num_threads(given.threads)
    model = build("unet", 2, width=given.width, depth=4, seed=0)
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.randint(0, 256, (BATCH, 3, given.size, given.size), dtype=torch.uint8)
    masks = torch.randint(0, 2, (BATCH, given.size, given.size), dtype=torch.uint8)

    def step() -> None:
        optimizer.zero_grad()
        losses(model(images), masks).mean().backward()
        optimizer.step()

    return step


def _shipped(given: argparse.Namespace):
    """One step of the loop itself, on batches from shards or on the first of them again and again."""

    from stratagem.loading.loader import Loader
    from stratagem.loading.order import Order
    from stratagem.networks.build import build
    from stratagem.networks.execution import choose
    from stratagem.study.declaration import Training
    from stratagem.training import loop
    from stratagem.training.options import Options

    execution = choose("cpu", given.threads)
    model = execution.place(build("unet", 2, width=given.width, depth=4, seed=0))
    options = Options(batch_size=BATCH, steps=10**6, **Training().model_dump())
    shards = _shards(given.size)
    progress = loop.begin(model, options)
    batches = Loader(shards, Order(shards.shapes, BATCH, seed=0)).batches()
    if given.row == "fixed batch":
        batches = itertools.repeat(next(batches))

    def step() -> None:
        loop.step(progress, next(batches), options, execution)

    return step


def _shards(size: int):
    """Shards of random images, on disk."""
    import cv2
    import numpy as np

    from stratagem.data.index import Wanted, build_index
    from stratagem.data.pairing import find
    from stratagem.loading.shards import Shards, catalogue, write_shard
    from stratagem.resolution.plans import fit_plan

    folder = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    arrays = {"images": ((size, size, 3), 256), "masks": ((size, size), 2)}
    for kind, (shape, levels) in arrays.items():
        (folder / kind).mkdir()
        for number in range(SAMPLES):
            cv2.imwrite(str(folder / kind / f"{number}.png"), rng.integers(0, levels, shape, dtype=np.uint8))
    classes = ["background", "cell"]
    found = find(str(folder / "images"), str(folder / "masks"), "{stem}", None)
    index = build_index(found, Wanted(classes, {"encoding": "indices"})).table
    plan = fit_plan("native", index[["height", "width"]].to_numpy(), stride=16)
    write_shard(str(folder / "0.h5"), index, plan, classes)
    return Shards(folder, catalogue([folder / "0.h5"]))


if __name__ == "__main__":
    main()
