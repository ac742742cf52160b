"""What a run has cost, as cost.json says it."""

from dataclasses import asdict

from stratagem.loading.loader import Loader
from stratagem.loading.order import mixing
from stratagem.networks.execution import Execution
from stratagem.training.progress import Progress

__all__ = ["cost_of"]


def cost_of(progress: Progress, loader: Loader, execution: Execution) -> dict:
    """Time, memory, images and how it was computed, as plain data.

    Parameters
    ----------
    progress : Progress
        Of a run at its end.
    loader : Loader
    execution : Execution
    """
    return _training(progress, execution) | _loading(progress, loader)


def _training(progress: Progress, execution: Execution) -> dict:
    groups = progress.optimizer.param_groups
    spent = progress.spent
    used = asdict(spent)
    del used["losses"]
    host, gpu = used.pop("memory_mb"), used.pop("device_mb")
    chosen = execution.exact() if progress.exact else execution
    return used | {
        "images_per_s": spent.shown / spent.training_s,
        "peak_memory_mb": gpu if execution.device == "cuda" else host,
        "micro_batch_pixels": progress.micro_batch_pixels,
        "retried": progress.exact,
        "incidents": progress.incidents,
        "parameters": sum(parameter.numel() for parameter in progress.model.parameters()),
        "trainable": sum(parameter.numel() for group in groups for parameter in group["params"]),
        "execution": chosen.as_record(),
    }


def _loading(progress: Progress, loader: Loader) -> dict:
    """What the loader could do, a worker, and what it held."""
    spent = progress.spent
    return {
        "samples": len(loader.storage.names),
        "workers": loader.workers,
        "loader_mb": loader.held_mb,
        "loader_images_per_s": spent.shown / spent.making_s,
        "channels": loader.storage.channels,
        "loader_mb_per_s": spent.shown_pixels * (loader.storage.channels + 1) / 2**20 / spent.making_s,
        "reading_share": spent.reading_s / spent.making_s,
        "mixing": mixing(loader.order) if loader.order.window else 1.0,
    }
