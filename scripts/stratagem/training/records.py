"""State records: all that a run needs to go on after it was killed, in files that are whole or not there.

They stand in a folder of the run, one below it for each set of things that the run depends on: a record
of another study, other code or other images is not found, and so never used. A record is an ordinary
safetensors file, with one JSON text beside the tensors and a digest of both, so that a single flipped
bit is noticed. The last two are kept.
"""

import contextlib
import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from stratagem.core.errors import TrainingError
from stratagem.core.files import remove_partial, replacing, write_json
from stratagem.core.locks import locked

__all__ = ["Records", "State", "alone", "digest_of_file"]

log = logging.getLogger("stratagem")

KEPT = 2
NAME = re.compile(r"(step|anchor)(\d+)\.safetensors")


@dataclass(frozen=True)
class State:
    """What a record holds.

    Attributes
    ----------
    tensors : dict of Tensor
    facts : dict
        Whatever JSON can say, numbers exactly.
    """

    tensors: dict[str, torch.Tensor]
    facts: dict


class Records:
    """The records of one run.

    Parameters
    ----------
    folder : path
        Of the run's state; made when there is something to write.
    depends : dict of str
        What the run depends on, by name: digests or values.
    every_s : float
        Seconds from one record to the next.
    """

    def __init__(self, folder: str | Path, depends: dict[str, str], every_s: float):
        self.every_s = every_s
        self._folder, self._depends = Path(folder), depends
        text = json.dumps(depends, sort_keys=True).encode()
        self._own = self._folder / hashlib.sha256(text).hexdigest()[:16]
        self._last = time.monotonic()
        remove_partial(self._own)
        self._say_what_is_set_aside()

    @property
    def due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() - self._last >= self.every_s

    def latest(self) -> State | None:
        """The newest that is whole; None where there is none."""
        return self._newest_whole()

    def anchor(self) -> State | None:
        """The newest at a place that does not depend on the clock; None where there is none."""
        return self._newest_whole("anchor")

    def write(self, state: State, step: int, *, anchor: bool = False) -> None:
        """Write one, then remove what is older than the last two of its kind.

        Parameters
        ----------
        state : State
        step : int
            How far the run is.
        anchor : bool
            Whether the place is one that a run left alone comes to as well: it is kept apart.

        Raises
        ------
        OSError
            If the disk does not take it; what was there stays.
        """
        self._last = time.monotonic()  # also of one that fails: it is not tried again at once
        kind = "anchor" if anchor else "step"
        if not (self._own / "depends.json").exists():
            write_json(self._depends, self._own / "depends.json")
        with replacing(self._own / f"{kind}{step:09d}.safetensors") as beside:
            text = json.dumps(state.facts)
            try:
                save_file(state.tensors, beside, {"facts": text, "digest": _digest(state.tensors, text)})
            except SafetensorError as error:  # what it makes of a full disk
                raise OSError(str(error)) from error
        for path in self._paths(kind)[:-KEPT]:
            path.unlink()

    def forget_after(self, step: int) -> None:
        """Remove those of a later step: the run goes another way from here."""
        for path in self._paths():
            if _step(path) > step:
                path.unlink()

    def clear(self) -> None:
        """Remove all, those that were set aside too: the run is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _paths(self, kind: str = "") -> list[Path]:
        """Those of a kind, or all, by step."""
        found = self._own.glob(f"{kind}*.safetensors")
        return sorted((path for path in found if NAME.fullmatch(path.name)), key=_step)

    def _newest_whole(self, kind: str = "") -> State | None:
        for path in reversed(self._paths(kind)):
            try:
                return _read(path)
            except _Damaged as error:
                log.warning("%s is damaged (%s): the record before it is used", path, error)
                path.unlink()  # it would count as one of those that are kept
        return None

    def _say_what_is_set_aside(self) -> None:
        """One line for records of other dependencies, where there are none of ours."""
        if self._own.is_dir() or not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob("*/depends.json")):
            other = _depends_of(path)
            names = sorted(set(other) | set(self._depends))
            differ = [name for name in names if other.get(name) != self._depends.get(name)]
            log.info("%s is set aside: its %s differ; this run starts afresh", path.parent, ", ".join(differ))


class _Damaged(Exception):
    """A record that is not what was written."""


@contextlib.contextmanager
def alone(folder: str | Path) -> Iterator[None]:
    """Hold a run's state for this process; free at the end, or when the process dies.

    Raises
    ------
    TrainingError
        If another process holds it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    try:
        lock = locked(Path(folder, "lock"))
    except OSError as error:  # some networked disks have no locks
        log.warning("%s cannot be locked: %s", folder, error)
        yield
        return
    if lock is None:
        raise TrainingError(
            expected="one process that trains this run",
            found="another that does, left behind by a Snakemake that was killed",
            where=str(Path(folder).parent),
            remedy="Wait until it has ended, or end it; then start again.",
        )
    try:
        yield
    finally:
        lock.release()


def digest_of_file(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _depends_of(path: Path) -> dict[str, str]:
    """What other records depend on; nothing where that cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}


def _read(path: Path) -> State:
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise _Damaged(f"it cannot be read: {error}") from error
    if _digest(tensors, notes.get("facts", "")) != notes.get("digest"):
        raise _Damaged("its bytes have changed")
    return State(tensors, json.loads(notes["facts"]))


def _digest(tensors: dict[str, torch.Tensor], text: str) -> str:
    """Of names, kinds, shapes and bytes of all tensors, and the text."""
    found = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _step(path: Path) -> int:
    found = NAME.fullmatch(path.name)
    assert found is not None
    return int(found[2])
