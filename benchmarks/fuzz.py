"""Studies and small data sets drawn by chance: does each end in a result, or in a sentence that helps?

    python benchmarks/fuzz.py                            10,000 in one process, 50 through Snakemake
    python benchmarks/fuzz.py --count 500 --workflows 4

Hypothesis draws keys and values of a study, and folders of images and masks: kinds of files, sizes, masks of
each encoding, odd names, damaged bytes. In one process each is read, checked before its first job, indexed,
planned, divided and written to a shard; through Snakemake it is run to its report, two calls at a time.

A fault is an exception that is none of the package's own (a traceback, or "a fault of Stratagem", on a user's
screen), more than `SLOW_S` seconds for one, or a file written outside the results. Prints how many ended
where, and of each kind of fault the smallest example; exit status 1 if there is one.
"""

import argparse
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from stratagem.core.errors import StratagemError  # noqa: E402
from stratagem.data import raw  # noqa: E402
from stratagem.data.collection import samples_of  # noqa: E402
from stratagem.data.index import Wanted, build_index, require_good  # noqa: E402
from stratagem.data.split import divide  # noqa: E402
from stratagem.loading.shards import catalogue, write_shard  # noqa: E402
from stratagem.resolution.plans import fit_plan  # noqa: E402
from stratagem.study import declaration, preflight  # noqa: E402
from stratagem.study.declaration import Study  # noqa: E402
from stratagem.study.reading import read_study  # noqa: E402

PARTS = ("Snakefile", "envs", "profiles", "rules", "scripts")
SLOW_S = 20
WORKFLOW_S = 600
STUDY: dict[str, Any] = {
    "study": "s",
    "images": "raw/images",
    "masks": "raw/masks",
    "classes": ["background", "cell"],
    "split": {"test": 0.3, "validation": 0.2},
    "seeds": [1],
    "budget": {"images": 4},
    "shards": 1,
    "device": "cpu",
    "unet": {"width": 2, "depth": 2},
    "training": {"validations": 1},
    "resolutions": {"resize": {"plan": "resize", "size": [16, 16]}},
    "augmentations": {"flips": {"flip_horizontal": 0.5}},
    "sources": {},
    "strategies": {
        "baseline": {"resolution": "resize", "loader": {"batch_size": 2}},
        "flips": {"resolution": "resize", "augmentation": "flips", "loader": {"batch_size": 2}},
    },
}
# Values that a key may take by mistake. None is large and valid: what is costly is another question.
ODD = [
    None, True, False, "", " ", "yes", "none", "auto", "{stem}", "../x", "ä\n", 0, -1, 1, 2, 3, 0.5,
    -0.5, 1.5, float("nan"), float("inf"), 10**30, "1e3", [], [0], [1, 1], [1, 2, 3], ["a", "a"], [None], {},
    {"a": 1}, {0: 0}, [[0, 0, 0]], [16, 16], [7, 40],
]  # fmt: skip
# Values that are right for some key, so that more studies get as far as their images.
FITTING: dict[str, list[Any]] = {
    "plan": ["resize", "pad", "native", "tile", "buckets", "letterbox", "rescale", "nonsense"],
    "encoding": ["auto", "indices", "binary", "colours", "values", "polygons"],
    "pages": ["samples", "channels"],
    "mask_size": ["same", "image", "resize"],
    "duplicates": ["near", "exact", "off"],
    "bad_samples": ["skip", "stop"],
    "mask_name": ["{stem}", "{stem}_mask", "{stem}*", "m_{stem}"],
    "image_name": ["{stem}", "{stem}_img", "{stem}*"],
    "classes": [["background", "cell"], ["a", "b", "c"], ["a"], ["a", "a"]],
    "folds": [1, 2, 3, 50],
    "test": [0.1, 0.3, 0.9, 1],
    "validation": [0.1, 0.3, 0.9],
    "group": ["{stem}", r"(\d)", "(", "parent"],
    "blocks": [2, 3, 4, 0],
    "storage": ["shards", "memory", "files"],
    "network": ["unet", "resnet18", "shufflenet_v2_x0_5"],
    "size": [[16, 16], [8, 24], [1, 1], [17, 5]],
    "compression": ["none", "lzf", "zstd", "gzip"],
    "channels": [[0, 1, 2], [0], [2, 1, 0], [0, 9]],
    "loss": ["cross_entropy", "dice", "focal"],
    "metric": ["dice", "iou", "accuracy"],
}
NAMES = [
    "{n}", "{n}", "{n}", "{n}", "img {n}", "bild-ä{n}", "x{{y}}{n}", "-{n}", ".hidden{n}", "a.b.{n}", "#{n}",
    "%d{n}", "sub/{n}", "sub/deep/{n}", "'{n}'", "$HOME{n}", "{n}\u00a0", "日本{n}", "q" * 150 + "{n}",
    "a\nb{n}",
]  # fmt: skip
MASK_SUFFIXES = ["", "", "", "", "_mask", "_seg", " copy", "_mask_1"]
MODES = ["RGB", "L", "RGBA", "P", "1", "I;16", "LA", "CMYK", "F", "I"]
ENDINGS = ["png", "png", "tif", "jpg", "bmp", "gif", "webp", "tiff", "PNG"]
NO_IMAGES = ["txt", "npy", "dcm", "zip", "h5"]


