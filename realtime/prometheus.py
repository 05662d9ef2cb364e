"""The daemon's status as Prometheus text, exposition format 0.0.4. Pure.

The values come from the wire: any may be absent or of another type, and then its line is left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

# Prometheus wants base units: seconds, bytes, ratios.
_NUMBERS: Final = {
    "fps": ("catchlight_fps", "gauge", "Messages with eyes per second, in the last second", 1),
    "captured": ("catchlight_frames_captured_total", "counter", "Frames of the camera", 1),
    "published": ("catchlight_frames_published_total", "counter", "Messages with eyes", 1),
    "dropped": ("catchlight_frames_dropped_total", "counter", "Frames dropped because a newer one was there", 1),
    "faces_found": ("catchlight_faces_found_total", "counter", "Frames in which a face was found", 1),
    "iris_px": ("catchlight_iris_diameter_pixels", "gauge", "Iris in the newest frame, in camera pixels", 1),
    "cpu_percent": ("catchlight_cpu_ratio", "gauge", "Share of one core that the daemon takes", 0.01),
    "rss_mb": ("catchlight_resident_memory_bytes", "gauge", "The daemon's memory", 1e6),
}
_QUANTILES: Final = {"p50": "0.5", "p95": "0.95", "p99": "0.99", "max": "1"}


def exposition(values: Mapping[str, Any] | None) -> str:
    """Write the values of a status message, as WIRE.md lists them; None when the daemon is not heard."""
    return "".join(f"{line}\n" for line in _lines(values))


def _lines(values: Mapping[str, Any] | None) -> Iterator[str]:
    yield from _head("catchlight_up", "gauge", "Whether the daemon was heard in the last seconds")
    yield f"catchlight_up {int(values is not None)}"
    if values is None:
        return
    for key, (name, kind, meaning, factor) in _NUMBERS.items():
        if _is_number(values.get(key)):
            yield from _head(name, kind, meaning)
            yield f"{name} {values[key] * factor:.12g}"
    yield from _quantiles(
        "catchlight_latency_seconds", "From capture to send, in the last second", {"": values.get("latency_ms")}
    )
    stages = values.get("stages_ms")
    if isinstance(stages, Mapping):
        labelled = {f'stage="{_escape(stage)}",': summary for stage, summary in stages.items()}
        yield from _quantiles("catchlight_stage_seconds", "What each stage took, in the last second", labelled)
    yield from _info("catchlight_engine_info", "What enhances the eyes now", values, ("engine", "tier"))
    camera = values.get("camera")
    if isinstance(camera, Mapping):
        yield from _info("catchlight_camera_info", "Where frames come from, and how it does", camera, ("name", "state"))


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _quantiles(name: str, meaning: str, summaries_ms: Mapping[str, Any]) -> Iterator[str]:
    """Summaries by the label that stands before the quantile; nothing when none has a number."""
    lines = [
        f'{name}{{{label}quantile="{quantile}"}} {summary[key] / 1e3:.12g}'
        for label, summary in summaries_ms.items()
        if isinstance(summary, Mapping)
        for key, quantile in _QUANTILES.items()
        if _is_number(summary.get(key))
    ]
    if lines:
        yield from _head(name, "gauge", f"{meaning}, by quantile")
        yield from lines


def _info(name: str, meaning: str, values: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    labels = [f'{key}="{_escape(values[key])}"' for key in keys if isinstance(values.get(key), str)]
    if labels:
        yield from _head(name, "gauge", meaning)
        yield f"{name}{{{','.join(labels)}}} 1"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
