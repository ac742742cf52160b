"""What each strategy reaches, by class, size and run: always the mean over the study's units."""

import numpy as np
import pandas as pd
import pytest

from comparing import CLASSES, alone, as_evaluation, counted, endpoints_of, evaluation_of
from stratagem.comparison.scores import by_run, by_size, round_trip_scores, scores


def _scores(evaluation, classes=CLASSES):
    return scores(evaluation, alone(evaluation), endpoints_of(evaluation, classes=classes), classes)


def _by_size(evaluation, sizes):
    return by_size(evaluation, alone(evaluation), sizes)


def _round_trip(counts, classes=CLASSES):
    return round_trip_scores(counts.assign(fold=0), alone(counts), classes)


def test_scores_are_means_over_images_and_of_all_pixels_together():
    """Dice 1 on a large and 0 on a small object: 0.5 by image, nearly 1 by pixel."""
    table = _scores(
        as_evaluation([("a", 0, 1, "large", 1, 99, 0, 0), ("a", 0, 1, "small", 1, 0, 1, 1)])
    ).iloc[0]
    known = ["strategy", "class", "unit", "dice", "iou", "dice_pooled", "iou_pooled", "false_alarms"]
    assert list(table.index) == known  # as documented
    assert (table["strategy"], table["class"]) == ("a", "cell")
    assert (table["dice"], table["iou"]) == (0.5, 0.5)
    assert (table["dice_pooled"], table["iou_pooled"]) == (198 / 200, 99 / 101)


def test_strategies_stand_in_the_study_s_order_and_classes_by_index():
    """The baseline first, if it is named first; background is not scored."""
    rows = [
        counted(name, seed, "x", 0.5, number)
        for name in ("zero", "alpha")
        for seed in (1, 2)
        for number in (0, 2, 1)
    ]
    found = _scores(as_evaluation(rows), ["background", "z", "a"])
    assert found[["strategy", "class"]].values.tolist() == [
        ["zero", "z"],
        ["zero", "a"],
        ["alpha", "z"],
        ["alpha", "a"],
    ]


def test_false_alarms_are_not_a_number_where_every_image_holds_the_class():
    """A share of no images is none; of two images with one alarm it is a half."""
    held = [counted("a", 1, image, 0.5) for image in "xy"]
    assert _scores(as_evaluation(held))["false_alarms"].isna().all()
    without = [("a", 0, 1, "z", 1, 0, 3, 0), ("a", 0, 1, "w", 1, 0, 0, 0)]
    assert _scores(as_evaluation(held + without))["false_alarms"].tolist() == [0.5]


def _sizes(*sizes: tuple[int, int]) -> pd.DataFrame:
    """Of image-00, image-01, ..."""
    names = [f"image-{image:02}" for image in range(len(sizes))]
    return pd.DataFrame(sizes, columns=["height", "width"], index=names)


def test_few_sizes_have_a_row_each_from_small_to_large():
    """Mean over the images of a size and over seeds; strategies in the study's order."""
    dice = {"zero": np.array([[0.2, 0.4, 0.9], [0.4, 0.6, 0.9]]), "alpha": np.full((2, 3), 0.5)}
    table = _by_size(evaluation_of(dice), _sizes((20, 30), (20, 30), (10, 100), (5, 5)))
    assert list(table) == ["strategy", "size", "images", "dice", "iou"]
    assert table[["strategy", "size", "images"]].values.tolist() == [
        ["zero", "20×30", 2],
        ["zero", "10×100", 1],
        ["alpha", "20×30", 2],
        ["alpha", "10×100", 1],
    ]
    assert table["dice"].tolist() == pytest.approx([0.4, 0.9, 0.5, 0.5])
    ious = [np.mean([d / (2 - d) for d in (0.2, 0.4, 0.4, 0.6)]), 0.9 / 1.1, 1 / 3, 1 / 3]
    assert table["iou"].tolist() == pytest.approx(ious)


def test_many_sizes_are_grouped_into_four_of_as_many_images():
    """Twelve sizes are four ranges of three images, and each has the mean of its own."""
    order = np.random.default_rng(0).permutation(12)  # images do not stand by size
    sizes = _sizes(*((100, 100 + 10 * place) for place in order))
    table = _by_size(evaluation_of({"a": (order / 20)[None]}), sizes)
    assert table["size"].tolist() == [
        "10,000 to 12,000 px",
        "13,000 to 15,000 px",
        "16,000 to 18,000 px",
        "19,000 to 21,000 px",
    ]
    assert table["images"].tolist() == [3, 3, 3, 3]
    assert table["dice"].tolist() == pytest.approx([0.05, 0.2, 0.35, 0.5])


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([(2000, 2000 + place) for place in range(12)], 4),  # hardly different
        ([(2**place, 2 ** (12 - place)) for place in range(12)], 1),  # many shapes of one area
        ([(8, 8)] * 20 + [(8, 9 + place) for place in range(12)], 3),  # most of one size
    ],
)
def test_every_image_is_in_one_group_whatever_the_sizes(sizes, groups):
    """Sizes that are nearly or wholly equal in area make fewer groups, and lose no image."""
    table = _by_size(evaluation_of({"a": np.full((1, len(sizes)), 0.5)}), _sizes(*sizes))
    assert (len(table), table["images"].sum()) == (groups, len(sizes))
    assert table["size"].is_unique


