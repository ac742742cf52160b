"""The network of a run: built, loaded, and put to predict."""

import torch
from safetensors.torch import load_file

from stratagem.evaluation.memory import room_for
from stratagem.evaluation.predict import Predictor
from stratagem.networks.build import build
from stratagem.networks.execution import Execution
from stratagem.runs.inputs import Inputs
from stratagem.study.declaration import Recipe

__all__ = ["load_model", "network_of", "predictor"]


def network_of(recipe: Recipe) -> torch.nn.Module:
    """The network with the random weights that the run's seed gives."""
    return build(
        recipe.strategy.network,
        len(recipe.classes),
        width=recipe.unet.width,
        depth=recipe.unet.depth,
        seed=recipe.seed,
    )


def load_model(recipe: Recipe, path: str, execution: Execution) -> torch.nn.Module:
    """A trained network, in evaluation mode, on its device.

    Parameters
    ----------
    recipe : Recipe
    path : str
        Of ``model.safetensors``.
    execution : Execution
    """
    model = network_of(recipe)
    model.load_state_dict(load_file(path))
    return execution.place(model).eval()


def predictor(model: torch.nn.Module, recipe: Recipe, inputs: Inputs, execution: Execution) -> Predictor:
    """What predicts masks with the run's network, within the memory that the study states.

    Parameters
    ----------
    model : Module
        In evaluation mode, on its device.
    recipe : Recipe
    inputs : Inputs
    execution : Execution
    """
    return Predictor(model, inputs.plan, execution, room_for(model, execution, recipe.training.memory_mb))
