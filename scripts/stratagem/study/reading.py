"""The config as a frozen study, or every fault of it in a user's words.

Comes in: the mapping that Snakemake read from YAML. Goes out: a `Study`, or one `ConfigError` that lists
every fault, each in one sentence that names its key: what the declaration does not take, names that are not
declared, and what contradicts itself.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from stratagem.augmentation.transforms import Policy, coloured, unsafe
from stratagem.core.errors import ConfigError
from stratagem.networks.table import UNET
from stratagem.study.controls import with_controls
from stratagem.study.declaration import (
    PATTERNS,
    SOURCES,
    Augmentation,
    DataSet,
    DataSource,
    Resolution,
    RunSource,
    Section,
    Strategy,
    Study,
    WeightsSource,
)
from stratagem.transfer.origin import is_published

__all__ = ["read_study"]

# What a user should have written, by pydantic's kind of fault; its own words are those of Python.
EXPECTED = {
    "string_type": "text (numbers and dates in quotes)",
    "string_unicode": "text (numbers and dates in quotes)",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "too_short": "{min_length} or more entries",
    "too_long": "no more than {max_length} entries",
}
NAMED: dict[str, type[Section]] = {  # the parts of a study in which a user gives the names
    "resolutions": Resolution,
    "augmentations": Augmentation,
    "sources": DataSource,
    "strategies": Strategy,
}


def read_study(config: dict) -> Study:
    """The config as a frozen study, with the controls of its strategies that take a classifier's weights.

    Parameters
    ----------
    config : dict
        What stands in the YAML file, with values of the command line laid over it.

    Raises
    ------
    ConfigError
        With every fault found, each in one sentence.
    """
    faults = []
    study = None
    try:
        study = Study.model_validate(config)
    except ValidationError as error:
        faults += [_sentence(fault) for fault in _innermost(error.errors())]
    if study:
        study = with_controls(study)
        faults += _contradictions(study)
    faults += _dangling(config, study)
    if faults:
        raise ConfigError(faults)
    assert study is not None  # else there are faults
    return study


def _innermost(faults: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without those that only follow from a fault further inside (a list too short, its item bad)."""
    places = [fault["loc"] for fault in faults]
    return [
        fault
        for fault in faults
        if not any(place[: len(fault["loc"])] == fault["loc"] != place for place in places)
    ]


def _sentence(fault: Mapping[str, Any]) -> str:
    loc, tag = _without_tag(fault["loc"])
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in ("extra_forbidden", "invalid_key"):
        hint = _nearest(_section(loc, tag), loc[-1])
        return f"{_dotted(loc)}: no such key{hint}; remove it or correct its name."
    if kind == "missing" and isinstance(loc[-1], int):
        return f"{_key(loc)}: missing; the list is too short."
    if kind == "missing":
        return f"{_key(loc)}: missing; add it ({_section(loc, tag).model_fields[loc[-1]].description})"
    if kind == "value_error":
        return f"{_key(loc)}: {context['error']}."
    found = context["actual_length"] if kind in ("too_short", "too_long") else _shown(fault["input"])
    return f"{_key(loc)}: expected {_expected(fault)}, but found {found}."


def _expected(fault: Mapping[str, Any]) -> str:
    """What should have been there, as a clause in a user's words."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "literal_error":
        return "one of " + ", ".join(re.findall("'(.*?)'", context["expected"]))
    if kind == "string_pattern_mismatch":
        return PATTERNS[context["pattern"]]
    bounds = {
        name: f"{bound:g}" if isinstance(bound, float) else bound  # 1, not 1.0
        for name, bound in context.items()
    }
    return EXPECTED.get(kind, "another value").format(**bounds)


def _shown(value: Any) -> str:
    """A value as a user wrote it, or its kind where it is a whole section."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list | tuple):
        return "a list"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _key(loc: tuple) -> str:
    """The place of a value in the config, entries of a list counted from 1."""
    if loc and isinstance(loc[-1], int):
        return f"{_dotted(loc[:-1])}, entry {loc[-1] + 1}"
    return _dotted(loc)


def _dotted(loc: tuple) -> str:
    return ".".join(str(part) for part in loc if part != "[key]") or "the config"


