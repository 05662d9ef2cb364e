import json
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from engines import SwinIRConfig, load_checkpoint, load_engine, save_checkpoint
from engines.swinir import SwinIR
from train.__main__ import main
from train.evaluate import interpolation
from train.state import read_state

TINY = ["--network.embed-dim", "8", "--network.depths", "1", "--network.heads", "2", "--data.patch", "16"]
SHORT = ["--steps", "2", "--batch", "2", "--workers", "0", "--threads", "1"]


@pytest.fixture
def checkpoint(tmp_path):
    """Call it with fields of SwinIRConfig to get the path of an untrained network, which is bicubic."""

    def make(name="untrained", **fields):
        config = SwinIRConfig(**{"embed_dim": 8, "depths": (1,), "heads": 2} | fields)
        return str(save_checkpoint(tmp_path / name, config, SwinIR(config).tensors(), {}))

    return make


def test_dry_run_prints_the_configuration_and_does_nothing(tmp_path, capsys):
    code = main(["run", "--dry-run", "--scale", "4", "--out", str(tmp_path / "run"), *TINY])

    printed = capsys.readouterr().out.splitlines()
    assert code == 0
    assert {"network.scale = 4", "network.embed-dim = 8", "batch = 16"} <= set(printed)
    assert not (tmp_path / "run").exists()


def test_run_trains_at_the_scale_asked_for(faces_dir, tmp_path, capsys):
    code = main(["run", "--data-dir", str(faces_dir), "--scale", "4", "--out", str(tmp_path / "x4"), *TINY, *SHORT])

    assert code == 0
    assert load_checkpoint(capsys.readouterr().out.splitlines()[-1]).config.scale == 4


def test_run_prepares_a_folder_that_has_no_manifest(tmp_path, portrait, capfd):
    (tmp_path / "faces").mkdir()
    cv2.imwrite(str(tmp_path / "faces" / "a.png"), portrait()[0])

    code = main(["run", "--data-dir", str(tmp_path / "faces"), "--out", str(tmp_path / "run"), *TINY, *SHORT])

    assert code == 0
    assert "1 faces; 0 rejected" in capfd.readouterr().out


@pytest.mark.parametrize(("scale", "frames"), [(2, 1), (2, 3), (4, 1)])
def test_evaluate_prints_a_table_and_writes_it(checkpoint, val_dir, tmp_path, capsys, scale, frames):
    tier, report = checkpoint(scale=scale, frames=frames), tmp_path / "scores.json"

    code = main(["evaluate", "--data", str(val_dir), "--tier", tier, "--engine", "eager", "--json", str(report)])

    printed = capsys.readouterr().out
    scores = json.loads(report.read_text())
    assert code == 0
    assert f"x{scale}, {frames} frame(s), engine eager, 4 eyes" in printed
    about = {"tier": "untrained", "scale": scale, "frames": frames, "engine": "eager", "quick": False, "still": False}
    assert {name: scores[name] for name in about} == about
    for methods in scores["conditions"].values():
        # An untrained network is bicubic, but for back-projection, and takes no noise away that this could tell by.
        assert -1.0 < methods["tier"]["psnr_rgb"] - methods["bicubic"]["psnr_rgb"] < 2.0


def test_quick_takes_every_fourth_face_and_still_faces_do_not_move(checkpoint, val_dir, capsys):
    command = ["evaluate", "--data", str(val_dir), "--tier", checkpoint(frames=2), "--engine", "eager"]

    code = main([*command, "--quick", "--still"])

    assert code == 0
    assert ", 2 eyes" in capsys.readouterr().out


def test_compare_draws_tiers_of_several_frames_beside_each_other(checkpoint, val_dir, tmp_path):
    tiers = [checkpoint("one", frames=1), checkpoint("three", frames=3)]

    code = main(
        ["compare", "--data", str(val_dir), "--tier", *tiers, "--engine", "eager", "--out", str(tmp_path / "a.png")]
    )

    assert code == 0
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] == 5 * 260


