"""Runs that trained on damaged samples unnoticed are found, and set aside."""

import pytest

from running import recipe_of, study
from stratagem.core.files import write_json, write_table
from stratagem.data.split import select
from stratagem.runs.unverified import set_aside, trained_unverified


@pytest.fixture
def results(inputs, tmp_path):
    """A study's results with its index and split, no run yet."""
    root = tmp_path / "results" / "tiny"
    for folder in (root, root / "sources" / "others"):
        write_table(inputs.index, folder / "index.parquet")
    write_table(inputs.splits, root / "splits.parquet")
    return root


def _run(folder, recipe, verified=None):
    record = {"recipe": recipe.model_dump(mode="json")}
    write_json(record | ({} if verified is None else {"verified": verified}), folder / "cost.json")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def _trained(results, strategy, verified=None, **loader):
    recipe = recipe_of(strategy)
    own = recipe.strategy.loader.model_copy(update=loader)
    recipe = recipe.model_copy(update={"strategy": recipe.strategy.model_copy(update={"loader": own})})
    return _run(results / "runs" / strategy / "fold0" / "seed1", recipe, verified)


def test_only_unverified_runs_that_were_shown_a_damaged_sample_are_named(results, inputs):
    """One that verified, read no shards, or was never shown the sample is sound; of 0.2 none says so."""
    train = inputs.of_part("train", 0)
    shown = set(select(train, 0.5, 1))
    spared = sorted(set(train["sample"]) - shown)
    old, told = _trained(results, "baseline"), _trained(results, "memory", verified=False)
    _trained(results, "flips", verified=True)
    _trained(results, "slow", verified=False, storage="files")
    _trained(results, "half", verified=False)
    assert list(trained_unverified(results, "native", set(spared[:1]))) == [old, told]
    assert len(list(trained_unverified(results, "native", {min(shown)}))) == 3
    tested = inputs.of_part("test", 0)["sample"].iloc[0]
    assert list(trained_unverified(results, "native", {tested})) == []
    assert list(trained_unverified(results, "resize", set(spared))) == []
    assert list(trained_unverified(results, "native", set())) == []


def test_runs_that_start_from_such_a_source_are_named_too(results, inputs):
    """A source that was taught on a damaged sample taints each run that takes its weights, and no other."""
    source = _run(results / "sources" / "others", study().pretraining("others"))
    taught = _trained(results, "taught", verified=True)
    _trained(results, "baseline", verified=True)
    damaged = {inputs.index["sample"].iloc[0]}
    assert list(trained_unverified(source, "native", damaged)) == [source, taught]


def test_what_is_set_aside_is_moved_whole(results):
    """The files are where the message says; a second time replaces the first."""
    for _ in range(2):
        run = _trained(results, "baseline")
        aside = set_aside(run)
        assert sorted(path.name for path in aside.iterdir()) == ["cost.json", "model.safetensors"]
        assert not (run / "cost.json").exists() and not (run / "model.safetensors").exists()
