"""The faults of a collection: all of them in one error, its remedy said once."""

import codecs
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from stratagem.core.errors import DataError

__all__ = ["fault_of", "faults_of_model", "read_json", "require_folder", "require_none", "sentence", "twice"]

Model = TypeVar("Model", bound=BaseModel)


def fault_of(faults: list[str], expected: str, where: Path, remedy: str) -> DataError:
    """All faults as one error."""
    count = f"{len(faults)} faults: " if len(faults) > 1 else ""
    return DataError(expected=expected, found=count + "; ".join(faults), where=str(where), remedy=remedy)


def sentence(error: DataError) -> str:
    """One fault among others: the remedy is said once for all."""
    return f"{error.where}: expected {error.expected}, but found {error.found}"


def require_none(faults: list[str], expected: str, where: Path, remedy: str) -> None:
    """Refuse a collection that has any."""
    if faults:
        raise fault_of(faults, expected, where, remedy)


def require_folder(folder: Path) -> None:
    """Refuse a path that leads to none."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "none of that name"
        raise fault_of([found], "a folder", folder, "Correct the path.")


def read_json(model: type[Model], path: Path, remedy: str) -> Model:
    """A JSON file as what it should say."""
    try:
        return model.model_validate_json(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        faults = [f"none that can be read ({error.strerror})"]
    except ValidationError as error:
        faults = faults_of_model(error)
    keys = [name for name, field in model.model_fields.items() if field.is_required()]
    raise fault_of(faults, f"a JSON file with {', '.join(keys)}", path, remedy)


def faults_of_model(error: ValidationError) -> list[str]:
    """What pydantic refuses, each with its place."""
    return [
        ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"])))
        for fault in error.errors(include_url=False)
    ]


def twice(what: str, values: Iterable) -> list[str]:
    """What is given more than once."""
    return [f"{what} {value!r} is given {n} times" for value, n in Counter(values).items() if n > 1]
