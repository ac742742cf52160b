"""A device is settled without torch and held by one process at a time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pynvml
import pytest

import stratagem
from stratagem.core.device import require_gpu, settle_device, take, visible
from stratagem.core.errors import DeviceError

BATCH_SYSTEMS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID")
# Takes a device, claims it by a file that nobody else may have made, holds it, gives it back.
HOLDER = """
import os, sys, time
from pathlib import Path
from stratagem.core.device import take
folder, hold, ready = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
lock = take("cuda", folder, poll_s=0.01)
device = os.environ["CUDA_VISIBLE_DEVICES"]
claim = Path(folder, f"claim-{device}")
os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
ready.write_text(device)
time.sleep(hold)
claim.unlink()
print(device)
"""


@pytest.fixture(autouse=True)
def _no_batch_system(monkeypatch):
    for name in (*BATCH_SYSTEMS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def _hold(folder: Path, number: int, seconds: float) -> subprocess.Popen:
    environment = os.environ | {
        "CUDA_VISIBLE_DEVICES": "0,1",
        "PYTHONPATH": str(Path(stratagem.__file__).parents[1]),
    }
    command = [sys.executable, "-c", HOLDER, str(folder), str(seconds), str(folder / f"ready-{number}")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _until(ready) -> None:
    for _ in range(3000):
        if ready():
            return
        time.sleep(0.01)
    pytest.fail("nobody came")


@pytest.mark.parametrize(
    ("chosen", "devices"),
    [("", []), ("-1", []), ("0", ["0"]), ("2,3", ["2", "3"]), ("0, 1", ["0", "1"]), ("GPU-8f,", ["GPU-8f"])],
)
def test_what_the_environment_names_is_visible(chosen, devices, monkeypatch):
    """CUDA_VISIBLE_DEVICES decides, as it does for CUDA itself."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible() == devices


class Driver:
    """NVIDIA's driver as pynvml shows it, on a machine that has none: two GPUs, or as many as are named."""

    def __init__(self, monkeypatch, *uuids: str):
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: len(uuids))
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda number: number)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", uuids.__getitem__)


def test_else_the_driver_tells(monkeypatch):
    """Without that variable the driver names each device by its identifier."""
    Driver(monkeypatch, "GPU-a", "GPU-b")
    assert visible() == ["GPU-a", "GPU-b"]


@pytest.mark.skipif(bool(visible()), reason="this machine has a GPU")
def test_without_a_driver_there_is_no_gpu():
    """A machine without NVIDIA's driver has none, and that is no error."""
    assert visible() == []


@pytest.mark.parametrize("wanted", ["cpu", "cuda"])
def test_a_device_that_is_named_stands(wanted, monkeypatch):
    """I get the device that I asked for, whatever is there."""
    for chosen in ("", "0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        assert settle_device(wanted) == wanted


@pytest.mark.parametrize(("chosen", "device"), [("", "cpu"), ("0", "cuda")])
def test_auto_takes_a_gpu_where_one_is(chosen, device, monkeypatch):
    """`auto` is `cuda` where a device is visible."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert settle_device("auto") == device


def test_settling_needs_no_torch():
    """A workflow starts without paying for torch."""
    code = "import sys; from stratagem.core.device import settle_device; settle_device('auto')"
    code += "; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(stratagem.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_a_cpu_job_sees_no_gpu(tmp_path, monkeypatch):
    """On a CPU nothing is locked and every GPU is hidden."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert take("cpu", tmp_path) is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_refused(tmp_path, monkeypatch):
    """I am told which key to change, before a job starts and in it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for refused in (require_gpu, lambda: take("cuda", tmp_path)):
        with pytest.raises(DeviceError, match=r"config key `device`.*none visible.*`device: cpu` or `auto`"):
            refused()


def test_the_gpus_that_are_there_pass(monkeypatch):
    """Where a job may use some, they are named."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert require_gpu() == ["2", "3"]


@pytest.mark.parametrize("system", BATCH_SYSTEMS)
def test_jobs_inside_one_allocation_share_its_gpus(system, tmp_path, monkeypatch):
    """Where a batch system gave several, each of my jobs leases another one of them."""
    monkeypatch.setenv(system, "1")
    locks, taken = [], []
    for _ in range(2):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
        locks.append(take("cuda", tmp_path / "locks"))
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["4", "5"]
    for lock in locks:
        lock.release()


def test_two_jobs_that_call_different_gpus_0_do_not_wait(tmp_path, monkeypatch):
    """A cluster shows each job its own GPU as number 0: the lease goes by the GPU's identifier."""
    locks = []
    for uuid in ("GPU-a", "GPU-b"):
        Driver(monkeypatch, uuid)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        locks.append(take("cuda", tmp_path))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["GPU-a", "GPU-b"]
    for lock in locks:
        lock.release()


def test_a_folder_that_cannot_hold_leases_is_named(tmp_path, monkeypatch):
    """I am told where it is, and what to set."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(DeviceError, match="leases of GPUs.*Set TMPDIR"):
        take("cuda", tmp_path / "file")


def test_a_lock_is_free_when_closed(tmp_path, monkeypatch):
    """One process after another gets the only device."""
    for _ in range(2):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
        lock = take("cuda", tmp_path)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
        lock.release()


def test_four_processes_never_share_two_devices(tmp_path):
    """Of four jobs on two GPUs each has one to itself."""
    jobs = [_hold(tmp_path, number, 0.2) for number in range(4)]
    devices = [job.communicate(timeout=60)[0].strip() for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 4
    assert set(devices) == {"0", "1"}


def test_a_killed_process_frees_its_device_and_no_other(tmp_path):
    """A job that dies by SIGKILL leaves its GPU to the next; its neighbour keeps its own."""
    holders = [_hold(tmp_path, number, 60) for number in range(2)]
    others = []
    try:
        _until(lambda: all((tmp_path / f"ready-{number}").exists() for number in range(2)))
        _until(lambda: all((tmp_path / f"ready-{number}").read_text() for number in range(2)))
        freed = (tmp_path / "ready-0").read_text()
        others = [_hold(tmp_path, number, 0.1) for number in (2, 3)]
        time.sleep(0.5)
        assert not any((tmp_path / f"ready-{number}").exists() for number in (2, 3))
        (tmp_path / f"claim-{freed}").unlink()  # what the dead cannot do; its lock is still held
        holders[0].send_signal(signal.SIGKILL)
        holders[0].wait(timeout=60)
        devices = [job.communicate(timeout=60)[0].strip() for job in others]
        assert devices == [freed, freed]
        assert holders[1].poll() is None
    finally:
        for job in [*holders, *others]:
            job.kill()
            job.communicate()
