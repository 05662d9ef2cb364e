"""The whole daemon, run as a user runs it: another process streams the demo, this one subscribes and takes the time."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any, TypeVar

import numpy as np

from realtime import RealtimeError, StreamTimeout, Subscriber
from realtime.metrics import Durations

START_S = 30.0
Case = TypeVar("Case")


def run_daemon(engine: str, tier: str, size: tuple[int, int], seconds: float, *options: str) -> dict[str, Any]:
    """Stream for so many seconds; returns one row: the daemon's report in brief, and latency to the subscriber.

    Raises RealtimeError with the daemon's words when it does not end well. It is ended in any case.
    """
    with tempfile.TemporaryDirectory() as folder:
        report, endpoint = Path(folder, "report.json"), f"ipc://{folder}/eyes"
        command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", engine, "--tier", tier]
        command += ["--width", str(size[0]), "--height", str(size[1]), "--seconds", str(seconds), *options]
        command += ["--bind", endpoint, "--report", str(report)]
        received = Durations()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
            try:
                with Subscriber(endpoint, newest=False, timeout_s=0.5) as subscriber:
                    started = monotonic()
                    while daemon.poll() is None and monotonic() - started < START_S + seconds:
                        try:
                            message = subscriber.receive()
                        except StreamTimeout:
                            continue
                        received.add(monotonic_ns() - message.captured_ns)
            finally:
                daemon.terminate()
            errors = daemon.communicate()[1]
        if daemon.returncode or not report.exists():
            raise RealtimeError(f"{' '.join(command)}: expected to end well, got: {errors.strip()}")
        told = json.loads(report.read_text())
    keys = ("engine", "tier", "fps", "frames_captured", "frames_published", "frames_dropped", "faces_found")
    keys += ("latency_ms", "stages_ms", "cpu_share", "peak_rss_mb", "first_message_s")
    return {
        "size": f"{size[0]}x{size[1]}",
        "options": list(options),
        **{key: told[key] for key in keys},
        "receive_ms": received.summary_ms(),
    }


def in_rounds(
    cases: Sequence[Case], rounds: int, run: Callable[[Case], dict[str, Any]]
) -> Iterator[list[dict[str, Any]]]:
    """Run every case once, then every case again; after each run, a row for each case so far, its rounds combined."""
    taken: list[list[dict[str, Any]]] = [[] for _ in cases]
    for _ in range(rounds):
        for case, told in zip(cases, taken, strict=True):
            told.append(run(case))
            yield [combined(told) for told in taken if told]


def combined(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of several of one case: frames summed, the most of memory, and of all else the median of the rounds.

    "rounds" has each one's rate and p95s, in their order: how far they lie apart is what the medians do not say.
    """
    numbers = ("fps", "latency_ms", "stages_ms", "cpu_share", "first_message_s", "receive_ms")
    return {
        **rounds[0],
        **{name: sum(row[name] for row in rounds) for name in rounds[0] if name.startswith(("frames_", "faces_"))},
        **{name: _middle([row[name] for row in rounds]) for name in numbers},
        "peak_rss_mb": max(row["peak_rss_mb"] for row in rounds),
        "rounds": [
            {
                "fps": row["fps"],
                "latency_p95_ms": row["latency_ms"]["p95"],
                "receive_p95_ms": row["receive_ms"]["p95"],
            }
            for row in rounds
        ],
    }


def _middle(values: Sequence[Any]) -> Any:  # noqa: ANN401 - numbers, or dicts of them of any depth
    """The median of numbers, under each key where they are dicts; the largest under "max"; None where there is none."""
    if isinstance(values[0], dict):
        by_key = {key: [value[key] for value in values] for key in values[0]}
        return {key: (_most if key == "max" else _middle)(found) for key, found in by_key.items()}
    known = [value for value in values if value is not None]
    return round(float(np.median(known)), 3) if known else None


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
