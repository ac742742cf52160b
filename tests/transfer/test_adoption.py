"""Weights from elsewhere: taken, adapted, left; each tensor with its reason."""

import hashlib
import re

import pytest
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights, resnet18

from examples import FAMILIES
from stratagem.core.errors import WeightsError
from stratagem.networks.build import build
from stratagem.transfer.adoption import adopt
from stratagem.transfer.weights import fetch

torch.set_num_threads(1)  # networks this small gain nothing from more
STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}
SMALL = {"width": 2, "depth": 2, "seed": 0}
HEADS = ("fc.", "classifier.", "head.", "AuxLogits.", "aux1.", "aux2.")  # of classifiers


@pytest.mark.parametrize("network", FAMILIES)
def test_every_family_loads_its_own_weights(network, tmp_path, monkeypatch):
    """From a file in torch's cache: all but the classifier's head is taken, and nothing is missing."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(1)
    state = get_model(network, weights=None, **_aux(network)).state_dict()
    path = tmp_path / "hub" / "checkpoints" / f"{network}.pth"
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    path = path.rename(path.with_name(f"{network}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"))
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


def test_weights_of_another_classifier_are_refused():
    """A file that fits here and there is no ResNet-18's: a frozen encoder would be half random."""
    state = {name: value for name, value in resnet18().state_dict().items() if "layer4.1" not in name}
    with pytest.raises(WeightsError, match="every layer of the encoder.*layer4"):
        adopt(build("resnet18", 2, **SMALL), state)
