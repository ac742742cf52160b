"""The samples of a data set: an image with its mask or masks, and what is no sample and why.

A sample's identity is its image's POSIX path under the image folder (or the sheet's own folder), without
extension, in Unicode NFC. Every random choice hashes that identity, so an added sample moves hardly any
other. What is found (`stratagem.data.pairing`, `stratagem.data.sheet`) is only names; a page of a file is
``stem#page``, a block of an image ``stem@row-column``.
"""

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from stratagem.core.errors import DataError
from stratagem.data.image import Part

__all__ = ["Found", "Problem", "Sample", "add", "group_of", "problem_of", "require_a_part"]

PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
PARTS |= {"test": "test", "testing": "test"}


@dataclass(frozen=True)
class Sample:
    """One image and what belongs to it.

    Attributes
    ----------
    sample : str
        Its identity.
    image : path
    masks : tuple of path
        One; several where each holds one object.
    group : str
        Samples of one group never straddle two parts of a split.
    part : {"train", "val", "test"} or None
        Where the user says so.
    pixel_size : float
        Of the side of a pixel, in a unit of the user's; NaN where it is not known.
    page : int or None
        Of the files of image and mask, from 0; None of files of one page.
    window : (int, int, int, int) or None
        Top, left, height and width of the block of the image that the sample is; None of a whole image.
    """

    sample: str
    image: Path
    masks: tuple[Path, ...]
    group: str
    part: str | None = None
    pixel_size: float = math.nan
    page: int | None = None
    window: tuple[int, int, int, int] | None = None

    @property
    def place(self) -> Part:
        """Which part of its files it is."""
        return Part(self.page, self.window)


class Problem(NamedTuple):
    """A file that makes no sample, and why.

    Attributes
    ----------
    file, reason : str
    skippable : bool
        Whether `bad_samples: skip` may leave it out: a whole sample, never a further mask of one, since what
        it marks would become background.
    """

    file: str
    reason: str
    skippable: bool = True


@dataclass
class Found:
    """Samples, sorted by identity, every file that is none, and sentences on what else was seen."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def group_of(sample: str, pattern: str | None) -> str:
    """The part of a sample's name that the pattern matches; the whole name where it does not.

    Parameters
    ----------
    sample : str
        Its identity.
    pattern : str or None
        A regular expression, searched anywhere in the name; its first bracket, if any, is what counts.

    Returns
    -------
    str
    """
    return _matched(sample, pattern) or sample


def problem_of(error: DataError) -> Problem:
    """The file of an error, and the reason with its cure, as the table of problems has them.

    Parameters
    ----------
    error : DataError

    Returns
    -------
    Problem
    """
    return Problem(error.where, f"expected {error.expected}, but found {error.found}. {error.remedy}".strip())


def add(found: Found, sample: Sample, pattern: str | None, said: str = "") -> None:
    """Take a sample, with the part that is said of it or that its name says."""
    word = said or _matched(sample.sample, pattern) or ""
    if word and word.lower() not in PARTS:
        reason = f"expected one of {', '.join(PARTS)} as its part, but found `{word}`"
        found.problems.append(Problem(str(sample.image), reason))
        return
    found.samples.append(replace(sample, part=PARTS.get(word.lower())))


def require_a_part(found: Found, pattern: str | None) -> None:
    """Refuse a pattern of the parts that no name fits: the set would be divided without a word."""
    if pattern is None or not found.samples or any(sample.part for sample in found.samples):
        return
    loose = any(re.search(pattern, sample.sample, re.IGNORECASE) for sample in found.samples)
    capitals = f" Capital letters count: `split: {{part: '(?i){pattern}'}}` would match." if loose else ""
    raise DataError(
        expected="a pattern that gives samples their part",
        found=f"no match of `{pattern}` in {len(found.samples)} names, such as `{found.samples[0].sample}`",
        where="config key `split.part`",
        remedy=f"Mend the pattern, or leave it out to have the samples divided.{capitals}",
    )


def _matched(sample: str, pattern: str | None) -> str | None:
    match = re.search(pattern, sample) if pattern else None
    return match and (match.group(1) if match.re.groups else match.group(0))
