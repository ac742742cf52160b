"""A copy of the workflow and a tiny study in it, run to its report once for all tests here."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config.yaml", "envs", "profiles", "rules", "schemas", "scripts", "studies")
LOADER = {"fraction": 0.1, "batch_size": 2}
TINY = {
    "study": "tiny",
    "images": "data/demo/tissue/images",
    "masks": "data/demo/tissue/masks",
    "classes": ["background", "cell"],
    "split": {"test": 0.1, "validation": 0.05},
    "seeds": [1, 2],
    "budget": {"images": 6},
    "shards": 2,
    "unet": {"width": 2, "depth": 2},
    "training": {"validations": 2},
    "resolutions": {"native": {"plan": "native"}, "resize": {"plan": "resize", "size": [32, 32]}},
    "augmentations": {"flips": {"flip_horizontal": 0.5, "variants": 2}},
    "sources": {
        "glow": {
            "images": "data/demo/glow/images",
            "masks": "data/demo/glow/masks",
            "classes": ["background", "cell"],
            "resolution": "resize",
            "budget": {"images": 4},
        }
    },
    "strategies": {
        "baseline": {"resolution": "native", "loader": LOADER | {"storage": "memory"}},
        "from-shards": {"resolution": "native", "loader": LOADER | {"storage": "shards"}},
        "augment": {"resolution": "resize", "augmentation": "flips", "loader": LOADER},
        "transfer": {"resolution": "resize", "init": {"source": "glow"}, "loader": LOADER},
    },
    "report": {"examples": 2},
}


@dataclass
class Checkout:
    """A copy of the workflow's files that a test may change."""

    folder: Path

    @property
    def strategies(self) -> dict:
        """Those of the tiny study."""
        return TINY["strategies"]

    def study(self, **changes) -> None:
        """Write study.yaml: the tiny study, some of its keys changed."""
        (self.folder / "study.yaml").write_text(yaml.safe_dump(TINY | changes, sort_keys=False))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run the workflow on study.yaml; output and errors come back as one text."""
        words = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        if "--configfile" not in arguments:
            words += ["--configfile", "study.yaml"]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            words,
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """How many jobs of each rule would run; `all` left out."""
        said = self.snakemake("--dry-run", *arguments)
        assert said.returncode == 0, said.stdout
        stats = re.search(r"^job +count\n[- ]+\n(.*?)^total", said.stdout, re.MULTILINE | re.DOTALL)
        if stats is None:
            assert "Nothing to be done" in said.stdout, said.stdout
            return {}
        pairs = (line.split() for line in stats.group(1).splitlines() if line.strip())
        return {rule: int(count) for rule, count in pairs if rule != "all"}


def copy_to(folder: Path) -> Checkout:
    """The workflow's own files, as a clone has them."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / part)
    return Checkout(folder)


@pytest.fixture
def clone(tmp_path) -> Checkout:
    """A fresh copy, nothing run in it."""
    return copy_to(tmp_path / "clone")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A copy in which the tiny study has run to its report; tests leave it as they found it."""
    checkout = copy_to(tmp_path_factory.mktemp("workflow") / "clone")
    checkout.study()
    said = checkout.snakemake()
    assert said.returncode == 0, said.stdout
    return checkout