def keys_of(model: type) -> list[str]:
    """Of a part of a study."""
    return list(getattr(model, "model_fields", {}))


SECTIONS = {
    "": declaration.Study, "split": declaration.Split, "loader": declaration.Delivery,
    "shards": declaration.ShardsSection, "unet": declaration.UnetSection, "training": declaration.Training,
    "report": declaration.Report, "labels": declaration.Labels, "resolutions.resize": declaration.Resolution,
    "strategies.flips": declaration.Strategy, "strategies.flips.loader": declaration.LoaderSection,
    "strategies.flips.init": declaration.Init, "augmentations.flips": declaration.Augmentation,
    "sources.other": declaration.DataSource,
}  # fmt: skip
BEGUN: dict[str, dict] = {  # what a section must have
    "sources.other": {
        "images": "raw/images", "masks": "raw/masks", "classes": ["background", "cell"],
        "resolution": "resize", "budget": {"images": 4},
    },
    "strategies.flips.init": {"source": "other"},
}  # fmt: skip
COSTLY = {"budget", "images", "masks"}  # the folders are drawn apart
PATHS = [
    f"{section}.{key}".strip(".")
    for section, model in SECTIONS.items()
    for key in [*keys_of(model), "nonsense"]
    if key not in COSTLY
]


# Hypothesis prefers the ends of a range.
RARELY = st.integers(0, 19).map(lambda number: number == 7)


@st.composite
def studies(draw) -> dict:
    """The study above, some of its keys set, taken away or added."""
    study: dict = yaml.safe_load(yaml.safe_dump(STUDY))
    for path in draw(
        st.lists(st.sampled_from(PATHS), max_size=draw(st.sampled_from([0, 0, 0, 1, 1, 1, 2, 4])))
    ):
        key = path.rpartition(".")[2]
        fitting = FITTING.get(key, [])
        values = st.sampled_from(fitting if fitting and not draw(RARELY) else ODD)
        _set(study, path.split("."), draw(values))
    return study


def _set(study: dict, path: list[str], value: Any) -> None:
    for number, step in enumerate(path[:-1], 1):
        below = study.get(step)
        study[step] = below if isinstance(below, dict) else dict(BEGUN.get(".".join(path[:number]), {}))
        study = study[step]
    study[path[-1]] = value


@st.composite
def datasets(draw) -> dict:
    """How many images, of which kind, and what is wrong with some; pixels follow from a seed."""
    labels = ["255"] * 6 + ["01"] * 4 + ["012", "012", "noise", "colours", "zero", "float"]
    return {
        "count": draw(st.sampled_from([10, 10, 8, 8, 6, 12, 2, 0])),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "mode": draw(st.sampled_from([*MODES, "RGB", "RGB", "RGB", "L", "L"])),
        "ending": draw(st.sampled_from(NO_IMAGES if draw(RARELY) else ENDINGS)),
        "name": draw(st.sampled_from(NAMES)),
        "suffix": draw(st.sampled_from(MASK_SUFFIXES)),
        "labels": draw(st.sampled_from(labels)),
        "side": draw(st.sampled_from([1, 2, 9, 16, 24, 40])),
        "mixed": draw(st.booleans()),
        "odd": draw(st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2, 4])),
    }  # fmt: skip


def write(folder: Path, data: dict) -> None:
    """The images and masks of a drawn data set, some of them spoiled."""
    chance = random.Random(data["seed"])
    rng = np.random.default_rng(data["seed"])
    written = []
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(data["count"]):
        name = data["name"].format(n=number)
        sides = rng.integers(1, data["side"] + 1, 2) if data["mixed"] else np.full(2, data["side"])
        image = rng.integers(0, 256, (*sides, 3), dtype=np.uint8)
        for kind, stem, picture in (
            ("images", name, picture_of(image, data["mode"])),
            ("masks", name + data["suffix"], mask_of(rng, sides, data["labels"])),
        ):
            ending = data["ending"] if kind == "images" else chance.choice(["png", "png", "png", "tif"])
            path = folder / kind / f"{stem}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            save(picture, path)
            written.append(path)
    for _ in range(data["odd"] if written else 0):
        chance.choice(SPOIL)(chance.choice(written), chance)


