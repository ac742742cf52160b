"""What the text under `weights:` names: a file, an address, or weights that torchvision publishes.

Kept apart from those who read them, since a study is read without torch.
"""

import re

__all__ = ["is_address", "is_published"]

PUBLISHED = r"[A-Z][A-Z0-9_]*"  # names such as DEFAULT, IMAGENET1K_V2


def is_address(weights: str) -> bool:
    """Whether weights are fetched from the net, not read from a file."""
    return weights.startswith(("http://", "https://"))


def is_published(weights: str) -> bool:
    """Whether weights are a name that torchvision gives to some, not a file."""
    return re.fullmatch(PUBLISHED, weights) is not None
