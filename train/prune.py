"""A smaller network's start: of a trained, larger one, the channels, heads and hidden units that carry most.

Magnitude pruning by structure (Li et al. 2017): what a unit takes in times what it gives out, as norms of its weights.
Much is lost, and training goes on from there; from random weights a network this small hardly starts at all.
"""

from dataclasses import replace

import torch
from torch import Tensor

from engines import SwinIRConfig


def is_smaller(config: SwinIRConfig, given: SwinIRConfig) -> bool:
    """Whether prune() can make it of the given one: no more of anything, all else the same."""
    same = replace(given, embed_dim=config.embed_dim, depths=config.depths, heads=config.heads) == config
    pairs = [(config.embed_dim, given.embed_dim), (config.heads, given.heads), (config.head_dim, given.head_dim)]
    pairs += [(len(config.depths), len(given.depths)), *zip(config.depths, given.depths, strict=False)]
    return same and all(a <= b for a, b in pairs)


def prune(weights: dict[str, Tensor], given: SwinIRConfig, wanted: SwinIRConfig) -> dict[str, Tensor]:
    """Cut weights of a network down to those of a smaller one; of its groups and layers the first are kept.

    wanted: is_smaller() than given; of the same size, it gets the weights as they are.
    """
    channels = _largest(_norm(weights["conv_first.weight"], 0) * _norm(weights["conv_up.weight"], 1), wanted.embed_dim)
    ends = ("conv_first.weight", "conv_first.bias", "patch_norm.weight", "patch_norm.bias", "norm.weight", "norm.bias")
    cut = {name: weights[name][channels] for name in ends}
    cut |= _convolution(weights, "conv_body", channels)
    cut |= {"conv_up.weight": weights["conv_up.weight"][:, channels], "conv_up.bias": weights["conv_up.bias"]}
    for group, depth in enumerate(wanted.depths):
        cut |= _convolution(weights, f"groups.{group}.conv", channels)
        for layer in range(depth):
            cut |= _layer(weights, f"groups.{group}.layers.{layer}.", channels, given, wanted)
    return cut


def _convolution(weights: dict[str, Tensor], name: str, channels: Tensor) -> dict[str, Tensor]:
    kernel, bias = f"{name}.weight", f"{name}.bias"
    return {kernel: weights[kernel][channels][:, channels], bias: weights[bias][channels]}


def _layer(
    weights: dict[str, Tensor], at: str, channels: Tensor, given: SwinIRConfig, wanted: SwinIRConfig
) -> dict[str, Tensor]:
    vectors = ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "proj.bias", "fc2.bias")
    cut = {at + name: weights[at + name][channels] for name in vectors}

    # Heads by what they give out; in each, the dimensions that its queries and keys, or values, use most.
    qkv = weights[at + "qkv.weight"].view(3, given.heads, given.head_dim, given.embed_dim)
    bias = weights[at + "qkv.bias"].view(3, given.heads, given.head_dim)
    proj = weights[at + "proj.weight"].view(given.embed_dim, given.heads, given.head_dim)
    heads = _largest(_norm(proj, 1), wanted.heads)
    query, key, value = qkv[:, heads].norm(dim=-1)
    matched = _largest(query * key, wanted.head_dim)
    valued = _largest(value * proj[:, heads].norm(dim=0), wanted.head_dim)
    dimensions = torch.stack([matched, matched, valued])
    rows = qkv[:, heads][..., channels].gather(2, dimensions[..., None].expand(-1, -1, -1, len(channels)))
    biases = bias[:, heads].gather(2, dimensions)
    rescale = torch.tensor([(wanted.head_dim / given.head_dim) ** 0.5, 1, 1]).view(3, 1, 1)
    cut[at + "qkv.weight"] = (rows * rescale[..., None]).reshape(-1, len(channels))
    cut[at + "qkv.bias"] = (biases * rescale).reshape(-1)
    cut[at + "position_bias"] = weights[at + "position_bias"][:, heads]
    columns = proj[channels][:, heads].gather(2, valued.expand(len(channels), -1, -1))
    cut[at + "proj.weight"] = columns.reshape(len(channels), -1)

    hidden = _largest(
        _norm(weights[at + "fc1.weight"], 0) * _norm(weights[at + "fc2.weight"], 1), wanted.embed_dim * wanted.mlp_ratio
    )
    cut[at + "fc1.weight"] = weights[at + "fc1.weight"][hidden][:, channels]
    cut[at + "fc1.bias"] = weights[at + "fc1.bias"][hidden]
    cut[at + "fc2.weight"] = weights[at + "fc2.weight"][channels][:, hidden]
    return cut


def _norm(tensor: Tensor, dim: int) -> Tensor:
    """Of each slice along a dimension."""
    norm: Tensor = torch.linalg.vector_norm(tensor.transpose(0, dim).flatten(1), dim=1)
    return norm


def _largest(scores: Tensor, count: int) -> Tensor:
    """The places of the largest along the last dimension, in order."""
    return scores.topk(count).indices.sort().values
