"""The embedded demo is the same everywhere and looks like what it stands for."""

import json

import numpy as np
import pytest

from stratagem.data.demo import DOMAINS, SIZES, picture, write_domain
from stratagem.data.image import read_image
from stratagem.data.index import Wanted, build_index, require_good
from stratagem.data.labels import read_mask
from stratagem.data.pairing import find


@pytest.mark.parametrize("name", DOMAINS)
def test_a_picture_is_a_function_of_domain_and_number(name):
    """The same number gives the same picture, another number another."""
    first, again, other = (picture(DOMAINS[name], number) for number in (0, 0, len(SIZES)))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[0].shape == other[0].shape
    assert (first[0] != other[0]).any()
    assert (first[1] != other[1]).any()


def test_domains_differ():
    """The same number in another domain is another picture: other cells, another look."""
    tissue, glow = picture(DOMAINS["tissue"], 0), picture(DOMAINS["glow"], 0)
    assert (tissue[1] != glow[1]).any()
    assert tissue[0].mean() > 2 * glow[0].mean()


@pytest.mark.parametrize("name", DOMAINS)
def test_every_picture_has_cells_and_background(name):
    """Every image has cells and background, and no other mask value; all sizes occur."""
    seen = set()
    for number in range(14):
        image, mask = picture(DOMAINS[name], number)
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == (*mask.shape, 3)
        assert set(np.unique(mask)) == {0, 255}
        assert 0.05 < (mask == 255).mean() < 0.9
        seen.add(mask.shape)
    assert seen == set(SIZES)


@pytest.mark.parametrize(("name", "sign"), [("tissue", -1), ("glow", 1)])
def test_cells_can_be_seen(name, sign):
    """Cells are darker than their surroundings in tissue and brighter in glow."""
    differences = []
    for number in range(7):
        image, mask = picture(DOMAINS[name], number)
        differences.append(image[mask == 255].mean() - image[mask == 0].mean())
    assert (sign * np.array(differences) > 10).all()


def test_golden_picture():
    """The demo's numbers do not drift from one version to the next."""
    image, mask = picture(DOMAINS["tissue"], 0)
    assert image.shape == (64, 64, 3)
    assert (mask == 255).sum() == 790
    np.testing.assert_allclose(image.mean(axis=(0, 1)), (177.67, 163.40, 177.86), atol=0.05)


def test_a_domain_is_a_good_data_set(tmp_path):
    """The demo's files pass the checks that a user's own must pass."""
    images, masks = tmp_path / "new" / "images", tmp_path / "new" / "masks"
    write_domain("tissue", images, masks)
    classes = ["background", "cell"]
    index = build_index(find(str(images), str(masks), "{stem}", None), Wanted(classes, {"encoding": "auto"}))
    require_good(index, classes, "stop", "problems.csv")
    assert len(index.table) == DOMAINS["tissue"].images
    assert index.duplicates.empty
    (encoding,) = map(json.loads, set(index.table["encoding"]))
    assert (encoding["kind"], encoding["values"]) == ("values", [[0, 0], [255, 1]])
    image, mask = picture(DOMAINS["tissue"], 7)
    np.testing.assert_array_equal(read_image(images / "tissue-007.png"), image)
    np.testing.assert_array_equal(read_mask(masks / "tissue-007.png").values, mask)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["images", "masks"]
