"""The network as an OpenVINO graph of one static shape, built from a checkpoint's arrays without PyTorch.

The rewrites are exact: the layer norms' weights go into the linear layers behind them, the attention's scale into q,
the position bias and each of the four masks into one constant, 1/255 into the first convolution and 255 into the last;
rolls become gathers; bicubic interpolation is a 5x5 convolution and a depth-to-space. Windows that share a mask lie
together, so that the constants do not grow with the patch.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from openvino import Model, Node, Type
from openvino import opset13 as op

from engines.bicubic import taps
from engines.checkpoint import Checkpoint
from engines.config import SwinIRConfig
from engines.windows import TOKENS, Windows, cut_windows, relative_index

EPSILON = 1e-5


def build_graph(checkpoint: Checkpoint, n: int, height: int, width: int) -> Model:
    """uint8 (N, H, W, 3T) BGR, newest frame first -> uint8 (N, H*scale, W*scale, 3) BGR, for this shape only."""
    config, tensors = checkpoint.config, checkpoint.tensors
    scale, multiple = config.scale, config.multiple
    batch = op.parameter([n, height, width, config.input_channels], Type.u8)
    x = op.transpose(op.convert(batch, Type.f32), _ints(0, 3, 1, 2))
    skip = _bicubic(_cut(x, 1, 3) if config.frames > 1 else x, scale)

    x = _replicate(x, 0, -height % multiple, 0, -width % multiple)
    if config.unshuffle > 1:
        x = op.space_to_depth(x, "depth_first", config.unshuffle)
    shape = (n, (height + -height % multiple) // config.unshuffle, (width + -width % multiple) // config.unshuffle)
    body = _Body(config, tensors, shape)
    residual = op.depth_to_space(body(x), "depth_first", scale * config.unshuffle)
    residual = _cut(_cut(residual, 2, height * scale), 3, width * scale)

    y = op.floor(op.add(op.clamp(op.add(skip, residual), 0.0, 255.0), _constant(np.float32(0.5))))
    y = op.convert(op.transpose(y, _ints(0, 2, 3, 1)), Type.u8)
    return Model([y], [batch], checkpoint.name)


class _Body:
    """Everything between the input's pixels and the residual's depth-to-space."""

    def __init__(
        self, config: SwinIRConfig, tensors: Mapping[str, NDArray[np.float32]], shape: tuple[int, int, int]
    ) -> None:
        self.config, self.tensors, self.shape = config, tensors, shape
        self.windows: Windows = cut_windows(*shape)
        self.relative = relative_index()

    def __call__(self, x: Node) -> Node:
        f_NCHW = self.convolution(x, "conv_first", gain=1 / 255)
        y_NHWC = self.norm(op.transpose(f_NCHW, _ints(0, 2, 3, 1)), "patch_norm")
        for group, depth in enumerate(self.config.depths):
            y_NHWC = self.group(y_NHWC, f"groups.{group}", depth)
        y_NCHW = op.transpose(self.norm(y_NHWC, "norm"), _ints(0, 3, 1, 2))
        f_NCHW = op.add(f_NCHW, self.convolution(y_NCHW, "conv_body"))
        return self.convolution(f_NCHW, "conv_up", gain=255)

    def group(self, x_NHWC: Node, name: str, depth: int) -> Node:
        c = self.config.embed_dim
        order = np.arange(np.prod(self.shape))
        tokens = op.reshape(x_NHWC, _ints(len(order), c), False)
        for i in range(depth):
            wanted = self.windows.shifted if i % 2 else self.windows.plain
            tokens = self.layer(_gather(tokens, np.argsort(order)[wanted]), f"{name}.layers.{i}", shifted=i % 2 == 1)
            order = wanted
        y_NHWC = op.reshape(_gather(tokens, np.argsort(order)), _ints(*self.shape, c), False)
        y_NCHW = self.convolution(op.transpose(y_NHWC, _ints(0, 3, 1, 2)), f"{name}.conv")
        return op.add(x_NHWC, op.transpose(y_NCHW, _ints(0, 2, 3, 1)))

    def layer(self, x: Node, name: str, *, shifted: bool) -> Node:
        """x: the tokens, window by window, (tokens, channels)."""
        c, heads, d = self.config.embed_dim, self.config.heads, self.config.head_dim
        weight, bias = self.behind_norm(f"{name}.qkv", f"{name}.norm1")
        weight[:c] *= d**-0.5
        bias[:c] *= d**-0.5
        y = _normalise(x)
        q, k, v = (
            op.transpose(
                op.reshape(
                    _linear(y, weight[i * c : (i + 1) * c], bias[i * c : (i + 1) * c]),
                    _ints(-1, TOKENS, heads, d),
                    False,
                ),
                _ints(0, 2, 1, 3),
            )
            for i in range(3)
        )
        position = self.tensors[f"{name}.position_bias"][self.relative].transpose(2, 0, 1)
        y = self.attend(q, k, v, position, shifted=shifted)
        y = op.reshape(op.transpose(y, _ints(0, 2, 1, 3)), _ints(-1, c), False)
        x = op.add(x, _linear(y, self.tensors[f"{name}.proj.weight"], self.tensors[f"{name}.proj.bias"]))

        y = op.gelu(_linear(_normalise(x), *self.behind_norm(f"{name}.fc1", f"{name}.norm2")), "erf")
        return op.add(x, _linear(y, self.tensors[f"{name}.fc2.weight"], self.tensors[f"{name}.fc2.bias"]))

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

    def behind_norm(self, linear: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weight and bias of a linear layer that has taken in the affine part of the norm before it."""
        weight, bias = self.tensors[f"{linear}.weight"], self.tensors[f"{linear}.bias"]
        bias = bias + weight @ self.tensors[f"{norm}.bias"]
        return weight * self.tensors[f"{norm}.weight"], bias

    def norm(self, x: Node, name: str) -> Node:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return op.add(op.multiply(_normalise(x), _constant(weight)), _constant(bias))

    def convolution(self, x_NCHW: Node, name: str, *, gain: float = 1.0) -> Node:
        """3x3, zero padding. gain scales the output of the last convolution, and the input of the first."""
        weight, bias = self.tensors[f"{name}.weight"] * np.float32(gain), self.tensors[f"{name}.bias"]
        bias = bias if name == "conv_first" else bias * np.float32(gain)
        y = op.convolution(x_NCHW, _constant(weight), [1, 1], [1, 1], [1, 1], [1, 1])
        return op.add(y, _constant(bias.reshape(1, -1, 1, 1)))


