"""Synthetic images on their way into a batch: which row of the manifest each sample takes, and its making."""

import time

import numpy as np
import pandas as pd

from stratagem.augmentation.manifest import Manifest, Ring
from stratagem.augmentation.on_cpu import apply, paste
from stratagem.loading.order import Selection
from stratagem.loading.storage import Storage, buffers, naming, one_sample

__all__ = ["Synthesis"]


class Synthesis:
    """Makes the synthetic images of some samples, as a manifest says.

    Parameters
    ----------
    storage : Storage
    manifest : Manifest
    exchanged : uint8, (256,), optional
        See `stratagem.augmentation.on_cpu.exchange`.
    on_device : bool
        Leave the rows to be applied where the network runs, see `stratagem.augmentation.on_gpu`.

    Raises
    ------
    KeyError
        If the manifest does not have a sample of the storage.
    """

    def __init__(
        self,
        storage: Storage,
        manifest: Manifest,
        exchanged: np.ndarray | None = None,
        on_device: bool = False,
    ):
        self.on_device = on_device
        self._storage, self._manifest, self._exchanged = storage, manifest, exchanged
        self._rows = manifest.places(storage.names)
        self._sample, samples = pd.factorize(storage.names)
        self._ring = Ring(samples)
        # The places of each sample's windows stand together.
        self._places = np.argsort(self._sample, kind="stable")
        self._counts = np.bincount(self._sample)
        self._starts = np.cumsum(self._counts) - self._counts

    def fill(
        self, selection: Selection, image: np.ndarray, mask: np.ndarray
    ) -> tuple[list[dict] | None, float]:
        """Fill buffers, uint8 (B, H, W, C) and (B, H, W), with samples as they are shown this time.

        Parameters
        ----------
        selection : Selection
            Samples of one shape; `showings` choose the variant of each.
        image : uint8, (B, H, W, C)
            Contiguous; is filled. Where rows are left to the device, it holds the samples as they are, with
            the rectangles of cutmix.
        mask : uint8, (B, H, W)
            Likewise; 255 = ignore.

        Returns
        -------
        rows : list of dict, or None
            Those that are left to the device.
        reading_s : float
            Seconds that reading took.

        Raises
        ------
        StratagemError
            If a sample cannot be read, as from the storage's `read`; a `LoaderError` that names the sample if
            anything else goes wrong.
        """
        # The windows of one sample take different variants in one epoch.
        variants = (selection.showings + self._storage.windows[selection.places]) % self._manifest.variants
        rows, reading_s = [], 0.0
        for number, place in enumerate(selection.places.tolist()):
            with naming(self._storage.names[place]):
                showing = int(selection.showings[number])
                row, seconds = self.make(place, int(variants[number]), image[number], mask[number], showing)
            rows.append(row)
            reading_s += seconds
        return rows if self.on_device else None, reading_s

    def make(
        self, place: int, variant: int, image: np.ndarray, mask: np.ndarray, showing: int | None = None
    ) -> tuple[dict, float]:
        """Fill buffers, uint8 (H, W, C) and (H, W), with one variant of a sample.

        Parameters
        ----------
        place : int
            Of the sample, in the storage.
        variant : int
            0 .. variants of the manifest - 1.
        image : uint8, (H, W, C)
            Contiguous; is filled, as in `fill`.
        mask : uint8, (H, W)
            Likewise; 255 = ignore.
        showing : int, optional
            How often the sample was shown before, where that decides which part of it is; without it as often
            as in the epoch that takes this variant first.

        Returns
        -------
        row : dict
            Of the manifest.
        reading_s : float
            Seconds that reading took, of cutmix's partner too.

        Raises
        ------
        StratagemError
            If a sample cannot be read, as from the storage's `read`.
        """
        row = self._manifest.at(self._rows[place], variant)
        start = time.perf_counter()
        showing = variant if showing is None else showing
        pixels, labels = (image, mask) if self.on_device else buffers(self._storage, place)
        self._storage.read(np.array([place]), pixels[None], labels[None], np.array([showing]))
        partner = self.partner(row, place) if row["cutmix"] > 0 else None
        other = None if partner is None else one_sample(self._storage, partner, showing)
        reading_s = time.perf_counter() - start
        if other is not None:
            paste(row, pixels, labels, *other)
        if not self.on_device:
            apply(row, pixels, labels, self._exchanged, (image, mask))
        return row, reading_s

    def partner(self, row: dict, place: int) -> int | None:
        """The place of the sample that cutmix takes a rectangle from.

        Parameters
        ----------
        row : mapping
            Of the manifest.
        place : int
            Of the sample that is to be made, in the storage.

        Returns
        -------
        int or None
            A window of another sample, by its place in the storage; None where there is no other sample.
        """
        partner = self._ring.partner(int(row["cutmix_partner"]), self._sample[place])
        if partner is None:
            return None
        window = self._storage.windows[place] % self._counts[partner]
        return int(self._places[self._starts[partner] + window])
