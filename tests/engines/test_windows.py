"""Window constants in numpy against the network's own, in PyTorch."""

import numpy as np
import pytest
import torch

from engines import swinir, windows


def test_relative_index_is_the_networks():
    assert np.array_equal(windows.relative_index(), swinir.relative_index(8).numpy())


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 8, 24), (1, 16, 8), (2, 24, 32)], ids=str)
def test_shifted_windows_and_masks_are_the_networks(shape):
    n, height, width = shape
    raster = torch.arange(n * height * width).view(n, height, width)
    rolled = torch.roll(raster, (-4, -4), (1, 2)).view(n, height // 8, 8, width // 8, 8).transpose(2, 3)
    masks = swinir.shift_mask(height, width, 8).repeat(n, 1, 1)
    expected = {tuple(tokens.tolist()): mask for tokens, mask in zip(rolled.reshape(-1, 64), masks, strict=True)}

    cut = windows.cut_windows(n, height, width)

    found = np.repeat(np.stack([mask for _, mask in cut.masks]), [count for count, _ in cut.masks], axis=0)
    assert len(found) == len(expected)
    for tokens, mask in zip(cut.shifted.reshape(-1, 64).tolist(), found, strict=True):
        assert np.array_equal(mask, expected[tuple(tokens)].numpy())
