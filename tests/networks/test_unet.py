"""The networks: sizes, limits, seeds, and what a classifier's encoder keeps."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from examples import FAMILIES
from stratagem.core.errors import GeometryError
from stratagem.networks.build import build
from stratagem.networks.unet import GroupNorm, Scaling, Unet, settle_statistics
from stratagem.transfer.adoption import adopt

torch.set_num_threads(1)  # networks this small gain nothing from more
UNET = {"width": 2, "depth": 2}


def _image(height: int, width: int, count: int = 1, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def _bytes(model: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    """A U-Net on a ResNet-18, in training mode."""
    return build("resnet18", 3, **UNET, seed=0)


@pytest.mark.parametrize(("width", "depth"), [(1, 1), (2, 2), (3, 1), (4, 3)])
@pytest.mark.parametrize("frames", [(1, 1), (1, 3), (2, 1)])
def test_output_and_input_have_one_size(width, depth, frames):
    """A U-Net of any width and depth takes any multiple of its stride and keeps its size."""
    model = Unet(3, width, depth)
    assert model.stride == 2**depth
    height, side = (frame * model.stride for frame in frames)
    assert model(_image(height, side, 2)).shape == (2, 3, height, side)


@pytest.mark.parametrize("size", [(32, 32), (32, 64)])
def test_a_classifier_unet_keeps_the_size_too(size, classifier):
    """The U-Net on a classifier gives logits at the image's own size."""
    assert classifier.stride == 32
    assert classifier(_image(*size, 2)).shape == (2, 3, *size)


@pytest.mark.parametrize(("size", "fitting"), [((4, 5), "4x8"), ((1, 8), "4x8"), ((9, 3), "12x4")])
def test_a_size_off_the_stride_is_refused_with_the_size_to_fill_up_to(size, fitting):
    """I am told the next larger size that fits."""
    found = f"{size[0]}x{size[1]}"
    with pytest.raises(
        GeometryError, match=rf"multiples of 4 pixels.*{found}.*Fill the image up to {fitting}\."
    ):
        build("unet", 2, **UNET, seed=0)(_image(*size))


def test_a_classifier_unet_refuses_as_well(classifier):
    """Its stride is 32."""
    with pytest.raises(GeometryError, match="Fill the image up to 64x32"):
        classifier(_image(33, 32))


@pytest.mark.parametrize("network", ["unet", "resnet18"])
def test_weights_are_a_function_of_the_seed(network):
    """Same seed, same bytes; other seed, other bytes."""
    torch.manual_seed(1)
    first = _bytes(build(network, 2, **UNET, seed=3))
    torch.manual_seed(2)
    assert _bytes(build(network, 2, **UNET, seed=3)) == first
    assert _bytes(build(network, 2, **UNET, seed=4)) != first


def test_building_draws_nothing_from_the_global_stream():
    """Nothing else that is random depends on whether a network was built."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build("unet", 2, **UNET, seed=0)
    assert torch.rand(1) == expected


def test_the_head_gives_the_classes_and_encoder_and_decoder_do_not_know_them():
    """Only the last layer depends on the number of classes."""
    two, five = (build("unet", classes, **UNET, seed=0).state_dict() for classes in (2, 5))
    other = {name for name in two if two[name].shape != five[name].shape}
    assert other == {"head.weight", "head.bias"}


def test_scaling_is_the_affine_map_of_the_pixels():
    """0 and 255 become (0 - mean) / std and (1 - mean) / std, per channel."""
    scaling = Scaling((0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    image = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    expected = torch.tensor([[-1.0, 1.0], [-1.0, 3.0], [0.0, 1.0]])
    torch.testing.assert_close(scaling(image)[0, :, 0], expected)


def test_the_batch_changes_no_image():
    """An image's logits do not depend on what else is in the batch, batch size 1 included."""
    model, images = build("unet", 2, **UNET, seed=0), _image(8, 8, 3)
    alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), alone)


def test_a_classifier_s_weights_fill_the_whole_encoder(classifier):
    """torchvision's ResNet-18 is taken tensor by tensor; only its classification layer is left."""
    state = resnet18(weights=None).state_dict()
    model = build("resnet18", 3, **UNET, seed=1)
    table = adopt(model, state)
    fates = table.set_index("tensor")["fate"]
    assert set(fates[fates == "left"].index) == {"encoder.fc.weight", "encoder.fc.bias"}
    assert not fates[fates == "new"].index.str.startswith("encoder.").any()
    own = model.encoder.state_dict()
    assert own.keys() == state.keys() - {"fc.weight", "fc.bias"}
    assert all(torch.equal(own[name], state[name]) for name in own)


def test_a_classifier_s_stages_are_the_classifier_s_own(classifier):
    """The skips are what torchvision's network computes at strides 2 to 32."""
    model = resnet18(weights=None).eval()
    adopted = build("resnet18", 2, **UNET, seed=1).eval()
    adopt(adopted, model.state_dict())
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stages = list(adopted.encoder(x).values())
        expected = [model.relu(model.bn1(model.conv1(x)))]
        expected.append(model.layer1(model.maxpool(expected[0])))
        for layer in (model.layer2, model.layer3, model.layer4):
            expected.append(layer(expected[-1]))
    assert [stage.shape[-1] for stage in stages] == [16, 8, 4, 2, 1]
    for stage, wanted in zip(stages, expected, strict=True):
        torch.testing.assert_close(stage, wanted)


