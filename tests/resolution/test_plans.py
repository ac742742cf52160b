"""A plan brings images into frames and scores back, exactly where it does not resample."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.core.errors import GeometryError, UnknownNameError
from stratagem.data.labels import IGNORE
from stratagem.resolution.plans import Plan, Window, fit_plan

KINDS = ("native", "resize", "pad", "letterbox", "bucket", "tile", "rescale")
EXACT = ("native", "pad", "bucket", "tile")
side = st.integers(1, 60)
strides = st.sampled_from([1, 2, 4, 8, 16])


@st.composite
def plans(draw, kinds=KINDS, sides=side):
    """A plan, fitted on a few sizes, an image's size (of the set, or a new one) and its pixels' size."""
    kind = draw(st.sampled_from(kinds))
    sizes = draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=4))
    options = {"fill": draw(st.sampled_from(["constant", "reflect", "edge"]))}
    if kind in ("resize", "letterbox", "rescale"):
        options["mask"] = draw(st.sampled_from(["nearest", "area"]))
    if kind in ("resize", "letterbox", "pad", "tile"):
        fits = st.sampled_from(["median", "largest", "p25"]).map(lambda word: {"fit": word})
        options |= draw(fits | st.tuples(sides, sides).map(lambda size: {"size": size}))
    if kind == "patches":
        options["size"] = draw(st.tuples(sides, sides))
    if kind in ("tile", "patches"):
        options["overlap"] = draw(st.sampled_from([0, 0.25, 0.5, 0.9]))
    if kind == "rescale":
        options |= {"pixel_size": draw(st.sampled_from([0.5, 1.0, 1.7])), "pixel_sizes": np.ones(len(sizes))}
    plan = fit_plan(kind, np.array(sizes), draw(strides), **options)
    return plan, *draw(st.sampled_from(sizes) | st.tuples(sides, sides)), 1.0


def _picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), (height, width))


def _only(plan, *size) -> Window:
    (window,) = plan.windows(*size)
    return window


@given(plans())
def test_frames_are_multiples_of_the_stride(drawn):
    """The frames' sides are multiples of the stride, and image and mask fill them."""
    plan, *size = drawn
    image, mask = _picture(*size[:2])
    for window in plan.windows(*size):
        assert all(length % plan.stride == 0 and length > 0 for length in window.frame)
        framed, labels = plan.forward(image, window), plan.forward_mask(mask, window)
        assert framed.shape == (*window.frame, 3)
        assert labels.shape == window.frame
        assert framed.dtype == labels.dtype == np.uint8
        assert framed.flags.c_contiguous and labels.flags.c_contiguous


@given(plans(kinds=EXACT))
def test_the_way_back_is_exact_without_resampling(drawn):
    """What was only filled up or cut comes back as it was, bit for bit, whatever it was filled up with."""
    plan, *size = drawn
    image, mask = _picture(*size[:2])
    seen = np.zeros(size[:2], int)
    for window in plan.windows(*size):
        rows = slice(window.top, window.top + window.part[0])
        columns = slice(window.left, window.left + window.part[1])
        scores = torch.from_numpy(plan.forward(image, window)).permute(2, 0, 1).float()
        np.testing.assert_array_equal(plan.inverse(scores, window).permute(1, 2, 0), image[rows, columns])
        labels = torch.from_numpy(plan.forward_mask(mask, window))[None].float()
        np.testing.assert_array_equal(plan.inverse(labels, window)[0], mask[rows, columns])
        seen[rows, columns] += 1
    assert (seen > 0).all()  # every pixel stands in a window


@given(plans())
def test_scores_come_back_at_the_part_s_own_size(drawn):
    """Equal scores stay equal, at the height and width of the window's part of the image."""
    plan, *size = drawn
    for window in plan.windows(*size):
        back = plan.inverse(torch.full((2, *window.frame), 0.25), window)
        assert back.shape == (2, *window.part)
        torch.testing.assert_close(back, torch.full_like(back, 0.25))


@settings(max_examples=12, deadline=None)
@given(plans(sides=st.sampled_from([1, 2, 31, 999, 2000, 3000])))
def test_sizes_from_a_pixel_to_thousands(drawn):
    """From 1x1 to thousands of pixels: the way back has the image's own height and width."""
    plan, height, width, pixel_size = drawn
    image = np.zeros((height, width, 3), np.uint8)
    for window in plan.windows(height, width, pixel_size)[:2]:
        if math.prod(window.frame) > 2**24:  # a pixel blown up to thousands of times its size
            continue
        framed = torch.from_numpy(plan.forward(image, window)).permute(2, 0, 1)[:1].float()
        assert plan.inverse(framed, window).shape == (1, *window.part)


