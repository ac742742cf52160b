"""What the train loop is told of a run."""

from stratagem.runs.inputs import Inputs, pixel_shares
from stratagem.study.declaration import Recipe
from stratagem.training.losses import CLASS_WEIGHTS
from stratagem.training.options import Options
from stratagem.transfer.freezing import Freezing

__all__ = ["options_of"]


def options_of(recipe: Recipe, inputs: Inputs, frozen: Freezing) -> Options:
    """The loop's options, from what the recipe says and the training images hold.

    Parameters
    ----------
    recipe : Recipe
    inputs : Inputs
        Its index has the pixels of each class, which class weights follow from.
    frozen : Freezing
    """
    chosen = recipe.training.model_dump()
    chosen["class_weights"] = CLASS_WEIGHTS[recipe.training.class_weights].of(pixel_shares(recipe, inputs))
    if recipe.strategy.learning_rate is not None:
        chosen["learning_rate"] = recipe.strategy.learning_rate
    return Options(
        batch_size=recipe.strategy.loader.batch_size,
        images=recipe.budget.images,
        steps=recipe.budget.steps,
        swaps=recipe.swaps,
        freezing=frozen,
        **chosen,
    )
