"""A file has one holder at a time."""

import subprocess
import sys

import filelock
import pytest

from repository import ROOT
from stratagem.core.locks import locked


def test_a_file_has_one_holder(tmp_path):
    """A second one gets nothing until the first has let go, and nothing is lost of that."""
    first = locked(tmp_path / "lock")
    assert first is not None and locked(tmp_path / "lock") is None
    first.release()
    second = locked(tmp_path / "lock")
    assert second is not None
    second.release()


def test_a_dead_process_holds_nothing(tmp_path):
    """Killed outright it lets go."""
    child = "import sys; sys.path.insert(0, sys.argv[1]); from stratagem.core.locks import locked; "
    child += "held = locked(sys.argv[2]); print(held is not None, flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", child, str(ROOT / "scripts"), str(tmp_path / "lock")]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "True\n"
    assert locked(tmp_path / "lock") is None
    holder.kill()
    holder.wait()
    free = locked(tmp_path / "lock")
    assert free is not None
    free.release()


def test_a_file_system_without_locks_says_so(tmp_path, monkeypatch):
    """Some networked disks have none: that is an error of the disk, not a lock that others hold."""

    def none(self) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "_acquire", none)
    with pytest.raises(OSError, match="the file system has no locks"):
        locked(tmp_path / "lock")
