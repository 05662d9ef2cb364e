"""Nothing leaves the machine: no name asked for, no connection tried, whatever the libraries would like to report."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from engines import SwinIRConfig, save_checkpoint

ENCLOSED = Path(__file__).with_name("enclosed.py")
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
TINY = ["--network.embed-dim", "8", "--network.depths", "1", "--network.heads", "2", "--data.patch", "16"]
SHORT = ["--steps", "2", "--batch", "2", "--threads", "1", "--workers", "0", "--test-every", "1"]


def why_not() -> str | None:
    """What keeps this machine from enclosing a command."""
    if sys.platform != "linux":
        return "needs Linux, whose kernel counts"
    try:
        done = subprocess.run([*UNSHARE, sys.executable, ENCLOSED, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "needs unshare, of util-linux"
    return f"needs user namespaces: {done.stderr.strip()}" if done.returncode else None


WHY_NOT = why_not()
pytestmark = [
    pytest.mark.skipif(WHY_NOT is not None, reason=f"NOT TESTED HERE: whether anything leaves the machine; {WHY_NOT}"),
    pytest.mark.timeout(240),  # a busy machine starts slowly
]


@pytest.fixture
def enclosed(tmp_path):
    """Call it with a command to run it enclosed, in a new home; gives what it printed and the kernel's counts."""

    def run(*command):
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [*UNSHARE, sys.executable, str(ENCLOSED), *map(str, command)],
            env=os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
            capture_output=True,
            text=True,
            timeout=230,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *printed, counts = done.stdout.splitlines()
        return "\n".join(printed), json.loads(counts)

    return run


@pytest.fixture(scope="module")
def tier(tmp_path_factory):
    """A small random network's checkpoint."""
    config = SwinIRConfig(embed_dim=16, depths=(2,), heads=2)
    rng = np.random.default_rng(0)
    tensors = {k: 0.02 * rng.standard_normal(s).astype(np.float32) for k, s in config.parameter_shapes().items()}
    return save_checkpoint(tmp_path_factory.mktemp("tier") / "small", config, tensors, {})


@pytest.fixture
def faces(tmp_path):
    """A folder with one face, which is labelled for testing too."""
    folder = tmp_path / "faces"
    folder.mkdir()
    large = cv2.resize(astronaut()[40:190, 150:300, ::-1], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "face.png"), large)
    pupils = ((np.array([[203.4, 100.5], [246.4, 102.8]]) - [150, 40] + 0.5) * 3 - 0.5).tolist()
    (folder / "val.json").write_text(json.dumps([{"file": "face.png", "size": [450, 450], "pupil_px": pupils}]))
    return folder


def tries(counts):
    """The counters that rose."""
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize(
    ("script", "counter"),
    [
        ("import socket; socket.socket().connect_ex(('192.0.2.1', 443))", "Ip.OutNoRoutes"),
        ("import socket; socket.socket(socket.AF_INET6).connect_ex(('2001:db8::1', 443))", "Ip6OutNoRoutes"),
        ("import socket; socket.socket(2, 2).sendto(b'name?', ('127.0.0.53', 53))", "Udp.NoPorts"),
    ],
    ids=["connection", "connection over IPv6", "resolver on loopback"],
)
def test_an_attempt_is_counted(enclosed, script, counter):
    _, counts = enclosed(sys.executable, "-c", script)

    assert counter in tries(counts)


def test_a_name_that_is_asked_for_is_counted(enclosed):
    script = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.getaddrinfo('example.org', 443)"

    _, counts = enclosed(sys.executable, "-c", script)

    assert tries(counts)


def test_a_connection_within_the_machine_is_not_counted(enclosed):
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())"

    _, counts = enclosed(sys.executable, "-c", script)

    assert not tries(counts)


@pytest.mark.parametrize("engine", ["auto", "native", "openvino", "eager"])
def test_daemon_and_subscriber_keep_to_themselves(enclosed, tier, engine, tmp_path):
    report = tmp_path / "report.json"
    python = f"{shlex.quote(sys.executable)} -m realtime"
    daemon = f"{python} run --source demo --face --engine {engine} --tier {tier} --seconds 60 --report {report}"
    messages = 150 if engine == "eager" else 5  # bicubic serves until PyTorch is there
    subscriber = f"{python} subscribe --count {messages} --timeout-s 60"

    terminated = 128 + signal.SIGTERM
    ending = f"{subscriber} && kill $daemon; wait $daemon; test $? = {terminated}"
    printed, counts = enclosed("sh", "-c", f"{daemon} & daemon=$!; {ending}")

    told = json.loads(report.read_text())
    assert told["faces_published"] > 0
    assert engine == "auto" or engine in told["by_engine"]  # on a busy machine bicubic may have the last word
    assert str(messages) in printed
    assert not tries(counts)


def test_recording_and_the_page_keep_to_themselves(enclosed, tmp_path):
    folder = tmp_path / "recording"
    command = ["run", "--source", "demo", "--engine", "bicubic", "--seconds", "3", "--preview"]

    _, counts = enclosed(sys.executable, "-m", "realtime", *command, "--sink", f"record={folder}")

    assert any(folder.rglob("*.messages"))
    assert not tries(counts)
    assert not any((tmp_path / "home").iterdir())


@pytest.mark.slow
def test_doctor_keeps_to_itself(enclosed):
    printed, counts = enclosed(sys.executable, "-m", "realtime", "doctor", "--source", "demo", "--seconds", "0.2")

    assert "demo" in printed
    assert not tries(counts)


@pytest.mark.slow
def test_training_and_testing_keep_to_themselves(enclosed, faces, tmp_path):
    train, run = [sys.executable, "-m", "train"], tmp_path / "run"
    adversarial = ["--loss.adversarial", "0.004"]
    folders = ["--data-dir", str(faces), "--val-dir", str(faces), "--out", str(run)]

    _, preparing = enclosed(*train, "prepare", faces)
    printed, training = enclosed(*train, "run", *folders, *adversarial, *TINY, *SHORT)
    _, testing = enclosed(*train, "evaluate", "--data", faces, "--tier", printed.splitlines()[-1], "--engine", "eager")

    assert (run / "state.pt").exists()
    assert not tries(preparing) | tries(training) | tries(testing)
