"""Plain PyTorch on the CPU: the reference that every other back end is compared with."""

import numpy as np
import torch
from numpy.typing import NDArray

from engines.base import Engine
from engines.checkpoint import Checkpoint
from engines.errors import EngineError
from engines.swinir import SwinIR


class EagerEngine(Engine):
    """Runs engines.swinir.SwinIR as it stands.

    threads: PyTorch's CPU threads, which are the whole process's; 0 leaves them as they are.
    """

    name = "eager"

    def __init__(self, checkpoint: Checkpoint, *, threads: int = 0) -> None:
        self.tier, self.sha256 = checkpoint.name, checkpoint.sha256
        self.frames, self.scale = checkpoint.config.frames, checkpoint.config.scale
        if threads:
            torch.set_num_threads(threads)
        self._model = SwinIR.from_checkpoint(checkpoint)

    @torch.inference_mode()
    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        try:
            y_NCHW = self._model(torch.from_numpy(batch).permute(0, 3, 1, 2) / 255)
        except RuntimeError as err:
            raise EngineError(f"eager: {err}; choose another engine or a smaller window") from err
        y_NHWC = (y_NCHW.permute(0, 2, 3, 1).clamp(0, 1) * 255 + 0.5).to(torch.uint8)
        output: NDArray[np.uint8] = y_NHWC.contiguous().numpy()
        return output
