"""A job that the system ended is told as one, with what it held."""

import logging
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from repository import PACKAGE
from stratagem.core.killed import killed_jobs, watched

JOB = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, {scripts!r})
from stratagem.core.job import running
resources = SimpleNamespace(mem_mb=4000)
with running(SimpleNamespace(log=[{log!r}], scriptdir="none", resources=resources)):
    held = bytearray(b"1") * 400_000_000
    Path({log!r}).with_suffix(".ready").touch()
    time.sleep(2)
    if {end!r} == "killed":
        time.sleep(60)
"""


def _call(folder: Path, *logs: Path) -> Path:
    """What Snakemake writes down of jobs that failed."""
    blocks = [
        f"Error in rule train:\n    message: None\n    jobid: {n}\n    output: a\n"
        f"    log: {log} (check log file(s) for error details)\n"
        for n, log in enumerate(logs)
    ]
    path = folder / "snakemake.log"
    path.write_text("\n".join(blocks))
    return path


@pytest.mark.parametrize("end", ["killed", "done"])
def test_a_killed_job_is_told_with_the_memory_it_held(tmp_path, end):
    """SIGKILL, which leaves no word; a job that ended by itself is none."""
    log = tmp_path / "train.log"
    code = textwrap.dedent(JOB).format(scripts=str(PACKAGE.parent), log=str(log), end=end)
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while end == "killed" and "memory: " not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    if end == "killed":
        process.send_signal(signal.SIGKILL)
    process.wait()
    said = list(killed_jobs([_call(tmp_path, log)]))
    assert len(said) == (end == "killed")
    for sentence in said:
        assert sentence.startswith(
            f"{log}: the job was ended by the system, most likely for memory. It held "
        )
        assert "and was granted 4,000 MB" in sentence


def test_only_jobs_that_failed_and_began_are_looked_at(tmp_path):
    """One that failed by itself, one without a log, one told twice; no log of the call."""
    for name, last in (
        ("failed", "12:00:00 failed\nTraceback\nKeyError"),
        ("stopped", "12:00:00 ended by SIGTERM"),
        ("open", "12:00:00 a"),
    ):
        (tmp_path / name).write_text(f"12:00:00 begun\n{last}\n\n")
    logs = [tmp_path / name for name in ("failed", "stopped", "open", "open", "never")]
    assert [said.split(":")[0] for said in killed_jobs([_call(tmp_path, *logs)])] == [str(tmp_path / "open")]
    assert list(killed_jobs([tmp_path / "no.log"])) == []


def test_a_small_job_says_nothing_of_memory(caplog):
    """Of more it says only what has grown."""
    log = logging.getLogger("stratagem")
    with caplog.at_level(logging.INFO), watched(log, 1000):
        pass
    assert "memory" not in caplog.text
