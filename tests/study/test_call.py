"""The arguments of a call are no keys of a study."""

import pytest

from stratagem.core.errors import ConfigError
from stratagem.study.call import Call, read_call

STUDY = {"study": "mine", "seeds": [1]}


def test_an_argument_is_taken_out_of_the_config():
    """What remains is the study, as if the argument had never been said."""
    assert read_call(STUDY | {"keep": "code"}, {"keep": "code"}) == (STUDY, Call(keep="code"))
    assert read_call(STUDY, {}) == (STUDY, Call())


def test_an_argument_in_a_study_file_is_refused():
    """It would be forgotten there, and decide calls that nobody meant."""
    with pytest.raises(ConfigError, match=r"keep: an argument of a call.*--config keep=code\.$"):
        read_call(STUDY | {"keep": "code"}, {"study": "mine"})


def test_a_job_takes_what_the_call_that_started_it_was_told():
    """A job cannot tell a file from a command line, and need not."""
    assert read_call(STUDY | {"keep": "code"}, None)[1].keep == "code"


def test_another_value_is_refused_with_those_that_are_legal():
    """As any key of a study."""
    with pytest.raises(ConfigError, match="--config keep=everything: expected code, but found 'everything'"):
        read_call(STUDY | {"keep": "everything"}, {"keep": "everything"})


def test_no_argument_has_a_name_of_one_letter():
    """Snakemake refuses such names with a traceback."""
    assert all(len(name) > 1 for name in Call.model_fields)