def picture_of(image: np.ndarray, mode: str) -> Image.Image | np.ndarray:
    """Of a mode of Pillow's, or an array where Pillow converts to none."""
    if mode in ("I;16", "F", "I"):
        kind = {"I;16": np.uint16, "F": np.float32, "I": np.int32}[mode]
        return image[..., 0].astype(kind) * kind(7)
    return Image.fromarray(image).convert(mode)


def mask_of(rng: np.random.Generator, sides: np.ndarray, labels: str) -> Image.Image | np.ndarray:
    """Labels by chance."""
    drawn = rng.integers(0, 3, sides)
    match labels:
        case "colours":
            return Image.fromarray(np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)[drawn])
        case "noise":
            return Image.fromarray(rng.integers(0, 256, sides, dtype=np.uint8))
        case "float":
            return drawn.astype(np.float32) / 2
        case "zero":
            return Image.fromarray(np.zeros(sides, np.uint8))
        case "255":
            return Image.fromarray((255 * (drawn > 1)).astype(np.uint8))
        case "01":
            return Image.fromarray((drawn > 1).astype(np.uint8))
    return Image.fromarray(drawn.astype(np.uint8))


def save(picture: Image.Image | np.ndarray, path: Path) -> None:
    """In the format that the ending names, or in another where that cannot hold it, as it is found."""
    content = io.BytesIO()
    format_ = {"tif": "TIFF", "tiff": "TIFF", "jpg": "JPEG", "bmp": "BMP", "gif": "GIF", "webp": "WEBP"}
    if isinstance(picture, np.ndarray):
        tifffile.imwrite(content, picture)
    else:
        try:
            picture.save(content, format_.get(path.suffix[1:], "PNG"))
        except (OSError, ValueError):
            picture.save(content, "TIFF")
    path.write_bytes(content.getvalue())


def _cut(path: Path, chance: random.Random) -> None:
    if path.is_file():
        path.write_bytes(path.read_bytes()[: chance.choice([0, 1, 8, 50, 100])])


def _flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes()) if path.is_file() else b""
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)


def _remove(path: Path, chance: random.Random) -> None:
    if path.is_file():
        path.unlink()


def _folder(path: Path, chance: random.Random) -> None:
    if path.is_file():
        path.unlink()
        path.mkdir()


def _link(path: Path, chance: random.Random) -> None:
    if path.is_file():
        path.unlink()
        path.symlink_to(chance.choice([path.name, "/nowhere", ".."]))


def _copy(path: Path, chance: random.Random) -> None:
    if path.is_file():
        shutil.copy(path, path.with_name(f"copy {chance.randrange(9)}{path.suffix}"))


def _other(path: Path, chance: random.Random) -> None:
    if path.is_file():
        size = (chance.randrange(1, 40), chance.randrange(1, 40))
        Image.new(chance.choice(["L", "RGB"]), size, chance.randrange(256)).save(path, "PNG")


def _pages(path: Path, chance: random.Random) -> None:
    if path.is_file():
        tifffile.imwrite(path, np.zeros((chance.choice([2, 3]), 9, 9), np.uint8))


SPOIL = [_cut, _cut, _flip, _flip, _remove, _folder, _link, _copy, _other, _pages]


def stages(config: dict) -> str:
    """As far as a study comes in one process; what it ended in."""
    study = read_study(config)
    results = Path("results", study.study)
    preflight.require(study, demo="data/demo", cores=2, memory_mb=8000, results=results)
    raw.found(list(study.places), results, record=False)
    wanted = Wanted.of(study.data | {"group": study.split.group})
    index = build_index(samples_of(study.data, study.split.group, study.split.part), wanted)
    require_good(index, wanted.classes, study.bad_samples, "problems.csv")
    table = index.table
    split = study.split
    divide(table, folds=study.folds, test=split.test, validation=split.validation, seed=split.seed)
    for name in study.resolutions:
        _sharded(study, name, table, results)
    return "sharded"


def _sharded(study: Study, name: str, table, results: Path) -> None:
    plan = fitted(study, name, table)
    folder = results / name
    folder.mkdir(parents=True)
    write_shard(folder / "0.h5", table, plan, list(study.classes), study.shards.compression)
    catalogue([folder / "0.h5"])


