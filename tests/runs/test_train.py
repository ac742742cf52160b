"""A run is a function of its recipe and its files, and tells what it cost."""

import json
import logging
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from running import CLASSES, CONFIG, DELIVERY, manifest_of, prepared, recipe_of, study, trained
from stratagem.core.errors import TrainingError
from stratagem.core.files import write_table
from stratagem.data.split import select
from stratagem.loading.shards import catalogue, write_shard
from stratagem.resolution import plans
from stratagem.runs.train import train
from stratagem.study.declaration import Delivery
from stratagem.study.reading import read_study


def test_a_run_is_a_function_of_recipe_and_files(inputs, tmp_path):
    """Same recipe, same bytes; other seed, other bytes."""
    first = trained(recipe_of("baseline"), inputs, tmp_path / "a")
    torch.manual_seed(99)
    assert trained(recipe_of("baseline"), inputs, tmp_path / "b") == first
    assert trained(recipe_of("baseline", seed=2), inputs, tmp_path / "c") != first


def test_the_curves_are_a_function_of_recipe_and_files_too(inputs, tmp_path):
    """History holds no clock: two runs of one recipe write the same table."""
    for name in ("a", "b"):
        trained(recipe_of("baseline"), inputs, tmp_path / name)
    first, second = (pd.read_parquet(tmp_path / name / "history.parquet") for name in ("a", "b"))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_memory_and_shards_give_the_same_bytes(inputs, tmp_path):
    """Where the images are held changes the cost of a run and nothing else."""
    shards = trained(recipe_of("baseline"), inputs, tmp_path / "shards-run")
    assert trained(recipe_of("memory"), inputs, tmp_path / "memory-run") == shards


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        ("tile", {"size": (4, 6), "overlap": 0.25}),
        ("bucket", {"buckets": 2}),
        ("letterbox", {"size": (8, 8)}),
    ],
)
def test_every_kind_of_window_trains_to_its_files(dataset, tmp_path, plan, options):
    """Frames of the plan's size are used on, alike from shards and memory; validation has scores."""
    inputs = prepared(*dataset, tmp_path / "shards", plan, **options)
    frames = pd.read_parquet(inputs.shards).set_index("sample")[["height", "width"]]
    weights = trained(recipe_of("flips"), replace(inputs, manifest=manifest_of(inputs)), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("model.safetensors", "history.parquet", "cost.json")
    }
    cost = json.loads((tmp_path / "run" / "cost.json").read_text())
    used = frames.loc[inputs.of_part("train", 0)["sample"]].prod(axis=1)
    assert (cost["images"], cost["train_images"]) == (6, len(inputs.of_part("train", 0)))
    assert 6 * used.min() <= cost["pixels"] <= 6 * used.max()
    history = pd.read_parquet(tmp_path / "run" / "history.parquet")
    assert history[["val_dice", "val_iou"]].stack().between(0, 1).all()
    assert load_file(tmp_path / "run" / "model.safetensors")
    plain = trained(recipe_of("baseline"), inputs, tmp_path / "plain")
    assert trained(recipe_of("memory"), inputs, tmp_path / "memory") == plain != weights


@pytest.mark.parametrize("strategy", ["baseline", "flips"])
def test_random_parts_are_a_function_of_recipe_and_files(dataset, tmp_path, strategy):
    """However many threads make them, wherever the images are kept: the same bytes."""
    inputs = prepared(*dataset, tmp_path / "shards", "patches", size=(4, 6), foreground=0.5)
    inputs = replace(inputs, manifest=manifest_of(inputs)) if strategy == "flips" else inputs
    recipe = recipe_of(strategy)
    found = {
        trained(recipe, inputs, tmp_path / f"run{workers}", Delivery(workers=workers))
        for workers in (0, 1, 3)
    }
    assert len(found) == 1
    cost = json.loads((tmp_path / "run0" / "cost.json").read_text())
    assert (cost["images"], cost["pixels"]) == (6, 6 * 4 * 6)
    elsewhere = recipe.strategy.loader.model_copy(update={"storage": "memory"})
    held = recipe.model_copy(update={"strategy": recipe.strategy.model_copy(update={"loader": elsewhere})})
    assert found == {trained(held, inputs, tmp_path / "held")}
    other = replace(inputs, plan=replace(inputs.plan, foreground=0.0))
    assert found != {trained(recipe, other, tmp_path / "other")}


