import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from engines import DEFAULT_TIER
from realtime.client import Subscriber
from realtime.config import CameraConfig, Config, CropConfig, EngineChoice, PublisherConfig
from realtime.daemon import run
from realtime.errors import CameraNotFound, RealtimeError
from realtime.metrics import STAGES
from realtime.recorder import Recorder
from realtime.recording import Recording

FRAMES = 20


@pytest.fixture
def film(tmp_path):
    """A video without a face."""
    path = tmp_path / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for level in range(FRAMES):
        writer.write(np.full((240, 320, 3), 100 + level, np.uint8))
    writer.release()
    return path


def configuration(source, *, engine="bicubic", tier="auto", crops=None, report=None, seconds=None, **camera):
    return Config(
        camera=CameraConfig(source=str(source), **camera),
        crops=crops or CropConfig(),
        engine=EngineChoice(engine=engine, tier=tier),
        publisher=PublisherConfig(bind="tcp://127.0.0.1:*"),
        report=report,
        seconds=seconds,
    )


def test_a_file_is_played_to_its_end_and_reported(film, tmp_path):
    report = tmp_path / "report.json"
    others = threading.active_count() - 1  # an earlier test's may still be ending

    code = run(configuration(film, report=report, as_fast_as_possible=True))

    told = json.loads(report.read_text())
    assert code == 0
    assert (told["frames_captured"], told["frames_published"], told["frames_dropped"]) == (FRAMES, FRAMES, 0)
    assert (told["faces_found"], told["engine"], told["tier"], told["outcome"]) == (0, "bicubic", "bicubic", "ended")
    assert set(told["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert set(told["stages_ms"]) == set(STAGES)
    assert told["config"]["camera"]["source"] == str(film)
    assert told["threads_left"] <= others


def test_a_file_plays_at_its_own_rate(film, tmp_path):
    report = tmp_path / "report.json"

    run(configuration(film, report=report))

    told = json.loads(report.read_text())
    assert told["frames_captured"] >= FRAMES - 2  # the last ones may have been too late
    assert 0.9 * (FRAMES - 3) / 30 < told["wall_s"] < 3


def test_the_demo_shows_a_face_and_both_eyes_go_out(tmp_path):
    report = tmp_path / "report.json"

    run(configuration("demo", report=report, seconds=1.0, as_fast_as_possible=True))

    told = json.loads(report.read_text())
    assert told["faces_found"] == told["faces_published"] == told["frames_published"] > 3
    assert told["by_engine"] == {"bicubic": told["faces_published"]}


def test_the_end_leaves_no_thread_and_no_open_file(film):
    run(configuration(film, as_fast_as_possible=True))
    threads, files = threading.active_count(), psutil.Process().num_fds()

    for _ in range(3):
        run(configuration(film, as_fast_as_possible=True))

    assert threading.active_count() == threads
    assert psutil.Process().num_fds() <= files


def test_engines_that_were_passed_over_are_told_at_the_start_and_in_the_report(film, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("engines.load.version", lambda package: "2.13.0+cpu")
    report = tmp_path / "report.json"

    run(configuration(film, engine="auto", tier="default", report=report, as_fast_as_possible=True))

    passed_over = json.loads(report.read_text())["passed_over"]
    assert passed_over[1] == "cuda: PyTorch 2.13.0+cpu is built for the CPU only"
    told = capsys.readouterr().err.splitlines()
    assert told[: len(passed_over)] == [f"passed over {reason}" for reason in passed_over]
    assert f"tier {DEFAULT_TIER}" in told[len(passed_over)]


def test_windows_that_no_message_holds_are_left_out_so_that_the_stream_goes_on(tmp_path):
    report = tmp_path / "report.json"
    crops = CropConfig(ladder=((16, 16), (640, 480)))  # the eyes of the demo would take the larger one

    run(configuration("demo", tier="medium3-x4", crops=crops, report=report, seconds=0.3, as_fast_as_possible=True))

    assert json.loads(report.read_text())["faces_published"] > 0


def test_a_source_that_cannot_be_opened_leaves_no_empty_recording(tmp_path):
    config = configuration(tmp_path / "none.mp4")

    with pytest.raises(CameraNotFound):
        run(replace(config, sink=(f"record={tmp_path / 'kept'}",)))

    assert not (tmp_path / "kept").exists()


def test_a_sink_on_the_streams_own_endpoint_does_not_keep_the_stream_from_starting(film, tmp_path, caplog):
    with socket.create_server(("127.0.0.1", 0)) as free:
        endpoint = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    config = replace(
        configuration(film, as_fast_as_possible=True, report=tmp_path / "report.json"),
        publisher=PublisherConfig(bind=endpoint),
        sink=(f"imagezmq={endpoint}",),
    )

    assert run(config) == 0

    told = json.loads((tmp_path / "report.json").read_text())
    assert told["frames_published"] == FRAMES
    assert told["sinks"][0]["dropped"] == FRAMES
    assert "expected to bind it, got: Address already in use" in caplog.text
    assert f"{FRAMES} of {FRAMES} frames were dropped: {endpoint}: expected to bind it" in caplog.text


def test_a_recording_of_a_film_as_fast_as_possible_has_every_frame(film, tmp_path, monkeypatch):
    monkeypatch.setattr("realtime.sinks.record.RecordSink.queue", 2)
    written = Recorder.write

    def slowly(recorder, message):
        time.sleep(0.05)
        written(recorder, message)

    monkeypatch.setattr(Recorder, "write", slowly)

    run(replace(configuration(film, as_fast_as_possible=True), sink=(f"record={tmp_path / 'kept'}",)))

    assert [message.seq for message in Recording(tmp_path / "kept").messages()] == list(range(FRAMES))


def test_a_failure_is_reported_too(tmp_path):
    report = tmp_path / "report.json"

    with pytest.raises(CameraNotFound):
        run(configuration(tmp_path / "none.mp4", report=report))

    told = json.loads(report.read_text())
    assert told["outcome"].startswith("CameraNotFound: source")
    assert told["frames_published"] == 0
    assert told["latency_ms"]["p50"] is None


def test_what_is_secret_in_a_source_is_in_no_report_and_no_log(tmp_path, caplog):
    report = tmp_path / "report.json"

    with caplog.at_level(logging.DEBUG), pytest.raises(CameraNotFound) as failed:
        run(configuration("http://user:hush@127.0.0.1:9/video?token=hush#hush", report=report))

    told = report.read_text()
    assert json.loads(told)["config"]["camera"]["source"] == "http://127.0.0.1:9/video"
    assert "configuration: " in caplog.text
    assert "hush" not in told + caplog.text + str(failed.value)


def test_a_report_replaces_a_file_and_nothing_else(film, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    for path in (tmp_path / "fifo", tmp_path / "link", tmp_path / "folder", Path("/dev/null"), Path("/dev/stdout")):
        with pytest.raises(ValueError, match=r"report .*: expected a file"):
            run(configuration(film, report=path, as_fast_as_possible=True))
    run(configuration(film, report=tmp_path / "file", as_fast_as_possible=True))

    assert (tmp_path / "fifo").is_fifo()
    assert json.loads((tmp_path / "file").read_text())["outcome"] == "ended"


def test_a_disk_that_takes_no_report_is_an_error(film, tmp_path):
    report = tmp_path / "report.json"
    report.with_name(f".report.json.{os.getpid()}.tmp").mkdir()

    with pytest.raises(RealtimeError, match="cannot be written"):
        run(configuration(film, report=report, as_fast_as_possible=True))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=lambda v: str(v))
def test_a_signal_ends_the_daemon_cleanly(number, code, tmp_path):
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", "bicubic"]
    command += ["--bind", f"ipc://{tmp_path}/eyes", "--report", str(report)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        daemon.stderr.readline()  # says that it streams
        time.sleep(0.5)

        asked = time.monotonic()
        daemon.send_signal(number)
        rest = daemon.communicate(timeout=20)[1]

    assert daemon.returncode == code
    assert time.monotonic() - asked < 5
    assert rest == ""
    told = json.loads(report.read_text())
    assert told["outcome"] == "stopped"
    assert told["threads_left"] == 0
    assert told["frames_published"] > 0


def test_a_signal_before_the_first_frame_ends_it_too(tmp_path):
    command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", "bicubic"]
    endpoint = tmp_path / "eyes"
    with subprocess.Popen([*command, "--bind", f"ipc://{endpoint}"], stderr=subprocess.PIPE, text=True) as daemon:
        while not endpoint.exists():  # it is bound first, and then the rest is loaded
            time.sleep(0.005)
        daemon.send_signal(signal.SIGINT)
        told = daemon.communicate(timeout=30)[1]

    assert daemon.returncode == 130
    assert told == ""


def test_a_signal_while_a_source_is_tried_that_then_fails_is_what_ended_it(tmp_path):
    report = tmp_path / "report.json"
    with socket.create_server(("127.0.0.1", 0)) as camera:
        source = f"http://127.0.0.1:{camera.getsockname()[1]}/video"
        command = [sys.executable, "-m", "realtime", "run", "--source", source, "--engine", "bicubic"]
        command += ["--bind", f"ipc://{tmp_path}/eyes", "--report", str(report)]
        daemon = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        camera.settimeout(30)
        connection, _ = camera.accept()
        daemon.send_signal(signal.SIGINT)
    connection.close()
    told = daemon.communicate(timeout=30)[1]

    assert (daemon.returncode, told) == (130, "")
    assert json.loads(report.read_text())["outcome"] == "stopped"


HANGING = """
import sys, threading

from fakes import IdentityEngine

import realtime.tiers
from engines import ResilientEngine
from realtime.__main__ import main


class Hanging(IdentityEngine):
    name = "hanging"
    calls = 0

    def _run(self, batch):
        self.calls += 1
        if self.calls == 40:
            threading.Event().wait()
        return super()._run(batch)


realtime.tiers.load_resilient = lambda *_, **__: ResilientEngine(Hanging(), [IdentityEngine])
sys.exit(main(sys.argv[1:]))
"""
"""A daemon whose engine hangs for ever in one of its calls."""


def test_an_engine_that_hangs_is_replaced_and_the_stream_goes_on(tmp_path):
    endpoint, report = f"ipc://{tmp_path}/eyes", tmp_path / "report.json"
    command = [sys.executable, "-c", HANGING, "run", "--source", "demo", "--tier", "default"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with (
        subprocess.Popen(
            [*command, "--bind", endpoint, "--report", str(report)], stderr=subprocess.DEVNULL, env=environment
        ) as daemon,
        Subscriber(endpoint, newest=False, timeout_s=40) as subscriber,
    ):
        messages = [subscriber.receive()]
        while messages[-1].engine != "identity" and len(messages) < 500:
            messages.append(subscriber.receive())
        messages += [subscriber.receive() for _ in range(10)]
        daemon.terminate()
        code = daemon.wait(10)

    made = [engine for engine, _ in groupby(message.engine for message in messages)]
    assert made == ["hanging", "bicubic", "identity"]
    first = next(message for message in messages if message.engine == "bicubic")
    assert "engine_changed" in first.marks
    assert 0.8e9 <= first.stamps_ns["engine"] - first.stamps_ns["engine_wait"] < 1e9
    assert subscriber.lost == 0
    told = json.loads(report.read_text())
    assert code == 128 + signal.SIGTERM
    assert told["outcome"] == "stopped"
    assert told["threads_left"] == 1  # the one that hangs
    assert told["by_engine"].keys() == {"hanging", "bicubic", "identity"}
    assert told["passed_over"][-1] == "hanging (identity): failed while running: no answer within 0.8 s"
