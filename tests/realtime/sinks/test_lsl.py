import math
import time
from dataclasses import replace

import numpy as np
import pytest

from realtime.sinks.lsl import CHANNELS, LslOptions, LslSink

pylsl = pytest.importorskip("pylsl", reason="needs pylsl, of the extra `lsl`")


@pytest.fixture(scope="module", autouse=True)
def _this_machine_only():
    """Before anything else of LSL: it would announce itself to the whole network."""
    pylsl.set_config_content("[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n")


def test_pylsl_receives_every_frame_with_its_native_time_stamp(sent, feeding):
    value = sent(height=48, width=64)
    captured_ns = time.monotonic_ns()
    frame = replace(value.enhanced.crops.frame, captured_ns=captured_ns)
    value = replace(value, enhanced=replace(value.enhanced, crops=replace(value.enhanced.crops, frame=frame)))

    with feeding(LslSink(LslOptions("catchlight-test"), consent=True), value):
        found = pylsl.resolve_byprop("name", "catchlight-test", timeout=10)
        assert found, "pylsl found no stream"
        inlet = pylsl.StreamInlet(found[0], recover=False)
        values, stamp_s = inlet.pull_sample(timeout=10)
        correction_s = inlet.time_correction(timeout=10)
        labels = inlet.info().get_channel_labels()
        inlet.close_stream()

    named = dict(zip(CHANNELS, values, strict=True))
    assert abs(stamp_s + correction_s - captured_ns / 1e9) < 1e-3
    assert labels == list(CHANNELS)
    assert named["seq"] == 41
    assert named["face_found"] == 1
    irises = value.enhanced.crops.landmarks.points[[468, 473]]
    np.testing.assert_allclose([named["left_iris_x"], named["left_iris_y"]], irises[0])
    np.testing.assert_allclose([named["right_iris_x"], named["right_iris_y"]], irises[1])
    assert [named[f"right_{side}"] for side in ("x", "y", "width", "height")] == [-1, 199, 64, 48]


def test_without_a_face_a_sample_still_comes_and_says_so(sent):
    from realtime.sinks.lsl import sample

    values = dict(zip(CHANNELS, sample(sent(face=False).enhanced), strict=True))

    assert values["seq"] == 41
    assert values["face_found"] == 0
    assert math.isnan(values["left_iris_x"])
    assert math.isnan(values["right_height"])
