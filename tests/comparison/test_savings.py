"""What transfer saves: read off curves, with intervals, in words."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.comparison.design import Design
from stratagem.comparison.savings import COLUMNS, first_images, savings, taught, told_saving, worth

IMAGES = np.array([10, 20, 30, 40])
FLAT, RISING, EARLY = (0.1, 0.2, 0.3, 0.4), (0.2, 0.4, 0.6, 0.8), (0.6, 0.8, 0.9, 0.9)
DESIGN = Design(
    {"taught": "scratch"}, "dice", 0.01, 0.03, ["background", "cell"], {"taught": ("taught", 1.0)}
)


def _compared(strategy="taught", verdict="helps", low=0.05, high=0.15) -> pd.DataFrame:
    """The row of a strategy in the comparison, as far as savings read it."""
    row = {"strategy": strategy, "difference": 0.1, "low": low, "high": high, "verdict": verdict}
    return pd.DataFrame([row])


def _savings(
    curves: dict[str, list[tuple]], design: Design = DESIGN, pretraining=None, verdict="helps", **cost
):
    """The table of strategies whose runs have these curves, a seed each; 2 images a second, taught ones 4."""
    records, histories = [], []
    for strategy, runs in curves.items():
        for seed, scores in enumerate(runs):
            keys = {"strategy": strategy, "fold": 0, "seed": seed}
            histories.append(pd.DataFrame({"images": IMAGES, "val_dice": scores}).assign(**keys))
            own = {"images": 40, "images_per_s": 2 if strategy == "scratch" else 4, "samples": 8}
            own |= {"train_images": 8, "trainable": 100, "peak_memory_mb": 50.0}
            records.append(keys | own | cost)
    compared = pd.concat([_compared(own, verdict=verdict) for own in design.references] or [_compared()[:0]])
    return savings(records, pd.concat(histories), compared, pretraining or {}, design)


@pytest.mark.parametrize(
    ("scores", "target", "images"),
    [
        (RISING, 0.8, 40),
        (RISING, 0.4, 20),
        (RISING, 0.5, 25),
        (RISING, 0.1, 10),
        (RISING, 0.81, np.nan),
        ((0.5, 0.1, 0.9, 0.2), 0.5, 10),
        ((0.1, np.nan, 0.9, 0.2), 0.5, 30),
        ((np.nan,) * 4, 0.5, np.nan),
        (RISING, np.nan, np.nan),
    ],
)
def test_a_score_is_reached_where_the_curve_first_comes_to_it(scores, target, images):
    """Linear between validations; at the first one not earlier than it; or never."""
    assert first_images(IMAGES, np.array(scores), target) == pytest.approx(images, nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0, 1))
def test_it_lies_within_what_was_seen(scores, target):
    """Between the first and the last validation, and later for a higher target."""
    found = first_images(IMAGES, np.array(scores), target)
    if max(scores) < target:
        assert np.isnan(found)
    else:
        assert IMAGES[0] <= found <= IMAGES[-1]
        assert found >= first_images(IMAGES, np.array(scores), target / 2)


def test_images_and_seconds_saved_are_read_pair_by_pair():
    """Seed by seed against the control of that seed, each at its own pace."""
    table = _savings({"scratch": [RISING, RISING], "taught": [EARLY, (0.4, 0.8, 0.9, 0.9)]})
    assert list(table.columns) == COLUMNS
    row = table.iloc[0]
    assert (row.strategy, row.control, row.runs, row.reached) == ("taught", "scratch", 2, 2)
    assert (row.target, row.images, row.control_images) == (pytest.approx(0.8), 20, 40)
    assert (row.images_saved, row.seconds_saved) == (20, 40 / 2 - 20 / 4)
    assert (row.images_low, row.images_high) == (20, 20)
    assert (row.difference, row.low, row.high, row.verdict) == (0.1, 0.05, 0.15, "helps")
    assert (row.epoch_s, row.control_epoch_s) == (2, 4)
    assert (row.train_images, row.budget_images) == (8, 40)


def test_the_interval_is_student_s_over_pairs():
    """Of savings 0, 10, 20 the mean is 10, the standard error 10 / sqrt(3), t 4.303."""
    runs = [(0.2, 0.4, 0.6, 0.8), (0.4, 0.6, 0.8, 0.8), (0.6, 0.8, 0.8, 0.8)]
    row = _savings({"scratch": [RISING] * 3, "taught": runs}).iloc[0]
    half = 4.302653 * 10 / np.sqrt(3)
    assert (row.images_saved, row.images_low, row.images_high) == pytest.approx((10, 10 - half, 10 + half))


def test_runs_of_one_fold_are_no_independent_witnesses():
    """Folds by seeds: the interval is Student's over the folds' means, with one degree of freedom for two."""
    records, histories = [], []
    for fold, shift in ((0, 0.0), (1, 0.2)):
        for seed in (1, 2):
            for strategy, scores in (("scratch", RISING), ("taught", tuple(x + shift for x in RISING))):
                keys = {"strategy": strategy, "fold": fold, "seed": seed}
                histories.append(pd.DataFrame({"images": IMAGES, "val_dice": scores}).assign(**keys))
                own = {"images": 40, "images_per_s": 2, "samples": 8, "train_images": 8, "trainable": 100}
                records.append(keys | own | {"peak_memory_mb": 50.0})
    row = savings(records, pd.concat(histories), _compared(), {}, DESIGN).iloc[0]
    # The folds saved 0 and 10 images, both seeds alike: mean 5, sd 7.07, t of 0.975 with 1 df is 12.706.
    assert row.images_saved == pytest.approx(5)
    assert row.images_high - row.images_saved == pytest.approx(12.706 * 5, rel=1e-4)


def test_a_plateau_of_the_control_is_no_saving():
    """A control that was there long before its end is credited for it."""
    plateau = (0.8, 0.8, 0.8, 0.8)
    row = _savings({"scratch": [plateau, plateau], "taught": [plateau, plateau]}).iloc[0]
    assert (row.control_images, row.images_saved) == (10, 0)


def test_nothing_is_saved_where_a_run_never_came_there():
    """A mean over the runs that did would flatter."""
    row = _savings({"scratch": [RISING, RISING], "taught": [EARLY, FLAT]}).iloc[0]
    assert (row.runs, row.reached) == (2, 1)
    assert row[["images", "images_saved", "images_low", "seconds_saved"]].isna().all()
    assert told_saving(row, "Dice").startswith(
        "taught came to what scratch ends with (validation Dice 0.800) in 1 of 2 runs: no saving can be told."
    )


def test_one_seed_gives_no_interval():
    """The saving of one pair is told as such."""
    row = _savings({"scratch": [RISING], "taught": [EARLY]}).iloc[0]
    assert np.isnan(row.images_low)
    assert "20 images a run saved, 15 s; one run gives no interval." in told_saving(row, "Dice")


def test_the_saving_in_words():
    """What was reached, when, how surely, and what the source took, apart."""
    source = {"taught": {"images": 500, "training_s": 9000.0}}
    curves = {"scratch": [RISING, RISING], "taught": [EARLY, (0.4, 0.8, 0.9, 0.9)]}
    table = _savings(curves, pretraining=source)
    assert told_saving(table.iloc[0], "Dice") == (
        "taught came to what scratch ends with (validation Dice 0.800) after 20 images, scratch itself after "
        "40: 20 images a run saved (95 % interval 20 to 20), or 15 s (15 s to 15 s)."
    )
    unsure = table.iloc[0].copy()
    unsure["seconds_saved"] = -0.4
    assert "or 0 s (15 s to 15 s)" in told_saving(unsure, "Dice")
    unsure[["images_low", "images_high", "seconds_low", "seconds_high", "seconds_saved"]] = (
        -5,
        45,
        -4,
        150,
        73,
    )
    assert "(95 % interval -5 to 45, so maybe none), or 73 s (-4 s to 2.5 min)" in told_saving(unsure, "Dice")
    unsure[["images_saved", "images_low", "images_high"]] = -20, -30, -10
    assert "-20 images a run saved (95 % interval -30 to -10), or" in told_saving(unsure, "Dice")


def test_what_a_source_took_is_told_once():
    """Whoever starts from it; a classifier's weights took nothing here."""
    table = pd.DataFrame({"arm": ["a", "a", "b", "c", "d"], "pretraining_images": [500] * 3 + [np.nan, 60]})
    assert taught(table.assign(pretraining_s=[9000.0] * 3 + [np.nan, 7.0])) == [
        "The source of a, b took 500 images and 2.5 h, once.",
        "The source of d took 60 images and 7 s, once.",
    ]


