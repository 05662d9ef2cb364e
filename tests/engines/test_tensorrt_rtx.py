"""TensorRT-RTX builds without a GPU, and that is done here; what it builds has to be run elsewhere (-m gpu)."""

import re
import sys
import threading
import time

import pytest

from engines import DEFAULT_TIER, BackendUnavailable, EngineError, load_checkpoint, shipped_tiers
from engines.tensorrt.engine import choose_toolkit
from engines.tensorrt.rtx import TensorRTRTX

pytest.importorskip("onnx")
pytest.importorskip("tensorrt_rtx_bindings")

TURING, AMPERE, ADA, BLACKWELL = (7, 5), (8, 6), (8, 9), (12, 0)
EYES, FACE = (2, 48, 64), (1, 128, 128)


@pytest.mark.parametrize(
    ("tier", "shape", "capability"),
    [
        *((DEFAULT_TIER, EYES, capability) for capability in (TURING, AMPERE, BLACKWELL)),
        *((tier, EYES, ADA) for tier in shipped_tiers()),
        (DEFAULT_TIER, FACE, ADA),
        (DEFAULT_TIER, (2, 20, 36), ADA),
    ],
    ids=str,
)
def test_it_builds_every_tier_for_every_generation(tier, shape, capability):
    checkpoint = load_checkpoint(tier)
    weights = sum(tensor.size for tensor in checkpoint.tensors.values())

    blob = TensorRTRTX(checkpoint, capability).build(shape)

    assert len(blob) > 2 * weights  # in half precision


def test_it_tells_what_it_is_at_while_another_thread_goes_on():
    toolkit = TensorRTRTX(load_checkpoint(DEFAULT_TIER), ADA)
    builder = threading.Thread(target=toolkit.build, args=(EYES,))
    phases = set()

    builder.start()
    while builder.is_alive():
        phases.add(toolkit.phase)
        time.sleep(0.001)

    assert any(re.fullmatch(r".*graph.*, step \d+ of \d+", phase) for phase in phases)
    assert toolkit.phase == ""


def test_a_network_that_it_cannot_build_is_an_engines_error_with_its_reason(random_checkpoint, monkeypatch):
    """Single precision is what Turing has no matrix products for."""
    toolkit = TensorRTRTX(load_checkpoint(random_checkpoint()), TURING)
    single = toolkit._onnx_graph.build_model
    monkeypatch.setattr(toolkit._onnx_graph, "build_model", lambda *shape, half: single(*shape))

    with pytest.raises(EngineError, match=r"cannot build for \(1, 8, 8\): .*FP32 GEMM is not supported"):
        toolkit.build((1, 8, 8))


def test_a_gpu_that_it_does_not_know_is_a_missing_engine(random_checkpoint):
    with pytest.raises(BackendUnavailable, match=r"builds for SM120, .*SM89, and this GPU is SM90"):
        TensorRTRTX(load_checkpoint(random_checkpoint()), (9, 0))


def test_it_serves_where_torch_tensorrt_is_not_installed(random_checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)

    assert isinstance(choose_toolkit(load_checkpoint(random_checkpoint()), ADA), TensorRTRTX)
