"""The network of a run: built with its first weights, loaded, and put to predict."""

import logging
from pathlib import Path

import torch
from safetensors.torch import load_file

from stratagem.core.files import write_table
from stratagem.evaluation.memory import room_for
from stratagem.evaluation.predict import Predictor
from stratagem.networks.build import build
from stratagem.networks.execution import Execution
from stratagem.runs.inputs import Inputs
from stratagem.study.declaration import Recipe
from stratagem.transfer.adoption import adopt
from stratagem.transfer.freezing import Freezing, freezing
from stratagem.transfer.weights import read_weights

__all__ = ["first_network", "load_model", "network_of", "predictor"]

log = logging.getLogger("stratagem")


def network_of(recipe: Recipe, channels: int) -> torch.nn.Module:
    """The network for images of so many channels, with the random weights that the run's seed gives."""
    return build(
        recipe.strategy.network,
        len(recipe.classes),
        width=recipe.unet.width,
        depth=recipe.unet.depth,
        seed=recipe.seed,
        channels=channels,
    )


def load_model(recipe: Recipe, channels: int, path: str, execution: Execution) -> torch.nn.Module:
    """A trained network, in evaluation mode, on its device.

    Parameters
    ----------
    recipe : Recipe
    channels : int
        Of the images.
    path : str
        Of ``model.safetensors``.
    execution : Execution
    """
    model = network_of(recipe, channels)
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
    return Predictor(model, inputs.plan, execution, room_for(model, execution, recipe.training.prediction_mb))


def first_network(recipe: Recipe, inputs: Inputs, folder: Path) -> tuple[torch.nn.Module, Freezing]:
    """The network with its first weights, and what of them is held fixed.

    Parameters
    ----------
    recipe : Recipe
    inputs : Inputs
    folder : path
        Gets ``transfer.csv`` where weights are taken.

    Raises
    ------
    WeightsError
        If the weights do not fit, or random layers would be held fixed.
    """
    model = network_of(recipe, inputs.channels)
    if inputs.weights is None:
        return model, Freezing()
    again = f"`rm -f {inputs.weights}` and start the same call again: it is made anew."
    table = adopt(model, read_weights(inputs.weights, remedy=again))
    log.info("weights: %s", ", ".join(f"{n} {fate}" for fate, n in table["fate"].value_counts().items()))
    log.info("not taken as they are:\n%s", table[table["fate"] != "taken"].to_string(index=False))
    write_table(table, folder / "transfer.csv")
    assert recipe.strategy.init is not None
    return model, freezing(model, table, **recipe.strategy.init.model_dump(exclude={"source"}))