def test_a_study_without_transfer_has_an_empty_table():
    """And one whose reference was left out as well."""
    plain = Design({"other": "scratch"}, "dice", 0.01, 0.03, ["background", "cell"])
    table = _savings({"scratch": [RISING], "other": [EARLY]}, plain)
    assert list(table.columns) == COLUMNS and table.empty
    assert worth(table) == []
    left_out = Design({}, "dice", 0.01, 0.03, ["background", "cell"], {"taught": ("taught", 1.0)})
    assert _savings({"taught": [EARLY]}, left_out).empty


def test_a_study_without_validation_images_saves_nothing():
    """No curve, no target."""
    history = pd.DataFrame({"images": IMAGES})
    keys = [{"strategy": name, "fold": 0, "seed": 1} for name in ("scratch", "taught")]
    cost = {
        "images": 40,
        "images_per_s": 2,
        "samples": 8,
        "train_images": 8,
        "trainable": 1,
        "peak_memory_mb": 5,
    }
    compared = _compared(verdict="cannot tell yet", low=np.nan, high=np.nan)
    histories = pd.concat([history.assign(**key) for key in keys])
    row = savings([key | cost for key in keys], histories, compared, {}, DESIGN).iloc[0]
    assert row.reached == 0
    assert told_saving(row, "Dice") == "taught: no validation score of scratch says what there is to reach."


