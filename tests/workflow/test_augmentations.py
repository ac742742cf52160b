"""What a user asks for by name about augmentations: the audit's page, and synthetic images."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.data.rows import load
from stratagem.data.split import select

pytestmark = pytest.mark.xdist_group("workflow")
RUN = "results/tiny/runs/augment/fold0/seed1"


def test_the_audit_is_a_page_before_any_training(finished):
    """`snakemake audit` trains nothing and writes a page of what each transform does, with pictures."""
    assert set(finished.planned("audit")) == {"audit_augmentation", "audit"}
    said = finished.snakemake("audit")
    assert said.returncode == 0, said.stdout
    page = (finished.folder / "results/tiny/audit/report.html").read_text(encoding="utf-8")
    assert "flip horizontal" in page and "<svg" in page
    assert finished.planned() == {}


def test_a_synthetic_image_is_made_again_by_name(finished):
    """I name a run, a training image and a variant: image and mask come as pictures, as the run saw them."""
    results = finished.folder / "results/tiny"
    splits = pd.read_parquet(results / "splits.parquet")
    shards = pd.read_parquet(results / "resolutions/resize/shards.parquet")
    train = set(splits.loc[splits["part"] == "train", "sample"])
    index = load(results / "index.parquet")
    shown = select(
        index[index["sample"].isin(train)], finished.strategies["augment"]["loader"]["fraction"], 1
    )
    said = finished.snakemake(f"{RUN}/synthetic/{min(train - set(shown))}.window0.variant1.png")
    assert "is none of its training images" in said.stdout and "Traceback" not in said.stdout
    name = f"{RUN}/synthetic/{shown[0]}.window0.variant1"
    said = finished.snakemake(f"{name}.png")
    assert said.returncode == 0, said.stdout
    image, mask = (np.asarray(Image.open(finished.folder / f"{name}{end}")) for end in (".png", ".mask.png"))
    assert image.shape == (*mask.shape, 3) == (*shards[["height", "width"]].iloc[0], 3)
    assert set(np.unique(mask)) <= {0, 1, 255}


def test_a_strategy_without_augmentation_has_no_synthetic_images(finished):
    """Asked of such a strategy, the answer is a sentence."""
    said = finished.snakemake("results/tiny/runs/baseline/fold0/seed1/synthetic/a.window0.variant0.png")
    assert said.returncode != 0
    assert "strategies.baseline: without `augmentation` it is shown no synthetic image" in said.stdout
    assert "Traceback" not in said.stdout


def test_an_augmentation_that_would_lie_stops_before_any_job(clone):
    """I declare that my cells have an up, and turn them upside down: the sentence names the line."""
    clone.study(upright=["cell"], augmentations={"flips": {"preset": "aerial"}})
    said = clone.snakemake("--dry-run")
    assert said.returncode != 0
    assert "augmentations.flips.flip_vertical: class `cell` is upright" in said.stdout
    assert "set `flip_vertical: off`" in said.stdout
    assert "Traceback" not in said.stdout
