"""The config as a study, or every fault in a user's words."""

import datetime
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from examples import WEIGHTS, small
from stratagem.core.errors import ConfigError
from stratagem.study.declaration import schema
from stratagem.study.reading import _sentence, read_study

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


def _faults(changes: dict) -> list[str]:
    return _faults_of(small(changes))


def _faults_of(config: dict) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_study(config)
    return caught.value.faults


def _one_fault(changes: dict) -> str:
    faults = _faults(changes)
    assert len(faults) == 1, faults
    return faults[0]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_that_is_shipped_is_a_good_one(path):
    """Each study in `studies/` is read without a fault and fits the schema."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert read_study(config).study == config["study"]
    jsonschema.validate(config, json.loads(schema()))


def test_every_fault_is_told_in_one_go():
    """I mend my study once, not fault by fault."""
    faults = _faults(
        {
            "seds": [1],
            "budget": {"images": 1, "steps": 1},
            "device": "gpu",
            "unet.width": 0,
            "strategies.flipped.augmentation": "flip",
            "strategies.taught": {},
            "report.baseline": "base",
        }
    )
    keys = sorted(fault.split(":")[0] for fault in faults)
    assert keys == [
        "budget",
        "device",
        "report.baseline",
        "seds",
        "strategies.flipped.augmentation",
        "strategies.taught.resolution",
        "unet.width",
    ]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("seed", "seeds"),
        ("split.tst", "test"),
        ("budget.image", "images"),
        ("unet.widht", "width"),
        ("training.learningrate", "learning_rate"),
        ("resolutions.native.sizes", "size"),
        ("augmentations.flips.rotaton", "rotation"),
        ("sources.others.mask", "masks"),
        ("sources.others.budget.step", "steps"),
        ("sources.imagenet.sha", "sha256"),
        ("strategies.flipped.resolutoin", "resolution"),
        ("strategies.taught.init.frieze", "freeze"),
        ("strategies.flipped.loader.fracton", "fraction"),
        ("report.metrics", "metric"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(key, nearest):
    """A slip of the pen is refused at every level, and the key that I meant is named."""
    fault = _one_fault({key: 1})
    assert fault.startswith(f"{key}: no such key")
    assert f"did you mean `{nearest}`?" in fault


def test_an_unknown_key_like_no_other_lists_the_known_ones():
    """Where nothing is near, I am told what may stand there."""
    assert "known here: width, depth" in _one_fault({"unet.xyzzy": 1})


@pytest.mark.parametrize("name", ["data", "weights"])
def test_a_fault_names_its_whole_key_whatever_the_strategy_is_called(name):
    """A strategy may bear any name, and its faults are told under that name."""
    assert _one_fault({f"strategies.{name}": {}}).startswith(f"strategies.{name}.resolution: missing")


@pytest.mark.parametrize("name", ["data", "weights"])
def test_a_fault_names_its_whole_key_whatever_the_source_is_called(name):
    """A source may bear any name, and its faults are told under that name."""
    source = small()["sources"]["others"]
    del source["classes"]
    assert _one_fault({f"sources.{name}": source}).startswith(f"sources.{name}.classes: missing")


@pytest.mark.parametrize("name", ["loader", "report"])
def test_a_hint_fits_a_strategy_that_is_called_like_a_section(name):
    """A strategy called `loader` gets the hints of a strategy."""
    changes = {f"strategies.{name}": {"resolution": "native", "netwrk": "unet"}}
    assert "did you mean `network`?" in _one_fault(changes)


@pytest.mark.parametrize("key", ["study", "classes", "seeds", "budget", "resolutions", "strategies"])
def test_a_missing_key_is_named_with_its_meaning(key):
    """I am told which key is missing and what it is for."""
    config = small()
    del config[key]
    with pytest.raises(ConfigError) as caught:
        read_study(config)
    sentence = next(fault for fault in caught.value.faults if fault.startswith(f"{key}: missing; add it ("))
    assert len(sentence) > len(f"{key}: missing; add it ()")


def test_an_empty_study_is_refused_in_sentences():
    """Nothing at all is a fault, not a crash."""
    with pytest.raises(ConfigError, match="study: missing"):
        read_study({})


@pytest.mark.parametrize(
    ("key", "section", "nearest"),
    [
        ("strategies.flipped.resolution", "resolutions", "native"),
        ("strategies.flipped.augmentation", "augmentations", "flips"),
        ("strategies.flipped.reference", "strategies", "baseline"),
        ("strategies.taught.init.source", "sources", "others"),
        ("sources.others.resolution", "resolutions", "native"),
        ("sources.others.augmentation", "augmentations", "flips"),
        ("report.baseline", "strategies", "baseline"),
    ],
)
def test_a_name_that_is_not_declared_is_told_with_the_nearest(key, section, nearest):
    """A reference that hangs in the air is found before anything is computed."""
    fault = _one_fault({key: nearest + "s"})
    assert fault.startswith(f"{key}: `{nearest}s` is not declared under `{section}`; ")
    assert f"did you mean `{nearest}`?" in fault


def test_a_name_like_no_other_lists_the_declared_ones():
    """Where nothing is near, I am told what is declared."""
    assert "declared: native, resize." in _one_fault({"strategies.flipped.resolution": "xyzzy"})
    assert "declared: none." in "\n".join(_faults({"sources": {}}))


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "with space", "sla/sh", "", "ä"])
def test_a_name_that_is_no_path_is_refused(name):
    """Names become folders: small letters, digits and hyphens alone."""
    fault = _one_fault({"resolutions": small()["resolutions"] | {name: {"plan": "native"}}})
    assert fault == f'resolutions.{name}: expected {NAME}, but found "{name}".'


NAME = "a name of small letters, digits and hyphens, such as `my-study`"


TEXT = "text (numbers and dates in quotes)"


OWN = "so the test images would be learned from; name a folder of other images."


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("study", 3, f"study: expected {TEXT}, but found 3."),
        ("study", None, f"study: expected {TEXT}, but found nothing."),
        ("study", datetime.date(2024, 1, 2), f"study: expected {TEXT}, but found 2024-01-02."),
        ("study", "a\ud800", f'study: expected {TEXT}, but found "a\ud800".'),
        ("study", "My study", f'study: expected {NAME}, but found "My study".'),
        ("study", "X" * 99, f'study: expected {NAME}, but found "{"X" * 76}....'),
        ("sources.imagenet.sha256", "abc",
         'sources.imagenet.sha256: expected 64 digits and letters from 0-9 and a-f, but found "abc".'),
        ("classes", "cell", 'classes: expected a list, but found "cell".'),
        ("classes", [0, "cell"], f"classes, entry 1: expected {TEXT}, but found 0."),
        ("classes", ["cell", " "], 'classes, entry 2: expected a name that is not blank, but found " ".'),
        ("classes", ["background"], "classes: expected 2 or more entries, but found 1."),
        ("seeds", {"a": 1}, "seeds: expected a list, but found keys with values."),
        ("seeds", [], "seeds: expected 1 or more entries, but found 0."),
        ("seeds", [1, 0.5], "seeds, entry 2: expected a whole number, but found 0.5."),
        ("seeds", ["x"], 'seeds, entry 1: expected a whole number, but found "x".'),
        ("seeds", [[]], "seeds, entry 1: expected a whole number, but found a list."),
        ("seeds", [-1], "seeds, entry 1: expected at least 0, but found -1."),
        ("split.seed", 2**63,
         "split.seed: expected less than 9223372036854775808, but found 9223372036854775808."),
        ("folds", "9" * 5000, f'folds: expected a whole number, but found "{"9" * 76}....'),
        ("folds", 0, "folds: expected at least 1, but found 0."),
        ("device", "gpu", 'device: expected one of auto, cpu, cuda, but found "gpu".'),
        ("device", True, "device: expected one of auto, cpu, cuda, but found true."),
        ("budget", [], "budget: expected keys with values, but found a list."),
        ("budget", {}, "budget: set exactly one of `images` and `steps`."),
        ("budget", {"images": 1, "steps": 1}, "budget: set exactly one of `images` and `steps`."),
        ("budget.images", 0, "budget.images: expected at least 1, but found 0."),
        ("sources.others.budget", 3, "sources.others.budget: expected keys with values, but found 3."),
        ("augmentations.flips", "x", 'augmentations.flips: expected keys with values, but found "x".'),
        ("unet", {1: 2},
         "unet.1: no such key (known here: width, depth); remove it or correct its name."),
        ("unet.widht", 2, "unet.widht: no such key (did you mean `width`?); remove it or correct its name."),
        ("unet.depth", 7, "unet.depth: expected at most 6, but found 7."),
        ("split.test", 1.0, "split.test: expected less than 1, but found 1.0."),
        ("split", {"test": 0.6, "validation": 0.4},
         "split: `test` and `validation` leave no image to train on; lower one of them."),
        ("training.warmup", "x", 'training.warmup: expected a number, but found "x".'),
        ("training.warmup", [], "training.warmup: expected a number, but found a list."),
        ("training.learning_rate", 0.0, "training.learning_rate: expected more than 0, but found 0.0."),
        ("training.learning_rate", float("inf"),
         "training.learning_rate: expected a finite number, but found inf."),
        ("training.learning_rate", float("nan"),
         "training.learning_rate: expected a finite number, but found nan."),
        ("resolutions.resize.size", 96, "resolutions.resize.size: expected a list, but found 96."),
        ("resolutions.resize.size", [96],
         "resolutions.resize.size, entry 2: missing; the list is too short."),
        ("resolutions.resize.size", [1, 2, 3],
         "resolutions.resize.size: expected no more than 2 entries, but found 3."),
        ("resolutions.resize.size", [0, 8],
         "resolutions.resize.size, entry 1: expected at least 1, but found 0."),
        ("resolutions.native.size", [8, 8], "resolutions.native: `size` belongs to the plan `resize`, `pad`, "
         "`letterbox`, `tile`, `patches`, not to `native`."),
        ("resolutions.resize.fit", "p0", "resolutions.resize.fit: expected `median`, `largest` or a "
         "percentile such as `p90`, but found \"p0\"."),
        ("resolutions.pad", {"plan": "pad", "overlap": 0.5},
         "resolutions.pad: `overlap` belongs to the plan `tile`, `patches`, not to `pad`."),
        ("labels", "binry", "labels.encoding: expected one of auto, indices, binary, values, colours, "
         "instances, overlay, but found \"binry\"."),
        ("labels", {"encoding": "values"}, "labels: `values` needs `values`."),
        ("labels", {"encoding": "binary", "border": "cell"},
         "labels: `border` belongs to the encoding `instances`, not to `binary`."),
        ("labels", {"encoding": "indices", "threshold": 9},
         "labels: `threshold` belongs to the encoding `binary`, `instances`, not to `indices`."),
        ("labels", {"encoding": "instances", "inverted": True},
         "labels: `inverted` belongs to the encoding `binary`, not to `instances`."),
        ("labels", {"encoding": "colours", "colours": {"cell": "red"}},
         "labels.colours.cell, entry 1: expected a colour such as `#00ff7f`, but found \"red\"."),
        ("labels", {"encoding": "values", "values": {"road": 1}},
         "labels.values: `road` is no declared class; declared: background, cell."),
        ("labels", {"encoding": "indices", "ignore": [3]},
         "labels.ignore: expected a whole number or a colour such as `#00ff7f`, but found [3]."),
        ("mask_name", "mask",
         "the config: `mask_name` needs {stem} once, in the place of the image's name, and * behind it."),
        ("mask_name", "*_{stem}",
         "the config: `mask_name` needs {stem} once, in the place of the image's name, and * behind it."),
        ("channels", [], "the config: `channels` are 1 to 32."),
        ("channels", {f"c{n}": n for n in range(33)}, "the config: `channels` are 1 to 32."),
        ("levels", [9, 3], "the config: `levels` are a low and a higher intensity."),
        ("sheet", "samples.csv", "the config: set `sheet`, or `images` and `masks`, not both."),
        ("augmentations.flips.rotation", 181,
         "augmentations.flips.rotation.range: expected at most 180, but found 181."),
        ("augmentations.flips.scale", 0.9,
         "augmentations.flips.scale.range: expected at least 1, but found 0.9."),
        ("strategies.flipped.loader", {"fraction": 0.0},
         "strategies.flipped.loader.fraction: expected more than 0, but found 0.0."),
        ("sources.others.images", "pictures/more",
         f"sources.others.images: `pictures/more` overlaps the study's own images, {OWN}"),
        ("sources.others.classes", ["cell", 3],
         f"sources.others.classes, entry 2: expected {TEXT}, but found 3."),
        ("sources.imagenet.weights", "https://host/resnet18.pth",
         "sources.imagenet: `sha256` is required where `weights` is an address."),
        ("classes", ["cell", "cell"], "classes: expected each value once, but found ['cell', 'cell']."),
        ("classes", ["background", "mean"],
         "classes: `mean` stands for the mean over classes in the tables; choose another name."),
        ("sources.others.classes", ["cell", "cell"],
         "sources.others.classes: expected each value once, but found ['cell', 'cell']."),
        ("seeds", [1, 1], "seeds: expected each value once, but found [1, 1]."),
        ("split.group", "(",
         "split.group: not a regular expression (missing ), unterminated subpattern at position 0): '('."),
        ("split.part", "(",
         "split.part: not a regular expression (missing ), unterminated subpattern at position 0): '('."),
        ("strategies.flipped.reference", "flipped",
         "strategies.flipped.reference: a strategy cannot be compared with itself."),
        ("strategies.baseline.reference", "flipped",
         "strategies.baseline.reference: the baseline is compared with nothing; remove this key."),
        ("strategies.baseline.reference", "baseline",
         "strategies.baseline.reference: the baseline is compared with nothing; remove this key."),
        ("strategies.taught.network", "resnet18",
         "strategies.taught.init.source: `others` holds weights of unet, but the strategy's network is "
         "resnet18; set `network: unet`."),
        ("sources.imagenet", {"weights": "a.pth", "network": "resnet50"},
         "strategies.pretrained.init.source: `imagenet` holds weights of resnet50, but the strategy's "
         "network is resnet18; set `network: resnet50`."),
        ("sources.imagenet.weights", "DEFAULT",
         "sources.imagenet: `weights: DEFAULT` is a name of a classifier's weights; set `network` to it."),
        ("sources.imagenet", {"weights": "DEFAULT", "network": "unet"},
         "sources.imagenet: `weights: DEFAULT` is a name of a classifier's weights; set `network` to it."),
        ("sources.imagenet", {"weights": "DEFAULT", "network": "resnet18", "sha256": "0" * 64},
         "sources.imagenet: `sha256` is of a file or an address; the weights `DEFAULT` bring their own."),
        ("sources.imagenet", {"run": 3}, f"sources.imagenet.run: expected {TEXT}, but found 3."),
        ("sources.imagenet", {"run": "a", "seed": 3},
         "sources.imagenet.seed: no such key (known here: run); remove it or correct its name."),
        ("strategies.deep.network", "resnet81",
         "strategies.deep.network: expected unet or a classifier of torchvision's, but found 'resnet81'; "
         "perhaps resnet18, resnet152, resnet101."),
        ("strategies.deep.network", "vit",
         "strategies.deep.network: expected unet or a classifier of torchvision's, but found 'vit'; "
         "docs/transfer.md lists them."),
        ("strategies.taught.init", {"source": "others", "thaw": 0.2},
         "strategies.taught.init: `thaw` belongs to `freeze: gradual`, not to `none`."),
        ("strategies.taught.init", {"source": "others", "rate": 0},
         "strategies.taught.init.rate: expected more than 0, but found 0."),
        ("strategies.flipped.compared", False,
         "strategies.flipped: `compared: false` is compared with nothing; leave out `reference`."),
        ("strategies.flipped.budget_share", 0.5,
         "strategies.flipped.budget_share: 0.5 is compared with 1 of `taught`; name a `reference` of the "
         "same share, or set `compared: false`."),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_the_user_s_words(key, value, sentence):
    """Each kind of fault names its key, what should stand there and what I wrote; no word of Python's."""
    assert _one_fault({key: value}) == sentence


