"""Files of several pages: whether these are samples or channels, and each page as a sample of its own.

A page that its file calls a colour or a channel is one. Of any other (a plane, a time, or without a name)
only the user knows, who is asked: read the wrong way, slices of a volume become the colours of one image.
"""

from dataclasses import replace

from stratagem.core.errors import DataError
from stratagem.data.image import header_of
from stratagem.data.sample import Found, Problem, Sample, group_of, problem_of

__all__ = ["with_pages"]


def with_pages(found: Found, pages: str | None, group: str | None) -> Found:
    """The samples that were found, each page one of its own where the study says so.

    Parameters
    ----------
    found : Found
    pages : {"samples", "channels"} or None
        The config key `pages`; None where it is not set.
    group : str or None
        The config key `split.group`; where it matches no page's name, all pages of a file are one group,
        since neighbours are nearly copies.

    Returns
    -------
    Found
        A page is named ``stem#page``, from 0.

    Raises
    ------
    DataError
        If files have several pages and `pages` is not set.
    """
    counted = Found(problems=list(found.problems), notes=found.notes)
    several: list[tuple[Sample, int]] = []
    for sample in found.samples:
        try:
            count = header_of(sample.image).pages
            masks = [header_of(mask).pages for mask in sample.masks]
        except DataError as error:
            counted.problems.append(problem_of(error))
            continue
        if count == 1 == max(masks) or pages == "channels":  # a mask of several is refused when it is read
            counted.samples.append(sample)
            continue
        several.append((sample, max(count, *masks)))
        if pages == "samples":
            _take_pages(counted, sample, count, masks, group)
    if several and pages is None:
        raise _question(several, len(found.samples))
    return counted


def _take_pages(found: Found, sample: Sample, count: int, masks: list[int], group: str | None) -> None:
    """Each page of an image with the same page of its mask."""
    if set(masks) != {count}:
        reason = (
            f"expected a mask of as many pages as its image, {count}, but found "
            f"{', '.join(map(str, masks))}. Save them as stacks of the same slices, or as files of one page."
        )
        found.problems.append(Problem(str(sample.masks[0]), reason))
        return
    for page in range(count):
        name = f"{sample.sample}#{page}"
        own = group_of(name, group)
        found.samples.append(
            replace(sample, sample=name, page=page, group=sample.group if own == name else own)
        )


def _question(several: list[tuple[Sample, int]], total: int) -> DataError:
    sample, count = several[0]
    return DataError(
        expected="to be told what the pages of a file are",
        found=f"{len(several)} of {total} samples with files of several pages, such as {count} in "
        f"{sample.image} or its mask {sample.masks[0].name}",
        where="config key `pages`",
        remedy="If each page is an image (slices of a volume, frames of a film), with a page of the mask: "
        "`pages: samples`. If the pages of an image are its channels: `pages: channels`, and in `channels` "
        "the one or three to use.",
    )
