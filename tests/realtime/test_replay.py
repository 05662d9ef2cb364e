import signal
import subprocess
import sys
import threading
import time

import pytest
from wire_samples import enhanced

from realtime.__main__ import main
from realtime.client import Subscriber
from realtime.config import ReplayConfig
from realtime.recorder import Recorder
from realtime.recording import Recording
from realtime.replay import schedule
from realtime.wire import encode, stamp

STEP_NS = 20_000_000


def a_message(seq, *, stream="test", topic="eyes", sent_ns=None):
    message = encode(enhanced(face=seq % 7 != 3), topic=topic, stream=stream)
    stamp(message, sent_ns=6_000_000_000 + seq * STEP_NS if sent_ns is None else sent_ns, sent_seq=seq)
    return bytes(message)


@pytest.fixture
def recording(tmp_path):
    """A folder with 25 messages of eyes, 20 ms apart, and as many of the face."""
    with Recorder(tmp_path / "recording") as recorder:
        for seq in range(25):
            recorder.write(a_message(seq))
            recorder.write(a_message(seq, topic="face"))
    return tmp_path / "recording"


def received(endpoint, arguments, *, topic="eyes", count=25):
    """The messages that a subscriber gets from `catchlight replay`, and when each came."""
    messages, times_s = [], []

    def read():
        for _ in range(count):
            messages.append(subscriber.receive_bytes())
            times_s.append(time.monotonic())

    with Subscriber(endpoint, topic, newest=False, timeout_s=10) as subscriber:
        reader = threading.Thread(target=read)
        reader.start()
        code = main(["replay", *map(str, arguments), "--bind", endpoint, "--wait-s", "0.5"])
        reader.join()
    assert code == 0
    return messages, times_s


@pytest.mark.parametrize("topic", ["eyes", "face"])
def test_a_replay_sends_the_same_bytes_at_the_same_pace(recording, tmp_path, topic):
    messages, times_s = received(f"ipc://{tmp_path}/stream", [recording], topic=topic)

    assert messages == [a_message(seq, topic=topic) for seq in range(25)]
    # Late on a busy machine, never early, and never later than the last message says it must be.
    assert times_s[-1] - times_s[0] == pytest.approx(24 * STEP_NS / 1e9, abs=0.3)


def test_a_replay_may_be_faster(recording, tmp_path):
    _, times_s = received(f"ipc://{tmp_path}/stream", [recording, "--speed", "10"])

    assert times_s[-1] - times_s[0] < 0.4


def test_recording_a_replay_gives_the_recording(recording, tmp_path):
    endpoint, copy = f"ipc://{tmp_path}/stream", tmp_path / "copy"
    command = [sys.executable, "-m", "realtime", "record", str(copy), "--connect", endpoint]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as recorder:
        while not (copy / "00000.jsonl").exists():
            assert recorder.poll() is None
            time.sleep(0.05)
        main(["replay", str(recording), "--bind", endpoint])
        recorder.terminate()
        said = recorder.stderr.read()

    assert list(Recording(copy)) == [a_message(seq) for seq in range(25)]
    assert recorder.returncode == 128 + signal.SIGTERM
    assert "25 messages recorded, 0 lost on the way" in said


def test_the_gap_between_two_runs_is_not_waited_for():
    hour_ns = 3_600_000_000_000
    messages = [
        a_message(0, stream="first"),
        a_message(1, stream="first"),
        a_message(0, stream="second", sent_ns=hour_ns),
        a_message(1, stream="second", sent_ns=hour_ns + STEP_NS),
        a_message(0, stream="third", sent_ns=5),
    ]

    assert list(schedule(messages)) == list(zip([0, 0.02, 0.02, 0.04, 0.04], messages, strict=True))


def test_a_folder_without_a_recording_ends_with_a_reason(tmp_path, capsys):
    assert main(["replay", str(tmp_path)]) == 1
    assert "expected a folder with a recording" in capsys.readouterr().err


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_none_is_refused(tmp_path, speed):
    with pytest.raises(ValueError, match="speed: expected a number above 0"):
        ReplayConfig(folder=tmp_path, speed=speed)