def test_compare_shows_two_checkpoints_of_one_name(checkpoint, val_dir, tmp_path):
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
    tiers = [checkpoint(f"{run}/net") for run in ("a", "b")]

    code = main(
        ["compare", "--data", str(val_dir), "--tier", *tiers, "--engine", "eager", "--out", str(tmp_path / "a.png")]
    )

    assert code == 0
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] == 5 * 260


def test_compare_refuses_two_scales(checkpoint, val_dir, capsys):
    code = main(
        ["compare", "--data", str(val_dir), "--tier", checkpoint("a"), checkpoint("b", scale=4), "--engine", "eager"]
    )

    assert code == 1
    assert "expected one scale, got a x2, b x4" in capsys.readouterr().err


def test_export_writes_what_lies_between_two(checkpoint, tmp_path):
    a, b = checkpoint("a"), checkpoint("b")

    code = main(["export", "--interpolate", a, b, "--weight", "0.25", "--out", str(tmp_path / "mix")])

    mixed, first, second = (load_checkpoint(p) for p in (tmp_path / "mix", a, b))
    name = "conv_first.weight"
    assert code == 0
    np.testing.assert_allclose(mixed.tensors[name], 0.75 * first.tensors[name] + 0.25 * second.tensors[name], atol=1e-6)


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize(
    "fields", [{}, {"scale": 4}, {"unshuffle": 2}, {"frames": 3}], ids=["x2", "x4", "unshuffled", "three frames"]
)
def test_export_writes_onnx_that_equals_eager(tmp_path, fields, batch):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    config = SwinIRConfig(**{"embed_dim": 8, "depths": (1,), "heads": 2} | fields)
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(0, 0.05, shape).astype(np.float32) for name, shape in config.parameter_shapes().items()}
    path = str(save_checkpoint(tmp_path / "random", config, tensors, {}))

    code = main(
        ["export", path, "--onnx", str(tmp_path / "a.onnx"), "--onnx-size", "16", "24"]
        + (["--onnx-batch", str(batch)] if batch else [])
    )

    session = runtime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    assert code == 0
    assert session.get_inputs()[0].shape == [batch or "N", 16, 24, 3 * config.frames]
    with load_engine("eager", path) as eager:
        for n in (batch,) if batch else (1, 3):
            x = rng.integers(0, 256, (n, 16, 24, 3 * config.frames), dtype=np.uint8)
            made, expected = session.run(None, {"batch": x})[0], eager(x)
            assert made.shape == expected.shape == (n, 16 * config.scale, 24 * config.scale, 3)
            assert np.abs(made.astype(int) - expected).max() <= 1
            assert np.abs(expected.astype(int) - interpolation(cv2.INTER_CUBIC, config.scale)(x)).max() > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "gone"], "gone: expected a folder"),
        (["run", "--scale", "3"], "scale: expected 2, 4 or 8, got 3"),
        (["run", "--scale", "0"], "scale: expected a positive integer, got 0"),
        (["evaluate", "--data", "gone", "--tier", "gone"], "tier or checkpoint 'gone'"),
        (["gate", "gone"], "tier or checkpoint 'gone'"),
        (["export"], "expected a source or --interpolate A B"),
        (["export", "gone"], "expected --out"),
        (["export", "gone", "--out", "a"], "tier or checkpoint 'gone'"),
        (["export", ".", "--out", "a"], "state.pt: expected a run's state, found none"),
    ],
)
def test_mistake_is_answered_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    code = main(arguments)

    error = capsys.readouterr().err
    assert code == 1
    assert error.startswith("train: ")
    assert message in error
    assert error.count("\n") == 1


