"""A plan brings images into the frame and scores back, exactly where it does not resample."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stratagem.errors import GeometryError
from stratagem.geometry import Plan, fit
from stratagem.labels import IGNORE

side = st.integers(1, 40)
strides = st.sampled_from([1, 2, 4, 8, 16])


@st.composite
def plans(draw, kinds=("native", "resize", "pad")):
    """A plan, fitted on a few sizes, and one of these sizes."""
    sizes = draw(st.lists(st.tuples(side, side), min_size=1, max_size=4))
    size = draw(st.none() | st.tuples(side, side))
    plan = fit(draw(st.sampled_from(kinds)), size, np.array(sizes), draw(strides))
    return plan, draw(st.sampled_from(sizes))


def _picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), (height, width))


@given(plans())
def test_frames_are_multiples_of_the_stride(drawn):
    """The frame's sides are multiples of the stride, and image and mask fill the frame."""
    plan, (height, width) = drawn
    frame = plan.frame(height, width)
    assert all(length % plan.stride == 0 for length in frame)
    image, mask = _picture(height, width)
    image, mask = plan.forward(image), plan.forward_mask(mask)
    assert image.shape == (*frame, 3)
    assert mask.shape == frame
    assert image.dtype == mask.dtype == np.uint8


@given(plans(kinds=("native", "pad")))
def test_the_way_back_is_exact_without_resampling(drawn):
    """What was only filled up comes back as it was, bit for bit."""
    plan, (height, width) = drawn
    image, mask = _picture(height, width)
    scores = torch.from_numpy(plan.forward(image)).permute(2, 0, 1).float()
    np.testing.assert_array_equal(plan.inverse(scores, height, width).permute(1, 2, 0), image)
    labels = torch.from_numpy(plan.forward_mask(mask))[None].float()
    np.testing.assert_array_equal(plan.inverse(labels, height, width)[0], mask)


@given(plans())
def test_scores_come_back_at_the_image_s_own_size(drawn):
    """Scores come back at the image's own height and width, and equal scores stay equal."""
    plan, (height, width) = drawn
    scores = torch.full((2, *plan.frame(height, width)), 0.25)
    back = plan.inverse(scores, height, width)
    assert back.shape == (2, height, width)
    torch.testing.assert_close(back, torch.full_like(back, 0.25))


@given(plans(), st.integers(0, 3))
def test_labels_are_never_interpolated(drawn, seed):
    """A mask in its frame holds labels that it held before, or ignore."""
    plan, size = drawn
    _, mask = _picture(*size, seed)
    assert set(np.unique(plan.forward_mask(mask))) <= set(np.unique(mask)) | {IGNORE}


@given(plans(kinds=("native", "pad")))
def test_fill_counts_in_no_metric(drawn):
    """Every pixel outside the image is 0 in the image and ignore in the mask; none inside is."""
    plan, (height, width) = drawn
    image = plan.forward(np.full((height, width, 3), 9, np.uint8))
    mask = plan.forward_mask(np.ones((height, width), np.uint8))
    assert set(np.unique(image)) <= {0, 9}
    assert (mask == 1).sum() == height * width
    assert set(np.unique(mask)) <= {1, IGNORE}
    np.testing.assert_array_equal(image[..., 0] == 9, mask == 1)


def test_the_image_stands_in_the_middle():
    """An odd remainder goes to the bottom and the right."""
    plan = Plan("pad", 4, (4, 4), "")
    mask = plan.forward_mask(np.ones((1, 2), np.uint8))
    np.testing.assert_array_equal(np.argwhere(mask == 1), [[1, 1], [1, 2]])


def test_resize_fills_up_to_the_stride():
    """A size that is no multiple of the stride is resampled to, then filled up; labels align."""
    plan = Plan("resize", 4, (6, 6), "as the study asks")
    mask = plan.forward_mask(np.ones((12, 12), np.uint8))
    assert mask.shape == (8, 8)
    np.testing.assert_array_equal(mask[1:7, 1:7], 1)
    assert (mask == IGNORE).sum() == 64 - 36


def test_resize_to_the_own_size_is_exact():
    """An image that has the plan's size already is not touched, there or back."""
    plan = Plan("resize", 4, (8, 12), "")
    image, mask = _picture(8, 12)
    np.testing.assert_array_equal(plan.forward(image), image)
    np.testing.assert_array_equal(plan.forward_mask(mask), mask)
    scores = torch.from_numpy(image).permute(2, 0, 1).float()
    assert torch.equal(plan.inverse(scores, 8, 12), scores)


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (24, 40)])
def test_image_mask_and_scores_stay_in_place(size):
    """Resampled there and back, an object stays where it is, in image and mask alike."""
    truth = np.zeros((32, 32), np.uint8)
    truth[20:28, 2:8] = 1
    plan = Plan("resize", 8, size, "")
    image, mask = plan.forward(np.dstack([truth * 255] * 3)), plan.forward_mask(truth)
    for array, tolerance in ((image[..., 0] / 255, 0.1), (mask.astype(float), 0.3)):
        back = plan.inverse(torch.from_numpy(array)[None], 32, 32)[0].numpy()
        centre = np.average(np.indices(back.shape).reshape(2, -1), axis=1, weights=back.ravel())
        np.testing.assert_allclose(centre, (23.5, 4.5), atol=tolerance)
        assert back.sum() == pytest.approx(truth.sum(), rel=0.15)


@pytest.mark.parametrize(("height", "width"), [(5, 4), (4, 5)])
def test_an_image_larger_than_the_frame_is_refused(height, width):
    """An image larger than the padding's frame is refused with both sizes; it is never cut."""
    plan = Plan("pad", 4, (4, 4), "")
    for act in (
        lambda: plan.frame(height, width),
        lambda: plan.forward(np.zeros((height, width, 3), np.uint8)),
        lambda: plan.forward_mask(np.zeros((height, width), np.uint8)),
        lambda: plan.inverse(torch.zeros(1, 4, 4), height, width),
    ):
        with pytest.raises(GeometryError, match=rf"at most 4x4.*found {height}x{width}.*`native`"):
            act()


@given(plans())
def test_a_plan_comes_back_from_its_record(drawn):
    """A plan read from its file is the plan that was written."""
    plan, _ = drawn
    assert Plan.from_record(json.loads(json.dumps(plan.as_record()))) == plan


@pytest.mark.parametrize(
    ("kind", "size", "fitted", "why"),
    [
        ("native", None, None, "own size, filled up to 16"),
        ("pad", None, (50, 90), "largest height and width of 3 images"),
        ("resize", None, (32, 64), "median of 3 sizes, rounded to 16"),
        ("resize", (33, 47), (33, 47), "as the study asks"),
    ],
)
def test_a_plan_is_fitted_on_sizes(kind, size, fitted, why):
    """A plan takes the size it says, and says why."""
    plan = fit(kind, size, np.array([[30, 70], [50, 60], [35, 90]]), 16)
    assert plan.size == fitted
    assert why in plan.why


def test_a_median_is_never_below_the_stride():
    """Images smaller than the stride get a frame of one stride."""
    assert fit("resize", None, np.array([[3, 5]]), 16).size == (16, 16)
