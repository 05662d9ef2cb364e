import itertools
import time

import cv2
import numpy as np
import pytest
from fakes import FakeCamera, grey, noise

from realtime.config import DoctorConfig
from realtime.doctor import advice, examine, gate_in_brief, look, measure, scores_in_brief
from realtime.errors import CameraNotFound
from realtime.landmarks import FaceMesh
from realtime.watchdog import CameraWatch


@pytest.fixture(scope="module")
def face_mesh():
    with FaceMesh() as mesh:
        yield mesh


def test_the_real_size_and_rate_of_a_source_are_measured(face_mesh):
    small, *_ = measure("demo", 0.5, face_mesh)

    assert small.asked == small.got == (640, 480)
    assert 5 < small.fps <= 31
    assert 6 < small.iris_px < 12


def test_a_source_with_one_size_is_measured_once(face_mesh, tmp_path):
    path = tmp_path / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for level in range(20):
        writer.write(np.full((240, 320, 3), 100 + level, np.uint8))
    writer.release()

    (mode,) = measure(str(path), 0.3, face_mesh)

    assert mode.got == (320, 240)
    assert mode.iris_px is None


def a_sound_film():
    for number in itertools.count():
        time.sleep(1 / 30)
        yield noise(number)


def a_frozen_film():
    while True:
        time.sleep(1 / 30)
        yield grey()


def no_camera():
    raise CameraNotFound("fake: expected a camera, got none; plug it in")


@pytest.mark.parametrize(
    ("camera", "state"),
    [
        (FakeCamera(a_sound_film()), "ok"),
        (FakeCamera(a_frozen_film()), "frozen"),
        (FakeCamera(a_sound_film(), fail_after=3), "lost"),
        (FakeCamera(a_sound_film(), fail_after=0), "lost"),
    ],
    ids=["sound", "frozen", "dying", "dead"],
)
def test_a_camera_that_fails_is_named_in_time(face_mesh, camera, state):
    began_s = time.monotonic()

    mode = look(CameraWatch(no_camera, camera), (640, 480), 1.2, face_mesh)

    assert time.monotonic() - began_s < 8  # a reading CameraWatch would wait for ever
    assert mode.state == state


@pytest.mark.parametrize(
    ("iris", "said"),
    [(None, "no face seen"), (3.0, "bicubic is sent"), (7.0, "move closer"), (12.0, "good")],
)
def test_a_person_is_told_what_to_do(iris, said):
    assert said in advice(iris)


def test_what_is_wrong_with_the_camera_comes_before_its_eyes():
    assert advice(None, "frozen").startswith("frozen: the same image")
    assert advice(None, "lost").startswith("lost: ")
    assert advice(12.0, "slow") == advice(12.0)


def test_a_small_iris_is_asked_closer_and_a_large_one_is_not():
    assert "move closer" in advice(9.9)
    assert "move closer" not in advice(10.0)


def test_everything_is_shown_and_a_source_that_is_not_there_does_not_stop_it(capsys):
    code = examine(DoctorConfig(source="77", seconds=0.1))

    shown = capsys.readouterr().out
    assert code == 3
    assert "source 77: expected a camera's number" in " ".join(shown.split())
    for name in ("tensorrt", "cuda", "native", "openvino", "eager"):
        assert f"engine {name}" in shown
    assert "mediapipe 0.10" in shown
    assert "libzmq 4" in shown


def test_scores_of_a_weight_are_its_gains_over_bicubic():
    record = {"scores": {"dark": {"tier": {"psnr_rgb": 34.36}, "bicubic": {"psnr_rgb": 31.37}}}}

    assert scores_in_brief(record) == "dark +2.99 dB"
    assert scores_in_brief({}) == scores_in_brief({"scores": 3}) == "not recorded"


def test_verdict_of_the_gate_names_the_rules_that_are_broken():
    passed = {"gate": {"passed": True, "faces": 73, "failed": [], "sha256": "a"}}
    broken = {"gate": {"passed": False, "faces": 73, "failed": ["iris_lab: clean: 0.36, limit 0"], "sha256": "a"}}

    assert gate_in_brief(passed, "a") == "passed, 73 faces"
    assert gate_in_brief(broken, "a") == "FAILED, 73 faces:\niris_lab: clean: 0.36, limit 0"
    assert gate_in_brief(passed, "b") == "of other weights: python -m train gate --write"
    assert gate_in_brief({}, "a") == "not recorded"
