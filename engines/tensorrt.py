"""TensorRT, or TensorRT-RTX, on an NVIDIA GPU: half precision, static shapes, built by torch-tensorrt.

Half precision comes from the network's own type: torch-tensorrt 2.13 knows no enabled_precisions and swallows unknown
options without a word, so what was built is looked at, never what was asked for. attn_bias_is_causal must be False, or
our attention's bias is thrown away on some paths.
"""

import ctypes
import importlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import torch
from torch import Tensor, nn

from engines.checkpoint import Checkpoint
from engines.compiled import CompiledEngine, Program, Toolkit
from engines.cuda import CudaEngine, half_body
from engines.cuda_graph import ALONE, CapturedGraph
from engines.eager import EagerEngine
from engines.errors import BackendUnavailable, EngineError
from engines.static import StaticPixels
from engines.swinir import SwinIR

GRAPH = 1
"""Raise it with every change to static.py: engines of an older graph in the cache are then not used."""

OPTIONS: dict[str, object] = {"attn_bias_is_causal": False, "min_block_size": 1, "require_full_compilation": True}


class TensorRTEngine(CompiledEngine):
    """Served by cuda until an engine for the shape is built or found on disk.

    threads: accepted for the sake of the others, and not used. cache: folder of compiled engines; None: the user's.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, threads: int = 0, cache: Path | None = None, settle_s: float = 3.0
    ) -> None:
        super().__init__(
            checkpoint,
            TensorRT(checkpoint),
            CudaEngine(checkpoint),
            reference=EagerEngine(checkpoint),
            cache=cache,
            settle_s=settle_s,
        )


class TensorRT(Toolkit):
    """torch-tensorrt as the compiler, TensorRT's own runtime inside a captured CUDA graph."""

    name = "tensorrt"

    def __init__(self, checkpoint: Checkpoint) -> None:
        if not torch.cuda.is_available():
            raise BackendUnavailable(f"tensorrt: PyTorch {torch.__version__} finds no CUDA GPU; use engine auto")
        self._builder, self._trt = import_tensorrt()
        self._logger = self._trt.Logger(self._trt.Logger.ERROR)
        self._checkpoint, self._model = checkpoint, SwinIR.from_checkpoint(checkpoint)

    def facts(self) -> dict[str, object]:
        driver = ctypes.c_int()
        library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
        ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(driver))
        return {
            "capability": torch.cuda.get_device_capability(),
            "cuda": torch.version.cuda,
            "driver": driver.value,
            "dtype": "half",
            "flavour": getattr(self._trt, "_package_name", "tensorrt"),
            "gpu": torch.cuda.get_device_name(),
            "graph": GRAPH,
            "options": sorted(OPTIONS.items()),
            "tensorrt": self._trt.__version__,
            "torch": torch.__version__,
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
        body = _Executed(self._trt, self._logger, blob, self._padded(shape), config.scale)
        return CapturedGraph(StaticPixels(body, config, torch.half), (n, height, width, config.input_channels))

    def _padded(self, shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
        n, height, width = shape
        config = self._checkpoint.config
        return n, config.input_channels, height + -height % config.multiple, width + -width % config.multiple


class _Executed(nn.Module):
    """A TensorRT engine as a module with fixed tensors, fit for capture in a CUDA graph."""

    def __init__(
        self, trt: ModuleType, logger: object, blob: bytes, shape: tuple[int, int, int, int], scale: int
    ) -> None:
        super().__init__()
        self.runtime = trt.Runtime(logger)
        self.engine = self.runtime.deserialize_cuda_engine(blob)
        if self.engine is None:
            raise EngineError("TensorRT does not take this engine")
        self.context = self.engine.create_execution_context()
        n, _, height, width = shape
        expected = {trt.TensorIOMode.INPUT: shape, trt.TensorIOMode.OUTPUT: (n, 3, height * scale, width * scale)}
        self.tensors: dict[object, Tensor] = {}
        for i in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(i)
            mode, found = self.engine.get_tensor_mode(name), tuple(self.engine.get_tensor_shape(name))
            kind = self.engine.get_tensor_dtype(name)
            if mode in self.tensors or found != expected.get(mode) or kind != trt.DataType.HALF:
                raise EngineError(f"tensor {name}: expected half {expected.get(mode)}, got {kind} {found}")
            self.tensors[mode] = torch.zeros(found, dtype=torch.half, device="cuda")
            self.context.set_tensor_address(name, self.tensors[mode].data_ptr())
        self.source, self.target = self.tensors[trt.TensorIOMode.INPUT], self.tensors[trt.TensorIOMode.OUTPUT]

    def forward(self, x: Tensor) -> Tensor:
        self.source.copy_(x)
        if not self.context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise EngineError("TensorRT refused to run")
        return self.target


def import_tensorrt() -> tuple[ModuleType, ModuleType]:
    """torch_tensorrt, and the flavour of TensorRT that it found."""
    try:
        # This one first: it puts TensorRT-RTX in the place of tensorrt where that is what is installed.
        builder = importlib.import_module("torch_tensorrt")
        return builder, importlib.import_module("tensorrt")
    # Without NVIDIA's libraries the import raises a bare Exception, with another PyTorch an AssertionError.
    except Exception as err:
        raise BackendUnavailable(
            f"tensorrt: torch-tensorrt cannot be imported: {str(err).strip()[:200]}; install TensorRT's libraries and "
            "the torch-tensorrt of this PyTorch's version, or use engine cuda"
        ) from err
