"""Copies of a picture are found however they are stored; pictures of one kind are no copies."""

import io

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.data import duplicates
from stratagem.data.duplicates import NEAR, alike, clusters, pairs, take_print
from stratagem.data.image import read_raw

RICH = {"cells": 40, "ground": 60, "height": 120, "noise": 4}
DIM = {"cells": 5, "ground": 3, "height": 12, "noise": 1}
BARE = {"cells": 3, "ground": 0, "height": 40, "noise": 0}


def _cells(seed: int, *, cells: int, ground: float, height: float, noise: float) -> np.ndarray:
    """A picture of blurred discs, uint8 (96, 128, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.full((96, 128, 3), ground, np.float32)
    for _ in range(cells):
        centre, colour = rng.integers(0, (128, 96)), ground + rng.uniform(0.5, 1, 3) * height
        cv2.circle(picture, centre.tolist(), int(rng.integers(3, 8)), colour.tolist(), -1)
    return _bytes(cv2.GaussianBlur(picture, (0, 0), 1) + rng.normal(0, noise, picture.shape))


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture).clip(0, 255).astype(np.uint8)


def _found(*pictures: np.ndarray) -> pd.DataFrame:
    names = [chr(ord("a") + number) for number in range(len(pictures))]
    return pairs(names, [take_print(picture) for picture in pictures])


def _as_jpeg(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=75)
    return np.array(Image.open(file))


COPIES = {
    "jpeg": _as_jpeg,
    "half": lambda picture: cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "stretched": lambda picture: cv2.resize(picture, (171, 113)),
    "brighter": lambda picture: _bytes(picture * 1.2 + 15),
    "darker": lambda picture: _bytes(picture * 0.6),
    "noisy": lambda picture: _bytes(picture + np.random.default_rng(5).normal(0, 2, picture.shape)),
    "grey": lambda picture: cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY),
    "16 bits": lambda picture: picture.astype(np.uint16) * 257,
    "float": lambda picture: picture / 255,
    "five channels": lambda picture: np.concatenate([picture, picture[..., :2]], axis=2),
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("kind", [RICH, DIM, BARE], ids=["rich", "dim", "bare"])
def test_a_changed_copy_is_found(copy, kind):
    """A picture compressed, resized, brightened, made noisy or stored another way is the same picture."""
    picture = _cells(1, **kind)
    found = _found(picture, COPIES[copy](picture))
    assert found[["sample", "other", "kind"]].to_numpy().tolist() == [["a", "b", "near"]]
    assert NEAR <= found["correlation"].item() <= 1.001


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp", ".webp"])
def test_the_same_pixels_are_found_in_another_file(tmp_path, ending):
    """A copy under another name or in another lossless format has the same pixels."""
    picture = Image.fromarray(_cells(1, **RICH))
    picture.save(tmp_path / "one.png")
    picture.save(tmp_path / f"two{ending}", lossless=True)
    found = _found(*(read_raw(tmp_path / name) for name in ("one.png", f"two{ending}")))
    assert found.to_numpy().tolist() == [["a", "b", "exact", 1.0]]


@pytest.mark.parametrize("kind", [RICH, DIM, BARE], ids=["rich", "dim", "bare"])
def test_different_pictures_of_one_kind_are_not_copies(kind):
    """Thirty pictures of like cells, also dim and sparse ones, are thirty pictures."""
    assert _found(*(_cells(seed, **kind) for seed in range(30))).empty


def test_a_common_lamp_makes_no_copies():
    """Pictures that share an uneven light, brighter in the middle than at the border, are different."""
    rows, columns = np.indices((96, 128)) - np.array([48, 64])[:, None, None]
    light = 1 - (rows**2 + columns**2)[..., None] / 9000
    kind = {"cells": 20, "ground": 150, "height": 60, "noise": 2}
    assert _found(*(_bytes(_cells(seed, **kind) * light) for seed in range(30))).empty


def _through_an_aperture(picture: np.ndarray, contrast: float) -> np.ndarray:
    """The picture in a bright disc on black, as of a fundus camera or an endoscope."""
    rows, columns = np.indices((96, 128)) - np.array([48, 64])[:, None, None]
    disc = (rows**2 + columns**2 < 45**2)[..., None]
    return _bytes(np.where(disc, 120 + contrast * picture, 3))


@pytest.mark.parametrize("contrast", [0.5, 0.25])
@pytest.mark.parametrize("others", [0, 20])
def test_a_common_aperture_makes_no_copies(contrast, others):
    """Different pictures in one bright disc are different, and real copies among them are found."""
    pictures = [_through_an_aperture(_cells(seed, **RICH), contrast) for seed in range(20)]
    pictures += [_cells(seed, **RICH) for seed in range(50, 50 + others)]
    prints = [take_print(picture) for picture in pictures]
    assert pairs([str(n) for n in range(len(prints))], prints).empty
    assert alike(prints) == 20
    prints += [take_print(_as_jpeg(pictures[3])), take_print(_bytes(pictures[5] * 1.05))]
    found = pairs([str(n) for n in range(len(prints))], prints)
    assert found[["sample", "other"]].to_numpy().tolist() == [
        ["3", str(20 + others)],
        ["5", str(21 + others)],
    ]


def _lines_in_a_disc(seed: int, radius: int = 44, shift: int = 0) -> np.ndarray:
    """Four dark lines on grey in a disc on black, uint8 (96, 96)."""
    rng = np.random.default_rng(seed)
    picture, lines = 110 + rng.normal(0, 4, (96, 96)), np.zeros((96, 96), np.uint8)
    for _ in range(4):
        ends = rng.integers(0, 96, 4).tolist()
        cv2.line(lines, ends[:2], ends[2:], 1)
    rows, columns = np.indices((96, 96)) - 48
    disc = (rows - shift) ** 2 + columns**2 < radius**2
    return _bytes(np.where(disc, picture - 35 * lines, 0))


def test_a_few_pictures_in_one_disc_are_different():
    """Eight of eight: what they share is most of what is seen of them."""
    assert _found(*map(_lines_in_a_disc, range(8))).empty
    pictures = [*map(_lines_in_a_disc, range(8)), _as_jpeg(np.dstack([_lines_in_a_disc(3)] * 3))]
    assert _found(*pictures)[["sample", "other"]].to_numpy().tolist() == [["d", "i"]]


def test_five_apertures_are_not_five_pictures():
    """Sixty pictures by five cameras, each with a disc of its own, are nearly sixty."""
    cameras = [(44, 0), (36, 4), (40, -6), (30, 0), (46, 2)]
    pictures = [_lines_in_a_disc(12 * n + k, *camera) for n, camera in enumerate(cameras) for k in range(12)]
    linked = pairs([str(n) for n in range(60)], [take_print(picture) for picture in pictures])
    assert clusters([str(n) for n in range(60)], linked).nunique() >= 48


def test_a_common_frame_makes_no_copies():
    """A white border with a scale bar around different pictures."""
    pictures = [_cells(seed, **RICH) for seed in range(6)]
    for picture in pictures:
        picture[:12] = picture[-12:] = picture[:, :12] = picture[:, -12:] = 255
        picture[70:74, 80:110] = 0
    assert _found(*pictures).empty
    assert len(_found(*pictures, _as_jpeg(pictures[0]))) == 1


def test_the_same_pixels_alone_count_where_asked():
    """With near copies left aside."""
    picture = _cells(1, **RICH)
    prints = [take_print(one) for one in (picture, picture.copy(), _as_jpeg(picture))]
    assert pairs(list("abc"), prints, near=False)["kind"].tolist() == ["exact"]
    assert pairs(list("abc"), prints)["kind"].tolist() == ["exact", "near", "near"]


def test_copies_of_some_pictures_have_nothing_in_common_with_the_rest():
    """Ten changed copies of each of six pictures are found, though each has nine like it."""
    prints = [
        take_print(_bytes(_cells(seed, **RICH) * (0.8 + 0.03 * number)))
        for seed in range(6)
        for number in range(10)
    ]
    assert len(pairs([str(n) for n in range(60)], prints)) == 6 * 45
    assert alike(prints) == 0


def test_noise_is_not_a_copy_of_other_noise():
    """Pictures without cells, of a camera's noise alone, are different."""
    kind = {"cells": 0, "ground": 9, "height": 0, "noise": 2}
    assert _found(*(_cells(seed, **kind) for seed in range(30))).empty


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_empty_pictures_are_not_copies(value, dtype):
    """Pictures of one colour have no detail that could be copied, whether their sizes are equal or not."""
    shapes = [(40, 50), (40, 50), (64, 64), (40, 50, 3), (40, 50, 3)]
    pictures = [np.full(shape, value, dtype) for shape in shapes]
    assert _found(*pictures).empty
    assert not any(take_print(picture)[1].any() for picture in pictures)


