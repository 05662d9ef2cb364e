import numpy as np
import pytest

from realtime.metrics import Durations, LastSecond


def test_percentiles_agree_with_numpy_to_one_percent():
    samples = np.random.default_rng(0).lognormal(16, 0.7, 10_000).astype(int)
    durations = Durations()

    for sample in samples:
        durations.add(int(sample))

    summary = durations.summary_ms()
    for name, share in {"p50": 50, "p95": 95, "p99": 99, "max": 100}.items():
        assert summary[name] == pytest.approx(np.percentile(samples, share) / 1e6, rel=0.012)


def test_nothing_measured_is_none_and_not_zero():
    assert Durations().summary_ms() == {"p50": None, "p95": None, "p99": None, "max": None}


@pytest.mark.parametrize("duration_ns", [0, 1, 10**15])
def test_durations_beyond_the_scale_are_counted(duration_ns):
    durations = Durations()

    durations.add(duration_ns)

    assert durations.count == 1
    assert durations.summary_ms()["max"] == pytest.approx(duration_ns / 1e6, abs=1e-3)


def test_a_second_look_counts_only_what_came_since_the_first():
    recent = LastSecond()
    recent.add({"engine": 5_000_000, "send": 1_000_000})

    first, second = recent.take(), recent.take()

    assert first["fps"] > 0
    assert first["latency_ms"]["max"] == 6
    assert (first["stages_ms"]["engine"]["max"], first["stages_ms"]["send"]["max"]) == (5, 1)
    assert second["fps"] == 0
    assert second["latency_ms"]["p50"] is None
    assert second["stages_ms"]["engine"]["p50"] is None
