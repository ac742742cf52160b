"""What a process keeps from others for a while: signals from a block of code, a file from other processes."""

import contextlib
import fcntl
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["locked", "uninterrupted"]


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM until the block is done: what it changes, it changes as a whole."""
    if threading.current_thread() is not threading.main_thread():  # no signal comes here
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda n, _: came.append(n))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def locked(path: str | Path) -> IO | None:
    """A file that one process at a time can hold, made if need be; None while another does.

    It is free again when it is closed, or its holder dies.
    """
    file = open(path, "w")  # noqa: SIM115  # the lock is held for as long as it is open
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
