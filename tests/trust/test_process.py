"""The daemon ends well, however it is ended."""

import json
import os
import subprocess
import sys

import pytest

RUN = [sys.executable, "-m", "realtime", "run", "--source", "demo", "--engine", "bicubic"]


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of this kind are for POSIX")
def test_a_closed_terminal_ends_the_daemon_cleanly(tmp_path):
    import fcntl
    import termios

    report, endpoint = tmp_path / "report.json", f"ipc://{tmp_path}/eyes"
    ours, its = os.openpty()
    with subprocess.Popen(
        [*RUN, "--bind", endpoint, "--report", str(report)],
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(its, termios.TIOCSCTTY, 0),
    ) as daemon:
        os.close(its)
        shown = b""
        while b"fps, p95" not in shown:  # the status line: it streams
            shown += os.read(ours, 4096)

        os.close(ours)
        daemon.wait(20)

    told = json.loads(report.read_text())
    assert daemon.returncode == 129
    assert (told["outcome"], told["threads_left"]) == ("stopped", 0)
    assert told["frames_published"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of this kind are for POSIX")
def test_a_reader_of_its_words_that_went_away_does_not_end_the_daemon(tmp_path):
    report = tmp_path / "report.json"
    endpoint = f"ipc://{tmp_path}/eyes"
    command = [*RUN, "--bind", endpoint, "--report", str(report), "--seconds", "1", "--verbose"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        for line in daemon.stderr:
            if "->" in line and endpoint in line:  # it streams
                break
        daemon.stderr.close()
        daemon.wait(40)

    assert daemon.returncode == 0
    assert json.loads(report.read_text())["frames_published"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is for POSIX")
def test_a_daemon_that_was_killed_leaves_its_endpoint_to_the_next(tmp_path):
    endpoint = f"ipc://{tmp_path}/eyes"
    with subprocess.Popen([*RUN, "--bind", endpoint], stderr=subprocess.PIPE, text=True) as killed:
        for line in killed.stderr:
            if endpoint in line:
                break
        killed.kill()
    assert (tmp_path / "eyes").exists()  # what it could not clear away

    report = tmp_path / "report.json"
    done = subprocess.run(
        [*RUN, "--bind", endpoint, "--seconds", "0.5", "--report", str(report)], capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text())["frames_published"] > 0