def test_a_classifier_s_batch_normalisation_keeps_its_statistics():
    """In training too, the encoder uses the statistics that it brought, and does not change them."""
    model = build("resnet18", 2, **UNET, seed=0)
    norms = [module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 20
    for start in (lambda: model, model.train, lambda: model.eval().train()):
        assert start().training
        assert not any(norm.training for norm in norms)
    before = {name: value.clone() for name, value in model.named_buffers()}
    model(_image(32, 32, 2)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_every_weight_takes_part():
    """No layer is built and forgotten: each parameter gets a gradient."""
    model = build("unet", 3, **UNET, seed=0)
    model(_image(8, 8)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("network", "channels", "classes"),
    [(network, *((3, 2), (1, 1), (4, 12))[number % 3]) for number, network in enumerate(FAMILIES)],
)
def test_every_family_carries_a_unet(network, channels, classes):
    """Any classifier, channels, classes and size: logits at the image's own size, a gradient everywhere."""
    model = build(network, classes, **UNET, seed=0, channels=channels)
    for size in ((64, 96), (192, 160)):
        model.zero_grad()
        logits = model(_image(*size, channels=channels))
        assert logits.shape == (1, classes, *size)
        logits.square().sum().backward()
        assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_classic_unet_takes_any_number_of_channels(channels):
    """Its first layer fits the image."""
    model = build("unet", 2, **UNET, seed=0, channels=channels)
    assert model(_image(8, 12, channels=channels)).shape == (1, 2, 8, 12)


@pytest.mark.parametrize("network", ["unet", "resnet18", "swin_t"])
def test_layers_hold_each_parameter_once_from_the_image_to_the_logits(network):
    """Nothing is forgotten when layers open one after the other."""
    model = build(network, 2, **UNET, seed=0)
    layers = model.layers()
    names = [name for layer in layers for name in layer]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert len(set(names)) == len(names)
    assert all(layers)
    assert layers[-1] == ["head.weight", "head.bias"]
    parts = [layer[0].split(".")[0] for layer in layers]
    assert parts == sorted(parts, key=["encoder", "decoder", "head"].index)


def test_a_resnet_s_layers_are_its_stages():
    """Its first convolution, then each group of blocks."""
    layers = build("resnet18", 2, **UNET, seed=0).layers()
    assert layers[0] == ["encoder.conv1.weight", "encoder.bn1.weight", "encoder.bn1.bias"]
    for number in range(1, 5):
        assert all(name.startswith(f"encoder.layer{number}.") for name in layers[number])


def test_random_batch_normalisation_is_settled_on_images():
    """Without statistics a deep encoder's values grow; with those of some images they do not."""
    model, images = build("resnet50", 2, **UNET, seed=0), _image(64, 64, 4)

    def size() -> float:
        with torch.no_grad():
            return float(list(model.encoder(model.scaling(images)).values())[-1].std())

    assert size() > 15
    settle_statistics(model, images.split(2))
    assert 0.1 < size() < 5
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(norm.training for norm in norms)
    assert {norm.momentum for norm in norms} == {0.1}


def test_settling_changes_nothing_but_statistics_and_depends_on_the_images():
    """Weights stay; same images, same statistics; other images, other ones."""
    state = {}
    for key, images in {"a": _image(32, 32), "b": _image(32, 32), "c": _image(64, 32)}.items():
        model = build("resnet18", 2, **UNET, seed=0)
        before = {name: value.clone() for name, value in model.named_parameters()}
        settle_statistics(model, [images])
        assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
        state[key] = model.encoder.bn1.running_mean
    assert torch.equal(state["a"], state["b"])
    assert not torch.equal(state["a"], state["c"])


def test_a_network_without_batch_normalisation_asks_for_no_image():
    """The classic U-Net has nothing to settle."""

    def images():
        raise AssertionError
        yield

    settle_statistics(build("unet", 2, **UNET, seed=0), images())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalisation_is_torch_s_own_and_keeps_the_layout(layout):
    """Values and gradients are those of `torch.nn.GroupNorm`; channels last stay last."""
    features = torch.randn(2, 6, 5, 4).contiguous(memory_format=layout)
    results = []
    for kind in (GroupNorm, nn.GroupNorm):
        given = features.clone().requires_grad_()
        found = kind(3, 6)(given)
        found.square().sum().backward()
        results.append((found, given.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert results[0][0].is_contiguous(memory_format=layout)


@pytest.mark.parametrize("network", ["unet", "resnet18"])
def test_logits_are_float32_so_that_classes_do_not_tie(network):
    """Features may be bfloat16, in which a tenth of the pixels near a boundary would tie."""
    model = build(network, 2, width=4, depth=2, seed=0).eval()
    image = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = model(image)
    assert found.dtype == torch.float32
    assert not (found[:, 0] == found[:, 1]).any()
