"""What does each network hold? The rows of `stratagem.networks.sizes.CLASSIFIERS`.

    python benchmarks/sizes.py

Builds every classifier that can carry a U-Net (some minutes on one core) and prints its parameters, the bytes
a pixel that a step of training keeps, those that its largest layer takes in and gives, in float32, and its
multiply-adds a pixel.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import torch

from stratagem.evaluation.memory import largest_layer
from stratagem.networks.arithmetic import multiply_adds
from stratagem.networks.build import build
from stratagem.networks.classifiers import CLASSIFIERS
from stratagem.networks.execution import choose
from stratagem.training.capacity import kept_bytes
from stratagem.training.options import Options

SIDES = (256, 384)  # of two images; what a pixel takes is the difference
OPTIONS = Options(
    batch_size=1,
    learning_rate=0.1,
    weight_decay=0,
    warmup=0,
    validations=1,
    micro_batch_pixels=2**30,
    steps=1,
)


def main() -> None:
    """Print one row a classifier."""
    execution = choose("cpu", 1).exact()
    for name in sorted(CLASSIFIERS):
        model = build(name, 2, width=16, depth=4, seed=0).train()
        low, high = (kept_bytes(model, side, OPTIONS, execution) for side in SIDES)
        kept = (high - low) / (SIDES[1] ** 2 - SIDES[0] ** 2)
        with torch.inference_mode():
            layer = largest_layer(model.eval(), SIDES[0], execution) / SIDES[0] ** 2
        work = multiply_adds(name, 2, width=16, depth=4)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(f'    "{name}": Size({parameters:_}, {kept:.0f}, {layer:.0f}, {work:_.0f}),', flush=True)


if __name__ == "__main__":
    main()
