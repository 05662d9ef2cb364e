"""What of the NVIDIA engines can be seen without a GPU: they say what is missing."""

import sys

import pytest
import torch

from engines import BackendUnavailable, load_checkpoint
from engines.cuda import CudaEngine
from engines.tensorrt import TensorRTEngine, import_tensorrt

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@without_gpu
@pytest.mark.parametrize("engine", [CudaEngine, TensorRTEngine], ids=["cuda", "tensorrt"])
def test_without_a_gpu_it_says_so(engine, random_checkpoint):
    with pytest.raises(BackendUnavailable, match="finds no CUDA GPU; use engine auto"):
        engine(load_checkpoint(random_checkpoint()))


@pytest.mark.parametrize("error", ["Exception", "AssertionError", "OSError"])
def test_a_torch_tensorrt_that_cannot_be_imported_is_a_missing_engine(error, tmp_path, monkeypatch):
    (tmp_path / "torch_tensorrt.py").write_text(f"raise {error}('libnvinfer.so.11: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch_tensorrt", raising=False)

    with pytest.raises(
        BackendUnavailable, match=r"tensorrt: .*libnvinfer.so.11: not found; install .* use engine cuda"
    ):
        import_tensorrt()
