"""Jobs that the system ended without a word, told by their logs.

While a job works, its log says how much memory it holds, each time that has grown by a quarter. A job that
ends by itself says so in its log; one that was killed cannot.
"""

import itertools
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["killed_jobs", "watched"]

EVERY_S = 0.5
GROWN = 1.25
FROM_MB = 200  # what Python with its libraries takes anyway
HELD = "memory: %d MB held, %s MB granted"
SAID = re.compile(r"memory: (\d+) MB held, (\d+|\?) MB granted$")
ENDED = re.compile(r"\d\d:\d\d:\d\d (done|failed|ended by \w+)")
FAILED_LOG = re.compile(r"^ {4}log: (.+?)(?: \(check log file\(s\) for error details\))?$", re.MULTILINE)


@contextmanager
def watched(log: logging.Logger, granted_mb: int | None) -> Iterator[None]:
    """Say in the log how much memory the process holds, while the block works.

    Parameters
    ----------
    log : Logger
    granted_mb : int or None
        What the job was given.
    """
    import psutil  # not where a study is only read: on Linux it needs modules of POSIX

    ended = threading.Event()

    def watch() -> None:
        told, process = FROM_MB / GROWN, psutil.Process()
        while not ended.wait(EVERY_S):
            held = process.memory_info().rss / 1e6
            if held > GROWN * told:
                told = held
                log.info(HELD, held, granted_mb or "?")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def killed_jobs(snakemake_logs: Iterable[str | Path]) -> Iterator[str]:
    """A sentence for each failed job of a call that was ended by the system.

    Parameters
    ----------
    snakemake_logs : iterable of path
        Where Snakemake wrote down the call.

    Yields
    ------
    str
    """
    named = (FAILED_LOG.findall("\n".join(_lines(Path(path)) or ())) for path in snakemake_logs)
    for names in dict.fromkeys(itertools.chain.from_iterable(named)):
        path = Path(names.split(", ")[0])
        lines = _lines(path)
        if lines is not None and not any(map(ENDED.fullmatch, lines)):
            yield _told(path, lines)


def _lines(path: Path) -> list[str] | None:
    """The lines of a log that are not empty; None where there is none, so that the job never began."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return [line for line in text.splitlines() if line.strip()]


def _told(path: Path, lines: Iterable[str]) -> str:
    said = [match for line in lines if (match := SAID.search(line))]
    held = ""
    if said:
        granted = "" if said[-1][2] == "?" else f", and was granted {int(said[-1][2]):,} MB"
        held = f" It held {int(said[-1][1]):,} MB when it last said so{granted}."
    return (
        f"{path}: the job was ended by the system, most likely for memory.{held} Nothing that was finished "
        "is lost, and a training goes on from its last record. Start the same call again with fewer jobs at "
        "once (`--cores 1`), smaller batches or frames, or on a cluster with more memory granted "
        "(`--set-resources RULE:mem_mb=...`)."
    )
