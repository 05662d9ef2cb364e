"""TensorRT, built by torch-tensorrt from the PyTorch network.

Half precision comes from the network's own type: torch-tensorrt 2.13 knows no enabled_precisions and swallows unknown
options without a word, so what was built is looked at, never what was asked for. attn_bias_is_causal must be False, or
our attention's bias is thrown away on some paths.
"""

import importlib
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import torch

from engines.checkpoint import Checkpoint
from engines.compiled import Program, Toolkit
from engines.cuda import half_body
from engines.cuda_graph import ALONE, CapturedGraph
from engines.errors import BackendUnavailable, EngineError
from engines.static import StaticPixels
from engines.swinir import SwinIR
from engines.tensorrt import gpu
from engines.tensorrt.execution import Execution

GRAPH = 1
"""Raise it with every change to static.py: engines of an older graph in the cache are then not used."""

OPTIONS: dict[str, object] = {"attn_bias_is_causal": False, "min_block_size": 1, "require_full_compilation": True}


class TorchTensorRT(Toolkit):
    """torch-tensorrt as the compiler, on the GPU; TensorRT's own runtime inside a captured CUDA graph."""

    name = "tensorrt"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._builder, self._trt = import_tensorrt()
        self._logger = self._trt.Logger(self._trt.Logger.ERROR)
        self._checkpoint, self._model = checkpoint, SwinIR.from_checkpoint(checkpoint)

    def facts(self) -> dict[str, object]:
        return gpu.facts() | {
            "flavour": "torch-tensorrt",
            "graph": GRAPH,
            "options": sorted(OPTIONS.items()),
            "tensorrt": self._trt.__version__,
            "torch-tensorrt": self._builder.__version__,
        }

    def build(self, shape: tuple[int, int, int]) -> bytes:
        body = half_body(self._model, *shape).cuda()
        example = torch.zeros(self._padded(shape), dtype=torch.half, device="cuda")
        try:
            with torch.no_grad():
                program = torch.export.export(body, (example,))
            # The builder keeps what it has timed in a file, by default in a folder that all users share; a damaged one
            # would spoil later builds.
            with TemporaryDirectory(prefix="catchlight-tensorrt-") as folder, ALONE:
                blob: bytes = self._builder.dynamo.convert_exported_program_to_serialized_trt_engine(
                    program, arg_inputs=[example], timing_cache_path=str(Path(folder) / "timing.bin"), **OPTIONS
                )
        # Exporter and builder raise what they like, bare Exception among it.
        except Exception as err:
            raise EngineError(f"cannot build for {shape}: {str(err).strip()[:300]}") from err
        return bytes(blob)

    def open(self, blob: bytes, shape: tuple[int, int, int]) -> Program:
        config = self._checkpoint.config
        n, height, width = shape
        padded = self._padded(shape)
        enlarged = (n, 3, padded[2] * config.scale, padded[3] * config.scale)
        source, target = (torch.zeros(size, dtype=torch.half, device="cuda") for size in (padded, enlarged))
        body = Execution(self._trt, self._logger, blob, source, target)
        return CapturedGraph(StaticPixels(body, config, torch.half), (n, height, width, config.input_channels))

    def _padded(self, shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
        n, height, width = shape
        config = self._checkpoint.config
        return n, config.input_channels, height + -height % config.multiple, width + -width % config.multiple


def import_tensorrt() -> tuple[ModuleType, ModuleType]:
    """torch_tensorrt, and TensorRT. Raises BackendUnavailable."""
    try:
        builder = importlib.import_module("torch_tensorrt")
        return builder, importlib.import_module("tensorrt")
    # Without NVIDIA's libraries the import raises a bare Exception, with another PyTorch an AssertionError.
    except Exception as err:
        raise BackendUnavailable(
            f"torch-tensorrt cannot be imported: {str(err).strip()[:200]}; install TensorRT's libraries and the "
            "torch-tensorrt of this PyTorch's version"
        ) from err
