"""What the train loop needs to know, and where in its budget a run is.

What is spent is counted in shares of the budget (images seen or optimizer steps), never in seconds. The rate
rises linearly and falls with a cosine to zero over that share, so the last weights are the ones kept.
"""

from dataclasses import dataclass, field

import numpy as np

from stratagem.loading.loader import Batch
from stratagem.training.progress import Spent
from stratagem.transfer.freezing import Freezing

__all__ = ["Options", "learning_rate"]

RATE_BATCH = 16  # the batch size that the config's learning rate is meant for


@dataclass(frozen=True)
class Options:
    """What the loop needs to know.

    Attributes
    ----------
    images, steps : int or None
        The budget: exactly one of the two.
    batch_size : int
    learning_rate, weight_decay : float
    warmup : float
        Share of the budget.
    validations : int
        At equal shares of the budget.
    micro_batch_pixels : int
        Pixels that pass the network at once.
    memory_mb : int or None
        What the process may hold in main memory, on a CPU; see `stratagem.training.capacity`.
    loss : str
        One of `stratagem.training.losses.LOSSES`.
    class_weights : tuple of float, (K,), or None
        What each class weighs in it.
    swaps : pairs of int
        Classes that are each other's mirror images.
    freezing : Freezing
        What learns from when on.
    """

    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    validations: int
    micro_batch_pixels: int
    images: int | None = None
    steps: int | None = None
    memory_mb: int | None = None
    loss: str = "cross-entropy-dice"
    class_weights: tuple[float, ...] | None = None
    swaps: tuple[tuple[int, int], ...] = ()
    freezing: Freezing = field(default_factory=Freezing)

    @property
    def peak_rate(self) -> float:
        """The rate at the end of the warm-up."""
        return self.learning_rate * (self.batch_size / RATE_BATCH) ** 0.5

    def share(self, spent: Spent) -> float:
        """The share of the budget that is spent, 0 to 1."""
        if self.images:
            return spent.images / self.images
        assert self.steps is not None
        return spent.steps / self.steps

    def share_of(self, batch: Batch) -> float:
        """The share of the budget that a batch takes."""
        if self.images:
            return len(batch) / self.images
        assert self.steps is not None
        return 1 / self.steps

    def within_budget(self, batch: Batch, spent: Spent) -> Batch:
        """The batch, cut to what is left where images are counted."""
        left = self.images - spent.images if self.images else len(batch)
        return batch if left >= len(batch) else batch[:left]

    def rate(self, share: float) -> float:
        """The learning rate at a share of the budget."""
        return float(learning_rate(share, self.peak_rate, self.warmup))


def learning_rate(share: float, peak: float, warmup: float) -> float:
    """The rate at a share of the budget: linear up to `warmup`, then a cosine to zero."""
    if share < warmup:
        return peak * share / warmup
    return peak * 0.5 * (1 + np.cos(np.pi * (share - warmup) / (1 - warmup)))
