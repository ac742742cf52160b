"""Every block of docs/extending.md runs as it stands, and what it adds works."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from repository import ROOT
from stratagem.augmentation.presets import PRESETS
from stratagem.augmentation.transforms import TRANSFORMS
from stratagem.evaluation.metrics import METRICS, score
from stratagem.networks.build import build
from stratagem.networks.table import NETWORKS
from stratagem.resolution.plans import PLANS, fit_plan
from stratagem.training.losses import LOSSES, losses
from stratagem.transfer.freezing import FREEZES

TABLES = (METRICS, PLANS, LOSSES, NETWORKS, TRANSFORMS, PRESETS, FREEZES)
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/extending.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture
def extended():
    """All tables with the rows of the page, as long as the test lasts."""
    before = [dict(table) for table in TABLES]
    for block in BLOCKS:
        exec(block, {})
    yield
    for table, rows in zip(TABLES, before, strict=True):
        table.clear()
        table.update(rows)


def test_each_kind_takes_fifteen_lines_or_fewer():
    """One function or class, one row."""
    assert len(BLOCKS) == len(TABLES)
    assert all(len([line for line in block.splitlines() if line.strip()]) <= 15 for block in BLOCKS)


def test_every_block_adds_one_row_to_its_table(extended):
    """And to no other."""
    added = [METRICS["recall"], PLANS["half"], LOSSES["brier"], NETWORKS["unet-plain"], TRANSFORMS["clip"]]
    assert all(added) and PRESETS["flat"] and FREEZES["late"]


def test_what_was_added_works(extended):
    """A score, a frame and its way back, a loss and a network."""
    counts = pd.DataFrame({"tp": [3, 0], "fp": [9, 1], "fn": [1, 0]})
    np.testing.assert_array_equal(score(counts, "recall"), [0.75, np.nan])
    plan = fit_plan("half", np.array([[10, 7]]), 4)
    (window,) = plan.windows(10, 7)
    assert (window.inner, window.frame) == ((5, 3), (8, 4))
    assert plan.inverse(torch.zeros(2, *window.frame), window).shape == (2, 10, 7)
    guess = losses(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8), "brier")
    assert guess.item() == pytest.approx(0.5)
    assert build("unet-plain", 2, width=2, depth=1, seed=0).stride == 2