def test_an_epoch_is_all_tiles_of_the_training_images(dataset, tmp_path):
    """Of tiles a budget of images counts tiles, and the second epoch begins when all were seen."""
    inputs = prepared(*dataset, tmp_path / "shards", "tile", size=(4, 4), overlap=0.5)
    tiles = pd.read_parquet(inputs.shards)["sample"].isin(inputs.of_part("train", 0)["sample"]).sum()
    assert tiles > len(inputs.of_part("train", 0))
    for more, epochs in ((-1, 1), (1, 2)):
        budget = {"budget": {"images": int(tiles) + more}}
        trained(read_study(CONFIG | budget).run("baseline", 0, 1), inputs, tmp_path / f"run{more}")
        cost = json.loads((tmp_path / f"run{more}" / "cost.json").read_text())
        assert (cost["images"], cost["epochs"]) == (tiles + more, epochs)


def test_a_run_writes_what_it_promises(inputs, tmp_path):
    """Weights, history and cost stand in the run's folder; nothing else does."""
    trained(recipe_of("baseline"), inputs, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "model.safetensors",
        "history.parquet",
        "cost.json",
    }


def test_the_history_has_its_keys_and_scores(inputs, tmp_path):
    """A row a validation, with the run's keys as columns and validation scores between 0 and 1."""
    trained(recipe_of("baseline", seed=2), inputs, tmp_path / "run")
    history = pd.read_parquet(tmp_path / "run" / "history.parquet")
    assert set(history.columns) == {
        *("share", "images", "steps", "epochs", "learning_rate", "train_loss"),
        *("val_dice", "val_iou", "val_constant", "strategy", "fold", "seed"),
    }
    assert history[["strategy", "fold", "seed"]].drop_duplicates().values.tolist() == [["baseline", 0, 2]]
    assert history["images"].iloc[-1] == 6 and history["share"].iloc[-1] == 1
    assert history[["val_dice", "val_iou"]].stack().between(0, 1).all()


