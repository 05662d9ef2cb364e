"""The whole daemon, run as a user runs it: another process streams the demo, this one subscribes and takes the time."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any

from realtime import StreamTimeout, Subscriber
from realtime.metrics import Durations

START_S = 30.0


def run_daemon(engine: str, tier: str, size: tuple[int, int], seconds: float, *options: str) -> dict[str, Any]:
    """Stream for so many seconds; returns one row: the daemon's report in brief, and latency to the subscriber."""
    with tempfile.TemporaryDirectory() as folder:
        report, endpoint = Path(folder, "report.json"), f"ipc://{folder}/eyes"
        command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", engine, "--tier", tier]
        command += ["--width", str(size[0]), "--height", str(size[1]), "--seconds", str(seconds), *options]
        command += ["--bind", endpoint, "--report", str(report)]
        received = Durations()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
            with Subscriber(endpoint, newest=False, timeout_s=0.5) as subscriber:
                started = monotonic()
                while daemon.poll() is None and monotonic() - started < START_S + seconds:
                    try:
                        message = subscriber.receive()
                    except StreamTimeout:
                        continue
                    received.add(monotonic_ns() - message.captured_ns)
            daemon.terminate()
            errors = daemon.communicate()[1]
        if daemon.returncode or not report.exists():
            raise RuntimeError(f"{' '.join(command)}: expected to end well, got: {errors.strip()}")
        told = json.loads(report.read_text())
    keys = ("engine", "tier", "fps", "frames_captured", "frames_published", "frames_dropped", "faces_found")
    keys += ("latency_ms", "stages_ms", "cpu_share", "peak_rss_mb", "first_message_s")
    return {
        "size": f"{size[0]}x{size[1]}",
        "options": list(options),
        **{key: told[key] for key in keys},
        "receive_ms": received.summary_ms(),
    }
