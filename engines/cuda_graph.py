"""One captured CUDA graph: upload, network, download, replayed for each batch of its shape."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engines.errors import EngineError

WARM_UPS = 3


class CapturedGraph:
    """Runs module, uint8 (N, H, W, 3T) -> uint8, on batches of one shape.

    Everything has its place from the start: pinned buffers on the host, tensors on the device, a stream and an event of
    its own. A replay waits for its own event only, never for the device. Raises EngineError.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...]) -> None:
        try:
            self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._done: torch.cuda.Event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._input = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
            batch = torch.zeros(shape, dtype=torch.uint8, device="cuda")
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.inference_mode(), torch.cuda.stream(self._stream):
                for _ in range(WARM_UPS):
                    enhanced = module(batch)
                self._output = torch.empty(enhanced.shape, dtype=torch.uint8, pin_memory=True)
                self._stream.synchronize()
                self._graph = torch.cuda.CUDAGraph()
                # Thread-local: another engine may be serving in another thread meanwhile.
                with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                    batch.copy_(self._input, non_blocking=True)
                    self._output.copy_(module(batch), non_blocking=True)
        except RuntimeError as err:
            raise EngineError(f"{_first_line(err)}; choose another engine or a smaller window") from err

    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        try:
            self._input.numpy()[:] = batch
            with torch.cuda.stream(self._stream):
                self._graph.replay()
                self._done.record()
            self._done.synchronize()
        except RuntimeError as err:
            raise EngineError(f"{_first_line(err)}; choose another engine") from err
        output: NDArray[np.uint8] = self._output.numpy().copy()
        return output


def _first_line(err: RuntimeError) -> str:
    return str(err).strip().split("\n", 1)[0]
