"""A built TensorRT engine, of either flavour, as a module."""

from types import ModuleType

import torch
from torch import Tensor, nn

from engines.errors import EngineError


class Execution(nn.Module):
    """Runs an engine on fixed tensors, so that it can be captured in a CUDA graph."""

    def __init__(self, trt: ModuleType, logger: object, blob: bytes, source: Tensor, target: Tensor) -> None:
        """trt: the flavour's module. source, target: on the device, as the engine's input and output must be."""
        super().__init__()
        self.source, self.target = source, target
        self.runtime = trt.Runtime(logger)
        self.engine = self.runtime.deserialize_cuda_engine(blob)
        if self.engine is None:
            raise EngineError("TensorRT does not take this engine")
        self.context = self.engine.create_execution_context()
        if self.context is None:
            raise EngineError("TensorRT cannot run this engine here")
        kinds = {torch.half: trt.DataType.HALF, torch.uint8: trt.DataType.UINT8}
        left = {trt.TensorIOMode.INPUT: source, trt.TensorIOMode.OUTPUT: target}
        for i in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(i)
            mode, shape = self.engine.get_tensor_mode(name), tuple(self.engine.get_tensor_shape(name))
            kind, tensor = self.engine.get_tensor_dtype(name), left.pop(mode, None)
            if tensor is None:
                raise EngineError(f"expected one tensor in and one out, got {name} besides")
            if shape != tuple(tensor.shape) or kind != kinds[tensor.dtype]:
                expected = f"{kinds[tensor.dtype]} {tuple(tensor.shape)}"
                raise EngineError(f"tensor {name}: expected {expected}, got {kind} {shape}")
            self.context.set_tensor_address(name, tensor.data_ptr())
        if left:
            raise EngineError(f"expected one tensor in and one out, got {self.engine.num_io_tensors}")

    def forward(self, x: Tensor) -> Tensor:
        self.source.copy_(x)
        if not self.context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise EngineError("TensorRT refused to run")
        return self.target
