import json

import numpy as np
import pytest

from realtime.errors import SinkError
from realtime.sinks.imagezmq import ImageZmqOptions, ImageZmqSink

imagezmq = pytest.importorskip("imagezmq", reason="needs imagezmq, of the extra `test`")


@pytest.fixture
def hub(free_port):
    """An unmodified ImageHub, and the sink that it connects to."""
    address = f"tcp://127.0.0.1:{free_port}"
    hub = imagezmq.ImageHub(address, REQ_REP=False)
    hub.zmq_socket.rcvtimeo = 5000
    yield hub, address
    hub.close()


def test_image_hub_receives_both_enhanced_eyes(hub, sent, feeding):
    hub, address = hub
    frame = sent()

    with feeding(ImageZmqSink(ImageZmqOptions(address), consent=False), frame):
        text, image = hub.recv_image()

    np.testing.assert_array_equal(image, np.hstack(frame.enhanced.patches))
    assert json.loads(text) == {"seq": 41, "captured_ns": 5_000_000_000, "view": "eyes"}


def test_image_hub_receives_another_view(hub, sent, feeding):
    hub, address = hub
    frame = sent()

    with feeding(ImageZmqSink(ImageZmqOptions(address, "face"), consent=False), frame):
        _, image = hub.recv_image()

    np.testing.assert_array_equal(image, frame.enhanced.face[0])


def test_nothing_is_sent_without_a_face(hub, sent, feeding):
    hub, address = hub

    with feeding(ImageZmqSink(ImageZmqOptions(address), consent=False), sent(face=False)) as outlet:
        assert not hub.zmq_socket.poll(300)

    assert outlet.sent > 0
    assert outlet.failures == 0


def test_a_port_that_is_taken_is_a_failure_and_the_sink_can_be_opened_again(free_port):
    address = f"tcp://127.0.0.1:{free_port}"
    sink = ImageZmqSink(ImageZmqOptions(address), consent=False)

    with sink, pytest.raises(SinkError, match="choose another address"):
        ImageZmqSink(ImageZmqOptions(address), consent=False).__enter__()
