"""A digest follows the code that an output depends on, and no other code."""

import hashlib
import shutil

import pytest

from repository import all_modules
from stratagem.core import provenance
from stratagem.core.provenance import behaviour, modules, sources


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
    """A package of modules, named with ``__`` for a dot."""
    for name, text in texts.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", folder)


def test_a_module_counts_with_all_it_imports_at_any_depth():
    """Training depends on the loader, and through it on the shards."""
    found = set(modules("training.loop"))
    assert {"networks.execution", "data.labels", "loading.loader", "resolution.plans", "core.files"} <= found
    assert "runs.train" not in found and "evaluation.metrics" not in found
    found = modules("training.loop")
    assert list(found) == sorted(found)


def test_config_and_errors_are_left_out():
    """Their effect arrives as params, or is what is said."""
    found = modules("runs.train")
    assert not [
        name
        for name in found
        if name.startswith(("core.errors", "study.", "data.layouts", "data.masks.question"))
    ]
    assert "data.masks.encoding" in modules("data.index")


def test_an_edit_changes_the_digest_of_what_uses_it_alone(package):
    """An edit of any module reruns the stages whose output depends on it, and no other."""
    names = all_modules(package)
    assert len(names) > 50
    before = {name: _digest(name) for name in names}
    for edited in names:
        path = package.joinpath(*edited.split(".")).with_suffix(".py")
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "EDIT = 1\n", encoding="utf-8")
        changed = {name for name in names if _digest(name) != before[name]}
        path.write_text(text, encoding="utf-8")
        assert changed == {name for name in names if edited in modules(name)}


def test_a_touch_changes_nothing(package):
    """The digest goes by content, never by time."""
    before = _digest("data.labels")
    (package / "data/labels.py").touch()
    assert _digest("data.labels") == before
    assert len(before) == 12 and set(before) <= set("0123456789abcdef")


def test_an_edit_of_a_script_changes_its_own_rule_s_digest(package):
    """The script counts, its time stamp does not, and another rule's script does not."""
    scripts = ("train.py", "index.py")
    for script in scripts:
        (package.parent / script).write_text("before")
    before = [sources("data.labels", script=script) for script in scripts]
    (package.parent / "index.py").touch()
    assert [sources("data.labels", script=script) for script in scripts] == before
    (package.parent / "train.py").write_text("after")
    after = [sources("data.labels", script=script) for script in scripts]
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, False]


def test_an_installed_package_has_a_digest_without_scripts(package):
    """Where no script stands beside the package, its modules alone count."""
    assert sources("data.labels", script="train.py") == sources("data.labels", script="index.py")


@pytest.mark.parametrize(
    "spelling",
    [
        "from stratagem.b import x",
        "from stratagem import b",
        "from stratagem.b import (\n    x,\n)",
        "import stratagem.b",
        "import stratagem.b as other",
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


def test_a_nested_module_is_found_by_its_dotted_name(tmp_path, monkeypatch):
    """Packages within the package count like any module, however they are imported."""
    spellings = ("from stratagem.p.b import x", "from stratagem.p import b", "import stratagem.p.b")
    for spelling in spellings:
        modules.cache_clear()
        _tiny(monkeypatch, tmp_path, a=spelling, p__b="x = 1", p__c="")
        assert modules("a") == ("a", "p.b")


def test_a_function_that_a_table_names_counts(tmp_path, monkeypatch):
    """What is imported when it is needed, by its name in a table, enters the digest like any import."""
    _tiny(monkeypatch, tmp_path, a='BUILDER = "stratagem.p.b:build"', p__b="x = 1", c="")
    assert modules("a") == ("a", "p.b")


BEFORE = """
'''What it is.'''
import logging

log = logging.getLogger("stratagem")

class Model:
    '''A model.'''

    def fit(self, x):
        '''Fits.'''
        if x < 0:
            raise DataError(expected="a positive number", found=f"{x}", remedy="Raise it.")
        log.info("fitted %s", x)  # told
        print("done", file=open("path"))
        return {"kind": 2 * x}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it is.", "What it was."),
        ("Fits.", "Finds the weights."),
        ("# told", "# said"),
        ("a positive number", "a number above 0"),
        ('f"{x}"', 'f"{x:.3g}, which is too small"'),
        ("fitted %s", "trained %s"),
        ("done", "over"),
        ("2 * x", "(2 *\n            x)"),
        ("    '''A model.'''\n", ""),
    ],
)
def test_words_and_layout_change_no_digest(old, new):
    """A better message, comment or docstring, or a line broken elsewhere, trains nothing anew."""
    assert old in BEFORE
    assert behaviour(BEFORE.replace(old, new)) == behaviour(BEFORE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * x", "3 * x"),
        ('"kind"', '"sort"'),
        ("x < 0", "x <= 0"),
        ("Model", "Net"),
        ("def fit", "def run"),
        ("path", "other"),
    ],
)
def test_whatever_changes_what_is_done_changes_the_digest(old, new):
    """A number, a key, a comparison or a name is no word."""
    assert old in BEFORE
    assert behaviour(BEFORE.replace(old, new)) != behaviour(BEFORE)


def test_every_version_of_python_makes_the_same_digest():
    """A study that moves to a newer Python is not trained anew for it (a golden value, of 3.11)."""
    found = hashlib.sha256(behaviour(BEFORE).encode()).hexdigest()[:12]
    assert found == "58b273f39cc3"
