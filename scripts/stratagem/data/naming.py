"""Patterns of names with a place for the stem, and the patterns that would pair a set of files.

``{stem}_mask`` is a mask's name, ``{stem}_sat`` an image's: what stands for the stem is the same in both.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stratagem.data.files import is_image

__all__ = ["STEM", "USUAL", "Beginnings", "Named", "Pattern", "advice", "owners"]

STEM = "{stem}"
USUAL: tuple[str, ...] = ("{stem}_mask", "{stem}_masks", "{stem}-mask", "{stem}_label")
USUAL += ("{stem}_labels", "{stem}_seg", "{stem}_segmentation", "{stem}_gt", "{stem}_*", "{stem}/*")
USUAL += ("mask_{stem}",)
TRIED = 300  # images on which patterns are tried
OFTEN = 1 / 3  # share of the names that a part of a name has, to be a part of the pattern
KINDS = 4  # endings that are offered

Named = tuple[str, Path]
Beginnings = dict[str, list[Named]]


@dataclass(frozen=True)
class Pattern:
    """A name with a place for the stem.

    Attributes
    ----------
    text : str
        With ``{stem}`` once; ``*`` behind it stands for anything within one name.
    """

    text: str

    @cached_property
    def sides(self) -> tuple[str, str]:
        """What stands before the stem, and behind it."""
        before, after = self.text.split(STEM)
        return before, after

    @cached_property
    def with_extension(self) -> bool:
        """Whether it ends with an extension that is read."""
        return is_image(Path("x" + self.sides[1]))

    @property
    def several(self) -> bool:
        """Whether one image may have several."""
        return "*" in self.text

    @property
    def family(self) -> str:
        """What stands behind the stem, up to a number or a star: of ``{stem}_lesion1`` it is "_lesion"."""
        return re.split(r"\d*(?:\*|\.\w+$|$)", self.sides[1])[0]

    @property
    def widened(self) -> str:
        """The pattern of all that begins as this one."""
        return f"{self.sides[0]}{STEM}{self.family}*"

    def stem(self, name: str, path: Path) -> str | None:
        """The stem of an image's name, without its folder; None where it is not named so.

        Parameters
        ----------
        name : str
            Without extension.
        path : path
            Of the file, for its extension.
        """
        before, after = self.sides
        last = name.rpartition("/")[2] + (path.suffix if self.with_extension else "")
        fits = last.startswith(before) and last.endswith(after) and len(last) > len(before) + len(after)
        return last[len(before) : len(last) - len(after)] if fits else None

    def beginning(self, name: str, stem: str) -> str:
        """How a mask's name begins, of an image of that name and stem; with its folder."""
        folder = name.rpartition("/")[0]
        return f"{folder}/{self.sides[0]}{stem}" if folder else f"{self.sides[0]}{stem}"

    def filled(self, name: str, stem: str) -> str:
        """A mask's name, of an image of that name and stem."""
        return self.beginning(name, stem) + self.sides[1]

    def pairs(self, images: Iterable[Named], masks: Iterable[Named], image_name: "Pattern") -> dict:
        """The masks of each image's name: those whose name is this pattern with the image's stem in it.

        Parameters
        ----------
        images, masks : iterable of (str, path)
            Names without extension, and files; a file is not its own mask.
        image_name : Pattern

        Returns
        -------
        dict of str to list of path
        """
        ending = re.compile(re.escape(self.sides[1]).replace(r"\*", "[^/]*"))
        beginnings = self.beginnings(images, image_name)
        pairs = defaultdict(list)
        for name, path in masks:
            whole = name + path.suffix if self.with_extension else name
            for image, rest in owners(whole, path, beginnings):
                if ending.fullmatch(rest):
                    pairs[image].append(path)
                    break
        return pairs

    def beginnings(self, images: Iterable[Named], image_name: "Pattern") -> Beginnings:
        """The images by how their masks' names begin.

        Parameters
        ----------
        images : iterable of (str, path)
            Names without extension, and files; those that are not named as images are left out.
        image_name : Pattern
        """
        found: Beginnings = defaultdict(list)
        for name, path in images:
            stem = image_name.stem(name, path)
            if stem is not None:
                found[self.beginning(name, stem)].append((name, path))
        return found


def owners(name: str, path: Path, beginnings: Beginnings) -> Iterator[tuple[str, str]]:
    """The images with whose beginning a file's name begins, the longest first, and what follows upon it.

    Parameters
    ----------
    name : str
        Of the file, as it is to be compared.
    path : path
        The file, which is not its own mask.
    beginnings : dict
        From `Pattern.beginnings`.

    Yields
    ------
    image, rest : str
    """
    for cut in range(len(name), 0, -1):
        yield from ((image, name[cut:]) for image, file in beginnings.get(name[:cut], ()) if file != path)


