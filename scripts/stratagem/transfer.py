"""Weights from elsewhere: fetched, checked, fitted into a network, some of them held fixed.

Weights are read as data alone (safetensors, or `torch.load` with ``weights_only=True``): no code is
ever run from a file. What was taken, adapted or left is a table, one row a tensor.
"""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pooch
import torch
from safetensors.torch import load_file
from torch import nn

from stratagem.errors import WeightsError

__all__ = ["adopt", "fetch", "freeze", "read_weights"]

HEAD = "head."  # the last layer's tensors: always replaced, since the classes are others


def fetch(weights: str, sha256: str | None) -> dict[str, torch.Tensor]:
    """The weights in a file or at an address, checked against their digest.

    Raises
    ------
    WeightsError
        If the file is missing, cannot be had, has another digest, or holds no weights.
    """
    if not weights.startswith(("http://", "https://")):
        if sha256 is not None:
            _check_digest(Path(weights), sha256)
        return read_weights(weights)
    try:
        path = pooch.retrieve(weights, known_hash=f"sha256:{sha256}", progressbar=True)
    except ValueError as error:
        raise _unusable(weights, f"a file of SHA-256 {sha256}", "another one") from error
    except OSError as error:
        raise _unusable(weights, "an address that answers", f"none ({error})") from error
    return read_weights(path, Path(urlsplit(weights).path).suffix)


def read_weights(path: str | Path, suffix: str | None = None) -> dict[str, torch.Tensor]:
    """Tensors by name from a .safetensors, .pth or .pt file.

    Raises
    ------
    WeightsError
        If there is no such file or it holds anything but tensors by name.
    """
    if not Path(path).is_file():
        raise _unusable(path, "a weights file", "no file of that name")
    try:
        if (suffix or Path(path).suffix) == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the two parsers raise almost anything
        raise _unusable(path, "weights by name", f"a file that cannot be read as such ({error})") from error
    named = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not named or not all(torch.is_tensor(value) for value in state.values()):
        raise _unusable(path, "a state dict (tensors by name)", f"a {type(state).__name__} of others")
    return state


def adopt(model: nn.Module, state: dict[str, torch.Tensor], prefix: str = "") -> pd.DataFrame:
    """Put weights into a network: same name and shape is taken, the last layer never.

    Parameters
    ----------
    model : Module
        Changed in place.
    state : dict
        Tensors by name.
    prefix : str
        Where in the network the names begin: ``"encoder."`` for a classifier's weights.

    Returns
    -------
    DataFrame
        ``tensor, shape, fate, why``, fate being taken, left (in the file) or new (in the network).

    Raises
    ------
    WeightsError
        If a layer of the encoder is not in the weights, or has another shape there.
    """
    own = model.state_dict()
    given = {prefix + name: value for name, value in state.items()}
    rows = []
    for name in sorted(own.keys() | given.keys()):
        fate, why = _fate(name, own.get(name), given.get(name))
        shape = tuple((given if name in given else own)[name].shape)
        rows.append({"tensor": name, "shape": "x".join(map(str, shape)), "fate": fate, "why": why})
    table = pd.DataFrame(rows)
    taken = table.loc[table["fate"] == "taken", "tensor"]
    if taken.empty:
        raise _unusable("the source's weights", "tensors that fit the network", "none that do")
    missing = table.loc[
        (table["fate"] == "new") & table["tensor"].str.startswith(prefix or "encoder."), "tensor"
    ]
    if len(missing):
        raise _unusable(
            "the source's weights", "every layer of the encoder", f"none that fits `{missing.iat[0]}`"
        )
    model.load_state_dict({name: given[name] for name in taken}, strict=False)
    return table


def freeze(model: nn.Module, which: str) -> None:
    """Hold the encoder fixed (``encoder``) or nothing (``none``); no gradient is computed for it."""
    if which == "encoder":
        model.encoder.requires_grad_(False)


def _fate(name: str, own: torch.Tensor | None, given: torch.Tensor | None) -> tuple[str, str]:
    if own is None:
        return "left", "the network has no such layer"
    if given is None:
        return "new", "not in the weights"
    if name.startswith(HEAD):
        return "new", "the last layer is replaced"
    if own.shape != given.shape:
        return "new", f"the weights have shape {'x'.join(map(str, given.shape))}"
    return "taken", "same name and shape"


def _check_digest(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise _unusable(path, "a weights file", "no file of that name")
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise _unusable(path, f"a file of SHA-256 {sha256}", f"one of {found}")


def _unusable(where: str | Path, expected: str, found: str) -> WeightsError:
    return WeightsError(
        expected=expected,
        found=found,
        where=str(where),
        remedy="Correct `weights` or `sha256` under `sources`.",
    )
