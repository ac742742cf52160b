"""Controls: for each strategy that takes a classifier's weights the same one with random weights."""

import itertools

from stratagem.networks.table import UNET
from stratagem.study.declaration import Strategy, Study

__all__ = ["with_controls"]


def with_controls(study: Study) -> Study:
    """The study with a control of random weights for each strategy that takes weights of a classifier's.

    The effect of the weights is read against it. The effect of the network is the control's own, against the
    strategy that differs from it in the network alone, where there is one; else it only serves. A strategy
    that names its own reference gets none, and one of the study that is the same is taken.
    """
    baseline, strategies = study.report.baseline, dict(study.strategies)
    completed: dict[str, Strategy] = {}
    for name, strategy in study.strategies.items():
        if (
            strategy.init is not None
            and strategy.network != UNET
            and strategy.compared
            and not strategy.reference
        ):
            control = strategy.model_copy(update={"init": None})
            plain = _same(control.model_copy(update={"network": UNET}), strategies)
            apart = {"reference": None if plain == baseline else plain, "compared": bool(plain)}
            own = _same(control, strategies) or _free_name(f"{name}-control", strategies)
            if own not in strategies:
                served = {"compared": True} if name == baseline else apart
                strategies[own] = completed[own] = control.model_copy(update=served)
            if name != baseline:
                strategy = strategy.model_copy(update={"reference": own})
        completed[name] = strategy
    return study.model_copy(update={"strategies": completed})


def _same(control: Strategy, strategies: dict[str, Strategy]) -> str | None:
    """The strategy that trains just as the control would."""
    apart = {"reference", "compared"}
    wanted = control.model_dump(exclude=apart)
    return next((name for name, one in strategies.items() if one.model_dump(exclude=apart) == wanted), None)


def _free_name(name: str, taken: dict[str, Strategy]) -> str:
    numbered = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    return next(candidate for candidate in numbered if candidate not in taken)
