"""Encoders: where classifiers are cut, what they expect, and that their own values come out."""

import pytest
import torch

from stratagem.networks.classifiers import MEMBERS
from stratagem.networks.encoder import by_stage, classifier, cycled, expected, extractor, stages

torch.set_num_threads(1)  # networks this small gain nothing from more
IMAGE = torch.rand(2, 3, 128, 160, generator=torch.Generator().manual_seed(0))


def _smallest(family: str) -> str:
    """The classifier of a family that is quickest to build."""
    return family + MEMBERS[family][0]


@pytest.mark.parametrize("family", MEMBERS)
def test_every_family_has_stages_that_halve(family):
    """Found from the graph: three strides or more, each a place of its own, of features and not of scores."""
    found, least = stages(_smallest(family))
    assert len(found) >= 3
    assert list(found) == sorted(found)
    assert max(found) >= 4
    assert len({stage.node for stage in found.values()}) == len(found)
    assert all(stage.channels >= 16 for stage in found.values())
    assert least in (32, 64, 96)


def test_a_resnet_is_cut_after_its_groups_of_blocks():
    """The known places, with their channels."""
    found, least = stages("resnet18")
    nodes = {halvings: (stage.node, stage.channels) for halvings, stage in found.items()}
    assert nodes == {
        1: ("relu", 64),
        2: ("layer1.1.relu_1", 64),
        3: ("layer2.1.relu_1", 128),
        4: ("layer3.1.relu_1", 256),
        5: ("layer4.1.relu_1", 512),
    }
    assert least == 32


def test_no_cut_is_inside_a_block():
    """DenseNet joins everything within a block: its stages are the transitions and the end."""
    found, _ = stages("densenet121")
    assert [stage.node for stage in found.values()] == [
        "features.relu0",
        *(f"features.transition{number}.conv" for number in (1, 2, 3)),
        "relu",
    ]


def test_channels_that_stand_last_are_seen():
    """Swin keeps (B, H, W, C) between its blocks."""
    found, _ = stages("swin_t")
    assert [stage.last for stage in found.values()] == [True, True, True, False]


def test_scores_of_classes_are_no_features():
    """SqueezeNet's head is a convolution: it is left out."""
    assert max(stage.channels for stage in stages("squeezenet1_0")[0].values()) == 512


def test_a_classifier_that_needs_larger_images_says_so():
    """Inception v3 has no padding in its first layers."""
    assert stages("inception_v3")[1] == 96


def test_a_classifier_of_one_size_has_no_stages():
    """A vision transformer of one grid takes no other size."""
    with pytest.raises((AssertionError, RuntimeError)):
        stages("vit_b_16")


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "googlenet"])
def test_the_last_features_are_the_classifier_s_own(name):
    """What the head of the classifier is given is what comes out of the last stage."""
    torch.manual_seed(0)
    model, given = classifier(name).eval(), []
    model.avgpool.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    found, _ = stages(name)
    encoder = extractor(name, found).eval()
    encoder.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad():
        model(IMAGE)
        features = list(encoder(IMAGE).values())[-1]
    torch.testing.assert_close(features, given[0])


@pytest.mark.parametrize("name", ["resnet18", "swin_t"])
def test_parameters_by_stage_are_all_of_them_in_order(name):
    """Each parameter is in one stage, those of the first layer in the first."""
    encoder = extractor(name, stages(name)[0])
    groups = by_stage(encoder)
    assert len(groups) == len(stages(name)[0])
    assert sorted(sum(groups, [])) == sorted(name for name, _ in encoder.named_parameters())


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_first_layer_takes_the_image_s_channels(channels):
    """And nothing else of the classifier changes."""
    plain, other = classifier("resnet18").state_dict(), classifier("resnet18", channels).state_dict()
    differ = {name for name in plain if plain[name].shape != other[name].shape}
    assert differ == {"conv1.weight"}
    assert other["conv1.weight"].shape == (64, channels, 7, 7)


def test_what_weights_expect_of_an_image():
    """torchvision's own want ImageNet's mean and deviation, those from TensorFlow -1 to 1."""
    assert expected("resnet18")[0] == (0.485, 0.456, 0.406)
    assert expected("inception_v3") == ((0.5,) * 3, (0.5,) * 3)
    assert expected("googlenet") == ((0.5,) * 3, (0.5,) * 3)
    assert expected("efficientnet_v2_l") == ((0.5,) * 3, (0.5,) * 3)


def test_channels_that_are_not_red_green_and_blue_take_turns():
    """One takes the mean, a fourth begins anew."""
    assert cycled((1.0, 2.0, 6.0), 1) == (3.0,)
    assert cycled((1.0, 2.0, 6.0), 4) == (1.0, 2.0, 6.0, 1.0)
