"""Signals wait until a block is done."""

import os
import signal
import threading

import pytest

from stratagem.core.signals import uninterrupted


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
