"""A digest follows the code that an output depends on, and no other code."""

import shutil

import pytest

from stratagem import provenance
from stratagem.provenance import modules, sources


@pytest.fixture(autouse=True)
def _fresh():
    modules.cache_clear()
    yield
    modules.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package, to edit."""
    copy = tmp_path / "stratagem"
    shutil.copytree(provenance.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    return copy


def _digest(module: str) -> str:
    return sources(module, script="train.py")


def _tiny(monkeypatch, folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", folder)


def test_a_module_counts_with_all_it_imports_at_any_depth():
    """Training depends on the loader, and through it on the shards."""
    found = modules("training")
    assert {"training", "execution", "labels", "loader", "storage", "geometry", "files"} <= set(found)
    assert "run" not in found and "metrics" not in found
    assert list(found) == sorted(found)


def test_config_and_errors_are_left_out():
    """Their effect arrives as params."""
    assert not {"errors", "study"} & set(modules("run"))


def test_an_edit_changes_the_digest_of_what_uses_it_alone(package):
    """An edit of any module reruns the stages whose output depends on it, and no other."""
    names = sorted(path.stem for path in package.glob("*.py") if path.stem != "__init__")
    before = {name: _digest(name) for name in names}
    for edited in names:
        path = package / f"{edited}.py"
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "# an edit\n", encoding="utf-8")
        changed = {name for name in names if _digest(name) != before[name]}
        path.write_text(text, encoding="utf-8")
        assert changed == {name for name in names if edited in modules(name)}


def test_a_touch_changes_nothing(package):
    """The digest goes by content, never by time."""
    before = _digest("labels")
    (package / "labels.py").touch()
    assert _digest("labels") == before
    assert len(before) == 12 and set(before) <= set("0123456789abcdef")


def test_an_edit_of_a_script_changes_its_own_rule_s_digest(package):
    """The script counts, its time stamp does not, and another rule's script does not."""
    scripts = ("train.py", "index.py")
    for script in scripts:
        (package.parent / script).write_text("before")
    before = [sources("labels", script=script) for script in scripts]
    (package.parent / "index.py").touch()
    assert [sources("labels", script=script) for script in scripts] == before
    (package.parent / "train.py").write_text("after")
    after = [sources("labels", script=script) for script in scripts]
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, False]


def test_an_installed_package_has_a_digest_without_scripts(package):
    """Where no script stands beside the package, its modules alone count."""
    assert sources("labels", script="train.py") == sources("labels", script="index.py")


@pytest.mark.parametrize(
    "spelling",
    [
        "from stratagem.b import x",
        "from stratagem import b",
        "import stratagem.b",
        "import stratagem.b as other",
        "from .b import x",
        "from . import b",
        "def late():\n    from stratagem.b import x",
    ],
)
def test_an_import_is_found_however_it_is_spelled(spelling, tmp_path, monkeypatch):
    """No way of writing an import hides a module from the digest."""
    _tiny(monkeypatch, tmp_path, a=spelling, b="x = 1")
    assert modules("a") == ("a", "b")


def test_a_file_of_a_module_s_own_name_counts_with_it(tmp_path, monkeypatch):
    """An edit of a page's template reruns what draws the page, and nothing else."""
    _tiny(monkeypatch, tmp_path, a="from stratagem.b import x", b="x = 1", c="")
    (tmp_path / "b.html").write_text("before")
    before = [_digest(name) for name in "abc"]
    (tmp_path / "b.html").write_text("after")
    after = [_digest(name) for name in "abc"]
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, True, False]


def test_a_circle_of_imports_ends(tmp_path, monkeypatch):
    """Modules that import one another are each counted once."""
    _tiny(monkeypatch, tmp_path, a="from stratagem.b import x", b="from stratagem import a")
    assert modules("a") == modules("b") == ("a", "b")


def test_a_package_from_elsewhere_does_not_count(tmp_path, monkeypatch):
    """numpy, or a package whose name begins like ours, is not ours."""
    _tiny(monkeypatch, tmp_path, a="import numpy\nfrom stratagems.b import x", b="x = 1")
    assert modules("a") == ("a",)
