"""How much a study will test, before anything is trained.

Comes in: the study, and the index of an earlier call where there is one. Goes out: the number of images,
groups or folds that its comparison will count, as far as it is known.
"""

from pathlib import Path

import pandas as pd

from stratagem.core.errors import DataError
from stratagem.core.files import read_table
from stratagem.data.collection import samples_of
from stratagem.data.demo import DOMAINS
from stratagem.data.files import Files
from stratagem.data.naming import STEM
from stratagem.data.sample import Found, group_of
from stratagem.data.split import units
from stratagem.study.declaration import Study

__all__ = ["units_tested"]


def units_tested(study: Study, index: Path, demo: str, files: Files) -> tuple[str, int] | None:
    """What a study's comparison counts, and how many of them it will test.

    Parameters
    ----------
    study : Study
    index : path
        Of an earlier call, which knows duplicates; else the names of the files are counted.
    demo : str
        The folder below which the workflow makes the demo's images; these need not be there yet.
    files : function
        From a folder to its image files.

    Returns
    -------
    (str, int) or None
        ``fold``, ``group`` or ``image``, and their number. None where the files make no samples: what is
        wrong with them is the index's to say.
    """
    if study.folds > 1:
        return "fold", study.folds
    try:
        table = _indexed(index) if index.is_file() else _named(study, demo, files)
    except (DataError, ValueError, OSError):  # a damaged index stops no call here
        return None
    if table.empty:
        return None
    if study.split.blocks and not index.is_file():
        rows, columns = study.split.blocks
        table = table.loc[table.index.repeat(rows * columns)].reset_index(drop=True)
        table["unit"] = range(len(table))
    own = table.loc[table["part"] == "test", "unit"].nunique()
    count = own or max(1, round(study.split.test * table["unit"].nunique()))
    return ("image" if table["unit"].is_unique else "group"), count


def _indexed(index: Path) -> pd.DataFrame:
    samples = read_table(index, columns=["sample", "group", "cluster", "part"])
    return samples.assign(unit=units(samples).to_numpy())


def _named(study: Study, demo: str, files: Files) -> pd.DataFrame:
    """The unit and part of each sample, as the names of its files say."""
    group, part = study.split.group, study.split.part
    if study.sheet is not None:
        return _of(samples_of(study.data, group, part))
    assert study.images is not None and study.masks is not None
    images, masks = Path(study.images), Path(study.masks)
    if images.is_relative_to(demo):
        return pd.DataFrame({"unit": range(DOMAINS[images.parent.name].images), "part": None})
    if part is None and study.image_name == STEM and not _overlap(images.resolve(), masks.resolve()):
        # Every file is an image: three times as fast as to pair each with its masks.
        return pd.DataFrame({"unit": [group_of(name, group) for name, _ in files(images)], "part": None})
    return _of(samples_of(study.data, group, part))


def _of(found: Found) -> pd.DataFrame:
    return pd.DataFrame([(one.group, one.part) for one in found.samples], columns=["unit", "part"])


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
