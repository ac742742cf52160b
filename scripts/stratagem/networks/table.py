"""The table of networks.

A network is a row: what builds it, and what the sides of its images are multiples of. Builders are named,
not imported, since torch takes seconds to import and a study is read by every job.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from stratagem.core.axis import Axis
from stratagem.networks.classifiers import CLASSIFIERS, STRIDE
from stratagem.networks.sizes import Size, of_classifier, of_unet

__all__ = ["NETWORKS", "UNET", "Layered", "Network"]

UNET = "unet"


@dataclass(frozen=True)
class Network:
    """One row of the table.

    Attributes
    ----------
    description : str
    builder : str
        ``module:function`` that builds it, given the network's name, classes K, ``width``, ``depth`` and the
        images' ``channels``: a Module with ``stride``, ``channels``, ``head``, ``encoder`` and ``layers()``,
        which gives logits (B, K, H, W) of uint8 images (B, C, H, W). Random weights come from torch's
        generator. Layers that draw in training are modules (Dropout), so that a step can be undone.
    stride : function
        From the depth of the classic U-Net to pixels.
    size : function or None
        From the network's name, ``width`` and ``depth`` to what it holds; None where that is not known, so
        that no memory is reckoned for its jobs.
    """

    description: str
    builder: str
    stride: Callable[[int], int]
    size: Callable[[str, int, int], Size] | None = None


class Layered(Protocol):
    """What a network of the table has beside what every Module has.

    Attributes
    ----------
    stride : int
        Pixels: what the sides of its images are multiples of.
    channels : int
        Of its images.
    """

    stride: int
    channels: int

    def layers(self) -> list[list[str]]:
        """The names of its parameters, from the image to the logits.

        Returns
        -------
        list of list of str
            A list a layer.
        """
        ...


def _of_depth(depth: int) -> int:
    return 2**depth


def _of_classifier(depth: int) -> int:
    return STRIDE


CLASSIC = Network("the classic U-Net.", "stratagem.networks.unet:classic", _of_depth, of_unet)
NETWORKS: Axis[Network] = Axis(
    "network",
    {UNET: CLASSIC}
    | {
        name: Network(
            f"a U-Net on {name}.", "stratagem.networks.unet:on_classifier", _of_classifier, of_classifier
        )
        for name in sorted(CLASSIFIERS)
    },
)
