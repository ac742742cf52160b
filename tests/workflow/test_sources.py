"""Weights of a classifier, from a file to a trained strategy."""

import json

import pandas as pd
import pytest

torchvision = pytest.importorskip("torchvision")
import torch  # noqa: E402


@pytest.fixture
def classifier(clone):
    """A study whose one strategy starts from a ResNet-18's weights in a local file."""
    torch.save(torchvision.models.resnet18().state_dict(), clone.folder / "resnet18.pth")
    clone.study(
        seeds=[1],
        budget={"images": 2},
        sources={"imagenet": {"weights": "resnet18.pth"}},
        strategies={
            "baseline": {
                "resolution": "resize",
                "network": "resnet18",
                "init": {"source": "imagenet", "freeze": "encoder"},
                "loader": {"fraction": 0.1, "batch_size": 2},
            }
        },
    )
    return clone


def test_a_strategy_starts_from_a_classifiers_weights(classifier):
    """The encoder is taken whole, the classifier's own last layer is left, the encoder stays as it was."""
    run = "results/tiny/runs/baseline/fold0/seed1"
    said = classifier.snakemake(f"{run}/model.safetensors")
    assert said.returncode == 0, said.stdout
    fates = pd.read_csv(classifier.folder / run / "transfer.csv").set_index("tensor")["fate"]
    assert set(fates[fates.index.str.startswith("encoder.fc")]) == {"left"}
    encoder = fates[fates.index.str.startswith("encoder.") & ~fates.index.str.contains("encoder.fc")]
    assert set(encoder) == {"taken"}


def test_a_missing_weights_file_is_told_in_a_sentence(classifier):
    """I name a file that is not there: its name and what to do, no traceback."""
    (classifier.folder / "resnet18.pth").unlink()
    said = classifier.snakemake("results/tiny/sources/imagenet/model.safetensors")
    assert said.returncode != 0
    assert "resnet18.pth: expected a weights file, but found no file of that name" in said.stdout
    assert "Traceback" not in said.stdout


@pytest.fixture
def published(clone, tmp_path, monkeypatch):
    """A study of ImageNet's weights by name, whose file lies in torch's cache; none is on the net."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    clone.study(
        seeds=[1],
        budget={"images": 2},
        sources={"imagenet": {"weights": "DEFAULT", "network": "shufflenet_v2_x0_5"}},
        strategies={
            "baseline": {"resolution": "resize", "loader": {"fraction": 0.1, "batch_size": 2}},
            "tuned": {
                "resolution": "resize",
                "network": "shufflenet_v2_x0_5",
                "init": {"source": "imagenet"},
                "loader": {"fraction": 0.1, "batch_size": 2},
            },
        },
    )
    return clone


def test_prefetch_without_a_network_says_which_file_to_put_where(published, tmp_path):
    """One sentence with the address and the path; nothing half-written is left."""
    said = published.snakemake("prefetch")
    assert said.returncode != 0
    assert f"put the file at {tmp_path}/hub/checkpoints/shufflenetv2_x0.5-f707e7126e.pth" in said.stdout
    assert "Traceback" not in said.stdout
    assert not list((tmp_path / "hub" / "checkpoints").iterdir())


def test_a_classifier_s_control_is_planned_beside_it(published):
    """Weights by name: one more strategy trains, with random weights."""
    planned = published.planned()
    assert (planned["train"], planned["evaluate"], planned["fetch"]) == (3, 3, 1)


def test_prefetch_fetches_all_that_a_study_needs_from_elsewhere(classifier):
    """A local file here; the runs then find it."""
    said = classifier.snakemake("prefetch")
    assert said.returncode == 0, said.stdout
    assert (classifier.folder / "results/tiny/sources/imagenet/model.safetensors").is_file()
    assert "fetch" not in classifier.planned()


@pytest.mark.xdist_group("workflow")
def test_a_run_of_another_study_is_a_source(finished):
    """A study goes on from the network that another one ended with."""
    loader = {"fraction": 0.1, "batch_size": 2}
    strategies = {name: {"resolution": "resize", "loader": loader} for name in ("baseline", "further")}
    strategies["further"]["init"] = {"source": "run", "freeze": "all-but-last"}
    finished.study(
        **{part: f"data/demo/glow/{part}" for part in ("images", "masks")},
        study="next",
        seeds=[1],
        budget={"images": 2},
        sources={"run": {"run": "results/tiny/runs/baseline/fold0/seed1"}},
        strategies=strategies,
    )
    try:
        said = finished.snakemake()
    finally:
        finished.study()
    assert said.returncode == 0, said.stdout
    results = finished.folder / "results/next"
    fates = pd.read_csv(results / "runs/further/fold0/seed1/transfer.csv")
    assert set(fates.loc[fates["fate"] != "taken", "tensor"]) == {"head.weight", "head.bias"}
    costs = pd.read_csv(results / "report/tables/costs.csv").set_index("strategy")
    assert costs.loc["further", "pretraining_cpu_s"] > 0
    looked = json.loads((results / "sources/run/overlap.json").read_text())
    tissue = list((finished.folder / "data/demo/tissue/images").glob("*.png"))
    assert looked == {"duplicates": "near", "compared": len(tissue), "gone": 0}
