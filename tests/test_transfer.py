"""Weights from elsewhere: checked, taken, adapted, left, and held fixed."""

import hashlib
import http.server
import math
import os
import pickle
import re
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model, get_model_weights, resnet18

from examples import FAMILIES
from stratagem.errors import WeightsError
from stratagem.study import Init
from stratagem.transfer import Freezing, adopt, fetch, freezing, read_weights
from stratagem.unet import build

torch.set_num_threads(1)  # networks this small gain nothing from more
STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}
SMALL = {"width": 2, "depth": 2, "seed": 0}
HEADS = ("fc.", "classifier.", "head.", "AuxLogits.", "aux1.", "aux2.")  # of classifiers


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
    with pytest.raises(WeightsError, match=f"{file.name}: expected a file of SHA-256 {'0' * 64}.*`sha256`"):
        fetch(f"{address}/{file.name}", "0" * 64, "unet")


def test_an_address_without_the_file_is_refused(server):
    """A missing page is told as an address that does not answer."""
    with pytest.raises(WeightsError, match=r"a\.pth: expected an address that answers.*404"):
        fetch(f"{server[0]}/a.pth", "0" * 64, "unet")


def test_an_address_where_nobody_answers_is_refused(server):
    """No connection is told as such."""
    with pytest.raises(WeightsError, match=r"expected an address that answers"):
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
    assert f"Download that address on another machine and put the file at {kept}." in said
    assert f"/{there.name}: expected the weights in {kept}, or a network" in said
    assert "\n" not in said
    assert list(kept.parent.iterdir()) == []


def test_another_file_than_the_name_s_is_refused(cache):
    """Neither fetched nor from the cache is a file used whose digest is not the one in its name."""
    kept, there = cache
    good = there.read_bytes()
    there.write_bytes(good + b"x")
    with pytest.raises(WeightsError, match="a file of SHA-256 that begins with .*another one"):
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


@pytest.mark.parametrize("network", FAMILIES)
def test_every_family_loads_its_own_weights(network, tmp_path, monkeypatch):
    """From a file in torch's cache: all but the classifier's head is taken, and nothing is missing."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(1)
    state = get_model(network, weights=None, **_aux(network)).state_dict()
    path = tmp_path / "hub" / "checkpoints" / f"{network}.pth"
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    path = path.rename(path.with_name(f"{network}-{_digest(path)[:8]}.pth"))
    state = {name: value for name, value in state.items() if not name.startswith(HEADS)}  # VGG's is 0.5 GB
    known = get_model_weights(network)
    monkeypatch.setattr(known.DEFAULT.value, "url", f"https://example.invalid/models/{path.name}")
    model = build(network, 2, **SMALL)
    table = adopt(model, fetch("DEFAULT", None, network))
    path.unlink()
    fates = table.set_index("tensor")["fate"]
    left = fates[fates == "left"].index.str.removeprefix("encoder.")
    assert len(left) and all(name.startswith(HEADS) for name in left)
    assert not fates[fates == "new"].index.str.startswith("encoder.").any()
    encoder = model.encoder.state_dict()
    assert len(encoder) == (fates == "taken").sum() >= 10
    assert all(torch.equal(value, state[name]) for name, value in encoder.items())


def test_weights_for_images_scaled_otherwise_are_refused():
    """VGG16 has weights for images of another scale: the network's own would be wrong for them."""
    with pytest.raises(WeightsError, match="IMAGENET1K_FEATURES: expected weights for images scaled as"):
        fetch("IMAGENET1K_FEATURES", None, "vgg16")


@pytest.mark.parametrize("network", ["resnet18", "densenet121"])
def test_weights_of_old_are_taken(network):
    """Files from before batches were counted, and DenseNet's with the names that its layers had then."""
    state = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): value
        for name, value in get_model(network).state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    model = build(network, 2, **SMALL)
    fates = adopt(model, state).set_index("tensor")["fate"]
    new = fates[fates == "new"].index
    assert all(name.endswith("num_batches_tracked") for name in new if name.startswith("encoder."))
    assert all(
        name.startswith(("encoder.classifier.", "encoder.fc.")) for name in fates[fates == "left"].index
    )


def _aux(network: str) -> dict:
    """As the published weights are: with the classifiers at the side that helped to train them."""
    return {"init_weights": True} if network in ("googlenet", "inception_v3") else {}


def _model() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.Linear(3, 2), "decoder": nn.Linear(2, 2), "head": nn.Linear(2, 2)})


