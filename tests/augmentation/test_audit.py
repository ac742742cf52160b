"""Each transform is asked what it does to the labels, and whether it makes images unlike the data."""

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stratagem.augmentation.audit import ALIKE, UNLIKE, audit, sheet
from stratagem.augmentation.on_cpu import exchange
from stratagem.augmentation.transforms import Policy, Strength, strength
from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find

CLASSES = ["background", "thing"]
LETTER = np.array(  # an F: no turn makes it its mirror image
    [[-6, -10], [6, -10], [6, -6], [-2, -6], [-2, -1], [3, -1], [3, 3], [-2, 3], [-2, 10], [-6, 10]]
)
ARROW = np.array([[0, -10], [7, 8], [-7, 8]])  # its own mirror image, but not upside down
RING = np.array([[9 * np.cos(angle), 9 * np.sin(angle)] for angle in np.linspace(0, 6, 20)])
SIZE = 80


def _planted(shape: np.ndarray, upright: bool, rng) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image with the shape in some places, at any orientation unless it is upright."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(rng.integers(4, 9)):
        angle = rng.normal(0, 0.1) if upright else rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = shape @ turn.T * rng.uniform(0.8, 1.2) + rng.uniform(-10, SIZE + 10, 2)
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1)
    image = rng.normal(90, 10, (SIZE, SIZE)) + 60.0 * mask
    return np.dstack([cv2.GaussianBlur(image.clip(0, 255).astype(np.uint8), (0, 0), 0.8)] * 3), mask


def _index(folder, pairs) -> pd.DataFrame:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number, pair in enumerate(pairs):
        for name, array in zip(("images", "masks"), pair, strict=True):
            Image.fromarray(array).save(folder / name / f"{number:02}.png")
    found = find(str(folder / "images"), str(folder / "masks"), "{stem}", None)
    return build_index(found, Wanted(CLASSES, {"encoding": "indices"})).table


def _set(folder, shape, upright, seed) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return _index(folder, [_planted(shape, upright, rng) for _ in range(40)])


def _policy(**ranges) -> Policy:
    return Policy(1, {name: strength(name, given) for name, given in ranges.items()})


def _verdicts(index, **ranges) -> dict:
    found = audit(index, _policy(**ranges), CLASSES).transforms
    return dict(zip(found["transform"], found["verdict"], strict=True))


# Images unlike the data: ten planted sets each way


@pytest.mark.parametrize(
    ("shape", "upright", "expected"),
    [
        (LETTER, False, {"flip_horizontal": UNLIKE, "rotation": ALIKE}),
        (ARROW, True, {"flip_horizontal": ALIKE, "rotation": UNLIKE}),
        (RING, False, {"flip_horizontal": ALIKE, "rotation": ALIKE}),
    ],
    ids=["chirality", "up", "neither"],
)
def test_what_is_planted_is_named(shape, upright, expected, tmp_path):
    """Mirroring is named where hands are planted, rotation where an up is, and neither elsewhere: 9 of 10."""
    found = [
        _verdicts(_set(tmp_path / str(seed), shape, upright, seed), flip_horizontal=0.5, rotation=180)
        for seed in range(10)
    ]
    for name, verdict in expected.items():
        assert sum(verdicts[name] == verdict for verdicts in found) >= 9, (name, found)


def test_a_change_of_grey_is_named_where_all_images_are_alike(tmp_path):
    """Images taken alike are told from brightened ones; a change too small to see is not."""
    index = _set(tmp_path, RING, False, 3)
    assert _verdicts(index, brightness=0.3) == {"brightness": UNLIKE}
    assert _verdicts(index, brightness=0.002) == {"brightness": ALIKE}


def test_pictures_show_what_is_named(tmp_path):
    """For a transform that is named there is an image as it is and changed; for others none."""
    found = audit(_set(tmp_path, ARROW, True, 0), _policy(flip_vertical=1, flip_horizontal=1), CLASSES)
    assert list(found.pictures) == ["flip_vertical"]
    image, mask, other, other_mask = found.pictures["flip_vertical"]
    np.testing.assert_array_equal(other, image[::-1])
    np.testing.assert_array_equal(other_mask, mask[::-1])


def test_few_images_are_not_asked(tmp_path):
    """Below ten independent images there is no answer, and the page says why."""
    index = _set(tmp_path, RING, False, 0)
    grouped = index.assign(group=[str(number % 9) for number in range(len(index))])
    assert _verdicts(grouped, flip_horizontal=1) == {
        "flip_horizontal": "not asked: fewer than 10 independent images"
    }