@pytest.mark.parametrize("key", ["resolutions", "strategies"])
def test_a_study_needs_a_member_of_each_named_part(key):
    """A section with no name in it is a fault in itself."""
    assert f"{key}: expected 1 or more entries, but found 0." in _faults({key: {}})
    assert f"{key}: expected keys with values, but found a list." in _faults({key: []})


def test_a_fault_of_another_kind_is_a_sentence_too():
    """A kind of fault that no key has today does not crash the reader."""
    assert _sentence({"type": "new", "loc": ("folds",), "input": 1}).startswith("folds: expected ")


def test_a_number_as_a_name_is_told_by_its_key():
    """YAML reads `1:` as a number: it is a key all the same, not a place in a list."""
    for value in (3, {}, {"variants": 0}):
        faults = _faults({"augmentations": {1: value}})
        assert f"augmentations.1: expected {TEXT}, but found 1." in faults
        assert not any("entry" in fault for fault in faults)
    assert _faults_of(small() | {1: 2})[0].startswith("1: no such key")


@pytest.mark.parametrize("value", [None, 3, "text", [], [1]])
@pytest.mark.parametrize(
    "key", ["strategies", "strategies.flipped", "strategies.taught.init", "resolutions", "sources.others",
            "sources", "budget", "report", "seeds", "classes", "augmentations"],
)  # fmt: skip
def test_a_section_of_the_wrong_kind_is_a_sentence_and_no_crash(key, value):
    """Whatever stands in a key's place, I get sentences that begin with keys of my study."""
    try:
        read_study(small({key: value}))
    except ConfigError as error:
        assert any(fault.startswith(key) for fault in error.faults)


