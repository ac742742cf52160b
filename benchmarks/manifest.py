"""How long does a large manifest take, and how much memory?

    python benchmarks/manifest.py [--samples 100000] [--variants 100]

Writes a manifest of the preset `natural` with cutmix (16 transforms) in a process of its own, then reads
one variant of a tenth of the samples; prints seconds, peak memory and the file's size.
"""

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.augmentation.manifest import Manifest, write_manifest
from stratagem.augmentation.presets import PRESETS
from stratagem.augmentation.transforms import Policy, strength


def main() -> None:
    """Print one line a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--variants", type=int, default=100)
    given = parser.parse_args()
    policy = Policy(given.variants, PRESETS["natural"].strengths)
    policy = replace(policy, strengths=policy.strengths | {"cutmix": strength("cutmix", 0.5)})
    names = [f"case-{number:06d}" for number in range(given.samples)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        start = time.perf_counter()
        write_manifest(policy, 1, names, path)
        rows, seconds = given.samples * given.variants, time.perf_counter() - start
        print(f"written: {rows:,} rows, {len(policy.strengths)} transforms, {seconds:.1f} s")
        print(f"memory: {_peak_mb():.0f} MB at most")
        print(f"file: {path.stat().st_size / 1e6:.0f} MB")
        start = time.perf_counter()
        manifest = Manifest(path, names[::10])
        manifest.at(0, given.variants - 1)
        print(f"one variant of a tenth of the samples read: {time.perf_counter() - start:.2f} s")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
