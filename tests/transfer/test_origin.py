"""A text under `weights:` is told apart: a file, an address, a name of torchvision's."""

import pytest

from stratagem.transfer.origin import is_address, is_published


@pytest.mark.parametrize(
    ("weights", "address", "published"),
    [
        ("weights.pth", False, False),
        ("DEFAULT", False, True),
        ("IMAGENET1K_V2", False, True),
        ("https://somewhere.org/DEFAULT", True, False),
        ("http://somewhere.org/a.pth", True, False),
        ("MY/FILE", False, False),
    ],
)
def test_a_file_an_address_and_a_name_are_told_apart(weights, address, published):
    """Each text is one of the three."""
    assert (is_address(weights), is_published(weights)) == (address, published)
