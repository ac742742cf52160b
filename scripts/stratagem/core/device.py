"""Which device a job runs on: settled without importing torch, and shared fairly between jobs.

Snakemake counts GPUs but does not hand them out: two jobs that run at once would both take the first.
`take` leases one for the life of the process, among those that are visible, also where a batch system gave
several to one allocation. It must be called before torch is imported.

The lease is a lock on a file named by the GPU's own identifier (UUID), in a folder that all users and all
checkouts of a machine share. So two batch jobs, each of which calls its only GPU number 0, do not wait for
one another.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pynvml
from filelock import BaseFileLock

from stratagem.core.errors import DeviceError
from stratagem.core.job import require_threads
from stratagem.core.locks import locked

__all__ = ["granted", "require_gpu", "settle_device", "take", "visible"]

LOCKS = Path(tempfile.gettempdir(), "stratagem-gpus")
EVERYBODY = 0o666  # may wait for a GPU that another user holds
BATCH_SYSTEMS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID")
Answer = TypeVar("Answer")


def visible() -> list[str]:
    """The devices that this process may use, as CUDA_VISIBLE_DEVICES names them: numbers or identifiers."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return _of_driver(lambda: [_uuid(number) for number in range(pynvml.nvmlDeviceGetCount())], [])
    devices = [device.strip() for device in chosen.split(",")]
    return [device for device in devices if device not in ("", "-1")]


def settle_device(wanted: str) -> str:
    """`cpu` or `cuda`, from `auto`, `cpu` or `cuda`.

    Within a batch job `auto` takes a GPU only if the batch system gave one: the node's others are not ours,
    and the submitting machine, which saw none, must come to the same answer.
    """
    if wanted != "auto":
        return wanted
    if any(name in os.environ for name in BATCH_SYSTEMS) and "CUDA_VISIBLE_DEVICES" not in os.environ:
        return "cpu"
    return "cuda" if visible() else "cpu"


def require_gpu() -> list[str]:
    """The devices that this process may use.

    Raises
    ------
    DeviceError
        Where there is none.
    """
    devices = visible()
    if not devices:
        raise DeviceError(
            expected="a CUDA device",
            found="none visible",
            where="config key `device`",
            remedy="Set `device: cpu` or `auto`, or run where a GPU is.",
        )
    return devices


def take(device: str, folder: str | Path = LOCKS, poll_s: float = 0.2) -> BaseFileLock | None:
    """Lease one GPU to this process; waits until one is free.

    Parameters
    ----------
    device : str
        `cpu` hides every GPU; `cuda` takes one.
    folder : path
        Where the lock files stand.
    poll_s : float
        Seconds between two looks at devices that are all taken.

    Returns
    -------
    lock or None
        Keep a reference: the device is free again when it is released or the process dies.

    Raises
    ------
    DeviceError
        Where a GPU is wanted and none is visible, or the leases cannot be written.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return None
    places = {number: _lock_file(Path(folder), number) for number in require_gpu()}
    while True:
        for number, path in places.items():
            lock = _leased(path)
            if lock is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = number
                return lock
        time.sleep(poll_s)


def granted(snakemake: Any, threads: int) -> tuple[str, BaseFileLock | None]:
    """The device of a job that computes with so many threads, taken: see `take`.

    Parameters
    ----------
    snakemake : object
        What a script is handed: its ``threads`` and ``resources`` are read.
    threads : int

    Returns
    -------
    device : {"cpu", "cuda"}
    lock : lock or None
    """
    require_threads(snakemake.threads, threads)
    device = "cuda" if snakemake.resources.get("gpu", 0) else "cpu"
    return device, take(device)


def _leased(path: Path) -> BaseFileLock | None:
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):  # another user made it in this moment
                path.parent.chmod(0o1777)  # every user, as the folder it stands in
        return locked(path, mode=EVERYBODY)
    except OSError as error:
        raise DeviceError(
            expected=f"a folder for the leases of GPUs at {path.parent}",
            found=f"none that can be used ({error})",
            where="the temporary folder of this machine",
            remedy="Set TMPDIR to a folder on a local disk that you may write to.",
        ) from error


def _lock_file(folder: Path, device: str) -> Path:
    """Where the lease of a device stands: by its identifier, where the driver knows one of a number."""
    name = _of_driver(lambda: _uuid(int(device)), device) if device.isdecimal() else device
    return folder / f"{name.replace('/', '-')}.lock"


def _uuid(number: int) -> str:
    return pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(number))


def _of_driver(ask: Callable[[], Answer], otherwise: Answer) -> Answer:
    """What NVIDIA's driver answers; something else where there is no driver, or it knows no answer."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return otherwise
    try:
        return ask()
    except pynvml.NVMLError:
        return otherwise
    finally:
        pynvml.nvmlShutdown()
