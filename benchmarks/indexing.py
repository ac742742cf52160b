"""What do index and data page cost, beside plain decoding?

    python benchmarks/indexing.py IMAGES MASKS [--classes background nucleus] [--rounds 3]

Seconds and peak memory (MB of the whole process) of: every image and mask decoded once and dropped, on one
core (`decode`); the rule `index` on one thread and on two; the data page. For the given folder, sixty RGB
pairs of 1.25 megapixels, six of 5000x5000 pixels, and one of 20000x20000, these three laid out from the given
images and masks. Each in a process of its own, in turn; the median of the rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.data.pixels import read_sample

SCRIPTS = str(Path(__file__).parents[1] / "scripts")
LAID_OUT = {  # name: images, height, width, channels
    "60 of 960x1300": (60, 960, 1300, 3),
    "6 of 5000x5000": (6, 5000, 5000, 1),
    "1 of 20000x20000": (1, 20000, 20000, 1),
}
TIMED = """
import json, re, sys, time
from pathlib import Path
import cv2
cv2.setNumThreads(1)
sys.path.insert(0, {scripts!r})
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
start = time.perf_counter()
{work}
seconds = time.perf_counter() - start
# Not ru_maxrss, in which the memory of the process that started this one counts.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([seconds, int(peak[1]) / 1024]))
"""
DECODE = """
from stratagem.data.image import read_stored
for one in find({images!r}, {masks!r}, "{{stem}}", None).samples:
    read_stored(one.image), read_stored(one.masks[0])
"""
INDEX = """
found = find({images!r}, {masks!r}, "{{stem}}", None)
index = build_index(found, Wanted({classes!r}, {{"encoding": "auto"}}), threads={threads})
assert len(index.table), index.problems
"""
PAGE = """
from pathlib import Path
from stratagem.report.data_page import StoredData, render
from stratagem.study.declaration import Split
folder = Path({folder!r})
names = ("index.parquet", "duplicates.csv", "understood.json", "splits.parquet")
study = {{"study": "timed", "classes": {classes!r}, "split": Split().model_dump(mode="json")}}
stored = StoredData(study, *(folder / name for name in names), folder / "problems.csv")
start = time.perf_counter()
render(stored, folder / "page.html")
"""


def main() -> None:
    """Print one row a set and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("masks")
    parser.add_argument("--classes", nargs="+", default=["background", "nucleus"])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found = find(given.images, given.masks, "{stem}", None)
    with tempfile.TemporaryDirectory() as folder:
        places = {f"{len(found.samples)} as given": (given.images, given.masks)}
        rows = list(build_index(found, Wanted(given.classes, {"encoding": "auto"})).table.itertuples())
        places |= {name: _laid_out(Path(folder, name), rows, *shape) for name, shape in LAID_OUT.items()}
        print(f"{'':<18}{'':<18}{'seconds':>9}{'to decode':>11}{'MB':>8}")
        for name, (images, masks) in places.items():
            _report(name, _measured(str(images), str(masks), given.classes, Path(folder), given.rounds))


def _laid_out(
    folder: Path, rows: list, count: int, height: int, width: int, channels: int
) -> tuple[Path, Path]:
    """Images and masks of a size, tiled from those that were given."""
    places = folder / "images", folder / "masks"
    for place in places:
        place.mkdir(parents=True)
    for number in range(count):
        image, mask = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
        for top in range(0, height, 256):
            for left in range(0, width, 256):
                chosen = rows[(number * 37 + top // 256 * 11 + left // 256) % len(rows)]
                for whole, part in zip((image, mask), read_sample(chosen), strict=True):
                    whole[top : top + 256, left : left + 256] = _fitted(part)[: height - top, : width - left]
        for place, pixels in zip(places, (image[..., 0] if channels == 1 else image, mask), strict=True):
            cv2.imwrite(str(place / f"{number}.png"), pixels)
    return places


def _fitted(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, (256, 256), interpolation=cv2.INTER_NEAREST)


def _measured(images: str, masks: str, classes: list[str], folder: Path, rounds: int) -> dict[str, tuple]:
    """Median seconds and peak MB of each way."""
    _store(images, masks, classes, folder)
    given = {"images": images, "masks": masks, "classes": classes, "folder": str(folder)}
    ways = {
        "decode": DECODE.format(**given),
        "index, 1 thread": INDEX.format(**given, threads=1),
        "index, 2 threads": INDEX.format(**given, threads=2),
        "page": PAGE.format(**given),
    }
    found: dict[str, list] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            script = TIMED.format(scripts=SCRIPTS, work=work)
            said = subprocess.run(
                [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
            )
            found[name].append(json.loads(said.stdout.splitlines()[-1]))
    return {name: tuple(map(statistics.median, zip(*ones, strict=True))) for name, ones in found.items()}


def _store(images: str, masks: str, classes: list[str], folder: Path) -> None:
    """What the page is made from."""
    index = build_index(find(images, masks, "{stem}", None), Wanted(classes, {"encoding": "auto"}))
    index.table.to_parquet(folder / "index.parquet")
    index.duplicates.to_csv(folder / "duplicates.csv", index=False)
    (folder / "understood.json").write_text(json.dumps(index.understood))
    index.table[["sample"]].assign(fold=0, part="train").to_parquet(folder / "splits.parquet")


def _report(name: str, found: dict[str, tuple]) -> None:
    decode = found["decode"][0]
    for way, (seconds, megabytes) in found.items():
        print(f"{name:<18}{way:<18}{seconds:>9.2f}{seconds / decode:>11.2f}{megabytes:>8,.0f}", flush=True)


if __name__ == "__main__":
    main()
