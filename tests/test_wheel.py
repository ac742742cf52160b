"""The package that is built holds all that it needs."""

import shutil
import subprocess
import sys
import zipfile

import pytest

from repository import PACKAGE, ROOT, all_modules


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The project's wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(PACKAGE, source / "scripts" / "stratagem", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*words, "--wheel-dir", folder, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("stratagem-*.whl"))


def test_a_wheel_holds_every_module_and_template(wheel):
    """Packages within the package, and what stands beside their modules."""
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {f"stratagem/{name.replace('.', '/')}.py" for name in all_modules()}
    templates = {f"stratagem/{path.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.rglob("*.html")}
    assert templates and modules | templates <= names


def test_every_module_is_imported_from_the_wheel_alone(wheel, tmp_path):
    """In an environment that has the dependencies and nothing of this checkout."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = f"import importlib, sys; sys.path.insert(0, {str(tmp_path)!r}); "
    code += f"[importlib.import_module('stratagem.' + name) for name in {all_modules()!r}]; "
    code += "import stratagem; print(stratagem.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
