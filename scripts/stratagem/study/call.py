"""The arguments of a call: what is said on the command line, and belongs to no study.

An argument changes what one call does, never what a run is: it enters no params and no digest, and stands in
no study file. `snakemake --config keep=code` is such an argument.
"""

from typing import Any, Literal

from pydantic import Field, ValidationError

from stratagem.core.errors import ConfigError
from stratagem.study.declaration import Section

__all__ = ["Call", "read_call"]


class Call(Section):
    """The arguments that a call may have. Snakemake takes no name of one letter."""

    keep: Literal["code"] | None = Field(
        None, description="code: finished runs stay as they are, though other code made them; it is recorded."
    )


def read_call(config: dict[str, Any], given: dict[str, Any] | None) -> tuple[dict[str, Any], Call]:
    """The study's own part of a config, and the arguments of the call.

    Parameters
    ----------
    config : dict
        What stands in the YAML file, with values of the command line laid over it.
    given : dict or None
        What the command line gave; None in a job, which is told what the call that started it was told.

    Returns
    -------
    study : dict
        The config without arguments.
    call : Call

    Raises
    ------
    ConfigError
        If an argument stands in a study file, or has a value that it cannot have.
    """
    own = {name: config[name] for name in Call.model_fields if name in config}
    faults = [
        f"{name}: an argument of a call, no key of a study; remove it from the file and give it on the "
        f"command line: --config {name}={value}."
        for name, value in own.items()
        if given is not None and name not in given
    ]
    try:
        call = Call(**own)
    except ValidationError as error:
        for fault in error.errors():
            name = str(fault["loc"][0])
            faults.append(f"--config {name}={own[name]}: expected {_legal(name)}, but found {own[name]!r}.")
    if faults:
        raise ConfigError(faults)
    return {key: value for key, value in config.items() if key not in own}, call


def _legal(name: str) -> str:
    """An argument's legal values."""
    values = Call.model_json_schema()["properties"][name]["anyOf"]
    found = [value for one in values for value in one.get("enum", [one.get("const")]) if value is not None]
    return " or ".join(found)
