"""A source's images are held against the test images by what they show, not by their names."""

import cv2
import numpy as np
import pandas as pd
import pytest

from folders import save
from stratagem.core.errors import DataError
from stratagem.data.overlap import require_apart, shared, still_there


def _picture(seed: int) -> np.ndarray:
    """Blurred discs on a dark ground, uint8 (64, 80, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.full((64, 80, 3), 40, np.uint8)
    for _ in range(25):
        cv2.circle(picture, rng.integers(0, 80, 2).tolist(), 4, rng.integers(90, 220, 3).tolist(), -1)
    return cv2.GaussianBlur(picture, (0, 0), 1)


def _rows(folder, pictures: dict, **columns) -> pd.DataFrame:
    """Rows of an index of pictures in files, by their names."""
    rows = [
        {"sample": name, "image": str(save(folder / f"{name}.png", picture)), "height": 64, "width": 80}
        for name, picture in pictures.items()
    ]
    return pd.DataFrame(rows).assign(**{"page": -1, "window": [[]] * len(rows)} | columns)


@pytest.fixture
def sets(tmp_path):
    """A source of four images, one a smaller copy and one the same as a tested one; three tested images."""
    tested = {name: _picture(seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))}
    smaller = cv2.resize(_picture(2), (60, 48), interpolation=cv2.INTER_AREA)
    source = {"a": _picture(11), "x": _picture(12), "half": smaller, "same": _picture(3)}
    return _rows(tmp_path / "source", source), _rows(tmp_path / "own", tested)


@pytest.mark.parametrize("threads", [1, 2])
def test_copies_of_test_images_are_found_whatever_their_names(sets, threads):
    """The same name is no copy; a smaller copy and the same pixels are."""
    found = shared(*sets, near=True, threads=threads)
    names = found[["image", "tested"]].map(lambda path: path.split("/")[-1].removesuffix(".png"))
    assert names.assign(kind=found["kind"]).to_numpy().tolist() == [
        ["half", "b", "near"],
        ["same", "c", "exact"],
    ]


def test_only_the_same_pixels_count_where_asked_for(sets):
    """`duplicates: exact` leaves out the smaller copy."""
    assert shared(*sets, near=False)["kind"].tolist() == ["exact"]


def test_copies_within_one_of_the_sets_are_none_of_its_business(tmp_path):
    """Two copies in the source, two in the test, none across."""
    source = _rows(tmp_path / "source", {"one": _picture(1), "two": _picture(1)})
    tested = _rows(tmp_path / "own", {"three": _picture(2), "four": _picture(2)})
    assert shared(source, tested, near=True).empty
    nowhere = tested.assign(image="no such file")  # and is not read where there is nothing to compare
    assert shared(source[:0], nowhere, near=True).empty


def test_a_block_is_compared_as_it_is_cut(tmp_path):
    """A source's image is one block of a large image of the study."""
    whole = np.concatenate([_picture(1), _picture(2)], axis=1)
    tested = _rows(tmp_path / "own", {"whole": whole}, window=[[0, 80, 64, 80]])
    found = shared(_rows(tmp_path / "source", {"cut": _picture(2)}), tested, near=True)
    assert found["kind"].tolist() == ["exact"]


def test_a_source_with_a_test_image_is_refused(sets):
    """The first pair, how many, where all are listed, and the key that says what a copy is."""
    with pytest.raises(DataError) as refused:
        require_apart(shared(*sets, near=True), "sources.web", "sources.web.duplicates", "overlap.csv")
    said = str(refused.value)
    assert "2 that are copies of one; the first is" in said and "half.png, of" in said
    assert "(near, correlation 0.9" in said or "(near, correlation 1.0" in said
    assert "overlap.csv" in said and "`sources.web.duplicates: off`" in said


def test_exact_is_offered_where_it_would_let_the_source_pass(sets):
    """Of near copies alone."""
    near = shared(*sets, near=True).query("kind == 'near'")
    with pytest.raises(DataError, match="`duplicates: exact`"):
        require_apart(near, "sources.run", "duplicates", "overlap.csv")
    require_apart(near[:0], "sources.run", "duplicates", "overlap.csv")


def test_images_of_a_run_that_are_gone_are_counted(sets, tmp_path):
    """Paths of another study start where that was started."""
    source, _ = sets
    source = source.assign(image=[f"source/{name}.png" for name in source["sample"]])
    (tmp_path / "source" / "x.png").unlink()
    there, gone = still_there(source, tmp_path)
    assert gone == 1
    assert there["image"].tolist() == [str(tmp_path / f"source/{name}.png") for name in ("a", "half", "same")]
