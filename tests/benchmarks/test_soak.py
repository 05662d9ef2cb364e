import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest
from soak import COUNTED, SoakConfig, exit_code, main, verdict

from realtime import RealtimeError


def run(minutes, *, growth_mb=0.0, slower=1.0, lost=0, **leaked_per_hour):
    """Rows and latencies of a run that grows, slows down at the end, loses messages, or leaks what is counted."""
    rng = np.random.default_rng(0)
    numbers = range(1, minutes + 1)
    rows = [
        {
            "minute": n,
            "rss_mb": 300 + growth_mb * n / 60 + 5 * min(n, 8),
            "messages": 600,
            "lost": lost,
            "dropped": 1,
            **{name: 11 + 5 * (n < 5) + n % 2 + round(leaked_per_hour.get(name, 0) * n / 60) for name in COUNTED},
        }
        for n in numbers
    ]
    return rows, [(rng.normal(20, 1, 600) * (slower if n > minutes / 2 else 1)).tolist() for n in numbers]


def test_a_steady_run_is_good():
    told = verdict(*run(60))

    assert told["long_enough"]
    assert told["slope_mb_per_hour"] == pytest.approx(0, abs=0.01)  # what it grew by in the warm-up is left out
    assert told["p99_ratio"] == pytest.approx(1, abs=0.05)
    assert exit_code({"verdict": told}) == 0
    assert len(told["lines"]) == 6
    assert all("good" in line for line in told["lines"])


@pytest.mark.parametrize(
    ("trouble", "line"),
    [({"growth_mb": 3.0}, 0), ({"slower": 1.4}, 1), ({"lost": 1}, 2), ({"descriptors": 6}, 3), ({"threads": 6}, 4)],
    ids=lambda v: str(v),
)
def test_a_run_that_grows_slows_down_loses_or_leaks_is_bad(trouble, line):
    told = verdict(*run(60, **trouble))

    assert exit_code({"verdict": told}) == 1
    assert [index for index, words in enumerate(told["lines"]) if "BAD" in words] == [line, 5]


def test_the_slope_is_in_megabytes_an_hour():
    assert verdict(*run(60, growth_mb=3.0))["slope_mb_per_hour"] == pytest.approx(3.0)


def test_pages_that_the_kernel_takes_and_gives_back_are_no_growth():
    rows, latencies = run(60, growth_mb=0.0)
    for row in rows[20:40:2]:
        row["rss_mb"] -= 8

    assert abs(verdict(rows, latencies)["slope_mb_per_hour"]) < 0.1


def test_memory_that_grows_in_steps_is_growth():
    rows, latencies = run(60, growth_mb=0.0)
    for row in rows:
        row["rss_mb"] += 2 * (row["minute"] // 15)

    assert verdict(rows, latencies)["slope_mb_per_hour"] > 4


def test_a_short_run_says_that_there_is_no_verdict():
    told = verdict(*run(20, growth_mb=100.0, slower=2.0))

    assert (told["long_enough"], told["good"]) == (False, None)
    assert exit_code({"verdict": told}) == 0
    assert ["not judged" in line for line in told["lines"]] == [True, True, False, False, False, False]
    assert told["lines"][-1].startswith("verdict: none; ")
    assert "memory and p99 take 30 minutes" in told["lines"][-1]


@pytest.mark.parametrize(
    ("trouble", "line"), [({"lost": 1}, 2), ({"descriptors": 60}, 3), ({"threads": 60}, 4)], ids=lambda v: str(v)
)
def test_a_short_run_that_loses_or_leaks_is_bad(trouble, line):
    told = verdict(*run(20, **trouble))

    assert told["good"] is False
    assert exit_code({"verdict": told}) == 1
    assert [index for index, words in enumerate(told["lines"]) if "BAD" in words] == [line, 5]


def test_a_run_that_measured_nothing_is_bad():
    assert exit_code({"rows": [], "verdict": {}}) == 1


def test_a_row_for_every_interval_of_a_real_daemon(tmp_path):
    config = SoakConfig(
        minutes=0.05, interval_s=1.0, engine="bicubic", json=tmp_path / "soak.json", plot=tmp_path / "soak.png"
    )

    document = main(config)

    assert json.loads((tmp_path / "soak.json").read_text()) == document
    assert len(document["rows"]) == 3
    for row in document["rows"]:
        assert row["rss_max_mb"] >= row["rss_mb"] > 50
        assert row["descriptors"] > 3
        assert row["threads"] >= 3
        assert row["receive_ms"]["p50"] >= row["send_ms"]["p50"] > 0
        assert row["messages"] > 3
    assert document["verdict"]["lost"] == 0
    assert (tmp_path / "soak.png").stat().st_size > 10_000


def test_ctrl_c_keeps_what_there_is_and_says_that_it_is_not_all(tmp_path):
    config = SoakConfig(minutes=1, interval_s=0.5, engine="bicubic", json=tmp_path / "soak.json")

    def interrupt():
        while not config.json.exists():
            sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(interrupt)
        with pytest.raises(SystemExit) as ended:
            main(config)

    document = json.loads(config.json.read_text())
    assert ended.value.code == 130
    assert document["rows"]
    assert (document["complete"], document["verdict"]["lost"]) == (False, 0)


def test_a_daemon_that_cannot_start_is_an_error_that_says_why(tmp_path):
    config = SoakConfig(minutes=0.05, source=str(tmp_path / "none.mp4"), json=tmp_path / "soak.json")

    with pytest.raises(RealtimeError, match="none\\.mp4"):
        main(config)