def test_without_foreground_in_the_test_images_nothing_is_told():
    """The comparison has no row then."""
    table = savings(
        [{"strategy": "taught", "fold": 0, "seed": 1}],
        pd.DataFrame({"strategy": ["taught"], "fold": 0, "seed": 1, "images": 1}),
        _compared()[:0],
        {},
        DESIGN,
    )
    assert list(table.columns) == COLUMNS and table.empty


def _arm(*points: tuple[int, str], arm: str = "taught", budget: int = 4000) -> pd.DataFrame:
    rows = [(arm, budget / 40, budget + size / 9, size, verdict) for size, verdict in points]
    columns = ["arm", "budget_share", "budget_images", "train_images", "verdict"]
    return pd.DataFrame(rows, columns=columns)  # images seen differ a little where batches are of steps


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (((5, "helps"), (20, "helps"), (80, "no difference")),
         "is worth it up to 20 labelled images (no difference at 80)."),
        (((80, "cannot tell yet"), (5, "helps"), (20, "hurts")),
         "is worth it up to 5 labelled images (hurts at 20; cannot tell yet at 80)."),
        (((5, "helps"), (20, "helps")), "is worth it up to 20 labelled images, the most that were tried."),
        (((5, "cannot tell yet"), (20, "helps")),
         "is not shown to be worth it where labelled images are fewest (cannot tell yet at 5; helps at 20)."),
    ],
)  # fmt: skip
def test_up_to_how_many_labelled_images_it_is_worth_it(points, said):
    """As far as it helps without a gap, from the fewest on."""
    images = f"{4000 + sum(size for size, _ in points) / len(points) / 9:,.0f}"
    assert worth(_arm(*points)) == [f"taught, at {images} images a run, {said}"]


def test_each_arm_and_budget_has_its_own_answer():
    """One size alone says nothing of a limit."""
    table = pd.concat([
        _arm((5, "helps"), (20, "hurts")),
        _arm((5, "helps"), (20, "helps"), budget=1000),
        _arm((5, "helps"), arm="frozen"),
    ])  # fmt: skip
    assert [words.split(" is")[0] for words in worth(table)] == [
        "taught, at 4,001 images a run,", "taught, at 1,001 images a run,",
    ]  # fmt: skip
