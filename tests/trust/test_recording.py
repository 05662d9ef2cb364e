import json
import subprocess
import sys
import time

import pytest
from streams import streaming

from realtime import Subscriber
from realtime.config import CameraConfig, Config, EngineChoice, PublisherConfig
from realtime.daemon import run
from realtime.errors import SinkEnded
from realtime.recording import Recording
from realtime.sinks import SINKS
from realtime.sinks.record import RecordOptions


@pytest.mark.timeout(120)
def test_a_disk_that_fills_ends_the_recording_not_the_stream_and_the_exit_code_says_so(tmp_path, disk_of):
    folder, report, endpoint = tmp_path / "kept", tmp_path / "report.json", f"ipc://{tmp_path}/eyes"
    command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", "bicubic", "--bind", endpoint]
    command += ["--report", str(report), "--sink", f"record={folder}"]

    with disk_of(2_000_000):
        daemon = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with daemon, Subscriber(endpoint, "status", timeout_s=40) as statuses:
        deadline = time.monotonic() + 60
        while statuses.receive().values["sinks"][0]["state"] != "ended":
            assert time.monotonic() < deadline
        with Subscriber(endpoint, timeout_s=10) as eyes:
            first = eyes.receive().seq
            assert eyes.receive().seq > first
        daemon.terminate()
        words = daemon.communicate(timeout=20)[1]

    told = json.loads(report.read_text())
    assert daemon.returncode == 1
    assert "sink record=" in words.splitlines()[-1]
    assert told["outcome"].startswith("SinkEnded: sink record=")
    assert told["sinks"][0]["state"] == "ended"
    assert told["threads_left"] == 0
    assert len(list(Recording(folder).messages())) >= 3


def test_a_recording_that_ends_with_the_very_last_frames_is_told_too(tmp_path, monkeypatch):
    class FullAtLast:
        queue = 1000

        def __init__(self, options, *, consent):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def pick(self, sent):
            return sent

        def send(self, sent):
            time.sleep(1)
            raise SinkEnded("the disk is full")

    monkeypatch.setitem(SINKS, "record", (RecordOptions, FullAtLast))
    report = tmp_path / "report.json"
    config = Config(
        camera=CameraConfig(source="demo", as_fast_as_possible=True),
        engine=EngineChoice(engine="bicubic"),
        publisher=PublisherConfig(bind="tcp://127.0.0.1:*"),
        sink=("record=anywhere",),
        report=report,
        seconds=0.2,
    )

    with pytest.raises(SinkEnded, match="record=anywhere: the disk is full"):
        run(config)

    assert json.loads(report.read_text())["sinks"][0]["state"] == "ended"


def test_the_command_record_says_that_the_disk_is_full_and_exits_with_one(tmp_path, disk_of):
    folder = tmp_path / "kept"
    with streaming() as publisher, disk_of(20_000):
        done = subprocess.run(
            [sys.executable, "-m", "realtime", "record", folder, "--connect", publisher.endpoint],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert "what was written before is readable; free space" in done.stderr.splitlines()[-1]
    assert len(list(Recording(folder).messages())) >= 3
