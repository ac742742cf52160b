"""What is held fixed learns nothing; what opens, opens when it should."""

import math

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from stratagem.core.errors import WeightsError
from stratagem.networks.build import build
from stratagem.transfer.adoption import adopt
from stratagem.transfer.freezing import FREEZES, Freezing, freezing

torch.set_num_threads(1)  # networks this small gain nothing from more
SMALL = {"width": 2, "depth": 2, "seed": 0}


def _frozen(network: str, **init) -> tuple[nn.Module, Freezing]:
    """A network that took another's weights, and what is held fixed of it."""
    model = build(network, 2, **SMALL)
    state = build(network, 2, **SMALL | {"seed": 1}).state_dict()
    return model, freezing(model, adopt(model, state), **init)


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
    frozen = freezing(model, adopt(model, resnet18().state_dict()), freeze="gradual")
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
    frozen = freezing(model, adopt(model, state), freeze="gradual")
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
        freezing(model, table, freeze="all-but-last")


def test_nothing_is_frozen_unless_asked():
    """Without weights from elsewhere all learns, at one rate."""
    model = build("unet", 2, **SMALL)
    Freezing().apply(model, 0.0)
    (group,) = Freezing().groups(model)
    assert (len(group["params"]), group["factor"]) == (len(list(model.parameters())), 1.0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(opens == math.inf for opens in _frozen("unet", freeze="none")[1].opens.values())


def test_every_way_to_freeze_speaks_of_the_network_s_own_parameters():
    """Each row of the table names parameters that are there, or none."""
    layers = [["encoder.a"], ["decoder.b"], ["head.weight"]]
    opens = {name: way.opens(layers, {"encoder.a"}, 0.5) for name, way in FREEZES.items()}
    assert opens["none"] == {}
    assert all(set(found) <= {"encoder.a", "decoder.b", "head.weight"} for found in opens.values())
