"""How fast are synthetic images made? Ours on the CPU, beside five libraries, in one run.

    python benchmarks/augment.py [--seconds 3]

One policy for all: rotation by 180 degrees, translation by 0.1 of the side, scale 1.25, a horizontal flip,
brightness and contrast, blur in 3 of 10; image and mask of 256x256, batches of 16 from images in memory to
uint8 arrays or tensors; samples/s, one thread and two, median of three rounds in turn. Two threads: where a
library works sample by sample outside the interpreter's lock, two workers; else its own two threads.

The peers are no dependencies of the project: install those of interest beside it in an environment of their
own (albumentations, kornia, monai, batchgeneratorsv2; torchvision is there). One that is missing is said so.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

BATCH, SIDE, ROUNDS, IMAGES = 16, 256, 3, 64
ROTATION, SHIFT, SCALE, GREY, CONTRAST, BLUR_PX = 180, 0.1, 1.25, 0.1, 1.25, 1.0
WAYS = {
    "ours": "stratagem",
    "albumentations": "albumentations",
    "torchvision v2": "torchvision",
    "kornia": "kornia",
    "MONAI": "monai",
    "batchgeneratorsv2": "batchgeneratorsv2",
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="of each row and round")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(measure(given.way, given.threads, given.seconds))
        return
    here = [way for way, module in WAYS.items() if importlib.util.find_spec(module)]
    rates = {(way, threads): [] for way in here for threads in (1, 2)}
    for _ in range(ROUNDS):
        for way, threads in rates:
            words = [sys.executable, __file__, "--seconds", str(given.seconds)]
            words += ["--way", way, "--threads", str(threads)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            rates[way, threads].append(float(done.stdout.split()[-1]))
    middle = {key: statistics.median(found) for key, found in rates.items()}
    print(f"{'samples/s':20}{'1 thread':>10}{'2 threads':>11}   ours is faster by")
    for way in WAYS:
        if way not in here:
            print(f"{way:20}not installed")
            continue
        ratios = ", ".join(f"{middle['ours', threads] / middle[way, threads]:.2f}" for threads in (1, 2))
        print(f"{way:20}{middle[way, 1]:10,.0f}{middle[way, 2]:11,.0f}   {ratios}")


def measure(way: str, threads: int, seconds: float) -> float:
    """Samples a second of one way, in this process."""
    import cv2

    rng = np.random.default_rng(0)
    images = cv2.blur(rng.integers(0, 256, (IMAGES * SIDE, SIDE, 3), dtype=np.uint8), (5, 5))
    masks = rng.integers(0, 3, (IMAGES, SIDE, SIDE), dtype=np.uint8)
    cv2.setNumThreads(0 if way in ("ours", "albumentations") else threads)
    batch = MAKERS[way](images.reshape(IMAGES, SIDE, SIDE, 3), masks, threads)
    for number in range(3):
        batch(number)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        batch(count)
        count += 1
    return count * BATCH / (time.perf_counter() - start)


def _places(number: int) -> list[int]:
    return [(number * BATCH + place) % IMAGES for place in range(BATCH)]


def _mapped(function, threads: int):
    """A batch, sample by sample, on so many workers."""
    if threads == 1:
        return lambda number: [function(*pair) for pair in enumerate(_places(number))]
    pool = ThreadPoolExecutor(threads)
    return lambda number: list(pool.map(function, range(BATCH), _places(number)))


def _ours(images, masks, threads: int):
    from stratagem.augmentation.manifest import Manifest, write_manifest
    from stratagem.augmentation.on_cpu import apply
    from stratagem.augmentation.transforms import Policy, strength

    ranges = {"rotation": ROTATION, "translation": SHIFT, "scale": SCALE, "flip_horizontal": 0.5}
    ranges |= {"brightness": GREY, "contrast": CONTRAST, "blur": (BLUR_PX, 0.3)}
    policy = Policy(50, {name: strength(name, given) for name, given in ranges.items()})
    path = Path(tempfile.mkdtemp()) / "manifest.parquet"
    names = [str(number) for number in range(IMAGES)]
    write_manifest(policy, 0, names, path)
    manifest, seen = Manifest(path), [0] * IMAGES
    rows = manifest.places(names)
    image, mask = np.empty((BATCH, SIDE, SIDE, 3), np.uint8), np.empty((BATCH, SIDE, SIDE), np.uint8)

    def one(slot: int, place: int) -> None:
        seen[place] += 1
        row = manifest.at(rows[place], seen[place] // 8 % 50)
        apply(row, images[place], masks[place], into=(image[slot], mask[slot]))

    return _mapped(one, threads)


def _albumentations(images, masks, threads: int):
    import albumentations as A

    policy = A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(
                rotate=(-ROTATION, ROTATION),
                translate_percent=(-SHIFT, SHIFT),
                scale=(1 / SCALE, SCALE),
                fill_mask=255,
                p=1,
            ),
            A.RandomBrightnessContrast(GREY, CONTRAST - 1, p=1),
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, BLUR_PX), p=0.3),
        ]
    )
    return _mapped(lambda _, place: policy(image=images[place], mask=masks[place]), threads)


def _torchvision(images, masks, threads: int):
    import torch
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    torch.set_num_threads(threads)
    geometric = v2.RandomAffine(
        ROTATION, (SHIFT, SHIFT), (1 / SCALE, SCALE), interpolation=v2.InterpolationMode.BILINEAR
    )
    blur = v2.RandomApply([v2.GaussianBlur(5, (0.1, BLUR_PX))], 0.3)
    policy = v2.Compose([v2.RandomHorizontalFlip(0.5), geometric, v2.ColorJitter(GREY, CONTRAST - 1), blur])
    pairs = [
        (
            tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1).contiguous()),
            tv_tensors.Mask(torch.from_numpy(mask)),
        )
        for image, mask in zip(images, masks, strict=True)
    ]
    return _mapped(lambda _, place: policy(*pairs[place]), 1)


def _kornia(images, masks, threads: int):
    import torch
    from kornia import augmentation as K

    torch.set_num_threads(threads)
    policy = K.AugmentationSequential(
        K.RandomHorizontalFlip(p=0.5),
        K.RandomAffine(ROTATION, (SHIFT, SHIFT), (1 / SCALE, SCALE), p=1.0),
        K.RandomBrightness((1 - GREY, 1 + GREY), p=1.0),
        K.RandomContrast((1 / CONTRAST, CONTRAST), p=1.0),
        K.RandomGaussianBlur((5, 5), (0.1, BLUR_PX), p=0.3),
        data_keys=["input", "mask"],
        same_on_batch=False,
    )
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(masks)[:, None]

    def batch(number: int):
        places = _places(number)
        image, mask = policy(pictures[places].float() / 255, labels[places].float())
        return (image * 255).round().to(torch.uint8), mask.to(torch.uint8)

    return batch


def _monai(images, masks, threads: int):
    import torch
    from monai import transforms as M

    torch.set_num_threads(threads)
    keys = ["image", "mask"]
    policy = M.Compose(
        [
            M.RandFlipd(keys, prob=0.5, spatial_axis=1),
            M.RandAffined(
                keys,
                prob=1.0,
                rotate_range=np.pi,
                translate_range=SHIFT * SIDE,
                scale_range=SCALE - 1,
                mode=["bilinear", "nearest"],
                padding_mode="zeros",
            ),
            M.RandShiftIntensityd("image", offsets=255 * GREY, prob=1.0),
            M.RandScaleIntensityd("image", factors=CONTRAST - 1, prob=1.0),
            M.RandGaussianSmoothd("image", (0.1, BLUR_PX), (0.1, BLUR_PX), prob=0.3),
        ]
    )
    pairs = [
        {"image": torch.from_numpy(image).permute(2, 0, 1).contiguous(), "mask": torch.from_numpy(mask)[None]}
        for image, mask in zip(images, masks, strict=True)
    ]
    return _mapped(lambda _, place: policy(pairs[place]), 1)


def _batchgenerators(images, masks, threads: int):
    import torch
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
    from batchgeneratorsv2.transforms.utils.random import RandomTransform

    torch.set_num_threads(threads)
    spatial = SpatialTransform(
        (SIDE, SIDE),
        patch_center_dist_from_border=0,
        random_crop=False,
        p_elastic_deform=0,
        p_rotation=1,
        rotation=(-np.pi, np.pi),
        p_scaling=1,
        scaling=(1 / SCALE, SCALE),
        p_synchronize_scaling_across_axes=1,
        bg_style_seg_sampling=False,
    )
    blur = GaussianBlurTransform((0.1, BLUR_PX), synchronize_channels=True, p_per_channel=1, benchmark=False)
    policy = ComposeTransforms(
        [
            spatial,
            MirrorTransform((1,)),
            MultiplicativeBrightnessTransform(
                (1 - GREY, 1 + GREY), synchronize_channels=True, p_per_channel=1
            ),
            ContrastTransform(BGContrast((1 / CONTRAST, CONTRAST)), True, True, 1),
            RandomTransform(blur, apply_probability=0.3),
        ]
    )
    pairs = [
        {
            "image": torch.from_numpy(image).permute(2, 0, 1).contiguous().float(),
            "segmentation": torch.from_numpy(mask)[None].to(torch.int16),
        }
        for image, mask in zip(images, masks, strict=True)
    ]
    return _mapped(lambda _, place: policy(**{key: value.clone() for key, value in pairs[place].items()}), 1)


MAKERS = {
    "ours": _ours,
    "albumentations": _albumentations,
    "torchvision v2": _torchvision,
    "kornia": _kornia,
    "MONAI": _monai,
    "batchgeneratorsv2": _batchgenerators,
}

if __name__ == "__main__":
    main()