def test_images_without_foreground_have_no_score_by_size():
    """A size whose images hold no class has no row; the others keep theirs."""
    rows = [counted("a", 1, "image-00", 0.5), ("a", 0, 1, "image-01", 1, 0, 3, 0)]
    table = _by_size(as_evaluation(rows), _sizes((4, 4), (8, 8)))
    assert table[["size", "images", "dice"]].values.tolist() == [["4×4", 1, 0.5]]


def test_what_a_resolution_leaves_is_the_mean_over_images_by_metric_and_class():
    """Of two images one holds both classes: 1 and 0.5 of one, 0.8 of the other's only class."""
    rows = [("x", 0, 50, 9, 9), ("x", 1, 10, 0, 0), ("x", 2, 5, 5, 5)]
    rows += [("y", 0, 50, 9, 9), ("y", 1, 8, 2, 2), ("y", 2, 0, 1, 0)]
    counts = pd.DataFrame(rows, columns=["sample", "class", "tp", "fp", "fn"])
    found = _round_trip(counts, ["background", "cell", "nucleus"])
    assert found == {
        ("dice", "mean"): pytest.approx((0.75 + 0.8) / 2),
        ("dice", "cell"): pytest.approx(0.9),
        ("dice", "nucleus"): pytest.approx(0.5),
        ("iou", "mean"): pytest.approx(((1 + 5 / 15) / 2 + 8 / 12) / 2),
        ("iou", "cell"): pytest.approx((1 + 8 / 12) / 2),
        ("iou", "nucleus"): pytest.approx(5 / 15),
    }


def test_an_exact_round_trip_is_exactly_one():
    """Whatever the number of images: a report says "exact" of nothing else."""
    counts = pd.DataFrame([(str(n), 1, 3 + n, 0, 0) for n in range(49)])
    counts.columns = ["sample", "class", "tp", "fp", "fn"]
    assert set(_round_trip(counts).values()) == {1.0}


# One unit


def test_groups_weigh_alike_in_every_table():
    """Two images of one patient and one of another: 0.5 and 0.9, not the mean of three."""
    dice = {"a": np.array([[0.4, 0.6, 0.9]] * 2)}
    evaluation = evaluation_of(dice)
    groups = pd.Series(["one", "one", "two"], index=["image-00", "image-01", "image-02"])
    table = scores(evaluation, groups, endpoints_of(evaluation, units=groups), CLASSES)
    assert table[["unit", "dice"]].values.tolist() == [["group", pytest.approx(0.7)]]
    assert by_run(evaluation, groups, "dice")["score"].tolist() == pytest.approx([0.7, 0.7])
    sizes = by_size(evaluation, groups, _sizes((4, 4), (4, 4), (4, 4)))
    assert sizes[["images", "dice"]].values.tolist() == [[3, pytest.approx(0.7)]]
    counts = evaluation[evaluation["seed"] == 1]
    assert round_trip_scores(counts, groups, CLASSES)["dice", "mean"] == pytest.approx(0.7)


def test_with_folds_scores_are_means_of_folds():
    """A fold of one image weighs as one of two."""
    evaluation = evaluation_of({"a": np.array([[0.4, 0.6, 0.9]])})
    evaluation["fold"] = [0, 0, 1]
    assert _scores(evaluation)[["unit", "dice"]].values.tolist() == [["fold", pytest.approx(0.7)]]
    assert by_run(evaluation, alone(evaluation), "dice")["score"].tolist() == pytest.approx([0.5, 0.9])
    assert _by_size(evaluation, _sizes((4, 4), (4, 4), (4, 4)))["dice"].tolist() == pytest.approx([0.7])


def test_runs_stand_in_their_order_and_say_which_collapsed():
    """A row a run, in the order of the study; one that finds background alone is marked."""
    rows = [
        (name, 0, seed, image, number, hits, 0, 10 - hits)
        for name, seed, found in (("b", 2, 9), ("b", 1, 9), ("a", 1, 0))
        for image in "xy"
        for number, hits in ((0, 10), (1, found))
    ]
    table = by_run(as_evaluation(rows), pd.Series({"x": "x", "y": "y"}), "dice")
    assert table[["strategy", "seed"]].values.tolist() == [["b", 2], ["b", 1], ["a", 1]]
    assert table["score"].tolist() == pytest.approx([18 / 19, 18 / 19, 0])
    assert table["collapsed"].tolist() == [False, False, True]
