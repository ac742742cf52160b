"""Edits of code that a test makes and takes back."""

import contextlib

__all__ = ["edited"]


@contextlib.contextmanager
def edited(checkout, *paths: str, addition: bytes = b"\nEDITED = True\n"):
    """Scripts or modules with a line more, for as long as the block lasts."""
    before = {path: (checkout.folder / "scripts" / path).read_bytes() for path in paths}
    for path, content in before.items():
        (checkout.folder / "scripts" / path).write_bytes(content + addition)
    try:
        yield
    finally:
        for path, content in before.items():
            (checkout.folder / "scripts" / path).write_bytes(content)
