"""A checkpoint's arrays after the exact rewrites that every graph of a static shape makes. No torch.

The layer norms' affine parts go into the linear layers behind them, the attention's scale into q, the position bias is
gathered for each pair of tokens, and bicubic interpolation becomes a 5x5 convolution before a depth-to-space.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.bicubic import taps
from engines.checkpoint import Checkpoint
from engines.windows import relative_index

EPSILON = 1e-5
"""Of every layer norm."""

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight and bias of a linear layer or convolution, as PyTorch shapes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldedLayer:
    """A Swin layer whose norms have no affine part and whose attention has no scale."""

    qkv: Weights
    position: NDArray[np.float32]
    """(heads, 64, 64): added to the attention scores."""
    proj: Weights
    fc1: Weights
    fc2: Weights


def fold_layer(checkpoint: Checkpoint, name: str) -> FoldedLayer:
    """name: "groups.G.layers.I"."""
    config, tensors = checkpoint.config, checkpoint.tensors
    weight, bias = _behind_norm(checkpoint, f"{name}.qkv", f"{name}.norm1")
    gain = np.ones(3 * config.embed_dim, np.float32)
    gain[: config.embed_dim] = config.head_dim**-0.5
    return FoldedLayer(
        qkv=(weight * gain[:, None], bias * gain),
        position=np.ascontiguousarray(tensors[f"{name}.position_bias"][relative_index()].transpose(2, 0, 1)),
        proj=plain(checkpoint, f"{name}.proj"),
        fc1=_behind_norm(checkpoint, f"{name}.fc1", f"{name}.norm2"),
        fc2=plain(checkpoint, f"{name}.fc2"),
    )


def plain(checkpoint: Checkpoint, name: str) -> Weights:
    """Weight and bias of a layer as they are."""
    return checkpoint.tensors[f"{name}.weight"], checkpoint.tensors[f"{name}.bias"]


def bicubic_kernel(scale: int) -> NDArray[np.float32]:
    """(3*scale*scale, 3, 5, 5): on an image replicated by 2 at each edge, then depth-to-space, channels outermost."""
    along = np.zeros((scale, 5), np.float32)
    for phase in range(scale):
        first, weights = taps(phase, scale)
        along[phase, first : first + 4] = weights
    kernel = np.zeros((3, scale, scale, 3, 5, 5), np.float32)
    for colour in range(3):
        kernel[colour, :, :, colour] = along[:, None, :, None] * along[None, :, None, :]
    return kernel.reshape(3 * scale**2, 3, 5, 5)


def _behind_norm(checkpoint: Checkpoint, linear: str, norm: str) -> Weights:
    weight, bias = plain(checkpoint, linear)
    gain, offset = plain(checkpoint, norm)
    return weight * gain, bias + weight @ offset
