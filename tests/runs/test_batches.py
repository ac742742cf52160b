"""The batches of a run are its own training images, in its order."""

import numpy as np

from running import DELIVERY, prepared, recipe_of
from stratagem.networks.execution import choose
from stratagem.runs.batches import first_images, loader_of


def test_the_first_images_are_copies(dataset, tmp_path):
    """A GPU may still be fetching one while the next batch fills the same buffer."""
    inputs = prepared(*dataset, tmp_path / "shards", "resize", size=(8, 8))
    loader = loader_of(recipe_of("baseline"), inputs, choose("cpu", 1), DELIVERY)
    images = list(first_images(loader))
    assert len(images) == 32 and all(image.shape == (1, 8, 8, 3) for image in images)
    originals = [batch.image[:1].copy() for batch, _ in zip(loader.batches(), range(2), strict=False)]
    np.testing.assert_array_equal(images[0], originals[0])
    assert all(image.base is None or image.base.shape == image.shape for image in images)
    assert len({image.tobytes() for image in images}) > 1


def test_a_run_sees_its_training_images_alone(inputs):
    """No validation or test image is in any batch."""
    loader = loader_of(recipe_of("baseline"), inputs, choose("cpu", 1), DELIVERY)
    assert set(loader.storage.names) == set(inputs.of_part("train", 0)["sample"])
