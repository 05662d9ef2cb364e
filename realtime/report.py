"""The JSON that a run leaves: what it counted, how long everything took, and under which configuration."""

import json
import platform
import re
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from engines.cores import available_cores
from engines.files import write_whole
from realtime.config import Config
from realtime.metrics import Metrics
from realtime.source import shown

LIBRARIES = ("catchlight", "numpy", "mediapipe", "opencv-contrib-python", "openvino", "torch", "pyzmq")


def build(config: Config, metrics: Metrics, facts: dict[str, Any]) -> dict[str, Any]:
    """The report of a run.

    facts: what the daemon knows beside its metrics, into the report as it is, but for began_ns, the process's start on
    the monotonic clock, which gives first_message_s.
    """
    captured, first_ns, began_ns = metrics.frames_captured, metrics.first_sent_ns, facts["began_ns"]
    return {
        "frames_captured": captured,
        "frames_published": metrics.published,
        "frames_dropped": captured - metrics.published,
        "faces_found": metrics.faces_found,
        "faces_published": metrics.faces_published,
        "by_engine": dict(metrics.by_engine),
        "fps": None if metrics.fps is None else round(metrics.fps, 2),
        "latency_ms": metrics.latency.summary_ms(),
        "stages_ms": {name: stage.summary_ms() for name, stage in metrics.stages.items()},
        "first_message_s": None if first_ns is None else round((first_ns - began_ns) / 1e9, 3),
        **{key: value for key, value in facts.items() if key != "began_ns"},
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "config": configuration(config),
        "versions": versions(),
        "machine": machine(),
    }


def configuration(config: Config) -> dict[str, Any]:
    """The configuration as JSON has it, without what is secret in the camera's source."""
    told: dict[str, Any] = json.loads(json.dumps(asdict(config), default=str))
    if config.camera.source is not None:
        told["camera"]["source"] = shown(config.camera.source)
    return told


def write(path: Path, report: dict[str, Any]) -> None:
    """Write it whole or not at all. Raises OSError."""
    write_whole(path, (json.dumps(report, indent=1) + "\n").encode())


def versions() -> dict[str, str]:
    """Python's and the libraries' versions; without importing any."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """The processor, how many cores this process may use, and the system with its major and minor version."""
    release = re.match(r"\d+(\.\d+)?", platform.release())
    return {
        "cpu": _cpu_name(),
        "cores": available_cores(),
        "system": f"{platform.system()} {release[0] if release else ''}".strip(),
    }


def peak_rss_mb() -> float:
    """The most memory that this process has held, in megabytes of 10^6 bytes."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    try:
        # Not getrusage: that also counts what the parent held when it started this process.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
