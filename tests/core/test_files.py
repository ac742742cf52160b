"""Files appear whole or not at all."""

import json

import pandas as pd
import pytest

from folders import flip_a_value
from stratagem.core.files import (
    read_table,
    remove_partial,
    replacing,
    replacing_folder,
    write_json,
    write_table,
    write_text,
)


def test_a_file_appears_under_its_name_only_when_whole(tmp_path):
    """While a file is being written, nobody sees it under its name."""
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as beside:
        beside.write_text("half")
        assert not path.exists()
        assert beside.parent == path.parent
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_keeps_the_earlier_file(tmp_path):
    """A step that fails leaves what stood there before, and no litter."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as beside:
        beside.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_before_the_first_byte_raises_that_failure(tmp_path):
    """I see the error that happened, not one about a missing temporary file."""
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.txt"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_file_may_be_read_by_whom_the_user_lets(tmp_path):
    """Whoever writes it, it gets the permissions of a file that a user makes."""
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "given") as beside:
        beside.write_text("x")
        beside.chmod(0o600)
    assert (tmp_path / "given").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Half-written files go, others stay."""
    (tmp_path / ".model.safetensors.123.part").touch()
    (tmp_path / ".predictions.7.part").mkdir()
    (tmp_path / ".predictions.7.part" / "a.png").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "cost.json").touch()
    remove_partial(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".hidden", "cost.json"}
    remove_partial(tmp_path / "absent")


def test_a_folder_replaces_the_earlier_one(tmp_path):
    """A folder made anew holds nothing of the earlier one."""
    path = tmp_path / "new" / "folder"
    for name in ("first", "second"):
        with replacing_folder(path) as beside:
            (beside / name).write_text(name)
    assert [file.name for file in path.iterdir()] == ["second"]
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_keeps_the_earlier_folder(tmp_path):
    """A failure while a folder is made leaves the earlier folder whole, and no litter."""
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(ZeroDivisionError), replacing_folder(path) as beside:
        (beside / "new").touch()
        raise ZeroDivisionError
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "read"), [("t.csv", pd.read_csv), ("t.parquet", pd.read_parquet)])
def test_a_table_is_written_by_its_ending(tmp_path, name, read):
    """A table comes back as it was, whichever ending I choose, without a column of row numbers."""
    table = pd.DataFrame({"sample": ["a", "é"], "dice": [0.1, 1.0]}, index=[5, 3])
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read(tmp_path / name), table.reset_index(drop=True), check_dtype=False)


def test_a_table_whose_value_was_flipped_is_not_read(tmp_path):
    """One bit of one number, which a plain reader takes; columns are read by name."""
    table = pd.DataFrame({"sample": ["a", "b"] * 99, "pixels": range(198)})
    write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", ["pixels"]).equals(table[["pixels"]])
    flip_a_value(tmp_path / "t.parquet", "pixels")
    with pytest.raises(OSError, match="CRC checksum"):
        read_table(tmp_path / "t.parquet")


def test_json_comes_back(tmp_path):
    """A record comes back as it was, and its file ends in a newline."""
    write_json({"a": [1, None], "b": {"c": 0.1}}, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"a": [1, None], "b": {"c": 0.1}}
    assert text.endswith("}\n")


def test_text_is_utf8(tmp_path):
    """Text is UTF-8, whatever the machine's locale."""
    write_text("µm", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc2\xb5m"


def test_same_table_same_bytes(tmp_path):
    """Writing the same table twice gives the same bytes."""
    table = pd.DataFrame({"x": [1.5, 2.5]})
    for name in ("a.parquet", "b.parquet"):
        write_table(table, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