def test_each_tensor_has_its_fate_and_reason():
    """I see what was taken, what is new and what was left, tensor by tensor."""
    state = {
        "encoder.weight": torch.ones(2, 3),
        "encoder.bias": torch.ones(2),
        "decoder.bias": torch.ones(5),
        "head.weight": torch.ones(2, 2),
        "fc.weight": torch.ones(7, 2),
    }
    table = adopt(_model(), state)
    assert list(table.columns) == ["tensor", "shape", "fate", "why"]
    assert table.values.tolist() == [
        ["decoder.bias", "5", "new", "2 here, 5 in the weights"],
        ["decoder.weight", "2x2", "new", "not in the weights"],
        ["encoder.bias", "2", "taken", "same name and shape"],
        ["encoder.weight", "2x3", "taken", "same name and shape"],
        ["fc.weight", "7x2", "left", "the network has no such layer"],
        ["head.bias", "2", "new", "not in the weights"],
        ["head.weight", "2x2", "new", "the last layer is replaced"],
    ]


def test_what_is_taken_is_taken_exactly_and_the_rest_stays():
    """The network holds the weights' values where they fit and its own elsewhere."""
    model = _model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given = {"encoder.weight": torch.arange(6.0).view(2, 3), "encoder.bias": torch.ones(2)}
    adopt(model, given | {"head.weight": torch.zeros(2, 2)})
    for name, value in model.state_dict().items():
        assert torch.equal(value, given.get(name, before[name]))


@pytest.mark.parametrize("network", ["unet", "resnet18"])
def test_the_head_is_always_new(network):
    """A network's own weights, of other classes, fill it but for the last layer."""
    model = build(network, 5, **SMALL)
    table = adopt(model, build(network, 2, **SMALL | {"seed": 1}).state_dict())
    new = set(table.loc[table["fate"] != "taken", "tensor"])
    assert new == {"head.weight", "head.bias"}
    kept = build(network, 5, **SMALL).head
    assert torch.equal(model.head.weight, kept.weight)


@pytest.mark.parametrize("network", ["unet", "resnet18"])
@pytest.mark.parametrize(("before", "after"), [(3, 1), (3, 4), (1, 3), (4, 1), (2, 2)])
def test_the_first_layer_is_adapted_to_other_channels(network, before, after):
    """A grey image, its channels repeated, finds the same answer in the first layer as before."""
    source = build(network, 2, **SMALL, channels=before)
    model = build(network, 2, **SMALL | {"seed": 1}, channels=after)
    table = adopt(model, source.state_dict())
    adapted = table.loc[table["fate"] == "adapted"]
    first = {"unet": "encoder.levels.0.0.weight", "resnet18": "encoder.conv1.weight"}[network]
    expected = [] if before == after else [[first, f"from {before} channels to {after}"]]
    assert adapted[["tensor", "why"]].values.tolist() == expected
    grey = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    weights = [one.state_dict()[first] for one in (source, model)]
    answers = [
        nn.functional.conv2d(grey.expand(1, channels, 8, 8), weight)
        for channels, weight in zip((before, after), weights, strict=True)
    ]
    torch.testing.assert_close(*answers)


def test_a_classifier_s_names_are_found_in_the_encoder():
    """Names without `encoder.` are a classifier's own."""
    model = nn.ModuleDict({"encoder": nn.ModuleDict({"a": nn.Linear(3, 2)})})
    table = adopt(model, STATE)
    assert set(table["fate"]) == {"taken"}
    assert torch.equal(model["encoder"]["a"].weight, STATE["a.weight"])


@pytest.mark.parametrize(
    "state", [{}, {"x": torch.ones(1)}, {"encoder.x": torch.ones(1)}, {"encoder.bias": torch.ones(9)}]
)
def test_weights_of_which_nothing_fits_are_refused(state):
    """A transfer that would transfer nothing stops, with the key to correct."""
    with pytest.raises(WeightsError, match=r"tensors that fit the network, but found none.*`sources`"):
        adopt(_model(), state)


def test_weights_of_a_wider_network_are_refused():
    """I am told the layer, and its shape here and there."""
    state = build("unet", 2, **SMALL | {"width": 4}).state_dict() | {
        "decoder.levels.0.up.bias": torch.ones(4)
    }
    with pytest.raises(
        WeightsError, match=r"every layer of the encoder.*`encoder.levels.*2x3x3x3 here, 4x3x3x3"
    ):
        adopt(build("unet", 2, **SMALL), state)


def _frozen(network: str, **init) -> tuple[nn.Module, Freezing]:
    """A network that took another's weights, and what is held fixed of it."""
    model = build(network, 2, **SMALL)
    state = build(network, 2, **SMALL | {"seed": 1}).state_dict()
    return model, freezing(model, adopt(model, state), Init(source="other", **init))


