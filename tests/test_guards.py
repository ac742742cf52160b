"""Signals wait until a block is done, and a file has one holder at a time."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stratagem.guards import locked, uninterrupted

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def told():
    """The signals that reached this process, in order, instead of ending it."""
    came = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in numbers}
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_comes_when_the_block_is_done(told, number):
    """Not before, and not never."""
    with uninterrupted():
        os.kill(os.getpid(), number)
        assert told == []
    assert told == [number]


def test_a_signal_comes_when_a_block_fails(told):
    """The block's own error is not lost, nor is the signal."""
    with pytest.raises(ZeroDivisionError), uninterrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        _ = 1 / 0
    assert told == [signal.SIGTERM]


def test_of_many_signals_one_comes(told):
    """The first: that it is to end, a process need be told once."""
    with uninterrupted():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert told == [signal.SIGTERM]


def test_blocks_may_stand_in_one_another(told):
    """The outer one decides."""
    with uninterrupted():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
        assert told == []
    assert told == [signal.SIGTERM]


def test_a_block_in_another_thread_changes_nothing(told):
    """Signals come to the main thread alone."""
    done = []

    def work():
        with uninterrupted():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    handler = signal.getsignal(signal.SIGTERM)
    thread.start()
    thread.join()
    assert done == [handler]


def test_a_file_has_one_holder(tmp_path):
    """A second one gets nothing until the first has let go, and nothing is lost of that."""
    first = locked(tmp_path / "lock")
    assert first is not None and locked(tmp_path / "lock") is None
    first.close()
    second = locked(tmp_path / "lock")
    assert second is not None
    second.close()


def test_a_dead_process_holds_nothing(tmp_path):
    """Killed outright it lets go."""
    child = "import sys; sys.path.insert(0, sys.argv[1]); from stratagem.guards import locked; "
    child += "held = locked(sys.argv[2]); print(held is not None, flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", child, str(SCRIPTS), str(tmp_path / "lock")]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "True\n"
    assert locked(tmp_path / "lock") is None
    holder.kill()
    holder.wait()
    free = locked(tmp_path / "lock")
    assert free is not None
    free.close()
