import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from engines import (
    DEFAULT_TIER,
    CheckpointError,
    SwinIRConfig,
    load_checkpoint,
    load_engine,
    save_checkpoint,
    shipped_tiers,
)
from engines.choose import candidates
from engines.swinir import SwinIR
from train.__main__ import main as command
from train.benefit.iris import Irises
from train.benefit.method import Method, bicubic_method, engine_method, plain_methods
from train.benefit.pupil import GradientPupils
from train.benefit.study import Key, Study
from train.benefit.synthetic import drawn_faces
from train.errors import DataError
from train.gate import (
    GateConfig,
    as_record,
    as_text,
    gaze_bias,
    judge,
    judge_half,
    judge_method,
    main,
    measure,
)

BIASED = {"gaze bias, degrees"}
KNOWN_HARM = {"fine8": BIASED, "medium8-fidelity": BIASED, "small8": BIASED, "nano3": BIASED, "medium1": BIASED}
"""Rules that shipped weights break on labelled faces, as README says; the default breaks none."""
HARM_TO_DRAWN_EYES = {
    "small8": {
        "iris_lab no worse than bicubic",
        "pupil_gradients_calibrated no worse than bicubic",
        "pupil_gradients_drift no worse than bicubic",
    },
    "nano3": {"iris_lab no worse than bicubic", "pupil_gradients_calibrated no worse than bicubic"},
}

TINY = SwinIRConfig(embed_dim=8, depths=(1,), heads=2)


def study_of(ours, theirs, quantity="gaze_drift_deg", condition="webcam"):
    """Ten faces at 45 px: our value and bicubic's, each with the same spread."""
    spread = np.linspace(-0.1, 0.1, 10)
    study = Study(faces=[str(i) for i in range(10)])
    for i in range(10):
        key = Key(quantity, condition, 45, "ours", "walk")
        study.put(key, i, ours + spread[i] * (1 + i % 2))
        study.put(key._replace(method="bicubic"), i, theirs + spread[i])
    return study


def failed(study):
    return [finding.rule for finding in judge(study, "ours") if not finding.passed]


def test_a_clear_harm_fails():
    assert failed(study_of(ours=1.5, theirs=1.0)) == ["gaze_drift_deg no worse than bicubic"]


def test_a_gain_passes():
    assert failed(study_of(ours=0.5, theirs=1.0)) == []


def test_a_harm_within_its_interval_passes():
    assert failed(study_of(ours=1.0001, theirs=1.0)) == []


def test_sharpness_is_harmed_by_getting_less():
    assert failed(study_of(ours=0.5, theirs=0.7, quantity="limbus_sharpness")) == [
        "limbus_sharpness no worse than bicubic"
    ]
    assert failed(study_of(ours=0.9, theirs=0.7, quantity="limbus_sharpness")) == []


@pytest.mark.parametrize(("bias", "size", "passes"), [(0.2, 45, True), (0.25, 80, False), (0.9, 30, True)])
def test_bias_is_limited_from_45_pixels_on(bias, size, passes):
    study = Study(faces=["a"])
    for quantity in ("gaze_x_deg", "gaze_y_deg"):
        study.put(Key(quantity, "dark", size, "ours", "walk"), 0, bias)

    assert (failed(study) == []) == passes


@pytest.mark.parametrize(
    ("condition", "ours", "passes"),
    [("clean", 1.9, True), ("clean", 2.1, False), ("dark", 5.9, True), ("dark", 6.1, False)],
)
def test_colour_may_move_by_two_lab_beyond_what_the_camera_does(condition, ours, passes):
    study = Study(faces=["a"])
    key = Key("iris_lab", condition, 60, "ours", "walk")
    study.put(key, 0, ours)
    study.put(key._replace(method="bicubic"), 0, 4.0)

    assert ("iris colour moves, Lab" not in failed(study)) == passes


def test_a_still_face_that_trembles_more_fails():
    study = Study(faces=list("abc"))
    for i in range(3):
        study.put(Key("gaze_std_deg", "dark", 45, "ours", "still"), i, 1.2)
        study.put(Key("gaze_std_deg", "dark", 45, "bicubic", "still"), i, 1.0 + 0.01 * i)

    assert failed(study) == ["gaze_std_deg no worse than bicubic"]


def judged(method):
    study = measure(method, drawn_faces(4), [GradientPupils(), Irises()], sizes_px=[45, 60], still_count=8)
    return judge_method(method, study)


def test_bicubic_itself_harms_nothing():
    bicubic = bicubic_method(2)
    same = Method(name="same", enhance=bicubic.enhance)

    rules = [finding for finding in judged(same) if "than bicubic" in finding.rule]

    assert len(rules) >= 18
    assert all(finding.passed for finding in rules)


def test_a_method_that_blurs_and_tints_is_caught():
    def spoil(batch):
        soft = plain_methods()[1].enhance(batch).astype(np.int16)
        return np.clip(soft + np.array([12, 0, -12], np.int16), 0, 255).astype(np.uint8)

    rules = {finding.rule for finding in judged(Method(name="spoilt", enhance=spoil)) if not finding.passed}

    assert {
        "iris colour moves, Lab",
        "limbus_sharpness no worse than bicubic",
        "psnr_rgb no worse than bicubic",
    } <= rules


