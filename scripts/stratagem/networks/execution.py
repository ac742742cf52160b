"""How networks are computed on this machine: number format, memory layout, allocator; and why.

The choice follows from the processor by rule, never by timing, so that two runs on one kind of machine
agree bit for bit. It is recorded with its reason in every run's cost.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import psutil
import torch

from stratagem.core.errors import TrainingError

__all__ = ["Execution", "choose", "device_mb", "memory_mb", "only_deterministic"]

# glibc's malloc.h: how often blocks are mapped on their own; from which size free memory goes back.
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1


@dataclass(frozen=True)
class Execution:
    """One way to compute.

    Attributes
    ----------
    device : {"cpu", "cuda"}
    dtype : torch.dtype
        Of convolutions; weights, loss and updates are float32.
    layout : torch.memory_format
    why : str
        The reason of the choice.
    """

    device: str
    dtype: torch.dtype
    layout: torch.memory_format
    why: str

    def autocast(self) -> contextlib.AbstractContextManager:
        """The context of one step; its cache of cast weights is dropped when it ends."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device, self.dtype)

    def exact(self) -> "Execution":
        """The same in float32."""
        return replace(self, dtype=torch.float32, why="numbers were not finite otherwise")

    def place(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model on the device, in the layout."""
        return model.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]

    def buffer(self, size: int) -> np.ndarray:
        """Room for a batch of so many bytes, uint8 (size,): of a kind that the device can copy by itself."""
        if self.device == "cpu":
            return np.empty(size, np.uint8)
        return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()

    def upload(self, array: np.ndarray) -> torch.Tensor:
        """An array of such a buffer, on the device; of a GPU, on its way there."""
        return torch.from_numpy(array).to(self.device, non_blocking=True)

    def images(self, image: np.ndarray) -> torch.Tensor:
        """Images, uint8 (B, H, W, C), on the device as uint8 (B, C, H, W), in the layout."""
        return self.upload(image).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)

    def as_record(self) -> dict:
        """For cost.json."""
        return {
            "device": torch.cuda.get_device_name() if self.device == "cuda" else "cpu",
            "dtype": str(self.dtype).removeprefix("torch."),
            "float32": "ieee",
            "layout": str(self.layout).removeprefix("torch."),
            "why": self.why,
        }


def choose(device: str, threads: int, *, deterministic: bool = False) -> Execution:
    """The fastest honest way on this device, and torch set up for it.

    Parameters
    ----------
    device : {"cpu", "cuda"}
    threads : int
        What torch may use on the CPU; part of the result, since sums are split by it.
    deterministic : bool
        On a GPU, take kernels that give the same bits again, slower ones too; what has none ends the job
        (`only_deterministic`). A CPU always gives the same bits.
    """
    torch.set_num_threads(threads)
    if device == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
            torch.use_deterministic_algorithms(True)
        # float32 is float32: by default convolutions would round their operands to TF32's 10 bits.
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        fast = torch.cuda.is_bf16_supported(including_emulation=False)  # emulated it is slow
        dtype = torch.bfloat16 if fast else torch.float32
        why = "the GPU computes bfloat16" if fast else "the GPU lacks bfloat16"
        return Execution(device, dtype, torch.channels_last, why)
    _keep_memory()
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        why = "the processor computes bfloat16, and fastest with channels last"
        return Execution(device, torch.bfloat16, torch.channels_last, why)
    why = "the processor lacks bfloat16; float32 is faster with channels first there"
    return Execution(device, torch.float32, torch.contiguous_format, why)


@contextlib.contextmanager
def only_deterministic() -> Iterator[None]:
    """Name the cure where a kernel has no form that gives the same bits again.

    Raises
    ------
    TrainingError
        In place of torch's own error.
    """
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        raise TrainingError(
            expected="kernels that give the same bits again",
            found=str(error).splitlines()[0],
            where="config key `deterministic`",
            remedy="Set `deterministic: false`, or take another network.",
        ) from error


def memory_mb() -> tuple[float, float]:
    """What this process holds: memory of its own, and pages of mapped files, which go where room is short."""
    used = psutil.Process().memory_info()
    mapped = getattr(used, "shared", 0)  # where the system tells
    return (used.rss - mapped) / 2**20, mapped / 2**20


def device_mb() -> float:
    """The most that this process had on a GPU at once."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0


def _keep_memory() -> None:
    """Have glibc keep freed memory: giving it back and asking again is a large part of a step."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
