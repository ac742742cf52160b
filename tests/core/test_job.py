"""A script ends with one sentence on the screen and its traceback in the log."""

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from repository import PACKAGE
from stratagem.core import job
from stratagem.core.errors import ConfigError, DataError, DeviceError
from stratagem.core.job import require_threads, running


@pytest.fixture
def snakemake(tmp_path):
    """What a script is handed, as far as a job reads it."""
    return SimpleNamespace(log=[str(tmp_path / "logs" / "train.log")], scriptdir=str(PACKAGE.parent))


def _log(snakemake) -> str:
    return Path(snakemake.log[0]).read_text(encoding="utf-8")


def test_a_job_logs_what_the_package_says(snakemake):
    """The rule's log holds the messages and the end."""
    with running(snakemake):
        job.log.info("7 images, ä")
    lines = _log(snakemake).splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["7 images, ä", "done"]


def test_an_error_of_ours_ends_in_its_sentence_and_the_log(snakemake):
    """I read what is wrong, what to do and where the log is; no traceback."""
    error = DataError(expected="a mask", found="none", where="a.png", remedy="Add it.")
    with pytest.raises(SystemExit) as caught, running(snakemake):
        raise error
    assert caught.value.code == f"{error}\nLog: {snakemake.log[0]}"
    assert "Traceback" in _log(snakemake) and "done" not in _log(snakemake)


def test_all_faults_of_a_config_are_shown(snakemake):
    """Each fault has its line."""
    with pytest.raises(SystemExit, match=r"^one\.\ntwo\.\nLog: "), running(snakemake):
        raise ConfigError(["one.", "two."])


def test_any_other_error_ends_in_one_sentence_too(snakemake):
    """A fault of Stratagem's own says so, where, and that the traceback is in the log."""
    with pytest.raises(SystemExit) as caught, running(snakemake):
        [].pop()
    sentence = caught.value.code
    assert sentence.startswith("Unexpected IndexError in test_job.py:")
    assert "pop from empty list" in sentence and sentence.endswith(snakemake.log[0])
    assert "Traceback" not in sentence and "Traceback" in _log(snakemake)


# A job that says it has begun, works until it is ended, and cleans up behind itself.
ENDLESS = """
import signal, sys, time
from pathlib import Path
from types import SimpleNamespace
from stratagem.core.job import running
folder = Path(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
with running(SimpleNamespace(log=[folder / "job.log"], scriptdir=str(folder))):
    try:
        (folder / "begun").touch()
        time.sleep(60)
    finally:
        (folder / "cleaned").touch()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_is_not_an_error(number, status, tmp_path):
    """I press Ctrl-C, or a batch system ends the job: no traceback, a line in the log, nothing left over."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", ENDLESS, str(tmp_path)]
    job = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while not (tmp_path / "begun").exists():
            assert job.poll() is None
            time.sleep(0.01)
        job.send_signal(number)
        assert job.communicate(timeout=60)[0] == b""
    finally:
        job.kill()
        job.wait()
    assert job.returncode == status
    assert (tmp_path / "cleaned").exists()
    lines = (tmp_path / "job.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [f"ended by {number.name}"]


def test_a_job_leaves_the_signals_as_they_were(snakemake):
    """What follows a job is ended as it always was."""
    before = signal.getsignal(signal.SIGTERM)
    with running(snakemake):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("error", [None, ValueError("x")])
def test_a_job_leaves_the_logger_as_it_was(snakemake, error):
    """Two jobs of one process do not write into each other's log."""
    before = list(logging.getLogger("stratagem").handlers)
    try:
        with running(snakemake):
            if error:
                raise error
    except SystemExit:
        pass
    assert logging.getLogger("stratagem").handlers == before


def test_a_second_start_begins_a_new_log(snakemake):
    """The log tells of the last start alone."""
    for word in ("first", "second"):
        with running(snakemake):
            job.log.info(word)
    assert "first" not in _log(snakemake)


def _beside(tmp_path, version: str) -> str:
    """A scripts folder with a package of this version, which is not the one imported."""
    package = tmp_path / "scripts" / "stratagem"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    return str(package.parent)


def test_a_package_of_another_version_stops_the_job(snakemake, tmp_path):
    """An installed Stratagem cannot stand in for the one beside the script unseen."""
    snakemake.scriptdir = _beside(tmp_path, "0.0.0")
    with pytest.raises(SystemExit, match="pip uninstall stratagem"), running(snakemake):
        pytest.fail("the job began")


def test_a_package_of_the_same_version_serves(snakemake, tmp_path):
    """An installed Stratagem of the same version is as good as the one beside the script."""
    from stratagem import __version__

    snakemake.scriptdir = _beside(tmp_path, __version__)
    with running(snakemake):
        pass
    assert "done" in _log(snakemake)


def test_a_script_without_a_package_beside_it_uses_the_installed_one(snakemake, tmp_path):
    """A workflow that only imports Stratagem runs."""
    snakemake.scriptdir = str(tmp_path)
    with running(snakemake):
        pass


def test_too_few_threads_stop_the_job():
    """Fewer threads would give other bits; I am told what to start with."""
    with pytest.raises(DeviceError, match=r"config key `threads`.*2 threads.*1 granted.*--cores 2"):
        require_threads(1, 2)


@pytest.mark.parametrize("granted", [2, 3])
def test_enough_threads_pass(granted):
    """As many as asked, or more, are fine."""
    require_threads(granted, 2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, of Linux")
def test_a_log_on_a_full_disk_ends_no_job(snakemake, capfd):
    """And prints no traceback of its own."""
    snakemake.log = ["/dev/full"]
    with running(snakemake):
        job.log.info("a line")
    assert capfd.readouterr().err == ""


def test_a_log_that_may_not_be_written_ends_no_job(snakemake, tmp_path, capfd):
    """It is told; the outputs say what else is wrong."""
    snakemake.log = [str(tmp_path)]
    with running(snakemake):
        job.log.info("a line")
    assert "the log cannot be written (Is a directory)" in capfd.readouterr().err


def test_what_the_machine_refused_wins_over_what_was_made_of_it(snakemake):
    """A full disk behind an error of ours is told as a full disk."""
    with pytest.raises(SystemExit, match="expected room within your quota"), running(snakemake):
        try:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        except OSError as error:
            raise DataError(expected="a", found="b", where="c", remedy="D.") from error
