import logging
import threading
from itertools import repeat
from time import monotonic, sleep

import pytest
from fakes import FakeCamera, grey

from realtime.camera import capturing, open_camera
from realtime.config import CameraConfig
from realtime.errors import CameraLost, CameraNotFound
from realtime.frames import Frame
from realtime.slot import LatestSlot, SlotClosed
from realtime.webcam import device_numbers


def test_demo_comes_in_the_size_and_at_the_rate_asked_for():
    with open_camera(CameraConfig(source="demo", width=320, height=240, fps=60)) as camera:
        frame = camera.read()

    assert frame.image.shape == (240, 320, 3)
    assert (camera.name, camera.width, camera.height, camera.fps) == ("demo", 320, 240, 60)


@pytest.mark.skipif(bool(device_numbers()), reason="this machine has a camera, which is then taken")
def test_without_a_camera_demo_is_taken_and_said(caplog):
    with caplog.at_level(logging.INFO), open_camera(CameraConfig(width=160, height=120)) as camera:
        assert camera.name == "demo"

    assert 'taking "demo"' in caplog.text


def test_a_webcam_that_was_lost_is_opened_again_by_its_identity(monkeypatch):
    opened = []

    class FakeWebcam(FakeCamera):
        identity = "/dev/v4l/by-id/usb-maker-serial"

        def __init__(self, source, config):
            opened.append(source)
            super().__init__(repeat(grey()), fail_after=None if len(opened) > 1 else 1)

    monkeypatch.setattr("realtime.camera.Webcam", FakeWebcam)

    with open_camera(CameraConfig(source="0")) as camera:
        assert [camera.read() is not None for _ in range(2)] == [True, True]

    assert opened == ["0", FakeWebcam.identity]


@pytest.mark.parametrize("source", ["97", "/dev/video97", "dmeo"])
def test_camera_that_is_not_there_is_not_found(source):
    with pytest.raises(CameraNotFound, match=f"source {source}: expected .* got nothing .* plug it in"):
        open_camera(CameraConfig(source=source))


def test_file_that_is_not_there_is_not_found():
    with pytest.raises(CameraNotFound, match="no such file; check the path"):
        open_camera(CameraConfig(source="nowhere/film.mp4"))


def test_stream_that_does_not_answer_is_not_found(capfd):
    with pytest.raises(CameraNotFound, match=r"//127\.0\.0\.1:9/stream: expected .* none that opens"):
        open_camera(CameraConfig(source="http://user:secret@127.0.0.1:9/stream"))

    assert capfd.readouterr().err == ""


def test_capturing_hands_over_the_frames_and_the_end():
    slot = LatestSlot[Frame]()

    with capturing(FakeCamera([grey(1), grey(2), grey(3)]), slot):
        *_, last = slot

    assert last.seq == 2


def test_frames_that_nobody_took_are_counted():
    slot = LatestSlot[Frame]()

    with capturing(FakeCamera([grey()] * 10), slot):
        while captures():
            sleep(0.01)

    assert slot.dropped == 9


def captures():
    """Whether a capture thread runs."""
    return "capture" in [thread.name for thread in threading.enumerate()]


def test_lost_camera_reaches_the_caller():
    slot = LatestSlot[Frame]()

    with (
        pytest.raises(CameraLost, match="told to fail"),
        capturing(FakeCamera([grey()] * 5, fail_after=2), slot),
    ):
        list(slot)


def test_leaving_the_block_stops_the_camera_and_joins_the_thread():
    slot = LatestSlot[Frame]()
    camera = FakeCamera(repeat(grey(1, (8, 8))))

    with capturing(camera, slot):
        slot.get(10)

    assert camera.stopped
    assert not captures()


def test_error_in_the_block_leaves_no_thread():
    slot = LatestSlot[Frame]()

    with pytest.raises(ZeroDivisionError), capturing(FakeCamera(repeat(grey(1, (8, 8)))), slot):
        raise ZeroDivisionError

    assert not captures()


def test_slow_chain_drops_frames_and_never_delays_the_camera():
    slot, ages_ns, taken = LatestSlot[Frame](), [], []
    with open_camera(CameraConfig(source="demo", width=160, height=120, fps=100)) as camera, capturing(camera, slot):
        until = monotonic() + 0.5
        while monotonic() < until:
            frame = slot.get(10)
            ages_ns.append(monotonic() - frame.captured_ns / 1e9)
            taken.append(frame.seq)
            sleep(0.05)

    assert sorted(ages_ns)[len(ages_ns) // 2] < 0.04
    assert slot.dropped >= taken[-1] - taken[0] - 2 * len(taken) > 0


def test_source_without_frames_closes_the_slot():
    slot = LatestSlot[Frame]()

    with capturing(FakeCamera([]), slot), pytest.raises(SlotClosed):
        slot.get(10)


@pytest.mark.camera
@pytest.mark.skipif(0 not in device_numbers(), reason="needs a camera")
def test_real_camera_gives_frames():
    with open_camera(CameraConfig(source="0")) as camera:
        frames = [camera.read() for _ in range(5)]

    assert all(frame.image.shape == (camera.height, camera.width, 3) for frame in frames)
