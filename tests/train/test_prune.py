from dataclasses import replace

import pytest
import torch

from engines import SwinIRConfig
from engines.swinir import SwinIR
from train.prune import is_smaller, prune

LARGE = SwinIRConfig(frames=2, unshuffle=2, embed_dim=16, depths=(2, 2), heads=4)


def random_model(config):
    model = SwinIR(config).eval()
    torch.manual_seed(5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def pruned(weights, wanted):
    model = SwinIR(wanted).eval()
    model.load_state_dict(model.state_dict() | prune(weights, LARGE, wanted))
    return model


@pytest.mark.parametrize(
    "wanted",
    [{"embed_dim": 8, "heads": 2}, {"depths": (1, 2)}, {"depths": (2,)}, {"heads": 2, "embed_dim": 4, "depths": (1,)}],
)
def test_pruned_weights_fit_the_smaller_network(wanted):
    config = replace(LARGE, **wanted)

    cut = prune(random_model(LARGE).state_dict(), LARGE, config)

    shapes = {name: tuple(tensor.shape) for name, tensor in cut.items()}
    assert is_smaller(config, LARGE)
    assert {name: shapes[name] for name in config.parameter_shapes()} == config.parameter_shapes()


def test_network_of_the_same_size_is_left_as_it_is():
    weights = random_model(LARGE).state_dict()

    cut = prune(weights, LARGE, LARGE)

    x = torch.rand(1, 6, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(pruned(weights, LARGE)(x), random_model(LARGE)(x))
    assert set(cut) >= set(LARGE.parameter_shapes())


def test_units_that_give_nothing_go_first_and_change_nothing():
    model = random_model(LARGE)
    dead = torch.arange(16) % 2 == 0
    dead_head = torch.repeat_interleave(torch.tensor([True, False, True, False]), 4)
    with torch.no_grad():
        model.conv_first.weight[dead] = 0
        model.conv_up.weight[:, dead] = 0
        for name, tensor in model.named_parameters():
            if name.endswith("proj.weight"):
                tensor[:, dead_head] = 0

    cut = prune(model.state_dict(), LARGE, replace(LARGE, embed_dim=8, heads=2))

    torch.testing.assert_close(cut["conv_up.weight"], model.conv_up.weight[:, ~dead])
    torch.testing.assert_close(
        cut["groups.0.layers.0.proj.weight"], model.state_dict()["groups.0.layers.0.proj.weight"][~dead][:, ~dead_head]
    )


def test_attention_is_as_sharp_as_before_when_its_other_dimensions_were_empty():
    weights, layer = random_model(LARGE).state_dict(), "groups.0.layers.0."
    weights["conv_up.weight"][:, 8:] = 0  # the last eight channels give nothing
    for name in ("qkv.weight", "qkv.bias"):
        weights[layer + name].view(3, 4, 4, -1)[:, :, 2:] = 0  # nor do two of every head's four dimensions
    weights[layer + "proj.weight"].view(16, 4, 4)[:, :, 2:] = 0

    cut = prune(weights, LARGE, replace(LARGE, embed_dim=8))

    query, key, _ = weights[layer + "qkv.weight"].view(3, 4, 4, 16)[..., :8]
    small_query, small_key, _ = cut[layer + "qkv.weight"].view(3, 4, 2, 8)
    before = torch.einsum("hdc,hde->hce", query, key) / 4**0.5
    torch.testing.assert_close(torch.einsum("hdc,hde->hce", small_query, small_key) / 2**0.5, before)


@pytest.mark.parametrize(
    "other",
    [{"embed_dim": 32}, {"depths": (2, 3)}, {"depths": (1, 1, 1)}, {"heads": 8}, {"heads": 2}, {"unshuffle": 1}],
)
def test_a_network_that_is_larger_or_of_another_kind_is_none_to_prune_to(other):
    assert not is_smaller(replace(LARGE, **other), LARGE)