def advice(
    images: list[Named], masks: list[Named], image_name: Pattern, mask_name: Pattern, together: bool
) -> str:
    """The lines of config that would pair most images, or why no pattern does.

    Parameters
    ----------
    images, masks : list of (str, path)
        Names without extension, and files.
    image_name, mask_name : Pattern
        Of now.
    together : bool
        Whether both are in one folder.

    Returns
    -------
    str
        A clause to append, beginning with "; "; or nothing.
    """
    counts: dict[tuple[str, str], int] = {}
    for own, other in _candidates(images[:TRIED], masks, image_name):
        if (own, other) != (image_name.text, mask_name.text) and not (together and own == other):
            counts[own, other] = len(Pattern(other).pairs(images[:TRIED], masks, Pattern(own)))
    most = max(counts.values(), default=0)
    pictures = sum(image_name.stem(*one) is not None for one in images)
    if most <= max(0, min(pictures, TRIED) / (4 if together else 2) - 1):
        return _why([name for name, _ in images], [name for name, _ in masks])
    best = [pair for pair, count in counts.items() if count == most]
    effort = {pair: (pair[0] != image_name.text, Pattern(pair[1]).several) for pair in best}
    best = [pair for pair in best if effort[pair] == min(effort.values())][:KINDS]
    whole = len(Pattern(best[0][1]).pairs(images, masks, Pattern(best[0][0])))
    lines = " or ".join(
        (f'`image_name: "{own}"` with ' if own != image_name.text else "") + f'`mask_name: "{other}"`'
        for own, other in best
    )
    return f"; {lines} would give {whole} images one"


def _candidates(images: list[Named], masks: list[Named], now: Pattern) -> Iterator[tuple[str, str]]:
    """Patterns to try: the usual ones, then what the names share."""
    yield from ((now.text, usual) for usual in USUAL)
    for own in dict.fromkeys([now.text, *_affixed([name for name, _ in images])]):
        yield own, STEM
        for other in _endings(images, masks, Pattern(own)):
            yield own, other


def _affixed(names: list[str]) -> Iterator[str]:
    """Patterns of names that share a last part, ``{stem}_sat``, or a first one, ``img_{stem}``."""
    lasts = [name.rpartition("/")[2] for name in names]
    for expression, pattern in ((r"[-_. ][^-_. ]*$", STEM + "{}"), (r"^(?:[^-_. \d]+[-_. ]?)", "{}" + STEM)):
        parts = Counter(match[0] for last in lasts if (match := re.search(expression, last)))
        for number in [part for part in parts if re.fullmatch(r"[-_. ]\d{1,2}", part)]:
            del parts[number]  # which rather tells images apart
        for part, count in parts.most_common(3):
            if count >= OFTEN * len(names):
                yield pattern.replace("{}", part)


def _endings(images: list[Named], masks: list[Named], own: Pattern) -> list[str]:
    """The patterns that masks have beside images of this pattern, the most frequent first."""
    befores = {"", *(p.split(STEM)[0] for p in _affixed([name for name, _ in masks]) if p.endswith(STEM))}
    found: Counter[str] = Counter()
    stems = {before: Pattern(before + STEM).beginnings(images, own) for before in befores}
    for name, path in masks:
        for before, beginnings in stems.items():
            if any(file == path for _, file in beginnings.get(name, ())):
                continue  # in one folder a mask is named as an image too
            _, rest = next(owners(name, path, beginnings), ("", "/"))
            if "/" not in rest:
                found[f"{before}{STEM}{rest}"] += 1
    return [pattern for pattern, _ in found.most_common(KINDS)]


def _why(images: list[str], masks: list[str]) -> str:
    """Why no pattern gives most images a mask, where their names tell it."""
    if any("/masks/" in f"/{name}" for name in images):
        return "; where each sample has folders of its own, list the files in a `sheet`"
    if 2 * len({*images} & {*masks}) > len(images):
        return ""
    for change, why in (
        (str.casefold, "names that differ in capital letters alone"),
        (lambda name: name.rpartition("/")[2], "the names, but in other subfolders"),
    ):
        if 2 * len({*map(change, images)} & {*map(change, masks)}) > len(images):
            return f"; most masks have {why}: rename or move them, or list the files in a `sheet`"
    return "; where no pattern fits, list the files in a `sheet`"
