"""How much a study will test is counted before its images are read."""

from pathlib import Path

import pandas as pd
import pytest

from stratagem.data.files import image_files
from stratagem.study.extent import units_tested
from stratagem.study.reading import read_study

DEMO = "data/demo"


def _study(**changes):
    config = {"study": "small", "images": "images", "masks": "masks", "classes": ["background", "cell"]}
    config |= {"seeds": [1], "budget": {"steps": 1}, "resolutions": {"native": {"plan": "native"}}}
    return read_study(config | {"strategies": {"baseline": {"resolution": "native"}}} | changes)


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    """Ten images of five patients, with their masks."""
    monkeypatch.chdir(tmp_path)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        for number in range(10):
            (tmp_path / part / f"p{number // 2}_{number}.png").touch()


def _tested(study, index="index.parquet"):
    return units_tested(study, Path(index), DEMO, image_files)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"split": {"test": 0.3}}, ("image", 3)),
        ({"split": {"test": 0.4, "group": "^p[0-9]"}}, ("group", 2)),
        ({"split": {"test": 0.01}}, ("image", 1)),  # one at least
        ({"folds": 4}, ("fold", 4)),
        ({"images": f"{DEMO}/tissue/images", "masks": f"{DEMO}/tissue/masks"}, ("image", 38)),
    ],
    ids=["images", "groups", "few", "folds", "the demo, not made yet"],
)
def test_what_is_tested_follows_from_names_and_split(changes, told):
    """Images, groups or folds, by the shares of the config."""
    assert _tested(_study(**changes)) == told


def test_a_sheet_says_its_own_parts(tmp_path):
    """Who divides the data himself has the test images counted that he names."""
    rows = [
        (f"images/p{n // 2}_{n}.png", f"masks/p{n // 2}_{n}.png", "test" if n < 4 else "train")
        for n in range(10)
    ]
    pd.DataFrame(rows, columns=["image", "mask", "part"]).to_csv(tmp_path / "sheet.csv", index=False)
    study = _study(images=None, masks=None, sheet="sheet.csv")
    assert _tested(study) == ("image", 4)


def test_an_index_knows_of_duplicates(tmp_path):
    """Once images are read, two that are one count once."""
    names = [f"p{n // 2}_{n}" for n in range(10)]
    table = pd.DataFrame(
        {"sample": names, "group": names, "cluster": [names[0]] * 2 + names[2:], "part": None}
    )
    table.to_parquet(tmp_path / "index.parquet")
    assert _tested(_study(split={"test": 0.5})) == ("group", round(0.5 * 9))


def test_folders_without_samples_say_nothing(tmp_path):
    """What is wrong with them is told where they are read."""
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    assert _tested(_study()) is None
    assert _tested(_study(images="nowhere")) is None


def test_masks_beside_their_images_are_not_counted(tmp_path):
    """One folder of both: half of the files are images."""
    for path in (tmp_path / "masks").iterdir():
        path.rename(tmp_path / "images" / f"{path.stem}_mask.png")
    study = _study(masks="images", mask_name="{stem}_mask", split={"test": 0.3})
    assert _tested(study) == ("image", 3)


def test_a_damaged_index_stops_no_call(tmp_path):
    """The rule that makes it says what is wrong; nothing is said here."""
    (tmp_path / "index.parquet").write_bytes(b"PAR1")
    assert _tested(_study()) is None
