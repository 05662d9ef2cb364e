import json
import stat
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
import zmq

from engines import SwinIRConfig, save_checkpoint
from realtime.__main__ import main
from realtime.commands import COMMANDS
from realtime.publisher import Publisher, PublisherConfig

SMALL = SwinIRConfig(embed_dim=16, depths=(2,), heads=2)
ANY_PORT = ["--bind", "tcp://127.0.0.1:*"]


@pytest.fixture
def checkpoint(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {k: 0.02 * rng.standard_normal(s).astype(np.float32) for k, s in SMALL.parameter_shapes().items()}
    return save_checkpoint(tmp_path / "small", SMALL, tensors, {})


@pytest.fixture
def film(tmp_path):
    """A video of 20 frames without a face."""
    path = tmp_path / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for level in range(20):
        writer.write(np.full((240, 320, 3), 100 + level, np.uint8))
    writer.release()
    return path


def refused(capfd, code, *arguments):
    """Run the command line; check the exit code, and that standard error has one line; return the line."""
    got = main([str(argument) for argument in arguments])

    output = capfd.readouterr()
    assert got == code
    lines = output.err.splitlines()
    assert len(lines) == 1, output.err
    assert "Traceback" not in output.out
    return lines[0]


def test_no_such_camera(capfd):
    line = refused(capfd, 3, "run", "--source", 77, *ANY_PORT, "--engine", "bicubic")

    assert "source 77: expected a camera's number" in line
    assert "plug it in or name another --source" in line


def test_a_stream_that_nobody_serves(capfd):
    line = refused(capfd, 3, "run", "--source", "http://127.0.0.1:9/none", *ANY_PORT, "--engine", "bicubic")

    assert "expected a camera or stream, got none that opens" in line


def test_no_such_file(capfd, tmp_path):
    line = refused(capfd, 3, "run", "--source", tmp_path / "none.mp4", *ANY_PORT, "--engine", "bicubic")

    assert "expected a video file, got no such file; check the path" in line


def test_a_file_that_is_no_video(capfd, tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("this is not a video")

    line = refused(capfd, 3, "run", "--source", path, *ANY_PORT, "--engine", "bicubic")

    assert f"got a file without a readable frame; try `ffprobe {path}`" in line


def test_a_file_without_frames(capfd, tmp_path):
    path = tmp_path / "empty.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    writer.release()

    line = refused(capfd, 3, "run", "--source", path, *ANY_PORT, "--engine", "bicubic")

    assert "got a file without a readable frame" in line


def test_an_unknown_tier(capfd, film):
    line = refused(capfd, 4, "run", "--source", film, *ANY_PORT, "--tier", "Z99")

    assert "tier or checkpoint 'Z99': expected one of" in line


def test_an_unknown_engine(capfd, film, checkpoint):
    line = refused(capfd, 2, "run", "--source", film, *ANY_PORT, "--engine", "steam", "--tier", checkpoint)

    assert "engine: expected one of auto" in line


def test_a_damaged_checkpoint(capfd, film, checkpoint):
    damaged = bytearray(checkpoint.read_bytes())
    damaged[-1] ^= 255
    checkpoint.write_bytes(damaged)

    line = refused(capfd, 4, "run", "--source", film, *ANY_PORT, "--tier", checkpoint)

    assert "damaged: expected sha256" in line
    assert "export or install it again" in line


def test_a_port_in_use(capfd, film):
    with Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")) as other:
        line = refused(capfd, 5, "run", "--source", film, "--bind", other.endpoint, "--engine", "bicubic")

    assert "expected a free port, got one in use; stop the other program or choose another port" in line


def test_an_address_that_other_hosts_reach_without_keys(capfd, film):
    line = refused(capfd, 5, "run", "--source", film, "--bind", "tcp://0.0.0.0:*", "--engine", "bicubic")

    assert "expected keys for an address that other hosts reach, got none; make them with `catchlight keys`" in line


def test_a_report_that_cannot_be_written(capfd, tmp_path):
    line = refused(capfd, 2, "run", "--source", "demo", "--report", tmp_path / "none" / "report.json")

    assert "expected a file in a folder that can be written" in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run --seconds -1", "seconds: expected a number above 0, got -1.0"),
        ("run --fps 0", "Error parsing command.camera: fps: expected a number above 0 and at most 1000, got 0.0"),
        ("run --fps nan", "fps: expected a number above 0 and at most 1000, got nan"),
        ("run --fps 1001", "fps: expected a number above 0 and at most 1000, got 1001.0"),
        ("run --width 0", "width: expected 16 to 8192 pixels, got 0"),
        ("run --height 8193", "height: expected 16 to 8192 pixels, got 8193"),
        ("subscribe --seconds 0", "seconds: expected a number above 0, got 0.0"),
        ("subscribe --count 0", "count: expected a number above 0, got 0"),
        ("subscribe --timeout-s -1", "timeout_s: expected a number above 0, got -1.0"),
        ("subscribe --timeout-s nan", "timeout_s: expected a number above 0, got nan"),
        ("record folder --seconds 0", "seconds: expected a number above 0, got 0.0"),
        ("record folder --timeout-s nan", "timeout_s: expected a number above 0, got nan"),
        ("replay folder --speed 0", "speed: expected a number above 0, got 0.0"),
        ("doctor --seconds -1", "seconds: expected a number above 0, got -1.0"),
    ],
)
def test_a_number_that_cannot_be_meant(words, told, capfd):
    with pytest.raises(SystemExit) as ended:
        main(words.split())

    assert ended.value.code == 2
    assert told in " ".join(capfd.readouterr().err.replace("│", "").split())


