"""One folder of images as two sheets, told apart by the brightness of their background."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.core.errors import DataError
from stratagem.data.domains import LIGHT, divide_domains
from stratagem.data.sheet import read_sheet

COMMAND = Path(__file__).parents[2] / "scripts" / "import_data.py"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Images whose background has some value, and objects of another; their masks."""
    monkeypatch.chdir(tmp_path)
    for name, (ground, cell) in {
        "a": (10, 250),
        "b": (240, 20),
        "sub/c": (LIGHT, 0),
        "d": (LIGHT - 1, 255),
    }.items():
        image = np.full((8, 8, 3), ground, np.uint8)
        image[:3, :3] = cell
        for folder, array in (("images", image), ("masks", (image[..., 0] == cell).astype(np.uint8))):
            path = Path(folder, f"{name}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    return "images", "masks"


def _names(sheet: Path) -> set[str]:
    return set(pd.read_csv(sheet)["image"])


def test_images_are_divided_by_the_median_of_their_grey_values(folders):
    """128 and more is light; a few bright objects make no image light."""
    assert divide_domains(*folders, "out") == ["2 dark images: out/dark.csv", "2 light images: out/light.csv"]
    assert _names(Path("out/dark.csv")) == {"../images/a.png", "../images/d.png"}
    assert _names(Path("out/light.csv")) == {"../images/b.png", "../images/sub/c.png"}


def test_the_sheets_are_read_as_a_study_s(folders):
    """Each row leads to its image and its mask."""
    divide_domains(*folders, "out")
    found = read_sheet("out/light.csv", None)
    assert not found.problems
    assert [(sample.image.name, sample.masks[0].parts[-2:]) for sample in found.samples] == [
        ("b.png", ("masks", "b.png")),
        ("c.png", ("sub", "c.png")),
    ]


def test_an_image_without_a_mask_is_told(folders):
    """Nothing is left out in silence, and nothing written."""
    Path("masks/a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png: expected an image with its mask.*Add it"):
        divide_domains(*folders, "out")
    assert not Path("out").exists()


def test_images_of_one_kind_need_no_division(folders):
    """All dark: I am told so."""
    for name in ("b", "sub/c"):
        for folder in folders:
            Path(folder, f"{name}.png").unlink()
    with pytest.raises(DataError, match="expected dark and light images, but found one kind alone"):
        divide_domains(*folders, "out")


def test_nothing_of_mine_is_replaced(folders):
    """A folder in use stays as it is."""
    Path("out").mkdir()
    Path("out/notes.txt").touch()
    with pytest.raises(DataError, match="a new folder, or an empty one"):
        divide_domains(*folders, "out")
    assert [path.name for path in Path("out").iterdir()] == ["notes.txt"]
    Path("file").touch()
    with pytest.raises(DataError, match="a new folder, or an empty one"):
        divide_domains(*folders, "file")


def test_the_command_does_it(folders):
    """From the command line, with the counts; a fault is a sentence and exit status 1."""
    words = [sys.executable, str(COMMAND), "domains", *folders, "--out", "out"]
    said = subprocess.run(words, capture_output=True, text=True)
    assert (said.returncode, said.stdout.splitlines()[0]) == (0, "2 dark images: out/dark.csv")
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 1
    assert "a new folder" in again.stderr and "Traceback" not in again.stderr
