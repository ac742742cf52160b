"""What is below a folder: images, links, and what is not read."""

from stratagem.data.files import image_files


def test_image_files_have_their_identity(dataset):
    """Every image file below a folder is listed with its name, sorted by path."""
    images, _ = dataset
    names = ["a", "b", "c", "d", "e", "sub/f", "sub/g"]
    assert list(image_files(images)) == [(name, images / f"{name}.png") for name in names]
