"""What a study needs before its first job: folders of images, weights files, cores, a GPU.

Comes in: the study, and what the workflow was given to run on. Goes out: nothing, or one `ConfigError` that
lists all that is missing, each in one sentence that names its key. What the jobs would find is found here
with the jobs' own sentences, before any of them starts.
"""

import getpass
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stratagem.core.device import require_gpu
from stratagem.core.errors import ConfigError, DataError, DeviceError
from stratagem.core.files import read_table
from stratagem.core.job import require_threads
from stratagem.data.demo import DOMAINS
from stratagem.data.files import Listing, unread, walk
from stratagem.data.image import EXTENSIONS
from stratagem.data.raw import fingerprint
from stratagem.data.sheet import listed_images
from stratagem.networks.table import UNET
from stratagem.study import needs
from stratagem.study.declaration import (
    DataSet,
    DataSource,
    RunSource,
    Study,
    WeightsSource,
)
from stratagem.study.stored import index_of, started_in
from stratagem.transfer.origin import is_address, is_published

__all__ = ["require"]


def require(
    study: Study,
    *,
    demo: str,
    cores: int | None,
    walk: Callable[[Path], Listing] = walk,
    memory_mb: int | None = None,
    results: Path | None = None,
) -> None:
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
    walk : function
        From a folder to what is in it, for a caller that has walked some already.
    memory_mb : int or None
        Of this machine, where networks are trained in its main memory.
    results : path or None
        The folder that all is written to; None asks neither for room on its disk nor for the right to write.

    Raises
    ------
    ConfigError
        With everything that is missing, each in one sentence.
    """
    faults = [] if results is None else [*_faults_of_place(results)]
    faults += [*_faults_of_folders(study, demo, walk), *_faults_of_weights(study)]
    faults += [] if faults else _faults_of_sheets(study)
    faults += [] if faults else _faults_of_cost(study, demo, walk, memory_mb, results)
    if cores is not None:
        faults += _told(require_threads, cores, study.threads)
        faults += _told(require_gpu) if study.device == "cuda" else []
    if faults:
        raise ConfigError(faults)


def _faults_of_place(results: Path) -> Iterator[str]:
    """A folder that may not be written to: one of the results, or that of Snakemake's own records."""
    within = (Path(folder) for folder, _, _ in os.walk(results.absolute()))
    for folder in (_existing(results), Path.cwd(), *within):
        if not os.access(folder, os.W_OK):
            yield (
                f"{folder}: expected a folder that {getpass.getuser()} may write to, but found none; start "
                "with `--directory DIR` where you may (relative paths of the study are then from there), or "
                f"have it changed by who owns it (`ls -ld {folder}`)."
            )
            return


def _existing(results: Path) -> Path:
    """The folder of the results, or the nearest above it that is there."""
    return next(one for one in (results.absolute(), *results.absolute().parents) if one.is_dir())


def _faults_of_folders(study: Study, demo: str, walk) -> Iterator[str]:
    taught = {name: source for name, source in study.sources.items() if isinstance(source, DataSource)}
    places = {"": study} | {f"sources.{name}.": source for name, source in taught.items()}
    for place, data in places.items():
        if data.sheet is not None:
            yield from _told(fingerprint, data.sheet)  # reads it
            continue
        images, masks = data.places
        yield from _faults_of_folder(f"{place}images", images, demo, walk)
        yield from _faults_of_folder(f"{place}masks", masks, demo, walk)


def _faults_of_folder(key: str, folder: str, demo: str, walk) -> Iterator[str]:
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
    elif not walk(path).images and not walk(path).broken:
        kinds, others = ", ".join(sorted(EXTENSIONS)), unread(walk(path).others)
        found = f"none in {folder}" + (f", only {others}" if others else "")
        yield f"{key}: expected images ({kinds}), but found {found}; correct the path or add them."


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
    held = _network_of(folder)
    if held is None:
        yield f"{key}: expected the record of a finished run, but found none that can be read in {folder}."
        return
    for user, strategy in study.strategies.items():
        wanted = _network(strategy.network, study.unet.model_dump())
        if strategy.init is not None and strategy.init.source == name and wanted != held:
            yield (
                f"{key}: expected the network of `strategies.{user}`, {wanted}, but found {held} in "
                f"{folder}; make `network` and `unet` the same."
            )
    yield from _faults_of_what_was_learned(study, key, folder)


def _faults_of_what_was_learned(study: Study, key: str, folder: Path) -> Iterator[str]:
    """Whether a run learned from images of this study, by the index of the study that it is of."""
    index = index_of(folder)
    if not index.is_file():
        yield (
            f"{key}: expected the run within its study's results, which say what it learned from, but found "
            f"no index.parquet in {index.parent}; name the run where it was made."
        )
        return
    start = started_in(index)
    learned = {(start / image).resolve() for image in read_table(index, columns=["image"])["image"]}
    if _holds_any(study, learned):
        yield f"{key}: expected a run on other images, but found one on images of this study; take another."


def _holds_any(data: DataSet, images: set[Path]) -> bool:
    """Whether a data set holds one of some images."""
    if data.sheet is not None:
        return not images.isdisjoint(listed_images(data.sheet))
    folder = Path(data.places[0]).resolve()
    return any(image.is_relative_to(folder) for image in images)


def _faults_of_sheets(study: Study) -> Iterator[str]:
    """Sources that list the study's own images; of folders the study itself says so."""
    for name, source in study.sources.items():
        if not isinstance(source, DataSource) or not (study.sheet or source.sheet):
            continue
        listed, other = (study, source) if study.sheet else (source, study)
        assert listed.sheet is not None
        if Path(listed.sheet).is_file() and _holds_any(other, listed_images(listed.sheet)):
            yield (
                f"sources.{name}: expected images that are not the study's own, since test images would be "
                "learned from, but found some in both; leave them out of one."
            )


def _faults_of_cost(
    study: Study, demo: str, walk, memory_mb: int | None, results: Path | None
) -> Iterator[str]:
    """What neither this machine's memory nor its disk can hold."""
    count = _images_of(study, demo, walk)
    declared = {name: needs.Frames.declared(study, name, count) for name in study.resolutions}
    if memory_mb is not None:
        yield from needs.beyond_memory(study, declared, memory_mb)
    if results is None:
        return
    sharded = {one.resolution for one in study.strategies.values() if one.loader.storage != "files"}
    unwritten = {
        name: frames
        for name, frames in declared.items()
        if frames and name in sharded and not (results / "resolutions" / name / "shards.parquet").is_file()
    }
    place = _existing(results)
    yield from needs.beyond_disk(study, unwritten, shutil.disk_usage(place).free // 2**20, str(place))


def _images_of(study: Study, demo: str, walk) -> int:
    """How many images a study has, at least."""
    if study.sheet is not None:
        return 1
    images, masks = map(Path, study.places)
    if images.is_relative_to(demo):
        return DOMAINS[images.parent.name].images
    files = len(walk(images).images)
    return files // 2 if images == masks else files


def _network_of(folder: Path) -> str | None:
    """The network of a run, by its record; None where that says none."""
    try:
        recipe = json.loads((folder / "cost.json").read_text(encoding="utf-8"))["recipe"]
        return _network(recipe["strategy"]["network"], recipe["unet"])
    except (ValueError, KeyError, TypeError):
        return None


def _network(network: str, unet: dict) -> str:
    return f"{network} of width {unet['width']} and depth {unet['depth']}" if network == UNET else network


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
