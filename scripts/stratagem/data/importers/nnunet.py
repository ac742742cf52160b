"""2D data sets of nnU-Net v2 as a sample sheet."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import tifffile
from pydantic import BaseModel, Field, StrictInt

from stratagem.core.errors import DataError
from stratagem.data.image import read_raw
from stratagem.data.importers.faults import fault_of, read_json, require_folder, require_none, sentence
from stratagem.data.importers.output import done, new_folder, write_study
from stratagem.data.labels import IGNORE

__all__ = ["import_nnunet"]

FLAT_ENDINGS = (".png", ".bmp", ".tif", ".tiff")  # of nnU-Net's 2D reader
PARTS = {"Tr": "train", "Ts": "test"}  # by the suffix of nnU-Net's folders


def import_nnunet(folder: str | Path, out: str | Path) -> list[str]:
    """A 2D raw data set of nnU-Net v2 (`DatasetXXX_Name`).

    Where `labelsTs` exists, the column `part` says train or test as the data set does; else there is no
    such column and the study divides the images. A case of several channel files becomes one TIFF, (H, W, C),
    channels in nnU-Net's order. A label named `ignore` counts in no loss and no metric.

    Parameters
    ----------
    folder : path
        Holds `dataset.json`, `imagesTr`, `labelsTr`.
    out : path
        The folder to make.

    Returns
    -------
    list of str
        What was done, in sentences.

    Raises
    ------
    DataError
        Listing every fault; also for regions as labels and for 3D files, which are not supported. Also if
        `out` exists and is no empty folder.
    """
    folder = Path(folder)
    dataset = read_json(_Dataset, folder / "dataset.json", _NNUNET_REMEDY)
    require_none(_unsupported(dataset), "a 2D data set, one class a pixel", folder / "dataset.json", _FLAT)
    classes, labels = _classes_of_nnunet(dataset, folder / "dataset.json")
    faults: list[str] = []
    cases = _cases(folder, dataset, faults)
    require_none(faults, "each case with all its channels and its labels", folder, _NNUNET_REMEDY)
    with new_folder(out) as (made, final):
        channels = list(dataset.channel_names.values())
        rows: list[dict] = [
            {"image": _image(case, made, final, channels, faults), "mask": case.mask} for case in cases
        ]
        require_none(faults, "channels of one size and one pixel type", folder, "Replace those files.")
        if {case.suffix for case in cases} == set(PARTS):
            rows = [row | {"part": PARTS[case.suffix]} for row, case in zip(rows, cases, strict=True)]
        write_study(made, out, rows, classes, labels)
    return done(rows, out) + _notes_on_nnunet(folder, dataset, cases, out)


_NNUNET_REMEDY = (
    "Mend the data set as nnU-Net v2 describes it; `nnUNetv2_convert_old_nnUNet_dataset` converts one of v1."
)
_FLAT = (
    f"Supported are labels that are one number each, and 2D files ({', '.join(FLAT_ENDINGS)}) in `imagesTr` "
    "and `labelsTr`; export regions as exclusive classes, and volumes as slices."
)


class _Dataset(BaseModel):
    """What `dataset.json` says."""

    channel_names: dict[str, str] = Field(min_length=1)
    labels: dict[str, StrictInt | list]
    file_ending: str
    numTraining: int | None = None
    overwrite_image_reader_writer: str | None = None
    dataset: dict | None = None  # cases listed file by file instead of found in folders


@dataclass(frozen=True)
class _Case:
    """One image of nnU-Net: its channel files, its labels, the suffix of its folders, Tr or Ts."""

    name: str
    channels: list[Path]
    mask: Path
    suffix: str


def _unsupported(dataset: _Dataset) -> list[str]:
    faults = [
        f"label `{name}` is a region of {value}"
        for name, value in dataset.labels.items()
        if isinstance(value, list)
    ]
    if dataset.file_ending not in FLAT_ENDINGS:
        faults.append(f"`file_ending` is {dataset.file_ending!r}")
    if "3D" in (dataset.overwrite_image_reader_writer or ""):
        faults.append(f"`overwrite_image_reader_writer` is {dataset.overwrite_image_reader_writer}")
    if dataset.dataset is not None:
        faults.append("cases are listed under `dataset`")
    return faults


def _classes_of_nnunet(dataset: _Dataset, where: Path) -> tuple[list[str], dict[str, Any]]:
    """The class names by index, and the config key `labels`."""
    values = {name: value for name, value in dataset.labels.items() if name != "ignore"}
    classes = sorted(values, key=values.__getitem__)
    ignore = cast(int, dataset.labels.get("ignore", len(classes)))  # lists, of regions, were refused
    consecutive = [values[name] for name in classes] == list(range(len(classes)))
    named = all(name.strip() for name in classes)
    if not named or not consecutive or not 2 <= len(classes) <= ignore <= IGNORE:
        found = json.dumps(dataset.labels, ensure_ascii=False)
        expected = "`labels` 0, 1, 2, ... of at least two classes, `ignore` the highest"
        raise fault_of([found], expected, where, _NNUNET_REMEDY)
    return classes, {"encoding": "indices"} | ({"ignore": ignore} if "ignore" in dataset.labels else {})


def _cases(folder: Path, dataset: _Dataset, faults: list[str]) -> list[_Case]:
    cases = _cases_of_part(folder, "Tr", dataset, faults)
    found = len({case.name for case in cases})
    if not faults and dataset.numTraining not in (None, found):
        faults.append(f"`numTraining` is {dataset.numTraining}, but imagesTr holds {found} cases")
    if (folder / "labelsTs").is_dir():
        cases += _cases_of_part(folder, "Ts", dataset, faults)
    return cases


def _cases_of_part(folder: Path, suffix: str, dataset: _Dataset, faults: list[str]) -> list[_Case]:
    ending = dataset.file_ending
    images = _channel_files(folder / f"images{suffix}", ending, faults)
    masks = {path.name.removesuffix(ending): path for path in _of_ending(folder / f"labels{suffix}", ending)}
    faults += [f"{masks[name]} has no image" for name in sorted(masks.keys() - images.keys())]
    faults += [f"{name} has no labels in labels{suffix}" for name in sorted(images.keys() - masks.keys())]
    for name, channels in images.items():
        faults += _faults_of_channels(name, channels, len(dataset.channel_names))
    return [
        _Case(name, [images[name][number] for number in sorted(images[name])], masks[name], suffix)
        for name in sorted(images.keys() & masks.keys())
    ]


def _channel_files(folder: Path, ending: str, faults: list[str]) -> dict[str, dict[int, Path]]:
    """The files of each case by channel number."""
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    pattern = re.compile(rf"(.+)_(\d{{4}}){re.escape(ending)}")
    for path in _of_ending(folder, ending):
        match = pattern.fullmatch(path.name)
        if match:
            cases[match[1]][int(match[2])] = path
        else:
            faults.append(f"{path} has no channel number (CASE_0000{ending})")
    return cases


def _of_ending(folder: Path, ending: str) -> list[Path]:
    require_folder(folder)
    return sorted(
        path for path in folder.iterdir() if path.name.endswith(ending) and not path.name.startswith(".")
    )


def _faults_of_channels(name: str, channels: dict[int, Path], declared: int) -> list[str]:
    found = sorted(channels)
    if found == list(range(declared)):
        return []
    try:  # a colour image is one file, its colours declared as channels
        if found == [0] and read_raw(channels[0]).shape[2:] == (declared,):
            return []
    except DataError as error:
        return [sentence(error)]
    shown = ", ".join(f"{number:04d}" for number in found)
    return [f"{name} has the channels {shown} where {declared} are declared"]


def _image(case: _Case, made: Path, final: Path, names: list[str], faults: list[str]) -> Path:
    """The image file of a case, its channels joined where they are several files."""
    if len(case.channels) == 1:
        return case.channels[0]
    name = Path("images", f"images{case.suffix}", f"{case.name}.tif")
    try:
        _join(case.channels, names, made / name)
    except DataError as error:
        faults.append(sentence(error))
    return final / name


def _join(channels: list[Path], names: list[str], path: Path) -> None:
    planes = [read_raw(channel) for channel in channels]
    for channel, plane in zip(channels, planes, strict=True):
        if plane.ndim != 2 or (plane.shape, plane.dtype) != (planes[0].shape, planes[0].dtype):
            found = f"{plane.dtype} {plane.shape} beside {planes[0].dtype} {planes[0].shape}"
            raise fault_of([found], "a plane like that of the first channel", channel, "Replace it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path,
        np.stack(planes, axis=-1),
        photometric="minisblack",
        planarconfig="contig",  # one page: channels are no slices
        metadata={"axes": "YXS", "channel_names": names},
    )


def _notes_on_nnunet(folder: Path, dataset: _Dataset, cases: list[_Case], out: str | Path) -> list[str]:
    joined = sum(len(case.channels) > 1 for case in cases)
    notes = []
    if joined:
        count = len(dataset.channel_names)
        notes.append(f"Joined: {joined} cases of {count} channels, as TIFF files in {Path(out, 'images')}.")
    unlabelled = folder / "imagesTs"
    if unlabelled.is_dir() and not (folder / "labelsTs").is_dir():
        count = len(_of_ending(unlabelled, dataset.file_ending))
        notes.append(f"Left out: {count} files of imagesTs, which have no labels (there is no labelsTs).")
    return notes
