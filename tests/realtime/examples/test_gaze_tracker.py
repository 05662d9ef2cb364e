import os
import signal as signals
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra `examples`")
sys.path.insert(0, str(Path(__file__).parent.parent))

from wire_samples import golden

from engines.bicubic import BicubicEngine
from realtime import RecordingError
from realtime.config import CropConfig
from realtime.crops import Cropper
from realtime.demo import GAZE_PATH, DemoCamera
from realtime.examples import gaze_tracker, table
from realtime.examples.gaze_tracker import OneEuro, demo_errors, find_iris, signal, signals_of
from realtime.examples.table import iris_table
from realtime.landmarks import FaceMesh
from realtime.pipeline import enhance
from realtime.recorder import Recorder
from realtime.recording import Recording
from realtime.wire import decode, encode

A_LOOK = 8


@pytest.fixture(scope="module")
def demo():
    """A demo that looks about, eight frames at each point."""
    return DemoCamera(looks_about=True, saccade_period=A_LOOK, paced=False)


@pytest.fixture(scope="module")
def recording(demo, tmp_path_factory):
    """One round of it, recorded at its own rate, with bicubic patches."""
    folder = tmp_path_factory.mktemp("gaze")
    frames = (replace(demo.read(), captured_ns=seq * 33_333_333) for seq in range(A_LOOK * len(GAZE_PATH)))
    with FaceMesh() as face_mesh, Recorder(folder) as recorder:
        for enhanced in enhance(frames, face_mesh, Cropper(CropConfig()), BicubicEngine()):
            recorder.write(encode(enhanced, stream="demo"))
    return folder


@pytest.mark.parametrize("centre", [(31.0, 20.0), (30.3, 19.6), (33.7, 21.25)])
def test_an_iris_is_found_to_a_fraction_of_a_pixel_from_a_rough_guess(centre):
    x, y = np.meshgrid(np.arange(64 * 8), np.arange(40 * 8))
    inside = np.hypot((x + 0.5) / 8 - 0.5 - centre[0], (y + 0.5) / 8 - 0.5 - centre[1]) < 9
    eye = np.where(inside, 60, 200).astype(np.uint8)
    eye[: 14 * 8] = 150  # the upper lid hides the top of it
    eye = cv2.resize(eye, (64, 40), interpolation=cv2.INTER_AREA)

    found = find_iris(eye, np.array([31.5, 21.0]), 9.4)

    assert np.hypot(*(found - centre)) < 0.25


def test_where_there_is_no_edge_the_guess_stays():
    guess = np.array([10.0, 8.0])

    assert np.hypot(*(find_iris(np.full((20, 20), 90, np.uint8), guess, 5.0) - guess)) == 0


def test_the_filter_leaves_what_stands_still_and_follows_a_jump():
    smooth = OneEuro()
    still = [smooth(frame / 30, np.array([0.5, -0.5])) for frame in range(10)]
    after = [smooth((10 + frame) / 30, np.array([-0.5, 0.5])) for frame in range(15)]

    np.testing.assert_allclose(still, [[0.5, -0.5]] * 10)
    assert np.abs(after[-1] - [-0.5, 0.5]).max() < 0.05


def test_the_filter_takes_noise_away():
    noise = np.random.default_rng(0).normal(0, 0.05, (300, 2))
    smooth = OneEuro()

    assert np.std([smooth(frame / 30, value) for frame, value in enumerate(noise)]) < 0.6 * noise.std()


def test_the_demos_gaze_is_found_after_a_calibration_and_better_in_enhanced_eyes_than_in_raw_ones(recording, demo):
    """Even bicubic patches help this tracker; half screens, of which the points span 1.8. Guessing the middle: 0.75."""
    raw, enhanced = (
        np.median(demo_errors(Recording(recording).messages(), raw=raw, demo=demo)) for raw in (True, False)
    )

    assert enhanced < 0.35
    assert enhanced < raw


def test_a_recording_without_the_calibration_points_is_refused(recording, demo):
    late = [message for message in Recording(recording).messages() if message.seq >= 9 * A_LOOK]

    with pytest.raises(RecordingError, match="got none of its first nine points"):
        demo_errors(late, raw=False, demo=demo)


def test_the_signal_moves_with_the_gaze(recording, demo):
    values = {
        demo.gaze(message.seq)[0]: signal(message)[[0, 2]].mean()
        for message in Recording(recording).messages()
        if demo.gaze(message.seq)[1] == 0
    }

    assert values[-0.9] < values[0.0] - 0.05 < values[0.9] - 0.1


