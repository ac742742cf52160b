"""Weights are read from files, addresses and names, checked, as data alone."""

import hashlib
import http.server
import os
import pickle
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torchvision.models import get_model_weights

from stratagem.core.errors import WeightsError
from stratagem.transfer.weights import fetch, read_weights

torch.set_num_threads(1)  # networks this small gain nothing from more


STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


class Harm:
    """An object whose pickle runs code where it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(params=[".safetensors", ".pth", ".pt"])
def file(request, tmp_path):
    """Good weights in each kind of file."""
    path = tmp_path / f"weights{request.param}"
    save_file(STATE, path) if request.param == ".safetensors" else torch.save(STATE, path)
    return path


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The address of a server of the files in tmp_path/www; what is fetched is kept in tmp_path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}", folder
        served.shutdown()
        thread.join()


def _digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _same(state: dict) -> bool:
    return state.keys() == STATE.keys() and all(torch.equal(state[name], STATE[name]) for name in STATE)


def test_weights_are_read_as_they_were_written(file):
    """A .safetensors, .pth or .pt file gives its tensors by name."""
    assert _same(read_weights(file))
    assert _same(fetch(str(file), None, "unet"))
    assert _same(fetch(str(file), _digest(file), "unet"))


def test_a_file_of_another_digest_is_refused(file):
    """I am told the digest that was promised, the one that is there, and which key to correct."""
    with pytest.raises(WeightsError, match=f"SHA-256 {'0' * 64}.*{_digest(file)}.*`sha256`"):
        fetch(str(file), "0" * 64, "unet")


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_file_that_is_not_there_is_refused(tmp_path, sha256):
    """I am told its path and which key to correct."""
    with pytest.raises(WeightsError, match=r"none\.pth: .*no file of that name.*`weights`"):
        fetch(str(tmp_path / "none.pth"), sha256, "unet")


def test_code_in_a_weights_file_is_never_run(tmp_path):
    """A pickle that would run a command is refused before it does."""
    for number, harm in enumerate(({"a": Harm(tmp_path / "harm")}, Harm(tmp_path / "harm"))):
        path = tmp_path / f"{number}.pth"
        torch.save(harm, path)
        with pytest.raises(WeightsError, match=rf"{number}\.pth: expected weights by name"):
            read_weights(path)
        path.write_bytes(pickle.dumps(harm, protocol=2))
        with pytest.raises(WeightsError, match="cannot be read"):
            read_weights(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "content",
    [torch.ones(2), [torch.ones(2)], {"a": 1}, {"state_dict": STATE}, {1: torch.ones(2)}],
    ids=["tensor", "list", "number", "nested", "number-as-name"],
)
def test_anything_but_tensors_by_name_is_refused(content, tmp_path):
    """A checkpoint that holds more than a state dict is refused by a sentence."""
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: expected a state dict"):
        read_weights(tmp_path / "a.pth")


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@given(content=st.binary(max_size=40))
def test_no_bytes_crash_the_reader(tmp_path_factory, ending, content):
    """Whatever a file holds, it is read or refused by a sentence."""
    path = tmp_path_factory.mktemp("bytes") / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        read_weights(path)


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_file_that_ends_early_is_refused(file, kept):
    """An interrupted download is told as such a file."""
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(file)


def test_weights_come_from_an_address_once(server, file):
    """Weights at an address are fetched, checked, and kept for the next run."""
    address, folder = server
    there = folder / file.name
    there.write_bytes(file.read_bytes())
    assert _same(fetch(f"{address}/{file.name}", _digest(file), "unet"))
    there.unlink()
    assert _same(fetch(f"{address}/{file.name}", _digest(file), "unet"))


def test_an_address_with_a_query_is_one(server, file):
    """`?download=true` behind the name does not hide what kind of file it is."""
    address, folder = server
    (folder / file.name).write_bytes(file.read_bytes())
    assert _same(fetch(f"{address}/{file.name}?download=true", _digest(file), "unet"))


def test_an_address_with_another_file_is_refused(server, file):
    """Other bytes than promised are never used."""
    address, folder = server
    (folder / file.name).write_bytes(file.read_bytes())
    expected = f"a file of SHA-256 {'0' * 64}, but found one of {_digest(file)}"
    with pytest.raises(WeightsError, match=f"{file.name}: expected {expected}.*`sha256`"):
        fetch(f"{address}/{file.name}", "0" * 64, "unet")


def test_an_address_without_the_file_is_refused(server):
    """A missing page is told as an address that does not answer."""
    with pytest.raises(WeightsError, match=r"a\.pth: expected an address that answers.*404"):
        fetch(f"{server[0]}/a.pth", "0" * 64, "unet")


def test_an_address_where_nobody_answers_is_refused(server):
    """No connection is told as such."""
    with pytest.raises(WeightsError, match=r"expected an address that answers.* prefetch"):
        fetch("http://127.0.0.1:9/a.pth", "0" * 64, "unet")


@pytest.fixture
def cache(server, tmp_path, monkeypatch):
    """An empty cache of torch's, and weights of a small ResNet-18 that its name stands for, at the server."""
    address, folder = server
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    path = folder / "resnet18.pth"
    torch.save(STATE, path)
    named = path.rename(folder / f"resnet18-{_digest(path)[:8]}.pth")
    weights = get_model_weights("resnet18").DEFAULT.value
    monkeypatch.setattr(weights, "url", f"{address}/{named.name}")
    return tmp_path / "torch" / "hub" / "checkpoints" / named.name, named