def test_pixels_too_fine_for_the_print_are_still_compared():
    """Of a picture whose detail is lost in the print an exact copy is found, another picture is not."""
    board = np.indices((64, 64)).sum(axis=0).astype(np.uint8) % 2
    other = board.copy()
    other[0, 0] ^= 1
    assert not take_print(board)[1].any()
    assert _found(board, board.copy(), other)[["sample", "other", "kind"]].to_numpy().tolist() == [
        ["a", "b", "exact"]
    ]


def test_pixels_of_another_shape_or_type_are_not_exact():
    """The same bytes in another shape are another picture."""
    bytes_ = np.random.default_rng(0).integers(0, 256, 4096, np.uint8)
    digests = [
        take_print(array)[0]
        for array in (bytes_.reshape(64, 64), bytes_.reshape(32, 128), bytes_.view(np.int8).reshape(64, 64))
    ]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (1, 999), (20, 30, 2), (20, 30, 7)])
def test_any_size_and_any_channels_have_a_print(shape):
    """The smallest and the flattest picture, and one of many channels, have a print of 1024 bytes."""
    digest, vector, _ = take_print(np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16))
    assert (vector.shape, vector.dtype) == ((1024,), np.int8)
    assert isinstance(digest, str)


def test_a_view_has_the_print_of_its_copy():
    """A turned picture, whose rows are not in order in memory, is compared like any other."""
    picture = _cells(1, **RICH)
    assert _found(picture[::-1], picture[::-1].copy())["kind"].tolist() == ["exact"]


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 1024])
def test_many_pictures_are_compared_in_parts(monkeypatch, rows):
    """However many are compared at once, each pair is found once, the earlier one first."""
    monkeypatch.setattr(duplicates, "ROWS", rows)
    pictures = [_cells(seed, **RICH) for seed in range(5)]
    copied = [*pictures, pictures[0], _as_jpeg(pictures[3])]
    found = _found(*copied)
    expected = {("a", "f", "exact"), ("d", "g", "near")}
    assert len(found) == 2
    assert set(found[["sample", "other", "kind"]].itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_for_a_pair(count):
    """None and one have no duplicates, in a table with its columns."""
    found = _found(*[_cells(0, **RICH)][:count])
    assert found.empty
    assert found.columns.tolist() == ["sample", "other", "kind", "correlation"]


def test_clusters_join_chains():
    """What belongs to a copy of a copy belongs to the first, in whatever order the links are given."""
    linked = pd.DataFrame({"sample": ["d", "b", "c"], "other": ["b", "a", "e"]})
    found = clusters(list("abcdef"), linked)
    assert found.to_dict() == {"a": "a", "b": "a", "c": "c", "d": "a", "e": "c", "f": "f"}


def test_without_links_each_is_its_own_cluster():
    """Where nothing is a copy each name stands alone."""
    assert clusters(["b", "a"], pairs([], [])).to_dict() == {"b": "b", "a": "a"}
