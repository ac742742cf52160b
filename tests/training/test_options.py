"""The rate and the budget are functions of what was spent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting import options_of
from stratagem.training.options import learning_rate


@given(st.floats(1e-6, 1), st.floats(0.01, 0.99))
def test_the_rate_starts_at_zero_peaks_after_the_warm_up_and_ends_at_zero(peak, warmup):
    """The limits of the schedule hold for every peak and warm-up."""
    assert learning_rate(0, peak, warmup) == 0
    assert learning_rate(warmup, peak, warmup) == pytest.approx(peak)
    assert learning_rate(warmup / 2, peak, warmup) == pytest.approx(peak / 2)
    assert learning_rate((1 + warmup) / 2, peak, warmup) == pytest.approx(peak / 2)
    assert learning_rate(1, peak, warmup) == pytest.approx(0, abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 0.99))
def test_the_rate_never_passes_the_peak_nor_goes_below_zero(share, warmup):
    """At every share the rate lies within its limits."""
    assert 0 <= learning_rate(share, 1.0, warmup) <= 1


def test_without_a_warm_up_the_rate_starts_at_its_peak():
    """A warm-up of nothing is none."""
    assert learning_rate(0, 0.5, 0) == 0.5


@pytest.mark.parametrize(("batch_size", "factor"), [(16, 1), (4, 0.5), (1, 0.25), (64, 2)])
def test_the_peak_goes_with_the_root_of_the_batch(batch_size, factor):
    """learning_rate is meant for a batch of 16."""
    assert options_of(batch_size=batch_size).peak_rate == pytest.approx(0.01 * factor)