def test_a_source_of_the_wrong_kind_is_named_by_its_own_key():
    """The key that I am told is one that stands in my file."""
    faults = [fault for fault in _faults({"sources.others": 3}) if fault.startswith("sources")]
    assert [fault.split(":")[0] for fault in faults] == ["sources.others"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ),
    st.sampled_from(["strategies", "sources", "resolutions", "report", "split", "augmentations", "budget"]),
)
def test_no_study_crashes_the_reader(value, key):
    """A study is read or refused; nothing else can happen."""
    try:
        read_study(small({key: value}))
    except ConfigError as error:
        assert error.faults


def test_a_source_of_the_study_s_own_images_is_refused():
    """Pretraining on the images that are tested would be learning the answers."""
    study = small()
    own = study["images"]
    for folder in (own, f"{own}/more", f"{own}/.."):
        faults = _faults({"sources.others.images": folder})
        assert any("sources.others.images" in fault and "overlaps" in fault for fault in faults)


def test_a_source_without_a_network_belongs_to_one():
    """A file of weights cannot fit a U-Net and a classifier."""
    strategies = {
        "baseline": {"resolution": "native", "init": {"source": "imagenet"}},
        "deep": {"resolution": "native", "network": "resnet18", "init": {"source": "imagenet"}},
    }
    assert _one_fault({"strategies": strategies}) == (
        "sources.imagenet: taken by strategies on resnet18 and unet, but weights belong to one network; "
        "declare a source for each."
    )


