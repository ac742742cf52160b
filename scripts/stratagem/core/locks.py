"""A file that one process at a time can hold, on every system (by `filelock`)."""

import logging
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

__all__ = ["locked"]

log = logging.getLogger("stratagem")


def locked(path: str | Path, *, mode: int = 0o644) -> BaseFileLock | None:
    """Hold a file for this process, made if need be.

    Parameters
    ----------
    path : path
        Of the lock file; its folder is there.
    mode : int
        The file's permissions: 0o666 where other users are to wait for it too.

    Returns
    -------
    lock or None
        Free again by its ``release``, or when its holder dies; None while another process holds it.

    Raises
    ------
    OSError
        If the file system has no locks, or the file may not be written.
    """
    lock = FileLock(path, mode=mode, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    except NotImplementedError as error:  # how filelock says that a file system has none
        raise OSError(f"the file system has no locks: {error}") from error
    return lock
