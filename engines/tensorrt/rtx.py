"""TensorRT-RTX, NVIDIA's compiler for consumer cards: from the network's ONNX graph, in seconds, and without a GPU.

It is strongly typed, so that half precision is what the graph says, and the graph takes and gives pixels.
"""

import importlib
from functools import cache
from types import ModuleType
from typing import Protocol

import torch

from engines.checkpoint import Checkpoint
from engines.compiled import Program, Toolkit
from engines.cuda_graph import CapturedGraph
from engines.errors import BackendUnavailable, EngineError
from engines.tensorrt import gpu
from engines.tensorrt.execution import Execution

GRAPH = 1
"""Raise it with every change to onnx_graph.py: engines of an older graph in the cache are then not used."""


class TensorRTRTX(Toolkit):
    """Builds for one generation of GPUs; they are compiled to the end where they run, when they are opened."""

    name = "tensorrt"

    def __init__(self, checkpoint: Checkpoint, capability: tuple[int, int]) -> None:
        """capability: of the GPU, major and minor. Raises BackendUnavailable."""
        self._trt, self._onnx_graph = _import()
        self._logger, self._errors = _logger(self._trt)
        self._monitor = _new_monitor(self._trt)
        self._checkpoint = checkpoint
        self._target = f"SM{capability[0]}{capability[1]}"
        known = [name for name in vars(self._trt.ComputeCapability) if name.startswith("SM")]
        if self._target not in known:
            raise BackendUnavailable(
                f"TensorRT-RTX {self._trt.__version__} builds for {', '.join(sorted(known))}, and this GPU is "
                f"{self._target}"
            )

    @property
    def phase(self) -> str:
        return self._monitor.phase

    def facts(self) -> dict[str, object]:
        return gpu.facts() | {"flavour": "rtx", "graph": GRAPH, "tensorrt": self._trt.__version__}

    def build(self, shape: tuple[int, int, int]) -> bytes:
        trt, (n, height, width) = self._trt, shape
        model = self._onnx_graph.build_model(self._checkpoint, n, height, width, half=True)
        builder = trt.Builder(self._logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, self._logger)
        config = builder.create_builder_config()
        config.progress_monitor = self._monitor
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, self._target), 0)
        self._errors.clear()
        blob = parser.parse(model.SerializeToString()) and builder.build_serialized_network(network, config)
        if not blob:
            reason = self._errors[-1] if self._errors else "it does not say why"
            raise EngineError(f"TensorRT-RTX cannot build for {shape}: {reason[:300]}")
        return bytes(blob)

    def open(self, blob: bytes, shape: tuple[int, int, int]) -> Program:
        config = self._checkpoint.config
        n, height, width = shape
        source = torch.zeros(n, height, width, config.input_channels, dtype=torch.uint8, device="cuda")
        target = torch.zeros(n, height * config.scale, width * config.scale, 3, dtype=torch.uint8, device="cuda")
        return CapturedGraph(Execution(self._trt, self._logger, blob, source, target), tuple(source.shape))


def _import() -> tuple[ModuleType, ModuleType]:
    """TensorRT-RTX, and our ONNX graph, which needs the package onnx."""
    try:
        return importlib.import_module("tensorrt_rtx_bindings"), importlib.import_module("engines.onnx_graph")
    # Foreign libraries that do not load raise what they like.
    except Exception as err:
        raise BackendUnavailable(
            f"TensorRT-RTX cannot be imported: {str(err).strip()[:200]}; pip install 'catchlight[rtx]'"
        ) from err


@cache
def _logger(trt: ModuleType) -> tuple[object, list[str]]:
    """The process's one logger, for the library goes on using the first that it was given, and the errors it heard."""
    errors: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def log(self, severity: object, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                errors.append(message.strip())

    return Logger(), errors


class _Monitor(Protocol):
    phase: str


def _new_monitor(trt: ModuleType) -> _Monitor:
    """Hears from the builder, which may call it from threads of its own."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self._open: dict[str, tuple[int, int]] = {}  # of each phase the steps done and all, the innermost last
            self.phase = ""

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._open[phase] = 0, steps
            self._tell(phase)

        def step_complete(self, phase: str, step: int) -> bool:
            self._open[phase] = step + 1, self._open.get(phase, (0, 0))[1]
            self._tell(phase)
            return True  # or the build is given up

        def phase_finish(self, phase: str) -> None:
            self._open.pop(phase, None)  # threads may be at phases of one name
            self._tell(next(reversed(self._open), ""))

        def _tell(self, phase: str) -> None:
            done, steps = self._open.get(phase, (0, 0))
            self.phase = f"{phase}, step {done} of {steps}" if steps > 1 else phase

    return Monitor()
