"""What several test modules share: a small study as a mapping, and a classifier of each family."""

import copy

import yaml

from stratagem.augmentation.manifest import Manifest
from stratagem.study.declaration import Study
from stratagem.study.reading import read_study

FAMILIES = [  # one classifier of each, its smallest
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d",
    "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11",
]  # fmt: skip
SMALL = """
study: small
images: pictures
masks: masks
classes: [background, cell]
seeds: [1, 2]
budget: {images: 64}
resolutions:
  native: {plan: native}
  resize: {plan: resize, size: [16, 16]}
augmentations:
  flips: {flip_horizontal: 0.5}
sources:
  others:
    images: others/images
    masks: others/masks
    classes: [background, cell]
    resolution: native
    augmentation: flips
    batch_size: 2
    budget: {steps: 3}
    seed: 7
  imagenet:
    weights: resnet18.pth
strategies:
  baseline: {resolution: native}
  flipped: {resolution: native, augmentation: flips, reference: taught}
  taught: {resolution: native, init: {source: others}}
  deep: {resolution: native, network: resnet18}
  pretrained: {resolution: native, network: resnet18, init: {source: imagenet}, reference: deep}
"""
WEIGHTS = {"weights": "DEFAULT", "network": "resnet18"}


def small(changes: dict | None = None) -> dict:
    """The small study as a mapping, with values put at dotted keys."""
    config = yaml.safe_load(SMALL)
    for key, value in (changes or {}).items():
        *sections, last = key.split(".")
        place = config
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = copy.deepcopy(value)
    return config


def with_classifiers(**strategies) -> Study:
    """A study with a plain baseline and strategies on a ResNet-18."""
    plain = {"resolution": "native", "network": "resnet18"}
    deep = {name.replace("_", "-"): plain | one for name, one in strategies.items()}
    members = {"baseline": {"resolution": "native"}} | deep
    return read_study(small({"sources.imagenet": WEIGHTS, "strategies": members}))


def row_of(manifest: Manifest, sample: str, variant: int) -> dict[str, float]:
    """One row of a manifest, by the sample's name."""
    return manifest.at(manifest.places([sample])[0], variant)


def rows_of(manifest: Manifest, samples: list[str]) -> list[tuple[str, int, dict[str, float]]]:
    """Sample, variant and parameters of every synthetic image of some samples, variant by variant."""
    places = manifest.places(samples)
    return [
        (sample, variant, manifest.at(place, variant))
        for variant in range(manifest.variants)
        for sample, place in zip(samples, places, strict=True)
    ]
