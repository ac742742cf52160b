"""The command imports each format by its name."""

import subprocess
import sys
from pathlib import Path

from collecting import block, cells, coco, nnunet, picture, rectangle, save, write_json
from stratagem.data.importers.formats import FORMATS

COMMAND = Path(__file__).parents[3] / "scripts" / "import_data.py"


def _run(*words: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, COMMAND, *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def _labelme(folder):
    save(picture(), folder / "a.png")
    shape = {"label": "cell", "points": [[1, 1], [4, 1], [4, 3]], "shape_type": "polygon"}
    write_json({"shapes": [shape], "imagePath": "a.png"}, folder / "a.json")
    return folder


def _cvat(folder):
    save(picture(), folder / "a.png")
    box = '<box label="cell" xtl="1" ytl="1" xbr="4" ybr="3"/>'
    text = f'<annotations><image name="a.png" width="8" height="6">{box}</image></annotations>'
    (folder / "a.xml").write_text(text)
    return folder / "a.xml", folder


def _voc(folder):
    save(picture(9), folder / "JPEGImages" / "a.png")
    save(block(slice(1, 3), slice(1, 3)), folder / "SegmentationClass" / "a.png")
    return folder


def _folders(folder):
    save(picture(9), folder / "a" / "images" / "a.png")
    save(255 * block(slice(1, 3), slice(1, 3)), folder / "a" / "masks" / "b.png")
    return folder


def _domains(folder):
    for name, value in (("dark", 20), ("light", 220)):
        save(picture(value, (32, 32)), folder / "images" / f"{name}.png")
        save(picture(0, (32, 32)), folder / "masks" / f"{name}.png")
    return folder / "images", folder / "masks"


def test_the_command_imports_each_format(tmp_path):
    """Each format by its name; what was done is printed."""
    annotations, images = coco(tmp_path / "coco", rectangle(1, 1, 4, 3))
    save(picture(), tmp_path / "cells" / "a.png")
    save(cells(), tmp_path / "cells" / "a_masks.png")
    commands = {
        "nnunet": [nnunet(tmp_path / "raw")],
        "coco": [annotations, images],
        "labelme": [_labelme(tmp_path / "labelme")],
        "cvat": _cvat(tmp_path / "cvat"),
        "voc": [_voc(tmp_path / "voc")],
        "folders": [_folders(tmp_path / "kaggle")],
        "labelmaps": [tmp_path / "cells", tmp_path / "cells"],
        "domains": _domains(tmp_path / "domains"),
    }
    assert commands.keys() == FORMATS.keys()
    for name, places in commands.items():
        out = tmp_path / f"from {name}"
        done = _run(name, *places, "--out", out)
        assert (done.returncode, done.stderr) == (0, "")
        assert str(out) in done.stdout
        assert list(out.glob("*.csv"))


def test_the_command_ends_a_mistake_with_a_sentence(tmp_path):
    """A wrong path, or a place that cannot be written to, is one line and exit status 1."""
    wrong = _run("nnunet", tmp_path / "no", "--out", tmp_path / "out")
    unwritable = _run("nnunet", nnunet(tmp_path / "raw"), "--out", tmp_path / "raw" / "dataset.json" / "out")
    for done in (wrong, unwritable):
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
        assert done.stdout == ""
    assert "dataset.json: expected a JSON file with channel_names" in wrong.stderr
    assert "Not a directory" in unwritable.stderr
