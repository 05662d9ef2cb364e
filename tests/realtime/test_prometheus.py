import re

import pytest

from realtime.prometheus import exposition

VALUES = {
    "fps": 29.5,
    "latency_ms": {"p50": 12.5, "p95": 20, "p99": 31.25, "max": 40.0},
    "stages_ms": {"engine": {"p50": 8.5, "p95": 9, "p99": 10.25, "max": 11}, "send": {"p50": None, "max": 1}},
    "captured": 1000,
    "published": 990,
    "dropped": 10,
    "faces_found": 980,
    "engine": "native",
    "tier": "C24",
    "passed_over": ["tensorrt: no GPU"],
    "camera": {"name": "demo", "state": "ok", "width": 640, "height": 480, "fps": 30.0},
    "iris_px": 9.25,
    "hints": [],
    "cpu_percent": 37.5,
    "rss_mb": 276.4,
}
SAMPLE = re.compile(r'(?P<name>[a-z_]+)(?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (?P<value>[0-9.e+-]+)')


def samples(text):
    """Name with labels, and value; fails on lines that are neither samples nor comments."""
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    assert all(SAMPLE.fullmatch(line) for line in lines), lines
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_status_in_base_units():
    assert samples(exposition(VALUES)) == {
        "catchlight_up": 1,
        "catchlight_fps": 29.5,
        "catchlight_frames_captured_total": 1000,
        "catchlight_frames_published_total": 990,
        "catchlight_frames_dropped_total": 10,
        "catchlight_faces_found_total": 980,
        "catchlight_iris_diameter_pixels": 9.25,
        "catchlight_cpu_ratio": 0.375,
        "catchlight_resident_memory_bytes": 276.4e6,
        'catchlight_latency_seconds{quantile="0.5"}': 0.0125,
        'catchlight_latency_seconds{quantile="0.95"}': 0.02,
        'catchlight_latency_seconds{quantile="0.99"}': 0.03125,
        'catchlight_latency_seconds{quantile="1"}': 0.04,
        'catchlight_stage_seconds{stage="engine",quantile="0.5"}': 0.0085,
        'catchlight_stage_seconds{stage="engine",quantile="0.95"}': 0.009,
        'catchlight_stage_seconds{stage="engine",quantile="0.99"}': 0.01025,
        'catchlight_stage_seconds{stage="engine",quantile="1"}': 0.011,
        'catchlight_stage_seconds{stage="send",quantile="1"}': 0.001,
        'catchlight_engine_info{engine="native",tier="C24"}': 1,
        'catchlight_camera_info{name="demo",state="ok"}': 1,
    }


def test_every_metric_has_a_type_before_its_samples():
    typed = set()
    for line in exposition(VALUES).splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            assert SAMPLE.fullmatch(line)["name"] in typed


def test_ends_with_a_line_feed():
    assert exposition(VALUES).endswith("\n")


def test_silent_daemon_is_down_and_says_nothing_else():
    assert samples(exposition(None)) == {"catchlight_up": 0}


@pytest.mark.parametrize(
    "values",
    [
        {},
        dict.fromkeys(VALUES),
        dict.fromkeys(VALUES, "text"),
        {key: [1] for key in VALUES},
        {"fps": True, "latency_ms": {"p50": None}, "stages_ms": {"engine": {"p50": "a"}}, "camera": {"name": None}},
    ],
    ids=["absent", "nil", "texts", "lists", "within"],
)
def test_values_of_other_types_are_left_out(values):
    found = samples(exposition(values))

    assert {name.partition("{")[0] for name in found} <= {"catchlight_up", "catchlight_engine_info"}


def test_texts_from_the_wire_cannot_write_lines_of_their_own():
    found = samples(exposition({"engine": 'a"} 1\ncatchlight_up 0', "tier": "b\\"}))

    assert found == {"catchlight_up": 1, 'catchlight_engine_info{engine="a\\"} 1\\ncatchlight_up 0",tier="b\\\\"}': 1}


def test_large_counts_stay_exact():
    assert samples(exposition({"captured": 30 * 86400 * 3650}))["catchlight_frames_captured_total"] == 9_460_800_000
