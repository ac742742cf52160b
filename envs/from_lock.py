"""Write what follows from requirements.lock: the environment of every rule, and the lock without CUDA."""

import re
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE.parent / "requirements.lock"
CPU_LOCK = HERE.parent / "requirements-cpu.lock"
HEAD = """# Made from requirements.lock by `make lock`; do not edit.
name: stratagem
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


CPU_HEAD = """# Made from requirements.lock by `make lock`; do not edit.
# All but torch, torchvision and what they need of CUDA: `make demo CPU=1 TORCH_INDEX=ADDRESS` takes the
# two, in the same versions, from an index of CPU builds.
"""
WITH_CUDA = re.compile(r"(torch|torchvision|triton|cuda-[a-z]+|nvidia-(?!ml-py)[a-z0-9-]+)==")


def without_cuda(lock: str) -> str:
    """The lock without torch and what it needs of CUDA."""
    packages = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    return CPU_HEAD + "".join(package for package in packages if not WITH_CUDA.match(package))


def environment(lock: str) -> str:
    """The conda environment whose pip section pins what the lock pins."""
    pins = re.findall(r"^([a-z0-9].*?) *\\?$", lock, flags=re.MULTILINE)
    return HEAD + "".join(f'      - "{pin.replace(chr(34), chr(39))}"\n' for pin in pins)


if __name__ == "__main__":
    (HERE / "stratagem.yaml").write_text(environment(LOCK.read_text()))
    CPU_LOCK.write_text(without_cuda(LOCK.read_text()))