def test_weights_of_a_name_are_fetched_once(cache):
    """They come into torch's own cache, and from there the next time."""
    kept, there = cache
    assert _same(fetch("DEFAULT", None, "resnet18"))
    assert kept.read_bytes() == there.read_bytes()
    there.unlink()
    assert _same(fetch("IMAGENET1K_V1", None, "resnet18"))


def test_weights_of_a_name_that_were_put_into_the_cache_are_not_fetched(cache):
    """On a machine without network I put the file where I am told to."""
    kept, there = cache
    kept.parent.mkdir(parents=True)
    there.rename(kept)
    assert _same(fetch("DEFAULT", None, "resnet18"))


def test_without_network_and_cache_i_am_told_which_file_to_put_where(cache):
    """One sentence: the address, and the path in the cache."""
    kept, there = cache
    there.unlink()
    with pytest.raises(WeightsError) as caught:
        fetch("DEFAULT", None, "resnet18")
    said = str(caught.value)
    assert f"download that address elsewhere and put the file at {kept} (TORCH_HOME" in said
    assert "`snakemake --cores 1 prefetch`" in said
    assert f"/{there.name}: expected the weights in {kept}, or a network" in said
    assert "\n" not in said
    assert list(kept.parent.iterdir()) == []


def test_another_file_than_the_name_s_is_refused(cache):
    """Neither fetched nor from the cache is a file used whose digest is not the one in its name."""
    kept, there = cache
    good = there.read_bytes()
    there.write_bytes(good + b"x")
    with pytest.raises(WeightsError, match=f"that begins with .*, but found one of {_digest(there)}"):
        fetch("DEFAULT", None, "resnet18")
    assert list(kept.parent.iterdir()) == []
    kept.write_bytes(good[:-1])
    with pytest.raises(WeightsError, match="begins with .*Remove this file: it is then fetched anew"):
        fetch("DEFAULT", None, "resnet18")


def test_a_name_that_is_none_is_refused_with_those_that_are():
    """I am told the names of the network's weights."""
    with pytest.raises(
        WeightsError, match=r"IMAGENET21K: expected weights of resnet50: IMAGENET1K_V1, .*no such"
    ):
        fetch("IMAGENET21K", None, "resnet50")


def test_weights_for_images_scaled_otherwise_are_refused():
    """VGG16 has weights for images of another scale: the network's own would be wrong for them."""
    with pytest.raises(WeightsError, match="IMAGENET1K_FEATURES: expected weights for images scaled as"):
        fetch("IMAGENET1K_FEATURES", None, "vgg16")
