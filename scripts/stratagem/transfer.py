"""Weights from elsewhere: fetched, checked, fitted into a network, some of them held fixed.

Weights are read as data alone (safetensors, or `torch.load` with ``weights_only=True``): no code is
ever run from a file. What was taken, adapted or left is a table, one row a tensor. What learns from when on,
and how fast, is a function of the share of the budget, so that a run that was killed finds it again.
"""

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pooch
import torch
from safetensors.torch import load_file
from torch import nn

from stratagem.encoder import scaling_of
from stratagem.errors import WeightsError
from stratagem.study import Init, is_address, is_published

__all__ = ["Freezing", "adopt", "fetch", "freezing", "read_weights"]

HEAD = "head."  # the last layer's tensors: always replaced, since the classes are others
ENCODER = "encoder."
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # as its published weights have it
COUNTER = ".num_batches_tracked"  # which weights of before 2018 lack, and stored statistics do without
NEVER = math.inf  # the share of a budget at which a frozen layer opens
CORRECT = "Correct `weights`, `sha256` or `network` under `sources`."


def fetch(weights: str, sha256: str | None, network: str) -> dict[str, torch.Tensor]:
    """The weights of a name, in a file or at an address, checked against their digest.

    What is fetched is kept: a name's file in torch's own cache, where a user may also put it, an address's in
    pooch's.

    Parameters
    ----------
    weights : str
        A name that torchvision gives to weights of the network, such as ``DEFAULT``; a file; or an address.
    sha256 : str or None
        Of a file or an address. The files of names have a part of it in their own.
    network : str
        What the weights belong to.

    Raises
    ------
    WeightsError
        If there is no such name or file, it cannot be had, has another digest, or holds no weights.
    """
    if is_published(weights):
        return read_weights(_published(weights, network))
    if not is_address(weights):
        if sha256 is not None:
            _check_digest(Path(weights), sha256, CORRECT)
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
        raise _unusable("the source's weights", "tensors that fit the network", "none that do")
    needed = table["tensor"].str.startswith(ENCODER) & ~table["tensor"].str.endswith(COUNTER)
    missing = table.loc[(table["fate"] == "new") & needed]
    if len(missing):
        row = missing.iloc[0]
        raise _unusable(
            "the source's weights", "every layer of the encoder", f"`{row['tensor']}` not: {row['why']}"
        )
    model.load_state_dict(fitting, strict=False)
    return table


@dataclass(frozen=True)
class Freezing:
    """From when on each parameter of a network learns, and how fast.

    What does not learn takes no gradient, has no moments in the optimizer, and no way back leads through
    the layers before the first that does.

    Attributes
    ----------
    opens : dict of float
        The share of the budget from which a parameter learns, by name; those not named learn from the start.
    rates : dict of float
        What the learning rate is multiplied with, by name; of those not named 1.
    """

    opens: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    def apply(self, model: nn.Module, share: float) -> None:
        """Make learn what does at a share of the budget, and nothing else."""
        for name, parameter in model.named_parameters() if self.opens else ():
            parameter.requires_grad_(share >= self.opens.get(name, 0.0))

    def groups(self, model: nn.Module) -> list[dict]:
        """The parameters that ever learn, for an optimizer, by the ``factor`` of their rate."""
        found: dict[float, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if self.opens.get(name, 0.0) < NEVER:
                found.setdefault(self.rates.get(name, 1.0), []).append(parameter)
        return [{"params": parameters, "factor": factor} for factor, parameters in found.items()]


def freezing(model: nn.Module, table: pd.DataFrame, init: Init) -> Freezing:
    """What of a network is held fixed, and until when.

    Parameters
    ----------
    model : Module
    table : DataFrame
        What `adopt` took.
    init : Init
        ``freeze``: none, encoder, all-but-last; or gradual, by which layers open one after the other, from
        the logits back to the image, at equal shares up to ``thaw``. ``rate`` is for all that was taken.

    Raises
    ------
    WeightsError
        If layers would be held fixed that have random weights.

    Notes
    -----
    Gradual unfreezing and smaller rates for what was taken: Howard, Ruder 2018 (arXiv:1801.06146).
    """
    taken = set(table.loc[table["fate"].isin(("taken", "adapted")), "tensor"])
    layers = model.layers()
    names = [name for layer in layers for name in layer]
    if init.freeze == "gradual":
        opens = _one_after_the_other(layers, taken, init.thaw)
    else:
        fixed = {
            "none": [],
            "encoder": [name for name in names if name.startswith(ENCODER)],
            "all-but-last": [name for name in names if not name.startswith(HEAD)],
        }
        opens = dict.fromkeys(fixed[init.freeze], NEVER)
    random = sorted(opens.keys() - taken)
    if random:
        raise WeightsError(
            expected="weights for all that is held fixed",
            found=f"none for `{random[0]}`, which is new",
            where=f"init: {{freeze: {init.freeze}}}",
            remedy="Freeze the encoder alone, or take the weights of a whole network.",
        )
    return Freezing(opens, {name: init.rate for name in names if name in taken and init.rate != 1})


def _one_after_the_other(layers: list[list[str]], taken: set[str], thaw: float) -> dict[str, float]:
    """When each parameter opens: new layers at once, those taken from the last to the first."""
    old = [layer for layer in layers if not taken.isdisjoint(layer)]
    return {
        name: thaw * (len(old) - place) / len(old)
        for place, layer in enumerate(old)
        for name in layer
        if name in taken
    }


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


def _published(name: str, network: str) -> Path:
    """The file of weights that torchvision gives a name to, in torch's cache; fetched if it is not there."""
    from torchvision.models import get_model_weights  # takes as long as torch's own import

    known = get_model_weights(network).__members__
    if name not in known:
        raise _unusable(name, f"weights of {network}: {', '.join(known)}", "no such name")
    if scaling_of(known[name]) != scaling_of(known["DEFAULT"]):
        raise _unusable(name, f"weights for images scaled as those of {network}'s DEFAULT", "others")
    url = known[name].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    digest = torch.hub.HASH_REGEX.search(path.name)[1]
    if path.is_file():
        _check_digest(path, digest, "Remove this file: it is then fetched anew.")
    else:
        _download(url, path, digest)
    return path


def _download(url: str, path: Path, digest: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), digest)
    except RuntimeError as error:  # nothing is left of the file
        raise _unusable(url, f"a file of SHA-256 that begins with {digest}", "another one") from error
    except OSError as error:
        raise WeightsError(
            expected=f"the weights in {path}, or a network to fetch them by",
            found=f"neither ({error})",
            where=url,
            remedy=f"Download that address on another machine and put the file at {path}.",
        ) from error


def _check_digest(path: Path, sha256: str, remedy: str) -> None:
    """Hold a file against its digest, or the beginning of one."""
    if not path.is_file():
        raise _unusable(path, "a weights file", "no file of that name")
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256):
        begins = "" if len(sha256) == len(found) else "that begins with "
        raise _unusable(path, f"a file of SHA-256 {begins}{sha256}", f"one of {found}", remedy)


def _unusable(where: str | Path, expected: str, found: str, remedy: str = CORRECT) -> WeightsError:
    return WeightsError(expected=expected, found=found, where=str(where), remedy=remedy)
