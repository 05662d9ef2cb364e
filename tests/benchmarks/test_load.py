import json

import cv2
from load import WINDOWS, LoadConfig, cases, draw, measure


def test_quick_offers_more_than_a_camera_gives_and_more_than_one_daemon():
    quick = cases(quick=True)

    assert {fps for fps, _, _ in quick} >= {30, 60, 120}
    assert {windows for _, windows, _ in quick} == set(WINDOWS)
    assert max(daemons for _, _, daemons in quick) > 1
    assert set(quick) <= set(cases(quick=False))


def test_several_daemons_are_added_up():
    row = measure(LoadConfig(engine="bicubic"), 10, "eyes", 2, 1.0)

    assert (row["offered_fps"], row["daemons"], row["engine"]) == (20, 2, "bicubic")
    assert 5 < row["delivered_fps"] < 22
    assert row["latency_ms"]["p99"] >= row["latency_ms"]["p50"] > 0
    assert row["captured"] > 6
    assert json.dumps(row)


def test_the_curve_is_drawn(tmp_path):
    load = [
        {"offered_fps": fps, "windows": windows, "daemons": 1, "delivered_fps": min(fps, 40), "latency_ms": {"p99": 30}}
        for windows in WINDOWS
        for fps in (30, 60)
    ]

    draw(load, tmp_path / "load.png")

    assert cv2.imread(str(tmp_path / "load.png")).shape[1] > 1000
