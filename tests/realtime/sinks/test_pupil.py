"""Against receivers written from what Pupil Capture's own code accepts and rejects."""

import threading
import time
from contextlib import contextmanager

import msgpack
import numpy as np
import pytest
import zmq

from realtime.errors import SinkError
from realtime.frames import Enhanced
from realtime.sinks.pupil import PupilOptions, PupilSink, projection
from realtime.sinks.pupil_frames import PupilFramesOptions, PupilFramesSink

AHEAD_S = 1234.5


class Capture:
    """Pupil Remote and Pupil's frame bus: answers as Pupil Capture does, and keeps what its HMD source would accept."""

    def __init__(self, port):
        self.notifications, self.pictures, self.stop = [], {}, threading.Event()
        self._port = port

    def serve(self):
        with zmq.Context() as context, context.socket(zmq.REP) as remote, context.socket(zmq.SUB) as bus:
            remote.bind(f"tcp://127.0.0.1:{self._port}")
            bus_port = bus.bind_to_random_port("tcp://127.0.0.1")
            bus.subscribe("hmd_streaming.")
            while not self.stop.is_set():
                if remote.poll(5):
                    remote.send_string(self._answer(remote.recv_multipart(), bus_port))
                while bus.poll(0):
                    self._take(*bus.recv_multipart())

    def _answer(self, question, bus_port):
        if question[0].startswith(b"notify."):
            self.notifications.append(msgpack.unpackb(question[1]))
            assert question[0].decode() == f"notify.{self.notifications[-1]['subject']}"
            return "Notification received."
        return {b"PUB_PORT": str(bus_port), b"t": repr(time.monotonic() + AHEAD_S)}[question[0]]

    def _take(self, topic, head, pixels):
        head = msgpack.unpackb(head)
        if not {"index", "projection_matrix"} <= head.keys() or head["format"] not in ("bgr", "gray"):
            return  # Pupil ignores these silently
        assert head["topic"].encode() == topic
        assert type(head["timestamp"]) is float
        assert np.shape(head["projection_matrix"]) in ((3, 3), (9,))
        image = np.frombuffer(pixels, np.uint8).reshape(head["height"], head["width"], 3)
        self.pictures[topic.decode()] = head, image


@contextmanager
def capture(port):
    pupil = Capture(port)
    thread = threading.Thread(target=pupil.serve)
    thread.start()
    try:
        yield pupil
    finally:
        pupil.stop.set()
        thread.join()


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 10 s"
        time.sleep(0.01)


def test_pupil_capture_gets_a_world_and_two_eyes(free_port, sent, feeding):
    frame = sent(height=48, width=64)
    sink = PupilSink(PupilOptions(f"tcp://127.0.0.1:{free_port}"), consent=False)

    with capture(free_port) as pupil, feeding(sink, frame):
        until(lambda: len(pupil.pictures) == 3)

    head, world = pupil.pictures["hmd_streaming.world"]
    np.testing.assert_array_equal(world, frame.enhanced.crops.frame.image)
    assert head["index"] == 41
    assert abs(head["timestamp"] - (5.0 + AHEAD_S)) < 0.05
    for eye in (0, 1):
        np.testing.assert_array_equal(pupil.pictures[f"hmd_streaming.eye{eye}"][1], frame.enhanced.patches[eye])


def test_pupil_capture_is_asked_to_start_each_source(free_port):
    with capture(free_port) as pupil, PupilSink(PupilOptions(f"tcp://127.0.0.1:{free_port}"), consent=False):
        pass

    source = {"name": "HMD_Streaming_Source"}
    assert {"subject": "start_plugin", **source, "args": {"topics": ["hmd_streaming.world"], "hwm": 1}} in (
        pupil.notifications
    )
    for eye in ("eye0", "eye1"):
        started = {"subject": "start_eye_plugin", "target": eye, **source}
        assert started | {"args": {"topics": [f"hmd_streaming.{eye}"], "hwm": 1}} in pupil.notifications


def test_only_the_chosen_cameras_are_fed(free_port, sent, feeding):
    options = PupilOptions(f"tcp://127.0.0.1:{free_port}", cameras="eye1")

    with capture(free_port) as pupil, feeding(PupilSink(options, consent=False), sent()):
        until(lambda: pupil.pictures)

    assert list(pupil.pictures) == ["hmd_streaming.eye1"]


def test_without_pupil_capture_it_says_what_to_start(free_port):
    with pytest.raises(SinkError, match="start Pupil Capture"):
        PupilSink(PupilOptions(f"tcp://127.0.0.1:{free_port}"), consent=False).__enter__()


def test_the_camera_matrix_of_a_window_shows_a_point_where_the_window_has_it(sent):
    enhanced: Enhanced = sent(height=48, width=64).enhanced
    point = np.array([0.3, -0.1, 2.0])
    camera = projection(enhanced, "frame", 700) @ point
    x, y = camera[:2] / camera[2]

    patch = projection(enhanced, "left", 700) @ point
    u, v = patch[:2] / patch[2]

    box = enhanced.crops.boxes[0]
    assert x == pytest.approx(box.x + (u + 0.5) / 2 - 0.5)
    assert y == pytest.approx(box.y + (v + 0.5) / 2 - 0.5)


def test_a_script_for_pupils_frames_gets_world_and_both_eyes(free_port, sent, feeding):
    """Does what recv_world_video_frames.py does, step by step."""
    frame = sent(height=48, width=64)
    sink = PupilFramesSink(PupilFramesOptions(f"tcp://127.0.0.1:{free_port}"), consent=False)

    with feeding(sink, frame), zmq.Context() as context, context.socket(zmq.REQ) as remote:
        remote.linger, remote.rcvtimeo = 0, 10_000
        remote.connect(f"tcp://127.0.0.1:{free_port}")
        remote.send_string("SUB_PORT")
        port = remote.recv_string()
        with context.socket(zmq.SUB) as frames:
            frames.rcvtimeo = 10_000
            frames.connect(f"tcp://127.0.0.1:{port}")
            frames.subscribe("frame.")
            notification = {"subject": "frame_publishing.set_format", "format": "bgr"}
            remote.send_string("notify." + notification["subject"], flags=zmq.SNDMORE)
            remote.send(msgpack.dumps(notification, use_bin_type=True))
            remote.recv_string()
            got = {}
            while len(got) < 3:
                topic, head, pixels = frames.recv_multipart()
                head = msgpack.unpackb(head)
                assert head["topic"] == topic.decode()
                assert head["format"] == "bgr"
                got[head["topic"]] = np.frombuffer(pixels, np.uint8).reshape(head["height"], head["width"], 3)
            remote.send_string("t")
            assert abs(float(remote.recv_string()) - time.monotonic()) < 5

    np.testing.assert_array_equal(got["frame.world"], frame.enhanced.crops.frame.image)
    np.testing.assert_array_equal(got["frame.eye.0"], frame.enhanced.patches[0])
    np.testing.assert_array_equal(got["frame.eye.1"], frame.enhanced.patches[1])
