"""What is OpenVINO's own; what every engine owes is in test_contract.py."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from engines import load_engine

pytest.importorskip("openvino")

QUIET = """
import sys
attempts = []
def audit(event, args):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        attempts.append(event)
        raise RuntimeError(f"{event} {args}")
    if event in ("os.fork", "os.posix_spawn", "subprocess.Popen", "urllib.Request"):  # a child would go unseen
        attempts.append(event)
sys.addaudithook(audit)
import numpy as np
from engines import load_engine
engine = load_engine("openvino", sys.argv[1], cache=sys.argv[2])
engine(np.zeros((2, 16, 16, 3), np.uint8))
assert sys.modules["openvino_telemetry"] is None
assert "torch" not in sys.modules
import threading, time
time.sleep(0.2)  # telemetry sends from a thread
assert not attempts, attempts
"""


def test_neither_import_nor_a_run_looks_up_a_host_or_imports_torch(random_checkpoint, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", QUIET, str(random_checkpoint()), str(tmp_path)], capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr


def test_the_second_time_a_compiled_model_comes_from_disk_and_gives_the_same(random_checkpoint, tmp_path, noise):
    batch = noise(2, 24, 24, 3)
    with load_engine("openvino", random_checkpoint(), cache=tmp_path) as engine:
        first = engine(batch)
    entries = stamps(tmp_path)

    with load_engine("openvino", random_checkpoint(), cache=tmp_path) as engine:
        second = engine(batch)

    assert np.array_equal(first, second)
    assert len(entries) == 1
    assert stamps(tmp_path) == entries


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("*.bin")}


def test_a_compiled_model_that_openvino_cannot_read_is_built_again(random_checkpoint, tmp_path, noise, caplog):
    batch = noise(1, 16, 16, 3)
    with load_engine("openvino", random_checkpoint(), cache=tmp_path) as engine:
        expected = engine(batch)
    [blob] = tmp_path.glob("*.bin")
    good = blob.read_bytes()
    swap_blob(tmp_path, b"not a model")

    with (
        caplog.at_level(logging.WARNING),
        load_engine("openvino", random_checkpoint(), cache=tmp_path) as engine,
    ):
        assert np.array_equal(engine(batch), expected)

    assert "building it again" in caplog.text
    assert len(blob.read_bytes()) == len(good)


def swap_blob(folder, content):
    """Replace the one entry's compiled engine by one with a matching record: the cache itself cannot tell."""
    import hashlib

    [blob], [record] = folder.glob("*.bin"), folder.glob("*.json")
    record.write_text(
        record.read_text().replace(hashlib.sha256(blob.read_bytes()).hexdigest(), hashlib.sha256(content).hexdigest())
    )
    blob.write_bytes(content)


def test_without_a_writable_cache_it_still_serves(random_checkpoint, tmp_path, noise, caplog):
    (tmp_path / "file").write_text("in the way")

    with (
        caplog.at_level(logging.WARNING),
        load_engine("openvino", random_checkpoint(), cache=tmp_path / "file") as engine,
    ):
        assert engine(noise(1, 16, 16, 3)).shape == (1, 32, 32, 3)

    assert "choose another cache folder" in caplog.text


def test_it_computes_in_float32_even_where_the_cpu_has_bfloat16(random_checkpoint, tmp_path, noise):
    with load_engine("openvino", random_checkpoint(), cache=tmp_path) as engine:
        engine(noise(1, 16, 16, 3))
        request = engine._requests((1, 16, 16, 3))
        precision = request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")

    assert precision.get_type_name() == "f32"


OVERLAPPING = """
import os, signal, sys
from engines import load_engine
first = load_engine("openvino", sys.argv[1], cache=sys.argv[2])
second = load_engine("openvino", sys.argv[1], cache=sys.argv[2])
del first, second
signal.signal(signal.SIGINT, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_signal_after_engines_whose_lives_overlapped_is_handled(random_checkpoint, tmp_path):
    command = [sys.executable, "-c", OVERLAPPING, str(random_checkpoint()), str(tmp_path)]

    run = subprocess.run(command, capture_output=True, text=True)

    assert (run.returncode, run.stdout) == (0, "handled\n")
