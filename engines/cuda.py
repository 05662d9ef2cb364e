"""PyTorch on an NVIDIA GPU: half precision, one CUDA graph for each shape. Needs no TensorRT."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engines.base import MAX_SHAPES, Engine
from engines.checkpoint import Checkpoint
from engines.cuda_graph import CapturedGraph
from engines.errors import BackendUnavailable, EngineError
from engines.static import StaticPixels, StaticSwinIR
from engines.swinir import SwinIR


class CudaEngine(Engine):
    """Captures a graph for each shape when it first appears, which takes some tenths of a second.

    threads: accepted for the sake of the others, and not used.
    """

    name = "cuda"
    compiles_shapes = True

    def __init__(self, checkpoint: Checkpoint, *, threads: int = 0) -> None:
        if not torch.cuda.is_available():
            raise BackendUnavailable(f"cuda: PyTorch {torch.__version__} finds no CUDA GPU; use engine auto")
        self.tier, self.sha256 = checkpoint.name, checkpoint.sha256
        self.frames, self.scale = checkpoint.config.frames, checkpoint.config.scale
        self._model = SwinIR.from_checkpoint(checkpoint)
        self._graphs = lru_cache(MAX_SHAPES)(self._graph)

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._graphs(batch.shape)(batch)

    def _graph(self, shape: tuple[int, ...]) -> CapturedGraph:
        try:
            body = half_body(self._model, *shape[:3]).cuda()
        except RuntimeError as err:
            raise EngineError(f"cuda: {err}; choose another engine or a smaller window") from err
        return CapturedGraph(StaticPixels(body, self._model.config, torch.half), shape)

    def close(self) -> None:
        self._graphs.cache_clear()


def half_body(model: SwinIR, n: int, height: int, width: int) -> StaticSwinIR:
    """The network for windows of this shape, padded to whole attention windows, in half precision."""
    multiple = model.config.multiple
    body = StaticSwinIR(model, n, height + -height % multiple, width + -width % multiple).half().eval()
    for module in body.modules():
        if isinstance(module, nn.Conv2d):  # whose input is a permuted (B, H, W, C), which already lies channels-last
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return body
