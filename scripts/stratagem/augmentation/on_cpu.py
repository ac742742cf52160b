"""Synthetic images from the rows of a manifest: image and mask as one, a pure function of the row.

All geometric parameters of a row are composed into one map, which is sampled once: linear in the image,
nearest in the mask, new pixels 0 and `IGNORE`. Photometric operations follow, on the image alone, in the
order in which a camera meets them: light, levels, colours, optics, pixels, noise, sharpening, compression.
What is hidden is ignored. Before all, a rectangle of another image may be pasted in, so that it moves with
the rest. A map that mirrors exchanges the classes that the study declares as each other's mirror images.

This is the CPU's way, by OpenCV in uint8; `stratagem.augmentation.on_gpu` is the GPU's. Both follow the same
maps.

Sources: Ronneberger, Fischer, Brox 2015 (elastic deformation from a coarse grid); Rueckert et al. 1999
(cubic B-splines over it); Choi, Lee 2000 (how far they go without folding); DeVries, Taylor 2017 (cut-out);
Yun et al. 2019 (cutmix).
"""

import functools
import math
from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np

from stratagem.augmentation.transforms import NEUTRAL, PHOTOMETRIC
from stratagem.data.channels import COLOURS, in_fours
from stratagem.data.labels import IGNORE

__all__ = [
    "apply",
    "colours",
    "displacement",
    "dropped",
    "exchange",
    "gains",
    "hidden",
    "inverse",
    "levels",
    "matrix",
    "mirrors",
    "moves",
    "paste",
    "sources",
]

Row = dict[str, float]
Affine = tuple[float, float, float, float, float, float]  # x' = a x + b y + c, y' = d x + e y + f

MIDDLE_GREY = 127.5
CELLS = 4  # of the elastic grid, along each side
RADIUS_PX = 1.0  # of what is sharpened: standard deviation of the Gaussian that is subtracted
# Rec. 601: luma, and the two differences of colour that hue turns and saturation stretches.
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def apply(
    row: Row, image: np.ndarray, mask: np.ndarray, exchanged: np.ndarray | None = None, into=None
) -> tuple[np.ndarray, np.ndarray]:
    """The synthetic image and mask of one manifest row.

    Parameters
    ----------
    row : mapping
        A value for each of ``transforms.NEUTRAL``.
    image : uint8, (H, W, C)
        With the partner's rectangle in it where the row asks for one, see `paste`.
    mask : uint8, (H, W)
    exchanged : uint8, (256,), optional
        The class that each becomes in a mirror, see `exchange`.
    into : (uint8 (H, W, C), uint8 (H, W)), optional
        Buffers for the result, other than `image` and `mask`.

    Returns
    -------
    image, mask : uint8, (H, W, C) and (H, W)
        `into`, or new arrays; at neutral parameters equal to what was given.
    """
    image_out, mask_out = into or (np.empty_like(image), np.empty_like(mask))
    _warp(row, image, mask, image_out, mask_out)
    if exchanged is not None and mirrors(row):
        cv2.LUT(mask_out, exchanged, mask_out)
    found = image_out
    for step, columns in PHOTOMETRIC.items():
        if any(row[column] != NEUTRAL[column] for column in columns):
            found = OPERATIONS[step](row, found)
    if found is not image_out:
        image_out[...] = found
    if row["cutout"] > 0:
        down, across = hidden(row, *mask.shape)
        image_out[down, across], mask_out[down, across] = 0, IGNORE
    return image_out, mask_out


def moves(row: Row) -> bool:
    """Whether any pixel goes anywhere.

    Parameters
    ----------
    row : mapping
        A value for each of ``transforms.NEUTRAL``.

    Returns
    -------
    bool
        False where all geometric parameters are neutral: image and mask are then copied.
    """
    return any(row[column] != NEUTRAL[column] for column in MOVING)


def exchange(pairs: Sequence[tuple[int, int]]) -> np.ndarray | None:
    """What each class becomes in a mirror: uint8 (256,); None where no pair is given.

    Parameters
    ----------
    pairs : sequence of (int, int)
        Class indices that are each other's mirror image; a class is in one pair at most.

    Returns
    -------
    uint8, (256,), or None
        By class index, the index in the mirror; what is in no pair keeps its own.
    """
    if not pairs:
        return None
    table = np.arange(256, dtype=np.uint8)
    for one, other in pairs:
        table[[one, other]] = other, one
    return table


def mirrors(row: Row) -> bool:
    """Whether the map turns left hands into right ones; two flips are a half turn.

    Parameters
    ----------
    row : mapping
        A value for each of ``transforms.NEUTRAL``.

    Returns
    -------
    bool
        Whether exactly one of the two flips happens.
    """
    return bool(row["flip_horizontal"]) != bool(row["flip_vertical"])


