"""Counts first, scores later, and the truth alone decides which images count."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stratagem.core.errors import UnknownNameError
from stratagem.evaluation.metrics import confusion, counts, false_alarms, per_class, per_image, pooled, score

PLANES = arrays.arrays(np.uint8, (2, 3), elements=st.sampled_from([0, 1, 2, 255]))
MASKS = arrays.arrays(np.uint8, (2, 3), elements=st.sampled_from([0, 1, 2]))


def _rows(*rows: tuple) -> pd.DataFrame:
    """Evaluations of one run: (sample, class, tp, fp, fn)."""
    table = pd.DataFrame(rows, columns=["sample", "class", "tp", "fp", "fn"])
    return table.assign(strategy="a", fold=0, seed=1)


def test_confusion_counts_truth_by_prediction():
    """Rows are the truth, columns the prediction."""
    truth = np.array([[0, 0, 1, 2]], np.uint8)
    predicted = np.array([[0, 1, 1, 0]], np.uint8)
    table = confusion(truth, predicted, 3)
    assert table.dtype == np.int64
    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_ignored_pixels_count_nowhere():
    """What is marked 255 neither helps nor harms."""
    truth = np.array([[255, 255, 1]], np.uint8)
    assert confusion(truth, np.array([[0, 1, 1]], np.uint8), 2).tolist() == [[0, 0], [0, 1]]
    assert confusion(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 2).sum() == 0


def test_many_classes_do_not_overflow():
    """255 classes keep their own cells."""
    table = confusion(np.array([[254]], np.uint8), np.array([[253]], np.uint8), 255)
    assert table.shape == (255, 255) and table[254, 253] == table.sum() == 1


@given(PLANES, MASKS)
def test_counts_are_those_of_a_count_by_hand(truth, predicted):
    """tp, fp, fn and tn of each class are what a pixel-by-pixel count gives, and sum to the pixels."""
    found = counts(confusion(truth, predicted, 3))
    counted = truth != 255
    for number in range(3):
        is_true, is_found = (truth == number)[counted], (predicted == number)[counted]
        expected = {
            "tp": (is_true & is_found).sum(),
            "fp": (~is_true & is_found).sum(),
            "fn": (is_true & ~is_found).sum(),
            "tn": (~is_true & ~is_found).sum(),
        }
        assert {name: values[number] for name, values in found.items()} == expected
    assert (sum(found.values()) == counted.sum()).all()


@pytest.mark.parametrize(
    ("tp", "fp", "fn", "dice", "iou"),
    [(3, 1, 2, 6 / 9, 3 / 6), (5, 0, 0, 1, 1), (0, 1, 2, 0, 0), (0, 0, 4, 0, 0), (0, 4, 0, 0, 0)],
)
def test_dice_and_iou_have_their_known_values(tp, fp, fn, dice, iou):
    """2 tp / (2 tp + fp + fn) and tp / (tp + fp + fn)."""
    table = _rows(("x", 1, tp, fp, fn))
    assert score(table, "dice").tolist() == [pytest.approx(dice)]
    assert score(table, "iou").tolist() == [pytest.approx(iou)]


def test_a_class_neither_true_nor_predicted_has_no_score():
    """Nothing to find and nothing found is no number."""
    for metric in ("dice", "iou"):
        assert math.isnan(score(_rows(("x", 1, 0, 0, 0)), metric)[0])


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_dice_follows_from_iou(tp, fp, fn):
    """dice = 2 iou / (1 + iou), for all counts."""
    table = _rows(("x", 1, tp, fp, fn))
    dice, iou = score(table, "dice")[0], score(table, "iou")[0]
    assert dice == pytest.approx(2 * iou / (1 + iou), nan_ok=True)


def test_the_truth_alone_decides_which_images_count():
    """A missed class scores 0 and stays in the mean; a false alarm elsewhere does not enter it."""
    table = _rows(
        ("missed", 1, 0, 0, 4),
        ("found", 1, 4, 0, 0),
        ("alarm", 1, 0, 7, 0),
        ("empty", 1, 0, 0, 0),
        ("found", 0, 9, 0, 0),
    )
    found = per_class(table, "dice")
    assert found[["sample", "class", "score"]].values.tolist() == [["missed", 1, 0.0], ["found", 1, 1.0]]
    assert set(table.columns) < set(found.columns)


def test_an_image_s_score_is_the_mean_of_the_classes_it_holds():
    """Background and absent classes do not enter, false alarms or not."""
    table = _rows(
        ("x", 0, 100, 0, 0),
        ("x", 1, 1, 0, 0),
        ("x", 2, 1, 1, 1),
        ("x", 3, 0, 50, 0),
        ("y", 1, 0, 0, 1),
        ("z", 1, 0, 3, 0),
    )
    found = per_image(table, "dice")
    assert found["sample"].tolist() == ["x", "y"]
    assert found["score"].tolist() == pytest.approx([0.75, 0.0])


def test_runs_are_kept_apart():
    """Strategy, fold and seed are keys: no score mixes two runs."""
    table = _rows(("x", 1, 1, 0, 0))
    runs = [table, table.assign(tp=0, fn=1, seed=2), table.assign(fold=1), table.assign(strategy="b")]
    table = pd.concat(runs)
    assert per_image(table, "iou").set_index(["strategy", "fold", "seed"])["score"].to_dict() == {
        ("a", 0, 1): 1,
        ("a", 0, 2): 0,
        ("a", 1, 1): 1,
        ("b", 0, 1): 1,
    }


def test_pooled_scores_join_the_folds_of_a_seed():
    """k folds test each image once: their counts are one whole set's; seeds and strategies stay apart."""
    one, other = _rows(("x", 1, 9, 0, 0)), _rows(("y", 1, 0, 0, 1)).assign(fold=1)
    table = pd.concat([one, other, one.assign(seed=2), one.assign(strategy="b")])
    found = pooled(table, "dice").set_index(["strategy", "seed"])["score"]
    assert found.to_dict() == {("a", 1): pytest.approx(18 / 19), ("a", 2): 1, ("b", 1): 1}


def test_pooled_scores_use_the_pixels_of_all_images():
    """Counts are summed before the score: large objects weigh more, false alarms count."""
    table = _rows(("x", 1, 9, 0, 0), ("y", 1, 0, 0, 1), ("z", 1, 0, 2, 0), ("x", 0, 5, 0, 0))
    found = pooled(table, "dice").set_index("class")["score"]
    assert found.to_dict() == {0: 1.0, 1: pytest.approx(18 / 21)}


def test_false_alarms_are_a_share_of_the_images_without_the_class():
    """One false pixel is an alarm; images that hold the class and the background have no part in it."""
    table = _rows(
        ("a", 1, 0, 1, 0),
        ("b", 1, 0, 0, 0),
        ("c", 1, 0, 0, 0),
        ("d", 1, 0, 500, 0),
        ("e", 1, 1, 9, 0),
        ("f", 1, 0, 9, 1),
        ("a", 0, 0, 9, 0),
        ("a", 2, 1, 0, 0),
    )
    found = false_alarms(table)
    assert found.values.tolist() == [["a", 1, 0.5]]
    assert list(found.columns) == ["strategy", "class", "share"]


def test_a_metric_that_is_none_is_refused():
    """It was once scored as IoU without a word."""
    table = pd.DataFrame({"tp": [1], "fp": [1], "fn": [0]})
    with pytest.raises(UnknownNameError, match="one of dice, iou, but found `jaccard`"):
        score(table, "jaccard")
