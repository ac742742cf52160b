"""The names of the classifiers whose encoders can carry a U-Net.

A list, since torch takes seconds to import and a study is read by every job. It is torchvision's own, but
for those that take images of one size alone (ViT, MaxViT); a test holds it against the installed one.
"""

__all__ = ["CLASSIFIERS", "STRIDE"]

STRIDE = 32  # pixels: no classifier's features are sparser
REGNETS = ["400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf"]
MEMBERS = {
    "alexnet": [""],
    "convnext_": ["tiny", "small", "base", "large"],
    "densenet": ["121", "161", "169", "201"],
    "efficientnet_": [*(f"b{number}" for number in range(8)), "v2_s", "v2_m", "v2_l"],
    "googlenet": [""],
    "inception_v3": [""],
    "mnasnet": ["0_5", "0_75", "1_0", "1_3"],
    "mobilenet_": ["v2", "v3_small", "v3_large"],
    "regnet_": [*(f"x_{size}" for size in REGNETS), *(f"y_{size}" for size in [*REGNETS, "128gf"])],
    "resnet": ["18", "34", "50", "101", "152"],
    "resnext": ["50_32x4d", "101_32x8d", "101_64x4d"],
    "shufflenet_": ["v2_x0_5", "v2_x1_0", "v2_x1_5", "v2_x2_0"],
    "squeezenet": ["1_0", "1_1"],
    "swin_": ["t", "s", "b", "v2_t", "v2_s", "v2_b"],
    "vgg": [f"{layers}{norm}" for layers in (11, 13, 16, 19) for norm in ("", "_bn")],
    "wide_resnet": ["50_2", "101_2"],
}
CLASSIFIERS = frozenset(family + size for family, sizes in MEMBERS.items() for size in sizes)
