import json

import pytest

from realtime import report
from realtime.config import Config
from realtime.metrics import Metrics

CONTRACT = {
    "frames_captured",
    "frames_published",
    "frames_dropped",
    "faces_found",
    "engine",
    "tier",
    "latency_ms",
    "stages_ms",
}
FACTS = {"began_ns": 5_000_000_000, "engine": "native", "tier": "A32"}


def test_it_has_the_keys_that_others_read():
    built = report.build(Config(), Metrics(), FACTS)

    assert built.keys() >= CONTRACT
    assert "began_ns" not in built


def test_it_is_json_even_when_nothing_was_measured():
    built = json.loads(json.dumps(report.build(Config(), Metrics(), FACTS), allow_nan=False))

    assert built["first_message_s"] is None
    assert built["fps"] is None


def test_the_first_message_is_timed_from_the_start_of_the_process():
    metrics = Metrics()
    metrics.first_sent_ns = 7_500_000_000

    assert report.build(Config(), metrics, FACTS)["first_message_s"] == 2.5


def test_frames_captured_but_not_published_were_dropped():
    metrics = Metrics()
    metrics.frames_captured, metrics.published = 10, 7

    assert report.build(Config(), metrics, FACTS)["frames_dropped"] == 3


def test_it_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report.json"
    report.write(path, {"first": 1})

    with pytest.raises(TypeError):
        report.write(path, {"second": object()})

    assert json.loads(path.read_text()) == {"first": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_versions_and_machine_are_named():
    assert report.versions()["numpy"].startswith("1.")
    assert report.machine()["cores"] >= 1
    assert report.peak_rss_mb() > 10
