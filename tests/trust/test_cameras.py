"""A daemon on a real stream that fails in every way: it says so on `status`, goes on, and never goes back in time."""

import itertools
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep

import cv2
import pytest

from realtime import Subscriber
from realtime.demo import DemoCamera
from realtime.recording import Recording

SAID_S = 10.0
"""Within this a fault must be on `status`: a second to see it, one to the next status, the rest for busy machines."""
FPS = 25


def jpeg(image):
    return cv2.imencode(".jpg", image)[1].tobytes()


@pytest.fixture(scope="module")
def films():
    """What the camera shows in each of its moods, as JPEGs."""
    demo = DemoCamera(paced=False)
    good = [demo.image(seq) for seq in range(30)]
    return {
        "ok": [jpeg(image) for image in good],
        "frozen": [jpeg(good[0])],
        "black": [jpeg(image // 64) for image in good],
        "slow": [jpeg(image) for image in good],
        "lost": [],
    }


class MoodyCamera(ThreadingHTTPServer):
    """A network camera, one JPEG after the other, that shows what its mood is."""

    daemon_threads = False

    def __init__(self, films):
        super().__init__(("127.0.0.1", 0), Sender)
        self.films, self.mood, self.over = films, "ok", False


class Sender(BaseHTTPRequestHandler):
    def do_GET(self):
        camera = self.server
        self.send_response(200 if camera.films[camera.mood] else 503)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for seq in itertools.count():
                film = camera.films[camera.mood]
                if camera.over or not film:
                    return
                image = film[seq % len(film)]
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(image))
                self.wfile.write(image + b"\r\n")
                sleep(0.2 if camera.mood == "slow" else 1 / FPS)
        except OSError:
            return  # the reader has gone

    def log_message(self, *_):
        pass


@pytest.fixture
def camera(films):
    with MoodyCamera(films) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.over = True
        server.shutdown()
        thread.join()


def await_state(statuses, state):
    """Seconds until `status` says that the camera is so."""
    since = monotonic()
    while statuses.receive().values["camera"]["state"] != state:
        assert monotonic() - since < SAID_S, f"expected {state} to be said"
    return monotonic() - since


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_camera_that_fails_in_every_way_is_told_and_survived(camera, tmp_path):
    endpoint, report = f"ipc://{tmp_path}/eyes", tmp_path / "report.json"
    folder = tmp_path / "recording"
    source = f"http://127.0.0.1:{camera.server_port}/video"
    command = [sys.executable, "-m", "realtime", "run", "--source", source, "--engine", "bicubic", "--bind", endpoint]
    faults = ("frozen", "black", "slow", "lost")
    with (
        (tmp_path / "words").open("w") as words,
        subprocess.Popen([*command, "--report", report, "--sink", f"record={folder}"], stderr=words) as daemon,
        Subscriber(endpoint, "status", timeout_s=40) as statuses,
    ):
        await_state(statuses, "ok")
        for fault in faults:
            camera.mood = fault
            await_state(statuses, fault)
            camera.mood = "ok"
            await_state(statuses, "ok")
        daemon.terminate()

    messages = [message for message in Recording(folder).messages() if message.topic == "eyes"]
    told = json.loads(report.read_text())
    assert (daemon.returncode, told["outcome"], told["threads_left"]) == (143, "stopped", 0)
    for before, after in itertools.pairwise(messages):
        assert after.seq > before.seq
        assert after.captured_ns > before.captured_ns
    assert messages[0].face_found
    assert messages[-1].face_found
    marks = {mark for message in messages for mark in message.marks}
    assert {"camera_gap", "camera_black", "camera_slow"} <= marks
    said = (tmp_path / "words").read_text()
    # Once for each fault and not for each frame; but where the machine is busy, the camera is slow or lost once more.
    assert all(1 <= said.count(f" is {fault}: ") <= 3 for fault in faults)
