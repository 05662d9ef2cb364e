"""The engine "tensorrt", with whichever flavour of TensorRT is installed."""

from pathlib import Path

import torch

from engines.checkpoint import Checkpoint
from engines.compiled import CompiledEngine, Toolkit
from engines.cuda import CudaEngine
from engines.eager import EagerEngine
from engines.errors import BackendUnavailable
from engines.tensorrt.rtx import TensorRTRTX
from engines.tensorrt.torch_tensorrt import TorchTensorRT


class TensorRTEngine(CompiledEngine):
    """Served by cuda until an engine for the shape is built or found on disk.

    threads: accepted for the sake of the others, and not used. cache: folder of compiled engines; None: the user's.
    Raises BackendUnavailable.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, threads: int = 0, cache: Path | None = None, settle_s: float = 3.0
    ) -> None:
        if not torch.cuda.is_available():
            raise BackendUnavailable(f"tensorrt: PyTorch {torch.__version__} finds no CUDA GPU; use engine auto")
        super().__init__(
            checkpoint,
            choose_toolkit(checkpoint, torch.cuda.get_device_capability()),
            CudaEngine(checkpoint),
            reference=EagerEngine(checkpoint),
            cache=cache,
            settle_s=settle_s,
        )


def choose_toolkit(checkpoint: Checkpoint, capability: tuple[int, int]) -> Toolkit:
    """torch-tensorrt where it is installed, otherwise TensorRT-RTX. Raises BackendUnavailable, with both reasons."""
    try:
        return TorchTensorRT(checkpoint)
    except BackendUnavailable as err:
        first = err
    try:
        return TensorRTRTX(checkpoint, capability)
    except BackendUnavailable as second:
        raise BackendUnavailable(f"tensorrt: {first}; {second}; or use engine cuda") from first
