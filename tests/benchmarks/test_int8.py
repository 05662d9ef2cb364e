"""Linear layers of 8-bit integers, simulated."""

import int8
import numpy as np
import torch
from torch import nn


@torch.no_grad()
def test_a_simulated_layer_is_what_sums_of_8_bit_products_give():
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(48, 10)
    x = torch.randn(5, 48, generator=generator)

    y = int8.Int8Linear(linear)(x)

    weight, inputs = linear.weight.numpy(), x.numpy()
    steps = [np.abs(rows).max(1, keepdims=True) / 127 for rows in (weight, inputs)]
    integers = [np.rint(rows / step).astype(np.int8) for rows, step in zip((weight, inputs), steps, strict=True)]
    sums = integers[1].astype(np.int32) @ integers[0].astype(np.int32).T
    np.testing.assert_allclose(y, sums * steps[1] * steps[0].T + linear.bias.numpy(), rtol=1e-4, atol=1e-5)
    assert not np.allclose(y, linear(x), rtol=1e-4, atol=1e-5)


def test_every_linear_layer_of_a_network_is_replaced():
    network = nn.Sequential(nn.Linear(4, 4), nn.ModuleList([nn.Linear(4, 4)]), nn.Conv2d(1, 1, 1))

    int8.replace_linears(network)

    kinds = [type(module) for module in network.modules()]
    assert kinds.count(int8.Int8Linear) == 2
    assert nn.Linear not in kinds


def test_a_batch_of_any_length_is_enhanced_whole():
    doubled = nn.Upsample(scale_factor=2)
    batch = np.random.default_rng(0).integers(0, 256, (11, 4, 6, 3), dtype=np.uint8)

    def network(part):
        assert len(part) == int8.AT_ONCE
        return doubled(part.permute(0, 3, 1, 2).float()).permute(0, 2, 3, 1).byte()

    assert np.array_equal(int8.enhance(network, batch), batch.repeat(2, 1).repeat(2, 2))
