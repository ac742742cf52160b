"""Which training strategy makes a U-Net better on your images, by how much, how surely, at what cost."""

import os

# Arrow's own allocator keeps several times what a table needs. It is chosen when Arrow is first imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__version__ = "0.3.0"
