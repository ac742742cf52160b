"""What a machine refused a job: room on a disk, memory, a permission. Told as what it is, with a cure.

Libraries say it in many ways: by an `OSError` with its number, by an error of their own whose text has the
system's words, by `MemoryError`. The whole chain of an error is looked through.
"""

import errno
import getpass
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stratagem.core.errors import MachineError

__all__ = ["refusal"]

AGAIN = "Nothing that was finished is lost: then start the same call again."
LESS = (
    "Start fewer jobs at once (`--cores 1`), or end other programs. A training needs less with a smaller "
    f"`batch_size` or frame, or with `training: {{memory_mb: ...}}`, by which batches pass in parts. {AGAIN}"
)


class _Kind(NamedTuple):
    """One way to be refused: numbers of the system's errors, its words, and how it is told."""

    numbers: frozenset[int]
    words: str
    told: Callable[[str | None, Sequence[Path], int | None], MachineError]


def refusal(error: BaseException, outputs: Sequence[Path], granted_mb: int | None) -> MachineError | None:
    """What the machine refused, if that is what an error comes from.

    Parameters
    ----------
    error : exception
        Of any library.
    outputs : sequence of path
        What the job was to write.
    granted_mb : int or None
        The memory that the job was given; None where that is not known.

    Returns
    -------
    MachineError or None
    """
    for one in _chain(error):
        for kind in KINDS:
            if getattr(one, "errno", None) in kind.numbers or re.search(kind.words, f"{one!r} {one}"):
                name = getattr(one, "filename", None)
                return kind.told(None if name is None else str(name), outputs, granted_mb)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _full(name: str | None, outputs: Sequence[Path], granted_mb: int | None) -> MachineError:
    places = [
        _existing(Path(place)) for place in [name, *outputs, tempfile.gettempdir()] if place is not None
    ]
    fullest = min(places, key=lambda place: shutil.disk_usage(place).free)
    usage = shutil.disk_usage(fullest)
    return MachineError(
        expected="room on the disk",
        found=f"{usage.free / 1e6:,.0f} MB left of {usage.total / 1e6:,.0f}",
        where=str(fullest),
        remedy=f"Free some room there, or move the folder to a larger disk. {AGAIN}",
    )


def _over_quota(name: str | None, outputs: Sequence[Path], granted_mb: int | None) -> MachineError:
    return MachineError(
        expected="room within your quota",
        found="that it is used up",
        where=str(_existing(Path(name) if name else outputs[0])),
        remedy=f"`quota -s` shows it, where the system has it; free some room. {AGAIN}",
    )


def _denied(name: str | None, outputs: Sequence[Path], granted_mb: int | None) -> MachineError:
    place = Path(name) if name else outputs[0]
    return MachineError(
        expected=f"that {getpass.getuser()} may read and write it",
        found="that the system refuses it",
        where=str(place),
        remedy=f"`ls -ld {_existing(place)}` shows who may. {AGAIN}",
    )


def _read_only(name: str | None, outputs: Sequence[Path], granted_mb: int | None) -> MachineError:
    return MachineError(
        expected="a disk that can be written to",
        found="one that is read-only",
        where=str(_existing(Path(name) if name else outputs[0])),
        remedy=f"Start where you may write (`--directory DIR`), or have it mounted for writing. {AGAIN}",
    )


def _no_memory(name: str | None, outputs: Sequence[Path], granted_mb: int | None) -> MachineError:
    granted = f", of which the job was given {granted_mb:,} MB" if granted_mb else ""
    return MachineError(
        expected="memory enough for this job", found=f"none left{granted}", where="memory", remedy=LESS
    )


def _too_many_files(name: str | None, outputs: Sequence[Path], granted_mb: int | None) -> MachineError:
    return MachineError(
        expected="files that can be opened",
        found="that as many are open as the system allows",
        where=name or "the process",
        remedy=f"`ulimit -n 4096` in the shell allows more. {AGAIN}",
    )


def _broken(name: str | None, outputs: Sequence[Path], granted_mb: int | None) -> MachineError:
    return MachineError(
        expected="a disk that reads and writes",
        found="that it answers with an input/output error",
        where=name or str(outputs[0]),
        remedy=f"The disk or the network to it is at fault; who runs the machine can tell. {AGAIN}",
    )


def _existing(place: Path) -> Path:
    """The folder nearest above a path that is there."""
    folder = Path(os.path.abspath(place))
    return next(one for one in (folder, *folder.parents) if one.is_dir())


KINDS = (
    _Kind(frozenset({errno.ENOSPC}), r"No space left on device|os error 28\b", _full),
    _Kind(frozenset({errno.EDQUOT}), r"[Dd]isk quota exceeded", _over_quota),
    _Kind(frozenset({errno.EROFS}), r"Read-only file system", _read_only),
    _Kind(frozenset({errno.EACCES, errno.EPERM}), r"Permission denied|os error 13\b", _denied),
    _Kind(
        frozenset({errno.ENOMEM}),
        r"^MemoryError|ArrayMemoryError|CUDA out of memory|[cC]an(no|')t allocate memory"
        r"|Insufficient memory|bad_alloc|failed to map segment|can't start new thread",
        _no_memory,
    ),
    _Kind(frozenset({errno.EMFILE, errno.ENFILE}), r"Too many open files", _too_many_files),
    _Kind(frozenset({errno.EIO}), r"Input/output error|os error 5\b", _broken),
)
