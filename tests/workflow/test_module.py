"""The workflow as a module of another one, and on systems that lack what POSIX has."""

import os
import subprocess
import sys

import pytest

OUTER = """
module stratagem:
    snakefile: "{folder}/Snakefile"
    config: config
    {prefix}

use rule * from stratagem as study_*
"""


def _outer(clone, prefix: str = "") -> subprocess.CompletedProcess:
    """A dry run of a workflow elsewhere that uses this one."""
    elsewhere = clone.folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "Snakefile").write_text(OUTER.format(folder=clone.folder, prefix=prefix))
    clone.study()
    words = [sys.executable, "-m", "snakemake", "study_all", "--cores", "2", "--dry-run"]
    words += ["--configfile", str(clone.folder / "study.yaml")]
    return subprocess.run(words, cwd=elsewhere, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("prefix", ["", 'prefix: "sub"'], ids=["plain", "prefix"])
def test_another_workflow_uses_this_one(clone, prefix):
    """`module` and `use rule * from ... as`: every job is planned, with its message."""
    said = _outer(clone, prefix)
    assert said.returncode == 0, said.stdout
    assert "Train baseline, fold 0, seed 1." in said.stdout and "Write the report." in said.stdout
    assert ("sub/results/tiny/report/report.html" in said.stdout) == bool(prefix)


MISSING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource", "pwd", "grp", "termios"}:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by the test)", name=name)

sys.meta_path.insert(0, Hidden())
"""


def test_the_study_is_read_where_modules_of_posix_are_missing(clone):
    """Nothing that a call reads before its first job needs them."""
    (clone.folder / "sitecustomize.py").write_text(MISSING)
    code = (
        "import stratagem.study.reading, stratagem.study.preflight, stratagem.core.device, stratagem.data.raw"
    )
    code += ", stratagem.core.provenance, stratagem.study.stored, stratagem.study.call, stratagem.core.files"
    environment = os.environ | {"PYTHONPATH": f"{clone.folder}{os.pathsep}{clone.folder / 'scripts'}"}
    said = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; sys.exit('fcntl' in sys.modules)"],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert said.returncode == 0, said.stdout
