"""Which training strategy makes a U-Net better on your images, by how much, how surely, at what cost."""

__version__ = "0.2.0"
