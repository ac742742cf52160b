"""Any synthetic image of a run, made again from its row of the manifest."""

from pathlib import Path

import numpy as np
from PIL import Image

from stratagem.augmentation.manifest import Manifest
from stratagem.augmentation.on_cpu import exchange
from stratagem.core.errors import DataError
from stratagem.core.files import replacing
from stratagem.data.channels import composite
from stratagem.loading.storage import buffers
from stratagem.loading.synthesis import Synthesis
from stratagem.runs.inputs import Inputs, storage_of
from stratagem.study.declaration import Recipe

__all__ = ["make_synthetic", "write_synthetic"]


def make_synthetic(
    recipe: Recipe, inputs: Inputs, sample: str, window: int, variant: int
) -> tuple[np.ndarray, np.ndarray]:
    """The image and mask that the run is shown in an epoch of that variant.

    Parameters
    ----------
    recipe : Recipe
    inputs : Inputs
        Of the run's training.
    sample : str
        One of the run's training images.
    window : int
        Which window of it; 0 but for tiles.
    variant : int

    Returns
    -------
    image, mask : uint8, (H, W, C) and (H, W)
        In the frame of the run's resolution plan.

    Raises
    ------
    DataError
        If the run is shown no such image.
    """
    storage = storage_of(recipe, inputs)
    assert inputs.manifest is not None
    manifest = Manifest(inputs.manifest, storage.names)
    places = np.flatnonzero((storage.names == sample) & (storage.windows == window))
    _require(len(places) > 0, f"window {window} of `{sample}` is none of its training images", recipe)
    _require(variant < manifest.variants, f"variant {variant} of {manifest.variants}, counted from 0", recipe)
    image, mask = buffers(storage, places[0])
    Synthesis(storage, manifest, exchange(recipe.swaps)).make(places[0], variant, image, mask)
    return image, mask


def write_synthetic(
    recipe: Recipe, inputs: Inputs, sample: str, window: int, variant: int, image: str, mask: str
) -> None:
    """Write both as PNG: the image as a picture, the mask with class indices, 255 is ignored."""
    pixels, labels = make_synthetic(recipe, inputs, sample, window, variant)
    for path, array in ((image, composite(pixels)), (mask, labels)):
        with replacing(path) as beside:
            Image.fromarray(array).save(Path(beside), format="PNG")


def _require(good: bool, found: str, recipe: Recipe) -> None:
    if not good:
        raise DataError(
            expected=f"a synthetic image that {recipe.name} is shown with seed {recipe.seed}",
            found=found,
            where="the name of the file asked for",
            remedy="Choose a sample of shards.parquet that splits.parquet has in train, and a variant of the "
            "manifest; with `loader.fraction` below 1 not all of them are used.",
        )