def test_what_hides_or_moves_everything_is_not_asked(tmp_path):
    """Cut-out is unlike any data on purpose; a move that leaves no interior cannot be asked about."""
    verdicts = _verdicts(_set(tmp_path, RING, False, 0), cutout=0.3, translation=0.9)
    assert verdicts["cutout"] == "not asked: it hides on purpose"
    assert verdicts["translation"] == "not asked: it moves too far, no interior is left"


# What becomes of the labels


def _square(top: int, left: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((64, 64), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return np.dstack([mask * 100] * 3), mask


def _row(tmp_path, pairs, name, given) -> pd.Series:
    policy = Policy(1, {name: given if isinstance(given, Strength) else strength(name, given)})
    return audit(_index(tmp_path, pairs), policy, CLASSES).transforms.iloc[0]


def test_labels_that_leave_are_counted_by_their_own_area(tmp_path):
    """Enlarging does not count as gaining, shrinking not as losing: only what leaves the frame is lost."""
    inner = [_square(22, 21 + number, 20) for number in range(3)]
    for name, given in (("scale", 1.3), ("rotation", 180), ("flip_vertical", 1), ("elastic", 0.05)):
        assert _row(tmp_path / name, inner, name, given)["left"] == pytest.approx(0, abs=0.03), name
    edge = [_square(0, 8 * number, 8) for number in range(8)]
    assert _row(tmp_path / "edge", edge, "rotation", 180)["left"] > 0.05


def test_an_object_that_vanishes_is_counted(tmp_path):
    """A far move takes whole objects, and with the last of them the class."""
    row = _row(tmp_path, [_square(2, 2 + number, 4) for number in range(12)], "translation", 0.5)
    assert row["objects"] == row["classes"] > 0.2
    assert row["left"] == pytest.approx(row["objects"], abs=0.2)


def test_what_is_hidden_is_lost(tmp_path):
    """Cut-out takes labels without moving any."""
    row = _row(tmp_path, [_square(10, 10 + number, 30) for number in range(9)], "cutout", 0.9)
    assert 0.05 < row["left"] < 0.6


def test_many_objects_are_told_apart(tmp_path):
    """Objects beyond the labels that a mask can hold are counted too."""
    mask = np.zeros((80, 80), np.uint8)
    mask[::4, ::4] = 1
    row = _row(tmp_path, [(np.dstack([mask] * 3), mask)], "flip_horizontal", 1)
    assert (row["objects"], row["left"]) == (0, 0)


def test_the_balance_of_classes_is_that_of_the_pixels_that_count(tmp_path):
    """Before and after, the shares of a transform's classes add up to one; a flip changes none."""
    index = _index(tmp_path, [_square(0, 4 * number, 20) for number in range(10)])
    balance = audit(index, _policy(flip_horizontal=1, translation=0.3), CLASSES).balance
    for _, rows in balance.groupby("transform"):
        np.testing.assert_allclose(rows[["before", "after"]].sum(), 1)
    flipped = balance[balance["transform"] == "flip_horizontal"]
    np.testing.assert_array_equal(flipped["before"], flipped["after"])
    assert balance["class"].tolist() == CLASSES * 2


def test_a_transform_that_is_off_is_left_out(tmp_path):
    """A probability of 0 asks nothing."""
    index = _index(tmp_path, [_square(9, number, 9) for number in range(3)])
    assert audit(index, _policy(flip_horizontal=0, turns=1), CLASSES).transforms["transform"].tolist() == [
        "turns"
    ]


# The contact sheet


def test_a_contact_sheet_shows_originals_beside_what_is_made_of_them(tmp_path):
    """A row an image: itself, then its variants; mirrored ones with their classes exchanged."""
    index = _index(tmp_path, [_square(9, 5 * number, 9) for number in range(6)])
    rows = sheet(index, _policy(flip_horizontal=1), exchange([(0, 1)]))
    assert [len(row) for row in rows] == [4] * 4
    for (image, mask), *made in rows:
        for synthetic, label in made:
            np.testing.assert_array_equal(synthetic, image[:, ::-1])
            np.testing.assert_array_equal(label, 1 - mask[:, ::-1])


def test_only_the_middle_of_a_huge_image_is_asked_about(tmp_path):
    """Memory is bounded: of an image larger than 1024 pixels a side the middle is taken."""
    mask = np.zeros((1100, 40), np.uint8)
    mask[500:520] = 1
    (((image, shown), *_),) = sheet(_index(tmp_path, [(np.dstack([mask] * 3), mask)]), _policy(), None)
    assert image.shape == (1024, 40, 3)
    np.testing.assert_array_equal(shown, mask[38:-38])
