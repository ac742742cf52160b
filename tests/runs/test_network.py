"""A run's network is built, stored and loaded."""

import torch
from safetensors.torch import load_file

from running import recipe_of, trained
from stratagem.networks.execution import choose
from stratagem.runs.network import load_model


def test_stored_weights_load_into_the_same_network(inputs, tmp_path):
    """A stored model gives, in evaluation mode, the logits of its tensors."""
    trained(recipe_of("baseline"), inputs, tmp_path / "run")
    path = tmp_path / "run" / "model.safetensors"
    model = load_model(recipe_of("baseline"), 3, str(path), choose("cpu", 1))
    assert not model.training
    stored = load_file(path)
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
