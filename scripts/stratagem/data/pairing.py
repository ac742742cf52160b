"""Images and masks in folders, paired by their names.

A pattern such as ``{stem}_mask`` is a name with a place for the stem; the stem of an image is what its own
pattern leaves. A mask lies in its image's subfolder. What fits no pattern is said, with the line of config
that would pair it, if there is one (`stratagem.data.naming`).
"""

import difflib
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from stratagem.core.errors import DataError
from stratagem.data.files import Listing, unread, walk
from stratagem.data.layouts import advice_by_layout
from stratagem.data.naming import STEM, Beginnings, Named, Pattern, advice, owners
from stratagem.data.sample import Found, Problem, Sample, add, group_of, require_a_part

__all__ = ["find"]

ENOUGH = 3  # images that have a file of another kind, to call it one
NEAREST = 3  # missing masks whose nearest name is sought
APART = re.compile(r"[-_. ()\d]")  # what follows upon a stem, so that "ab" is no further file of "a"


@dataclass(frozen=True)
class _Folders:
    """The image files of the two folders, and how they are named."""

    images: list[Named]
    masks: list[Named]
    together: bool
    image_name: Pattern
    mask_name: Pattern
    image_folder: str
    mask_folder: str


def find(
    images: str,
    masks: str,
    mask_name: str,
    group: str | None,
    part: str | None = None,
    *,
    image_name: str = STEM,
) -> Found:
    """The samples of a folder of images and a folder of masks, which may be one and the same.

    Parameters
    ----------
    images, masks : path
        Searched with their subfolders; a mask has its image's subfolder.
    mask_name, image_name : str
        Names: ``{stem}`` stands for what both share, ``*`` behind it (of masks) for anything within one name;
        with an extension or without.
    group, part : str or None
        Regular expressions over the sample's name: what they match (their first bracket, if any) is the
        group, the part.

    Returns
    -------
    Found
        Files that make no sample are among its problems.

    Raises
    ------
    DataError
        If one of the folders does not exist, both are one and the names do not differ, or `part` is given
        and matches no sample.
    """
    found = Found()
    together = _are_one_folder(images, masks, mask_name, image_name)
    listed = _listed(Path(images), "images", Path(masks), found)
    others = listed if together else _listed(Path(masks), "masks", Path(images), found)
    named = _Folders(listed, others, together, Pattern(image_name), Pattern(mask_name), images, masks)
    pairs = named.mask_name.pairs(listed, others, named.image_name)
    taken = {path for paths in pairs.values() for path in paths}
    by_name = defaultdict(list)
    for name, path in listed:
        if path not in taken and named.image_name.stem(name, path) is not None:
            by_name[name].append(path)
    hint = "" if by_name.keys() <= pairs.keys() else _advice(named, by_name, pairs)
    _take_samples(found, named, by_name, pairs, group, part, hint)
    for name in sorted(pairs.keys() - by_name.keys()):
        reason = f"its image, `{name}`, is itself taken for the mask of another"
        found.problems += [Problem(str(path), reason) for path in pairs[name]]
    images_taken = {path for paths in by_name.values() for path in paths}
    loose = [(name, path) for name, path in others if path not in taken and path not in images_taken]
    if not together:
        loose += [(name, path) for name, path in listed if path not in images_taken and path not in taken]
    _tell_of_loose(found, named, loose, pairs, by_name, "" if found.samples else hint)
    require_a_part(found, part)
    return found


def _take_samples(found: Found, named: _Folders, by_name: dict, pairs: dict, group, part, hint: str) -> None:
    """Each image with its mask or masks as a sample, else as a problem."""
    beginnings = named.mask_name.beginnings(named.images, named.image_name)
    missing = 0
    for name, paths in sorted(by_name.items()):
        own = pairs.get(name, [])
        further = None
        if named.together and not own:
            further = _mask_of_another(name, paths[0], named, pairs, beginnings)
        if len(paths) > 1:
            found.problems += [Problem(str(p), f"{len(paths)} files are named `{name}`") for p in paths]
        elif further:
            found.problems.append(Problem(str(paths[0]), further, skippable=False))
        elif not own:
            missing += 1
            found.problems.append(Problem(str(paths[0]), _sought(name, paths[0], named, missing) + hint))
        elif len(own) > 1 and not named.mask_name.several:
            found.problems += [Problem(str(path), f"{len(own)} masks are those of `{name}`") for path in own]
        else:
            add(found, Sample(name, paths[0], tuple(own), group_of(name, group)), part)


def _advice(named: _Folders, by_name: dict, pairs: dict) -> str:
    """What would give the images without a mask theirs: of most, the collection's layout may tell it."""
    if 2 * len(by_name.keys() & pairs.keys()) < len(by_name):
        known = advice_by_layout(named.image_folder, named.mask_folder)
        if known:
            return known
    return advice(named.images, named.masks, named.image_name, named.mask_name, named.together)


