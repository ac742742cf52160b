"""What fits is found out before training, and what does not is told with what would."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stratagem.core.errors import TrainingError
from stratagem.networks.build import build
from stratagem.networks.execution import Execution
from stratagem.training import capacity
from stratagem.training.capacity import make_room
from stratagem.training.loop import begin
from stratagem.training.options import Options
from stratagem.training.progress import Progress

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
SCRIPTS = Path(__file__).parents[2] / "scripts"


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
        self.room, self.tried, self.stride, self.channels = room, [], 2, 3

    def forward(self, image):
        count, _, height, width = image.shape
        self.tried.append((count, height, width))
        if count * height * width > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.net(image) + nn.functional.dropout(self.norm(image / 255))[:, :2]


def _made(model: nn.Module, *shapes, options: Options = OPTIONS, execution: Execution = GPU) -> Progress:
    """A run of a network, room made for images of some shapes."""
    progress = begin(model, options)
    make_room(progress, np.array(shapes, np.int32), options, execution)
    return progress


def test_a_batch_with_room_passes_as_it_was():
    """The largest part that may come is tried once, and nothing changes."""
    model = Small(room=2**14)
    progress = _made(model, (32, 32), (16, 48))
    assert progress.micro_batch_pixels == OPTIONS.micro_batch_pixels and progress.incidents == []
    assert model.tried == [(8, 32, 32)]


@pytest.mark.parametrize(("room", "images"), [(8191, 4), (4096, 4), (4095, 2), (1024, 1)])
def test_parts_are_halved_until_there_is_room(room, images):
    """Half as many images each time, down to one."""
    model = Small(room)
    progress = _made(model, (32, 32))
    assert progress.micro_batch_pixels == images * 32 * 32
    said = f"batches pass in parts of {images * 32 * 32} pixels: more have no room"
    assert progress.incidents == [{"kind": "memory", "step": 0, "said": said}]
    assert model.tried[-1] == (images, 32, 32)


def test_of_mixed_sizes_the_part_that_needs_most_is_tried():
    """Many small images may need more at once than a large one; with fewer of them the large one does."""
    model = Small(room=11000)
    progress = _made(model, (100, 100), (40, 40))
    assert model.tried == [(8, 40, 40), (1, 100, 100)]
    assert progress.micro_batch_pixels == 4 * 40 * 40


def test_where_one_image_has_no_room_a_plan_that_has_is_named():
    """The message says how large a tile may be."""
    with pytest.raises(
        TrainingError, match=r"one image of 64x96 .*`plan: tile` with `size: \[16, 16\]` fits"
    ):
        _made(Small(room=300), (64, 96))


def test_where_nothing_has_room_a_smaller_network_is_named():
    """Not even one tile: then the network is too large."""
    with pytest.raises(TrainingError, match=r"lower `unet\.width`"):
        _made(Small(room=0), (64, 64))


def test_trying_leaves_no_trace():
    """Weights, statistics, gradients and generators are those of before."""
    model = Small(room=2000)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    _made(model, (32, 32))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize(("machine_mb", "images"), [(None, 16), (10**6, 16), (451, 2)])
def test_without_a_bound_the_machine_s_memory_is_one_on_a_cpu(machine_mb, images, monkeypatch):
    """Batches pass as they are where it holds them, or where nobody knows it; else in parts."""
    monkeypatch.setattr(capacity, "total_mb", lambda: machine_mb)
    progress = _made(Small(room=2**20), (32, 32), execution=CPU)
    assert progress.micro_batch_pixels == images * 1024


def test_what_the_machine_cannot_hold_is_told_with_its_memory(monkeypatch):
    """Not one image of a fitted frame: before the first step, with the number."""
    monkeypatch.setattr(capacity, "total_mb", lambda: 460)
    with pytest.raises(TrainingError, match=r"in 460 MB, all that this machine has.*`plan: tile`"):
        _made(Small(room=2**30), (1024, 1024), execution=CPU)


BOUNDED = """
import sys, tempfile, threading
import numpy as np
sys.path.insert(0, sys.argv[1])
from stratagem.training import capacity
from stratagem.networks import execution
from stratagem.training import loop
from stratagem.training.options import Options
from stratagem.networks import build
from stratagem.loading.loader import Batch
from stratagem.training.records import Records

chosen = execution.choose("cpu", 1)
model = chosen.place(build.build("unet", 2, width=8, depth=2, seed=0).train())
options = Options(batch_size=16, learning_rate=1e-3, weight_decay=0.0, warmup=0.0, validations=1,
                           micro_batch_pixels=2**24, steps=2, memory_mb=int(sys.argv[2]))
progress = loop.begin(model, options)
capacity.make_room(progress, np.array([[512, 512]], np.int32), options, chosen)
image, mask = np.zeros((16, 512, 512, 3), np.uint8), np.zeros((16, 512, 512), np.uint8)

def batches(start):
    while True:
        yield Batch(image, mask, np.array(["a"] * 16), np.arange(16), 0)

peak, over = 0.0, threading.Event()
def watch():
    global peak
    while not over.wait(0.002):
        peak = max(peak, execution.memory_mb()[0])
watcher = threading.Thread(target=watch)
watcher.start()
with tempfile.TemporaryDirectory() as folder:
    loop.fit(progress, batches, options, chosen, None, Records(folder, {}, 0))
over.set()
watcher.join()
print(progress.micro_batch_pixels // 512**2, peak)
"""


def _bounded(bound_mb: int) -> subprocess.CompletedProcess:
    """A training in a process of its own, since what a process holds is what is bounded."""
    words = [sys.executable, "-c", BOUNDED, str(SCRIPTS), str(bound_mb)]
    return subprocess.run(words, text=True, capture_output=True)


def test_a_bound_on_main_memory_is_kept_by_the_training():
    """Fewer images pass at once, and steps with records stay below what was stated."""
    said = _bounded(1300)
    assert said.returncode == 0, said.stderr
    images, peak_mb = map(float, said.stdout.split())
    assert 1 < images < 16
    assert peak_mb <= 1300


def test_the_same_bound_is_always_kept_in_the_same_way():
    """Nothing is measured, so nothing differs from start to start, and the bits do not."""
    found = set()
    for _ in range(3):
        model = build("unet", 2, width=4, depth=2, seed=0)
        options = dataclasses.replace(OPTIONS, memory_mb=600, micro_batch_pixels=2**24, batch_size=64)
        found.add(_made(model, (256, 256), options=options, execution=CPU).micro_batch_pixels)
        _ballast = np.ones(10**7)  # the process holds more now
    assert len(found) == 1 and 256**2 <= found.pop() < 64 * 256**2


def test_a_bound_that_holds_no_image_names_a_tile():
    """Before anything larger than a small image was tried."""
    options = dataclasses.replace(OPTIONS, memory_mb=460)
    told = r"one image of 2048x2048 in 460 MB \(training\.memory_mb\).*`plan: tile`"
    with pytest.raises(TrainingError, match=told):
        _made(build("unet", 2, width=8, depth=2, seed=0), (2048, 2048), options=options, execution=CPU)