def test_only_training_images_are_trained_on(inputs, tmp_path):
    """What stands in validation and test images changes no weight."""
    before = trained(recipe_of("baseline"), inputs, tmp_path / "a")
    train_part = inputs.of_part("train", 0)
    parts = [inputs.of_part(part, 0) for part in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(inputs.index) and all(len(part) for part in parts)
    splits = pd.DataFrame({"sample": train_part["sample"], "fold": 0, "part": "train"})
    assert trained(recipe_of("baseline"), replace(inputs, splits=splits), tmp_path / "b") == before


def test_a_fraction_trains_on_its_share(inputs, tmp_path):
    """Half of the data is half of the training images, drawn by the run's seed."""
    trained(recipe_of("half"), inputs, tmp_path / "run")
    cost = json.loads((tmp_path / "run" / "cost.json").read_text())
    assert cost["train_images"] == len(select(inputs.of_part("train", 0), 0.5, 1))
    assert cost["train_images"] < len(inputs.of_part("train", 0))


def test_the_manifest_is_what_augments(inputs, tmp_path):
    """Synthetic images change the weights; which ones follows from the manifest alone."""
    plain = trained(recipe_of("flips"), inputs, tmp_path / "a")
    one, other = (replace(inputs, manifest=manifest_of(inputs, seed)) for seed in (1, 2))
    first = trained(recipe_of("flips"), one, tmp_path / "b")
    assert first != plain
    assert trained(recipe_of("flips"), one, tmp_path / "c") == first
    assert trained(recipe_of("flips"), other, tmp_path / "d") != first


def test_a_strategy_s_own_rate_is_used(inputs, tmp_path):
    """`learning_rate` of a strategy stands in place of the common one."""
    trained(recipe_of("slow"), inputs, tmp_path / "run")
    history = pd.read_parquet(tmp_path / "run" / "history.parquet")
    assert 0 < history["learning_rate"].max() < 1e-5


def test_a_source_is_taught_on_all_images_and_validated_on_none(inputs, tmp_path):
    """Pretraining is the same run, without a split."""
    recipe = study().pretraining("others")
    trained(recipe, replace(inputs, splits=None), tmp_path / "source")
    cost = json.loads((tmp_path / "source" / "cost.json").read_text())
    assert (cost["train_images"], cost["steps"], cost["strategy"]) == (len(inputs.index), 2, "others")
    assert "val_dice" not in pd.read_parquet(tmp_path / "source" / "history.parquet")


def test_transfer_starts_from_the_source_and_says_what_it_took(inputs, tmp_path):
    """A taught run differs from a random start and has a table of what was taken."""
    trained(study().pretraining("others"), replace(inputs, splits=None), tmp_path / "source")
    given = replace(inputs, weights=str(tmp_path / "source" / "model.safetensors"))
    taught = trained(recipe_of("taught"), given, tmp_path / "taught")
    assert taught != trained(recipe_of("baseline"), inputs, tmp_path / "baseline")
    fates = pd.read_csv(tmp_path / "taught" / "transfer.csv").set_index("tensor")["fate"]
    assert set(fates[fates == "new"].index) == {"head.weight", "head.bias"}
    assert set(fates) == {"taken", "new"}


def test_a_frozen_encoder_stays_as_the_source_left_it(inputs, tmp_path):
    """`freeze: encoder` keeps the source's encoder bit for bit, and the cost counts what learns."""
    trained(study().pretraining("others"), replace(inputs, splits=None), tmp_path / "source")
    given = replace(inputs, weights=str(tmp_path / "source" / "model.safetensors"))
    trained(recipe_of("frozen"), given, tmp_path / "frozen")
    source, frozen = (load_file(tmp_path / name / "model.safetensors") for name in ("source", "frozen"))
    same = {name for name in frozen if torch.equal(frozen[name], source[name])}
    assert same == {name for name in frozen if name.startswith("encoder.")}
    cost = json.loads((tmp_path / "frozen" / "cost.json").read_text())
    assert cost["trainable"] == sum(v.numel() for name, v in frozen.items() if name not in same)


def test_a_control_s_batch_normalisation_is_settled_before_it_trains(inputs, tmp_path):
    """A classifier with random weights begins with statistics of its training images, the same each time."""
    recipe = recipe_of("classifier")
    plan = plans.fit_plan("native", inputs.index[["height", "width"]].to_numpy(), stride=32)
    write_shard(tmp_path / "0.h5", inputs.index, plan, CLASSES)
    write_table(catalogue([tmp_path / "0.h5"]), tmp_path / "shards.parquet")
    given = replace(inputs, plan=plan, shards=tmp_path / "shards.parquet")
    first = trained(recipe, given, tmp_path / "a")
    assert trained(recipe, given, tmp_path / "b") == first
    kept = load_file(tmp_path / "a" / "model.safetensors")
    means = [value for name, value in kept.items() if name.endswith("running_mean")]
    assert len(means) == 56
    assert all(value.any() for value in means)


def test_a_run_starts_anew_over_an_older_one(inputs, tmp_path):
    """A folder with the files of a former run ends as a fresh one does."""
    first = trained(recipe_of("baseline"), inputs, tmp_path / "a")
    trained(recipe_of("slow"), inputs, tmp_path / "b")
    assert trained(recipe_of("baseline"), inputs, tmp_path / "b") == first


CHILD = """
import pickle, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from stratagem.core.job import running
with running(SimpleNamespace(log=[sys.argv[3]], scriptdir=sys.argv[1])):
    from stratagem.runs.train import train
    with open(sys.argv[2], "rb") as file:
        train(*pickle.load(file))
"""
LONG = CONFIG | {"budget": {"steps": 300}, "training": {"validations": 3}}
UNET = {"width": 2, "depth": 1, "seed": 0}
SCRIPTS = Path(__file__).parents[2] / "scripts"


def _start(arguments: tuple, folder: Path) -> subprocess.Popen:
    """A run in a process of its own, as a job is."""
    given = folder.with_name(f"{folder.name}.pickle")
    given.write_bytes(pickle.dumps(arguments))
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(SCRIPTS), str(given), str(folder.with_name(f"{folder.name}.log"))],
        stderr=subprocess.PIPE,
        text=True,
    )


