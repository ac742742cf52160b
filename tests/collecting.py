"""Tiny collections of other tools, and what was made of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from PIL import Image

from stratagem.core.errors import DataError

SIZE = (6, 8)  # height, width


def save(array: np.ndarray, path: Path) -> Path:
    """One image file, its folders with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)
    return path


def picture(value: int = 0, size: tuple[int, ...] = SIZE) -> np.ndarray:
    """An image of one value."""
    return np.full(size, value, np.uint8)


def write_json(record: dict, path: Path) -> Path:
    """One JSON file, its folders with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def sheet(out: Path) -> pd.DataFrame:
    """The sheet, after seeing that each path in it leads from its folder to a file."""
    table = pd.read_csv(out / "samples.csv")
    for path in [*table["image"], *table["mask"]]:
        assert "\\" not in path and (out / path).is_file(), path
    return table


def study(out: Path) -> dict:
    """The keys of the config that was written."""
    return yaml.safe_load((out / "study.yaml").read_text(encoding="utf-8"))


def refused(call, *words: str, out: Path) -> DataError:
    """The error of a call that must name all these words and leave no folder behind."""
    with pytest.raises(DataError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
    assert not out.exists() and not list(out.parent.glob(f".{out.name}*"))
    return caught.value


def nnunet(folder: Path, cases=("a", "b"), channels=1, suffix="Tr", **changes) -> Path:
    """A data set as nnU-Net v2's documentation shows it."""
    for number, case in enumerate(cases):
        for channel in range(channels):
            save(picture(10 * number + channel), folder / f"images{suffix}" / f"{case}_{channel:04d}.png")
        save(picture(number), folder / f"labels{suffix}" / f"{case}.png")
    record = {
        "channel_names": {str(channel): f"channel {channel}" for channel in range(channels)},
        "labels": {"background": 0, "cell": 1},
        "numTraining": len(cases),
        "file_ending": ".png",
    }
    if suffix == "Tr":
        write_json(record | changes, folder / "dataset.json")
    return folder


def coco(folder: Path, *annotations: dict, names=("one.png",), **changes) -> tuple[Path, Path]:
    """A COCO file and its image folder; sizes and ids as the collection's own files have them."""
    images = folder / "images"
    for name in names:
        save(picture(0, (*SIZE, 3)), images / name)
    record = {
        "info": {"year": 2026},
        "licenses": [],
        "images": [
            {"id": 100 + number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            for number, name in enumerate(names)
        ],
        "annotations": [
            {"id": number, "image_id": 100, "category_id": 18, "iscrowd": 0} | annotation
            for number, annotation in enumerate(annotations)
        ],
        "categories": [{"id": 44, "name": "bottle"}, {"id": 18, "name": "dog", "supercategory": "animal"}],
    }
    return write_json(record | changes, folder / "instances.json"), images


def rectangle(left: float, top: float, right: float, bottom: float) -> dict:
    """An annotation of COCO."""
    return {"segmentation": [[left, top, right, top, right, bottom, left, bottom]]}


def cells(dtype=np.uint16, shift: int = 299) -> np.ndarray:
    """Two cells that touch."""
    labels = np.zeros(SIZE, dtype)
    labels[1:4, 1:3] = 1 + shift
    labels[1:4, 3:6] = 2 + shift
    return labels


def drawn(out: Path, row: int = 0) -> np.ndarray:
    """A mask that was drawn."""
    path = out / sheet(out)["mask"][row]
    with Image.open(path) as image:
        assert image.format == "PNG" and image.mode == "L"
        return np.array(image)


def block(rows: slice, columns: slice) -> np.ndarray:
    """A mask of ones there."""
    mask = np.zeros(SIZE, np.uint8)
    mask[rows, columns] = 1
    return mask