def tiny(path, gain=1.0):
    tensors = SwinIR(TINY).tensors()
    return save_checkpoint(path, TINY, {k: v * gain for k, v in tensors.items()}, {"steps": 7})


def test_half_precision_of_a_tame_network_equals_single(tmp_path):
    finding = judge_half(load_checkpoint(tiny(tmp_path / "tame")), drawn_faces(1))

    assert finding.passed
    assert finding.value > 50


def test_half_precision_of_a_wild_network_is_caught(tmp_path):
    tensors = SwinIR(TINY).tensors()
    tensors["conv_first.weight"] = np.full_like(tensors["conv_first.weight"], 3e5)
    path = save_checkpoint(tmp_path / "wild", TINY, tensors, {})

    assert not judge_half(load_checkpoint(path), drawn_faces(1)).passed


def photographs(folder, enlarged, count):
    """A folder of labelled faces: one photograph, 43 pixels between its eyes, enlarged and named several times."""
    photo = np.ascontiguousarray(astronaut()[:300, 50:400, ::-1])
    cv2.imwrite(str(folder / "a.png"), cv2.resize(photo, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC))
    (folder / "val.json").write_text(json.dumps([{"file": "a.png"}] * count))
    return folder


def test_the_command_fails_for_weights_that_harm_and_stores_that_and_nothing_else_with_them(tmp_path, capsys):
    path = tiny(tmp_path / "net")
    before = path.read_bytes()

    code = command(["gate", str(path), "--engine", "eager", "--limit", "1", "--write"])

    stored = load_checkpoint(path).record
    assert code == 1
    assert capsys.readouterr().out.startswith("FAILED")
    assert stored["steps"] == 7
    assert not stored["gate"]["passed"]
    assert set(stored["gate"]["skipped"]) == {"gaze", "pupil_mesh"}
    assert path.read_bytes() == before


def test_the_command_passes_what_is_as_good_as_bicubic(tmp_path, capsys):
    path, faces = tiny(tmp_path / "net"), photographs(tmp_path, 1.5, 4)

    code = command(["gate", str(path), "--engine", "bicubic", "--faces", str(faces)])

    assert code == 0
    assert capsys.readouterr().out.startswith("passed: 31 rules, 4 faces")


def scale_four(path):
    config = replace(TINY, scale=4)
    return save_checkpoint(path, config, SwinIR(config).tensors(), {})


def test_weights_of_scale_four_are_judged_too(tmp_path):
    path, faces = scale_four(tmp_path / "x4"), photographs(tmp_path, 3, 1)

    record = main(GateConfig(checkpoint=str(path), engine="bicubic", faces=faces))

    places = {finding["where"] for finding in record["findings"]}
    assert "clean, 30 px" in places
    assert not {"clean, 45 px", "clean, 60 px", "clean, 80 px"} & places
    assert all(abs(f["value"]) < 0.01 for f in record["findings"] if f["rule"] == "psnr_rgb no worse than bicubic")


def test_weights_of_scale_four_are_judged_on_a_still_face_too(tmp_path):
    with load_engine("bicubic", scale_four(tmp_path / "x4")) as engine:
        method = engine_method(engine, "enhanced")
        study = measure(method, drawn_faces(1), [GradientPupils(), Irises()], still_count=2)

    findings = judge_method(method, study)

    assert {"clean, 30 px", "clean, 45 px", "dark, still"} <= {finding.where for finding in findings}
    assert all(finding.passed for finding in findings if "than bicubic" in finding.rule)


def test_faces_that_are_too_small_for_any_rule_are_no_pass(tmp_path, capsys):
    path, faces = tiny(tmp_path / "net"), photographs(tmp_path, 1.0, 1)

    code = command(["gate", str(path), "--engine", "bicubic", "--faces", str(faces)])

    assert code == 1
    assert "expected faces with at least 60 pixels between the eyes" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--half", "first"], ["--trained-on", "."]], ids=lambda option: option[0])
def test_what_needs_faces_says_so(tmp_path, capsys, option):
    assert command(["gate", str(tiny(tmp_path / "net")), *option]) == 1
    assert "expected --faces, too" in capsys.readouterr().err


def test_a_face_that_was_trained_on_is_refused(tmp_path, capsys):
    faces = photographs(tmp_path, 1.5, 1)
    trained_on = tmp_path / "train"
    trained_on.mkdir()
    smaller = cv2.resize(cv2.imread(str(faces / "a.png")), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(trained_on / "other-name.jpg"), smaller)
    (trained_on / "manifest.json").write_text(json.dumps([{"file": "other-name.jpg"}]))

    code = command(
        ["gate", str(tiny(tmp_path / "net")), "--faces", str(faces), "--trained-on", str(trained_on)],
    )

    assert code == 1
    assert "expected faces that training has not seen, got 1 that it has" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["", ".safetensors", ".json"])
