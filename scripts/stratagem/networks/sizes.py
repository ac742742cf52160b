"""What networks take of main memory and compute: reckoned from a network's parameters and an image's pixels.

The classic U-Net's numbers follow from its width and depth. A classifier's are counted, once for all, by
``python benchmarks/sizes.py``, on float32 and two classes. A study is read by every job, and torch takes
seconds to import, so that no network is built here.

What is reckoned is not less than what `benchmarks/bound.py` measures.
"""

from dataclasses import dataclass

__all__ = ["CLASSIFIERS", "Size", "of_classifier", "of_unet", "prediction_mb", "training_mb"]

MB = 2**20
FLOAT_BYTES = 4
TRAINING_MB = 450  # Python, torch and its libraries, what a process has of its own
STEP = 2.0  # what a step holds at once, of what it keeps for its way back
PARAMETER_BYTES = 40  # weight, gradient, two moments; the first state; a record and the copy of it
PREDICTION_MB = 800  # Python, torch and its libraries
HELD = 5.5  # what a prediction holds at once, of what its largest layer takes in and gives


@dataclass(frozen=True)
class Size:
    """What a network holds, in float32.

    Attributes
    ----------
    parameters : int
    kept : float
        Bytes that a step of training keeps for its way back, for each pixel of its images.
    layer : float
        Bytes that the largest layer takes in and gives, for each pixel.
    multiply_adds : float
        Of a forward pass, for each pixel; of two classes; 0 where memory alone was counted. See
        `stratagem.networks.arithmetic`.
    """

    parameters: int
    kept: float
    layer: float
    multiply_adds: float = 0


def training_mb(size: Size, pixels: float) -> float:
    """What a training takes, in MB, with records, and with float32, which may become necessary on the way.

    Parameters
    ----------
    size : Size
    pixels : float
        Of all images that pass the network at once.
    """
    return TRAINING_MB + (PARAMETER_BYTES * size.parameters + STEP * size.kept * pixels) / MB


def prediction_mb(size: Size, pixels: float) -> float:
    """What predicting an image takes, in MB.

    Parameters
    ----------
    size : Size
    pixels : float
        Of the image in the network's frame.
    """
    return PREDICTION_MB + (FLOAT_BYTES * size.parameters + HELD * size.layer * pixels) / MB


def of_unet(network: str, width: int, depth: int) -> Size:
    """The classic U-Net's size: a level has twice the channels and a quarter of the pixels of the one above.

    What a level keeps, in values a channel: an encoder's two convolutions with their normalisations four, the
    pooling behind it its input's maxima with their places, a decoder's the two halves that it joins and four.

    Parameters
    ----------
    network : str
        Plays no part.
    width : int
        Channels of the first level.
    depth : int
        How often the image is halved.
    """
    channels = [width * 2**level for level in range(depth + 1)]
    shares = [value / 4**level for level, value in enumerate(channels)]
    pooling = FLOAT_BYTES + 8  # a place is an int64
    kept = 4 * FLOAT_BYTES * sum(shares) + (6 * FLOAT_BYTES + pooling / 4) * sum(shares[:-1])
    image_and_logits = 31
    convolutions = [_twice(3, width), *(_twice(of, 2 * of) for of in channels[:-1])]
    decoder = [4 * 2 * of * of + of + _twice(2 * of, of) for of in channels[:-1]]
    head = 2 * (width + 1)
    return Size(
        sum(convolutions) + sum(decoder) + head,
        kept + image_and_logits,
        3 * FLOAT_BYTES * width,
        _multiply_adds(channels),
    )


def of_classifier(network: str, width: int, depth: int) -> Size:
    """The size of a U-Net on a classifier's encoder.

    Parameters
    ----------
    network : str
        One of `CLASSIFIERS`.
    width, depth : int
        Of the classic U-Net; play no part.
    """
    return CLASSIFIERS[network]


def _multiply_adds(channels: list[int]) -> float:
    """Of the classic U-Net, for each pixel of the image: convolutions, transposed convolutions, logits."""
    encoder = [9 * given * (taken + given) for taken, given in zip([3, *channels], channels, strict=False)]
    decoder = [(2 + 9 * 3) * of * of for of in channels[:-1]]
    levels = [sum(pair) for pair in zip(encoder, [*decoder, 0], strict=True)]
    return sum(level / 4**depth for depth, level in enumerate(levels)) + 2 * channels[0]


def _twice(taken: int, given: int) -> int:
    """Parameters of two convolutions of 3x3 with their normalisations."""
    return 9 * given * (taken + given) + 4 * given


