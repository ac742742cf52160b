"""What no interval covers: runs that collapsed, classes that nobody finds, and how often that may be."""

import pandas as pd
import pytest

from stratagem.comparison.failures import collapsed, may_fail, unfound

COLUMNS = ["strategy", "fold", "seed", "sample", "class", "tp", "fp", "fn"]


def _counts(found, truth=((90, 10),) * 3, seed=1) -> pd.DataFrame:
    """One run on some images: true and found pixels of each class."""
    rows = [
        ("full-data", 0, seed, str(image), number, hit, 0, pixels - hit)
        for image, (hits, all_) in enumerate(zip(found, truth, strict=True))
        for number, (hit, pixels) in enumerate(zip(hits, all_, strict=True))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize(
    ("found", "fallen"),
    [
        ([(90, 0), (90, 0), (80, 9)], True),  # background alone in most images
        ([(0, 10), (0, 10), (80, 9)], True),  # the other class alone
        ([(50, 0), (50, 0), (50, 0)], True),  # what it calls foreground is none
        ([(90, 0), (80, 1), (80, 9)], False),  # in one image of three
    ],
)
def test_a_run_that_finds_one_class_alone_has_collapsed(found, fallen):
    """It has learned to say one thing."""
    assert collapsed(_counts(found)).to_list() == [fallen]


def test_an_image_of_one_class_shows_no_collapse():
    """To say background alone is right where there is nothing else."""
    truth = [(100, 0), (100, 0), (90, 10)]
    assert collapsed(_counts([(100, 0), (100, 0), (90, 8)], truth)).to_list() == [False]
    assert collapsed(_counts([(100, 0)], [(100, 0)])).empty


def test_one_missed_class_of_three_is_no_collapse():
    """A rare class that is never found is a low score, not a network that has learned nothing."""
    assert collapsed(_counts([(80, 9, 0)] * 2, [(80, 10, 10)] * 2)).to_list() == [False]


@pytest.mark.parametrize(
    ("hits", "named"),
    [
        ((0, 0), ["crack"]),
        ((1, 0), ["crack"]),  # a hundredth may be chance
        ((0, 2), []),  # one run finds some of it
    ],
)
def test_a_class_that_no_run_finds_is_named(hits, named):
    """With its share of the pixels: 100 of 1,000; one run that finds two hundredths is enough."""
    classes = ["background", "oxide", "crack"]
    runs = [
        _counts([(500, 300, hit)], [(500, 400, 100)], seed=seed) for seed, hit in enumerate(hits, start=1)
    ]
    found = unfound(pd.concat(runs), classes)
    assert found["class"].tolist() == named
    assert found["share"].tolist() == pytest.approx([0.1] * len(named))


def test_a_class_without_test_pixels_is_not_called_unfound():
    """There was nothing to find; nor is background a class that one looks for."""
    assert unfound(_counts([(0, 10, 0)], [(90, 10, 0)]), ["background", "cell", "rare"]).empty


@pytest.mark.parametrize(
    ("failed", "runs", "bound"), [(0, 3, 0.632), (0, 59, 0.0495), (1, 3, 0.865), (3, 3, 1)]
)
def test_how_often_runs_may_fail_is_clopper_and_pearson_s(failed, runs, bound):
    """None of n: 1 - 0.05^(1 / n), the rule of three; one of three by table."""
    assert may_fail(failed, runs) == pytest.approx(bound, abs=5e-4)