def test_a_verdict_goes_into_the_very_file_that_was_judged(tmp_path, suffix):
    other, judged = tiny(tmp_path / "my"), tiny(tmp_path / "my.v2", gain=1.1)
    faces = photographs(tmp_path, 1.5, 1)  # too small to stand still for the rules, which takes longest
    before = [path.read_bytes() for path in (other, other.with_suffix(".json"), judged)]

    main(GateConfig(checkpoint=f"{tmp_path / 'my.v2'}{suffix}", engine="bicubic", faces=faces, write=True))

    assert [path.read_bytes() for path in (other, other.with_suffix(".json"), judged)] == before
    assert load_checkpoint(judged).record["gate"]["sha256"] == load_checkpoint(judged).sha256


def test_a_verdict_on_a_tier_does_not_go_into_a_file_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bystander = tiny(tmp_path / DEFAULT_TIER)
    before = bystander.read_bytes()

    with pytest.raises(DataError, match="path of a checkpoint"):
        main(GateConfig(checkpoint=DEFAULT_TIER, engine="bicubic", limit=1, write=True))

    assert bystander.read_bytes() == before
    assert "gate" not in load_checkpoint(bystander).record


def test_an_unknown_checkpoint_is_an_error():
    with pytest.raises(CheckpointError, match="nowhere"):
        main(GateConfig(checkpoint="nowhere"))


def test_verdict_reads_well():
    findings = judge(study_of(ours=1.5, theirs=1.0), "ours")
    biased = {"faces": 2, "bias_xy_deg": [0.2, -0.1], "bias_xy_ci95": [[0.1, 0.3], [-0.3, 0.1]]}
    beside = {
        "gaze_bias": [
            {"where": "webcam, 45 px", "bias_deg": 0.1} | biased,
            {"where": "dark, 45 px", "bias_deg": 0.22} | biased,
        ],
        "blink": [{"condition": "dark", "lid": "closing", "ghost": [0.021, 0.034, 0.0], "distance": [0.1, 0.1, 0.1]}],
    }

    text = as_text(as_record(findings, {"gaze": "no networks"}, ["a", "b"]) | {"beside": beside})

    assert text.startswith("FAILED: 1 rules, 2 faces")
    assert "gaze_drift_deg no worse than bicubic: webcam, walk" in text
    assert "skipped  gaze: no networks" in text
    assert "x 0.20 (0.10 to 0.30), y -0.10 (-0.30 to 0.10): dark, 45 px, 2 faces" in text
    assert "3.4%: dark, lid closing" in text


def test_the_bias_comes_with_an_interval_where_the_rule_looks():
    study = Study(faces=list("abcd"))
    for size in (30, 45):
        for quantity, values in {
            "gaze_drift_deg": (1, 1, 1, 1),
            "gaze_x_deg": (0.2, 0.2, 0.2, 0.2),
            "gaze_y_deg": (1, -1, 1, -1),
        }.items():
            for face, value in enumerate(values):
                study.put(Key(quantity, "dark", size, "ours", "walk"), face, value)

    (row,) = gaze_bias(study, Method(name="ours", enhance=None))

    assert row["where"] == "dark, 45 px"
    assert row["faces"] == 4
    assert row["bias_xy_deg"] == [0.2, 0]
    (low_x, high_x), (low_y, high_y) = row["bias_xy_ci95"]
    assert (low_x, high_x) == (0.2, 0.2)
    assert low_y < -0.4
    assert high_y > 0.4


SERVE_UNASKED = [checkpoint.name for checkpoint in candidates()]


def test_the_default_serves_unasked():
    assert DEFAULT_TIER in SERVE_UNASKED


@pytest.mark.timeout(400)
@pytest.mark.parametrize("tier", SERVE_UNASKED)
def test_weights_that_serve_unasked_do_no_harm_to_drawn_eyes(tier):
    with load_engine("auto", tier) as engine:
        findings = judged(engine_method(engine, tier))
    findings.append(judge_half(load_checkpoint(tier), drawn_faces(2)))

    assert {finding.rule for finding in findings if not finding.passed} <= HARM_TO_DRAWN_EYES.get(tier, set())


@pytest.mark.parametrize("tier", shipped_tiers())
def test_shipped_weights_carry_the_verdict_of_the_gate(tier):
    checkpoint = load_checkpoint(tier)
    if checkpoint.config.scale != 2:
        pytest.skip(f"tier of scale {checkpoint.config.scale}")

    verdict = checkpoint.record["gate"]
    failed = {finding["rule"] for finding in verdict["findings"] if not finding["passed"]}

    assert verdict["faces"] >= 60
    assert "gaze" not in verdict["skipped"]
    assert verdict["sha256"] == checkpoint.sha256
    assert verdict["passed"] == (not failed)
    assert verdict["passed"] or tier != DEFAULT_TIER
    assert failed <= KNOWN_HARM.get(tier, set())