def _without_tag(loc: tuple) -> tuple[tuple, str | None]:
    """A place without the kind of source that pydantic puts in it, and that kind."""
    if loc[:1] == ("sources",) and len(loc) > 2:
        return loc[:2] + loc[3:], loc[2]
    return loc, None


def _section(loc: tuple, tag: str | None) -> type[Section]:
    """The declared section that holds the last key of a place in the config."""
    section: type[Section] = Study
    rest = loc
    if loc[0] in NAMED and len(loc) > 2:
        section = NAMED[loc[0]] if tag is None else SOURCES.get(tag, NAMED[loc[0]])
        rest = loc[2:]
    for part in rest[:-1]:
        annotation = section.model_fields[part].annotation
        inner = (annotation, *get_args(annotation))
        section = next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, Section))
    return section


def _nearest(section: type[Section], key: str) -> str:
    known = list(section.model_fields)
    close = difflib.get_close_matches(str(key), known, n=1)
    return f" (did you mean `{close[0]}`?)" if close else f" (known here: {', '.join(known)})"


def _dangling(config: dict, study: Study | None) -> list[str]:
    """Names used but not declared, found also where other keys are at fault."""
    faults, made = [], set(study.strategies) if study else set()
    for key, name, section in _references(config):
        known = config.get(section)
        known = [str(key) for key in known] if isinstance(known, dict) else []
        if isinstance(name, str) and name not in known and not (section == "strategies" and name in made):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"declared: {', '.join(known) or 'none'}."
            faults.append(f"{key}: `{name}` is not declared under `{section}`; {hint}")
    return faults


def _references(config: dict) -> list[tuple[str, Any, str]]:
    found = []
    for group in ("strategies", "sources"):
        members = config.get(group)
        for name, member in members.items() if isinstance(members, dict) else ():
            if not isinstance(member, dict):
                continue
            place = f"{group}.{name}"
            found.append((f"{place}.resolution", member.get("resolution"), "resolutions"))
            found.append((f"{place}.augmentation", member.get("augmentation"), "augmentations"))
            found.append((f"{place}.reference", member.get("reference"), "strategies"))
            init = member.get("init")
            if isinstance(init, dict):
                found.append((f"{place}.init.source", init.get("source"), "sources"))
    report = config.get("report")
    baseline = report.get("baseline", "baseline") if isinstance(report, dict) else "baseline"
    return [*found, ("report.baseline", baseline, "strategies")]


def _contradictions(study: Study) -> list[str]:
    faults = []
    once = {"classes": study.classes, "seeds": study.seeds}
    once |= {
        f"sources.{name}.classes": source.classes
        for name, source in study.sources.items()
        if isinstance(source, DataSource)
    }
    for key, values in once.items():
        if len(set(values)) < len(values):
            faults.append(f"{key}: expected each value once, but found {list(values)}.")
    if "mean" in study.classes:
        faults.append("classes: `mean` stands for the mean over classes in the tables; choose another name.")
    if study.folds == 1 and study.split.test + study.split.validation >= 1:
        faults.append("split: `test` and `validation` leave no image to train on; lower one of them.")
    for key in ("group", "part"):
        pattern = getattr(study.split, key)
        try:
            re.compile(pattern or "")
        except re.error as error:
            faults.append(f"split.{key}: not a regular expression ({error}): {pattern!r}.")
    for key, data in _data_sets(study).items():
        faults += [
            f"{key}{said}: `{name}` is no declared class; declared: {', '.join(data.classes)}."
            for said, name in _named_classes(data)
            if name not in data.classes
        ]
        sided = [name for pair in data.swaps for name in pair] + list(data.handed)
        faults += [
            f"{key}swaps: `{name}` can have one mirror image only; name it once, here or under `handed`."
            for name in dict.fromkeys(sided)
            if sided.count(name) > 1
        ]
    for name, source in study.sources.items():
        networks = sorted({one.network for one in _users(study, name)})
        if isinstance(source, WeightsSource) and source.network is None and len(networks) > 1:
            faults.append(
                f"sources.{name}: taken by strategies on {' and '.join(networks)}, but weights belong to one "
                "network; declare a source for each."
            )
        if isinstance(source, DataSource) and _overlap(source.places[0], study.places[0]):
            faults.append(
                f"sources.{name}.images: `{source.places[0]}` overlaps the study's own images, so the test "
                "images would be learned from; name a folder of other images."
            )
    for name, strategy in study.strategies.items():
        faults += _faults_of_strategy(study, name, strategy)
    return faults + _unsafe(study) + _without_colour(study)


