"""Write envs/stratagem.yaml, the environment of every rule, from requirements.lock."""

import re
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE.parent / "requirements.lock"
HEAD = """# Made from requirements.lock by `make lock`; do not edit.
name: stratagem
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def environment(lock: str) -> str:
    """The conda environment whose pip section pins what the lock pins."""
    pins = re.findall(r"^([a-z0-9].*?) *\\?$", lock, flags=re.MULTILINE)
    return HEAD + "".join(f'      - "{pin.replace(chr(34), chr(39))}"\n' for pin in pins)


if __name__ == "__main__":
    (HERE / "stratagem.yaml").write_text(environment(LOCK.read_text()))
