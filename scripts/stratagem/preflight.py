"""What a study needs before its first job: folders of images, weights files, cores, a GPU.

Comes in: the study, and what the workflow was given to run on. Goes out: nothing, or one `ConfigError` that
lists all that is missing, each in one sentence that names its key. What the jobs would find is found here
with the jobs' own sentences, before any of them starts.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stratagem.demo import DOMAINS
from stratagem.device import require_gpu
from stratagem.errors import ConfigError, DataError, DeviceError
from stratagem.image import EXTENSIONS
from stratagem.job import require_threads
from stratagem.networks import UNET
from stratagem.sample import fingerprint
from stratagem.study import DataSource, RunSource, Study, WeightsSource, is_address, is_published

__all__ = ["require"]


def require(study: Study, *, demo: str, cores: int | None) -> None:
    """Stop where a job is bound to fail for want of a file, a core or a GPU.

    Parameters
    ----------
    study : Study
        The study, read and found free of faults in itself.
    demo : str
        The folder below which the workflow makes the demo's images; these need not be there yet.
    cores : int or None
        How many the jobs may use on this machine; None where they run elsewhere, so that this machine's cores
        and GPUs say nothing.

    Raises
    ------
    ConfigError
        With everything that is missing, each in one sentence.
    """
    faults = [*_faults_of_folders(study, demo), *_faults_of_weights(study)]
    if cores is not None:
        faults += _told(require_threads, cores, study.threads)
        faults += _told(require_gpu) if study.device == "cuda" else []
    if faults:
        raise ConfigError(faults)


def _faults_of_folders(study: Study, demo: str) -> Iterator[str]:
    taught = {name: source for name, source in study.sources.items() if isinstance(source, DataSource)}
    places = {"": study} | {f"sources.{name}.": source for name, source in taught.items()}
    for place, data in places.items():
        if data.sheet is not None:
            yield from _told(fingerprint, data.sheet)  # reads it
            continue
        yield from _faults_of_folder(f"{place}images", data.images, demo)
        yield from _faults_of_folder(f"{place}masks", data.masks, demo)


def _faults_of_folder(key: str, folder: str, demo: str) -> Iterator[str]:
    path = Path(folder)
    made = [f"{demo}/{domain}/{part}" for domain in DOMAINS for part in ("images", "masks")]
    if _is_pattern(folder):
        yield f"{key}: expected a path without braces, but found {folder}; give the folder another name."
    elif path.is_relative_to(demo):
        if folder.rstrip("/") not in made:  # as Snakemake compares them, letter by letter
            yield f"{key}: expected one of {', '.join(made)}, but found {folder}; correct the path."
    elif not path.is_dir():
        found = "a file" if path.exists() else "none"
        yield f"{key}: expected a folder, but found {found} at {folder}; correct the path."
    elif not any(file.suffix.lower() in EXTENSIONS for file in path.rglob("*")):
        kinds = ", ".join(sorted(EXTENSIONS))
        yield f"{key}: expected images ({kinds}), but found none in {folder}; correct the path or add them."


def _faults_of_weights(study: Study) -> Iterator[str]:
    for name, source in study.sources.items():
        if isinstance(source, RunSource):
            yield from _faults_of_run(study, name, source)
        if (
            not isinstance(source, WeightsSource)
            or is_address(source.weights)
            or is_published(source.weights)
        ):
            continue
        key, path = f"sources.{name}.weights", source.weights
        if _is_pattern(path):
            yield f"{key}: expected a path without braces, but found {path}; give the file another name."
        elif not Path(path).is_file():
            yield f"{key}, {path}: expected a weights file, but found no file of that name; correct the path."


def _faults_of_run(study: Study, name: str, source: RunSource) -> Iterator[str]:
    """What is wrong with a run whose network strategies start from: it is not there, or not of their kind."""
    key, folder = f"sources.{name}.run", Path(source.run)
    if _is_pattern(source.run):
        yield f"{key}: expected a path without braces, but found {folder}; give the folder another name."
        return
    missing = [part for part in ("model.safetensors", "cost.json") if not (folder / part).is_file()]
    if missing:
        yield f"{key}: expected a finished run's folder, but found no {missing[0]} in it: {folder}."
        return
    record = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
    held = _network(record["recipe"]["strategy"].get("network", UNET), record["recipe"]["unet"])
    for user, strategy in study.strategies.items():
        wanted = _network(strategy.network, study.unet.model_dump())
        if strategy.init is not None and strategy.init.source == name and wanted != held:
            yield (
                f"{key}: expected the network of `strategies.{user}`, {wanted}, but found {held} in "
                f"{folder}; make `network` and `unet` the same."
            )
    if _has_seen_the_test_images(study, record):
        yield (
            f"{key}: expected a run on other images, or on the same split, but the run in {folder} learned "
            "from images that are tested here; take another run, or its study's `split`."
        )


def _network(network: str, unet: dict) -> str:
    return f"{network} of width {unet['width']} and depth {unet['depth']}" if network == UNET else network


def _has_seen_the_test_images(study: Study, record: dict) -> bool:
    """Whether a run was on this study's own files, and not divided just as they are here."""
    lineage = record.get("lineage")
    if lineage is None or not all(Path(place).exists() for place in study.places):
        return False
    same_split = lineage["split"] == study.split.model_dump(mode="json")
    divided_alike = same_split and lineage["folds"] == study.folds == 1
    return not divided_alike and lineage["files"] == fingerprint(*study.places)


def _is_pattern(path: str) -> bool:
    """Whether Snakemake would take a part of the path for a wildcard."""
    return "{" in path or "}" in path


def _told(check: Callable, *arguments: Any) -> list[str]:
    """The sentence in which a check of the jobs refuses; none where it passes."""
    try:
        check(*arguments)
    except (DataError, DeviceError) as error:
        return [str(error)]
    return []
