"""Where the project's own files are, for tests that read them."""

from pathlib import Path

__all__ = ["PACKAGE", "ROOT", "all_modules"]

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "scripts" / "stratagem"


def all_modules(package: Path = PACKAGE) -> list[str]:
    """The dotted name of every module of the package, its packages' faces left out, sorted."""
    paths = [path.relative_to(package) for path in package.rglob("*.py") if path.stem != "__init__"]
    found = sorted(".".join(path.with_suffix("").parts) for path in paths)
    assert found, f"no module in {package}"
    return found
