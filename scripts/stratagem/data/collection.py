"""The samples of a data set, wherever the study says that they are: in folders or in a sheet."""

from stratagem.data.naming import STEM
from stratagem.data.pairing import find
from stratagem.data.sample import Found
from stratagem.data.sheet import read_sheet

__all__ = ["samples_of"]


def samples_of(data: dict, group: str | None, part: str | None) -> Found:
    """What is found by the keys of a data set.

    Parameters
    ----------
    data : dict
        `sheet`, or `images`, `masks`, `mask_name` and perhaps `image_name`.
    group, part : str or None
        The config keys `split.group` and `split.part`.

    Returns
    -------
    Found

    Raises
    ------
    DataError
        As `stratagem.data.pairing.find` and `stratagem.data.sheet.read_sheet`.
    """
    if "sheet" in data:
        return read_sheet(data["sheet"], group, part)
    places = data["images"], data["masks"], data["mask_name"]
    return find(*places, group, part, image_name=data.get("image_name", STEM))
