"""The networks: the classic U-Net, and a U-Net on a classifier's encoder.

Both take uint8 images (B, C, H, W), sides multiples of `stride`, and give logits (B, K, H, W); scaling of
the input is part of the network, so that weights and scaling cannot part. `head` is the last layer of
both, `encoder` what `freeze: encoder` holds fixed, and `layers` what is opened one after the other.

Sources: Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597), with padded convolutions, so that output
and input have one size; Wu, He 2018 (arXiv:1803.08494) for group normalisation, which unlike batch
normalisation is right at batch size 1.
"""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.functional import interpolate, max_pool2d

from stratagem.core.errors import GeometryError
from stratagem.networks.encoder import by_stage, cycled, expected, extractor, stages

__all__ = ["ClassifierUnet", "Unet", "classic", "on_classifier", "settle_statistics"]

GROUPS = 8
WIDTHS = (16, 32, 64, 128, 256)  # of a classifier's decoder, from the image's own size on


def classic(network: str, classes: int, *, width: int, depth: int, channels: int) -> "Unet":
    """The classic U-Net, as the table of networks names it."""
    return Unet(classes, width, depth, channels)


def on_classifier(network: str, classes: int, *, width: int, depth: int, channels: int) -> "ClassifierUnet":
    """A U-Net on a classifier's encoder, as the table of networks names it."""
    return ClassifierUnet(network, classes, channels)


