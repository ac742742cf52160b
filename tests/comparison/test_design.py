"""What is compared with what."""

from comparing import design_of


def test_a_design_without_a_strategy_compares_what_is_left():
    """Neither the strategy nor what it was the reference of."""
    design = design_of({"b": "a", "c": "b", "d": "a"})
    assert design.without(["b"]).references == {"d": "a"}
