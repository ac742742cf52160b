"""What a run has cost is recorded."""

import json

from safetensors.torch import load_file

from running import recipe_of, trained
from stratagem.study.declaration import Recipe


def test_the_cost_holds_the_recipe_and_what_was_spent(inputs, tmp_path):
    """cost.json tells all that fixed the run, what it used, how it was computed and by which code."""
    recipe = recipe_of("baseline")
    trained(recipe, inputs, tmp_path / "run")
    cost = json.loads((tmp_path / "run" / "cost.json").read_text())
    assert Recipe(**cost["recipe"]) == recipe
    assert [cost[key] for key in ("strategy", "fold", "seed")] == ["baseline", 0, 1]
    assert cost["source"] == "0123456789ab"
    assert cost["images"] == 6
    assert cost["train_images"] == len(inputs.of_part("train", 0))
    model = load_file(tmp_path / "run" / "model.safetensors")
    assert cost["parameters"] == cost["trainable"] == sum(value.numel() for value in model.values())
    assert cost["execution"]["device"] == "cpu" and cost["execution"]["why"]
    for name in ("cpu_s", "training_s", "images_per_s", "peak_memory_mb", "mapped_mb", "loader_mb"):
        assert cost[name] > 0
    assert 0 <= cost["waiting_s"] <= cost["training_s"]
    assert 0 < cost["reading_s"] <= cost["making_s"] and 0.5 < cost["reading_share"] <= 1
    assert cost["loader_images_per_s"] > 0 and cost["loader_mb_per_s"] > 0 and cost["mixing"] == 1