def _steps(folder: Path) -> list[int]:
    """Of the records that are there."""
    return sorted(int(path.stem[4:]) for path in folder.glob("state/*/step*.safetensors"))


def _end_at(process: subprocess.Popen, folder: Path, step: int, number: signal.Signals) -> int:
    """Send a signal as soon as a record of that step, or a later one, is there; the exit status."""
    while process.poll() is None and not (_steps(folder) and _steps(folder)[-1] >= step):
        time.sleep(0.001)
    process.send_signal(number)
    return process.wait()


@pytest.mark.parametrize("kind", ["train", "pretrain"])
def test_a_run_that_was_killed_ends_in_the_same_bytes(inputs, tmp_path, kind):
    """Killed outright, then ended by SIGTERM, then left alone: weights and history are those of one start."""
    study, folder = read_study(LONG), tmp_path / "killed"
    if kind == "train":
        recipe, inputs = study.run("flips", 0, 1), replace(inputs, manifest=manifest_of(inputs))
    else:
        recipe, inputs = study.pretraining("others"), replace(inputs, splits=None)
        recipe = recipe.model_copy(update={"budget": study.budget})
    common = (recipe, inputs, "cpu", DELIVERY, {"source": "0"})
    train(*common, tmp_path / "alone", 1000)
    assert _end_at(_start((*common, folder, 0.02), folder), folder, 20, signal.SIGKILL) == -signal.SIGKILL
    after_kill = _steps(folder)[-1]
    assert 20 <= after_kill < 300
    assert len(_steps(folder)) <= 3  # two are kept, and a kill may come before the oldest is removed
    ended = _end_at(_start((*common, folder, 0.02), folder), folder, after_kill + 20, signal.SIGTERM)
    assert ended == 128 + signal.SIGTERM and not (folder / "model.safetensors").exists()
    last = _start((*common, folder, 1000), folder)
    assert last.wait() == 0, last.stderr.read()
    for name in ("model.safetensors", "history.parquet"):
        assert (folder / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert json.loads((folder / "cost.json").read_text())["resumes"] == 2
    assert not (folder / "state").exists() and not list(folder.glob(".*"))


def test_two_processes_do_not_train_one_run(inputs, tmp_path):
    """A training that outlived its Snakemake is told of, and left alone; afterwards all is as ever."""
    folder, recipe = tmp_path / "run", read_study(LONG).run("baseline", 0, 1)
    common = (recipe, inputs, "cpu", DELIVERY, {"source": "0"}, folder)
    first = _start((*common, 0.02), folder)
    while first.poll() is None and not _steps(folder):
        time.sleep(0.001)
    with pytest.raises(TrainingError, match="another that does.*Wait until it has ended, or end it"):
        train(*common, 1000)
    assert first.wait() == 0
    whole = (folder / "model.safetensors").read_bytes()
    train(*common, 1000)
    assert (folder / "model.safetensors").read_bytes() == whole


def test_a_record_of_another_run_is_set_aside(inputs, tmp_path, caplog):
    """Other code, another recipe or other files: the run starts afresh, and says why."""
    folder = tmp_path / "run"
    recipe = read_study(LONG).run("baseline", 0, 1)
    given = replace(inputs, files={"shards": str(inputs.shards)})
    process = _start((recipe, given, "cpu", DELIVERY, {"source": "0"}, folder, 0.02), folder)
    _end_at(process, folder, 5, signal.SIGKILL)
    pd.read_parquet(inputs.shards).iloc[::-1].to_parquet(tmp_path / "shards" / "others.parquet")
    other = replace(inputs, files={"shards": str(tmp_path / "shards" / "others.parquet")})
    with caplog.at_level(logging.INFO, "stratagem"):
        train(recipe, other, "cpu", DELIVERY, {"source": "1"}, folder, 1000)
    assert "is set aside: its origin, shards differ; this run starts afresh" in caplog.text
    assert json.loads((folder / "cost.json").read_text())["resumes"] == 0
    assert not (folder / "state").exists()
