import json

import numpy as np
import pytest

from train.benefit.iris import Irises
from train.benefit.method import Method, bicubic_method, plain_methods
from train.benefit.pupil import GradientPupils
from train.benefit.steadiness import stand_still, still_scenes
from train.benefit.study import Key, Study, conduct
from train.benefit.summary import rows
from train.benefit.synthetic import drawn_face, drawn_faces


@pytest.fixture(scope="module")
def study():
    faces = drawn_faces(3)
    return conduct(faces, plain_methods(), [GradientPupils(), Irises()], sizes_px=[45], conditions=["clean", "dark"])


def mean(study, quantity, method, condition="dark"):
    return study.mean(Key(quantity, condition, 45, method, "walk"))


def test_noise_costs_every_method(study):
    for method in ("none", "bilinear", "bicubic", "lanczos"):
        assert mean(study, "iris_lab", method) > mean(study, "iris_lab", method, "clean")


def test_bilinear_blurs_the_rim_more_than_bicubic(study):
    assert mean(study, "limbus_sharpness", "bilinear", "clean") < mean(study, "limbus_sharpness", "bicubic", "clean")


def test_bicubic_is_nearer_the_truth_than_bilinear_on_clean_eyes(study):
    assert mean(study, "psnr_rgb", "bicubic", "clean") > mean(study, "psnr_rgb", "bilinear", "clean") + 0.5


def test_the_raw_eye_has_no_score_at_twice_its_size(study):
    assert np.isnan(mean(study, "psnr_rgb", "none"))


def test_the_truth_itself_has_no_drift():
    faces = drawn_faces(2)
    for consumer in (GradientPupils(), Irises()):
        scene = still_scenes(faces[0], 45, "clean", 1, 1, np.random.default_rng(0))[0]
        reading = consumer.read(scene.truth())

        found = consumer.compare(reading, reading, reading)

        for quantity, value in found.items():
            if quantity.endswith(("drift", "calibrated", "iris_lab")):
                assert value == 0
    assert found["limbus_sharpness"] == 1


def test_numbers_do_not_depend_on_the_other_methods():
    faces, consumers = drawn_faces(2), [GradientPupils()]
    bicubic = [bicubic_method(2)]
    stacked = Method(name="stacked", enhance=lambda b: bicubic[0].enhance(b[..., :3]), frames=3)
    ask = {"sizes_px": [45], "conditions": ["webcam"]}

    alone, beside = conduct(faces, bicubic, consumers, **ask), conduct(faces, [*bicubic, stacked], consumers, **ask)

    key = Key("pupil_gradients_drift", "webcam", 45, "bicubic", "walk")
    assert np.array_equal(alone.values[key], beside.values[key])
    for motion in ("walk", "still"):
        assert np.array_equal(beside.values[key._replace(method="stacked", motion=motion)], alone.values[key])


def test_methods_of_two_scales_have_no_common_truth():
    with pytest.raises(ValueError, match=r"expected one scale, got none x2, .*bicubic x4"):
        conduct([drawn_face()], [*plain_methods(), bicubic_method(4)], [Irises()])


def test_a_face_must_be_as_large_as_the_scale_asks():
    measured = {
        scale: {
            key.interocular_px
            for key in conduct([drawn_face()], [bicubic_method(scale)], [Irises()], conditions=["clean"]).values
        }
        for scale in (2, 4)
    }

    assert measured == {2: {30, 45, 60, 80}, 4: {30, 45}}


def test_faces_that_are_too_small_are_left_out():
    study = conduct([drawn_face()], plain_methods()[:1], [Irises()], sizes_px=[101], conditions=["clean"])

    assert study.values == {}


def test_averaging_frames_steadies_a_still_face():
    faces = [drawn_face()]
    bicubic = bicubic_method(2)
    mean3 = Method(
        name="mean3",
        enhance=lambda b: bicubic.enhance(b.reshape(*b.shape[:3], 3, 3).mean(axis=3).round().astype(np.uint8)),
        frames=3,
    )
    study = Study(faces=[faces[0].name])

    stand_still(study, faces, [bicubic, mean3], [GradientPupils(), Irises()], count=20, conditions=["dark"])

    for quantity in ("pupil_gradients_std", "iris_lab_std"):
        ours, theirs = (study.mean(Key(quantity, "dark", 45, name, "still")) for name in ("mean3", "bicubic"))
        assert 0 < ours < 0.85 * theirs


def test_a_still_face_is_as_large_as_the_scale_of_the_methods_asks(monkeypatch):
    method, seen = bicubic_method(4), []
    monkeypatch.setattr(type(method), "views", lambda self, scenes: seen.extend(scenes) or [])
    faces = [drawn_face()]

    stand_still(Study(faces=[faces[0].name]), faces, [method], [], count=2, conditions=["dark"])

    assert [scene.scale for scene in seen] == [4, 4]
    assert all(scene.sharp.shape[0] == 4 * scene.moving.shape[1] for scene in seen)


def test_rows_say_mean_interval_and_difference():
    study = Study(faces=["a", "b", "c"])
    ours = Key("gaze_drift_deg", "webcam", 45, "default", "walk")
    for face, (value, other) in enumerate(((1.0, 2.0), (2.0, 4.0), (3.0, 3.0))):
        study.put(ours, face, value)
        study.put(ours._replace(method="bicubic"), face, other)
        for method in ("default", "bicubic"):
            study.put(ours._replace(method=method, quantity="gaze_x_deg"), face, 0.3)
            study.put(ours._replace(method=method, quantity="gaze_y_deg"), face, -0.4)

    row = rows(study, "gaze_drift_deg")[0]

    assert row["method"] == "default"
    assert (row["mean"], row["median"], row["n"]) == (2, 2, 3)
    assert row["minus_bicubic"]["mean"] == -1
    assert row["minus_bicubic"]["ci95"] == [-2, 0]
    assert row["bias_deg"] == 0.5
    assert row["bias_xy_deg"] == [0.3, -0.4]
    assert row["bias_xy_ci95"] == [[0.3, 0.3], [-0.4, -0.4]]


def test_rows_of_pupil_errors_hold_the_cumulative_curve():
    study = Study(faces=["a", "b", "c", "d"])
    for face, value in enumerate((0.01, 0.03, 0.07, np.nan)):
        study.put(Key("pupil_mesh_error", "dark", 30, "none", "walk"), face, value)

    (row,) = rows(study, "pupil_mesh_error")

    assert row["n"] == 3
    assert row["share_below"] == pytest.approx({"0.025": 1 / 3, "0.05": 2 / 3, "0.1": 1}, rel=1e-4)


def test_what_nobody_could_measure_is_null_as_json_has_no_nan():
    study = Study(faces=["a"])
    for method, value in (("default", np.nan), ("bicubic", 0.02)):
        study.put(Key("pupil_mesh_error", "dark", 30, method, "walk"), 0, value)

    unknown, alone = rows(study, "pupil_mesh_error")

    assert set(unknown["share_below"].values()) == {None}
    assert unknown["minus_bicubic"] == {"mean": None, "ci95": [None, None]}
    assert alone["ci95"] == [None, None]
    assert json.loads(json.dumps([unknown, alone], allow_nan=False))


def test_a_one_frame_method_serves_for_a_still_face_too():
    study = Study(faces=["a"])
    key = Key("psnr_rgb", "dark", 30, "bicubic", "walk")
    study.put(key, 0, 31.0)

    assert study.mean(key._replace(motion="still")) == 31
    assert study.get(key._replace(method="other")) is None
