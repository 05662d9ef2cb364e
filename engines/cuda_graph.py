"""One captured CUDA graph: upload, network, download, replayed for each batch of its shape."""

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engines.errors import EngineError

WARM_UPS = 3

ALONE = threading.Lock()
"""Held by what waits for the whole device and so spoils a capture in any thread: TensorRT's builder, a capture."""


class CapturedGraph:
    """Runs module, uint8 (N, H, W, 3T) -> uint8, on batches of one shape.

    Everything has its place from the start: pinned buffers on the host, tensors on the device, a stream and an event of
    its own. A replay waits for its own event only, never for the device. The first batch is what is captured; while
    another thread holds ALONE that cannot be, and the module runs operation by operation. Raises EngineError.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...]) -> None:
        # A graph replays addresses: what lies at them has to live as long as it does.
        self._module = module
        self._graph: torch.cuda.CUDAGraph | None = None
        try:
            self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._done: torch.cuda.Event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._input = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
            self._batch = torch.zeros(shape, dtype=torch.uint8, device="cuda")
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.inference_mode(), torch.cuda.stream(self._stream):
                for _ in range(WARM_UPS):
                    enhanced = module(self._batch)
                self._output = torch.empty(enhanced.shape, dtype=torch.uint8, pin_memory=True)
                self._stream.synchronize()
        except RuntimeError as err:
            raise EngineError(f"{_first_line(err)}; choose another engine or a smaller window") from err

    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        try:
            self._input.numpy()[:] = batch
            if self._graph is None and ALONE.acquire(blocking=False):
                try:
                    self._graph = self._capture()
                finally:
                    ALONE.release()
            with torch.inference_mode(), torch.cuda.stream(self._stream):
                if self._graph is None:
                    self._work()
                else:
                    self._graph.replay()
                self._done.record()
            self._done.synchronize()
        except RuntimeError as err:
            raise EngineError(f"{_first_line(err)}; choose another engine or a smaller window") from err
        output: NDArray[np.uint8] = self._output.numpy().copy()
        return output

    def _capture(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        # Thread-local: another engine may be serving in another thread meanwhile.
        with (
            torch.inference_mode(),
            torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            self._work()
        return graph

    def _work(self) -> None:
        self._batch.copy_(self._input, non_blocking=True)
        self._output.copy_(self._module(self._batch), non_blocking=True)


def _first_line(err: RuntimeError) -> str:
    return str(err).strip().split("\n", 1)[0]
