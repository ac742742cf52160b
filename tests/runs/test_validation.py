"""What a run looks at on the way."""

import json
import logging
from dataclasses import replace

import torch
from safetensors.torch import save_file

from running import CLASSES, CONFIG, trained
from stratagem.networks.build import build
from stratagem.networks.execution import Execution
from stratagem.runs.network import predictor
from stratagem.runs.validation import validation
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


def test_what_a_prediction_takes_is_reckoned_once_for_all_validations(inputs, monkeypatch):
    """It costs a pass of the network, and is the same each time."""
    reckoned = []

    def counted(*arguments):
        reckoned.append(arguments)
        return predictor(*arguments)

    monkeypatch.setattr("stratagem.runs.validation.predictor", counted)
    recipe = read_study(CONFIG).run("baseline", 0, 1)
    validate = validation(recipe, inputs)
    model = build("unet", 3, width=2, depth=1, seed=0).eval()
    execution = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")
    first, second = (validate(model, execution) for _ in range(2))
    assert len(reckoned) == 1 and first == second
    validate(build("unet", 3, width=2, depth=1, seed=1).eval(), execution)
    assert len(reckoned) == 2
