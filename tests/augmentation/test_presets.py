"""A preset answers for every transform: how strong it is, or why it is left out."""

import pyarrow.parquet as pq
import pytest

from stratagem.augmentation.manifest import write_manifest
from stratagem.augmentation.presets import PRESETS
from stratagem.augmentation.transforms import NEUTRAL, TRANSFORMS, Policy, unsafe

MEANING = ["rotation", "turns", "flip_horizontal", "flip_vertical", "shear", "elastic", "crop"]
MEANING += ["hue", "saturation", "channel_noise", "cutout", "cutmix"]  # of a traffic sign, never changed


def test_there_is_a_preset_for_each_domain():
    """The domains that the documentation lists."""
    assert set(PRESETS) == {"microscopy", "natural", "aerial", "medical", "documents", "traffic-signs"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_each_transform_once(name):
    """A transform has a strength or a reason for its omission, never both, never neither."""
    preset = PRESETS[name]
    assert not set(preset.strengths) & set(preset.omitted)
    assert set(preset.strengths) | set(preset.omitted) == set(TRANSFORMS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_reason_is_a_sentence(name):
    """Each omission has a reason of several words."""
    for transform, reason in PRESETS[name].omitted.items():
        assert len(reason.split()) >= 3, transform


@pytest.mark.parametrize("name", PRESETS)
def test_strengths_are_allowed_and_do_something(name):
    """Ranges lie within the limits of their transforms, and neither range nor probability is nothing."""
    for transform, strength in PRESETS[name].strengths.items():
        row = TRANSFORMS[transform]
        assert row.limits[0] <= strength.range <= row.limits[1], transform
        assert 0 < strength.probability <= 1, transform
        assert strength.range != row.limits[transform == "crop"], transform  # where it would do nothing


def _varied(name, path) -> set[str]:
    """The transforms that any of some thousand rows of the preset's manifest holds."""
    write_manifest(Policy(30, PRESETS[name].strengths), 0, [str(number) for number in range(100)], path)
    table = pq.read_table(path)
    assert len(table) == 3000
    values = {column: set(table[column].to_pylist()) for column in NEUTRAL}
    return {
        transform
        for transform, row in TRANSFORMS.items()
        if any(values[column] != {NEUTRAL[column]} for column in row.parameters)
    }


@pytest.mark.parametrize("name", PRESETS)
def test_a_manifest_varies_in_what_the_preset_lists_alone(name, tmp_path):
    """What has a strength is drawn, and what is omitted keeps its neutral value in every row."""
    assert _varied(name, tmp_path / "0.parquet") == set(PRESETS[name].strengths)


def test_a_traffic_sign_keeps_its_meaning(tmp_path):
    """No row turns, mirrors or bends a sign, or changes its colours, or hides a part of it."""
    assert not _varied("traffic-signs", tmp_path / "0.parquet") & set(MEANING)


@pytest.mark.parametrize(
    ("name", "declared", "found"),
    [
        ("traffic-signs", "handed", set()),
        ("traffic-signs", "upright", set()),
        ("documents", "handed", set()),
        ("documents", "upright", set()),
        ("medical", "handed", set()),
        ("medical", "upright", set()),
        ("natural", "handed", {"flip_horizontal"}),
        ("natural", "upright", set()),
        ("microscopy", "handed", {"flip_horizontal", "flip_vertical"}),
        ("aerial", "upright", {"rotation", "turns", "flip_vertical"}),
    ],
)
def test_presets_and_declared_classes(name, declared, found):
    """Domains with sides and an up have presets that keep them; the others are refused by name."""
    assert set(unsafe(declared, Policy(1, PRESETS[name].strengths))) == found
