import json
import subprocess
import sys
from pathlib import Path
from time import sleep

import fps
import pytest
from peak import peak_gflops
from peers import peers
from timing import CALLS_FOR_P95, MIN_CALLS, SETTLE_S, Contender, race
from whole import combined, in_rounds, run_daemon

from engines import SwinIRConfig, load_checkpoint, load_engine, save_checkpoint
from engines.swinir import SwinIR
from realtime import RealtimeError

SMALL = SwinIRConfig(embed_dim=16, depths=(2,), heads=2)


def waiting(name, seconds, least_calls=MIN_CALLS):
    return Contender(call=lambda: sleep(seconds), facts={"name": name}, least_calls=least_calls)


def test_a_race_finds_out_who_is_faster():
    slow, fast = race([waiting("slow", 0.06), waiting("fast", 0.005)], 1.5, settle_s=0.003)

    assert (slow["name"], fast["name"]) == ("slow", "fast")
    assert 60 <= slow["median_ms"] < 75
    assert 5 <= fast["median_ms"] < 15
    assert fast["calls"] > slow["calls"] >= MIN_CALLS


def test_even_the_slowest_is_called_often_enough_to_have_a_median():
    often, seldom = race([waiting("often", 0.01, CALLS_FOR_P95), waiting("seldom", 0.02)], 0.0, settle_s=0)

    assert (often["calls"], seldom["calls"]) == (CALLS_FOR_P95, MIN_CALLS)
    assert often["p95_ms"] >= often["median_ms"]
    assert seldom["p95_ms"] >= seldom["median_ms"] > 0
    assert fps.times(often)[1] == f"{often['p95_ms']:.2f}"
    assert fps.times(seldom)[1] == ""  # which would be the slowest of five


def test_a_contender_that_is_slow_beside_the_pause_only_a_little_sits_out_no_round():
    slow, fast = race([waiting("slow", 0.02), waiting("fast", 0.001)], 1.0)

    assert abs(slow["calls"] - fast["calls"]) <= 1
    assert slow["calls"] == pytest.approx(1 / (2 * SETTLE_S + 0.021), abs=3)


def test_operations_agree_with_a_count_by_hand():
    """16 channels, one group of two layers, on 64x64 tokens: by the paper's figures."""
    tokens, c = 64 * 64, 16
    layer = 4 * c * c + 2 * 2 * c * c + 2 * 64 * c  # qkv and projection, MLP, attention in windows of 64
    convolutions = 9 * 3 * c + 9 * c * c + 9 * c * c + 9 * c * 12  # first, group, body, up

    assert fps.gflop(SMALL, (1, 64, 64)) == pytest.approx(2 * tokens * (2 * layer + convolutions) / 1e9)


def test_operations_grow_with_the_batch_and_with_padding():
    assert fps.gflop(SMALL, (2, 64, 64)) == 2 * fps.gflop(SMALL, (1, 64, 64))
    assert fps.gflop(SMALL, (1, 57, 57)) == fps.gflop(SMALL, (1, 64, 64))


def test_parameters_of_the_paper_s_network():
    assert 878_000 <= fps.parameters(SwinIRConfig()) <= 910_200


def test_random_weights_are_marked_and_run(tmp_path):
    path = fps.random_checkpoint(tmp_path / "random", SMALL)

    with load_engine("eager", path) as engine:
        row = fps.contender(engine, (1, 16, 16), SMALL, MIN_CALLS, random=True)

    assert row.call().shape == (1, 32, 32, 3)
    assert (row.facts["shape"], row.facts["random"]) == ("1x16x16", True)
    assert row.facts["sha256"] == load_checkpoint(path).sha256


def test_tiers_go_by_the_name_that_rows_have_and_no_two_by_the_same(tmp_path):
    paths = [str(fps.random_checkpoint(tmp_path / name, SMALL)) for name in ("mine.v2", "a/mine.v2")]

    assert fps.by_name(["default", paths[0]]) == {"medium8": "medium8", "mine.v2": paths[0]}
    with pytest.raises(ValueError, match=r"expected a name of its own for each, got .*mine\.v2"):
        fps.by_name(paths)


