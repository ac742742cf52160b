"""Raw files are walked once a call; its jobs read what it found."""

from pathlib import Path

import pytest

from stratagem.data import raw
from stratagem.data.sample import fingerprint, image_files


@pytest.fixture
def places(dataset):
    """The two folders of the tiny data set."""
    return [str(folder) for folder in dataset]


@pytest.fixture
def walks(monkeypatch):
    """What was walked, in order."""
    seen = []

    def counted(*places, **options):
        seen.append(places)
        return fingerprint(*places, **options)

    monkeypatch.setattr(raw, "fingerprint", counted)
    return seen


def test_a_job_reads_what_the_call_found(places, walks, tmp_path):
    """Also one on another machine, and though the files changed meanwhile: they were planned together."""
    digest = raw.found(places, tmp_path / "study" / "raw.json")
    next((tmp_path / "images").rglob("*.png")).unlink()
    assert raw.remembered(places, tmp_path / "study" / "raw.json") == digest
    assert len(walks) == 1


def test_a_call_always_looks_anew(places, tmp_path):
    """What was written down by an earlier call is no answer to this one."""
    digest = raw.found(places, tmp_path / "raw.json")
    next((tmp_path / "images").rglob("*.png")).unlink()
    assert raw.found(places, tmp_path / "raw.json") != digest


def test_a_dry_run_writes_nothing(places, tmp_path):
    """It starts no job that would read it."""
    before = sorted(tmp_path.iterdir())
    assert raw.found(places, None) == fingerprint(*places)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", [None, "{", "[]", '{"places": ["elsewhere"], "files": "x"}'])
def test_without_a_record_that_fits_a_job_looks_itself(places, tmp_path, content):
    """Missing, damaged, or of other folders."""
    if content is not None:
        (tmp_path / "raw.json").write_text(content)
    assert raw.remembered(places, tmp_path / "raw.json") == fingerprint(*places)


def test_what_was_walked_already_is_not_walked_again(places, tmp_path):
    """A caller's own listing gives the same digest; another one another."""
    listed = {Path(place): list(image_files(Path(place))) for place in places}
    assert raw.found(places, None, listed.__getitem__) == raw.found(places, None)
    assert raw.found(places, None, lambda folder: listed[folder][1:]) != raw.found(places, None)
