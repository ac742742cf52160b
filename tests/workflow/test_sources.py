"""Weights of a classifier, from a file to a trained strategy."""

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
