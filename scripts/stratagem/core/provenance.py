"""Which code an output depends on, as a hash that changes when that code does and at no other time.

Snakemake sees an edit of a script, not of a module that it imports, and it goes by time stamps. A rule
therefore names in its params its script and the modules that this calls: `sources("runs.train",
script="train.py")` is a digest of the script, of that module and of all it imports within the package,
found by reading the imports, with any file of a module's own name beside it (a page's template).

What counts is what a module does, not what it says: the digest is of the syntax tree without comments,
docstrings and layout, and without the texts that errors, log messages and progress are made of. Modules
that only speak (`core.errors`, `data.masks.question`) and the study, whose effect arrives as params, are
left out altogether.
"""

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["LEFT_OUT", "behaviour", "modules", "sources"]

PACKAGE = Path(__file__).parents[1]
LEFT_OUT = ("core.errors", "data.layouts", "data.masks.question", "study.")  # a name, or all that begin so
LOGGERS = {"log", "logging"}
NAMED = re.compile(r'"(stratagem\.[\w.]+:\w+)"')  # a function that a table names, to import it when needed
LEFT_UNWRITTEN = {"kind", "ctx"}  # u"" or "", and whether a name is read or set: no behaviour of their own
SPEAKING = {"print", "tqdm", "warn"}  # functions whose texts are for people


def sources(*called: str, script: str) -> str:
    """A digest of a script, some modules and what these import from the package.

    Parameters
    ----------
    *called : str
        Dotted names within the package, such as ``runs.train``.
    script : str
        A file beside the package; an installed package has none there, and goes without.

    Returns
    -------
    str
        Twelve hexadecimal digits.
    """
    names = sorted(set().union(*map(modules, called)))
    digest = hashlib.sha256()
    for path in (PACKAGE.parent / script, *map(_path, names)):
        if path.is_file():
            digest.update(f"{path.stem}\n{behaviour(_text(path))}\n".encode())
        template = path.with_suffix(".html")
        if template.is_file():
            digest.update(template.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def modules(module: str) -> tuple[str, ...]:
    """The dotted names of a module and of those it imports from the package, at any depth, sorted."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and not name.startswith(LEFT_OUT):
            found.add(name)
            waiting += _imported(name)
    return tuple(sorted(found))


@functools.lru_cache(maxsize=512)
def behaviour(text: str) -> str:
    """What a module does, as text that no comment, docstring, layout or message changes.

    Written by our own walk over the tree: `ast.dump` differs between versions of Python.
    """
    written: list[str] = []
    _write(_tree(text), written)
    return "".join(written)


def _write(node: object, written: list[str], *, silent: bool = False) -> None:
    """Write a node and all below it; where it is silent, without its texts."""
    if isinstance(node, list):
        for item in node:
            if not _is_text_alone(item):
                _write(item, written, silent=silent)
    elif not isinstance(node, ast.AST):
        written.append(repr(node))
    elif silent and (isinstance(node, ast.JoinedStr) or _is_text(node)):
        written.append("text")
    else:
        written.append(f"{type(node).__name__}(")
        if isinstance(node, ast.Call):  # a call within a message may do something else than speak
            silent = _speaks(node.func)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in LEFT_UNWRITTEN:
                written.append(f"{name}=")
                _write(value, written, silent=silent)
        written.append(")")


def _is_text_alone(node: object) -> bool:
    """A docstring, or any other text that stands as a statement."""
    return isinstance(node, ast.Expr) and _is_text(node.value)


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _speaks(function: ast.expr) -> bool:
    """Whether a function's texts are for people: errors, loggers, progress."""
    owner = getattr(getattr(function, "value", None), "id", "")
    name = getattr(function, "attr", getattr(function, "id", ""))
    return owner in LOGGERS or name in SPEAKING or name.endswith(("Error", "Warning"))


def _imported(module: str) -> list[str]:
    """The modules of the package that a module imports, or names as ``stratagem.module:function``.

    The project has no relative imports.
    """
    names = [name.removeprefix("stratagem.") for name in _named(_text(_path(module)))]
    return [name for name in names if _path(name).is_file()]  # not a function, nor `__version__`


@functools.lru_cache(maxsize=512)
def _named(text: str) -> tuple[str, ...]:
    """Whatever of the package a module's text may import, by full name."""
    dotted = [found.partition(":")[0] for found in NAMED.findall(text)]
    for node in _statements(_tree(text)):
        if isinstance(node, ast.Import):
            dotted += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            dotted += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in dotted if name.startswith("stratagem."))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node; no expressions, which are most of a tree."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield child
            yield from _statements(child)


def _path(module: str) -> Path:
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


@functools.lru_cache(maxsize=512)
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