def _sought(name: str, image: Path, named: _Folders, count: int) -> str:
    """The mask that was sought for an image, and the nearest that is there."""
    sought = named.mask_name.filled(name, named.image_name.stem(name, image) or "")
    ending = "" if named.mask_name.with_extension else ".*"
    reason = f"expected its mask, {Path(named.mask_folder, sought)}{ending}"
    if count > NEAREST:
        return reason
    names = [other for other, path in named.masks if path != image]
    near = difflib.get_close_matches(sought, names, 1, 0.6)
    return reason + (f"; the nearest name there is `{near[0]}`" if near else "; nothing there is named alike")


def _mask_of_another(name: str, path: Path, named: _Folders, pairs: dict, beginnings) -> str | None:
    """In a folder of both: why a file without a mask is rather a further mask of an image; None if not."""
    family = named.mask_name.family
    for image, rest in owners(name, path, beginnings) if family else ():
        if rest.startswith(family) and image in pairs:
            return _further(image, named)
    return None


def _further(image: str, named: _Folders) -> str:
    return (
        f"by its name a further mask of `{image}`, which is not read and never skipped. Are the masks of an "
        f'image its objects, one a file: `mask_name: "{named.mask_name.widened}"`. Is it none, move it away'
    )


def _tell_of_loose(
    found: Found, named: _Folders, loose: list[Named], pairs: dict, by_name: dict, hint: str
) -> None:
    """What files are that are no image and no mask: of another kind, a further mask, or without an image."""
    patterns = (named.mask_name, Pattern(STEM))
    beginnings = [pattern.beginnings(named.images, named.image_name) for pattern in patterns]
    owner_of = {path: _owner(name, path, beginnings) for name, path in loose}
    held: dict[str, set[str]] = defaultdict(set)
    for image, rest in filter(None, owner_of.values()):
        held[STEM + rest].add(image)
    paired = pairs.keys() & by_name.keys()
    kinds = {kind for kind, owned in held.items() if len(owned) >= ENOUGH and owned >= paired}
    pictures = {path for _, path in named.images} if named.image_name.text != STEM else set()
    for path, owner in owner_of.items():
        if owner and STEM + owner[1] in kinds:
            continue  # every image has one: another kind of file
        if owner and owner[0] in pairs:
            found.problems.append(Problem(str(path), _further(owner[0], named), skippable=False))
        elif path in pictures:
            reason = f"its name fits neither `image_name: {named.image_name.text}` nor `mask_name`"
            found.problems.append(Problem(str(path), reason))
        else:
            found.problems.append(Problem(str(path), f"no image in {named.image_folder} for this mask{hint}"))
    for kind in sorted(kinds):
        found.notes.append(f"Passed over: {len(held[kind])} files named `{kind}`, beside the masks.")


def _owner(name: str, path: Path, beginnings: list[Beginnings]) -> tuple[str, str] | None:
    """The image whose name a loose file's begins with, and what follows upon it, the least; None if none."""
    found = [
        (image, rest)
        for some in beginnings
        for image, rest in owners(name, path, some)
        if not rest or APART.match(rest)
    ]
    return min(found, key=lambda one: len(one[1]), default=None)


def _are_one_folder(images: str, masks: str, mask_name: str, image_name: str) -> bool:
    """Whether images and masks are in one folder, however it is spelled; then their names must differ."""
    together = Path(images).resolve() == Path(masks).resolve()
    if together and mask_name == image_name:
        raise DataError(
            expected="a name of the masks that is not their image's, in the one folder of both",
            found=f"`{mask_name}`",
            where=f"config key `mask_name`, {images}",
            remedy='Say how a mask\'s name differs, such as `mask_name: "{stem}_mask"`, or name two folders.',
        )
    return together


def _listed(folder: Path, key: str, other: Path, found: Found) -> list[Named]:
    """The image files of a folder, without the other folder within it; what else there is is said."""
    if not folder.is_dir():
        raise DataError(
            expected="a folder",
            found="none of that name",
            where=f"config key `{key}`, {folder}",
            remedy="Correct the path.",
        )
    listing = walk(folder)
    apart = Path(os.path.abspath(other))
    holds_other = apart.is_relative_to(os.path.abspath(folder)) and apart.resolve() != folder.resolve()

    def own(path: Path) -> bool:
        return not (holds_other and Path(os.path.abspath(path)).is_relative_to(apart))

    _tell_of_others(found, listing, folder, own)
    return [(name, path) for name, path in listing.images if own(path)]


def _tell_of_others(found: Found, listing: Listing, folder: Path, own) -> None:
    """Broken links as problems; other kinds of files, and links that are not followed, as notes."""
    for path in filter(own, listing.broken):
        target = os.readlink(path)
        cure = (
            "`git annex get` or `datalad get` fetches it" if ".git/annex" in target else "mend or remove it"
        )
        reason = f"a broken link: it leads to {target}, which is not there; {cure}"
        found.problems.append(Problem(str(path), reason))
    others = unread(filter(own, listing.others))
    if others:
        found.notes.append(f"Not read in {folder}: {others}.")
    if listing.repeated:
        first = listing.repeated[0]
        found.notes.append(
            f"Not followed: {len(listing.repeated)} links to folders that are read anyway, such as {first}."
        )