@given(plans(), st.integers(0, 3))
def test_labels_are_never_interpolated(drawn, seed):
    """A mask in its frame holds labels that it held before, or ignore."""
    plan, *size = drawn
    _, mask = _picture(*size[:2], seed)
    for window in plan.windows(*size):
        assert set(np.unique(plan.forward_mask(mask, window))) <= set(np.unique(mask)) | {IGNORE}


@given(plans())
def test_what_is_filled_up_is_ignored(drawn):
    """Every pixel of the frame outside the image is ignore in the mask, and none inside is."""
    plan, *size = drawn
    for window in plan.windows(*size):
        mask = plan.forward_mask(np.ones(size[:2], np.uint8), window)
        (top, left), (height, width) = window.offset, window.inner
        assert (mask[top : top + height, left : left + width] == 1).all()
        assert (mask == 1).sum() == height * width


@given(plans(), plans())
def test_a_plan_comes_back_from_its_record(drawn, other):
    """A plan read from its file is the plan that was written, and no other."""
    record = json.loads(json.dumps(drawn[0].as_record()))
    assert Plan.from_record(record) == drawn[0]
    assert (Plan.from_record(record) == other[0]) == (drawn[0] == other[0])


def test_the_image_stands_in_the_middle():
    """An odd remainder goes to the bottom and the right."""
    plan = Plan("pad", 4, ((4, 4),))
    mask = plan.forward_mask(np.ones((1, 2), np.uint8), _only(plan, 1, 2))
    np.testing.assert_array_equal(np.argwhere(mask == 1), [[1, 1], [1, 2]])


@pytest.mark.parametrize(
    ("fill", "row"),
    [("constant", [0, 1, 2, 3, 0, 0]), ("reflect", [2, 1, 2, 3, 2, 1]), ("edge", [1, 1, 2, 3, 3, 3])],
)
def test_an_image_is_filled_up_as_asked(fill, row):
    """With zeros, its mirror image or its edge."""
    plan = Plan("pad", 1, ((1, 6),), fill=fill)
    image = np.array([1, 2, 3], np.uint8)[None, :, None].repeat(3, axis=2)
    assert plan.forward(image, _only(plan, 1, 3))[0, :, 0].tolist() == row


def test_resize_fills_up_to_the_stride():
    """A size that is no multiple of the stride is resampled to, then filled up; labels align."""
    plan = Plan("resize", 4, ((6, 6),))
    mask = plan.forward_mask(np.ones((12, 12), np.uint8), _only(plan, 12, 12))
    assert mask.shape == (8, 8)
    np.testing.assert_array_equal(mask[1:7, 1:7], 1)
    assert (mask == IGNORE).sum() == 64 - 36


@pytest.mark.parametrize("mask", ["nearest", "area"])
def test_resize_to_the_own_size_is_exact(mask):
    """An image that has the plan's size already is not touched, there or back."""
    plan = Plan("resize", 4, ((8, 12),), mask=mask)
    image, labels = _picture(8, 12)
    window = _only(plan, 8, 12)
    assert not window.resamples
    np.testing.assert_array_equal(plan.forward(image, window), image)
    np.testing.assert_array_equal(plan.forward_mask(labels, window), labels)
    scores = torch.from_numpy(image).permute(2, 0, 1).float()
    assert torch.equal(plan.inverse(scores, window), scores)


@pytest.mark.parametrize("mask", ["nearest", "area"])
@pytest.mark.parametrize("size", [(16, 16), (64, 64), (24, 40), (16, 64)])
def test_image_mask_and_scores_stay_in_place(size, mask):
    """Resampled there and back, an object stays where it is, in image and mask alike."""
    truth = np.zeros((32, 32), np.uint8)
    truth[20:28, 2:8] = 1
    plan = Plan("resize", 8, (size,), mask=mask)
    window = _only(plan, 32, 32)
    image, labels = plan.forward(np.dstack([truth * 255] * 3), window), plan.forward_mask(truth, window)
    for array, tolerance in ((image[..., 0] / 255, 0.1), (labels.astype(float), 0.3)):
        back = plan.inverse(torch.from_numpy(array)[None], window)[0].numpy()
        centre = np.average(np.indices(back.shape).reshape(2, -1), axis=1, weights=back.ravel())
        np.testing.assert_allclose(centre, (23.5, 4.5), atol=tolerance)
        assert back.sum() == pytest.approx(truth.sum(), rel=0.15)


