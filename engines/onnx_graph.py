"""The network as an ONNX model for one height and width, built from a checkpoint's arrays without PyTorch.

The rewrites are those of openvino_graph.py; here the batch stays an axis of its own, so that it may be left open.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.checkpoint import Checkpoint
from engines.folded import EPSILON, Weights, bicubic_kernel, fold_layer, plain
from engines.windows import TOKENS, cut_windows

OPSET = 18
IR_VERSION = 8


def build_model(
    checkpoint: Checkpoint, batch: int | None, height: int, width: int, *, half: bool = False
) -> onnx.ModelProto:
    """Input "batch" as an engine takes it, output "enhanced" as it gives it.

    batch: N; None leaves it open. half: the residual is computed in half precision; pixels and the bicubic image, in
    which half precision has steps of an eighth, stay in single precision.
    """
    config = checkpoint.config
    n, scale = batch or "N", config.scale
    graph = _Graph(checkpoint, height, width, half)
    graph("batch", "enhanced")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            checkpoint.name,
            [helper.make_tensor_value_info("batch", TensorProto.UINT8, [n, height, width, config.input_channels])],
            [helper.make_tensor_value_info("enhanced", TensorProto.UINT8, [n, height * scale, width * scale, 3])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="catchlight",
    )
    record = {"tier": checkpoint.name, "sha256": checkpoint.sha256, "frames": config.frames, "scale": scale}
    helper.set_model_props(model, {key: str(value) for key, value in record.items()})
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Collects nodes and constants; a value is known by its name."""

    def __init__(self, checkpoint: Checkpoint, height: int, width: int, half: bool) -> None:
        self.checkpoint, self.config, self.half = checkpoint, checkpoint.config, half
        self.height, self.width = height, width
        self.below, self.right = -height % self.config.multiple, -width % self.config.multiple
        fold = self.config.unshuffle
        self.grid = (height + self.below) // fold, (width + self.right) // fold
        self.windows = cut_windows(1, *self.grid)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, batch: str, enhanced: str) -> None:
        scale, fold = self.config.scale, self.config.unshuffle
        x = self.transpose(self.add_node("Cast", batch, to=TensorProto.FLOAT), 0, 3, 1, 2)
        newest = self.replicate(self.cut(x, 1, 0, 3), 2, 2, 2, 2)
        skip = self.add_node("Conv", newest, self.constant(bicubic_kernel(scale)))

        x = self.replicate(x, 0, 0, self.below, self.right)
        # A range of 0 to 1 costs nothing as part of the weights, but half precision is too coarse for such small ones.
        white = 1 if self.half else 255
        if self.half:
            x = self.add_node("Cast", self.multiply(x, 1 / 255), to=TensorProto.FLOAT16)
        if fold > 1:  # ONNX's SpaceToDepth puts the channels innermost; ours are outermost
            c, (h, w) = self.config.input_channels, self.grid
            x = self.transpose(self.reshape(x, 0, c, h, fold, w, fold), 0, 1, 3, 5, 2, 4)
            x = self.reshape(x, 0, c * fold**2, h, w)
        f = self.convolution(x, "conv_first", gain_in=1 / white)
        y = self.norm(self.transpose(f, 0, 2, 3, 1), "patch_norm")
        for group, depth in enumerate(self.config.depths):
            y = self.group(y, f"groups.{group}", depth)
        f = self.add(f, self.convolution(self.transpose(self.norm(y, "norm"), 0, 3, 1, 2), "conv_body"))
        residual = self.depth_to_space(self.convolution(f, "conv_up", gain_out=white), scale * fold)
        if self.half:
            residual = self.multiply(self.add_node("Cast", residual, to=TensorProto.FLOAT), 255)
        residual = self.cut(self.cut(residual, 2, 0, self.height * scale), 3, 0, self.width * scale)

        y = self.add(self.depth_to_space(skip, scale), residual)
        y = self.add_node("Clip", y, self.constant(np.float32(0)), self.constant(np.float32(255)))
        y = self.transpose(self.add_node("Floor", self.add(y, self.constant(np.float32(0.5)))), 0, 2, 3, 1)
        self.nodes.append(helper.make_node("Cast", [y], [enhanced], to=TensorProto.UINT8))

    def group(self, x_NHWC: str, name: str, depth: int) -> str:
        c, order = self.config.embed_dim, np.arange(len(self.windows.plain))
        x_NTC = self.reshape(x_NHWC, 0, -1, c)
        for i in range(depth):
            wanted = self.windows.shifted if i % 2 else self.windows.plain
            x_NTC = self.layer(self.gather(x_NTC, np.argsort(order)[wanted]), f"{name}.layers.{i}", shifted=i % 2 == 1)
            order = wanted
        y_NHWC = self.reshape(self.gather(x_NTC, np.argsort(order)), 0, *self.grid, c)
        y_NCHW = self.convolution(self.transpose(y_NHWC, 0, 3, 1, 2), f"{name}.conv")
        return self.add(x_NHWC, self.transpose(y_NCHW, 0, 2, 3, 1))

    def layer(self, x_NTC: str, name: str, *, shifted: bool) -> str:
        """x: the tokens of each sample, window by window."""
        c, heads, d = self.config.embed_dim, self.config.heads, self.config.head_dim
        folded = fold_layer(self.checkpoint, name)
        weight, bias = folded.qkv
        y_NTC = self.normalise(x_NTC)
        parts = (slice(0, c), slice(c, 2 * c), slice(2 * c, 3 * c))
        q, k, v = (
            self.reshape(self.linear(y_NTC, (weight[part], bias[part])), 0, -1, TOKENS, heads, d) for part in parts
        )
        masks = self.windows.masks if shifted else ((len(self.windows.plain) // TOKENS, np.float32(0)),)
        outputs, first = [], 0
        for count, mask in masks:
            cut = [self.cut(x, 1, first, first + count) if len(masks) > 1 else x for x in (q, k, v)]
            q_NWALD, k_NWADL, v_NWALD = (
                self.transpose(x, *order)
                for x, order in zip(cut, ((0, 1, 3, 2, 4), (0, 1, 3, 4, 2), (0, 1, 3, 2, 4)), strict=True)
            )
            scores = self.add(self.add_node("MatMul", q_NWALD, k_NWADL), self.weight(folded.position + mask))
            y_NWALD = self.add_node("MatMul", self.add_node("Softmax", scores, axis=-1), v_NWALD)
            outputs.append(self.transpose(y_NWALD, 0, 1, 3, 2, 4))
            first += count
        y = outputs[0] if len(outputs) == 1 else self.add_node("Concat", *outputs, axis=1)
        x_NTC = self.add(x_NTC, self.linear(self.reshape(y, 0, -1, c), folded.proj))
        return self.add(x_NTC, self.linear(self.gelu(self.linear(self.normalise(x_NTC), folded.fc1)), folded.fc2))

    def gelu(self, x: str) -> str:
        """With the error function: opset 18 has no Gelu of its own, and runtimes fuse this form of it."""
        erf = self.add_node("Erf", self.add_node("Div", x, self.weight(np.float32(np.sqrt(2)))))
        y = self.add_node("Mul", x, self.add(erf, self.weight(np.float32(1))))
        return self.add_node("Mul", y, self.weight(np.float32(0.5)))

    def norm(self, x: str, name: str) -> str:
        gain, offset = plain(self.checkpoint, name)
        return self.add_node("LayerNormalization", x, self.weight(gain), self.weight(offset), axis=-1, epsilon=EPSILON)

    def normalise(self, x: str) -> str:
        gain = self.weight(np.ones(self.config.embed_dim, np.float32))
        return self.add_node("LayerNormalization", x, gain, axis=-1, epsilon=EPSILON)

    def convolution(self, x_NCHW: str, name: str, *, gain_in: float = 1.0, gain_out: float = 1.0) -> str:
        """3x3, zero padding; the gains scale what goes in and what comes out."""
        weight, bias = plain(self.checkpoint, name)
        weight, bias = weight * np.float32(gain_in * gain_out), bias * np.float32(gain_out)
        return self.add_node("Conv", x_NCHW, self.weight(weight), self.weight(bias), pads=[1, 1, 1, 1])

    def linear(self, x: str, weights: Weights) -> str:
        weight, bias = weights
        return self.add(self.add_node("MatMul", x, self.weight(weight.T)), self.weight(bias))

    def add(self, x: str, y: str) -> str:
        return self.add_node("Add", x, y)

    def multiply(self, x: str, gain: float) -> str:
        return self.add_node("Mul", x, self.constant(np.float32(gain)))

    def gather(self, x: str, order: NDArray[np.int64]) -> str:
        return self.add_node("Gather", x, self.constant(order), axis=1)

    def transpose(self, x: str, *order: int) -> str:
        return self.add_node("Transpose", x, perm=order)

    def reshape(self, x: str, *shape: int) -> str:
        """0 keeps the axis at that place, -1 is inferred."""
        return self.add_node("Reshape", x, self.constant(np.array(shape, np.int64)))

    def cut(self, x: str, axis: int, start: int, stop: int) -> str:
        return self.add_node("Slice", x, *(self.constant(np.array([v], np.int64)) for v in (start, stop, axis)))

    def replicate(self, x_NCHW: str, top: int, left: int, bottom: int, right: int) -> str:
        if not (top or left or bottom or right):
            return x_NCHW
        pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        return self.add_node("Pad", x_NCHW, self.constant(pads), mode="edge")

    def depth_to_space(self, x: str, block: int) -> str:
        return self.add_node("DepthToSpace", x, blocksize=block, mode="CRD")

    def add_node(self, kind: str, *inputs: str, **attributes: int | float | str | Sequence[int]) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, None, None, None, **attributes))
        return name

    def weight(self, value: NDArray[np.float32] | np.float32) -> str:
        """A constant in the precision of the layers."""
        return self.constant(value.astype(np.float16) if self.half else value)

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name
