"""ONNX: the network as a file for other runtimes, and ONNX Runtime as an engine to compare with."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engines.base import MAX_SHAPES, Engine
from engines.checkpoint import Checkpoint
from engines.errors import BackendUnavailable, EngineError
from engines.files import write_whole

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def export_onnx(checkpoint: Checkpoint, path: Path, *, height: int, width: int, batch: int | None = None) -> Path:
    """Write the network for windows of height x width pixels to PATH, whole or not at all; returns PATH.

    The file holds an engine's whole work but for back-projection (engines.back_projection): input "batch", uint8
    (N, H, W, 3T), BGR, newest frame first; output "enhanced", uint8 (N, H*scale, W*scale, 3), BGR. batch: N; None
    leaves it open. Opset 18.

    Raises BackendUnavailable without the onnx package, EngineError when the file cannot be written.
    """
    data = _serialised(checkpoint, batch, height, width)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as err:
        raise EngineError(f"cannot write {path}: {err.strerror or err}; choose another path") from err
    return path


def _serialised(checkpoint: Checkpoint, batch: int | None, height: int, width: int) -> bytes:
    try:
        from engines.onnx_graph import build_model
    except ImportError as err:
        raise BackendUnavailable(f"onnx: {err}; pip install 'catchlight[onnx]'") from err
    data: bytes = build_model(checkpoint, batch, height, width).SerializeToString()
    return data


class OnnxRuntimeEngine(Engine):
    """Opens a session for each shape when it first appears. Never chosen by auto: OpenVINO is faster.

    threads: CPU threads; 0 lets ONNX Runtime choose.
    """

    name = "onnxruntime"
    compiles_shapes = True

    def __init__(self, checkpoint: Checkpoint, *, threads: int = 0) -> None:
        try:
            import onnx  # noqa: F401 - the sessions' models are built with it
            import onnxruntime
        except ImportError as err:
            raise BackendUnavailable(f"onnxruntime: {err}; pip install 'catchlight[onnx]'") from err
        self.tier, self.sha256 = checkpoint.name, checkpoint.sha256
        self.frames, self.scale = checkpoint.config.frames, checkpoint.config.scale
        self._checkpoint, self._runtime = checkpoint, onnxruntime
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._sessions = lru_cache(MAX_SHAPES)(self._session)

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        try:
            output: NDArray[np.uint8] = self._sessions(batch.shape).run(None, {"batch": batch})[0]
        # ONNX Runtime's own errors are Exceptions without a common base.
        except Exception as err:
            raise EngineError(f"onnxruntime: {str(err).strip()[:300]}; choose another engine") from err
        return output

    def _session(self, shape: tuple[int, ...]) -> "InferenceSession":
        model = _serialised(self._checkpoint, *shape[:3])
        return self._runtime.InferenceSession(model, self._options, providers=["CPUExecutionProvider"])

    def close(self) -> None:
        self._sessions.cache_clear()
