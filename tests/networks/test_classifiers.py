"""The names of networks, held against the installed torchvision."""

import torchvision
from torchvision.models import list_models

from stratagem.networks.classifiers import CLASSIFIERS, STRIDE
from stratagem.networks.encoder import DEEPEST


def test_all_classifiers_are_named_but_those_of_one_size():
    """Each of torchvision's classifiers but the vision transformers of one grid, and no other name."""
    others = set(list_models(module=torchvision.models)) ^ CLASSIFIERS
    assert others == {"maxvit_t", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32"}


def test_the_stride_is_that_of_the_deepest_stage():
    """What frames are filled up to serves every classifier."""
    assert 2**DEEPEST == STRIDE
