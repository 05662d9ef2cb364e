import json
import subprocess
import sys
from pathlib import Path
from time import sleep

import fps
import pytest
from peak import peak_gflops
from peers import peers
from timing import MIN_CALLS, Contender, race
from whole import run_daemon

from engines import SwinIRConfig, load_engine

SMALL = SwinIRConfig(embed_dim=16, depths=(2,), heads=2)


def waiting(name, seconds):
    return Contender(call=lambda: sleep(seconds), facts={"name": name})


def test_a_race_finds_out_who_is_faster():
    slow, fast = race([waiting("slow", 0.06), waiting("fast", 0.005)], 1.5)

    assert (slow["name"], fast["name"]) == ("slow", "fast")
    assert 60 <= slow["median_ms"] < 75
    assert 5 <= fast["median_ms"] < 15
    assert fast["calls"] > slow["calls"] >= MIN_CALLS


def test_even_the_slowest_is_called_often_enough_to_have_a_median():
    (row,) = race([waiting("slow", 0.05)], 0.0)

    assert row["calls"] == MIN_CALLS
    assert row["p95_ms"] >= row["median_ms"]


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
        row = fps.contender(engine, (1, 16, 16), SMALL, random=True)

    assert row.call().shape == (1, 32, 32, 3)
    assert (row.facts["shape"], row.facts["random"]) == ("1x16x16", True)


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
    with pytest.raises(RuntimeError, match="engine: expected one of"):
        run_daemon("steam", "default", (640, 480), 1.0)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_command_ends_with_one_json_document(tmp_path):
    tier, file = fps.random_checkpoint(tmp_path / "small", SMALL), tmp_path / "fps.json"
    command = [sys.executable, str(Path(fps.__file__)), "--quick", "--engines-only", "--tiers", str(tier)]

    done = subprocess.run([*command, "--json", str(file)], capture_output=True, text=True, timeout=200, check=True)

    document = json.loads(done.stdout.splitlines()[-1])
    assert document == json.loads(file.read_text())
    assert (document["default_tier"], document["pipeline"]) == ("small", [])
    assert {row["shape"] for row in document["engines"]} == {"2x48x64"}
    assert {"openvino", "bicubic"} <= {row["engine"] for row in document["engines"]}
    assert all(row["p95_ms"] >= row["median_ms"] > 0 for row in document["engines"] + document["scaling"])
