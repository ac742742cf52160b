"""A damaged input is found by its kind, whatever the job made of it."""

import errno
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

from stratagem.core import intact
from stratagem.core.errors import MachineError
from stratagem.core.files import write_table
from stratagem.core.intact import damage, require_whole


@pytest.fixture
def files(tmp_path):
    """One whole file of each kind."""
    table = pd.DataFrame(
        {"name": [f"sample {n}" for n in range(500)], "value": np.random.default_rng(0).random(500)}
    )
    write_table(table, tmp_path / "a.parquet")
    write_table(table, tmp_path / "a.csv")
    (tmp_path / "a.json").write_text(json.dumps({"a": list(range(99))}))
    save_file({"a": np.arange(999.0)}, tmp_path / "a.safetensors")
    (tmp_path / "a.bin").write_bytes(b"1")
    return tmp_path


def test_whole_files_are_no_damage(files):
    """Folders are passed over."""
    assert damage([files, *files.iterdir()]) is None


@pytest.mark.parametrize("kind", ["parquet", "json", "safetensors"])
@pytest.mark.parametrize("left", [0, 0.5, 0.95])
def test_a_file_that_was_cut_is_named_with_its_cure(files, kind, left):
    """At any place."""
    path = files / f"a.{kind}"
    path.write_bytes(path.read_bytes()[: int(left * path.stat().st_size)])
    said = str(damage([files / "a.bin", path]))
    assert f"{path}: expected the whole file that an earlier job wrote, but found a damaged one (" in said
    assert f"`rm -f {path}`" in said


@pytest.mark.parametrize("place", [0.2, 0.5])
def test_a_flipped_byte_in_a_table_is_found(files, place):
    """By the checksum of its page, which nothing looks at otherwise."""
    path = files / "a.parquet"
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 0xFF
    path.write_bytes(bytes(data))
    assert "a damaged one" in str(damage([path]))


def test_a_file_that_is_gone_is_named(tmp_path):
    """Removed while the call went on."""
    assert "removed since the call began" in str(damage([tmp_path / "no.parquet"]))


def test_a_table_or_a_drawing_that_was_cut_is_found(files):
    """Each reads without an error where it is cut within a line, or is shown as it is."""
    (files / "a.csv").write_bytes((files / "a.csv").read_bytes()[:-3])
    (files / "a.svg").write_text("<svg><g></g>")
    for name in ("a.csv", "a.svg"):
        with pytest.raises(MachineError, match="a damaged one"):
            require_whole([files / name])


def test_a_picture_that_was_cut_is_made_anew_with_its_folder(files):
    """Snakemake does not miss one file of a folder that a job made whole."""
    folder = files / "predictions"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    require_whole([folder / "a.png"], made=folder)
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:-2000])
    with pytest.raises(MachineError, match=rf"a.png: .* a damaged one .*`rm -rf {folder}` and"):
        require_whole([folder / "a.png"], made=folder)


def test_memory_that_runs_out_is_no_damage(files, monkeypatch):
    """While the reason is looked for, no less than before."""

    def no_memory(path):
        raise OSError(errno.ENOMEM, "Cannot allocate memory", str(path))

    monkeypatch.setitem(intact.READERS, ".json", no_memory)
    assert "expected memory enough" in str(damage([files / "a.json"]))