def test_the_whole_network_of_a_classifier_s_weights_cannot_be_frozen():
    """Its decoder is random: I am told what to freeze."""
    init = {"source": "imagenet", "freeze": "all-but-last"}
    last = {"resolution": "native", "network": "resnet18", "init": init}
    strategies = {"baseline": {"resolution": "native"}, "last": last}
    fault = _one_fault({"sources.imagenet": WEIGHTS, "strategies": strategies})
    assert fault.startswith("strategies.last.init.freeze: ")
    assert fault.endswith("set `freeze: encoder`.")


@pytest.mark.parametrize("channels", [{"red": 0, "green": 1, "blue": 2}, [0, 1], [3, 2, 1, 0]])
def test_colour_is_not_changed_where_channels_are_no_colours(channels):
    """Named, or not three: hue is refused with its key; in a list of three, or where it is off, it is not."""
    with pytest.raises(ConfigError) as caught:
        read_study(small({"channels": channels, "augmentations.flips": {"hue": 10}}))
    (fault,) = caught.value.faults
    assert fault.startswith("augmentations.flips.hue: expected images of red, green and blue")
    assert "`channels`" in fault
    read_study(
        small(
            {
                "channels": channels,
                "augmentations.flips": {"preset": "natural", "hue": False, "saturation": False},
            }
        )
    )
    read_study(small({"channels": [2, 1, 0], "augmentations.flips": {"hue": 10}}))


