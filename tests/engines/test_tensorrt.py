"""What of the NVIDIA engines can be seen without a GPU: they say what is missing, and what is built is what runs."""

import ctypes
import sys
from enum import Enum
from types import SimpleNamespace

import pytest
import torch

from engines import BackendUnavailable, EngineError, load_checkpoint
from engines.cuda import CudaEngine
from engines.tensorrt.engine import TensorRTEngine, choose_toolkit
from engines.tensorrt.execution import Execution
from engines.tensorrt.torch_tensorrt import TorchTensorRT

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@without_gpu
@pytest.mark.parametrize("engine", [CudaEngine, TensorRTEngine], ids=["cuda", "tensorrt"])
def test_without_a_gpu_it_says_so(engine, random_checkpoint):
    with pytest.raises(BackendUnavailable, match="finds no CUDA GPU; use engine auto"):
        engine(load_checkpoint(random_checkpoint()))


@pytest.mark.parametrize("error", ["Exception", "AssertionError", "OSError"])
def test_a_torch_tensorrt_that_cannot_be_imported_is_a_missing_engine(error, random_checkpoint, tmp_path, monkeypatch):
    (tmp_path / "torch_tensorrt.py").write_text(f"raise {error}('libnvinfer.so.11: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch_tensorrt", raising=False)

    with pytest.raises(BackendUnavailable, match=r"torch-tensorrt .*: libnvinfer.so.11: not found; install TensorRT's"):
        TorchTensorRT(load_checkpoint(random_checkpoint()))


def test_where_neither_flavour_can_be_imported_both_reasons_are_given(random_checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", None)

    with pytest.raises(
        BackendUnavailable,
        match=r"^tensorrt: torch-tensorrt .*; TensorRT-RTX .*; pip install 'catchlight\[rtx\]'; or use",
    ):
        choose_toolkit(load_checkpoint(random_checkpoint()), (8, 9))


class Mode(Enum):
    INPUT = 0
    OUTPUT = 1


class Kind(Enum):
    HALF = 0
    UINT8 = 1


class PretendedTensorRT:
    """Its engines have the tensors that it is given, (name, mode, kind, shape); they copy the input to the output."""

    TensorIOMode, DataType = Mode, Kind

    def __init__(self, *tensors, takes=True, contexts=True, runs=True):
        self.tensors, self.takes, self.contexts, self.runs = tensors, takes, contexts, runs
        self.num_io_tensors, self.addresses = len(tensors), {}

    def Runtime(self, logger):  # noqa: N802
        return self

    def deserialize_cuda_engine(self, blob):
        return self if self.takes else None

    def create_execution_context(self):
        return self if self.contexts else None

    def get_tensor_name(self, i):
        return self.tensors[i][0]

    def __getattr__(self, name):
        field = {"get_tensor_mode": 1, "get_tensor_dtype": 2, "get_tensor_shape": 3}[name]
        return lambda tensor: next(row[field] for row in self.tensors if row[0] == tensor)

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        if self.runs:
            ctypes.memmove(self.addresses["enhanced"], self.addresses["batch"], 6)
        return self.runs


BATCH, ENHANCED = ("batch", Mode.INPUT, Kind.UINT8, (1, 6)), ("enhanced", Mode.OUTPUT, Kind.UINT8, (2, 3))


def execution(trt):
    return Execution(trt, None, b"", torch.zeros(1, 6, dtype=torch.uint8), torch.zeros(2, 3, dtype=torch.uint8))


def test_an_engine_runs_on_tensors_that_stay_where_they_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))
    module = execution(PretendedTensorRT(ENHANCED, BATCH))

    first = module(torch.arange(6, dtype=torch.uint8).view(1, 6))
    second = module(torch.arange(6, 12, dtype=torch.uint8).view(1, 6))

    assert second.tolist() == [[6, 7, 8], [9, 10, 11]]
    assert first.data_ptr() == second.data_ptr() == module.target.data_ptr()


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (((*BATCH[:3], (1, 7)), ENHANCED), r"tensor batch: expected Kind.UINT8 \(1, 6\), got Kind.UINT8 \(1, 7\)"),
        ((BATCH, (*ENHANCED[:2], Kind.HALF, (2, 3))), r"tensor enhanced: expected Kind.UINT8 .* got Kind.HALF"),
        ((BATCH, ENHANCED, ("mask", *BATCH[1:])), "one tensor in and one out, got mask besides"),
        ((BATCH,), "one tensor in and one out, got 1"),
    ],
    ids=["shape", "kind", "more", "fewer"],
)
def test_an_engine_with_other_tensors_is_refused(tensors, reason):
    with pytest.raises(EngineError, match=reason):
        execution(PretendedTensorRT(*tensors))


def test_an_engine_that_does_not_load_or_run_is_an_engines_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))

    with pytest.raises(EngineError, match="does not take this engine"):
        execution(PretendedTensorRT(BATCH, ENHANCED, takes=False))
    with pytest.raises(EngineError, match="cannot run this engine here"):
        execution(PretendedTensorRT(BATCH, ENHANCED, contexts=False))
    with pytest.raises(EngineError, match="refused to run"):
        execution(PretendedTensorRT(BATCH, ENHANCED, runs=False))(torch.zeros(1, 6, dtype=torch.uint8))
