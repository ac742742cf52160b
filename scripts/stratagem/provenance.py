"""Which code an output depends on, as a hash that changes when that code does and at no other time.

Snakemake sees an edit of a script, not of a module that it imports, and it goes by time stamps. A rule
therefore names in its params its script and the modules that this calls: `sources("training",
script="train.py")` is a digest of the script's bytes, of that module's and of all it imports within the
package, found by reading the imports, with any file of a module's own name beside it (a page's template).
`errors` and `study` are left out: their effect arrives as params.
"""

import ast
import functools
import hashlib
from pathlib import Path

__all__ = ["modules", "sources"]

PACKAGE = Path(__file__).parent
LEFT_OUT = frozenset({"errors", "study"})


def sources(*called: str, script: str) -> str:
    """Twelve hexadecimal digits for a script, some modules and what these import from the package.

    The script stands beside the package; an installed package has none there, and goes without.
    """
    names = sorted(set().union(*map(modules, called)))
    files = [PACKAGE / f"{name}{suffix}" for name in names for suffix in (".py", ".html")]
    digest = hashlib.sha256()
    for path in (PACKAGE.parent / script, *files):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def modules(module: str) -> tuple[str, ...]:
    """The names of a module and of those it imports from the package, at any depth, sorted."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in LEFT_OUT:
            found.add(name)
            waiting += _imported(name)
    return tuple(sorted(found))


def _imported(module: str) -> list[str]:
    names = []
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(filter(None, ["stratagem" if node.level else "", node.module]))
            dotted = [f"{package}.{alias.name}" for alias in node.names]
        else:
            continue
        names += [name.split(".")[1] for name in dotted if name.startswith("stratagem.")]
    return [name for name in names if (PACKAGE / f"{name}.py").is_file()]  # not `__version__`
