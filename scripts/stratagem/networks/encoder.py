"""Encoders from torchvision's classifiers, cut where their features halve.

Where to cut is read off a classifier's graph, not off a list: a place is a *cut* if all that comes after it
follows from its value alone (so never inside a branch or a residual block), and the last cut of each stride
is where a U-Net takes its skip connection. Shapes are found on tensors without data, at two sizes, since
what does not grow with the image (a pooling to a fixed size) is no feature map.

Source of the graph: torchvision's feature extraction (torch.fx).
"""

import functools
import inspect
import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import fx, nn

from stratagem.networks.classifiers import STRIDE

__all__ = ["Stage", "by_stage", "classifier", "cycled", "expected", "extractor", "scaling_of", "stages"]

SIZES = (256, 320), (512, 640)  # height and width apart, so that the place of the channels shows
SIDES = (32, 64, 96, 128)  # pixels: the least that a classifier takes is one of these
DEEPEST = int(math.log2(STRIDE))  # halvings
CLASSES = 9973  # a number of channels by which a map is known as scores of classes, not features
HALVES = (0.5,) * 3, (0.5,) * 3  # mean and standard deviation of red, green, blue
# Where there is a choice: no classifiers at the side, images scaled here, first weights as published.
PLAIN = {"aux_logits": False, "transform_input": False, "init_weights": True}


Pair = tuple[int, int]  # of height and width


@dataclass(frozen=True)
class Stage:
    """Where a classifier's features are taken at one stride.

    Attributes
    ----------
    node : str
        Its name in the graph.
    channels : int
    last : bool
        Whether the channels stand last, (B, H, W, C).
    """

    node: str
    channels: int
    last: bool


def classifier(name: str, channels: int = 3) -> nn.Module:
    """A classifier of torchvision's with random weights, for images of so many channels.

    Parameters
    ----------
    name : str
        As torchvision names it: ``resnet18``.
    channels : int
        Of the images; with other than 3 the first convolution is made anew.

    Returns
    -------
    Module
        In training mode; its weights follow from torch's random state.

    Raises
    ------
    ValueError
        If torchvision has no such classifier.
    """
    from torchvision.models import get_model  # takes as long as torch's own import, and most do without

    model = get_model(name, weights=None, **_options(name))
    if channels != 3:
        _change_first(model, channels)
    return model


