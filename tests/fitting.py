"""What tests of the train loop share: a small network, batches, options, a fit."""

import itertools

import numpy as np
import pandas as pd
import torch
from torch import nn

from stratagem.loading.loader import Batch
from stratagem.networks.build import build
from stratagem.networks.execution import Execution
from stratagem.training.loop import begin, fit
from stratagem.training.options import Options

PLAIN = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")


def options_of(**changes) -> Options:
    """Options of a tiny training, some changed."""
    plain = {
        "batch_size": 4,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "warmup": 0.1,
        "validations": 1,
        "micro_batch_pixels": 2**18,
    }
    return Options(**(plain | changes))


def batch_of(count: int = 4, size: tuple[int, int] = (4, 4), seed: int = 0, epoch: int = 0) -> Batch:
    """A batch of noise with two classes."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    mask = rng.integers(0, 2, (count, *size), dtype=np.uint8)
    names = np.array([f"s{number}" for number in range(count)])
    return Batch(image, mask, names, np.arange(count), epoch)


def small_unet(seed: int = 0) -> nn.Module:
    """The smallest U-Net of two classes."""
    return build("unet", 2, width=2, depth=1, seed=seed)


def fitted(model, stream, options, validate=None, execution=PLAIN, records=None):
    """Train on batches given out in order; the history and what was spent."""

    def batches(start):
        return (batch for batch in itertools.islice(stream, start, None))

    progress = begin(model, options)
    fit(progress, batches, options, execution, validate, records)
    return pd.DataFrame(progress.rows), progress.spent


def bytes_of(model: nn.Module) -> bytes:
    """All that a network holds."""
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())