def test_a_side_that_shrinks_beside_one_that_grows_is_averaged():
    """Fine stripes become grey along the side that shrinks, also where the other side grows."""
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    plan = Plan("resize", 1, ((16, 16),))
    np.testing.assert_array_equal(plan.forward(stripes, _only(plan, 8, 64)), 100)


def test_the_label_of_the_largest_area_wins_where_it_is_asked_for():
    """A thin line that nearest may keep or lose whole goes to the class that covers most of the pixel."""
    mask = np.zeros((8, 8), np.uint8)
    mask[:, ::4], mask[4:, :4], mask[0, 7] = 1, 2, IGNORE
    framed = {}
    for kind in ("nearest", "area"):
        plan = Plan("resize", 1, ((2, 2),), mask=kind)
        framed[kind] = plan.forward_mask(mask, _only(plan, 8, 8))
    assert framed["area"].tolist() == [[0, 0], [2, 0]]
    assert set(np.unique(framed["nearest"])) <= {0, 1, 2, IGNORE}


@pytest.mark.parametrize(
    ("height", "width", "inner"),
    [(100, 50, (64, 32)), (30, 60, (32, 64)), (1, 200, (1, 64)), (64, 64, (64, 64))],
)
def test_letterbox_keeps_the_aspect(height, width, inner):
    """The longer side fits the frame, the rest is filled up; small images grow."""
    window = _only(Plan("letterbox", 16, ((64, 64),)), height, width)
    assert (window.inner, window.frame) == (inner, (64, 64))


def test_a_bucket_is_the_smallest_that_holds_the_image():
    """And an image that none holds keeps its own size."""
    plan = Plan("bucket", 16, ((32, 64), (64, 32), (64, 64)))
    frames = {size: _only(plan, *size).frame for size in [(20, 60), (60, 20), (40, 40), (70, 20)]}
    assert frames == {(20, 60): (32, 64), (60, 20): (64, 32), (40, 40): (64, 64), (70, 20): (80, 32)}


