"""What is below a folder: images, links, and what is not read."""

import numpy as np
from PIL import Image

from stratagem.data.files import image_files


def _save(path, array=((0, 1),)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)
    return path


def _files(folder, *names):
    """Tiny image files below a folder, which is there even without any."""
    folder.mkdir(exist_ok=True)
    for name in names:
        _save(folder / name)
    return str(folder)


def test_image_files_have_their_identity(dataset):
    """Every image file below a folder is listed with its name, sorted by path."""
    images, _ = dataset
    names = ["a", "b", "c", "d", "e", "sub/f", "sub/g"]
    assert list(image_files(images)) == [(name, images / f"{name}.png") for name in names]
