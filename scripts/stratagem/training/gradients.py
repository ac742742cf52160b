"""The gradients of one batch, which passes the network in parts where it is large."""

from collections.abc import Iterable

import numpy as np
import torch

from stratagem.augmentation import on_gpu
from stratagem.augmentation.on_cpu import exchange
from stratagem.core.errors import TrainingError
from stratagem.loading.loader import Batch
from stratagem.networks.execution import Execution, only_deterministic
from stratagem.training.losses import losses
from stratagem.training.options import Options

__all__ = ["EXPLODED", "Diverged", "diverged", "gradients"]

EXPLODED = 1e3  # a loss: cross-entropy in nats a pixel, some hundred times that of a guess


class Diverged(Exception):
    """Numbers that are not finite, or explode, before the update that they would have made.

    Parameters
    ----------
    step : int
        That was tried.
    layer : str
    found : str
        What was not finite, as a clause.
    samples : list of str
        Of the batch.
    """

    def __init__(self, step: int, layer: str, found: str, samples: list[str]):
        self.step, self.layer, self.found, self.samples = step, layer, found, samples
        super().__init__(f"{found} in layer `{layer}` at step {step}, samples {', '.join(samples)}")

    def in_float32(self) -> TrainingError:
        """What a user is told where float32 does not help."""
        return TrainingError(
            expected=f"a loss below {EXPLODED:,.0f} and finite gradients",
            found=f"{self.found} in layer `{self.layer}`, computed in float32",
            where=f"step {self.step}, samples {', '.join(self.samples)}",
            remedy="Lower `training.learning_rate`; nothing was updated by this step.",
        )


def gradients(
    model, batch: Batch, pixels: int, options: Options, execution: Execution
) -> tuple[float, float]:
    """Find the gradients of a batch that passes the network in parts; they stay with the parameters.

    Parameters
    ----------
    model : Module
    batch : Batch
    pixels : int
        That pass the network at once; one image at least does.
    options : Options
    execution : Execution

    Returns
    -------
    loss, norm : float
        The batch's loss, and the length of the gradients of all parameters.

    Raises
    ------
    TrainingError
        If the study asks for kernels that give the same bits again and one has no such form.
    """
    model.zero_grad(set_to_none=True)
    total = torch.zeros((), dtype=torch.float64, device=next(model.parameters()).device)
    with only_deterministic():
        for part in _micro_batches(batch, pixels):
            image, mask = _on_device(part, options, execution)
            with execution.autocast():
                logits = model(image)
            loss = losses(logits, mask, options.loss, options.class_weights).sum() / len(batch)
            loss.backward()
            total += loss.detach()
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(found)
    return tuple(torch.stack([total, norm.double()]).tolist())  # one wait for the device a step


def diverged(
    model,
    batch: Batch,
    step: int,
    pixels: int,
    options: Options,
    execution: Execution,
    loss: float,
    norm: float,
) -> Diverged:
    """What is raised where a loss or a gradient is not finite, or explodes, with the layer at fault.

    Parameters
    ----------
    model : Module
        With the gradients of the batch.
    batch : Batch
    step : int
        That was tried.
    pixels : int
        That pass the network at once.
    options : Options
    execution : Execution
    loss, norm : float
        What `gradients` gave.
    """
    found = f"a gradient of norm {norm:.3g}" if loss < EXPLODED else f"a loss of {loss:.3g}"
    layer = _culprit(model, batch, pixels, options, execution)
    return Diverged(step, layer, found, batch.samples)


def _culprit(model, batch, pixels, options, execution) -> str:
    """The layer whose output is first not finite; else that of a gradient; else of the largest output."""
    peaks: list[tuple[float, str]] = []  # in the order in which layers are done

    def watch(name: str, output) -> None:
        if torch.is_tensor(output):
            peaks.append((float(output.detach().abs().max()), name or "network"))

    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: watch(name, output))
        for name, module in model.named_modules()
    ]
    try:
        with torch.no_grad(), execution.autocast():
            for part in _micro_batches(batch, pixels):
                model(_on_device(part, options, execution)[0])
    finally:
        for hook in hooks:
            hook.remove()
    spoilt = [name for peak, name in peaks if not np.isfinite(peak)]
    backwards = reversed(list(model.named_parameters()))
    spoilt += [name.rpartition(".")[0] for name, weight in backwards if not _finite(weight.grad)]
    return (spoilt + [max(peaks)[1]])[0]


def _finite(gradient: torch.Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())


def _micro_batches(batch: Batch, pixels: int) -> Iterable[Batch]:
    count = max(1, pixels // batch.mask[0].size)
    return (batch[start : start + count] for start in range(0, len(batch.mask), count))


def _on_device(batch: Batch, options: Options, execution: Execution) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and masks where the network is, made synthetic there if that is still to be done."""
    image, mask = execution.images(batch.image), execution.upload(batch.mask)
    return on_gpu.apply(batch.rows, image, mask, exchange(options.swaps)) if batch.rows else (image, mask)
