"""Which samples make which batch follows from the seed and the position alone."""

import itertools
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.core.errors import LoaderError
from stratagem.loading.order import Order, Selection, balanced_by_class, balanced_by_size, mixing

SHAPES = np.array([(8, 8), (8, 4), (12, 8)])
LASTS = ["fill", "keep", "drop"]
EQUAL = np.full((7, 2), 8)
MIXED = SHAPES[[0, 0, 1, 1, 0, 2, 0]]


@st.composite
def orders(draw, lasts=LASTS, weighted=None, windowed=None, mixed=None, **given) -> Order:
    """Of up to 30 samples of up to three shapes in up to three files, with or without each option."""
    count = draw(st.integers(1, 30))
    kinds = draw(st.integers(1, 3)) if mixed is None else 3 if mixed else 1
    random = np.random.default_rng(draw(st.integers(0, 99)))
    lie = np.column_stack([random.integers(0, draw(st.integers(1, 3)), count), random.permutation(count)])
    weights = np.array(draw(st.lists(st.integers(0, 9) | st.floats(0, 5), min_size=count, max_size=count)))
    if not weights.any():
        weights += 1
    return Order(
        SHAPES[random.integers(0, kinds, count)],
        batch_size=draw(st.integers(1, 12)),
        seed=draw(st.integers(0, 2**32)),
        window=draw(st.integers(1, 40)) if (draw(st.booleans()) if windowed is None else windowed) else None,
        addresses=lie,
        weights=weights if (draw(st.booleans()) if weighted is None else weighted) else None,
        last=draw(st.sampled_from(lasts)),
        **given,
    )


def _first(order: Order, count: int, start: int = 0) -> list[Selection]:
    return list(itertools.islice(order.selections(start), count))


def _batches(order: Order, epochs: int) -> list[list[Selection]]:
    """Those of each epoch, by the epoch that the order says."""
    grouped = itertools.groupby(order.selections(), key=lambda batch: batch.epoch)
    return [list(batches) for _, batches in itertools.islice(grouped, epochs)]


def _key(batch: Selection) -> tuple:
    return batch.epoch, batch.places.tolist(), batch.showings.tolist()


def _fills_one(order: Order) -> bool:
    """Whether there is a full batch in an epoch."""
    return max(Counter(map(tuple, order.shapes.tolist())).values()) >= order.batch_size


@given(orders(weighted=False), st.integers(0, 5))
def test_an_epoch_is_a_permutation(order, number):
    """Without weights an epoch shows each sample once, and epoch e shows each for the e-th time."""
    places, showings = order.epoch(number)
    assert sorted(places.tolist()) == list(range(len(order.shapes)))
    assert showings.tolist() == [number] * len(order.shapes)


def test_the_order_is_a_function_of_seed_and_epoch():
    """An epoch's order is the same for the same seed and epoch, else another."""
    shapes = np.full((20, 2), 8)
    found = [tuple(Order(shapes, 2, seed).epoch(epoch)[0]) for seed in range(3) for epoch in range(3)]
    assert len(set(found)) == 9
    assert tuple(Order(shapes, 5, 2, last="keep").epoch(1)[0]) == found[7]


def test_golden_order():
    """The order does not drift from one version to the next."""
    first, other = Order(EQUAL, 2, 0), Order(EQUAL, 2, 1)
    assert first.epoch(0)[0].tolist() == [0, 5, 1, 6, 2, 4, 3]
    assert first.epoch(1)[0].tolist() == [2, 1, 3, 4, 0, 5, 6]
    assert other.epoch(0)[0].tolist() == [0, 5, 4, 1, 2, 6, 3]


def test_golden_order_with_a_window_and_with_weights():
    """Nor does the order of what is moved by less than a window, or shown more often."""
    lie = np.array([(1, 0), (0, 5), (0, 0), (1, 9), (1, 4), (0, 7), (0, 6)])
    weights = np.array([1.0, 1, 4, 1, 2, 0.5, 1])
    near = Order(EQUAL, 2, 0, window=3, addresses=lie)
    weighted = Order(EQUAL, 2, 0, weights=weights)
    both = replace(near, weights=weights)
    assert [order.epoch(1)[0].tolist() for order in (near, weighted, both)] == [
        [4, 0, 2, 3, 1, 6, 5],
        [4, 2, 2, 2, 6, 3, 0],
        [0, 3, 4, 2, 2, 2, 6],
    ]
    assert weighted.showings == 3
    assert weighted.epoch(1)[1].tolist() == [3, 4, 5, 3, 3, 3, 3]