def _bicubic(x_NCHW: Node, scale: int) -> Node:
    along = np.zeros((scale, 5), np.float32)
    for phase in range(scale):
        first, weights = taps(phase, scale)
        along[phase, first : first + 4] = weights
    kernel = np.zeros((3, scale, scale, 3, 5, 5), np.float32)
    for colour in range(3):
        kernel[colour, :, :, colour] = along[:, None, :, None] * along[None, :, None, :]
    kernel = kernel.reshape(3 * scale**2, 3, 5, 5)
    y = op.convolution(_replicate(x_NCHW, 2, 2, 2, 2), _constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1])
    return op.depth_to_space(y, "depth_first", scale)


def _replicate(x_NCHW: Node, top: int, bottom: int, left: int, right: int) -> Node:
    if not (top or bottom or left or right):
        return x_NCHW
    return op.pad(x_NCHW, _ints(0, 0, top, left), _ints(0, 0, bottom, right), "edge")


def _normalise(x: Node) -> Node:
    return op.mvn(x, _ints(-1), True, EPSILON, "inside_sqrt")


def _linear(x: Node, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Node:
    return op.add(op.matmul(x, _constant(weight), False, True), _constant(bias))


def _gather(tokens: Node, order: NDArray[np.int64]) -> Node:
    return op.gather(tokens, _constant(order.astype(np.int32)), _constant(np.int64(0)))


def _cut(x: Node, axis: int, stop: int, start: int = 0) -> Node:
    return op.slice(x, _ints(start), _ints(stop), _ints(1), _ints(axis))


def _constant(value: NDArray[np.float32] | NDArray[np.int32] | np.float32 | np.int64) -> Node:
    return op.constant(np.array(value, order="C"))


def _ints(*values: int) -> Node:
    return op.constant(np.array(values, np.int64))