CLASSIFIERS = {
    "alexnet": Size(5_327_634, 747, 128, 46_692),
    "convnext_base": Size(91_909_202, 5323, 256, 345_965),
    "convnext_large": Size(201_870_482, 7657, 384, 732_180),
    "convnext_small": Size(53_148_722, 4156, 192, 209_306),
    "convnext_tiny": Size(31_514_162, 2859, 192, 125_039),
    "densenet121": Size(11_317_074, 3357, 128, 101_040),
    "densenet161": Size(33_494_546, 5662, 192, 211_540),
    "densenet169": Size(17_797_970, 3896, 128, 113_296),
    "densenet201": Size(24_258_386, 4810, 128, 134_416),
    "efficientnet_b0": Size(9_001_550, 2558, 192, 56_525),
    "efficientnet_b1": Size(11_507_186, 3248, 192, 60_186),
    "efficientnet_b2": Size(12_991_956, 3371, 192, 63_387),
    "efficientnet_b3": Size(16_380_922, 4261, 288, 75_611),
    "efficientnet_b4": Size(23_882_522, 5352, 288, 88_798),
    "efficientnet_b5": Size(35_240_962, 7059, 288, 109_492),
    "efficientnet_b6": Size(48_298_922, 8839, 384, 135_351),
    "efficientnet_b7": Size(72_027_042, 11552, 384, 175_536),
    "efficientnet_v2_l": Size(123_877_938, 9491, 128, 293_653),
    "efficientnet_v2_m": Size(58_753_222, 5702, 128, 151_917),
    "efficientnet_v2_s": Size(25_777_442, 3776, 128, 99_859),
    "googlenet": Size(10_995_314, 1758, 128, 83_634),
    "inception_v3": Size(27_860_914, 1945, 128, 109_493),
    "mnasnet0_5": Size(4_860_154, 1189, 128, 37_096),
    "mnasnet0_75": Size(6_219_658, 1496, 128, 44_061),
    "mnasnet1_0": Size(7_819_834, 1611, 128, 48_193),
    "mnasnet1_3": Size(10_292_474, 1952, 144, 58_465),
    "mobilenet_v2": Size(6_941_394, 2356, 192, 53_105),
    "mobilenet_v3_large": Size(7_587_586, 1628, 128, 47_908),
    "mobilenet_v3_small": Size(4_084_978, 1007, 128, 34_852),
    "regnet_x_16gf": Size(58_885_490, 4743, 512, 373_624),
    "regnet_x_1_6gf": Size(12_143_202, 1944, 144, 69_550),
    "regnet_x_32gf": Size(113_692_434, 6461, 672, 698_674),
    "regnet_x_3_2gf": Size(18_348_690, 2491, 192, 102_522),
    "regnet_x_400mf": Size(7_722_514, 1187, 128, 39_807),
    "regnet_x_800mf": Size(9_879_794, 1501, 128, 51_220),
    "regnet_x_8gf": Size(43_356_306, 2917, 160, 202_328),
    "regnet_y_128gf": Size(654_957_896, 13580, 1056, 2_639_841),
    "regnet_y_16gf": Size(88_902_502, 4789, 448, 374_670),
    "regnet_y_1_6gf": Size(13_919_912, 2126, 128, 67_328),
    "regnet_y_32gf": Size(151_034_588, 6098, 464, 707_727),
    "regnet_y_3_2gf": Size(22_846_172, 2697, 144, 103_865),
    "regnet_y_400mf": Size(6_737_530, 1362, 128, 41_333),
    "regnet_y_800mf": Size(9_147_498, 1632, 128, 52_583),
    "regnet_y_8gf": Size(43_895_498, 4189, 448, 222_435),
    "resnet101": Size(49_460_242, 3343, 128, 214_864),
    "resnet152": Size(65_103_890, 4351, 128, 288_848),
    "resnet18": Size(14_241_298, 1173, 128, 73_296),
    "resnet34": Size(24_349_458, 1373, 128, 110_160),
    "resnet50": Size(30_468_114, 2527, 128, 140_880),
    "resnext101_32x8d": Size(93_702_418, 5731, 256, 386_512),
    "resnext101_64x4d": Size(88_366_354, 5731, 256, 367_504),
    "resnext50_32x4d": Size(29_939_986, 3051, 128, 143_696),
    "shufflenet_v2_x0_5": Size(3_435_506, 894, 128, 31_250),
    "shufflenet_v2_x1_0": Size(4_738_998, 1086, 128, 35_780),
    "shufflenet_v2_x1_5": Size(6_309_618, 1256, 128, 40_946),
    "shufflenet_v2_x2_0": Size(10_616_246, 1456, 128, 50_127),
    "squeezenet1_0": Size(2_198_418, 1538, 183, 61_099),
    "squeezenet1_1": Size(1_807_634, 1146, 128, 40_141),
    "swin_b": Size(91_088_010, 5175, 256, 424_291),
    "swin_s": Size(52_532_828, 4045, 192, 254_290),
    "swin_t": Size(31_214_924, 2749, 192, 148_327),
    "swin_v2_b": Size(91_250_634, 6713, 256, 350_089),
    "swin_v2_s": Size(52_664_012, 5198, 192, 212_420),
    "swin_v2_t": Size(31_278_140, 3532, 192, 126_877),
    "vgg11": Size(13_455_698, 2097, 512, 216_288),
    "vgg11_bn": Size(13_461_202, 2689, 512, 216_288),
    "vgg13": Size(13_640_210, 2481, 512, 290_016),
    "vgg13_bn": Size(13_646_098, 3457, 512, 290_016),
    "vgg16": Size(18_949_906, 2585, 512, 372_960),
    "vgg16_bn": Size(18_958_354, 3665, 512, 372_960),
    "vgg19": Size(24_259_602, 2689, 512, 455_904),
    "vgg19_bn": Size(24_270_610, 3873, 512, 455_904),
    "wide_resnet101_2": Size(131_797_778, 4139, 128, 512_848),
    "wide_resnet50_2": Size(73_794_322, 3051, 128, 286_544),
}