def test_channels_have_names_or_none():
    """Jobs are handed the numbers, so that another name trains nothing anew."""
    named = read_study(small({"channels": {"dapi": 4, "actin": 1}})).data
    assert (named["channels"], named["apart"]) == ([4, 1], True)
    assert named == read_study(small({"channels": {"nuclei": 4, "actin": 1}})).data
    plain = read_study(small({"channels": [4, 1]})).data
    assert plain["channels"] == [4, 1] and "apart" not in plain
    assert "channels" not in read_study(small()).data


@pytest.mark.parametrize(
    ("declared", "policy", "refused"),
    [
        ({"handed": ["cell"]}, {"flip_horizontal": 0.5, "rotation": 180}, ["flip_horizontal"]),
        ({"upright": ["cell"]}, {"flip_horizontal": 0.5, "rotation": 180}, ["rotation"]),
        ({"upright": ["cell"]}, {"flip_vertical": 0.1, "turns": 0.5}, ["flip_vertical", "turns"]),
        ({"upright": ["cell"]}, {"preset": "aerial"}, ["flip_vertical", "turns", "rotation"]),
        ({"upright": ["cell"], "handed": ["cell"]}, {"preset": "traffic-signs"}, []),
        ({"swaps": [["background", "cell"]]}, {"flip_horizontal": 0.5}, []),
        ({"handed": ["cell"]}, {"flip_horizontal": 0}, []),
    ],
)
def test_transforms_that_would_lie_are_refused(declared, policy, refused):
    """Where a class has a side or an up, what would change its meaning stops, with reason and line."""
    if not refused:
        read_study(small({"augmentations": {"flips": policy}} | declared))
        return
    faults = _faults({"augmentations": {"flips": policy}} | declared)
    assert [fault.split(":")[0] for fault in faults] == [f"augmentations.flips.{name}" for name in refused]
    for name, fault in zip(refused, faults, strict=True):
        assert "class `cell` is" in fault
        assert f"set `{name}: off`." in fault


def test_a_policy_that_no_one_uses_is_not_judged():
    """Only augmentations that a strategy or a source names are held against the classes."""
    policies = {"flips": {"rotation": 5}, "spare": {"flip_vertical": 1}}
    read_study(small({"augmentations": policies, "upright": ["cell"]}))


def test_mirror_images_are_named_once():
    """A class has one mirror image, or none; and it must be declared."""
    assert _faults({"swaps": [["cell", "background"], ["cell", "x"]]}) == [
        "swaps: `x` is no declared class; declared: background, cell.",
        "swaps: `cell` can have one mirror image only; name it once, here or under `handed`.",
    ]
