"""What fits is found out before training, and what does not is told with what would."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stratagem.capacity import fitted
from stratagem.errors import TrainingError
from stratagem.execution import Execution
from stratagem.training import Options
from stratagem.unet import build

torch.set_num_threads(1)
OPTIONS = Options(
    batch_size=8,
    learning_rate=0.01,
    weight_decay=0.0,
    warmup=0.0,
    validations=1,
    micro_batch_pixels=2**14,
    steps=1,
)
CPU = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")
SCRIPTS = Path(__file__).parents[1] / "scripts"


class Pretended(Execution):
    """A GPU in name: its arrays stay in main memory, and its kernels raise what CUDA's would."""

    def upload(self, array):
        return torch.from_numpy(array)


GPU = Pretended("cuda", torch.float32, torch.contiguous_format, "as the test asks")


class Small(nn.Module):
    """A network with room for so many pixels, which keeps a statistic and draws numbers."""

    def __init__(self, room: int):
        super().__init__()
        self.net, self.norm = build("unet", 2, width=2, depth=1, seed=0), nn.BatchNorm2d(3)
        self.room, self.tried = room, []

    def forward(self, image):
        count, _, height, width = image.shape
        self.tried.append((count, height, width))
        if count * height * width > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.net(image) + nn.functional.dropout(self.norm(image / 255))[:, :2]


def _shapes(*pairs) -> np.ndarray:
    return np.array(pairs, np.int32)


def test_a_batch_with_room_passes_as_it_was():
    """The largest part that may come is tried once, and nothing changes."""
    model = Small(room=2**14)
    assert fitted(model, _shapes((32, 32), (16, 48)), OPTIONS, GPU, 2) == OPTIONS
    assert model.tried == [(8, 32, 32)]


@pytest.mark.parametrize(("room", "images"), [(8191, 4), (4096, 4), (4095, 2), (1024, 1)])
def test_parts_are_halved_until_there_is_room(room, images):
    """Half as many images each time, down to one."""
    model = Small(room)
    options = fitted(model, _shapes((32, 32)), OPTIONS, GPU, 2)
    assert options.micro_batch_pixels == images * 32 * 32
    assert model.tried[-1] == (images, 32, 32)


def test_of_mixed_sizes_the_part_that_needs_most_is_tried():
    """Many small images may need more at once than a large one; with fewer of them the large one does."""
    model = Small(room=11000)
    options = fitted(model, _shapes((100, 100), (40, 40)), OPTIONS, GPU, 2)
    assert model.tried == [(8, 40, 40), (1, 100, 100)]
    assert options.micro_batch_pixels == 4 * 40 * 40


def test_where_one_image_has_no_room_a_plan_that_has_is_named():
    """The message says how large a tile may be."""
    with pytest.raises(
        TrainingError, match=r"one image of 64x96 .*`plan: tile` with `size: \[16, 16\]` fits"
    ):
        fitted(Small(room=300), _shapes((64, 96)), OPTIONS, GPU, 2)


def test_where_nothing_has_room_a_smaller_network_is_named():
    """Not even one tile: then the network is too large."""
    with pytest.raises(TrainingError, match=r"lower `unet\.width`"):
        fitted(Small(room=0), _shapes((64, 64)), OPTIONS, GPU, 2)


def test_trying_leaves_no_trace():
    """Weights, statistics, gradients and generators are those of before."""
    model = Small(room=2000)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    fitted(model, _shapes((32, 32)), OPTIONS, GPU, 2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), generator)


def test_without_a_bound_nothing_is_tried_on_a_cpu():
    """Main memory has no error to learn from."""
    model = Small(room=0)
    assert fitted(model, _shapes((32, 32)), OPTIONS, CPU, 2) is OPTIONS
    assert model.tried == []


BOUNDED = """
import dataclasses, sys
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
from stratagem import capacity, execution, training, unet
chosen = execution.choose("cpu", 1)
model = chosen.place(unet.build("unet", 2, width=8, depth=2, seed=0).train())
options = training.Options(batch_size=16, learning_rate=1e-3, weight_decay=0.0, warmup=0.0, validations=1,
                           micro_batch_pixels=2**24, steps=1)
shapes = np.array([[512, 512]], np.int32)
start = execution.memory_mb()[0]
bound = int(start + float(sys.argv[2]))
fit = capacity.fitted(model, shapes, dataclasses.replace(options, memory_mb=bound), chosen, 4)
peak = capacity._peak_mb(lambda: capacity._step(model, capacity._largest(shapes, fit, fit.micro_batch_pixels),
                                                fit, chosen))
print(fit.micro_batch_pixels // 512**2, bound, peak)
"""


def _bounded(more: float) -> subprocess.CompletedProcess:
    """In a process of its own, since what a process holds is what is bounded."""
    words = [sys.executable, "-c", BOUNDED, str(SCRIPTS), str(more)]
    return subprocess.run(words, text=True, capture_output=True)


def test_a_bound_on_main_memory_is_kept():
    """Fewer images pass at once, and the step stays below what was stated."""
    said = _bounded(900)
    assert said.returncode == 0, said.stderr
    images, bound, peak = map(float, said.stdout.split())
    assert 1 <= images < 16
    assert peak <= 1.05 * bound


def test_a_bound_that_holds_no_image_names_a_tile():
    """Before anything larger than a small image was tried."""
    said = _bounded(150)
    assert said.returncode != 0
    assert "training.memory_mb" in said.stderr and "`plan: tile`" in said.stderr
