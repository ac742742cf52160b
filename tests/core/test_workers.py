"""Work by threads keeps the order of the items and the limit of what they weigh together."""

import threading

import pytest

from stratagem.core.workers import in_order


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_results_come_in_order(threads):
    """Whatever ends first."""
    made = in_order(lambda n: n * n, range(50), threads=threads, weight=lambda n: n % 7, limit=10)
    assert list(made) == [n * n for n in range(50)]


def test_together_items_weigh_no_more_than_the_limit():
    """One that weighs more than all is worked on alone."""
    held, most, lock = [], [], threading.Lock()

    def work(weight):
        with lock:
            held.append(weight)
            most.append((sum(held), len(held)))
        threading.Event().wait(0.002)
        with lock:
            held.remove(weight)

    weights = [3, 5, 8, 1, 99, 2, 7] * 4
    list(in_order(work, weights, threads=4, weight=lambda weight: weight, limit=10))
    assert all(total <= 10 or count == 1 for total, count in most)
    assert max(count for _, count in most) > 1


def test_an_error_of_one_is_raised():
    """In the place of its result."""
    made = in_order(lambda n: 1 // n, [1, 0, 1], threads=2, weight=lambda n: 1, limit=1)
    assert next(made) == 1
    with pytest.raises(ZeroDivisionError):
        next(made)
