"""A batch that passes in parts has the gradients of the whole."""

import dataclasses

import pytest
import torch

from fitting import batch_of, fitted, options_of, small_unet
from stratagem.augmentation.on_cpu import exchange
from stratagem.augmentation.transforms import NEUTRAL


@pytest.mark.parametrize("pixels", [1, 16, 32, 48])
def test_micro_batches_equal_the_whole_batch(pixels):
    """A batch that passes the network in parts makes the update of the whole."""
    whole, parts = small_unet(), small_unet()
    history, _ = fitted(whole, iter([batch_of()]), options_of(images=4))
    in_parts, _ = fitted(parts, iter([batch_of()]), options_of(images=4, micro_batch_pixels=pixels))
    assert in_parts["train_loss"].tolist() == pytest.approx(history["train_loss"].tolist(), rel=1e-6)
    pairs = zip(whole.named_parameters(), parts.named_parameters(), strict=True)
    for (name, one), (_, other) in pairs:
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("pixels", [16, 64])
def test_pending_rows_are_applied_where_the_network_is(pixels):
    """A batch whose rows are still to be applied trains as one that holds the synthetic images, swaps too."""
    batch = batch_of()
    rows = [NEUTRAL | {"flip_horizontal": number % 2 == 0} for number in range(len(batch.samples))]
    pending = dataclasses.replace(batch, rows=rows)
    image, mask = batch.image.copy(), batch.mask.copy()
    image[::2] = image[::2, :, ::-1]
    mask[::2] = exchange([(0, 1)])[mask[::2, :, ::-1]]
    made = dataclasses.replace(batch, image=image, mask=mask)
    losses = [
        fitted(small_unet(), iter([one]), options_of(images=4, micro_batch_pixels=pixels, swaps=((0, 1),)))[0]
        for one in (pending, made, batch)
    ]
    first, second, third = (history["train_loss"].item() for history in losses)
    assert first == second != third
