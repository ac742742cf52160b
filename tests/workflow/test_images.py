"""Images of other kinds than three channels of 8 bits run to the report."""

import json

import numpy as np
import pandas as pd
import tifffile
from PIL import Image


def test_a_study_of_five_channels_runs_to_its_report(clone):
    """16-bit TIFFs with named channels, a synthetic strategy, one on a classifier; the pages show them."""
    raw = clone.folder / "raw"
    for folder in ("images", "masks"):
        (raw / folder).mkdir(parents=True)
    for number in range(8):
        rng = np.random.default_rng(number)
        mask = np.kron(rng.integers(0, 2, (4, 4)), np.ones((8, 8))).astype(np.uint8)
        mask[:8, :8] = 1
        image = rng.integers(0, 2000, (5, 32, 32)) + 500 * mask.astype(int) * np.arange(5)[:, None, None]
        axes = {"axes": "CYX"}
        tifffile.imwrite(raw / f"images/{number}.tif", image.astype(np.uint16), metadata=axes)
        Image.fromarray(mask).save(raw / f"masks/{number}.png")
    clone.study(
        images="raw/images",
        masks="raw/masks",
        labels="indices",
        channels={"dapi": 0, "actin": 1, "golgi": 4, "mito": 3, "er": 2},
        split={"test": 0.25, "validation": 0.25},
        seeds=[1],
        augmentations={"some": {"rotation": 30, "channel_noise": 0.1, "channel_dropout": 0.2, "variants": 2}},
        sources={},
        strategies={
            "baseline": {"resolution": "native"},
            "augment": {"resolution": "resize", "augmentation": "some"},
            "deep": {"resolution": "native", "network": "shufflenet_v2_x0_5"},
        },
    )
    said = clone.snakemake("all", "data", "audit")
    assert said.returncode == 0, said.stdout
    results = clone.folder / "results/tiny"
    assert pd.read_parquet(results / "index.parquet")["channels"].tolist() == [5] * 8
    cost = json.loads((results / "runs/augment/fold0/seed1/cost.json").read_text())
    assert cost["channels"] == 5
    told = (results / "data/report.html").read_text()
    assert "0 (dapi), 1 (actin), 4 (golgi), 3 (mito), 2 (er)" in told and "channel by channel" in told
    costs = pd.read_csv(results / "report/tables/costs.csv").set_index("strategy")
    assert costs["multiply_adds"].notna().all()
