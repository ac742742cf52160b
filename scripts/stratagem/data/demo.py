"""The embedded demo: generated micrographs of cells, with their masks, in two domains.

Every image is a function of its domain and number alone (Philox streams), so the data set is the same on
every machine to within rounding. What makes it like microscopy: irregular outlines, overlaps, contrast
that varies from cell to cell, texture inside and outside, blur of the optics, uneven light, shot noise,
and debris that is no cell. Both domains are of mixed sizes; they differ in look:

    tissue   dark, stained cells on a light background, in colour: few images, the study's own data
    glow     bright cells on black, in grey: many images, a source for transfer

Images are 8-bit RGB PNG files, masks one-channel PNG files with 0 = background and 255 = cell.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stratagem.core.files import replacing_folder

__all__ = ["DOMAINS", "Domain", "picture", "write_domain"]

SIZES = ((64, 64), (64, 96), (96, 96), (96, 64), (80, 112), (112, 112), (96, 128))  # height, width
HARMONICS = 4  # of an outline: its irregularity
CELL_AREA_PX = 900  # of frame for each cell, on average
MARGIN = 3.0  # an outline's radius drawn, in units of the cell's own


@dataclass(frozen=True)
class Domain:
    """The look of one data set.

    Attributes
    ----------
    images : int
        How many.
    key : int
        Of the random streams.
    background, cell : (float, float, float)
        Red, green, blue, 0 to 1.
    contrast : (float, float)
        Range of how strongly a cell differs from the background.
    photons : float
        At full brightness: fewer give more shot noise.
    """

    images: int
    key: int
    background: tuple[float, float, float]
    cell: tuple[float, float, float]
    contrast: tuple[float, float]
    photons: float


DOMAINS = {
    "tissue": Domain(190, 1, (0.86, 0.80, 0.84), (0.42, 0.30, 0.52), (0.25, 1.0), 60),
    "glow": Domain(160, 2, (0.05, 0.05, 0.05), (0.75, 0.75, 0.75), (0.30, 1.0), 50),
}


def write_domain(name: str, images: Path, masks: Path) -> None:
    """Generate one domain into two folders, each whole or not at all.

    Parameters
    ----------
    name : str
        Of `DOMAINS`; files are called ``name-000.png`` and so on, an image and its mask alike.
    images, masks : path
        Folders to make; earlier ones of these names are replaced.
    """
    domain = DOMAINS[name]
    with replacing_folder(images) as image_folder, replacing_folder(masks) as mask_folder:
        for number in range(domain.images):
            image, mask = picture(domain, number)
            _save(image[..., ::-1], image_folder / f"{name}-{number:03d}.png")
            _save(mask, mask_folder / f"{name}-{number:03d}.png")


def picture(domain: Domain, number: int) -> tuple[np.ndarray, np.ndarray]:
    """One image, uint8 (H, W, 3), and its mask, uint8 (H, W), 0 or 255.

    Parameters
    ----------
    domain : Domain
    number : int
        From 0; it also says which of `SIZES` the image has.

    Returns
    -------
    image : uint8, (H, W, 3)
        Red, green, blue.
    mask : uint8, (H, W)
        0 = background, 255 = cell.
    """
    rng = np.random.Generator(np.random.Philox(key=domain.key, counter=[0, 0, 0, number]))
    height, width = SIZES[number % len(SIZES)]
    density, mask = _cells(rng, height, width, domain.contrast)
    density = np.maximum(density, _debris(rng, height, width))
    density *= 1 + 0.25 * _noise(rng, height, width, 2.0)
    density += 0.12 * _noise(rng, height, width, 8.0)
    density = cv2.GaussianBlur(density, (0, 0), rng.uniform(0.8, 1.8))
    background, cell = np.array(domain.background), np.array(domain.cell)
    light = background + density[..., None] * (cell - background)
    light *= _uneven_light(rng, height, width)[..., None]
    photons = rng.poisson(np.clip(light, 0, 1) * domain.photons) / domain.photons
    return np.rint(255 * np.clip(photons, 0, 1)).astype(np.uint8), mask


def _cells(rng, height: int, width: int, contrast: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """How much of a cell is at each pixel, float64 (H, W) 0 to 1, and the mask."""
    density = np.zeros((height, width))
    mask = np.zeros((height, width), np.uint8)
    for _ in range(max(2, rng.poisson(height * width / CELL_AREA_PX))):
        inside = _outline(rng, height, width, rng.uniform(5, 12))
        strength = rng.uniform(*contrast)
        rim = cv2.GaussianBlur(inside.astype(np.float64), (0, 0), 1.5)
        density = np.maximum(density, strength * rim * inside)
        mask[inside] = 255
    return density, mask


def _outline(rng, height: int, width: int, radius: float) -> np.ndarray:
    """The pixels inside one closed, irregular curve: bool, (H, W)."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = y - rng.uniform(0, height), x - rng.uniform(0, width)
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(1, 1.7)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    angle, distance = np.arctan2(across, along / stretch), np.hypot(along / stretch, across)
    edge = np.full_like(angle, radius)
    for order in range(2, 2 + HARMONICS):
        edge += radius * rng.normal(0, 0.12 / (order - 1)) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return distance < np.clip(edge, 2, MARGIN * radius)


def _debris(rng, height: int, width: int) -> np.ndarray:
    """Small, sharp specks that look like cells and are none: float64, (H, W)."""
    specks = np.zeros((height, width))
    for _ in range(rng.poisson(height * width / 1500)):
        specks[_outline(rng, height, width, rng.uniform(1.5, 2.8))] = rng.uniform(0.4, 1.0)
    return specks


def _noise(rng, height: int, width: int, scale_px: float) -> np.ndarray:
    """Smooth noise of unit variance: float64, (H, W)."""
    smooth = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), scale_px)
    return smooth / smooth.std()


def _uneven_light(rng, height: int, width: int) -> np.ndarray:
    """A slope across the frame and a fall-off to one side: float64, (H, W), about 1."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    slope = 0.22 * (x * np.cos(turn) + y * np.sin(turn))
    return 1 + slope - 0.12 * ((x - rng.uniform(-1, 1)) ** 2 + (y - rng.uniform(-1, 1)) ** 2)


def _save(array: np.ndarray, path: Path) -> None:
    path.write_bytes(cv2.imencode(".png", array)[1].tobytes())
