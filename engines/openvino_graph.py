"""The network as an OpenVINO graph of one static shape, built from a checkpoint's arrays without PyTorch.

Beside the rewrites of folded.py, 1/255 goes into the first convolution and 255 into the last, and rolls become
gathers. Windows that share a mask lie together, so that the constants do not grow with the patch.
"""

import numpy as np
from numpy.typing import NDArray
from openvino import Model, Node, Type
from openvino import opset13 as op

from engines.checkpoint import Checkpoint
from engines.folded import EPSILON, Weights, bicubic_kernel, fold_layer, plain
from engines.windows import TOKENS, cut_windows


def build_graph(checkpoint: Checkpoint, n: int, height: int, width: int) -> Model:
    """uint8 (N, H, W, 3T) BGR, newest frame first -> uint8 (N, H*scale, W*scale, 3) BGR, for this shape only."""
    config = checkpoint.config
    scale, multiple = config.scale, config.multiple
    batch = op.parameter([n, height, width, config.input_channels], Type.u8)
    x = op.transpose(op.convert(batch, Type.f32), _ints(0, 3, 1, 2))
    newest = _replicate(_cut(x, 1, 3) if config.frames > 1 else x, 2, 2, 2, 2)
    skip = op.convolution(newest, _constant(bicubic_kernel(scale)), [1, 1], [0, 0], [0, 0], [1, 1])

    below, right = -height % multiple, -width % multiple
    if below or right:
        x = _replicate(x, 0, below, 0, right)
    if config.unshuffle > 1:
        x = op.space_to_depth(x, "depth_first", config.unshuffle)
    body = _Body(checkpoint, n, (height + below) // config.unshuffle, (width + right) // config.unshuffle)
    residual = op.depth_to_space(body(x), "depth_first", scale * config.unshuffle)
    residual = _cut(_cut(residual, 2, height * scale), 3, width * scale)

    y = op.add(op.depth_to_space(skip, "depth_first", scale), residual)
    y = op.floor(op.add(op.clamp(y, 0.0, 255.0), _constant(np.float32(0.5))))
    return Model([op.convert(op.transpose(y, _ints(0, 2, 3, 1)), Type.u8)], [batch], checkpoint.name)


class _Body:
    """Everything between the input's pixels and the residual's depth-to-space."""

    def __init__(self, checkpoint: Checkpoint, n: int, height: int, width: int) -> None:
        self.checkpoint, self.config = checkpoint, checkpoint.config
        self.shape = n, height, width
        self.windows = cut_windows(n, height, width)

    def __call__(self, x: Node) -> Node:
        f_NCHW = self.convolution(x, "conv_first", gain_in=1 / 255)
        y_NHWC = self.norm(op.transpose(f_NCHW, _ints(0, 2, 3, 1)), "patch_norm")
        for group, depth in enumerate(self.config.depths):
            y_NHWC = self.group(y_NHWC, f"groups.{group}", depth)
        y_NCHW = op.transpose(self.norm(y_NHWC, "norm"), _ints(0, 3, 1, 2))
        f_NCHW = op.add(f_NCHW, self.convolution(y_NCHW, "conv_body"))
        return self.convolution(f_NCHW, "conv_up", gain_out=255)

    def group(self, x_NHWC: Node, name: str, depth: int) -> Node:
        c = self.config.embed_dim
        order = np.arange(len(self.windows.plain))
        x_TC = op.reshape(x_NHWC, _ints(len(order), c), False)
        for i in range(depth):
            wanted = self.windows.shifted if i % 2 else self.windows.plain
            x_TC = self.layer(_gather(x_TC, np.argsort(order)[wanted]), f"{name}.layers.{i}", shifted=i % 2 == 1)
            order = wanted
        y_NHWC = op.reshape(_gather(x_TC, np.argsort(order)), _ints(*self.shape, c), False)
        y_NCHW = self.convolution(op.transpose(y_NHWC, _ints(0, 3, 1, 2)), f"{name}.conv")
        return op.add(x_NHWC, op.transpose(y_NCHW, _ints(0, 2, 3, 1)))

    def layer(self, x_TC: Node, name: str, *, shifted: bool) -> Node:
        """x: the tokens of the whole batch, window by window."""
        c, per_head = self.config.embed_dim, _ints(-1, TOKENS, self.config.heads, self.config.head_dim)
        folded = fold_layer(self.checkpoint, name)
        weight, bias = folded.qkv
        y_TC = _normalise(x_TC)
        # Three products are 8-10 % faster than one that is split afterwards.
        q, k, v = (
            op.transpose(op.reshape(_linear(y_TC, (weight[part], bias[part])), per_head, False), _ints(0, 2, 1, 3))
            for part in (slice(0, c), slice(c, 2 * c), slice(2 * c, 3 * c))
        )
        y_NALD = self.attend(q, k, v, folded.position, shifted=shifted)
        y_TC = op.reshape(op.transpose(y_NALD, _ints(0, 2, 1, 3)), _ints(-1, c), False)
        x_TC = op.add(x_TC, _linear(y_TC, folded.proj))
        return op.add(x_TC, _linear(op.gelu(_linear(_normalise(x_TC), folded.fc1), "erf"), folded.fc2))

    def attend(self, q: Node, k: Node, v: Node, position: NDArray[np.float32], *, shifted: bool) -> Node:
        one = _constant(np.float32(1))
        if not shifted:
            return op.scaled_dot_product_attention(q, k, v, _constant(position[None]), one, causal=False)
        parts, first = [], 0
        for count, mask in self.windows.masks:
            part = (_cut(x, 0, first + count, first) for x in (q, k, v))
            parts.append(op.scaled_dot_product_attention(*part, _constant((position + mask)[None]), one, causal=False))
            first += count
        return op.concat(parts, 0)

    def norm(self, x: Node, name: str) -> Node:
        gain, offset = plain(self.checkpoint, name)
        return op.add(op.multiply(_normalise(x), _constant(gain)), _constant(offset))

    def convolution(self, x_NCHW: Node, name: str, *, gain_in: float = 1.0, gain_out: float = 1.0) -> Node:
        """3x3, zero padding; the gains scale what goes in and what comes out."""
        weight, bias = plain(self.checkpoint, name)
        weight, bias = weight * np.float32(gain_in * gain_out), bias * np.float32(gain_out)
        y = op.convolution(x_NCHW, _constant(weight), [1, 1], [1, 1], [1, 1], [1, 1])
        return op.add(y, _constant(bias.reshape(1, -1, 1, 1)))


def _replicate(x_NCHW: Node, top: int, bottom: int, left: int, right: int) -> Node:
    return op.pad(x_NCHW, _ints(0, 0, top, left), _ints(0, 0, bottom, right), "edge")


def _normalise(x: Node) -> Node:
    return op.mvn(x, _ints(-1), True, EPSILON, "inside_sqrt")


def _linear(x: Node, weights: Weights) -> Node:
    weight, bias = weights
    return op.add(op.matmul(x, _constant(weight), False, True), _constant(bias))


def _gather(x_TC: Node, order: NDArray[np.int64]) -> Node:
    return op.gather(x_TC, _constant(order.astype(np.int32)), _constant(np.int64(0)))


def _cut(x: Node, axis: int, stop: int, start: int = 0) -> Node:
    return op.slice(x, _ints(start), _ints(stop), _ints(1), _ints(axis))


def _constant(value: NDArray[np.float32] | NDArray[np.int32] | np.float32 | np.int64) -> Node:
    return op.constant(np.array(value, order="C"))


def _ints(*values: int) -> Node:
    return op.constant(np.array(values, np.int64))
