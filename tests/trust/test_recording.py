import json
import resource
import subprocess
import sys
import time

import pytest

from realtime import Subscriber
from realtime.recording import Recording

SMALL = 2_000_000
"""Bytes that any file may have: the nearest thing to a full disk."""


@pytest.mark.timeout(120)
def test_a_disk_that_fills_ends_the_recording_not_the_stream_and_the_exit_code_says_so(tmp_path):
    folder, report, endpoint = tmp_path / "kept", tmp_path / "report.json", f"ipc://{tmp_path}/eyes"
    command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", "bicubic", "--bind", endpoint]
    command += ["--report", str(report), "--sink", f"record={folder}"]

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))

    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=fill) as daemon,
        Subscriber(endpoint, "status", timeout_s=40) as statuses,
    ):
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
