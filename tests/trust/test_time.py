"""The wall clock may be set while the daemon runs: only the time that is for people follows it."""

import itertools
import json
import subprocess
import sys

from realtime import Subscriber

HOUR_NS = 3600 * 10**9

# A daemon whose wall clock goes back an hour, for everything that asks Python for it, once a file is there.
SET_BACK = """
import sys, time
from pathlib import Path

flag, time_s, time_ns = Path(sys.argv[1]), time.time, time.time_ns
time.time = lambda: time_s() - 3600 * flag.exists()
time.time_ns = lambda: time_ns() - 3600 * 10**9 * flag.exists()

from realtime.__main__ import main

sys.exit(main(sys.argv[2:]))
"""


def test_the_wall_clock_set_back_an_hour_changes_nothing_but_the_time_for_people(tmp_path):
    flag, endpoint, report = tmp_path / "set back", f"ipc://{tmp_path}/eyes", tmp_path / "report.json"
    command = [sys.executable, "-c", SET_BACK, str(flag), "run", "--source", "demo", "--engine", "bicubic"]
    with (
        subprocess.Popen([*command, "--bind", endpoint, "--report", str(report)], stderr=subprocess.DEVNULL) as daemon,
        Subscriber(endpoint, newest=False, timeout_s=40) as subscriber,
        Subscriber(endpoint, "status", newest=False, timeout_s=40) as statuses,
    ):
        messages = [subscriber.receive() for _ in range(15)]
        flag.touch()
        messages += [subscriber.receive() for _ in range(30)]
        status = [statuses.receive() for _ in range(3)][-1].values
        daemon.terminate()

    told = json.loads(report.read_text())
    pairs = list(itertools.pairwise(messages))
    assert [after.captured_utc_ns - before.captured_utc_ns < -0.9 * HOUR_NS for before, after in pairs].count(True) == 1
    assert all(after.sent_seq == before.sent_seq + 1 and after.seq > before.seq for before, after in pairs)
    assert all(0 < after.captured_ns - before.captured_ns < 2e9 for before, after in pairs)
    assert all(0 < message.latency_ms < 2000 for message in messages)
    assert status["fps"] > 1
    assert 0 < status["latency_ms"]["p50"] < 2000
    assert 0 < told["latency_ms"]["max"] < 5000
    assert 0 < told["first_message_s"] < 60
    assert told["wall_s"] < 60
