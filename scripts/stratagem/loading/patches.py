"""Random parts of samples: where large images hold small things, at their own resolution.

Each time a sample is shown, it is another part of it: a function of the run's seed, of the sample's name and
of how often it was shown before, and of nothing else. A stated share of the parts holds a pixel of a
foreground class: of those in the sample one is drawn, each equally often, then one of its pixels, then a part
that holds it, each equally often. So a class that covers little of an image is seen as often as one that
covers much.

Source: the share of a third, and the class drawn among those present, are nnU-Net's (Isensee et al. 2021,
Nat. Methods 18:203), which puts the pixel in the middle of the part.
"""

import hashlib

import numpy as np

from stratagem.data.labels import IGNORE
from stratagem.loading.storage import Derived, Labelled, one_sample, sample_bytes

__all__ = ["Patches"]


class Patches(Derived):
    """A storage whose samples are random parts of those of another.

    Parameters
    ----------
    storage : Labelled
        Its samples are at least of the parts' size.
    size : (int, int)
        Height and width of a part.
    foreground : float
        Share of the parts that hold a pixel of a foreground class, where the sample has one.
    seed : int

    Attributes
    ----------
    shapes : int32, (N, 2)
        The parts' size.
    """

    def __init__(self, storage: Labelled, size: tuple[int, int], foreground: float, seed: int):
        super().__init__(storage)
        self.shapes = np.tile(np.array(size, np.int32), (len(storage), 1))
        self._foreground, self._seed = foreground, seed

    @property
    def nbytes(self) -> int:
        """What the other storage holds in memory, and one of its samples, which is read to be cut."""
        return self._storage.nbytes + int(sample_bytes(self._storage).max(initial=0))

    def read(self, places: np.ndarray, image: np.ndarray, mask: np.ndarray, showings: np.ndarray) -> None:
        """Fill buffers, uint8 (B, H, W, C) and (B, H, W), with a part of each sample.

        Parameters
        ----------
        places : int64, (B,)
            Of samples.
        image : uint8, (B, H, W, C)
            Is filled.
        mask : uint8, (B, H, W)
            Is filled; 255 = ignore.
        showings : int64, (B,)
            How often each was shown before.

        Raises
        ------
        StratagemError
            If a sample cannot be read, as from the other storage's `read`.
        """
        for number, (place, showing) in enumerate(zip(places.tolist(), showings.tolist(), strict=True)):
            pixels, labels = one_sample(self._storage, place, showing)
            top, left = self._corner(place, showing, labels)
            part = slice(top, top + mask.shape[1]), slice(left, left + mask.shape[2])
            image[number], mask[number] = pixels[part], labels[part]

    def _corner(self, place: int, showing: int, labels: np.ndarray) -> tuple[int, int]:
        """The top left pixel of a part."""
        random = self._random(place, showing)
        held = np.setdiff1d(labels, [0, IGNORE]) if random.random() < self._foreground else np.empty(0)
        room = [side - part for side, part in zip(labels.shape, self.shapes[place].tolist(), strict=True)]
        if not len(held):
            return int(random.integers(room[0] + 1)), int(random.integers(room[1] + 1))
        wanted = np.flatnonzero(labels == random.choice(held))
        pixel = divmod(int(random.choice(wanted)), labels.shape[1])
        sides = zip(pixel, self.shapes[place].tolist(), room, strict=True)
        top, left = (
            int(random.integers(max(0, at - part + 1), min(at, most) + 1)) for at, part, most in sides
        )
        return top, left

    def _random(self, place: int, showing: int) -> np.random.Generator:
        words = f"{self._seed} {self.windows[place]} {self.names[place]}"
        key = int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big")
        return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, showing]))
