"""Export to ONNX, run by ONNX Runtime."""

import numpy as np
import pytest

from engines import EngineError, load_checkpoint, load_engine, shipped_tiers
from engines.onnx import export_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from engines.onnx_graph import build_model  # noqa: E402


def test_an_export_with_an_open_batch_equals_eager_for_any_batch(random_checkpoint, tmp_path, noise):
    checkpoint = load_checkpoint(random_checkpoint("tiny", frames=2))

    path = export_onnx(checkpoint, tmp_path / "models" / "tiny.onnx", height=24, width=20)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    eager = load_engine("eager", random_checkpoint("tiny", frames=2))
    for n in (1, 3):
        batch = noise(n, 24, 20, 6)
        difference = np.abs(session.run(None, {"batch": batch})[0].astype(int) - eager(batch))
        assert difference.max() <= 1
    assert session.get_modelmeta().custom_metadata_map["tier"] == "tiny"
    assert {entry.version for entry in onnx.load(path).opset_import if not entry.domain} == {18}
    assert [p.name for p in path.parent.iterdir()] == ["tiny.onnx"]


def test_a_path_that_cannot_be_written_is_named(random_checkpoint, tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(EngineError, match="choose another path"):
        export_onnx(load_checkpoint(random_checkpoint()), tmp_path / "file" / "x.onnx", height=8, width=8, batch=1)


@pytest.mark.parametrize("tier", shipped_tiers())
def test_half_precision_is_within_50_db_of_eager(tier, noise):
    """As engine tensorrt gives it to TensorRT-RTX; here ONNX Runtime runs it."""
    checkpoint = load_checkpoint(tier)
    batch = noise(2, 44, 60, checkpoint.config.input_channels)

    model = build_model(checkpoint, *batch.shape[:3], half=True)

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with load_engine("eager", tier) as eager:
        difference = session.run(None, {"batch": batch})[0].astype(float) - eager._run(batch)
    assert 10 * np.log10(255**2 / max(np.mean(difference**2), 1e-9)) >= 50
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "LayerNormalization")]
    single = [node.name for node in layers for name in node.input if kinds.get(name) == onnx.TensorProto.FLOAT]
    assert single == [layers[0].name]  # the bicubic image
