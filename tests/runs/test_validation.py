"""What a run looks at on the way."""

import json
import logging
from dataclasses import replace

import torch
from safetensors.torch import save_file

from running import CLASSES, CONFIG, trained
from stratagem.networks.build import build
from stratagem.study.reading import read_study


def test_a_network_that_predicts_one_class_alone_is_named(inputs, tmp_path, caplog):
    """Weights of nothing leave the last bias to decide: the log has that class, and the shares of all."""
    strategies = CONFIG["strategies"] | {"still": CONFIG["strategies"]["taught"] | {"learning_rate": 1e-12}}
    recipe = read_study(CONFIG | {"strategies": strategies}).run("still", 0, 1)
    nothing = {
        name: torch.zeros_like(value)
        for name, value in build("unet", 3, width=2, depth=1, seed=0).state_dict().items()
    }
    save_file(nothing, tmp_path / "nothing.safetensors")
    with caplog.at_level(logging.WARNING, "stratagem"):
        trained(recipe, replace(inputs, weights=str(tmp_path / "nothing.safetensors")), tmp_path / "run")
    alone = json.loads((tmp_path / "run" / "cost.json").read_text())["constant"]
    assert alone in CLASSES
    assert f"predicts `{alone}` alone, where the truth is background " in caplog.text