def matrix(row: Row, height: int, width: int) -> Affine:
    """The affine map from original to synthetic pixel coordinates.

    Without the elastic part, see `displacement`.

    Parameters
    ----------
    row : mapping
        A value for each of ``transforms.NEUTRAL``.
    height, width : int
        Of the frame, in pixels.

    Returns
    -------
    (a, b, c, d, e, f) : float
        x' = a x + b y + c, y' = d x + e y + f, in pixels; x is the column, y the row, and (0, 0) the middle
        of the top left pixel.
    """
    found: Affine = (1, 0, 0, 0, 1, 0)
    for columns, step in GEOMETRIC:
        if any(row[column] != NEUTRAL[column] for column in columns):
            found = _after(step(row, height, width), found)
    # So far about the middle of the frame.
    x, y = (width - 1) / 2, (height - 1) / 2
    a, b, c, d, e, f = found
    return a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y


def inverse(affine: Affine) -> Affine:
    """The map back.

    Parameters
    ----------
    affine : (a, b, c, d, e, f)
        As from `matrix`; a e - b d is not 0.

    Returns
    -------
    (a, b, c, d, e, f) : float
        From synthetic to original pixel coordinates.
    """
    a, b, c, d, e, f = affine
    det = a * e - b * d
    return e / det, -b / det, (b * f - c * e) / det, -d / det, a / det, (c * d - a * f) / det


def displacement(row: Row, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """By how much the elastic part of the map moves where a synthetic pixel is looked up.

    Parameters
    ----------
    row : mapping
        Of which `elastic` (share of the shorter side) and `elastic_seed` count.
    height, width : int
        Of the frame, in pixels.

    Returns
    -------
    x, y : float32, (H, W)
        Pixels of the synthetic image.
    """
    grid = np.random.Generator(np.random.Philox(int(row["elastic_seed"]))).uniform(
        -1, 1, (2, CELLS + 3, CELLS + 3)
    )
    grid *= row["elastic"] * (min(height, width) - 1)
    down, across = _splines(height), _splines(width)
    x, y = down @ grid.astype(np.float32) @ across.T
    return x, y


def hidden(row: Row, height: int, width: int) -> tuple[slice, slice]:
    """The rectangle that cut-out hides: rows and columns.

    Parameters
    ----------
    row : mapping
        Of which `cutout` (share of the sides), `cutout_x` and `cutout_y` count.
    height, width : int
        Of the frame, in pixels.

    Returns
    -------
    rows, columns : slice
        Wholly inside the frame; empty where `cutout` is 0.
    """
    return _rectangle(row["cutout"], row["cutout_x"], row["cutout_y"], height, width)


def paste(row: Row, image: np.ndarray, mask: np.ndarray, other: np.ndarray, other_mask: np.ndarray) -> None:
    """Paste the partner's rectangle into an image and its mask.

    It comes from the same relative place of the partner, pixel for pixel; of a smaller partner it is cut.

    Parameters
    ----------
    row : mapping
        Of which `cutmix` (share of the sides), `cutmix_x` and `cutmix_y` count.
    image : uint8, (H, W, C)
        Changed in place.
    mask : uint8, (H, W)
        Changed in place.
    other, other_mask : uint8, (h, w, C) and (h, w)
        The partner's, of any size.
    """
    rows, columns = _rectangle(row["cutmix"], row["cutmix_x"], row["cutmix_y"], *mask.shape)
    height, width = (
        min(part.stop - part.start, side)
        for part, side in zip((rows, columns), other_mask.shape, strict=True)
    )
    top = round(row["cutmix_y"] * (other_mask.shape[0] - height))
    left = round(row["cutmix_x"] * (other_mask.shape[1] - width))
    into = slice(rows.start, rows.start + height), slice(columns.start, columns.start + width)
    image[into] = other[top : top + height, left : left + width]
    mask[into] = other_mask[top : top + height, left : left + width]


def _rectangle(share: float, x: float, y: float, height: int, width: int) -> tuple[slice, slice]:
    """A rectangle of a share of the sides, wholly inside."""
    tall, wide = round(share * height), round(share * width)
    top, left = round(y * (height - tall)), round(x * (width - wide))
    return slice(top, top + tall), slice(left, left + wide)


def _after(then: Affine, first: Affine) -> Affine:
    """Two maps as one."""
    a, b, c, d, e, f = then
    g, h, i, j, k, m = first
    return a * g + b * j, a * h + b * k, a * i + b * m + c, d * g + e * j, d * h + e * k, d * i + e * m + f


# Geometric steps: from a row and the frame's height and width to an affine map about the frame's middle.


def _cropped(row: Row, height: int, width: int) -> Affine:
    kept = row["crop"]
    # Between the middles of the outermost pixels, so that a window at the edge blends with nothing outside.
    x = (row["crop_x"] - 0.5) * (1 - kept) * (width - 1)
    y = (row["crop_y"] - 0.5) * (1 - kept) * (height - 1)
    return 1 / kept, 0, -x / kept, 0, 1 / kept, -y / kept


def _flipped(row: Row, height: int, width: int) -> Affine:
    return -1 if row["flip_horizontal"] else 1, 0, 0, 0, -1 if row["flip_vertical"] else 1, 0


def _turned(row: Row, height: int, width: int) -> Affine:
    quarters = (1, 0, 0, 0, 1, 0), (0, -1, 0, 1, 0, 0), (-1, 0, 0, 0, -1, 0), (0, 1, 0, -1, 0, 0)
    return quarters[int(row["turns"])]


def _scaled(row: Row, height: int, width: int) -> Affine:
    return row["scale"], 0, 0, 0, row["scale"], 0


def _sheared(row: Row, height: int, width: int) -> Affine:
    return 1, math.tan(math.radians(row["shear_x_deg"])), 0, math.tan(math.radians(row["shear_y_deg"])), 1, 0


def _rotated(row: Row, height: int, width: int) -> Affine:
    angle = math.radians(row["rotation_deg"])
    return math.cos(angle), -math.sin(angle), 0, math.sin(angle), math.cos(angle), 0


def _moved(row: Row, height: int, width: int) -> Affine:
    return 1, 0, row["translation_x"] * width, 0, 1, row["translation_y"] * height


GEOMETRIC = (
    (("crop",), _cropped),
    (("flip_horizontal", "flip_vertical"), _flipped),
    (("turns",), _turned),
    (("scale",), _scaled),
    (("shear_x_deg", "shear_y_deg"), _sheared),
    (("rotation_deg",), _rotated),
    (("translation_x", "translation_y"), _moved),
)


MOVING = ("elastic", *(column for columns, _ in GEOMETRIC for column in columns))


def _warp(row: Row, image, mask, image_out, mask_out) -> None:
    """Sample image and mask once, along the one map of the row."""
    height, width = mask.shape
    if not moves(row):
        image_out[...], mask_out[...] = image, mask
        return
    if row["elastic"] == 0:
        forward = np.array(matrix(row, height, width)).reshape(2, 3)
        change = functools.partial(cv2.warpAffine, M=forward, dsize=(width, height), flags=cv2.INTER_LINEAR)
        cv2.warpAffine(
            mask, forward, (width, height), mask_out, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, IGNORE
        )
    else:
        x, y = sources(row, height, width)
        change = functools.partial(cv2.remap, map1=x, map2=y, interpolation=cv2.INTER_LINEAR)
        cv2.remap(mask, x, y, cv2.INTER_NEAREST, mask_out, cv2.BORDER_CONSTANT, IGNORE)
    if image.shape[2] != COLOURS:
        image_out[...] = in_fours(image, change)
        return
    # OpenCV samples four channels in half the time of three.
    four = change(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA))
    cv2.cvtColor(four, cv2.COLOR_RGBA2RGB, image_out)


