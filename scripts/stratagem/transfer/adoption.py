"""Weights fitted into a network: which of its tensors take them, adapt them or stay as they were.

What was taken, adapted or left is a table, one row a tensor, since a name that fits nothing would otherwise
leave a random layer unseen.
"""

import re

import pandas as pd
import torch
from torch import nn

from stratagem.transfer.freezing import ENCODER, HEAD
from stratagem.transfer.weights import unusable

__all__ = ["adopt"]

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # as its published weights have it
COUNTER = ".num_batches_tracked"  # which weights of before 2018 lack, and stored statistics do without


def adopt(model: nn.Module, state: dict[str, torch.Tensor]) -> pd.DataFrame:
    """Put weights into a network: of a whole one, or of the classifier that is its encoder.

    What has the same name and shape is taken, the last layer never. The first layer is adapted where the
    images have other channels.

    Parameters
    ----------
    model : Module
        Changed in place.
    state : dict
        Tensors by name; a whole network's have names that begin with ``encoder.``.

    Returns
    -------
    DataFrame
        ``tensor, shape, fate, why``, fate being taken, adapted, left (in the file) or new (in the network).

    Raises
    ------
    WeightsError
        If a layer of the encoder is not in the weights, or has another shape there.
    """
    own, first = model.state_dict(), _first_layer(model)
    prefix = "" if any(name.startswith(ENCODER) for name in state) else ENCODER
    given = {prefix + OLD_DENSENET.sub(r"\1\2", name): value for name, value in state.items()}
    rows, fitting = [], {}
    for name in sorted(own.keys() | given.keys()):
        fate, why = _fate(name, own.get(name), given.get(name), first)
        shape = tuple((given if name in given else own)[name].shape)
        rows.append({"tensor": name, "shape": _sides(shape), "fate": fate, "why": why})
        if fate in ("taken", "adapted"):
            fitting[name] = given[name] if fate == "taken" else _of_channels(given[name], own[name].shape[1])
    table = pd.DataFrame(rows)
    if not fitting:
        raise unusable("the source's weights", "tensors that fit the network", "none that do")
    needed = table["tensor"].str.startswith(ENCODER) & ~table["tensor"].str.endswith(COUNTER)
    missing = table.loc[(table["fate"] == "new") & needed]
    if len(missing):
        row = missing.iloc[0]
        raise unusable(
            "the source's weights", "every layer of the encoder", f"`{row['tensor']}` not: {row['why']}"
        )
    model.load_state_dict(fitting, strict=False)
    return table


def _fate(name: str, own: torch.Tensor | None, given: torch.Tensor | None, first: str) -> tuple[str, str]:
    if own is None:
        return "left", "the network has no such layer"
    if given is None:
        return "new", "not in the weights"
    if name.startswith(HEAD):
        return "new", "the last layer is replaced"
    if own.shape == given.shape:
        return "taken", "same name and shape"
    if name == first and own.dim() == given.dim() and _but_channels(own) == _but_channels(given):
        return "adapted", f"from {given.shape[1]} channels to {own.shape[1]}"
    return "new", f"{_sides(own.shape)} here, {_sides(given.shape)} in the weights"


def _first_layer(model: nn.Module) -> str:
    """The name of the weights that see the image."""
    found = (f"{name}.weight" for name, part in model.named_modules() if isinstance(part, nn.Conv2d))
    return next(found, "")


def _but_channels(weight: torch.Tensor) -> tuple[int, ...]:
    return (weight.shape[0], *weight.shape[2:])


def _of_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """A first layer's weights for images of other channels: the same answer where all channels are alike.

    Channels take turns: where there are more, each of the old is divided among those that it becomes; where
    there are fewer, each of the new is the sum of those that it was.
    """
    before = weight.shape[1]
    if channels < before:
        return torch.stack([weight[:, number::channels].sum(dim=1) for number in range(channels)], dim=1)
    turns = torch.arange(channels) % before
    return weight[:, turns] / turns.bincount()[turns].view(1, -1, 1, 1)


def _sides(shape) -> str:
    return "x".join(map(str, shape))