def expected(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, of 0 to 1 and by channel, that a classifier's weights expect.

    Where torchvision's network translates for weights that came from TensorFlow, what they want themselves:
    -1 to 1.

    Parameters
    ----------
    name : str
        As for `classifier`.

    Returns
    -------
    mean, std : tuple of float, (3,)
        Red, green, blue.

    Raises
    ------
    ValueError
        If torchvision has no such classifier.
    """
    from torchvision.models import get_model_weights

    if "transform_input" in _options(name):
        return HALVES
    return scaling_of(get_model_weights(name).DEFAULT)


def scaling_of(weights) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the images that published weights were made for.

    Parameters
    ----------
    weights : torchvision.models.WeightsEnum
        Weights of a classifier.

    Returns
    -------
    mean, std : tuple of float, (3,)
        Red, green, blue; for intensities of 0 to 1.
    """
    preset = weights.transforms()
    return tuple(preset.mean), tuple(preset.std)


def cycled(values: tuple, channels: int) -> tuple:
    """Values of red, green and blue for any number of channels: one takes their mean, more begin anew.

    Parameters
    ----------
    values : tuple of float, (3,)
    channels : int
        C.

    Returns
    -------
    tuple of float, (C,)
        Of four channels: red, green, blue, red.
    """
    return (sum(values) / 3,) if channels == 1 else tuple(values[n % 3] for n in range(channels))


@functools.cache
def stages(name: str) -> tuple[dict[int, Stage], int]:
    """Where a classifier's features are taken, and the least side that it takes.

    Parameters
    ----------
    name : str
        As for `classifier`.

    Returns
    -------
    stages : dict of Stage
        By number of halvings, 0 to 5; a classifier need not have all.
    least : int
        Pixels.

    Raises
    ------
    ValueError
        If torchvision has no such classifier.
    """
    graph, names = _traced(_without_data(name).eval())
    small, large = (_shapes(graph, size) for size in SIZES)
    found = {}
    for node in _cuts(graph.graph):
        place = _place(small.get(node.name), large.get(node.name))
        if place is not None:
            halvings, channels, last = place
            found[halvings] = Stage(names[node], channels, last)
    return found, next(side for side in SIDES if _takes(graph, side))


def extractor(name: str, found: dict[int, Stage], channels: int = 3) -> fx.GraphModule:
    """A classifier up to its last stage: images to features by number of halvings, as text.

    Its tensors have the classifier's own names.

    Parameters
    ----------
    name : str
        As for `classifier`.
    found : dict of Stage
        By number of halvings, as from `stages`.
    channels : int
        C, of the images.

    Returns
    -------
    fx.GraphModule
        Takes float images (B, C, H, W), scaled as `expected` says; gives a dict of features by ``"0"`` ..
        ``"5"``, each float (B, C', h, w), or (B, h, w, C') where `Stage.last`. Its weights are random.

    Raises
    ------
    ValueError
        If torchvision has no such classifier.
    """
    from torchvision.models.feature_extraction import create_feature_extractor

    places = {stage.node: str(halvings) for halvings, stage in found.items()}
    return create_feature_extractor(classifier(name, channels), places)


def by_stage(encoder: fx.GraphModule) -> list[list[str]]:
    """The names of an extractor's parameters by the stage that they belong to, from the image on.

    Parameters
    ----------
    encoder : fx.GraphModule
        As from `extractor`.

    Returns
    -------
    list of list of str
        One list a stage, by number of halvings; buffers are left out.
    """
    nodes = list(encoder.graph.nodes)
    ends = set(nodes[-1].args[0].values())
    names = [name for name, _ in encoder.named_parameters()]
    groups: list[list[str]] = [[]]
    for node in nodes:
        if node.op in ("call_module", "get_attr"):
            groups[-1] += [
                name for name in names if name == node.target or name.startswith(f"{node.target}.")
            ]
        if node in ends:
            groups.append([])
    return groups[:-1]


def _options(name: str) -> dict[str, bool]:
    """What a classifier is told, of what it can be."""
    from torchvision.models import get_model_builder

    made = inspect.signature(get_model_builder(name)).return_annotation
    return {key: value for key, value in PLAIN.items() if key in inspect.signature(made).parameters}


def _change_first(model: nn.Module, channels: int) -> None:
    """Give a classifier a first layer for images of other channels."""
    name, first = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    parent, _, own = name.rpartition(".")
    other = nn.Conv2d(
        channels,
        first.out_channels,
        cast(Pair, first.kernel_size),
        cast(Pair, first.stride),
        cast(str | Pair, first.padding),
        bias=first.bias is not None,
    )
    setattr(model.get_submodule(parent), own, other)


def _without_data(name: str) -> nn.Module:
    from torchvision.models import get_model

    try:
        with torch.device("meta"):
            return get_model(name, weights=None, num_classes=CLASSES, **_options(name))
    except NotImplementedError:  # its first weights are found by reckoning with others
        return get_model(name, weights=None, num_classes=CLASSES, **_options(name)).to("meta")


def _traced(model: nn.Module) -> tuple[fx.GraphModule, dict[fx.Node, str]]:
    """A classifier as a graph, and its nodes' names as feature extraction knows them."""
    from torchvision import ops
    from torchvision.models.feature_extraction import NodePathTracer

    # As feature extraction itself does it: torchvision's blocks and functions are not looked into.
    blocks = [kind for kind in vars(ops).values() if inspect.isclass(kind) and issubclass(kind, nn.Module)]
    tracer = NodePathTracer(leaf_modules=blocks, autowrap_modules=(math, ops))
    return fx.GraphModule(model, tracer.trace(model)), tracer.node_to_qualname


class _Shapes(fx.Interpreter):
    """Runs a graph and keeps the shape of each value."""

    def __init__(self, graph: fx.GraphModule):
        super().__init__(graph)
        self.found: dict[str, tuple[int, ...]] = {}

    def run_node(self, node: fx.Node):
        value = super().run_node(node)
        if torch.is_tensor(value):
            self.found[node.name] = tuple(value.shape)
        return value


def _shapes(graph: fx.GraphModule, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The shape of each node's value, for an image of a size without data."""
    shapes = _Shapes(graph)
    with torch.no_grad():
        shapes.run(torch.empty(1, 3, *size, device="meta"))
    return shapes.found


def _cuts(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that all later ones depend on the image through, in order; the image itself is none."""
    order = {node: number for number, node in enumerate(graph.nodes)}
    image = next(node for node in graph.nodes if node.op == "placeholder")
    reached, found, used_until = {image}, [], 0
    for node in list(graph.nodes)[1:]:
        if reached.isdisjoint(node.all_input_nodes):
            continue
        reached.add(node)
        if used_until <= order[node] and _last_use(image, order) <= order[node]:
            found.append(node)
        used_until = max(used_until, _last_use(node, order))
    return found


def _last_use(node: fx.Node, order: dict[fx.Node, int]) -> int:
    return max((order[user] for user in node.users), default=order[node])


def _place(small: tuple | None, large: tuple | None) -> tuple[int, int, bool] | None:
    """How often a feature map was halved, its channels, and whether they stand last; None if it is none."""
    if small is None or len(small) != 4:
        return None
    assert large is not None  # as of one graph
    for last, (row, column, channel) in {False: (2, 3, 1), True: (1, 2, 3)}.items():
        sides = [(shape[row], shape[column]) for shape in (small, large)]
        halvings = {round(math.log2(size[0] / side[0])) for size, side in zip(SIZES, sides, strict=True)}
        halvings |= {round(math.log2(size[1] / side[1])) for size, side in zip(SIZES, sides, strict=True)}
        is_head = small[channel] == CLASSES
        if len(halvings) == 1 and not is_head and 0 <= min(halvings) <= DEEPEST and sides[0] != sides[1]:
            return min(halvings), small[channel], last
    return None


def _takes(graph: fx.GraphModule, side: int) -> bool:
    """Whether an image of so many pixels a side is large enough."""
    try:
        _shapes(graph, (side, side))
    except RuntimeError:  # a kernel is larger than what it is laid on
        return False
    return True
