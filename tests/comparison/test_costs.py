"""What each strategy cost and was given: means over its runs, and what older records lack is left open."""

import numpy as np
import pandas as pd
import pytest

from stratagem.comparison.costs import costs
from stratagem.networks.arithmetic import multiply_adds


def _cost(strategy="a", seed=1, **changes) -> dict:
    keys = ["images", "steps", "epochs", "pixels", "train_images", "training_s", "waiting_s", "cpu_s"]
    keys += ["validation_s", "recording_s", "resumes", "retried", "peak_memory_mb", "mapped_mb"]
    keys += ["parameters", "trainable", "images_per_s"]
    keys += ["loader_images_per_s", "loader_mb_per_s", "loader_mb", "reading_share", "mixing"]
    return {"strategy": strategy, "fold": 0, "seed": seed} | dict.fromkeys(keys, 1.0) | changes


def _history(strategy="a", seed=1, dice=(0.1, 0.5, 0.5, 0.5, 0.5)) -> pd.DataFrame:
    """A validation at each fifth of the budget."""
    shares = np.arange(1, len(dice) + 1) / len(dice)
    return pd.DataFrame({"share": shares, "val_dice": dice, "strategy": strategy, "fold": 0, "seed": seed})


def test_a_cost_is_the_mean_over_a_strategy_s_runs():
    """Two runs of 10 and 30 CPU seconds cost 20 a run; waiting is a share of all training."""
    records = [
        _cost(seed=1, cpu_s=10, training_s=4, waiting_s=0),
        _cost(seed=2, cpu_s=30, training_s=12, waiting_s=4),
    ]
    found = costs(records, _history(), {}, 0.01).iloc[0]
    assert (found["cpu_s"], found["waiting_share"]) == (20, 4 / 16)
    assert np.isnan(found["pretraining_cpu_s"])


def test_what_befell_runs_is_counted_over_all_of_them():
    """Two runs, cut short three times between them, one of which had to be begun again in float32."""
    records = [_cost(seed=1, resumes=1, retried=False), _cost(seed=2, resumes=2, retried=True)]
    found = costs(records, _history(), {}, 0.01).iloc[0]
    assert (found["resumes"], found["retried"]) == (3, 1)


def test_costs_of_an_older_version_have_gaps():
    """What its records do not tell is left open, and the rest is told."""
    record = _cost(cpu_s=7)
    for name in ("recording_s", "resumes", "retried"):
        del record[name]
    found = costs([record], _history(), {"a": {"cpu_s": 3.0}}, 0.01).iloc[0]
    assert (found["cpu_s"], found["pretraining_cpu_s"]) == (7, 3)
    assert np.isnan(found["recording_s"])


def test_pretraining_is_shown_apart():
    """Only a strategy with a source has it, and its own CPU seconds do not hold it."""
    records, histories = [_cost("b"), _cost("a", cpu_s=7)], pd.concat([_history("a"), _history("b")])
    found = costs(records, histories, {"a": {"cpu_s": 99.0, "constant": "cell"}}, 0.01)
    assert found["strategy"].tolist() == ["b", "a"]  # the study's order
    found = found.set_index("strategy")
    assert (found.loc["a", "cpu_s"], found.loc["a", "pretraining_cpu_s"]) == (7, 99)
    assert np.isnan(found.loc["b", "pretraining_cpu_s"])
    assert found.loc["a", "source_predicts_only"] == "cell"
    assert pd.isna(found.loc["b", "source_predicts_only"])


@pytest.mark.parametrize(
    ("dice", "rising"),
    [
        ((0.1, 0.2, 0.3, 0.4, 0.5), True),
        ((0.1, 0.5, 0.6, 0.6, 0.605), False),  # rose, by less than the margin
        ((0.1, 0.9, 0.9, 0.9, 0.5), False),
        ((0.1, 0.9, 0.5, 0.5, 0.5), False),  # what came before the last fifth does not count
        ((0.4,), True),  # too few points to tell that it has settled
    ],
)
def test_a_curve_that_still_rises_is_not_yet_trained(dice, rising):
    """More than the margin over the last fifth of the budget says that a larger one may help."""
    found = costs([_cost()], _history(dice=dice), {}, 0.01)
    assert found["not_yet_trained"].tolist() == [rising]


def test_not_yet_trained_goes_by_the_mean_over_runs():
    """One seed that rises while another falls as much is no rise."""
    histories = [_history(seed=1, dice=(0, 0, 0, 0.4, 0.5)), _history(seed=2, dice=(0, 0, 0, 0.5, 0.4))]
    found = costs([_cost(seed=1), _cost(seed=2)], pd.concat(histories), {}, 0.01)
    assert not found["not_yet_trained"].any()


def test_multiply_adds_are_those_of_the_pixels_that_passed():
    """By the network of the run's own recipe; a record that does not tell it leaves them open."""
    recipe = {"strategy": {"network": "unet"}, "classes": ["background", "cell"]}
    recipe |= {"unet": {"width": 2, "depth": 1}}
    told = costs([_cost("a", pixels=1e6, recipe=recipe)], _history(), {}, 0.01)
    assert told["multiply_adds"].tolist() == [1e6 * multiply_adds("unet", 2, width=2, depth=1)]
    assert costs([_cost("a")], _history(), {}, 0.01)["multiply_adds"].isna().all()
