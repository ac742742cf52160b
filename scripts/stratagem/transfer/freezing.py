"""What of a network learns from when on, and how fast: the table of ways to freeze.

It is a function of the share of the budget, so that a run that was killed finds it again. A way to freeze is
a function and a row here: from the layers of a network and what of them was taken to the share of the budget
at which each parameter opens.

Read without torch, since the study's legal values are the table's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from stratagem.core.axis import Axis
from stratagem.core.errors import WeightsError
from stratagem.networks.table import Layered

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

__all__ = ["FREEZES", "Freeze", "Freezing", "freezing"]

NEVER = math.inf  # the share of a budget at which a frozen layer opens
HEAD, ENCODER = "head.", "encoder."  # what the names of their parameters begin with


@dataclass(frozen=True)
class Freezing:
    """From when on each parameter of a network learns, and how fast.

    What does not learn takes no gradient, has no moments in the optimizer, and no way back leads through
    the layers before the first that does.

    Attributes
    ----------
    opens : dict of float
        The share of the budget from which a parameter learns, by name; those not named learn from the start.
    rates : dict of float
        What the learning rate is multiplied with, by name; of those not named 1.
    """

    opens: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    def apply(self, model: nn.Module, share: float) -> None:
        """Make learn what does at a share of the budget, and nothing else."""
        for name, parameter in model.named_parameters() if self.opens else ():
            parameter.requires_grad_(share >= self.opens.get(name, 0.0))

    def groups(self, model: nn.Module) -> list[dict]:
        """The parameters that ever learn, for an optimizer, by the ``factor`` of their rate."""
        found: dict[float, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if self.opens.get(name, 0.0) < NEVER:
                found.setdefault(self.rates.get(name, 1.0), []).append(parameter)
        return [{"params": parameters, "factor": factor} for factor, parameters in found.items()]


def _none(layers: list[list[str]], taken: set[str], thaw: float) -> dict[str, float]:
    return {}


def _encoder(layers: list[list[str]], taken: set[str], thaw: float) -> dict[str, float]:
    return {name: NEVER for layer in layers for name in layer if name.startswith(ENCODER)}


def _all_but_last(layers: list[list[str]], taken: set[str], thaw: float) -> dict[str, float]:
    return {name: NEVER for layer in layers for name in layer if not name.startswith(HEAD)}


def _gradual(layers: list[list[str]], taken: set[str], thaw: float) -> dict[str, float]:
    """New layers open at once, those taken from the last to the first, at equal shares up to `thaw`."""
    old = [layer for layer in layers if not taken.isdisjoint(layer)]
    return {
        name: thaw * (len(old) - place) / len(old)
        for place, layer in enumerate(old)
        for name in layer
        if name in taken
    }


@dataclass(frozen=True)
class Freeze:
    """One row of the table.

    Attributes
    ----------
    description : str
    opens : function
        From the names of a network's parameters by layer, those that were taken, and ``thaw``, to the share
        of the budget from which a parameter learns; those not named learn from the start.
    """

    description: str
    opens: Callable[[list[list[str]], set[str], float], dict[str, float]]


FREEZES: Axis[Freeze] = Axis(
    "way to freeze",
    {
        "none": Freeze("nothing stays as it was taken.", _none),
        "encoder": Freeze("the encoder does.", _encoder),
        "all-but-last": Freeze("all but the new last layer does.", _all_but_last),
        "gradual": Freeze(
            "all taken layers at first, which then open one after the other from the last to the first.",
            _gradual,
        ),
    },
)


def freezing(
    model: nn.Module, table: pd.DataFrame, *, freeze: str = "none", thaw: float = 0.5, rate: float = 1.0
) -> Freezing:
    """What of a network is held fixed, and until when.

    Parameters
    ----------
    model : Module
    table : DataFrame
        What `adoption.adopt` took.
    freeze : str
        One of `FREEZES`.
    thaw : float
        Of ``gradual``: share of the budget after which all layers are open.
    rate : float
        What the learning rate of all that was taken is multiplied with.

    Raises
    ------
    WeightsError
        If layers would be held fixed that have random weights.

    Notes
    -----
    Gradual unfreezing and smaller rates for what was taken: Howard, Ruder 2018 (arXiv:1801.06146).
    """
    taken = set(table.loc[table["fate"].isin(("taken", "adapted")), "tensor"])
    layers = cast(Layered, model).layers()
    opens = FREEZES[freeze].opens(layers, taken, thaw)
    random = sorted(opens.keys() - taken)
    if random:
        raise WeightsError(
            expected="weights for all that is held fixed",
            found=f"none for `{random[0]}`, which is new",
            where=f"init: {{freeze: {freeze}}}",
            remedy="Freeze the encoder alone, or take the weights of a whole network.",
        )
    names = [name for layer in layers for name in layer]
    return Freezing(opens, {name: rate for name in names if name in taken and rate != 1})
