"""Which device a job runs on: settled without importing torch, and shared fairly between jobs.

Snakemake counts GPUs but does not hand them out: two jobs that run at once would both take the first.
`take` holds a lock file a device for the life of the process and sets CUDA_VISIBLE_DEVICES to it,
unless a batch system has already chosen. It must be called before torch is imported.
"""

import os
import time
from pathlib import Path
from typing import IO, Any

from stratagem.errors import DeviceError
from stratagem.guards import locked
from stratagem.job import require_threads

__all__ = ["granted", "require_gpu", "settle", "take", "visible"]


def visible(proc: str | Path = "/proc/driver/nvidia/gpus") -> list[str]:
    """The devices that this process may use, by number, as text."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        devices = [device.strip() for device in chosen.split(",")]
        return [device for device in devices if device not in ("", "-1")]
    folder = Path(proc)
    return [str(number) for number, _ in enumerate(folder.iterdir())] if folder.is_dir() else []


def settle(wanted: str) -> str:
    """`cpu` or `cuda`, from `auto`, `cpu` or `cuda`.

    Within a batch job `auto` takes a GPU only if the batch system gave one: the node's others are not ours,
    and the submitting machine, which saw none, must come to the same answer.
    """
    if wanted != "auto":
        return wanted
    if _in_batch_job() and "CUDA_VISIBLE_DEVICES" not in os.environ:
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


def take(device: str, folder: str | Path = ".snakemake/gpu", poll_s: float = 0.2) -> IO | None:
    """Hold one GPU for this process; waits until one is free.

    Parameters
    ----------
    device : str
        `cpu` hides every GPU; `cuda` takes one.
    folder : path
        Where the lock files stand, shared by all jobs of one machine.
    poll_s : float
        Seconds between two looks at devices that are all taken.

    Returns
    -------
    file or None
        The lock: keep a reference, the device is free again when it is closed or the process dies.

    Raises
    ------
    DeviceError
        Where a GPU is wanted and none is visible.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return None
    devices = require_gpu()
    if _in_batch_job():
        return None  # the batch system chose
    Path(folder).mkdir(parents=True, exist_ok=True)
    while True:
        for number in devices:
            lock = locked(Path(folder, f"{number}.lock"))
            if lock is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = number
                return lock
        time.sleep(poll_s)


def granted(snakemake: Any, threads: int) -> tuple[str, IO | None]:
    """The device of a job that computes with so many threads, taken: see `take`.

    Returns
    -------
    device : {"cpu", "cuda"}
    lock : file or None
    """
    require_threads(snakemake.threads, threads)
    device = "cuda" if snakemake.resources.get("gpu", 0) else "cpu"
    return device, take(device)


def _in_batch_job() -> bool:
    return any(name in os.environ for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID"))
