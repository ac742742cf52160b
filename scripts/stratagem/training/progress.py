"""How far a run is: all that changes while a network is trained, and the record of it.

A network, its optimizer's moments, the position in the budget and with it in the data, the generators,
the history, and what was spent. The rate and the order of samples are functions of the position, so the
position is their record.
"""

import copy
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

import torch
from torchvision.ops import StochasticDepth

from stratagem.core.signals import uninterrupted
from stratagem.loading.loader import Batch
from stratagem.networks.execution import device_mb, memory_mb
from stratagem.training.records import State

__all__ = ["Progress", "Spent"]

log = logging.getLogger("stratagem")

# Layers that draw by chance in training; others a network of this package does not have.
DRAWING = (torch.nn.modules.dropout._DropoutNd, StochasticDepth)
POSITION = ["images", "steps", "pixels", "epochs", "losses"]  # of what is spent; the rest is cost


@dataclass
class Spent:
    """What a run has used so far, over all its starts.

    Attributes
    ----------
    images, steps, pixels, epochs : int
    training_s, waiting_s, validation_s, recording_s : float
        Wall seconds; waiting (for a batch) is part of training, records are not.
    making_s, reading_s : float
        Seconds that the loader's workers took for the batches, and those of them that reading took.
    cpu_s : float
        Of the process and all its threads.
    memory_mb, mapped_mb, device_mb : float
        The most that the process held, as seen at records and validations; see `execution.memory_mb`.
    resumes : int
        How often the run went on from a record.
    verified : bool
        Whether every sample was compared with its checksum when it was first read, at each start.
    shown, shown_pixels : int
        Images and their pixels, those of an attempt that came to nothing among them.
    losses : list of float
        Since the last validation.
    """

    images: int = 0
    steps: int = 0
    pixels: int = 0
    epochs: int = 0
    training_s: float = 0.0
    waiting_s: float = 0.0
    validation_s: float = 0.0
    recording_s: float = 0.0
    making_s: float = 0.0
    reading_s: float = 0.0
    cpu_s: float = 0.0
    memory_mb: float = 0.0
    mapped_mb: float = 0.0
    device_mb: float = 0.0
    resumes: int = 0
    verified: bool = True
    shown: int = 0
    shown_pixels: int = 0
    losses: list[float] = field(default_factory=list, repr=False)

    def count(self, whole: Batch, batch: Batch, loss: float) -> None:
        """One more step: a batch as it came, and what of it was trained on."""
        self.losses.append(loss)
        self.images += len(batch)
        self.steps += 1
        self.pixels += batch.mask.size
        self.shown += len(batch)
        self.shown_pixels += batch.mask.size
        self.epochs = batch.epoch + 1
        self.making_s += whole.making_s
        self.reading_s += whole.reading_s


