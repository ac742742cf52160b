"""What does a state record cost?

    python benchmarks/record.py [--rounds 5]

Writes the record of U-Nets of three sizes, synced to disk, and prints its size, the median seconds, and the
share of training time that a record at each `record_every_s` of the default is.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import torch

from stratagem.networks.build import build
from stratagem.networks.execution import choose
from stratagem.study.declaration import Study
from stratagem.training.progress import Progress
from stratagem.training.records import Records

WIDTHS = (8, 32, 64)


def main() -> None:
    """Print one row a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    every_s = Study.model_fields["record_every_s"].default
    print(f"| width | parameters | MB | seconds | share of {every_s} s |\n| --- | --- | --- | --- | --- |")
    for width in WIDTHS:
        progress = _progress(width)
        with tempfile.TemporaryDirectory(dir=".") as folder:
            records = Records(folder, {}, every_s)
            seconds = statistics.median(_seconds(records, progress, step) for step in range(given.rounds))
            size = max(path.stat().st_size for path in Path(folder).rglob("*.safetensors"))
        count = sum(parameter.numel() for parameter in progress.model.parameters())
        print(f"| {width} | {count:,} | {size / 1e6:.0f} | {seconds:.3f} | {seconds / every_s:.2%} |")


def _progress(width: int) -> Progress:
    """A network with moments, after one step."""
    execution = choose("cpu", 2)
    model = execution.place(build("unet", 2, width=width, depth=4, seed=0))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).sum().backward()
    optimizer.step()
    return Progress(model, optimizer, 1)


def _seconds(records: Records, progress: Progress, step: int) -> float:
    start = time.perf_counter()
    records.write(progress.state(), step)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