def fitted(study: Study, name: str, table):
    """The plan of a resolution, as its job fits it."""
    options = study.resolutions[name].model_dump(exclude_none=True)
    sizes = table[["height", "width"]].to_numpy()
    return fit_plan(options.pop("plan"), sizes, stride=study.stride(name), **options)


class Slow(BaseException):
    """One study took too long; no library catches it."""


def _too_slow(number: int, frame: Any) -> None:
    raise Slow


class Found:
    """What studies ended in, and the smallest example of each fault."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.faults: dict[str, tuple[int, str]] = {}

    def fault(self, kind: str, example: str) -> None:
        """Count it, and keep its example if it is the smallest."""
        self.ends["FAULT"] += 1
        if kind not in self.faults or len(example) < self.faults[kind][0]:
            self.faults[kind] = (len(example), example)

    def print(self, of: str, seconds: float) -> None:
        """A table of ends, then the faults."""
        print(f"\n{self.ends.total():,} {of} in {seconds:,.0f} s")
        for end, count in self.ends.most_common():
            print(f"  {count:6,}  {end}")
        for kind, (_, example) in self.faults.items():
            print(f"\nFAULT {kind}\n{example}", flush=True)


def in_process(config: dict, data: dict, found: Found) -> None:
    """One study, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write(Path("raw"), data)
        before = set(Path().rglob("*"))
        signal.alarm(SLOW_S)
        try:
            found.ends[stages(config)] += 1
        except StratagemError as error:
            found.ends[type(error).__name__] += 1
        except Slow:
            found.fault(f"more than {SLOW_S} s", example(config, data))
        except Exception as error:
            last = [one for one in traceback.extract_tb(error.__traceback__) if "stratagem" in one.filename][
                -1
            ]
            kind = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error}"[:200]
            found.fault(
                re.sub(r"\d{3,}|/tmp/\S+", "#", kind), example(config, data) + traceback.format_exc()[-600:]
            )
        finally:
            signal.alarm(0)
            outside = {path for path in set(Path().rglob("*")) - before if path.parts[0] != "results"}
            if outside:
                found.fault("written outside the results", f"{outside} {example(config, data)}")
            os.chdir("/")


def example(config: dict, data: dict) -> str:
    """What of a study differs from the common one, and its images."""
    return f"  { ({k: v for k, v in config.items() if v != STUDY.get(k)}) }\n  {data}\n"


def through_snakemake(job: tuple[Path, dict, dict], found: Found) -> None:
    """One study, by a call of the workflow."""
    folder, config, data = job
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        folder.mkdir(exist_ok=True)
        copy(ROOT / part, folder / part)
    write(folder / "raw", data)
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    words = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "study.yaml"]
    try:
        done = subprocess.run(
            words, cwd=folder, timeout=WORKFLOW_S, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except subprocess.TimeoutExpired:
        found.fault(f"more than {WORKFLOW_S} s", example(config, data))
        return
    wrong = [word for word in ("Traceback", "fault of Stratagem") if word in done.stdout]
    if wrong or not re.search(": expected|cannot be used|Made:", done.stdout):
        found.fault(f"{wrong or 'no sentence'}", example(config, data) + done.stdout[-2500:])
        return
    found.ends["to its report" if done.returncode == 0 else "a sentence"] += 1
    shutil.rmtree(folder)


def main() -> None:
    """Draw, try, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="in one process (default: 10,000)")
    parser.add_argument("--workflows", type=int, default=50, help="through Snakemake (default: 50)")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_slow)
    found, start, drawn = Found(), time.monotonic(), []

    def one(config: dict, data: dict) -> None:
        if len(drawn) < chosen.workflows:  # the first are also run through Snakemake
            drawn.append((config, data))
        in_process(config, data, found)

    draws(one, max(chosen.count, 1), chosen.seed)
    found.print("in one process", time.monotonic() - start)
    by_snakemake, start = Found(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        jobs = [(Path(folder, str(n)), *study) for n, study in enumerate(drawn)]
        list(pool.map(lambda job: through_snakemake(job, by_snakemake), jobs))
    by_snakemake.print("through Snakemake", time.monotonic() - start)
    raise SystemExit(bool(found.faults or by_snakemake.faults))


def draws(one, count: int, number: int) -> None:
    """Call a function with so many drawn studies and data sets."""
    quiet = settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seed(number)(quiet(given(studies(), datasets())(one)))()


if __name__ == "__main__":
    main()
