"""Spatial blocks of large scenes as samples, so that a few images can be divided into parts.

Of each image a grid of rows and columns is laid out. Neighbouring pixels are alike, so blocks that touch
would leak from training into test: each block keeps half of a gap away from every side that it shares. Any
two blocks are thus at least the gap apart, whatever part of the split each is in (Roberts et al., 2017,
"Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic structure").
"""

from dataclasses import dataclass, replace

from stratagem.core.errors import DataError
from stratagem.data.image import header_of
from stratagem.data.sample import Found, Sample, group_of, problem_of

__all__ = ["Blocks", "with_blocks"]

SMALLEST = 16  # pixels of a block's side


@dataclass(frozen=True)
class Blocks:
    """How an image is divided.

    Attributes
    ----------
    rows, columns : int
        Blocks one below the other, and side by side.
    gap : int
        Pixels between two blocks, at least.
    """

    rows: int
    columns: int
    gap: int = 0

    def windows(self, height: int, width: int) -> dict[str, tuple[int, int, int, int]]:
        """The blocks of an image of a size.

        Parameters
        ----------
        height, width : int
            Of the image, in pixels.

        Returns
        -------
        dict of str to (int, int, int, int)
            Top, left, height and width by ``row-column``, from 0.
        """
        tall, wide = self._spans(height, self.rows), self._spans(width, self.columns)
        return {
            f"{row}-{column}": (top, left, bottom - top, right - left)
            for row, (top, bottom) in enumerate(tall)
            for column, (left, right) in enumerate(wide)
        }

    def _spans(self, length: int, count: int) -> list[tuple[int, int]]:
        """First and last pixel (exclusive) of each block along one side."""
        edges = [round(place * length / count) for place in range(count + 1)]
        before, after = self.gap // 2, self.gap - self.gap // 2
        return [
            (edges[n] + (after if n else 0), edges[n + 1] - (before if n + 1 < count else 0))
            for n in range(count)
        ]


def with_blocks(found: Found, blocks: Blocks | None, group: str | None) -> Found:
    """The samples that were found, each block one of its own where the study says so.

    Parameters
    ----------
    found : Found
        Of files of one page.
    blocks : Blocks or None
    group : str or None
        The config key `split.group`; where it matches no block's name, each block is a unit of its own.

    Returns
    -------
    Found
        A block is named ``stem@row-column``, from 0.
    """
    if blocks is None:
        return found
    divided = Found(problems=list(found.problems), notes=found.notes)
    for sample in found.samples:
        try:
            divided.samples += _blocks_of(sample, blocks, group)
        except DataError as error:
            divided.problems.append(problem_of(error))
    return divided


def _blocks_of(sample: Sample, blocks: Blocks, group: str | None) -> list[Sample]:
    height, width = header_of(sample.image)[:2]
    for mask in sample.masks:
        declared = header_of(mask)
        if declared[:2] != (height, width):
            raise DataError(
                expected=f"with `split.blocks` a mask of its image's size, {height}x{width} (height x width)",
                found=f"{declared.height}x{declared.width}",
                where=str(mask),
                remedy="Bring it to that size.",
            )
    windows = blocks.windows(height, width)
    smallest = min(min(tall, wide) for _, _, tall, wide in windows.values())
    if smallest < SMALLEST:
        raise DataError(
            expected=f"blocks of at least {SMALLEST} pixels a side",
            found=f"{smallest} in an image of {height}x{width} (height x width)",
            where=f"config key `split.blocks`, {sample.image}",
            remedy="Make fewer blocks or a smaller `gap`.",
        )
    names = {place: f"{sample.sample}@{place}" for place in windows}
    return [
        replace(sample, sample=names[place], group=group_of(names[place], group), window=window)
        for place, window in windows.items()
    ]