def test_a_stream_of_another_wire_version(capfd):
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        done = threading.Event()

        def send():
            while not done.wait(0.02):
                socket.send(b"eyes\0\2\0\0\0\0")

        thread = threading.Thread(target=send)
        thread.start()
        try:
            line = refused(capfd, 5, "subscribe", "--connect", f"tcp://127.0.0.1:{port}", "--timeout-s", 0.5)
        finally:
            done.set()
            thread.join()

    assert "wire version: expected 1, got 2; use the same release at both ends" in line


def test_a_stream_that_says_nothing(capfd):
    line = refused(capfd, 5, "subscribe", "--connect", "tcp://127.0.0.1:1", "--timeout-s", 0.3)

    assert "expected a message on eyes within 0.3 s, got nothing; is `catchlight run` running" in line


def test_a_time_in_which_nothing_comes_is_no_success(capfd, tmp_path):
    nobody = ["--connect", "tcp://127.0.0.1:1", "--seconds", 0.3]

    for command in (["subscribe"], ["record", tmp_path / "recording"]):
        line = refused(capfd, 5, *command, *nobody)

        assert "expected a message on eyes within 0.3 s, got no" in line


def test_an_option_that_does_not_exist_is_a_usage_error(capfd):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--sauce", "demo"])

    assert ended.value.code == 2
    assert "--sauce" in capfd.readouterr().err


def help_of(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])

    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_shows_every_command(capsys):
    told = help_of(capsys).split("subcommands", 1)[1]

    assert set(COMMANDS) <= set(told.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_explains_its_options(command, capsys):
    told = help_of(capsys, command)

    assert f"usage: catchlight {command} " in told
    assert " ".join(COMMANDS[command].__doc__.split()) in " ".join(told.split())


CTRL_C_IN_AN_IMPORT = """
import os, signal, sys


class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, CtrlC())
from realtime.__main__ import main

sys.exit(main(["run", "--source", "demo", "--engine", "bicubic"]))
"""


@pytest.mark.parametrize("module", ["numpy", "tyro", "cv2"])
def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_word(module):
    command = [sys.executable, "-c", CTRL_C_IN_AN_IMPORT, module]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from realtime.__main__ import main\n"
        "try: main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'cv2', 'mediapipe', 'openvino', 'skimage'} & set(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stderr.strip() == "[]"


def test_keys_are_made_for_daemon_and_client(tmp_path, capsys):
    code = main(["keys", "--folder", str(tmp_path / "k"), "--client", "anna", "--file", str(tmp_path / "anna.json")])

    assert code == 0
    assert set(json.loads((tmp_path / "anna.json").read_text())) == {"server", "public", "secret"}
    assert (tmp_path / "anna.json").stat().st_mode & 0o777 == 0o600
    assert "catchlight run --keys" in capsys.readouterr().out


def test_subscribe_saves_patches_and_says_how_many_came(tmp_path, capsys):
    """Against a real daemon in a thread of another process."""
    folder = tmp_path / "patches"
    command = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", "bicubic", "--seconds", "20"]
    endpoint = f"ipc://{tmp_path}/eyes"
    with subprocess.Popen([*command, "--bind", endpoint], stderr=subprocess.DEVNULL) as daemon:
        try:
            code = main(
                ["subscribe", "--connect", endpoint, "--count", "3", "--save", str(folder), "--timeout-s", "30"]
            )
        finally:
            daemon.terminate()

    assert code == 0
    assert "3 messages (3 with a face)" in capsys.readouterr().out
    enhanced, raw = sorted(folder.glob("*-left.png")), sorted(folder.glob("*-right-raw.png"))
    assert (len(enhanced), len(raw)) == (3, 3)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    height, width = cv2.imread(str(raw[0])).shape[:2]
    assert cv2.imread(str(enhanced[0])).shape[:2] == (2 * height, 2 * width)
