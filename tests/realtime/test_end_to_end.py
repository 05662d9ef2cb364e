"""The whole chain: the synthetic webcam, MediaPipe, an engine, the wire, and readers in other processes."""

import itertools
import json
import subprocess
import sys
import time

import numpy as np
import pytest
from fakes import FakeFaceMesh, IdentityEngine

from engines import SwinIRConfig, save_checkpoint
from realtime.client import Subscriber
from realtime.config import CropConfig
from realtime.crops import Cropper
from realtime.demo import DemoCamera
from realtime.pipeline import enhance
from realtime.wire import decode, encode

SMALL = SwinIRConfig(embed_dim=16, depths=(2,), heads=2, unshuffle=2, frames=3)

# As README shows it.
FIVE_LINES = """
from realtime import Subscriber
for message in Subscriber({endpoint!r}):
    if message.face_found:
        print(message.seq, message.patches.shape, message.to_camera.shape, flush=True)
        break
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """The endpoint of a daemon that streams the demo through a small random network."""
    folder = tmp_path_factory.mktemp("daemon")
    rng = np.random.default_rng(0)
    tensors = {k: 0.02 * rng.standard_normal(s).astype(np.float32) for k, s in SMALL.parameter_shapes().items()}
    tier = save_checkpoint(folder / "small", SMALL, tensors, {})
    endpoint = f"ipc://{folder}/eyes"
    command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--tier", str(tier), "--bind", endpoint]
    with subprocess.Popen(
        [*command, "--report", str(folder / "report.json")], stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if endpoint in line:
                break
        yield endpoint
        process.terminate()
        process.wait(20)
    told = json.loads((folder / "report.json").read_text())
    assert told["faces_published"] == told["faces_found"] > 0
    assert told["threads_left"] == 0


def test_five_lines_in_another_process_receive_enhanced_eyes(daemon):
    done = subprocess.run(
        [sys.executable, "-c", FIVE_LINES.format(endpoint=daemon)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "(2, 96, 128, 3) (2, 2, 3)" in done.stdout
    assert done.stderr == ""


def test_a_subscriber_that_paused_reads_a_fresh_message(daemon):
    with Subscriber(daemon, timeout_s=20) as subscriber:
        subscriber.receive()
        time.sleep(1)

        message = subscriber.receive()

    # Queued messages would be 1000 ms old; an idle machine gives less than 50.
    assert message.age_ms() < 300
    assert subscriber.lost >= 2


def test_every_message_is_whole_and_in_order(daemon):
    with Subscriber(daemon, newest=False, timeout_s=20) as subscriber:
        messages = [subscriber.receive() for _ in range(10)]

    assert subscriber.rejected == 0
    for before, after in itertools.pairwise(messages):
        assert after.sent_seq == before.sent_seq + 1
        assert after.seq > before.seq
        assert after.captured_ns > before.captured_ns
    for message in messages:
        times = [message.captured_ns, *message.stamps_ns.values(), message.sent_ns]
        assert times == sorted(times)
        assert message.raw.shape[1] * message.scale == message.patches.shape[1]


def test_the_irises_are_where_the_synthetic_webcam_put_them(daemon):
    with Subscriber(daemon, timeout_s=20) as subscriber:
        message = subscriber.receive()

    true = DemoCamera(paced=False).true_eyes(message.seq)
    error_px = np.hypot(*(message.landmarks.iris_centre - true).T)
    assert error_px.max() < 2.0  # MediaPipe's own accuracy at 45 px between the eyes


@pytest.mark.parametrize("interocular_px", [30, 45, 117])
def test_patch_pixels_map_to_camera_pixels_exactly_through_the_whole_chain(interocular_px):
    camera = DemoCamera(interocular_px=interocular_px, paced=False)
    mesh, cropper = FakeFaceMesh(camera.true_eyes), Cropper(CropConfig())
    frames = [camera.read() for _ in range(3)]

    for enhanced in enhance(frames, mesh, cropper, IdentityEngine()):
        message = decode(bytes(encode(enhanced, stream="test")))

        image = enhanced.crops.frame.image
        for eye, (patch, to_camera) in enumerate(zip(message.patches, message.to_camera, strict=True)):
            rows, columns = np.indices(patch.shape[:2])
            xy = to_camera @ np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
            # Each camera pixel became 2x2 patch pixels: their mean place is its centre, exactly.
            np.testing.assert_allclose(np.abs(xy - np.rint(xy)), 0.25, atol=1e-9)
            x, y = np.rint(xy).astype(int)
            np.testing.assert_array_equal(patch.reshape(-1, 3), image[y, x])
            # The true iris, found in the patch by the inverse affine and sent back, is where it was.
            true = camera.true_eyes(message.seq)[eye]
            u, v = np.linalg.solve(to_camera[:, :2], true - to_camera[:, 2])
            assert 0 <= u < patch.shape[1]
            assert 0 <= v < patch.shape[0]
            assert np.hypot(*(to_camera @ [u, v, 1] - true)) < 0.01