def _open(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("network", ["unet", "resnet18"])
@pytest.mark.parametrize(
    ("freeze", "fixed"),
    [("none", ()), ("encoder", ("encoder.",)), ("all-but-last", ("encoder.", "decoder."))],
)
def test_what_is_frozen_gets_no_gradient_no_moments_and_does_not_change(network, freeze, fixed):
    """All else learns; the optimizer does not know what is frozen."""
    model, frozen = _frozen(network, freeze=freeze)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    groups = frozen.groups(model)
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    frozen.apply(model, 0.0)
    image = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    model.train()(image).square().sum().backward()
    optimizer.step()
    names = {name for name, _ in model.named_parameters() if not name.startswith(fixed)}
    assert _open(model) == names
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == names
    assert sum(len(group["params"]) for group in groups) == len(optimizer.state) == len(names)
    same = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    assert same >= {name for name in before if name.startswith(fixed)}
    assert same.isdisjoint(names)


def test_no_way_back_leads_through_a_frozen_encoder():
    """What the encoder computes is not kept for a gradient."""
    model, frozen = _frozen("resnet18", freeze="encoder")
    frozen.apply(model, 0.0)
    features = model.encoder(torch.zeros(1, 3, 32, 32))
    assert not any(value.requires_grad for value in features.values())


def test_frozen_batch_normalisation_stays_in_evaluation():
    """Its statistics are those that came with the weights."""
    model, frozen = _frozen("resnet18", freeze="encoder")
    frozen.apply(model, 0.0)
    assert not any(module.training for module in model.train().encoder.modules())


@pytest.mark.parametrize("network", ["unet", "resnet18"])
def test_layers_open_from_the_last_to_the_first(network):
    """At the start the new last layer alone, at `thaw` all, and in between never fewer."""
    model, frozen = _frozen(network, freeze="gradual", thaw=0.5)
    seen = []
    for share in (0.0, 0.1, 0.25, 0.4, 0.5, 1.0):
        frozen.apply(model, share)
        seen.append(_open(model))
    assert seen[0] == {"head.weight", "head.bias"}
    assert seen[-1] == seen[-2] == {name for name, _ in model.named_parameters()}
    assert all(before < after for before, after in zip(seen[:4], seen[1:5], strict=True))
    layers = model.layers()
    firsts = [frozen.opens.get(layer[0], 0.0) for layer in layers]
    assert firsts == sorted(firsts, reverse=True)
    assert firsts[0] == 0.5
    steps = {round(a - b, 9) for a, b in zip(firsts[:-1], firsts[1:], strict=True)}
    assert steps == {round(0.5 / (len(layers) - 1), 9)}
    assert sum(len(group["params"]) for group in frozen.groups(model)) == len(seen[-1])


def test_a_new_decoder_learns_from_the_start():
    """On a classifier's weights its stages open one after the other; the decoder was never fixed."""
    model = build("resnet18", 2, **SMALL)
    frozen = freezing(model, adopt(model, resnet18().state_dict()), Init(source="a", freeze="gradual"))
    frozen.apply(model, 0.0)
    assert {name.split(".")[0] for name in _open(model)} == {"decoder", "head"}
    frozen.apply(model, 0.1)
    opened = {name for name in _open(model) if name.startswith("encoder.")}
    assert opened == {f"encoder.{name}" for name, _ in model.encoder.named_parameters() if "layer4" in name}


def test_what_is_new_in_a_layer_that_was_taken_learns_from_the_start():
    """Random weights are never held fixed, by a schedule either."""
    model = build("unet", 2, **SMALL)
    state = {
        name: value
        for name, value in build("unet", 2, **SMALL | {"seed": 1}).state_dict().items()
        if not name.startswith("decoder.levels.0.join")
    }
    frozen = freezing(model, adopt(model, state), Init(source="a", freeze="gradual"))
    frozen.apply(model, 0.0)
    own = {name for name, _ in model.named_parameters()} - state.keys()
    assert _open(model) == own | {"head.weight", "head.bias"}
    assert len(own) == 6


def test_what_was_taken_learns_at_a_lower_rate():
    """Two groups: the layers that were taken, and the new ones."""
    model, frozen = _frozen("unet", rate=0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = {group["factor"]: {names[id(p)] for p in group["params"]} for group in frozen.groups(model)}
    assert groups[1.0] == {"head.weight", "head.bias"}
    assert groups[0.1] == set(names.values()) - groups[1.0]


def test_random_layers_are_never_held_fixed():
    """A classifier's weights fill the encoder alone: `all-but-last` would fix a random decoder."""
    model = build("resnet18", 2, **SMALL)
    table = adopt(model, resnet18().state_dict())
    with pytest.raises(WeightsError, match="all-but-last.*none for `decoder.*Freeze the encoder alone"):
        freezing(model, table, Init(source="a", freeze="all-but-last"))


def test_nothing_is_frozen_unless_asked():
    """Without weights from elsewhere all learns, at one rate."""
    model = build("unet", 2, **SMALL)
    Freezing().apply(model, 0.0)
    (group,) = Freezing().groups(model)
    assert (len(group["params"]), group["factor"]) == (len(list(model.parameters())), 1.0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(opens == math.inf for opens in _frozen("unet", freeze="none")[1].opens.values())


def test_weights_of_another_classifier_are_refused():
    """A file that fits here and there is no ResNet-18's: a frozen encoder would be half random."""
    state = {name: value for name, value in resnet18().state_dict().items() if "layer4.1" not in name}
    with pytest.raises(WeightsError, match="every layer of the encoder.*layer4"):
        adopt(build("resnet18", 2, **SMALL), state)