@pytest.mark.parametrize("kind", ["pad", "bucket"])
@pytest.mark.parametrize(("height", "width"), [(5, 4), (4, 5), (9, 9)])
def test_an_image_larger_than_the_frame_keeps_its_size(kind, height, width):
    """It is never cut or shrunk in silence."""
    window = _only(Plan(kind, 4, ((4, 4),)), height, width)
    assert window.inner == (height, width)
    assert window.frame == tuple(-(-side // 4) * 4 for side in (height, width))


@given(st.integers(1, 300), st.integers(1, 100), st.sampled_from([0.0, 0.25, 0.5]))
def test_tiles_cover_a_side_with_the_overlap_asked_for(length, tile, overlap):
    """They begin at 0, end at the end, and each has at least that share in common with the next."""
    windows = Plan("tile", 1, ((tile, tile),), overlap=overlap).windows(length, 1)
    tops = [window.top for window in windows]
    assert tops[0] == 0 and tops == sorted(set(tops))
    assert tops[-1] + windows[-1].part[0] == length
    assert all(
        one + tile - other >= math.floor(tile * overlap) for one, other in zip(tops, tops[1:], strict=False)
    )


def test_an_image_smaller_than_a_tile_is_filled_up_to_it():
    """So all windows have one frame."""
    window = _only(Plan("tile", 16, ((32, 32),), overlap=0.5), 10, 20)
    assert (window.part, window.frame) == ((10, 20), (32, 32))


@pytest.mark.parametrize(("size", "frame"), [((50, 70), (50, 70)), ((20, 70), (32, 70)), ((5, 6), (32, 48))])
def test_patches_are_cut_from_whole_images_and_predicted_as_tiles(size, frame):
    """Training reads the image, filled up to a patch where it is smaller; other plans their windows."""
    plan = fit_plan("patches", SIZES, 16, size=(30, 40), overlap=0.5, foreground=0.5)
    tiles = fit_plan("tile", SIZES, 16, size=(30, 40), overlap=0.5)
    assert plan.patch == (32, 48) and tiles.patch is None
    assert plan.windows(*size) == tiles.windows(*size) == tiles.stored(*size)
    (whole,) = plan.stored(*size)
    assert (whole.part, whole.inner, whole.frame) == (size, size, frame)


def test_rescale_brings_pixels_to_one_physical_size():
    """Twice as large pixels: twice as many of them."""
    plan = Plan("rescale", 8, pixel_size=0.5)
    assert plan.windows(40, 60, 1.0)[0].inner == (80, 120)
    assert plan.windows(40, 60, 0.25)[0].inner == (20, 30)
    with pytest.raises(GeometryError, match="physical size of a pixel.*sample sheet"):
        plan.windows(40, 60)


SIZES = np.array([[30, 70], [50, 60], [35, 90]])


@pytest.mark.parametrize(
    ("kind", "options", "frames", "why"),
    [
        ("native", {}, (), "own size, filled up to 16"),
        ("pad", {}, ((50, 90),), "largest height and width of 3 images"),
        ("pad", {"size": (40, 80)}, ((40, 80),), "as the study asks; 2 larger ones keep their own size"),
        ("resize", {}, ((32, 64),), "median height and width of 3 images, rounded to 16"),
        ("resize", {"size": (33, 47)}, ((33, 47),), "as the study asks"),
        ("resize", {"fit": "largest"}, ((48, 96),), "largest height and width of 3 images, rounded to 16"),
        ("resize", {"fit": "largest", "max_pixels": 1200}, ((32, 48),), "shrunk to 1200 pixels"),
        ("letterbox", {"fit": "p50"}, ((32, 64),), "p50 height and width"),
        ("tile", {"size": (16, 16)}, ((16, 16),), "as the study asks"),
        ("patches", {}, ((32, 64),), "the median image, at most 256 a side"),
        ("patches", {"size": (16, 48)}, ((16, 48),), "as the study asks"),
        ("bucket", {"buckets": 3}, ((32, 80), (48, 96), (64, 64)), "3 frames for 3 images"),
        ("bucket", {"buckets": 2}, ((48, 96), (64, 64)), "2 frames for 3 images"),
        ("bucket", {"buckets": 1}, ((64, 96),), "1 frames for 3 images"),
    ],
)
def test_a_plan_is_fitted_on_sizes(kind, options, frames, why):
    """A plan takes the sizes it says, and says why."""
    plan = fit_plan(kind, SIZES, 16, **options)
    assert plan.frames == frames
    assert why in plan.why


def test_a_median_is_never_below_the_stride():
    """Images smaller than the stride get a frame of one stride."""
    assert fit_plan("resize", np.array([[3, 5]]), 16).frames == ((16, 16),)


def test_the_pixel_size_is_the_median_of_the_set():
    """Unless the study says another; where one image lacks it, the plan cannot be fitted."""
    sizes = np.array([0.5, 0.5, 2.0])
    assert fit_plan("rescale", SIZES, 16, pixel_sizes=sizes).pixel_size == 0.5
    assert fit_plan("rescale", SIZES, 16, pixel_size=0.7, pixel_sizes=sizes).pixel_size == 0.7
    with pytest.raises(GeometryError, match="1 images without it"):
        fit_plan("rescale", SIZES, 16, pixel_sizes=np.array([0.5, np.nan, 2.0]))
    with pytest.raises(GeometryError, match="all images without it"):
        fit_plan("rescale", SIZES, 16)


def test_buckets_of_very_many_sizes_are_found_quickly_and_hold_all():
    """Thousands of different sizes: few frames, each image in one of them."""
    sizes = np.random.default_rng(0).integers(20, 2000, (3000, 2))
    plan = fit_plan("bucket", sizes, 16, buckets=6)
    assert len(plan.frames) == 6
    filled = [math.prod(plan.windows(*size)[0].frame) for size in sizes.tolist()]
    assert (
        sizes.prod(axis=1).sum() < sum(filled) < math.prod(fit_plan("pad", sizes, 16).frames[0]) * len(sizes)
    )


def test_a_plan_that_is_none_is_refused():
    """With the nearest name, where it is fitted and where it is used."""
    for used in (lambda: fit_plan("resise", SIZES, 16), lambda: Plan("resise", 4).windows(3, 3)):
        with pytest.raises(UnknownNameError, match="Perhaps `resize`"):
            used()
