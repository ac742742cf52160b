"""What does freezing an encoder save? A step with it frozen beside one with all open, in one run.

    python benchmarks/frozen.py [--network resnet18] [--seconds 30] [--size 256] [--batch 16] [--threads 2]

Three rows, the same network and one batch in memory, forward + backward + update by the loop's own step:

    none           all layers learn
    encoder        the encoder is held fixed
    all-but-last   all is, but the new last layer

Seconds a step (median of the rounds), how many times faster that is than all open, the parameters that
learn, and the peak memory of the process, and of it what came after the first step began. Each row runs in a
process of its own, the rows in turn, round after round, so that a machine that slows down slows all of them.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

ROWS, ROUNDS, WARM_UP = ("none", "encoder", "all-but-last"), 3, 2


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--seconds", type=float, default=30, help="for each row, all rounds together")
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(json.dumps(measure(given)))
        return
    found: dict[str, list[dict]] = {row: [] for row in ROWS}
    for _ in range(ROUNDS):
        for row in ROWS:
            words = [sys.executable, __file__, *sys.argv[1:], "--row", row]
            said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            found[row].append(json.loads(said))
    base = _median(found["none"], "seconds")
    print(
        f"{'freeze':12} {'s/step':>7} {'times':>6} {'trainable':>10} {'peak MB':>8} {'of steps':>8}   rounds"
    )
    for row, rounds in found.items():
        seconds = _median(rounds, "seconds")
        numbers = f"{seconds:7.3f} {base / seconds:6.2f} {rounds[0]['trainable']:10,}"
        memory = f"{_median(rounds, 'peak_mb'):8.0f} {_median(rounds, 'steps_mb'):8.0f}"
        single = ", ".join(f"{one['seconds']:.3f}" for one in rounds)
        print(f"{row:12} {numbers} {memory}   {single}")


def measure(given: argparse.Namespace) -> dict:
    """Seconds a step and memory of one row, in this process."""
    from stratagem.networks.build import build
    from stratagem.networks.execution import choose
    from stratagem.study.declaration import Training
    from stratagem.training import loop
    from stratagem.training.options import Options
    from stratagem.transfer.adoption import adopt
    from stratagem.transfer.freezing import freezing

    execution = choose("cpu", given.threads)
    model = build(given.network, 2, width=32, depth=4, seed=0)
    table = adopt(model, build(given.network, 2, width=32, depth=4, seed=1).state_dict())
    frozen = freezing(model, table, freeze=given.row)
    options = Options(given.batch, steps=10**6, freezing=frozen, **Training().model_dump())
    progress = loop.begin(execution.place(model.train()), options)
    batch = _batch(given)
    before = _peak_mb()
    for _ in range(WARM_UP):
        loop.step(progress, batch, options, execution)
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < given.seconds / ROUNDS:
        loop.step(progress, batch, options, execution)
        steps += 1
    seconds = (time.perf_counter() - start) / steps
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return {"seconds": seconds, "trainable": learning, "peak_mb": _peak_mb(), "steps_mb": _peak_mb() - before}


def _batch(given: argparse.Namespace):
    import numpy as np

    from stratagem.loading.loader import Batch

    stream = np.random.default_rng(0)
    image = stream.integers(0, 256, (given.batch, given.size, given.size, 3), dtype=np.uint8)
    mask = stream.integers(0, 2, image.shape[:3], dtype=np.uint8)
    return Batch(image, mask, np.array(["noise"] * given.batch), np.arange(given.batch), 0)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _median(rounds: list[dict], key: str) -> float:
    return statistics.median(one[key] for one in rounds)


if __name__ == "__main__":
    main()
