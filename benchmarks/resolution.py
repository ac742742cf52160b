"""What each resolution plan costs and keeps, on a folder of images and masks.

    python benchmarks/resolution.py IMAGES MASKS [--classes background nucleus]

round trip: mean per-image Dice of the true mask taken through the plan and back, which no training can
pass. MB: of the shards. images/s: written by one job. batches: an epoch's at batch size 16 (mixed sizes
batch by equal size; an image cut into tiles is seen tile by tile). filled: share of the frames' pixels
that are no image.
"""

import argparse
import math
import sys
import tempfile
import time
from itertools import takewhile
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.evaluation.metrics import per_image
from stratagem.evaluation.roundtrip import round_trips
from stratagem.loading.order import Order
from stratagem.loading.shards import Shards, catalogue, write_shard
from stratagem.resolution.plans import Plan, fit_plan

STRIDE, BATCH = 16, 16
PLANS = {
    "native": {"plan": "native"},
    "resize 256x256": {"plan": "resize", "size": (256, 256)},
    "resize 256x256, masks by area": {"plan": "resize", "size": (256, 256), "mask": "area"},
    "resize 560x560": {"plan": "resize", "size": (560, 560)},
    "pad to the largest": {"plan": "pad"},
    "letterbox 256x256": {"plan": "letterbox", "size": (256, 256)},
    "bucket, 4 frames": {"plan": "bucket", "buckets": 4},
    "tile 256x256, overlap 0.25": {"plan": "tile", "size": (256, 256), "overlap": 0.25},
}


def main() -> None:
    """Print a row a plan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("masks")
    parser.add_argument("--classes", nargs="+", default=["background", "nucleus"])
    arguments = parser.parse_args()
    found = find(arguments.images, arguments.masks, "{stem}", None)
    index = build_index(found, Wanted(arguments.classes, {"encoding": "auto"})).table
    sizes = index[["height", "width"]].to_numpy()
    rows = []
    for name, options in PLANS.items():
        options = dict(options)
        plan = fit_plan(options.pop("plan"), sizes, STRIDE, **options)
        rows.append({"plan": name} | _measured(plan, index, arguments.classes))
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=("", ".4f", ".0f", ".0f", ".0f", ".0%")))


def _measured(plan: Plan, index: pd.DataFrame, classes: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.h5"
        start = time.perf_counter()
        write_shard(str(path), index, plan, classes)
        seconds = time.perf_counter() - start
        order = Order(Shards(folder, catalogue([path])).shapes, BATCH, seed=0)
        megabytes, batches = path.stat().st_size / 1e6, _batches_an_epoch(order)
    counts = round_trips(index, plan, len(classes)).assign(strategy="", fold=0, seed=0)
    windows = [w for row in index.itertuples() for w in plan.windows(row.height, row.width, row.pixel_size)]
    image, frame = (sum(math.prod(getattr(w, kind)) for w in windows) for kind in ("inner", "frame"))
    return {
        "round trip": per_image(counts, "dice")["score"].mean(),
        "MB": megabytes,
        "images/s": len(index) / seconds,
        "batches": batches,
        "filled": 1 - image / frame,
    }


def _batches_an_epoch(order: Order) -> int:
    """Counted over four epochs, since batches of one shape run over an epoch's end."""
    epochs = 4
    return round(sum(1 for _ in takewhile(lambda batch: batch.epoch < epochs, order.selections())) / epochs)


if __name__ == "__main__":
    main()