@pytest.mark.parametrize("name", ["eyes-absent", "face"])
def test_without_eyes_there_is_no_signal(name):
    message = decode(golden(name))

    assert signal(message) is None
    assert list(signals_of([message])) == []


def test_the_table_of_a_recording_moves_with_the_gaze(recording, demo):
    table = iris_table(recording)

    assert len(table) == A_LOOK * len(GAZE_PATH)
    assert table.seconds.iloc[-1] == pytest.approx((len(table) - 1) / 30, abs=0.01)
    gaze_x = [demo.gaze(seq)[0] for seq in range(len(table))]
    assert np.corrcoef(table.left, gaze_x)[0, 1] > 0.9
    assert np.corrcoef(table.right, gaze_x)[0, 1] > 0.9


def record(folder, *messages):
    with Recorder(folder) as recorder:
        for message in messages:
            recorder.write(message)
    return folder


def test_the_table_has_a_line_for_each_frame_also_with_the_face_recorded_and_where_none_is_seen(tmp_path):
    messages = [golden(name) for name in ("eyes", "face", "eyes-absent")]

    table = iris_table(record(tmp_path / "faces", *messages))

    assert len(table) == 2
    assert table.left.notna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("messages", "told"),
    [((), "expected a recording with a face, got none in 0 frames"), (("eyes-absent",), "got none in 1 frames")],
    ids=["empty", "nobody"],
)
def test_the_table_of_a_recording_without_a_face_is_refused(messages, told, tmp_path):
    with pytest.raises(RecordingError, match=told):
        iris_table(record(tmp_path / "nobody", *map(golden, messages)))


def test_a_recording_without_a_face_or_that_is_too_short_has_no_errors_to_state(recording, demo):
    early = [message for message in Recording(recording).messages() if message.seq < 9 * A_LOOK]

    for messages in ([], [decode(golden("eyes-absent"))] * 3, early):
        with pytest.raises(RecordingError, match="got none with a face at its test points; record longer"):
            demo_errors(messages, raw=False, demo=demo)


def test_the_tracker_subscribes_to_a_stream_and_prints_its_signal_without_a_screen(recording, tmp_path):
    endpoint = f"ipc://{tmp_path}/stream"
    replay = [sys.executable, "-m", "realtime", "replay", str(recording), "--bind", endpoint, "--loop"]
    tracker = [sys.executable, "-u", "-m", "realtime.examples.gaze_tracker", "--connect", endpoint, "--no-screen"]
    before = signals.signal(signals.SIGINT, signals.default_int_handler)  # a child of the background would ignore it
    with (
        subprocess.Popen(replay, stderr=subprocess.DEVNULL) as replaying,
        subprocess.Popen(tracker, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tracking,
    ):
        signals.signal(signals.SIGINT, before)
        lines = [tracking.stdout.readline() for _ in range(3)]
        tracking.send_signal(signals.SIGINT)
        _, said = tracking.communicate(timeout=30)
        replaying.terminate()

    assert all(" s  left " in line and " right " in line for line in lines)
    assert (tracking.returncode, said) == (130, "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a screen without a variable that names it")
def test_without_a_screen_the_tracker_says_what_goes_without():
    environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}

    done = subprocess.run(
        [sys.executable, "-m", "realtime.examples.gaze_tracker"], capture_output=True, text=True, env=environment
    )

    assert done.returncode == 2
    assert "use --no-screen or --demo" in done.stderr


@pytest.mark.parametrize(
    ("example", "words", "told"),
    [
        (gaze_tracker, ["--demo", "none"], "none: expected a folder with a recording, got none"),
        (gaze_tracker, ["--no-screen", "--connect", "nowhere"], "nowhere: expected an endpoint"),
        (table, ["none"], "none: expected a folder with a recording, got none"),
        (table, [], "the following arguments are required: folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_an_example_cannot_do_is_said_in_a_line(example, words, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [example.__name__, *words])

    with pytest.raises(SystemExit) as ended:
        example.main()

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert told in said.splitlines()[-1]


def test_the_table_is_a_program(recording):
    command = [sys.executable, "-m", "realtime.examples.table", recording]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert len(done.stdout.splitlines()) == 1 + A_LOOK * len(GAZE_PATH)
    assert done.stderr == ""