def settle_statistics(model: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Give the batch normalisation of an encoder with random weights the statistics of some images.

    It normalises by stored statistics (`ClassifierUnet`), and where weights are random there are none yet:
    without any, a deep encoder's values grow from block to block. Each image goes with its mirror image,
    since one alone may be a single value in the deepest layer.

    Parameters
    ----------
    model : Module
        Changed in place; one without batch normalisation is not.
    batches : iterable of uint8, (B, C, H, W)

    Notes
    -----
    First statistics from data: Mishkin, Matas 2016 (arXiv:1511.06422).
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with torch.no_grad():
        for images in batches:
            model(torch.cat([images, images.flip(-1)]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


class Unet(nn.Module):
    """The classic U-Net.

    Parameters
    ----------
    classes : int
    width : int
        Channels of the first level; level d has ``width * 2**d``.
    depth : int
        Number of poolings; the sides of an image are multiples of ``2**depth``.
    channels : int
        Of the images.
    """

    def __init__(self, classes: int, width: int, depth: int, channels: int = 3):
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.stride, self.channels = 2**depth, channels
        self.scaling = Scaling((0.5,) * channels, (0.5,) * channels)
        self.encoder = Encoder(channels, widths)
        self.decoder = Decoder(widths)
        self.head = nn.Conv2d(width, classes, 1)

    def layers(self) -> list[list[str]]:
        """The names of its parameters, by level, from the image to the logits."""
        parts = [*_numbered("encoder.levels", self.encoder.levels)]
        parts += [*_numbered("decoder.levels", self.decoder.levels), ("head", self.head)]
        return [_named(prefix, part) for prefix, part in parts]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        _check(image, self.stride)
        return logits(self.head, self.decoder(self.encoder(self.scaling(image))))


class ClassifierUnet(nn.Module):
    """A U-Net on a classifier's encoder, with a skip connection at each stride at which it has features.

    The decoder is the same for all classifiers, so that they differ in their encoders alone. The encoder
    stays in evaluation mode: its batch normalisation keeps the statistics it brought, since at small batches
    its own would be noise, and no layer is left out by chance. Features that a classifier without padding
    makes smaller are brought to the stride's size, and an image that is too small for it is enlarged.

    Parameters
    ----------
    name : str
        One of `stratagem.networks.classifiers.CLASSIFIERS`.
    classes : int
    channels : int
        Of the images.
    """

    def __init__(self, name: str, classes: int, channels: int = 3):
        super().__init__()
        self._stages, self._least = stages(name)
        deepest = max(self._stages)
        self.stride, self.channels = 2**deepest, channels
        self.scaling = Scaling(*(cycled(values, channels) for values in expected(name)))
        self.encoder = extractor(name, self._stages, channels)
        widths = {halvings: stage.channels for halvings, stage in self._stages.items()}
        below = [widths[deepest], *WIDTHS[:deepest][::-1]]
        self.decoder = nn.ModuleList(
            Level(below[number], widths.get(halvings, 0), WIDTHS[halvings])
            for number, halvings in enumerate(reversed(range(deepest)))
        )
        self.head = nn.Conv2d(WIDTHS[0], classes, 1)
        self.train()

    def train(self, mode: bool = True) -> "ClassifierUnet":
        """Switch to training, all but the encoder."""
        super().train(mode)
        self.encoder.eval()
        return self

    def layers(self) -> list[list[str]]:
        """The names of its parameters, by stage and level, from the image to the logits."""
        stages = [[f"encoder.{name}" for name in names] for names in by_stage(self.encoder)]
        levels = [*_numbered("decoder", self.decoder), ("head", self.head)]
        return stages + [_named(prefix, part) for prefix, part in levels]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        _check(image, self.stride)
        features = self._features(self.scaling(image))
        deepest = max(features)
        x = features[deepest]
        for halvings, level in zip(range(deepest - 1, -1, -1), self.decoder, strict=True):
            x = level(x, features.get(halvings))
        return logits(self.head, x)

    def _features(self, image: torch.Tensor) -> dict[int, torch.Tensor]:
        """The encoder's output by number of halvings, each of the size that this makes of the image's."""
        size = image.shape[-2:]
        if min(size) < self._least:
            larger = [math.ceil(side * self._least / min(size)) for side in size]
            image = interpolate(image, larger, mode="bilinear", antialias=False)
        found = {}
        for halvings, value in self.encoder(image).items():
            stage, halved = self._stages[int(halvings)], [side >> int(halvings) for side in size]
            value = value.permute(0, 3, 1, 2) if stage.last else value
            same = list(value.shape[-2:]) == halved
            found[int(halvings)] = value if same else interpolate(value, halved, mode="bilinear")
        return found


def logits(head: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """The last layer's answer in float32, whatever the features are computed in.

    In bfloat16 two classes whose logits differ by less than its 8 bits would tie, and every tie go to the
    lower class.

    Parameters
    ----------
    head : Module
    features : float, (B, C, H, W)

    Returns
    -------
    float32, (B, K, H, W)
    """
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float())


class Scaling(nn.Module):
    """uint8 0..255 to float, per channel: ``(x / 255 - mean) / std``."""

    factor: torch.Tensor
    shift: torch.Tensor

    def __init__(self, mean: Iterable[float], std: Iterable[float]):
        super().__init__()
        mean, std = (torch.tensor(tuple(values)).view(1, -1, 1, 1) for values in (mean, std))
        self.register_buffer("factor", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * self.factor + self.shift


class Encoder(nn.Module):
    """Levels of two convolutions, a pooling between; gives the output of every level."""

    def __init__(self, channels: int, widths: list[int]):
        super().__init__()
        before = [channels, *widths[:-1]]
        self.levels = nn.ModuleList(
            convolutions(taken, given) for taken, given in zip(before, widths, strict=True)
        )

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        outputs = [self.levels[0](image)]
        for level in self.levels[1:]:
            outputs.append(level(max_pool2d(outputs[-1], 2)))
        return outputs


class Decoder(nn.Module):
    """From the deepest encoder output back to the first, joined with each on the way."""

    def __init__(self, widths: list[int]):
        super().__init__()
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.levels = nn.ModuleList(Level(below, skip, skip) for below, skip in pairs)

    def forward(self, outputs: list[torch.Tensor]) -> torch.Tensor:
        x = outputs[-1]
        for level, skip in zip(self.levels, outputs[-2::-1], strict=True):
            x = level(x, skip)
        return x


class Level(nn.Module):
    """Double the size, join the skip connection if there is one, two convolutions."""

    def __init__(self, below: int, skip: int, given: int):
        super().__init__()
        self.up = nn.ConvTranspose2d(below, given, 2, stride=2)
        self.join = convolutions(given + skip, given)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
        x = self.up(x)
        return self.join(x if skip is None else torch.cat([skip, x], dim=1))


class GroupNorm(nn.GroupNorm):
    """Group normalisation, always computed with channels first; its output has its input's layout.

    With channels last torch's backward pass takes a CPU longer than two copies to and fro.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        last = features.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        return super().forward(features.contiguous()).contiguous(memory_format=layout)


def convolutions(taken: int, given: int) -> nn.Sequential:
    """Twice: a 3x3 convolution, group normalisation, ReLU."""
    layers: list[nn.Module] = []
    for channels in (taken, given):
        layers.append(nn.Conv2d(channels, given, 3, padding=1, bias=False))
        layers += [GroupNorm(_groups(given), given), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _numbered(prefix: str, parts: nn.ModuleList) -> Iterable[tuple[str, nn.Module]]:
    return ((f"{prefix}.{number}", part) for number, part in enumerate(parts))


def _named(prefix: str, part: nn.Module) -> list[str]:
    """The names of a part's parameters in the whole network."""
    return [f"{prefix}.{name}" for name, _ in part.named_parameters()]


def _groups(channels: int) -> int:
    """The largest number of groups up to `GROUPS` that divides the channels, two channels a group."""
    return max(n for n in range(1, GROUPS + 1) if channels % n == 0 and (n == 1 or channels // n >= 2))


def _check(image: torch.Tensor, stride: int) -> None:
    height, width = image.shape[-2:]
    if height % stride or width % stride:
        fitting = "x".join(str(-(-side // stride) * stride) for side in (height, width))
        raise GeometryError(
            expected=f"sides that are multiples of {stride} pixels",
            found=f"{height}x{width} (height x width)",
            where="the network's input",
            remedy=f"Fill the image up to {fitting}.",
        )
