"""All faults of a collection in one error."""

import pytest
from pydantic import BaseModel

from stratagem.core.errors import DataError
from stratagem.data.importers.faults import read_json, require_folder, require_none, sentence, twice


class _Model(BaseModel):
    name: str
    sizes: list[int]
    more: int = 0


def test_all_faults_are_in_one_error_with_one_remedy(tmp_path):
    """Counted where there are several; none is no error."""
    require_none([], "files", tmp_path, "Mend them.")
    with pytest.raises(DataError) as caught:
        require_none(["a is bad", "b is bad"], "files", tmp_path, "Mend them.")
    assert (
        str(caught.value) == f"{tmp_path}: expected files, but found 2 faults: a is bad; b is bad. Mend them."
    )
    assert sentence(caught.value) == f"{tmp_path}: expected files, but found 2 faults: a is bad; b is bad"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"name": "a", "sizes": [1, "x"]}', ["sizes.1: Input should be a valid integer"]),
        ("{", ["Invalid JSON"]),
        (None, ["No such file"]),
        ("{}", ["name: Field required", "sizes: Field required"]),
    ],
)
def test_a_json_file_that_says_something_else_is_told(tmp_path, text, words):
    """Every place of it, and what it must hold."""
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read_json(_Model, tmp_path / "a.json", "Mend it.")
    for word in [*words, "expected a JSON file with name, sizes, but"]:
        assert word in str(caught.value)


def test_what_is_given_twice_is_counted(tmp_path):
    """And a file is no folder."""
    assert twice("name", ["a", "b", "a"]) == ["name 'a' is given 2 times"]
    (tmp_path / "a").touch()
    for name, found in (("no", "none of that name"), ("a", "a file")):
        with pytest.raises(DataError, match=f"expected a folder, but found {found}"):
            require_folder(tmp_path / name)
