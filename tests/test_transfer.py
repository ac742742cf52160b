"""Weights from elsewhere: checked, taken, adapted, left, and held fixed."""

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
from torch import nn
from torchvision.models import resnet18

from stratagem.errors import WeightsError
from stratagem.transfer import adopt, fetch, freeze, read_weights
from stratagem.unet import build

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
    assert _same(fetch(str(file), None))
    assert _same(fetch(str(file), _digest(file)))


def test_a_file_of_another_digest_is_refused(file):
    """I am told the digest that was promised, the one that is there, and which key to correct."""
    with pytest.raises(WeightsError, match=f"SHA-256 {'0' * 64}.*{_digest(file)}.*`sha256`"):
        fetch(str(file), "0" * 64)


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_file_that_is_not_there_is_refused(tmp_path, sha256):
    """I am told its path and which key to correct."""
    with pytest.raises(WeightsError, match=r"none\.pth: .*no file of that name.*`weights`"):
        fetch(str(tmp_path / "none.pth"), sha256)


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
    assert _same(fetch(f"{address}/{file.name}", _digest(file)))
    there.unlink()
    assert _same(fetch(f"{address}/{file.name}", _digest(file)))


def test_an_address_with_a_query_is_one(server, file):
    """`?download=true` behind the name does not hide what kind of file it is."""
    address, folder = server
    (folder / file.name).write_bytes(file.read_bytes())
    assert _same(fetch(f"{address}/{file.name}?download=true", _digest(file)))


def test_an_address_with_another_file_is_refused(server, file):
    """Other bytes than promised are never used."""
    address, folder = server
    (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(WeightsError, match=f"{file.name}: expected a file of SHA-256 {'0' * 64}.*`sha256`"):
        fetch(f"{address}/{file.name}", "0" * 64)


def test_an_address_without_the_file_is_refused(server):
    """A missing page is told as an address that does not answer."""
    with pytest.raises(WeightsError, match=r"a\.pth: expected an address that answers.*404"):
        fetch(f"{server[0]}/a.pth", "0" * 64)


def test_an_address_where_nobody_answers_is_refused(server):
    """No connection is told as such."""
    with pytest.raises(WeightsError, match=r"expected an address that answers"):
        fetch("http://127.0.0.1:9/a.pth", "0" * 64)


def _model() -> nn.Module:
    return nn.ModuleDict({"a": nn.Linear(3, 2), "b": nn.Linear(2, 2), "head": nn.Linear(2, 2)})


def test_each_tensor_has_its_fate_and_reason():
    """I see what was taken, what is new and what was left, tensor by tensor."""
    state = {
        "a.weight": torch.ones(2, 3),
        "a.bias": torch.ones(5),
        "head.weight": torch.ones(2, 2),
        "fc.weight": torch.ones(7, 2),
    }
    table = adopt(_model(), state)
    assert list(table.columns) == ["tensor", "shape", "fate", "why"]
    assert table.values.tolist() == [
        ["a.bias", "5", "new", "the weights have shape 5"],
        ["a.weight", "2x3", "taken", "same name and shape"],
        ["b.bias", "2", "new", "not in the weights"],
        ["b.weight", "2x2", "new", "not in the weights"],
        ["fc.weight", "7x2", "left", "the network has no such layer"],
        ["head.bias", "2", "new", "not in the weights"],
        ["head.weight", "2x2", "new", "the last layer is replaced"],
    ]


def test_what_is_taken_is_taken_exactly_and_the_rest_stays():
    """The network holds the weights' values where they fit and its own elsewhere."""
    model = _model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adopt(model, STATE | {"head.weight": torch.zeros(2, 2)})
    for name, value in model.state_dict().items():
        assert torch.equal(value, STATE.get(name, before[name]))


def test_the_head_is_always_new():
    """A network's own weights put into it again leave its last layer alone."""
    model = build("unet", 2, width=2, depth=1, seed=0)
    table = adopt(model, build("unet", 2, width=2, depth=1, seed=1).state_dict())
    new = set(table.loc[table["fate"] == "new", "tensor"])
    assert new == {"head.weight", "head.bias"}
    kept = build("unet", 2, width=2, depth=1, seed=0).head
    assert torch.equal(model.head.weight, kept.weight)


def test_a_prefix_says_where_the_names_begin():
    """A classifier's names are found below `encoder.`."""
    model = nn.ModuleDict({"encoder": nn.ModuleDict({"a": nn.Linear(3, 2)})})
    table = adopt(model, STATE, "encoder.")
    assert set(table["fate"]) == {"taken"}
    assert torch.equal(model["encoder"]["a"].weight, STATE["a.weight"])


@pytest.mark.parametrize(
    "state", [{}, {"x": torch.ones(1)}, {"head.weight": torch.ones(2, 2)}, {"a.bias": torch.ones(9)}]
)
def test_weights_of_which_nothing_fits_are_refused(state):
    """A transfer that would transfer nothing stops, with the key to correct."""
    with pytest.raises(WeightsError, match=r"tensors that fit the network, but found none.*`sources`"):
        adopt(_model(), state)


@pytest.mark.parametrize("network", ["unet", "resnet18"])
def test_a_frozen_encoder_gets_no_gradient_and_does_not_change(network):
    """`freeze: encoder` holds the encoder fixed; all else learns."""
    model = build(network, 2, width=2, depth=1, seed=0)
    freeze(model, "encoder")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    image = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    model.train()(image).square().sum().backward()
    optimizer.step()
    assert all(p.grad is None for p in model.encoder.parameters())
    same = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    assert same == {name for name in before if name.startswith("encoder.")}


def test_nothing_is_frozen_unless_asked():
    """`freeze: none` leaves every weight to learn."""
    model = build("unet", 2, width=2, depth=1, seed=0)
    freeze(model, "none")
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_weights_of_another_classifier_are_refused():
    """A file that fits here and there is no ResNet-18's: a frozen encoder would be half random."""
    state = {name: value for name, value in resnet18().state_dict().items() if "layer4.1" not in name}
    with pytest.raises(WeightsError, match="every layer of the encoder.*layer4"):
        adopt(build("resnet18", 2, width=2, depth=1, seed=0), state, "encoder.")
