"""What is compared with what."""

from dataclasses import replace

import pandas as pd

from comparing import design_of
from stratagem.comparison.design import Design
from stratagem.evaluation.metrics import per_class


def test_a_design_without_a_strategy_compares_what_is_left():
    """Neither the strategy nor what it was the reference of."""
    design = design_of({"b": "a", "c": "b", "d": "a"})
    assert design.without(["b"]).references == {"d": "a"}


def test_class_0_may_be_scored_like_the_others():
    """By the names that scores have; else the first class has no score."""
    counts = pd.DataFrame({"strategy": "a", "fold": 0, "seed": 1, "sample": ["x", "x"], "class": [0, 1]})
    counts = counts.assign(tp=[5, 3], fp=[1, 1], fn=[1, 1])
    design = Design({}, "dice", 0.01, 0.03, ["sky", "road"])
    for chosen, scored in ((design, ["road"]), (replace(design, score_background=True), ["sky", "road"])):
        rows = per_class(chosen.scored(counts), "dice")
        assert [chosen.scored_classes[number] for number in rows["class"]] == scored