@given(orders(weighted=False, lasts=["fill", "keep"], mixed=True))
def test_mixed_shapes_show_every_sample_once_an_epoch(order):
    """With mixed shapes each epoch's batches show each sample once; a shape's last batch may be smaller."""
    if order.carries:
        return  # as chance has it, all are of one shape
    for number, batches in enumerate(_batches(order, 3)):
        assert {batch.epoch for batch in batches} == {number}
        assert sorted(np.concatenate([batch.places for batch in batches])) == list(range(len(order.shapes)))
        small = Counter()
        for batch in batches:
            (shape,) = {tuple(shape) for shape in order.shapes[batch.places].tolist()}
            assert 1 <= len(batch.places) <= order.batch_size
            assert not small[shape]  # it was the last of its shape
            small[shape] += len(batch.places) < order.batch_size


@given(orders(lasts=["fill"], mixed=False))
def test_equal_shapes_give_full_batches(order):
    """Of one shape all batches are full: they run over the ends of epochs, and skip and repeat nothing."""
    batches = _first(order, 12)
    assert order.carries
    assert {len(batch.places) for batch in batches} == {order.batch_size}
    shown = np.concatenate([batch.places for batch in batches])
    epochs = [order.epoch(number) for number in range(-(-len(shown) // len(order.shapes)))]
    for number, part in enumerate(("places", "showings")):
        found = np.concatenate([getattr(batch, part) for batch in batches])
        np.testing.assert_array_equal(found, np.concatenate([one[number] for one in epochs])[: len(found)])
    for number, batch in enumerate(batches, 1):
        assert batch.epoch == (number * order.batch_size - 1) // len(order.shapes)


@given(orders(lasts=["keep"], mixed=False))
def test_what_is_left_is_kept(order):
    """Kept, the samples that fill no batch make one smaller batch at each epoch's end."""
    for number, batches in enumerate(_batches(order, 3)):
        sizes = [len(batch.places) for batch in batches]
        samples = len(order.shapes)
        rest = [samples % order.batch_size] if samples % order.batch_size else []
        assert sizes == [order.batch_size] * (samples // order.batch_size) + rest
        for part, expected in zip(("places", "showings"), order.epoch(number), strict=True):
            np.testing.assert_array_equal(
                np.concatenate([getattr(batch, part) for batch in batches]), expected
            )


@given(orders(lasts=["drop"], weighted=False))
def test_what_is_left_is_dropped(order):
    """Dropped, there is no small batch, none is shown twice, and no more are left out than fill no batch."""
    if not _fills_one(order):
        with pytest.raises(LoaderError):
            next(order.selections())
        return
    sizes = Counter(map(tuple, order.shapes.tolist()))
    for batches in _batches(order, 3):
        assert {len(batch.places) for batch in batches} == {order.batch_size}
        shown = np.concatenate([batch.places for batch in batches])
        assert len(set(shown.tolist())) == len(shown)
        assert len(batches) == sum(size // order.batch_size for size in sizes.values())
        for batch in batches:
            assert len(np.unique(order.shapes[batch.places], axis=0)) == 1


@given(orders(lasts=["drop"], weighted=True))
def test_no_batch_is_small_where_samples_are_dropped(order):
    """Nor with weights, where epochs differ in how many batches they fill."""
    try:
        batches = _first(order, 6)
    except LoaderError:
        return
    assert {len(batch.places) for batch in batches} == {order.batch_size}


@pytest.mark.parametrize("shapes", [EQUAL, MIXED])
def test_dropping_all_is_refused(shapes):
    """Where no batch is ever full, the sentence says how many there are, and what to do."""
    largest = Counter(map(tuple, shapes.tolist())).most_common(1)[0][1]
    with pytest.raises(LoaderError, match=rf"expected 9 samples of one shape.*found {largest} at most"):
        next(Order(shapes, 9, 0, last="drop").selections())
    with pytest.raises(LoaderError, match=r"`loader.last`.*Lower `batch_size`, or set `last: keep`"):
        next(Order(shapes, 9, 0, last="drop").selections(start=5))
    assert len(next(Order(shapes, largest, 0, last="drop").selections()).places) == largest


def _is_empty(order: Order) -> bool:
    """Whether it has no batches at all."""
    try:
        return next(order.selections()) is None
    except LoaderError:
        return True


@given(orders(), st.integers(0, 25))
def test_going_on_at_any_batch_gives_the_batches_from_there(order, start):
    """Started at any batch an order gives what it would have given, whatever the options."""
    if _is_empty(order):
        return
    whole = _first(order, start + 6)
    assert list(map(_key, _first(order, 6, start))) == list(map(_key, whole[start:]))


def _stands(order: Order, places: np.ndarray) -> list[np.ndarray]:
    """Where each of the places stands, for every order in which the files may be read."""
    files, within = order.addresses[places].T
    return [
        np.lexsort([within, np.array(turn)[files]]) for turn in itertools.permutations(range(files.max() + 1))
    ]


@given(orders(windowed=True), st.integers(0, 3))
def test_a_window_moves_no_sample_far(order, number):
    """Files in some order, one after the other: no sample is moved by as much as the window."""
    places, _ = order.epoch(number)
    counts = Counter(places.tolist())
    shown = np.repeat(list(counts), list(counts.values()))
    moved = []
    for stand in _stands(order, shown):
        # Of a sample that is shown several times, the first stands first.
        at, lies = {}, shown[stand]
        for position, place in enumerate(lies.tolist()):
            at.setdefault(place, []).append(position)
        far = {place: np.array(positions) for place, positions in at.items()}
        now = {place: np.flatnonzero(places == place) for place in far}
        moved.append(max(abs(far[place] - now[place]).max() for place in far))
    assert min(moved) < order.window


@given(orders(windowed=True, weighted=False))
def test_a_window_of_one_reads_files_through(order):
    """With a window of one each file is read from its beginning to its end, and then the next."""
    places, _ = replace(order, window=1).epoch(0)
    files, within = order.addresses[places].T
    runs = [file for file, _ in itertools.groupby(files.tolist())]
    assert len(runs) == len(set(runs))
    for file in runs:
        assert (np.diff(within[files == file]) > 0).all()


def test_files_are_read_in_another_order_each_epoch():
    """Any file may come first, and within a file the samples come as they lie."""
    lie = np.column_stack([np.repeat(np.arange(4), 5), np.tile(np.arange(5), 4)])
    order = Order(np.full((20, 2), 8), 4, 0, window=1, addresses=lie)
    turns = {tuple(lie[order.epoch(number)[0]][::5, 0].tolist()) for number in range(40)}
    assert {turn[0] for turn in turns} == {0, 1, 2, 3}
    assert len(turns) > 12


def test_a_window_mixes_another_way_each_epoch():
    """Samples that lie together are not always together."""
    lie = np.column_stack([np.zeros(40, int), np.arange(40)])
    order = Order(np.full((40, 2), 8), 4, 0, window=10, addresses=lie)
    assert len({tuple(order.epoch(number)[0]) for number in range(20)}) == 20


@given(orders(weighted=True), st.integers(0, 3))
def test_a_weight_is_how_often_a_sample_is_shown(order, number):
    """An epoch has as many images as there are samples, each its expected number of times, rounded."""
    places, _ = order.epoch(number)
    assert len(places) == len(order.shapes)
    expected = order.weights / order.weights.sum() * len(order.weights)
    counts = np.bincount(places, minlength=len(expected))
    assert (counts >= np.floor(expected - 1e-9)).all()
    assert (counts <= np.ceil(expected + 1e-9)).all()
    assert counts[order.weights == 0].sum() == 0


@given(orders(weighted=True))
def test_no_showing_of_a_sample_comes_twice(order):
    """Every time that a sample is shown it is for another time, so that it can be another image of it."""
    shown = [
        pair for number in range(5) for pair in zip(*map(np.ndarray.tolist, order.epoch(number)), strict=True)
    ]
    assert len(set(shown)) == len(shown)
    assert all(0 <= showing < 5 * order.showings for _, showing in shown)


def test_equal_weights_show_each_sample_once():
    """Then an epoch is as one without weights, but for its order."""
    for count in (3, 7, 10, 49):
        order = Order(np.full((count, 2), 8), 2, 0, weights=np.full(count, 0.1))
        for number in range(3):
            places, showings = order.epoch(number)
            assert sorted(places.tolist()) == list(range(count))
            assert showings.tolist() == [number] * count


def test_over_many_epochs_a_weight_is_met():
    """Rounded up in some epochs and down in others, a sample is shown as often as its weight says."""
    weights = np.array([0.3, 1.7, 1.0, 2.45, 0.05, 0.5, 1.0])
    order = Order(EQUAL, 2, 0, weights=weights)
    counts = np.bincount(np.concatenate([order.epoch(number)[0] for number in range(400)]), minlength=7)
    np.testing.assert_allclose(counts / 400, weights / weights.sum() * 7, atol=0.08)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_each_class_is_drawn_equally_often(classes):
    """Where every sample holds one class, the samples of each class have the same weight together."""
    present = np.eye(5, dtype=bool)[classes]
    weights = balanced_by_class(present)
    held = sorted(set(classes))
    sums = [weights[np.array(classes) == one].sum() for one in held]
    np.testing.assert_allclose(sums, 1 / len(held))


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=30))
def test_a_class_is_drawn_and_then_one_of_its_samples(rows):
    """Samples may hold several classes; the background counts only where there is nothing else."""
    present = np.array(rows)
    before = present.copy()
    weights = balanced_by_class(present)
    np.testing.assert_array_equal(present, before)
    holds = [{number for number in range(1, 4) if row[number]} or {0} for row in rows]
    counts = Counter(itertools.chain(*holds))
    expected = [sum(Fraction(1, len(counts) * counts[one]) for one in held) for held in holds]
    assert sum(expected) == 1
    np.testing.assert_allclose(weights, [float(one) for one in expected], rtol=1e-12)


def test_a_rare_class_is_seen():
    """One sample in a thousand holds it: balanced, it makes a third of what is shown."""
    present = np.zeros((1000, 3), bool)
    present[:, 0] = True
    present[:500, 1] = True
    present[321, 2], present[321, 1] = True, False
    plain = Order(np.full((1000, 2), 8), 10, 0)
    balanced = replace(plain, weights=balanced_by_class(present))
    assert (plain.epoch(0)[0] == 321).sum() == 1
    places, showings = balanced.epoch(0)
    assert (places == 321).sum() in (333, 334)
    assert sorted(showings[places == 321]) == list(range((places == 321).sum()))
    assert abs(present[places, 1].mean() - 1 / 3) < 0.01
    batches = _first(balanced, 100)
    assert sum(321 in batch.places for batch in batches) > 90


@given(st.lists(st.sampled_from([(8, 8), (8, 9), (16, 16), (64, 64), (60, 64)]), min_size=1, max_size=40))
def test_each_size_is_drawn_equally_often(shapes):
    """Sizes of about the same area count as one, and each of them has the same weight together."""
    weights = balanced_by_size(np.array(shapes, np.int32))
    kinds = np.array([{8: 0, 16: 1}.get(height, 2) for height, _ in shapes])
    sums = [weights[kinds == kind].sum() for kind in np.unique(kinds)]
    np.testing.assert_allclose(sums, 1 / len(sums))
    for kind in np.unique(kinds):
        assert len(set(weights[kinds == kind].tolist())) == 1


def test_large_sizes_are_told_apart():
    """Frames of billions of pixels have weights too."""
    shapes = np.array([(2**16, 2**16), (2**15, 2**15), (2**15, 2**15)], np.int32)
    np.testing.assert_allclose(balanced_by_size(shapes), [0.5, 0.25, 0.25])


def _lying(count: int, files: int) -> np.ndarray:
    return np.column_stack([np.arange(count) * files // count, np.arange(count)])


@pytest.mark.parametrize("files", [1, 4])
def test_mixing_is_told(files):
    """All with all mixes as well as can be, neighbours alone hardly, and a wider window mixes more."""
    plain = Order(np.full((4000, 2), 8), 16, 0, addresses=_lying(4000, files))
    assert mixing(plain) > 0.97
    found = [mixing(replace(plain, window=window)) for window in (1, 40, 400, 2000, 4000, 40000)]
    assert found[0] < 0.03
    assert found[-1] > 0.9
    assert all(later > earlier - 0.02 for earlier, later in itertools.pairwise(found))
    assert 0.1 < found[3] < 0.95
    assert mixing(replace(plain, window=400), epoch=1) != found[2]


@pytest.mark.parametrize("batch_size", [1, 40, 41, 100])
@pytest.mark.filterwarnings("error")
def test_mixing_is_told_of_any_batch(batch_size):
    """Of one image, of all images, and where no batch is full it is a number too."""
    order = Order(np.full((40, 2), 8), batch_size, 0, window=1, addresses=_lying(40, 2))
    assert 0 <= mixing(order) <= 1


def test_mixing_is_told_of_weighted_orders():
    """Samples that are shown several times lie where they lie."""
    weights = np.random.default_rng(0).uniform(0.2, 2, 4000)
    order = Order(np.full((4000, 2), 8), 16, 0, addresses=_lying(4000, 2), weights=weights)
    assert mixing(order) > 0.95
    assert mixing(replace(order, window=1)) < 0.03