def told(p95, most, fps):
    """A row of run_daemon()."""
    ms = {"p50": 10.0, "p95": p95, "p99": None, "max": most}
    numbers = {"cpu_share": 0.5, "first_message_s": 2.0, "frames_captured": 300, "faces_found": 299}
    times = {"latency_ms": ms, "receive_ms": ms, "stages_ms": {"engine": ms}}
    return {"engine": "native", "size": "640x480", "fps": fps, "peak_rss_mb": most} | numbers | times


def test_every_case_is_run_before_any_is_run_again():
    ran = []

    def run(case):
        ran.append(case)
        return told(20.0, 40.0, float(len(ran)))

    rows = list(in_rounds("abc", 2, run))

    assert "".join(ran) == "abcabc"
    assert [len(row) for row in rows] == [1, 2, 3, 3, 3, 3]
    assert [row["fps"] for row in rows[-1]] == [2.5, 3.5, 4.5]


def test_a_daemon_s_rounds_are_one_row_that_keeps_how_far_they_lie_apart():
    row = combined([told(20.0, 40.0, 30.0), told(30.0, 90.0, 29.0)])

    assert row["latency_ms"] == row["stages_ms"]["engine"] == {"p50": 10.0, "p95": 25.0, "p99": None, "max": 90.0}
    assert (row["engine"], row["fps"], row["frames_captured"], row["peak_rss_mb"]) == ("native", 29.5, 600, 90.0)
    assert row["rounds"] == [
        {"fps": 30.0, "latency_p95_ms": 20.0, "receive_p95_ms": 20.0},
        {"fps": 29.0, "latency_p95_ms": 30.0, "receive_p95_ms": 30.0},
    ]


def test_peers_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected FSRCNN_x2\.pb and ESPCN_x2\.pb in"):
        peers(tmp_path, fps.pixels((2, 16, 16), 3))


def test_opencv_s_own_methods_are_peers_without_any_file():
    contenders = peers(None, fps.pixels((2, 16, 16), 3))

    assert [c.facts["peer"] for c in contenders] == ["cv2 bicubic", "cv2 lanczos4"]
    assert contenders[0].call()[0].shape == (32, 32, 3)


def test_the_peak_is_plausible():
    gflops, how = peak_gflops(1)

    assert 1 < gflops < 10_000
    assert how


def test_the_whole_daemon_is_timed_up_to_its_subscriber():
    row = run_daemon("bicubic", "default", (640, 480), 1.0)

    assert row["frames_published"] > 3
    assert row["receive_ms"]["p50"] >= 0.9 * row["latency_ms"]["p50"] > 0


def test_a_daemon_that_cannot_start_is_an_error_that_says_why():
    with pytest.raises(RealtimeError, match="engine: expected one of"):
        run_daemon("steam", "default", (640, 480), 1.0)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_command_ends_with_one_json_document(tmp_path):
    tier, file = save_checkpoint(tmp_path / "small", SMALL, SwinIR(SMALL).tensors(), {}), tmp_path / "fps.json"
    command = [sys.executable, str(Path(fps.__file__)), "--quick", "--engines-only", "--tiers", str(tier)]

    done = subprocess.run([*command, "--json", str(file)], capture_output=True, text=True, timeout=200, check=True)

    document = json.loads(done.stdout.splitlines()[-1])
    assert document == json.loads(file.read_text())
    assert (document["default_tier"], document["pipeline"]) == ("small", [])
    assert {row["shape"] for row in document["engines"]} == {"2x48x64"}
    assert {"openvino", "bicubic"} <= {row["engine"] for row in document["engines"]}
    assert document["complete"]
    assert (document["settle_s"], document["config"]["peers"]) == (SETTLE_S, None)
    for row in document["engines"] + document["scaling"]:
        assert row["calls"] >= MIN_CALLS
        assert row["median_ms"] > 0
        assert row["p95_ms"] >= row["median_ms"]
    small = {row["engine"]: row for row in document["engines"] if row["tier"] == "small"}
    assert small["openvino"]["calls"] >= CALLS_FOR_P95
    assert {row["sha256"] for row in small.values()} == {load_checkpoint(tier).sha256}
