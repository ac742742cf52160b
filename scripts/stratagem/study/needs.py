"""What jobs need of memory, time and disk, reckoned from the study and the sizes of its images.

In comes a recipe, and the frames in which its images pass the network; out go MB and minutes for the
scheduler, before the job runs, and what no machine of this size can do, before anything is spent on it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stratagem.data.channels import COLOURS, channels_in
from stratagem.data.rows import load
from stratagem.networks import sizes
from stratagem.networks.sizes import Size
from stratagem.networks.table import NETWORKS, UNET
from stratagem.resolution.plans import PLANS, Plan
from stratagem.study.declaration import HELD_MB, Delivery, Recipe, Study

__all__ = [
    "Frames",
    "beyond_disk",
    "beyond_memory",
    "image_mb",
    "image_min",
    "prediction_mb",
    "prediction_min",
    "training_mb",
    "training_min",
]

MB = 2**20
MAPPED_MB = 450  # the libraries' files, which the jobs of a machine share, and batch systems count for each
BESIDE_MB = 300  # a prediction's image, truth and counts
LIBRARIES_MB = 500  # of a job without torch
UNKNOWN_PIXELS = 5_000_000
UNKNOWN_MB = 3000  # a network whose size is not known, and the main memory of a job on a GPU
SIZED = ["height", "width", "pixel_size"]  # columns of an index
LARGEST = 32  # of the images that differ in size: how many may have the largest frame
ROUNDED_MB = 100
LEAST_MB = 100  # of shards that are reckoned beforehand: where less is missing, the disk is full
AHEAD = 2  # batches beside one a worker
# Multiply-adds a second, as slow machines do them: a thread of a CPU (benchmarks/needs.py measures it), a GPU
# (reckoned).
CPU_RATE, GPU_RATE = 4e9, 2e11
PIXEL_S = 1e-6  # of an image that is read, resampled and written; likewise
STEP_S = 0.1  # of an optimizer step, however small its images
WAY_BACK = 3  # a step of training, in forward passes
BESIDE_MIN = 30  # a start, compiling, a disk that is busy
UNKNOWN_MIN = 720
ROUNDED_MIN = 10


@dataclass(frozen=True)
class Frames:
    """The frames of a data set's images.

    Attributes
    ----------
    areas : tuple of int
        In pixels, each size once.
    count : int
        How many images there are.
    pixels : int
        Of all images, at their own size.
    largest : int
        Pixels of the largest image, at its own size.
    whole : bool
        Whether training reads whole images at their own size, to be shown parts of them.
    channels : int
        Of an image.
    """

    areas: tuple[int, ...]
    count: int
    pixels: int
    largest: int
    whole: bool = False
    channels: int = COLOURS

    @property
    def pixel_bytes(self) -> int:
        """Of a pixel of image and mask."""
        return self.channels + 1

    @classmethod
    def of(cls, plan: Plan, index: pd.DataFrame) -> "Frames":
        """Those of a plan for the images of an index: the largest, and each that the plan names."""
        kinds = index[SIZED].drop_duplicates()
        scale = kinds["pixel_size"] ** 2 if plan.plan == "rescale" else 1.0
        largest = kinds.loc[(kinds["height"] * kinds["width"] * scale).nlargest(LARGEST).index]
        found = [plan.windows(*row)[0].frame for row in largest.itertuples(index=False, name=None)]
        areas = {int(np.prod(frame)) for frame in [*found, *plan.frames]}
        own = index["height"].astype("int64") * index["width"]
        whole = plan.patch is not None
        return cls(
            tuple(sorted(areas)), len(index), int(own.sum()), int(own.max()), whole, channels_in(index)
        )

    @classmethod
    def read(cls, plan: Path, index: Path) -> "Frames | None":
        """Those that earlier jobs wrote down; None of damaged files, which their reader tells of.

        Raises
        ------
        FileNotFoundError
            If one is not there yet.
        """
        try:
            record = json.loads(plan.read_text(encoding="utf-8"))
            return cls.of(Plan.from_record(record), load(index, SIZED))
        except FileNotFoundError:
            raise
        except Exception:  # each library has its own
            return None

    @classmethod
    def declared(cls, study: Study, resolution: str, count: int) -> "Frames | None":
        """Those that a study states for so many images; None where they are fitted or images keep theirs."""
        size, stride = study.resolutions[resolution].size, study.stride(resolution)
        if size is None:
            return None
        area = int(np.prod([-(-side // stride) * stride for side in size]))
        channels = max(len(study.numbers), COLOURS)
        return cls(
            (area,), count, count * area, area, PLANS[study.resolutions[resolution].plan].random, channels
        )


def training_mb(recipe: Recipe, frames: Frames | None, delivery: Delivery, *, on_gpu: bool) -> int:
    """What a training takes of main memory: the network's step, its loader's batches, validation images.

    Parameters
    ----------
    recipe : Recipe
    frames : Frames or None
        None where they are not known.
    delivery : Delivery
    on_gpu : bool
        The step is in the GPU's memory then.

    Returns
    -------
    int
        MB, in steps of 100; what `training: memory_mb` states is not passed.
    """
    size, bound = _size(recipe), recipe.training.memory_mb
    if frames is None:
        return _rounded(MAPPED_MB + (bound or UNKNOWN_MB) + delivery.memory_mb + HELD_MB)
    step: float = UNKNOWN_MB
    if size is not None and not on_gpu:
        looked_at = min(sizes.prediction_mb(size, max(frames.areas)), recipe.training.prediction_mb)
        step = max(sizes.training_mb(size, _part(recipe, frames)), looked_at)
    held = min(HELD_MB, frames.pixels * frames.pixel_bytes / MB)
    return _rounded(MAPPED_MB + min(step, bound or step) + _loader_mb(recipe, frames, delivery) + held)


def prediction_mb(recipe: Recipe, frames: Frames | None, *, on_gpu: bool) -> int:
    """What testing a run takes of main memory: its largest image whole, or parts of it within the bound.

    Parameters
    ----------
    recipe : Recipe
    frames : Frames or None
        None where they are not known.
    on_gpu : bool

    Returns
    -------
    int
        MB, in steps of 100.
    """
    size, bound = _size(recipe), recipe.training.prediction_mb
    step: float = bound
    if frames is not None and size is not None and not on_gpu:
        step = min(bound, sizes.prediction_mb(size, max(frames.areas)))
    return _rounded(MAPPED_MB + BESIDE_MB + step)


def training_min(recipe: Recipe, frames: Frames | None, *, on_gpu: bool) -> int:
    """How long a training may take, on a slow machine: its budget's images and its validations.

    Parameters
    ----------
    recipe : Recipe
    frames : Frames or None
        None where they are not known.
    on_gpu : bool

    Returns
    -------
    int
        Minutes, in steps of 10; of a network whose size is not known, half a day.
    """
    size, budget, batch = _size(recipe), recipe.budget, recipe.strategy.loader.batch_size
    if frames is None or size is None:
        return UNKNOWN_MIN
    images = budget.images or (budget.steps or 0) * batch
    looked_at = recipe.training.validations * frames.pixels  # a part of them, which is not known yet
    pixels = WAY_BACK * images * float(np.mean(frames.areas)) + looked_at
    return _minutes(pixels * size.multiply_adds, recipe, on_gpu, steps=images // batch)


def prediction_min(recipe: Recipe, frames: Frames | None, *, on_gpu: bool) -> int:
    """How long testing a run may take, on a slow machine.

    Parameters
    ----------
    recipe : Recipe
    frames : Frames or None
        None where they are not known.
    on_gpu : bool

    Returns
    -------
    int
        Minutes, in steps of 10.
    """
    size = _size(recipe)
    if frames is None or size is None:
        return UNKNOWN_MIN
    pixels = max(frames.pixels, frames.count * float(np.mean(frames.areas)))
    return _minutes(pixels * size.multiply_adds, recipe, on_gpu, steps=frames.count)


def image_mb(frames: Frames | None, *, images: int, masks: int) -> int:
    """What a job takes of main memory that reads one image after the other: the largest, or a larger frame.

    Parameters
    ----------
    frames : Frames or None
        None where they are not known.
    images, masks : int
        How many copies the job holds at once of the image and of the mask, in bytes a channel and pixel.

    Returns
    -------
    int
        MB, in steps of 100.
    """
    largest = UNKNOWN_PIXELS if frames is None else max(frames.largest, *frames.areas)
    channels = COLOURS if frames is None else frames.channels
    return _rounded(LIBRARIES_MB + largest * (images * channels + masks) / MB)


def image_min(frames: Frames | None) -> int:
    """How long a job may take that reads every image once.

    Parameters
    ----------
    frames : Frames or None
        None where they are not known.

    Returns
    -------
    int
        Minutes, in steps of 10.
    """
    return UNKNOWN_MIN if frames is None else _in_steps(PIXEL_S * frames.pixels)


def _minutes(multiply_adds: float, recipe: Recipe, on_gpu: bool, *, steps: int) -> int:
    rate = GPU_RATE if on_gpu else CPU_RATE * recipe.threads
    return _in_steps(multiply_adds / rate + STEP_S * steps)


def _in_steps(seconds: float) -> int:
    return int(-(-(BESIDE_MIN + seconds / 60) // ROUNDED_MIN) * ROUNDED_MIN)


def beyond_memory(study: Study, frames: dict[str, Frames | None], memory_mb: int) -> Iterator[str]:
    """The strategies that a machine cannot train, not even one image a step; a sentence for each network.

    Parameters
    ----------
    study : Study
    frames : dict
        By resolution, as far as they are known before any job; None of those that are fitted.
    memory_mb : int
        Of the machine on which networks are trained.
    """
    users: dict[str, list[str]] = {}
    for name, strategy in study.strategies.items():
        users.setdefault(strategy.network, []).append(name)
    for network, names in users.items():
        size = _size(study.run(names[0], 0, study.seeds[0]))
        if size is None:
            continue
        weights = sizes.training_mb(size, 0)
        if weights > memory_mb:
            yield _beyond(
                names, memory_mb, f"{_named(study, network)} takes {weights:,.0f} MB before any image"
            )
            continue
        for resolution in dict.fromkeys(study.strategies[name].resolution for name in names):
            frame = frames.get(resolution)
            need = sizes.training_mb(size, max(frame.areas)) if frame else 0
            if need > memory_mb:
                mine = [name for name in names if study.strategies[name].resolution == resolution]
                found = f"one image in the frame of `{resolution}` takes {need:,.0f} MB"
                yield _beyond(mine, memory_mb, found, f" or `resolutions.{resolution}.size`")


def _beyond(names: list[str], memory_mb: int, found: str, cure: str = "") -> str:
    return (
        f"strategies.{', '.join(names)}: expected trainings that the {memory_mb:,} MB of this machine's "
        f"memory can hold, but found that {found}; lower `unet.width`{cure}, or take a smaller `network`."
    )


def beyond_disk(study: Study, frames: dict[str, Frames], free_mb: int, where: str) -> Iterator[str]:
    """The resolutions whose shards a disk has no room for, a sentence each.

    Parameters
    ----------
    study : Study
    frames : dict
        By resolution, of those whose shards are yet to be written.
    free_mb : int
        What is left on the disk.
    where : str
        Its name.
    """
    for resolution, known in frames.items():
        chosen = study.resolutions[resolution]
        need = known.count * max(known.areas) * known.pixel_bytes / MB
        if (
            study.shards.compression == "none"
            and not PLANS[chosen.plan].cuts
            and need > max(free_mb, LEAST_MB)
        ):
            size = " x ".join(map(str, chosen.size or ()))
            yield (
                f"resolutions.{resolution}.size: expected shards that the disk has room for, {free_mb:,} MB "
                f"in {where}, but found {known.count:,} images of {size} pixels, {need:,.0f} MB; lower it, "
                "or free some room."
            )


def _named(study: Study, network: str) -> str:
    return f"{network} of width {study.unet.width}" if network == UNET else network


def _size(recipe: Recipe) -> Size | None:
    network = recipe.strategy.network
    size = NETWORKS[network].size
    return size and size(network, recipe.unet.width, recipe.unet.depth)


def _part(recipe: Recipe, frames: Frames) -> int:
    """Pixels of the largest part of a batch that passes the network at once."""
    areas, most = np.array(frames.areas), recipe.training.micro_batch_pixels
    return int((areas * (most // areas).clip(1, recipe.strategy.loader.batch_size)).max())


def _loader_mb(recipe: Recipe, frames: Frames, delivery: Delivery) -> float:
    """What the loader holds as the data can fill it, up to what it may."""
    chosen, area = recipe.strategy.loader, max(frames.areas)
    batches = (delivery.workers + AHEAD) * min(chosen.batch_size, frames.count) * area
    stored = 0
    if chosen.storage == "memory":
        stored = frames.pixels if frames.whole else frames.count * area
    stored += frames.largest * frames.whole  # the image that is being cut
    return min(delivery.memory_mb, (batches + stored) * frames.pixel_bytes / MB)


def _rounded(megabytes: float) -> int:
    return int(-(-megabytes // ROUNDED_MB) * ROUNDED_MB)
