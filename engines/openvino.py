"""OpenVINO on the CPU: the stock engine where the native one cannot run."""

import functools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# OpenVINO's own import looks up an analytics host through this module. Without it, it calls nobody.
if "openvino" not in sys.modules:
    sys.modules["openvino_telemetry"] = cast(ModuleType, None)

from openvino import Core, InferRequest, get_version

from engines.base import MAX_SHAPES, Engine
from engines.cache import EngineCache, cpu_name
from engines.checkpoint import Checkpoint
from engines.errors import BackendUnavailable, EngineError
from engines.openvino_graph import build_graph

GRAPH = 1
"""Raise it with every change to openvino_graph.py: compiled models of an older graph are then not used."""


@functools.cache
def _core() -> Core:
    """One for the process, never let go: each sets a stack for signals and on its end restores the one before it.

    With two whose lives overlap, that one is gone: the next signal, such as Ctrl-C, ends the process with SIGSEGV.
    """
    return Core()


class OpenVINOEngine(Engine):
    """Compiles the network for each shape when it first appears, in float32, and keeps it on disk.

    threads: CPU threads; 0 lets OpenVINO choose. cache: folder of compiled models; None: the user's cache folder.
    """

    name = "openvino"
    compiles_shapes = True

    def __init__(self, checkpoint: Checkpoint, *, threads: int = 0, cache: Path | None = None) -> None:
        self.tier, self.sha256 = checkpoint.name, checkpoint.sha256
        self.frames, self.scale = checkpoint.config.frames, checkpoint.config.scale
        self._checkpoint, self._cache = checkpoint, EngineCache(cache)
        self._options: dict[str, Any] = {
            # Without this hint a CPU with bfloat16 silently computes in it.
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
        } | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        self._requests = functools.lru_cache(MAX_SHAPES)(self._compile)
        try:
            self._core = _core()
            if "CPU" not in self._core.available_devices:
                raise BackendUnavailable("openvino: it has no CPU plugin here; install the openvino wheel again")
        except RuntimeError as err:
            raise BackendUnavailable(f"openvino: {err}") from err

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        try:
            request = self._requests(batch.shape)
            output: NDArray[np.uint8] = request.infer([batch], share_inputs=True, share_outputs=False)[0]
        except RuntimeError as err:
            raise EngineError(f"openvino: {str(err).strip()}; choose another engine") from err
        return output

    def _compile(self, shape: tuple[int, ...]) -> InferRequest:
        facts = {
            "backend": self.name,
            "cpu": cpu_name(),
            "graph": GRAPH,
            "openvino": get_version(),
            "options": sorted(self._options.items()),
            "shape": shape,
            "weights": self.sha256,
        }

        def build() -> tuple[bytes, dict[str, Any]]:
            graph = build_graph(self._checkpoint, *shape[:3])
            return self._core.compile_model(graph, "CPU", self._options).export_model().getvalue(), {}

        def open_model(blob: bytes, record: dict[str, Any]) -> InferRequest:
            try:
                return self._core.import_model(blob, "CPU", self._options).create_infer_request()
            except RuntimeError as err:
                raise EngineError(f"openvino: {str(err).strip()}") from err

        return self._cache.obtain(facts, build, open_model)

    def close(self) -> None:
        self._requests.cache_clear()