def test_full_disk_ends_the_run_with_one_line(faces_dir, tmp_path, disk_of, capsys):
    command = ["run", "--data-dir", str(faces_dir), "--out", str(tmp_path / "run"), *TINY, "--log-every", "1"]

    with disk_of(1_000):
        code = main([*command, "--steps", "100", "--batch", "2", "--workers", "0", "--threads", "1"])

    error = capsys.readouterr().err
    assert code == 1
    assert error.startswith(f"train: {tmp_path / 'run'}: cannot write the log: File too large; free some space")
    assert error.count("\n") == 1


def test_folder_that_cannot_be_prepared_ends_the_run(tmp_path, capfd):
    code = main(["run", "--data-dir", str(tmp_path), "--out", str(tmp_path / "run")])

    assert code == 1
    assert "expected pictures" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--batch", "0"], "batch: expected at least 1, got 0"),
        (["run", "--critic.steps", "0"], "Error parsing command.critic: steps: expected at least 1, got 0"),
        (["run", "--degradation.noise", "2"], "noise: expected 0 to 1, got 2"),
        (["export", "default", "--onnx", "a.onnx", "--onnx-batch", "0"], "onnx_batch: expected at least 1"),
        (["export", "default", "--onnx", "a.onnx", "--onnx-size", "0", "5"], "onnx_size: expected at least 1 by 1"),
        (["export", "default", "--out", "a", "--weight", "0.3"], "weight: expected --interpolate A B with it"),
        (["compare", "--data", ".", "--eyes", "0"], "eyes: expected at least 1, got 0"),
        (["gate", "default", "--limit", "0"], "limit: expected at least 1, got 0"),
    ],
)
def test_value_that_cannot_be_is_refused_with_the_reason(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_folder_of_twenty_pictures_becomes_a_scored_network_with_one_command_interrupted_or_not(
    tmp_path, portrait, val_dir
):
    faces = tmp_path / "faces"
    faces.mkdir()
    for number in range(20):
        cv2.imwrite(str(faces / f"{number}.jpg"), portrait(number)[0])
    command = [sys.executable, "-m", "train", "run", "--data-dir", str(faces), "--val-dir", str(val_dir), *TINY]
    schedule = ["--steps", "100", "--test-every", "100", "--learning-rate", "1e-3", "--warmup", "10", "--threads", "1"]
    stages = ["--loss.adversarial", "1e-3", "--loss.adversarial-from", "0.8", "--batch", "4", "--critic.channels", "4"]
    whole, broken = (
        [*command, *schedule, *stages, "--log-every", "5", "--out", str(tmp_path / name / "run")]
        for name in ("whole", "broken")
    )

    run = subprocess.run(whole, capture_output=True, text=True, timeout=580)
    interrupted = subprocess.Popen(broken, stdout=subprocess.PIPE, text=True)
    assert interrupted.stdout is not None
    while "step 25 " not in interrupted.stdout.readline():
        assert interrupted.poll() is None
    interrupted.send_signal(signal.SIGINT)
    interrupted.communicate(timeout=300)
    stopped = read_state(tmp_path / "broken" / "run" / "state.pt")["step"]
    resumed = subprocess.run(broken, capture_output=True, text=True, timeout=580)

    assert run.returncode == 0, run.stderr
    assert "20 faces; 0 rejected" in run.stdout
    written = {path.name for path in (tmp_path / "whole" / "run").iterdir()}
    assert {"run.safetensors", "run.json", "run-fidelity.safetensors", "state.pt", "log.jsonl", "psnr.png"} <= written
    log = [json.loads(line) for line in (tmp_path / "whole" / "run" / "log.jsonl").read_text().splitlines()]
    losses = [row["pixel"] for row in log if "pixel" in row]
    assert np.mean(losses[10:]) < np.mean(losses[:10])
    assert (interrupted.returncode, resumed.returncode) == (0, 0), resumed.stderr
    assert 25 <= stopped < 100
    for name in ("run.safetensors", "run-fidelity.safetensors"):
        unbroken, mended = ((tmp_path / folder / "run" / name).read_bytes() for folder in ("whole", "broken"))
        assert mended == unbroken, name
