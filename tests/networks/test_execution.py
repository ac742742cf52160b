"""How networks are computed follows from the processor by rule, and is recorded with its reason."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from stratagem.core.errors import TrainingError
from stratagem.networks.execution import Execution, choose, only_deterministic

CPUINFO = Path("/proc/cpuinfo")
PLAIN = Execution("cpu", torch.float32, torch.contiguous_format, "as the test asks")
FAST = Execution("cpu", torch.bfloat16, torch.channels_last, "as the test asks")


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_choice_is_the_same_each_time():
    """No timing enters: two runs on one machine compute alike."""
    assert choose("cpu", 1) == choose("cpu", 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_uses_the_threads_of_the_study(threads):
    """Sums are split by threads, so their number is set and not found."""
    choose("cpu", threads)
    assert torch.get_num_threads() == threads


@pytest.mark.skipif(not CPUINFO.is_file(), reason="needs Linux, which lists the processor's instructions")
def test_the_choice_fits_the_processor():
    """bfloat16 and channels last go together, where the system says that the processor has it."""
    chosen = choose("cpu", 1)
    has = not {"avx512_bf16", "amx_tile"}.isdisjoint(CPUINFO.read_text().split())
    expected = (torch.bfloat16, torch.channels_last) if has else (torch.float32, torch.contiguous_format)
    assert (chosen.dtype, chosen.layout) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_named_in_the_record():
    """The record tells which GPU computed."""
    assert choose("cuda", 1).as_record()["device"] == torch.cuda.get_device_name()


def test_the_record_is_plain_and_has_a_reason():
    """cost.json tells how a run was computed, and why."""
    record = {"device": "cpu", "dtype": "bfloat16", "float32": "ieee", "layout": "channels_last"}
    record["why"] = "as the test asks"
    assert FAST.as_record() == record
    assert choose("cpu", 1).as_record()["why"]


def test_an_execution_is_frozen():
    """What is recorded is what was used."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.dtype = torch.float16


@pytest.mark.parametrize(("execution", "dtype"), [(PLAIN, torch.float32), (FAST, torch.bfloat16)])
def test_convolutions_compute_in_the_number_format(execution, dtype):
    """Autocast is on where the format is not float32; weights stay float32."""
    layer = execution.place(torch.nn.Conv2d(3, 2, 1))
    with execution.autocast():
        assert layer(torch.zeros(1, 3, 2, 2)).dtype == dtype
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize("execution", [PLAIN, FAST])
def test_images_change_their_order_and_no_value(execution):
    """uint8 (B, H, W, C) becomes uint8 (B, C, H, W) in the layout."""
    image = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    tensor = execution.images(image)
    assert tensor.is_contiguous(memory_format=execution.layout)
    assert tensor.dtype == torch.uint8
    np.testing.assert_array_equal(tensor.numpy(), image.transpose(0, 3, 1, 2))


def test_a_placed_model_has_the_layout():
    """Weights lie as the images do."""
    layer = FAST.place(torch.nn.Conv2d(3, 2, 3))
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_kernel_without_a_deterministic_form_ends_the_job():
    """`deterministic: true` means it: torch's own refusal becomes a sentence with the key."""
    torch.use_deterministic_algorithms(True)
    try:
        told = pytest.raises(TrainingError, match="config key `deterministic`.*Set `deterministic: false`")
        with told, only_deterministic():
            torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2), accumulate=False)
    finally:
        torch.use_deterministic_algorithms(False)


def test_another_error_is_left_as_it_is():
    """What has nothing to do with it is not blamed on it."""
    with pytest.raises(RuntimeError, match="sizes") as caught, only_deterministic():
        raise RuntimeError("sizes do not match")
    assert not isinstance(caught.value, TrainingError)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_float32_on_a_gpu_is_float32():
    """No operand is rounded to TF32, in convolutions and products alike."""
    choose("cuda", 1)
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    values = torch.full((64, 64), 1 + 2.0**-12, device="cuda")
    assert (values @ torch.eye(64, device="cuda")).equal(values)
