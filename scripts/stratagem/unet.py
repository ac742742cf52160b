"""The networks: the classic U-Net, and a U-Net on a classifier's encoder.

Both take uint8 images (B, 3, H, W), sides multiples of `stride`, and give logits (B, K, H, W); scaling of
the input is part of the network, so that weights and scaling cannot part. `head` is the last layer of
both, and `encoder` what `freeze: encoder` holds fixed.

Sources: Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597), with padded convolutions, so that output
and input have one size; Wu, He 2018 (arXiv:1803.08494) for group normalisation, which unlike batch
normalisation is right at batch size 1.
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.functional import max_pool2d

from stratagem.errors import GeometryError

__all__ = ["ClassifierUnet", "Unet", "build"]

GROUPS = 8
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# The last activation at each stride from 2 to 32, and its channels.
RESNET18_STAGES = {"relu": 64, "layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}


def build(network: str, classes: int, *, width: int, depth: int, seed: int) -> nn.Module:
    """A network with random weights that are a function of the seed.

    Parameters
    ----------
    network : {"unet", "resnet18"}
    classes : int
        K, background counted.
    width, depth : int
        Of the classic U-Net: channels of the first level; number of poolings.
    seed : int
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Unet(classes, width, depth) if network == "unet" else ClassifierUnet(classes)


class Unet(nn.Module):
    """The classic U-Net.

    Parameters
    ----------
    classes : int
    width : int
        Channels of the first level; level d has ``width * 2**d``.
    depth : int
        Number of poolings; the sides of an image are multiples of ``2**depth``.
    """

    def __init__(self, classes: int, width: int, depth: int):
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]
        self.stride = 2**depth
        self.scaling = Scaling((0.5,) * 3, (0.5,) * 3)
        self.encoder = Encoder(channels)
        self.decoder = Decoder(channels)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        _check(image, self.stride)
        return self.head(self.decoder(self.encoder(self.scaling(image))))


class ClassifierUnet(nn.Module):
    """A U-Net whose encoder is torchvision's ResNet-18, skips at strides 2 to 32.

    The encoder's batch normalisation stays in evaluation mode, with the statistics it brought: at small
    batches its own would be noise. The decoder ends with a level at full resolution without skip.
    """

    def __init__(self, classes: int):
        # Here, since its import takes as long as torch's own, and most networks do without.
        from torchvision.models import resnet18
        from torchvision.models.feature_extraction import create_feature_extractor

        super().__init__()
        self.stride = 32
        self.scaling = Scaling(IMAGENET_MEAN, IMAGENET_STD)
        self.encoder = create_feature_extractor(
            resnet18(weights=None), {stage: stage for stage in RESNET18_STAGES}
        )
        channels = [32, *RESNET18_STAGES.values()]
        self.decoder = Decoder(channels[1:])
        self.up = Level(channels[1], 0, channels[0])
        self.head = nn.Conv2d(channels[0], classes, 1)
        self.train()

    def train(self, mode: bool = True) -> "ClassifierUnet":
        """Switch to training, all but the encoder's batch normalisation."""
        super().train(mode)
        for module in self.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        _check(image, self.stride)
        stages = self.encoder(self.scaling(image))
        return self.head(self.up(self.decoder(list(stages.values())), None))


class Scaling(nn.Module):
    """uint8 0..255 to float, per channel: ``(x / 255 - mean) / std``."""

    def __init__(self, mean: Iterable[float], std: Iterable[float]):
        super().__init__()
        mean, std = (torch.tensor(tuple(values)).view(1, 3, 1, 1) for values in (mean, std))
        self.register_buffer("factor", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * self.factor + self.shift


class Encoder(nn.Module):
    """Levels of two convolutions, a pooling between; gives the output of every level."""

    def __init__(self, channels: list[int]):
        super().__init__()
        before = [3, *channels[:-1]]
        self.levels = nn.ModuleList(
            convolutions(taken, given) for taken, given in zip(before, channels, strict=True)
        )

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        outputs = [self.levels[0](image)]
        for level in self.levels[1:]:
            outputs.append(level(max_pool2d(outputs[-1], 2)))
        return outputs


class Decoder(nn.Module):
    """From the deepest encoder output back to the first, joined with each on the way."""

    def __init__(self, channels: list[int]):
        super().__init__()
        pairs = list(zip(channels[1:], channels[:-1], strict=True))[::-1]
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
