import runpy
import sys
from pathlib import Path

import pytest
from errors import in_one_line

from engines import CheckpointError
from realtime import RealtimeError
from train.errors import DataError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FACES = ["--faces", "{here}"]


@pytest.mark.parametrize(
    "error", [CheckpointError, RealtimeError, DataError, ValueError, FileNotFoundError], ids=lambda kind: kind.__name__
)
def test_what_cannot_be_measured_is_one_line_and_code_2(capsys, error):
    with pytest.raises(SystemExit) as ended, in_one_line():
        raise error("first\n  second")

    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(": first second\n")


def test_ctrl_c_is_code_130_without_a_word(capsys):
    with pytest.raises(SystemExit) as ended, in_one_line():
        raise KeyboardInterrupt

    assert (ended.value.code, capsys.readouterr().err) == (130, "")


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), in_one_line():
        1 / 0  # noqa: B018


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["fps", "--tiers", "steam"], "tier or checkpoint 'steam': expected one of"),
        (["fps", "--tiers", "medium8", "default"], "expected a name of its own for each"),
        (["fps", "--peers", "{here}"], "expected FSRCNN_x2.pb and ESPCN_x2.pb in {here}"),
        (["fps", "--json", "{here}/none/a.json"], "none/a.json: cannot be written"),
        (["benefit", *FACES, "--tiers", "nano3"], "expected val.json"),
        (["benefit", *FACES, "--tiers", "steam"], "tier or checkpoint 'steam'"),
        (["benefit", *FACES, "--engines", "steam"], "engine: expected one of"),
        (["benefit", *FACES, "--gaze-model", "{here}"], "expected gaze-estimation-adas-0002"),
        (["benefit", *FACES, "--plots", "/dev/null/plots"], "/dev/null"),
        (["benefit", *FACES, "--json", "{here}"], "expected a file's path, got a folder"),
        (["benefit", *FACES, "--limit", "-1"], "limit: expected at least 1, got -1"),
        (["benefit", *FACES, "--limit", "0"], "limit: expected at least 1, got 0"),
        (["benefit", *FACES, "--seed", "-1"], "seed: expected at least 0, got -1"),
        (["benefit", *FACES, "--sizes-px", "0"], "sizes_px: expected at least one, from 1 on"),
        (["benefit", *FACES, "--clips", "{here}"], "clips: expected --gaze-model with it"),
        (["load", "--seconds", "0"], "seconds: expected more than 0, got 0"),
        (["load", "--json", "{here}/none/a.json"], "none/a.json: cannot be written"),
        (["load", "--plot", "{here}/a.jpg"], "expected a name that ends in .png"),
        (["soak", "--minutes", "-1"], "minutes: expected more than 0, got -1"),
        (["soak", "--json", "{here}"], "expected a file's path, got a folder"),
        (["soak", "--json", "{here}/a.json", "--plot", "{here}/none/a.png"], "none/a.png: cannot be written"),
        (["camera_noise"], "clips: expected at least one recording, got none"),
        (["camera_noise", "{here}/none.mp4"], "none.mp4, which is not there"),
        (["camera_noise", "{script}"], "camera_noise.py: expected a recording, cannot be read"),
        (["contact_sheet", "--out", "{here}/none/a.png"], "none/a.png: cannot be written"),
        (["contact_sheet", "--out", "{here}/a.xyz"], "a.xyz: expected a name that ends as a picture's does"),
        (["contact_sheet", "--out", "{here}/a.png", "--rows", "0"], "rows: expected at least 1, got 0"),
        (["contact_sheet", "--out", "{here}/a.png", "--source", "{here}/none.mp4"], "none.mp4"),
        (["contact_sheet", "--out", "{here}/a.png", "--tier", "steam"], "tier or checkpoint 'steam'"),
        (["contact_sheet", "--out", "{here}/a.png", "--engine", "steam"], "engine: expected one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.filterwarnings("ignore:.*is already imported")
def test_a_command_line_that_cannot_be_used_is_code_2_and_no_traceback(tmp_path, monkeypatch, capfd, command, words):
    script = str(BENCHMARKS / f"{command[0]}.py")
    arguments = [part.format(here=tmp_path, script=script) for part in command[1:]]
    monkeypatch.setattr(sys, "argv", [script, *arguments])

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(script, run_name="__main__")

    assert ended.value.code == 2
    said = " ".join(capfd.readouterr().err.replace("│", "").split())  # tyro draws a box around what it refuses
    assert words.format(here=tmp_path) in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
