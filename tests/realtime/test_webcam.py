import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep

import cv2
import numpy as np
import pytest
from fakes import noise

from realtime.camera import open_camera
from realtime.config import CameraConfig
from realtime.errors import CameraLost, CameraNotFound
from realtime.webcam import Webcam, device_number, identity_of

JPEGS = [cv2.imencode(".jpg", noise(seed, (160, 120)))[1].tobytes() for seed in range(8)]


class NetworkCamera(ThreadingHTTPServer):
    """A camera of the kind that sends one JPEG after the other, on this machine; may be switched off and on."""

    daemon_threads = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Sender)
        self.on = threading.Event()
        self.on.set()
        self.jpegs = JPEGS
        self.url = f"http://127.0.0.1:{self.server_port}/video"


class Sender(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.server.on.is_set() else 503)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        seq = 0
        try:
            while self.server.on.is_set():
                jpeg = self.server.jpegs[seq % len(self.server.jpegs)]
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                self.wfile.write(jpeg + b"\r\n")
                seq += 1
                sleep(1 / 50)
        except OSError:
            return  # the reader has gone

    def log_message(self, *_):
        pass


@pytest.fixture
def network_camera():
    with NetworkCamera() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.on.clear()
        server.shutdown()
        thread.join()


def test_stream_gives_frames_stamped_after_the_read(network_camera):
    with open_camera(CameraConfig(source=network_camera.url)) as camera:
        frames = [camera.read() for _ in range(10)]

    assert (camera.width, camera.height) == (160, 120)
    assert frames[0].image.shape == (120, 160, 3)
    assert [frame.seq for frame in frames] == list(range(10))
    assert np.all(np.diff([frame.captured_ns for frame in frames]) > 0)
    assert {frame.ts_source for frame in frames} == {"read"}


def test_stream_that_ends_is_lost(network_camera, capfd):
    with Webcam(network_camera.url, CameraConfig()) as camera:
        camera.read()
        network_camera.on.clear()

        with pytest.raises(CameraLost, match="is it still there"):
            list(iter(camera.read, None))

    assert capfd.readouterr().err == ""


def test_damaged_picture_does_not_end_the_stream(network_camera, capfd):
    network_camera.jpegs = [*JPEGS, JPEGS[0][:300], b"nothing like a picture"]

    with Webcam(network_camera.url, CameraConfig()) as camera:
        frames = [camera.read() for _ in range(30)]

    assert all(frame.image.shape == (120, 160, 3) for frame in frames)
    assert capfd.readouterr().err == ""


def test_stream_that_comes_back_goes_on(network_camera):
    with open_camera(CameraConfig(source=network_camera.url)) as camera:
        frames = [camera.read() for _ in range(5)]
        network_camera.on.clear()
        back = threading.Timer(0.4, network_camera.on.set)
        back.start()
        while frames[-1].captured_ns - frames[-2].captured_ns < 0.4e9:
            frames.append(camera.read())
        back.join()

    seqs = [frame.seq for frame in frames]
    assert np.all(np.diff(seqs) > 0)
    assert seqs[-1] - seqs[-2] >= 0.4 * camera.fps - 1


def test_password_and_query_in_a_streams_address_are_not_shown(network_camera):
    url = network_camera.url.replace("//", "//user:secret@") + "?token=secret"

    with Webcam(url, CameraConfig()) as camera:
        name = camera.name

    assert name == network_camera.url


def test_stopped_stream_ends(network_camera):
    with Webcam(network_camera.url, CameraConfig()) as camera:
        camera.stop()

        assert camera.read() is None


def test_camera_that_refuses_is_said_to_be_perhaps_in_use(network_camera):
    network_camera.on.clear()

    with pytest.raises(CameraNotFound, match=r"expected a camera or stream, got .*; is it there, and not in use"):
        Webcam(network_camera.url, CameraConfig())


def test_device_that_is_no_camera_is_not_found():
    with pytest.raises(CameraNotFound, match=r"source 98: expected .* plug it in or name another"):
        Webcam("98", CameraConfig())


@pytest.mark.parametrize(
    ("source", "number"), [("0", 0), ("12", 12), ("/dev/video3", 3), ("film.mp4", None), ("demo", None), ("-1", None)]
)
def test_source_that_means_a_camera(source, number):
    assert device_number(source) == number


def test_camera_is_known_again_by_its_link(tmp_path):
    (tmp_path / "usb-Maker_Model_4711-video-index0").symlink_to("/dev/video2")
    (tmp_path / "usb-Other_1-video-index0").symlink_to("/dev/video0")

    identity = identity_of(2, tmp_path)

    assert identity == str(tmp_path / "usb-Maker_Model_4711-video-index0")
    assert device_number(identity) == 2
    assert identity_of(5, tmp_path) == "5"


def test_camera_that_came_back_under_another_number_is_found_there(tmp_path):
    link = tmp_path / "usb-Maker_Model_4711-video-index0"
    link.symlink_to("/dev/video2")
    identity = identity_of(2, tmp_path)

    link.unlink()
    link.symlink_to("/dev/video5")

    assert device_number(identity) == 5
