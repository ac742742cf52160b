"""What every script does around its one call: a log, one readable sentence on failure.

`with running(snakemake):` sends the package's log messages to the rule's log, and ends the job with one
sentence on the screen: a `StratagemError`'s own, what the machine refused, which input is damaged, or, of
anything else, where the traceback is. Ctrl-C and SIGTERM end it with a line in the log alone. Snakemake is
never imported; the object that a script receives is passed in.
"""

import contextlib
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stratagem import __version__
from stratagem.core.errors import DeviceError, StratagemError
from stratagem.core.intact import damage
from stratagem.core.killed import watched
from stratagem.core.machine import refusal

__all__ = ["log", "require_threads", "running"]

log = logging.getLogger("stratagem")


@contextlib.contextmanager
def running(snakemake: Any) -> Iterator[None]:
    """Log to the rule's log and end with a sentence, never with a traceback on the screen.

    Parameters
    ----------
    snakemake : object
        What a script receives. Its first `log` is written anew; `scriptdir` is the folder of the script.

    Raises
    ------
    SystemExit
        If the block fails, or another version of the package was imported than stands beside the script:
        with the sentence (exit status 1); after Ctrl-C or SIGTERM with 128 and the signal's number.
    """
    path = Path(snakemake.log[0])
    handler = _handler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _same_package(snakemake)
        with watched(log, _granted_mb(snakemake)):
            yield
        log.info("done")
    except KeyboardInterrupt as error:
        number = next(iter(error.args), signal.SIGINT)
        log.info("ended by %s", signal.Signals(number).name)
        sys.exit(128 + number)  # as a shell reports a process that a signal ended
    except Exception as error:
        log.exception("failed")
        found = _told(error, snakemake)
        if found is not None:
            sys.exit(f"{found}\nLog: {path}")
        last = traceback.extract_tb(error.__traceback__)[-1]
        sys.exit(
            f"Unexpected {type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error}\n"
            f"This is a fault of Stratagem or of its environment. The traceback is in the log: {path}"
        )
    finally:
        signal.signal(signal.SIGTERM, before)
        log.removeHandler(handler)
        handler.close()


class _File(logging.FileHandler):
    """A log that a full disk leaves short: no reason to end a job, nor for a traceback of its own."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""

    def close(self) -> None:
        """The file, with what of it could be written."""
        with contextlib.suppress(OSError):
            super().close()


def _handler(path: Path) -> logging.Handler:
    """Of the log, or of none where it may not be written; the job's outputs then tell why."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _File(path, mode="w", encoding="utf-8")
    except OSError as error:
        print(f"{path}: the log cannot be written ({error.strerror})", file=sys.stderr)
        return logging.NullHandler()


def _told(error: Exception, snakemake: Any) -> StratagemError | None:
    """What the machine refused, the package's own sentence, or a damaged input; None where it is none."""
    outputs = [Path(name) for name in getattr(snakemake, "output", ())] or [Path(snakemake.log[0])]
    own = error if isinstance(error, StratagemError) else None
    cause = error if own is None else own.__cause__  # its own words may speak of a machine that refuses
    refused = refusal(cause, outputs, _granted_mb(snakemake)) if cause else None
    return refused or own or damage(getattr(snakemake, "input", ()))


def _granted_mb(snakemake: Any) -> int | None:
    return getattr(getattr(snakemake, "resources", None), "mem_mb", None)


def _interrupt(number: int, frame: Any) -> None:
    """End like Ctrl-C, so that files half written are removed on the way out."""
    raise KeyboardInterrupt(number)


def require_threads(granted: int, wanted: int) -> None:
    """Stop where fewer threads are granted than the study asks for: the bits would differ.

    Parameters
    ----------
    granted : int
        What Snakemake gives the job.
    wanted : int
        What the study asks for.

    Raises
    ------
    DeviceError
        If fewer are granted.
    """
    if granted < wanted:
        raise DeviceError(
            expected=f"{wanted} threads a job",
            found=f"{granted} granted",
            where="config key `threads`",
            remedy=f"Start with `--cores {wanted}` or more, or lower `threads` (runs start anew).",
        )


def _same_package(snakemake: Any) -> None:
    """Stop where another version of `stratagem` was imported than the one beside the script."""
    beside, here = Path(snakemake.scriptdir, "stratagem"), Path(__file__).parents[1]
    if not beside.is_dir() or os.path.samefile(beside, here):
        return
    declared = re.search(r'__version__ = "(.*)"', (beside / "__init__.py").read_text())
    assert declared is not None
    wanted = declared.group(1)
    if wanted != __version__:
        raise DeviceError(
            expected=f"version {wanted} of the package, in {beside.resolve()}",
            found=f"version {__version__}, installed in {here.resolve()}",
            where="the Python environment",
            remedy="Uninstall it there (`pip uninstall stratagem`), or install this version.",
        )
