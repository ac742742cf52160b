"""Work on many items by a few threads, in bounded memory, with results in the items' order."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

Item = TypeVar("Item")
Made = TypeVar("Made")
AHEAD = 4  # items a thread that may wait for an earlier one


def in_order(
    function: Callable[[Item], Made],
    items: Iterable[Item],
    *,
    threads: int,
    weight: Callable[[Item], int],
    limit: int,
) -> Iterator[Made]:
    """What a function makes of each item.

    Parameters
    ----------
    function : function of an item
        Called by several threads at once.
    items : iterable
    threads : int
        1: no thread is started.
    weight : function of an item
        What an item takes while it is worked on, such as memory.
    limit : int
        What the items that are worked on may weigh together; one that weighs more is worked on alone.

    Yields
    ------
    object
        In the order of the items.
    """
    if threads == 1:
        yield from map(function, items)
        return
    room = _Room(limit)

    def worked(item: Item) -> Made:
        with room.taken(weight(item)):
            return function(item)

    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(worked, item))
            if len(waiting) >= AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Room:
    """A limit that threads share."""

    def __init__(self, limit: int):
        self._limit = self._free = limit
        self._changed = threading.Condition()

    def taken(self, weight: int) -> "_Taken":
        return _Taken(self, min(weight, self._limit))

    def change(self, weight: int) -> None:
        """Take what weighs, or give back what weighs less than nothing; waits until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: weight <= self._free)
            self._free -= weight
            self._changed.notify_all()


class _Taken:
    """A part of the room, while a block runs."""

    def __init__(self, room: _Room, weight: int):
        self._room, self._weight = room, weight

    def __enter__(self) -> None:
        self._room.change(self._weight)

    def __exit__(self, *_error: object) -> None:
        self._room.change(-self._weight)
