"""Signals kept from a block of code until it is done."""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["uninterrupted"]


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM until the block is done: what it changes, it changes as a whole.

    The first signal that came is raised again after the block, also where the block failed. Outside the main
    thread, which alone receives signals, nothing is held back.

    Raises
    ------
    KeyboardInterrupt
        After the block, if Ctrl-C came within it; inside `stratagem.core.job.running` also for SIGTERM.
    """
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