class Progress:
    """The state of one run.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    micro_batch_pixels : int
        Pixels that pass the network at once.
    since : float
        CPU seconds of the process (`time.process_time`) from which on they are the run's.
    name : str
        Of the run, for the progress bar.

    Attributes
    ----------
    spent : Spent
    rows : list of dict
        The history, a row a validation.
    stops : int
        Validations that are behind.
    anchored : int
        Pixels that were seen when the last anchor was set.
    exact : bool
        Whether it goes on in float32 after numbers that were not finite.
    incidents : list of dict
        What went wrong on the way: ``kind, step, said``.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        micro_batch_pixels: int,
        since: float | None = None,
        name: str = "",
    ):
        self.model, self.optimizer, self.name = model, optimizer, name
        self.micro_batch_pixels = micro_batch_pixels
        self.spent = Spent()
        self.rows: list[dict] = []
        self.incidents: list[dict] = []
        self.stops, self.anchored, self.exact = 0, 0, False
        _allocate_moments(optimizer)
        self._draws = any(isinstance(module, DRAWING) for module in model.modules())
        self._moving = [
            module for module in model.modules() if getattr(module, "running_mean", None) is not None
        ]
        self._cpu_s = time.process_time() if since is None else since

    def look(self) -> None:
        """Note the CPU time since the last look, and the most that was held."""
        spent, (own, mapped), now = self.spent, memory_mb(), time.process_time()
        spent.cpu_s, self._cpu_s = spent.cpu_s + now - self._cpu_s, now
        spent.memory_mb, spent.mapped_mb = max(spent.memory_mb, own), max(spent.mapped_mb, mapped)
        spent.device_mb = max(spent.device_mb, device_mb())

    def state(self) -> State:
        """All of it, copied."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{name}.{key}"] = value
        tensors |= self._generators()
        facts = {name: getattr(self, name) for name in ("rows", "stops", "anchored", "exact", "incidents")}
        facts |= {"spent": asdict(self.spent), "micro_batch_pixels": self.micro_batch_pixels}
        return State({name: _plain(value) for name, value in tensors.items()}, copy.deepcopy(facts))

    def restore(self, state: State) -> None:
        """Go back, or forward, to a state of the same network."""
        tensors, facts = state.tensors, copy.deepcopy(state.facts)
        own = self.model.state_dict()
        self.model.load_state_dict({name: tensors[f"model.{name}"] for name in own})
        self.optimizer.state.clear()
        for name, parameter in self.model.named_parameters():
            moments = _below(tensors, f"optimizer.{name}.")
            if moments:
                self.optimizer.state[parameter] = {
                    key: _as(value, parameter) for key, value in moments.items()
                }
        self._set_generators({name: tensors[name] for name in self._generators()})
        self.spent = Spent(**facts.pop("spent"))
        vars(self).update(facts)

    def begin_again(self, state: State) -> None:
        """Go back to a state and on in float32; what was spent and told since stays so."""
        spent, incidents = self.spent, self.incidents
        self.restore(state)
        position = {name: getattr(self.spent, name) for name in POSITION}
        self.spent, self.incidents, self.exact = replace(spent, **position), incidents, True

    def tell(self, kind: str, step: int, said: str) -> None:
        """Note what went wrong, and what was done, in the log and for the report."""
        self.incidents.append({"kind": kind, "step": step, "said": said})
        log.warning("%s", said)

    def traces(self) -> dict[str, torch.Tensor]:
        """What a step changes before its update, copied.

        That is: the generators, where layers draw; statistics, where normalisation is learning them.
        """
        moved = {f"buffer.{name}": buffer.clone() for name, buffer in self._moving_buffers()}
        return (self._generators() if self._draws else {}) | moved

    def remove_traces(self, before: dict[str, torch.Tensor]) -> None:
        """Make it as if no step had been tried since `traces`."""
        with uninterrupted():
            if self._draws:
                self._set_generators(before)
            for name, buffer in self._moving_buffers():
                buffer.copy_(before[f"buffer.{name}"])
            self.model.zero_grad(set_to_none=True)

    def _moving_buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The statistics of normalisation that is in training mode: those that a step changes."""
        for number, module in enumerate(self._moving):
            if module.training:
                yield from ((f"{number}.{name}", buffer) for name, buffer in module.named_buffers())

    def _generators(self) -> dict[str, torch.Tensor]:
        found = {"generator.cpu": torch.get_rng_state()}
        if self._on_cuda:
            found["generator.cuda"] = torch.cuda.get_rng_state()
        return found

    def _set_generators(self, states: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["generator.cpu"])
        if self._on_cuda:
            torch.cuda.set_rng_state(states["generator.cuda"])

    @property
    def _on_cuda(self) -> bool:
        return next(self.model.parameters()).is_cuda


def _allocate_moments(optimizer: torch.optim.Optimizer) -> None:
    """Give AdamW its moments before the first step, so that no update can run out of memory half-way.

    They are those that its first step would make: zeros.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in main memory, in plain order: a layout of the device must not show in a record."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _as(value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A moment where its parameter is, in its layout; or a count."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