def _users(study: Study, source: str) -> list[Strategy]:
    """The strategies that start from a source."""
    return [one for one in study.strategies.values() if one.init is not None and one.init.source == source]


def _named_classes(data: DataSet) -> list[tuple[str, str]]:
    """Every class that a data set's keys name, with the key."""
    found = [(f"labels.{said}", name) for name, said in data.labels.named.items()]
    found += [("swaps", name) for pair in data.swaps for name in pair]
    return found + [(key, name) for key in ("handed", "upright") for name in getattr(data, key)]


def _used_augmentations(study: Study) -> list[tuple[str, str]]:
    """The augmentations that are used, each with how the keys of its data set begin."""
    used = {(strategy.augmentation, "") for strategy in study.strategies.values()}
    used |= {
        (source.augmentation, f"sources.{name}.")
        for name, source in study.sources.items()
        if isinstance(source, DataSource)
    }
    return sorted((name, key) for name, key in used if name in study.augmentations)


def _unsafe(study: Study) -> list[str]:
    """Transforms that would give a class another meaning than its label's, where they are used."""
    data = _data_sets(study)
    return [
        f"augmentations.{name}.{transform}: class `{label}` is {declared} (`{key}{declared}`): {reason}; "
        f"set `{transform}: off`."
        for name, key in _used_augmentations(study)
        for declared in ("handed", "upright")
        for label in getattr(data[key], declared)[:1]
        for transform, reason in unsafe(declared, Policy.of(study.augmentations[name].policy())).items()
    ]


def _without_colour(study: Study) -> list[str]:
    """Transforms of colour, where the channels are said to be others."""
    data = _data_sets(study)
    return [
        f"augmentations.{name}.{transform}: expected images of red, green and blue, but found named or other "
        f"channels (`{key}channels`); set `{transform}: off`."
        for name, key in _used_augmentations(study)
        if not data[key].may_be_colour
        for transform in coloured(Policy.of(study.augmentations[name].policy()))
    ]


def _data_sets(study: Study) -> dict[str, DataSet]:
    """The study's own data and those of its sources, by what their keys begin with."""
    sources = study.sources.items()
    return {"": study} | {f"sources.{name}.": data for name, data in sources if isinstance(data, DataSet)}


def _overlap(one: str, other: str) -> bool:
    """Whether one folder is, or lies within, the other."""
    paths = [Path(folder).resolve() for folder in (one, other)]
    return paths[0].is_relative_to(paths[1]) or paths[1].is_relative_to(paths[0])


def _faults_of_strategy(study: Study, name: str, strategy: Strategy) -> list[str]:
    faults = []
    if strategy.reference is not None and name == study.report.baseline:
        faults.append(f"strategies.{name}.reference: the baseline is compared with nothing; remove this key.")
    elif strategy.reference == name:
        faults.append(f"strategies.{name}.reference: a strategy cannot be compared with itself.")
    other = study.strategies.get(study.reference(name) or name, strategy)
    if other.budget_share != strategy.budget_share:
        faults.append(
            f"strategies.{name}.budget_share: {strategy.budget_share:g} is compared with "
            f"{other.budget_share:g} of `{study.reference(name)}`; name a `reference` of the same share, or "
            "set `compared: false`."
        )
    return faults + (_faults_of_init(study, name, strategy) if strategy.init else [])


def _faults_of_init(study: Study, name: str, strategy: Strategy) -> list[str]:
    assert strategy.init is not None
    source, key = study.sources.get(strategy.init.source), f"strategies.{name}.init"
    if source is None or isinstance(source, RunSource):  # what a run holds stands beside it
        return []
    network = (source.network or strategy.network) if isinstance(source, WeightsSource) else UNET
    if network != strategy.network:
        return [
            f"{key}.source: `{strategy.init.source}` holds weights of {network}, but the strategy's network "
            f"is {strategy.network}; set `network: {network}`."
        ]
    if (
        isinstance(source, WeightsSource)
        and is_published(source.weights)
        and strategy.init.freeze == "all-but-last"
    ):
        return [
            f"{key}.freeze: a classifier's weights fill the encoder alone, so all-but-last would hold a "
            "random decoder fixed; set `freeze: encoder`."
        ]
    return []
