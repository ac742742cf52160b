"""Synthetic images on a GPU: a whole batch at once, the masks riding along.

The same rows and the same maps as `stratagem.augmentation.on_cpu`, and the same order of operations. One grid
for the batch holds where each pixel comes from; images are sampled from it linearly, masks by the nearest
pixel. Results are the same for the same row in any batch, on one kind of device. From the CPU's they differ
by rounding. Noise has its own generator a device; JPEG is computed as its definition says, in blocks of 8x8.
"""

import math
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from stratagem.augmentation import on_cpu
from stratagem.augmentation.transforms import NEUTRAL, PHOTOMETRIC
from stratagem.data.channels import COLOURS
from stratagem.data.labels import IGNORE

__all__ = ["apply"]

Rows = list[dict[str, float]]

# The tables of the JPEG standard (ITU-T T.81, annex K), for brightness and for colour, at quality 50.
LUMA = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
CHROMA = """17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"""
YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def apply(
    rows: Rows, images: torch.Tensor, masks: torch.Tensor, exchanged: np.ndarray | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The synthetic images and masks of some rows, one a row.

    Parameters
    ----------
    rows : list of mapping
        A value for each of ``transforms.NEUTRAL``.
    images : uint8, (B, C, H, W)
        With the partners' rectangles in them, see `on_cpu.paste`.
    masks : uint8, (B, H, W)
        On the same device.
    exchanged : uint8, (256,), optional
        The class that each becomes in a mirror, see `on_cpu.exchange`; a NumPy array.

    Returns
    -------
    images, masks : uint8, (B, C, H, W) and (B, H, W)
        New tensors; the images in the layout of those given.
    """
    layout = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else None
    images, masks = _warped(rows, images.float(), masks)
    if exchanged is not None:
        table = torch.from_numpy(exchanged).to(masks.device)
        mirrored = torch.tensor([on_cpu.mirrors(row) for row in rows], device=masks.device)
        masks = torch.where(mirrored[:, None, None], table[masks.long()], masks)
    for step, columns in PHOTOMETRIC.items():
        touched = [
            number
            for number, row in enumerate(rows)
            if any(row[column] != NEUTRAL[column] for column in columns)
        ]
        if touched:
            found = OPERATIONS[step]([rows[number] for number in touched], images[touched])
            images[touched] = found.round().clamp(0, 255)
    _hide(rows, images, masks)
    images = images.to(torch.uint8)
    return (images.contiguous(memory_format=layout) if layout else images), masks


def _warped(rows: Rows, images: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if not any(map(on_cpu.moves, rows)):
        return images, masks.clone()
    height, width = masks.shape[1:]
    grid = _grid(rows, height, width, images.device)
    options: dict[str, Any] = {"padding_mode": "zeros", "align_corners": True}
    # What lies outside is 0 in both: so masks pass as their complement, of which 0 is `IGNORE`.
    turned = (IGNORE - masks)[:, None].float()
    labels = IGNORE - functional.grid_sample(turned, grid, "nearest", **options)[:, 0].to(torch.uint8)
    return functional.grid_sample(images, grid, "bilinear", **options).round(), labels


def _grid(rows: Rows, height: int, width: int, device: torch.device) -> torch.Tensor:
    """Where each pixel comes from: float32 (B, H, W, 2), -1 and 1 the middles of the outermost pixels."""
    maps = np.array([on_cpu.inverse(on_cpu.matrix(row, height, width)) for row in rows])
    a, b, c, d, e, f = torch.from_numpy(maps).float().to(device).T[..., None, None]
    x = torch.arange(width, device=device, dtype=torch.float32)[None, None, :].expand(
        len(rows), height, width
    )
    y = torch.arange(height, device=device, dtype=torch.float32)[None, :, None].expand_as(x)
    if any(row["elastic"] > 0 for row in rows):
        moved = np.stack([on_cpu.displacement(row, height, width) for row in rows])
        across, down = torch.from_numpy(moved).to(device).unbind(1)
        x, y = x + across, y + down
    sides = torch.tensor([max(1, width - 1), max(1, height - 1)], device=device)
    return 2 * torch.stack([a * x + b * y + c, d * x + e * y + f], dim=-1) / sides - 1


def _hide(rows: Rows, images: torch.Tensor, masks: torch.Tensor) -> None:
    for number, row in enumerate(rows):
        if row["cutout"] > 0:
            down, across = on_cpu.hidden(row, *masks.shape[1:])
            images[number, :, down, across] = 0
            masks[number, down, across] = IGNORE


def _column(rows: Rows, column: str, images: torch.Tensor) -> torch.Tensor:
    """A parameter, ready to meet images: float32 (B, 1, 1, 1)."""
    return torch.tensor([row[column] for row in rows], device=images.device).float().view(-1, 1, 1, 1)


# Photometric operations: from rows and their images, float (B, C, H, W) in whole levels, to new ones.


def _lit(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    gains = np.stack([on_cpu.gains(row, *images.shape[2:]) for row in rows])
    return images * torch.from_numpy(gains).to(images.device)[:, None]


def _levelled(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    tables = torch.from_numpy(np.stack([on_cpu.levels(row, images.shape[1]) for row in rows])).to(
        images.device
    )
    places = images.long().flatten(2).transpose(1, 2)  # (B, pixels, C)
    return tables.gather(1, places).transpose(1, 2).reshape(images.shape).float()


def _coloured(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    matrices = torch.from_numpy(np.stack([on_cpu.colours(row) for row in rows])).to(images)
    return torch.einsum("bij,bjhw->bihw", matrices, images)


def _gaussian(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """One image, (1, C, H, W), blurred; reflected at its edges as often as it takes."""
    radius = math.ceil(4 * sigma)
    taps = torch.arange(-radius, radius + 1, device=image.device).float()
    kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
    channels = image.shape[1]
    kernel = (kernel / kernel.sum()).expand(channels, 1, 1, -1)
    for axis, shape in ((3, kernel), (2, kernel.transpose(2, 3))):
        image = image.index_select(axis, _reflected(image.shape[axis], radius, image.device))
        image = functional.conv2d(image, shape, groups=channels)
    return image


def _reflected(side: int, margin: int, device: torch.device) -> torch.Tensor:
    """The pixels of a side with a margin before and behind, the edge itself not repeated."""
    period = max(1, 2 * (side - 1))
    place = torch.arange(-margin, side + margin, device=device).abs() % period
    return torch.minimum(place, period - place)


def _blurred(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    pairs = zip(images.split(1), rows, strict=True)
    return torch.cat([_gaussian(image, row["blur_px"]) for image, row in pairs])


def _coarsened(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    found = []
    for row, image in zip(rows, images.split(1), strict=True):
        height, width = (max(1, round(side / row["low_resolution"])) for side in image.shape[2:])
        small = functional.adaptive_avg_pool2d(image, (height, width))
        found.append(functional.interpolate(small, image.shape[2:], mode="bilinear", align_corners=False))
    return torch.cat(found)


def _noisy(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    stream = torch.Generator(images.device)
    noise = [
        torch.randn(
            images.shape[1:], generator=stream.manual_seed(int(row["noise_seed"])), device=images.device
        )
        for row in rows
    ]
    return images + (_column(rows, "noise", images) * torch.stack(noise)).round()


def _sharpened(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    blurred = torch.cat([_gaussian(image, on_cpu.RADIUS_PX) for image in images.split(1)])
    return images + _column(rows, "sharpen", images) * (images - blurred.round())


def _compressed(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    height, width = images.shape[2:]
    edges = (0, -width % 16, 0, -height % 16)
    if images.shape[1] != COLOURS:  # each channel is a grey picture
        padded = functional.pad(images, edges, "replicate")
        return (_quantised(rows, padded - 128, LUMA) + 128)[..., :height, :width]
    turn = torch.tensor(YCC, device=images.device)
    ycc = torch.einsum("ij,bjhw->bihw", turn, functional.pad(images, edges, "replicate"))
    brightness, colour = ycc[:, :1] - 128, functional.avg_pool2d(ycc[:, 1:], 2)
    brightness, colour = _quantised(rows, brightness, LUMA), _quantised(rows, colour, CHROMA)
    colour = functional.interpolate(colour, scale_factor=2, mode="bilinear", align_corners=False)
    ycc = torch.cat([brightness + 128, colour], dim=1)
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(turn), ycc)[..., :height, :width]


def _quantised(rows: Rows, planes: torch.Tensor, table: str) -> torch.Tensor:
    """Planes (B, C, H, W), sides multiples of 8, as a JPEG of each row's quality keeps them."""
    listed = np.array(table.split(), float).reshape(1, 1, 1, 8, 1, 8)
    quality = np.array([row["jpeg"] for row in rows], float).reshape(-1, 1, 1, 1, 1, 1)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    steps = torch.from_numpy(np.clip(np.floor((listed * scale + 50) / 100), 1, 255)).to(planes)
    basis = torch.from_numpy(cv2.dct(np.eye(8), flags=cv2.DCT_ROWS).T.copy()).to(planes)
    count, channels, height, width = planes.shape
    blocks = planes.view(count, channels, height // 8, 8, width // 8, 8)
    waves = torch.einsum("ui,bcyixj,vj->bcyuxv", basis, blocks, basis)
    kept = (waves / steps).round() * steps
    return torch.einsum("ui,bcyuxv,vj->bcyixj", basis, kept, basis).reshape(planes.shape)


def _without_a_channel(rows: Rows, images: torch.Tensor) -> torch.Tensor:
    found = images.clone()
    for number, row in enumerate(rows):
        found[number, on_cpu.dropped(row, images.shape[1])] = 0
    return found


OPERATIONS = {
    "light": _lit,
    "levels": _levelled,
    "colours": _coloured,
    "blur": _blurred,
    "low_resolution": _coarsened,
    "noise": _noisy,
    "sharpen": _sharpened,
    "jpeg": _compressed,
    "dropout": _without_a_channel,
}
