"""What jobs take, beside what `stratagem.study.needs` has them ask for.

    python benchmarks/needs.py [--seconds 3] [--side 6000]       (Linux)

First table: multiply-adds a second of training steps on one thread, of networks of several kinds and sizes,
beside the rate that minutes are reckoned by. Second: bytes and seconds a pixel of the jobs that read images,
on one image of `--side` pixels a side, beside the bytes and seconds that they ask for; each job in a process
of its own, less what the same job holds on an image of 64 pixels a side.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.core.files import write_table
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.rows import load
from stratagem.evaluation.roundtrip import round_trips
from stratagem.loading.shards import write_shard
from stratagem.networks.table import NETWORKS
from stratagem.resolution.plans import fit_plan
from stratagem.study.needs import CPU_RATE, PIXEL_S, WAY_BACK

CLASSES = ["background", "cell"]
SMALL = 64
TRAINED = (("unet", 4, 64), ("unet", 16, 256), ("unet", 64, 128), ("resnet18", 16, 256))
TRAINED += (("mobilenet_v3_small", 16, 256), ("efficientnet_b0", 16, 256), ("swin_t", 16, 128))
PLANS = {"native": {}, "resize": {"size": (256, 256)}, "tile": {"size": (256, 256), "overlap": 0.25}}
ASKED = {"shard": 3 * 3 + 3, "roundtrip": 28}  # bytes a pixel of three channels, as the rules say


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="of each network")
    parser.add_argument("--side", type=int, default=6000, help="pixels")
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        job, plan, folder = given.job
        print(json.dumps(taken(job, plan, Path(folder))))
        return
    print_rates(given.seconds)
    with tempfile.TemporaryDirectory() as folder:
        images = {side: Path(folder, str(side)) for side in (SMALL, given.side)}
        for side, own in images.items():
            write_image(own, side)
        print_jobs(images)


def print_rates(seconds: float) -> None:
    """The first table."""
    print(f"{'network':22}{'width':>6}{'side':>6}{'1e9 a second':>14}{'reckoned':>10}")
    for network, width, side in TRAINED:
        found = rate(network, width, side, seconds)
        print(f"{network:22}{width:6}{side:6}{found / 1e9:14.1f}{CPU_RATE / 1e9:10.1f}", flush=True)


def rate(network: str, width: int, side: int, seconds: float) -> float:
    """Multiply-adds a second of training steps with two images."""
    import torch

    from stratagem.networks.build import build

    torch.set_num_threads(1)
    model = build(network, 2, width=width, depth=4, seed=0).train()
    images = torch.randint(0, 255, (2, 3, side, side), dtype=torch.uint8)

    def step() -> None:
        model.zero_grad()
        model(images).square().mean().backward()

    step()  # to warm up
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        steps += 1
    work = WAY_BACK * NETWORKS[network].size(network, width, 4).multiply_adds * 2 * side**2
    return work * steps / (time.perf_counter() - start)


def write_image(folder: Path, side: int) -> None:
    """An image of smooth noise, its mask, and the index of both."""
    rng = np.random.default_rng(0)
    small = side // 50 + 2
    image = Image.fromarray(rng.integers(0, 255, (small, small, 3), dtype=np.uint8)).resize((side, side))
    mask = Image.fromarray((rng.random((side, side)) > 0.99).astype(np.uint8))
    for kind, picture in (("images", image), ("masks", mask)):
        (folder / kind).mkdir(parents=True)
        picture.save(folder / kind / "0.png", compress_level=1)
    found = find(str(folder / "images"), str(folder / "masks"), "{stem}", None)
    write_table(build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table, folder / "index.parquet")


def print_jobs(images: dict[int, Path]) -> None:
    """The second table."""
    print(f"\n{'job':12}{'plan':8}{'bytes/px':>10}{'asked':>7}{'us/px':>8}{'asked':>7}")
    for job, plan in itertools.product(ASKED, PLANS):
        small, large = (measured(job, plan, folder) for folder in images.values())
        memory, seconds = ((large[name] - small[name]) / max(images) ** 2 for name in ("bytes", "seconds"))
        row = f"{memory:10.1f}{ASKED[job]:7}{1e6 * seconds:8.2f}{1e6 * PIXEL_S:7.2f}"
        print(f"{job:12}{plan:8}{row}", flush=True)


def measured(job: str, plan: str, folder: Path) -> dict:
    """Peak memory and seconds of a job in a process of its own."""
    words = [sys.executable, __file__, "--job", job, plan, str(folder)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def taken(job: str, plan: str, folder: Path) -> dict:
    """The same, of this process."""
    index = load(folder / "index.parquet")
    fitted = fit_plan(plan, index[["height", "width"]].to_numpy(), 16, **PLANS[plan])
    start = time.perf_counter()
    if job == "shard":
        write_shard(folder / "0.h5", index, fitted, CLASSES)
    else:
        round_trips(index, fitted, len(CLASSES))
    seconds = time.perf_counter() - start
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"bytes": 1024 * int(status["VmHWM"].split()[0]), "seconds": seconds}


if __name__ == "__main__":
    main()
