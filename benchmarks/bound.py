"""How far is the memory that is reckoned for a training, or a prediction, from what it takes?

    python benchmarks/bound.py

Trains networks for three steps, each in a process of its own, with a record after every step, and prints the
most that the process held of its own beside what `stratagem.training.capacity` reckons for it (Linux). Then
predicts one large image each, beside what `stratagem.evaluation.memory` reckons.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

# Network, width, depth, images in a part, side, whether in float32.
TRAINED = [
    ("unet", 8, 4, 4, 256, False),
    ("unet", 8, 4, 16, 256, False),
    ("unet", 8, 4, 4, 512, True),
    ("unet", 8, 2, 4, 512, True),
    ("unet", 32, 4, 1, 512, True),
    ("unet", 64, 4, 1, 256, False),
    ("unet", 64, 4, 1, 512, True),
    ("resnet18", 8, 4, 2, 256, True),
]
# Network, width, side, whether in float32.
PREDICTED = [
    ("unet", 8, 2048, False),
    ("unet", 16, 2048, False),
    ("unet", 32, 1536, False),
    ("unet", 64, 1024, False),
    ("unet", 16, 2048, True),
    ("resnet18", 16, 1536, False),
    ("efficientnet_b0", 16, 1536, False),
    ("convnext_tiny", 16, 1024, False),
]
HEAD = "| network | {} | format | held, MB | reckoned, MB | ratio |\n| --- | --- | --- | --- | --- | --- |"
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def main() -> None:
    """Print one row a case; or, called for one, do it."""
    if sys.argv[1:]:
        kind, number = sys.argv[1], int(sys.argv[2])
        return trained(*TRAINED[number]) if kind == "trained" else predicted(*PREDICTED[number])
    for kind, what, cases in (("trained", "part", TRAINED), ("predicted", "image", PREDICTED)):
        print(HEAD.format(what), flush=True)
        for number in range(len(cases)):
            subprocess.run([sys.executable, __file__, kind, str(number)], check=True)


def trained(network: str, width: int, depth: int, count: int, side: int, exact: bool) -> None:
    """Train and print a row."""
    import numpy as np

    from stratagem.loading.loader import Batch
    from stratagem.networks.build import build
    from stratagem.networks.execution import choose
    from stratagem.training import loop
    from stratagem.training.capacity import training_mb
    from stratagem.training.options import Options
    from stratagem.training.records import Records

    execution = choose("cpu", 1)
    execution = execution.exact() if exact else execution
    model = execution.place(build(network, 2, width=width, depth=depth, seed=0).train())
    common = {"learning_rate": 1e-5, "weight_decay": 0.0, "warmup": 0.0, "validations": 1, "steps": 3}
    options = Options(batch_size=count, micro_batch_pixels=2**30, **common)
    reckoned = training_mb(model, options, execution)((count, side, side))
    image, mask = np.zeros((count, side, side, 3), np.uint8), np.zeros((count, side, side), np.uint8)
    batch = Batch(image, mask, np.array(["a"] * count), np.arange(count), 0)
    RESET.write_text("5")
    with tempfile.TemporaryDirectory() as folder:
        progress = loop.begin(model, options)
        loop.fit(
            progress, lambda _: (batch for _ in range(3)), options, execution, None, Records(folder, {}, 0)
        )
    name = f"{network}, width {width}, depth {depth}" if network == "unet" else network
    _print(name, f"{count} of {side}x{side}", execution, reckoned)


def predicted(network: str, width: int, side: int, exact: bool) -> None:
    """Predict one image and print a row."""
    import numpy as np

    from stratagem.evaluation.memory import prediction_mb
    from stratagem.evaluation.predict import Predictor
    from stratagem.networks.build import build
    from stratagem.networks.execution import choose
    from stratagem.resolution.plans import Plan

    execution = choose("cpu", 1)
    execution = execution.exact() if exact else execution
    model = execution.place(build(network, 2, width=width, depth=4, seed=0)).eval()
    reckoned = prediction_mb(model, execution)(side**2)
    image = np.zeros((side, side, 3), np.uint8)
    RESET.write_text("5")
    Predictor(model, Plan("native", model.stride), execution)(image)
    _print(
        f"{network}, width {width}" if network == "unet" else network, f"{side}x{side}", execution, reckoned
    )


def _print(network: str, size: str, execution, reckoned: float) -> None:
    lines = [line.split() for line in STATUS.read_text().splitlines()]
    found = {line[0]: int(line[1]) / 1024 for line in lines if line[0] in ("VmHWM:", "RssFile:")}
    held = found["VmHWM:"] - found["RssFile:"]
    form = str(execution.dtype).removeprefix("torch.")
    print(f"| {network} | {size} | {form} | {held:.0f} | {reckoned:.0f} | {reckoned / held:.2f} |")


if __name__ == "__main__":
    main()