def sources(row: Row, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where in the original each synthetic pixel is looked up: x and y, float32 (H, W).

    Parameters
    ----------
    row : mapping
        A value for each of ``transforms.NEUTRAL``.
    height, width : int
        Of the frame, in pixels.

    Returns
    -------
    x, y : float32, (H, W)
        Pixels of the original: column and row. They may lie outside, where a synthetic pixel is new.
    """
    a, b, c, d, e, f = inverse(matrix(row, height, width))
    x, y = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
    if row["elastic"] > 0:
        across, down = displacement(row, height, width)
        x, y = x + across, y + down
    return (a * x + b * y + c).astype(np.float32), (d * x + e * y + f).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _splines(side: int) -> np.ndarray:
    """The uniform cubic B-splines of the grid's points at each pixel: float32 (side, CELLS + 3)."""
    place = np.linspace(0, CELLS, side) if side > 1 else np.zeros(1)
    cell = np.minimum(place.astype(int), CELLS - 1)
    t = place - cell
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    found = np.zeros((side, CELLS + 3))
    for number, weight in enumerate(weights):
        found[np.arange(side), cell + number] = weight / 6
    return found.astype(np.float32)


# Photometric operations: from a row and an image, uint8 (H, W, C), to a new one.


def _lit(row: Row, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    gain = gains(row, height, width)
    return cv2.multiply(image, np.repeat(gain[..., None], image.shape[2], axis=2), dtype=cv2.CV_8U)


def gains(row: Row, height: int, width: int) -> np.ndarray:
    """The factor of uneven light at each pixel: float32 (H, W), from 1 - light to 1 + light.

    Parameters
    ----------
    row : mapping
        Of which `light` (largest deviation from 1) and `light_deg` (direction in which the factor grows, in
        degrees) count.
    height, width : int
        Of the frame, in pixels.

    Returns
    -------
    float32, (H, W)
    """
    angle = math.radians(row["light_deg"])
    x, y = (_across(side) for side in (width, height))
    across, down = math.cos(angle), math.sin(angle)
    most = abs(across) + abs(down)
    return (1 + row["light"] / most * (across * x[None, :] + down * y[:, None])).astype(np.float32)


def _across(side: int) -> np.ndarray:
    """From -1 to 1 over a side; 0 where it is one pixel."""
    return np.linspace(-1, 1, side, dtype=np.float32) if side > 1 else np.zeros(1, np.float32)


def levels(row: Row, channels: int = COLOURS) -> np.ndarray:
    """What each level of each channel becomes: uint8 (256, C).

    Parameters
    ----------
    row : mapping
        Of which `gamma`, `contrast`, `brightness`, and then the shifts of the channels count, applied in this
        order: `channel_0` to `channel_2`, and of further ones those that `channels_seed` draws within plus or
        minus `channels_range`.
    channels : int
        C.

    Returns
    -------
    uint8, (256, C)
        Row: the level before; column: the channel.
    """
    found = np.arange(256) / 255.0
    found = (
        (255 * found ** row["gamma"] - MIDDLE_GREY) * row["contrast"] + MIDDLE_GREY + 255 * row["brightness"]
    )
    shifts = [255 * row[f"channel_{number}"] for number in range(min(channels, COLOURS))]
    if channels > COLOURS:
        stream = np.random.Generator(np.random.Philox(int(row["channels_seed"])))
        shifts += (255 * row["channels_range"] * stream.uniform(-1, 1, channels - COLOURS)).tolist()
    return np.clip(np.rint(found[:, None] + shifts), 0, 255).astype(np.uint8)


def _levelled(row: Row, image: np.ndarray) -> np.ndarray:
    table = levels(row, image.shape[2])
    equal = (table == table[:, :1]).all()
    return cv2.LUT(image, np.ascontiguousarray(table[:, 0]) if equal else table[None])


def colours(row: Row) -> np.ndarray:
    """The matrix that turns hue and stretches saturation: float64 (3, 3), luma kept.

    Parameters
    ----------
    row : mapping
        Of which `hue_deg` and `saturation` count.

    Returns
    -------
    float64, (3, 3)
        To be multiplied by a column of red, green and blue.
    """
    angle = math.radians(row["hue_deg"])
    chroma = row["saturation"] * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    middle = np.eye(3)
    middle[1:, 1:] = chroma
    return np.linalg.solve(YIQ, middle @ YIQ)


def _coloured(row: Row, image: np.ndarray) -> np.ndarray:
    return cv2.transform(image, colours(row))


def _blurred(row: Row, image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), row["blur_px"])


def _coarsened(row: Row, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    small = (max(1, round(width / row["low_resolution"])), max(1, round(height / row["low_resolution"])))
    coarse = in_fours(image, functools.partial(cv2.resize, dsize=small, interpolation=cv2.INTER_AREA))
    return cv2.resize(coarse, (width, height))


def _noisy(row: Row, image: np.ndarray) -> np.ndarray:
    stream = np.random.Generator(np.random.SFC64(int(row["noise_seed"])))
    noise = stream.standard_normal(image.shape, np.float32)
    return cv2.add(image, np.rint(row["noise"] * noise).astype(np.int16), dtype=cv2.CV_8U)


def _sharpened(row: Row, image: np.ndarray) -> np.ndarray:
    return cv2.addWeighted(
        image, 1 + row["sharpen"], cv2.GaussianBlur(image, (0, 0), RADIUS_PX), -row["sharpen"], 0
    )


def _compressed(row: Row, image: np.ndarray) -> np.ndarray:
    if image.shape[2] != COLOURS:  # each channel is a grey picture
        how = [cv2.IMWRITE_JPEG_QUALITY, int(row["jpeg"])]
        planes = [cv2.imencode(".jpg", plane, how)[1] for plane in np.moveaxis(image, 2, 0)]
        return np.dstack([cast(np.ndarray, cv2.imdecode(plane, cv2.IMREAD_GRAYSCALE)) for plane in planes])
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, stored = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(row["jpeg"])])
    return cv2.cvtColor(cv2.imdecode(stored, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def dropped(row: Row, channels: int) -> int:
    """The channel that is set to 0.

    Parameters
    ----------
    row : mapping
        Of which `dropped_channel` (from 0 to 1, not 1) counts.
    channels : int
        How many there are.

    Returns
    -------
    int
    """
    return min(int(row["dropped_channel"] * channels), channels - 1)


def _without_a_channel(row: Row, image: np.ndarray) -> np.ndarray:
    found = image.copy()
    found[..., dropped(row, image.shape[2])] = 0
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
