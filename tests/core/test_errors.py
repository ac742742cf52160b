"""Every error says how to go on."""

import pytest

from stratagem.core import errors
from stratagem.core.errors import ConfigError, StratagemError

ONE_CAUSE = [
    (errors.DataError, ValueError),
    (errors.GeometryError, ValueError),
    (errors.ShardError, OSError),
    (errors.WeightsError, ValueError),
    (errors.DeviceError, RuntimeError),
    (errors.TrainingError, RuntimeError),
]
PARTS = {"expected": "a mask of 40x60", "found": "one of 40x61", "where": "a.png", "remedy": "Replace it."}


@pytest.mark.parametrize(("kind", "builtin"), ONE_CAUSE)
def test_an_error_is_of_the_family_and_of_the_builtin_kind(kind, builtin):
    """Who knows Python's own errors catches ours by the usual name."""
    assert issubclass(kind, StratagemError)
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("kind", [kind for kind, _ in ONE_CAUSE])
def test_a_message_states_where_expected_found_and_remedy(kind):
    """One sentence holds all that I need to go on."""
    error = kind(**PARTS)
    assert str(error) == "a.png: expected a mask of 40x60, but found one of 40x61. Replace it."
    assert {name: getattr(error, name) for name in PARTS} == PARTS


def test_a_part_left_out_is_refused():
    """No error can be raised without its cure."""
    with pytest.raises(TypeError, match="remedy"):
        StratagemError(expected="a", found="b", where="c")


def test_a_config_error_carries_all_faults_a_line_each():
    """I see everything that is wrong with my study at once."""
    error = ConfigError(["seeds: missing; add it.", "budget: missing; add it."])
    assert error.faults == ["seeds: missing; add it.", "budget: missing; add it."]
    assert str(error).splitlines() == error.faults
    assert isinstance(error, StratagemError)
    assert isinstance(error, ValueError)
