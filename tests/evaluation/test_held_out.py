"""Held-out images are looked at one by one, at their own size, and read once where there is room."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from stratagem.data.index import Wanted, build_index
from stratagem.data.pairing import find
from stratagem.evaluation import held_out
from stratagem.evaluation.held_out import HeldOut, constant_class
from stratagem.evaluation.metrics import confusion
from stratagem.evaluation.predict import Predictor
from stratagem.networks.execution import Execution
from stratagem.resolution.plans import Plan

PLAIN = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")


class Bright(nn.Module):
    """Class 1 where the red channel is above 127."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        red = image[:, :1].float()
        return torch.cat([torch.full_like(red, 127.5), red, torch.zeros_like(red)], dim=1)


@pytest.fixture
def rows(dataset):
    """The index of the tiny data set."""
    found = find(*map(str, dataset), "{stem}", None)
    return build_index(found, Wanted(["a", "b", "c"], {"encoding": "indices"})).table


@pytest.fixture
def reads(monkeypatch):
    """The samples that are read, in order."""
    seen, read = [], held_out.read_sample

    def counted(row):
        seen.append(row.sample)
        return read(row)

    monkeypatch.setattr(held_out, "read_sample", counted)
    return seen


PREDICT = Predictor(Bright(), Plan("native", 4), PLAIN)


def test_images_are_looked_at_at_their_own_size(rows):
    """Each image gives its mask at its own size and its confusion against the mask on disk."""
    looks = list(HeldOut(rows, 3).looks(PREDICT))
    assert [look.sample for look in looks] == rows["sample"].tolist()
    for row, look in zip(rows.itertuples(), looks, strict=True):
        image, truth = np.array(Image.open(row.image)), np.array(Image.open(row.masks[0]))
        np.testing.assert_array_equal(look.predicted, image[..., 0] > 127)
        assert look.confusion.tolist() == confusion(truth, look.predicted, 3).tolist()
        assert look.confusion.sum() == row.height * row.width - 1  # one pixel of each mask is ignored


@pytest.mark.parametrize(("held_mb", "times"), [(1, 1), (0, 2)])
def test_images_that_are_looked_at_again_are_read_once_where_there_is_room(rows, reads, held_mb, times):
    """Ten validations read each file once; beyond the bound each time, with the same result."""
    images = HeldOut(rows, 3, held_mb)
    first, again = ([look.confusion.tolist() for look in images.looks(PREDICT)] for _ in range(2))
    assert first == again
    assert reads == times * rows["sample"].tolist()


def test_one_image_is_held_at_a_time(rows, reads):
    """An image is read when it is looked at, not before: no list of all is made."""
    next(HeldOut(rows, 3).looks(PREDICT))
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("matrix", "alone"),
    [
        ([[5, 0], [3, 0]], 0),
        ([[0, 5], [0, 3]], 1),
        ([[5, 0], [0, 0]], None),  # the truth holds one class: nothing wrong
        ([[5, 1], [3, 0]], None),
    ],
)
def test_a_class_that_is_predicted_alone_is_found(matrix, alone):
    """Where the truth holds several classes and the prediction one."""
    assert constant_class(np.array(matrix)) == alone
