"""What the loop is told follows from the recipe, and class weights from the training images."""

import pytest

from running import CONFIG, recipe_of
from stratagem.runs.options import options_of
from stratagem.study.reading import read_study
from stratagem.transfer.freezing import Freezing


def test_the_recipe_s_values_reach_the_loop(inputs):
    """Budget, batch and the defaults of the loss."""
    recipe = recipe_of("baseline")
    options = options_of(recipe, inputs, Freezing())
    assert (options.images, options.steps) == (recipe.budget.images, recipe.budget.steps)
    assert options.batch_size == recipe.strategy.loader.batch_size
    assert (options.loss, options.class_weights) == ("cross-entropy-dice", None)


def test_class_weights_are_the_inverse_of_the_shares_of_the_training_images(inputs):
    """Counted on the run's own training images, no others; ignored pixels count nowhere."""
    training = CONFIG.get("training", {}) | {"class_weights": "inverse", "loss": "cross-entropy"}
    recipe = read_study(CONFIG | {"training": training}).run("baseline", 0, 1)
    options = options_of(recipe, inputs, Freezing())
    rows = inputs.of_part("train", 0)
    pixels = [rows[f"pixels_{number}"].sum() for number in range(3)]
    assert options.loss == "cross-entropy"
    assert options.class_weights == pytest.approx([sum(pixels) / count for count in pixels])
