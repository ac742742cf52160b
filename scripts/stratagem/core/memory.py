"""How much main memory there is for this process."""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["total_mb"]

# Where Linux says what a container or a batch job may hold: its groups, of the second version and the first.
OWN_GROUPS, MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
GROUPS = (("", ".{group}/memory.max"), ("memory", "memory{group}/memory.limit_in_bytes"))


@functools.cache
def total_mb() -> int | None:
    """What this machine has of main memory, or what the process may hold of it, where that is less.

    Returns
    -------
    int or None
        MB of 2**20 bytes; None where the system does not tell.
    """
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has none of it
        return None
    return min([there, *_limits_of_group()]) // 2**20


def _limits_of_group() -> Iterator[int]:
    """The limits of the process's group, and of the one that a container shows as its root, in bytes."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    groups = {kind: path for _, kind, path in (line.split(":", 2) for line in lines)}
    for kind, pattern in GROUPS:
        for group in {groups.get(kind, ""), ""}:
            with contextlib.suppress(OSError, ValueError):  # not mounted here; or "max", which is no limit
                yield int(Path(MOUNTED, pattern.format(group=group.rstrip("/"))).read_text())
