"""The files of a run on the tests' data set."""

import pytest

from running import prepared
from stratagem.runs.inputs import Inputs


@pytest.fixture
def inputs(dataset, tmp_path) -> Inputs:
    """The files of a run on the tests' data set."""
    return prepared(*dataset, tmp_path / "shards")
