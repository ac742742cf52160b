"""The study: declared once, then frozen."""

import json

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from examples import small
from stratagem.core.errors import ConfigError
from stratagem.study.declaration import Recipe, Study, schema
from stratagem.study.reading import read_study


def test_the_schema_is_one_and_refuses_what_the_study_refuses():
    """An editor that knows JSON schema helps me to write a study."""
    document = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(document)
    jsonschema.validate(small(), document)
    for changes in ({"seds": [1]}, {"unet.width": 0}, {"strategies.flipped.resolution": "No"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(small(changes), document)
        with pytest.raises(ConfigError):
            read_study(small(changes))
    assert schema().endswith("}\n")


def test_every_key_is_described():
    """No key of the config lacks its sentence."""

    def bare(node: dict, place: str):
        for name, value in node.get("properties", {}).items():
            if "description" not in value:
                yield f"{place}.{name}"

    document = json.loads(schema())
    sections = {"Study": document} | document["$defs"]
    assert [key for name, section in sections.items() for key in bare(section, name)] == []


def test_a_strategy_of_one_line_is_enough():
    """A strategy needs nothing but a resolution; all else is the baseline's."""
    study = read_study(small({"strategies": {"baseline": {"resolution": "native"}}}))
    strategy = study.strategies["baseline"]
    assert (strategy.augmentation, strategy.init, strategy.network) == (None, None, "unet")
    assert (strategy.loader.fraction, strategy.loader.storage, strategy.loader.batch_size) == (
        1,
        "shards",
        16,
    )


@pytest.mark.parametrize("written", ["off", '"off"', "exact"])
def test_off_may_be_written_without_quotes(written):
    """YAML reads the bare word as false; an editor that knows the schema takes both."""
    study = small({"duplicates": yaml.safe_load(written)})
    assert read_study(study).duplicates == written.strip('"')
    jsonschema.validate(study, json.loads(schema()))


def test_a_new_strategy_is_three_lines_of_data():
    """I add a strategy by naming what differs; the others' recipes do not change."""
    mine = {"resolution": "resize", "augmentation": "flips", "loader": {"fraction": 0.5}}
    before, after = read_study(small()), read_study(small({"strategies.mine": mine}))
    assert after.run("mine", 0, 1).strategy.loader.fraction == 0.5
    for name in before.strategies:
        assert before.run(name, 0, 1) == after.run(name, 0, 1)


def test_a_study_is_frozen():
    """What was checked cannot be changed behind the check."""
    study = read_study(small())
    for place, key in ((study, "device"), (study.unet, "width"), (study.strategies["baseline"], "network")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(place, key, getattr(place, key))


def test_the_stride_serves_the_networks_that_use_a_resolution():
    """A classifier's encoder widens its own frames; a strategy on other frames is not trained anew."""
    strategies = {
        "baseline": {"resolution": "native"},
        "deep": {"resolution": "resize", "network": "resnet18"},
    }
    study = read_study(small({"strategies": strategies, "unet.depth": 3}))
    assert (study.stride("native"), study.stride("resize")) == (8, 32)
    study = read_study(small({"strategies": strategies, "unet.depth": 6}))
    assert (study.stride("native"), study.stride("resize")) == (64, 64)


def test_a_recipe_holds_its_own_run_alone():
    """A recipe changes with what decides its training, and with nothing else."""
    recipe = read_study(small()).run("flipped", 0, 1)
    same = [
        {"strategies.flipped.reference": "baseline"},
        {"strategies.taught.loader": {"batch_size": 1}},
        {"report.margin": 0.5},
        {"seeds": [1, 2, 3]},
        {"shards": 9},
        {"study": "other"},
    ]
    other = [
        {"strategies.flipped.loader": {"batch_size": 1}},
        {"training.warmup": 0.5},
        {"unet.width": 3},
        {"threads": 2},
        {"budget": {"images": 65}},
        {"classes": ["background", "nucleus"]},
    ]
    assert all(read_study(small(changes)).run("flipped", 0, 1) == recipe for changes in same)
    assert all(read_study(small(changes)).run("flipped", 0, 1) != recipe for changes in other)
    assert recipe != read_study(small()).run("flipped", 1, 1)
    assert recipe != read_study(small()).run("flipped", 0, 2)
    assert recipe.strategy.reference is None


def test_a_recipe_survives_the_way_through_params():
    """A job gets the same recipe that the study gave."""
    recipe = read_study(small()).run("taught", 0, 1)
    assert Recipe(**json.loads(json.dumps(recipe.model_dump(mode="json")))) == recipe


@pytest.mark.parametrize("freeze", ["none", "encoder", "all-but-last", "gradual"])
def test_a_way_of_freezing_survives_it_too(freeze):
    """What stays fixed, and until when, reaches the job as I wrote it."""
    init = {"source": "others", "freeze": freeze, "rate": 0.1} | (
        {"thaw": 0.2} if freeze == "gradual" else {}
    )
    recipe = read_study(small({"strategies.taught.init": init})).run("taught", 0, 1)
    assert Recipe(**json.loads(json.dumps(recipe.model_dump(mode="json")))) == recipe
    assert recipe.strategy.init.model_dump(exclude_defaults=True) == {
        key: value for key, value in init.items() if value != "none"
    }


@pytest.mark.parametrize(
    ("budget", "expected"), [({"images": 64}, 16), ({"steps": 10}, 2), ({"steps": 1}, 1)]
)
def test_a_share_of_the_budget_is_a_whole_number(budget, expected):
    """A quarter of it is what a run sees; it is never nothing."""
    changes = {"budget": budget, "strategies.taught.budget_share": 0.25, "strategies.taught.compared": False}
    study = read_study(small({**changes, "strategies.flipped.reference": "baseline"}))
    own = study.run("taught", 0, 1).budget
    assert (own.images or own.steps) == expected
    assert study.run("baseline", 0, 1).budget == study.budget


def test_a_source_is_taught_at_its_own_budget():
    """Pretraining uses the source's classes, batch, budget and seed."""
    recipe = read_study(small()).pretraining("others")
    assert (recipe.name, recipe.seed, recipe.budget.steps, recipe.budget.images) == ("others", 7, 3, None)
    assert (recipe.strategy.augmentation, recipe.strategy.loader.batch_size) == ("flips", 2)
    assert recipe.strategy.init is None


def test_a_strategy_is_compared_with_its_reference_else_the_baseline():
    """The baseline has no reference, each other strategy its own or the baseline."""
    study = read_study(small())
    references = {name: study.reference(name) for name in study.strategies}
    assert references == {
        "baseline": None,
        "flipped": "taught",
        "taught": "baseline",
        "deep": "baseline",
        "pretrained": "deep",
    }


# Augmentations


def _policy(**keys) -> dict:
    return _study_with(augmentations={"flips": keys}).augmentations["flips"].policy()


def _study_with(**changes) -> Study:
    return read_study(small(changes))


def test_a_transform_is_a_number_or_a_range_with_a_probability():
    """The number is the range, of flips and turns the probability; the long form says both."""
    strengths = _policy(rotation=20, blur={"range": 2, "probability": 0.1}, turns=0.5, noise=3)["strengths"]
    assert strengths == {
        "rotation": {"range": 20, "probability": 1},
        "turns": {"range": 1, "probability": 0.5},
        "blur": {"range": 2, "probability": 0.1},
        "noise": {"range": 3, "probability": 0.3},
    }


def test_a_preset_is_a_beginning():
    """Keys beside a preset replace its own; `off` takes one away, whichever way YAML reads it."""
    plain = _policy(preset="microscopy")["strengths"]
    changed = _policy(preset="microscopy", rotation=10, noise=False, blur=None, hue=5)["strengths"]
    assert changed.pop("rotation") == {"range": 10, "probability": 1}
    assert changed.pop("hue") == {"range": 5, "probability": 1}
    assert set(plain) - set(changed) == {"rotation", "noise", "blur"}
    assert changed.items() <= plain.items()


def test_a_record_of_an_augmentation_is_its_policy():
    """What is dumped for rules and records tells what is drawn, not how it was written."""
    study = _study_with(augmentations={"flips": {"preset": "natural", "rotation": False}})
    dumped = study.model_dump(mode="json")["augmentations"]["flips"]
    assert dumped == study.augmentations["flips"].policy()
    assert "rotation" not in dumped["strengths"]


def test_a_recipe_knows_the_mirror_images_by_index_where_images_are_mirrored():
    """Only a strategy with synthetic images needs them, so that others are not trained anew."""
    study = _study_with(swaps=[["background", "cell"]])
    assert study.run("flipped", 0, 1).swaps == ((0, 1),)
    assert study.run("baseline", 0, 1).swaps == ()
