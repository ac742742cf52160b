"""Weights by name from a file, an address or torchvision, checked against their digest.

They are read as data alone (safetensors, or `torch.load` with ``weights_only=True``): no code is ever run
from a file.
"""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import torch
from safetensors.torch import load_file

from stratagem.core.errors import WeightsError
from stratagem.networks.encoder import scaling_of
from stratagem.transfer.origin import is_address, is_published

__all__ = ["fetch", "read_weights", "unusable"]

PREFETCH = "`snakemake --cores 1 prefetch` (and your --configfile)"
FOUND = re.compile(r"got \"?([0-9a-f]{8,})")  # in what pooch and torch say of another digest
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
        raise _another(weights, f"a file of SHA-256 {sha256}", error) from error
    except OSError as error:
        remedy = f"Correct `weights`; or where this machine has no internet, run {PREFETCH} on one that has."
        raise unusable(weights, "an address that answers", f"none ({error})", remedy) from error
    return read_weights(path, Path(urlsplit(weights).path).suffix)


def read_weights(
    path: str | Path, suffix: str | None = None, remedy: str = CORRECT
) -> dict[str, torch.Tensor]:
    """Tensors by name from a .safetensors, .pth or .pt file.

    Parameters
    ----------
    path : path
    suffix : str, optional
        Where the file's own name has none.
    remedy : str, optional
        What to do about a file that cannot be read; by default of one that a user named.

    Raises
    ------
    WeightsError
        If there is no such file or it holds anything but tensors by name.
    """
    if not Path(path).is_file():
        raise unusable(path, "a weights file", "no file of that name")
    try:
        if (suffix or Path(path).suffix) == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the two parsers raise almost anything
        raise unusable(
            path, "weights by name", f"a file that cannot be read as such ({error})", remedy
        ) from error
    named = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not named or not all(torch.is_tensor(value) for value in state.values()):
        raise unusable(path, "a state dict (tensors by name)", f"a {type(state).__name__} of others")
    return state


def _published(name: str, network: str) -> Path:
    """The file of weights that torchvision gives a name to, in torch's cache; fetched if it is not there."""
    from torchvision.models import get_model_weights  # takes as long as torch's own import

    known = get_model_weights(network).__members__
    if name not in known:
        raise unusable(name, f"weights of {network}: {', '.join(known)}", "no such name")
    if scaling_of(known[name]) != scaling_of(known["DEFAULT"]):
        raise unusable(name, f"weights for images scaled as those of {network}'s DEFAULT", "others")
    url = known[name].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    named = torch.hub.HASH_REGEX.search(path.name)
    assert named is not None  # as all of torchvision's files are by their digest
    digest = named[1]
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
        raise _another(url, f"a file of SHA-256 that begins with {digest}", error) from error
    except OSError as error:
        raise WeightsError(
            expected=f"the weights in {path}, or a network to fetch them by",
            found=f"neither ({error})",
            where=url,
            remedy=f"Run {PREFETCH} on a machine that has internet and shares this folder; or download that "
            f"address elsewhere and put the file at {path} (TORCH_HOME moves that cache to another disk).",
        ) from error


def _check_digest(path: Path, sha256: str, remedy: str) -> None:
    """Hold a file against its digest, or the beginning of one."""
    if not path.is_file():
        raise unusable(path, "a weights file", "no file of that name")
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256):
        begins = "" if len(sha256) == len(found) else "that begins with "
        raise unusable(path, f"a file of SHA-256 {begins}{sha256}", f"one of {found}", remedy)


def _another(where: str, expected: str, error: Exception) -> WeightsError:
    """The error of a file that was fetched and is another one, with its digest."""
    found = FOUND.search(str(error))
    remedy = "If that is the file you mean, set `sha256` to it; else correct `weights`."
    return unusable(where, expected, f"one of {found[1]}" if found else "another one", remedy)


def unusable(where: str | Path, expected: str, found: str, remedy: str = CORRECT) -> WeightsError:
    """The error of weights that cannot be used, with its cure."""
    return WeightsError(expected=expected, found=found, where=str(where), remedy=remedy)
