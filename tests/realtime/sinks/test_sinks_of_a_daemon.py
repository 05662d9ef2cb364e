"""Unmodified clients, in processes of their own, receive enhanced eyes from a running daemon."""

import json
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest

from realtime.client import Subscriber
from realtime.recording import Recording

IMAGE_HUB = """
import sys, imagezmq, numpy
text, image = imagezmq.ImageHub("tcp://127.0.0.1:{port}", REQ_REP=False).recv_image()
numpy.save(sys.argv[1], image)
print(text)
"""
NETGEAR = """
import os, sys, numpy
from vidgear.gears import NetGear
receiver = NetGear(address="127.0.0.1", port="{port}", protocol="tcp", pattern=2, receive_mode=True)
numpy.save(sys.argv[1], receiver.recv())
os._exit(0)
"""
# Twenty samples, each with its time stamp by LSL's clock, and how far that is from ours.
LSL = """
import json, time, pylsl
pylsl.set_config_content("[ports]\\nIPv6=disable\\n[multicast]\\nResolveScope=machine\\n[log]\\nlevel=-3\\n")
inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", "catchlight-daemon-test", timeout=30)[0])
samples = [inlet.pull_sample(timeout=20) for _ in range(20)]
ahead_s = pylsl.local_clock() - time.monotonic()
print(json.dumps([[values[0], stamp_s - ahead_s] for values, stamp_s in samples]))
"""


def ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """Ports of a daemon's sinks, its folder; the recording there is whole once the daemon has ended."""
    folder = tmp_path_factory.mktemp("sinks")
    image_hub, netgear = ports(2)
    sinks = [f"imagezmq=tcp://127.0.0.1:{image_hub}", f"netgear=tcp://127.0.0.1:{netgear}", f"record={folder / 'kept'}"]
    if find_spec("pylsl"):
        sinks.append("lsl=catchlight-daemon-test")
    command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", "bicubic"]
    command += ["--bind", f"ipc://{folder}/eyes", "--report", str(folder / "report.json")]
    command += [word for sink in sinks for word in ("--sink", sink)]
    command += ["--i-consent-to-sending-my-face-in-clear"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if str(folder) in line:
                break
        yield {"process": process, "folder": folder, "imagezmq": image_hub, "netgear": netgear}
        process.terminate()
        process.wait(20)


def in_another_process(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, timeout=60, check=True
    )
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("package", "code"), [("imagezmq", IMAGE_HUB), ("vidgear", NETGEAR)], ids=["imagezmq", "netgear"]
)
def test_an_unmodified_client_receives_eyes_from_the_running_daemon(daemon, tmp_path, package, code):
    pytest.importorskip(package, reason=f"needs {package}, of the extra `test`")
    port = daemon["imagezmq" if package == "imagezmq" else "netgear"]

    in_another_process(code.format(port=port), tmp_path / "image.npy")

    image = np.load(tmp_path / "image.npy")
    with Subscriber(f"ipc://{daemon['folder']}/eyes", timeout_s=20) as subscriber:
        expected = np.hstack(subscriber.receive().patches)
    assert image.dtype == np.uint8
    assert image.shape == expected.shape
    # The same still scene within a second or so: other noise, other pose, the same eyes.
    assert abs(image.mean() - expected.mean()) < 15


def test_pylsl_stamps_agree_with_the_native_ones_within_a_millisecond(daemon):
    pytest.importorskip("pylsl", reason="needs pylsl, of the extra `lsl`")
    native = {}
    command = [sys.executable, "-c", LSL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        with Subscriber(f"ipc://{daemon['folder']}/eyes", newest=False, timeout_s=20) as subscriber:
            while process.poll() is None:
                message = subscriber.receive()
                native[message.seq] = message.captured_ns / 1e9
        samples = json.loads(process.stdout.read())

    both = [(stamp_s, native[int(seq)]) for seq, stamp_s in samples if int(seq) in native]
    assert len(both) >= 10
    assert max(abs(stamp_s - native_s) for stamp_s, native_s in both) < 1e-3


def test_the_recording_grows_while_the_daemon_runs_and_a_kill_loses_at_most_a_second(daemon):
    """Last of all: it kills the daemon."""
    endpoint, folder = f"ipc://{daemon['folder']}/eyes", daemon["folder"] / "kept"
    with Subscriber(endpoint, newest=False, timeout_s=20) as subscriber:
        messages = [subscriber.receive_bytes() for _ in range(30)]
    time.sleep(1)
    daemon["process"].kill()
    daemon["process"].wait(20)

    kept = set(Recording(folder))

    assert set(messages) <= kept
    assert len(list(Recording(folder).rows())) in (len(kept), len(kept) - 1)
