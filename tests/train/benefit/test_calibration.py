import numpy as np
import pytest

from train.benefit.calibration import ASKED, EYEBALL, LEARNT, REACH, calibrated_error, looking, track
from train.benefit.method import bicubic_method
from train.benefit.pupil import GradientPupils
from train.benefit.study import Key, Study
from train.benefit.synthetic import drawn_faces

POINTS = np.array([*LEARNT, *ASKED])
LEARNS = np.arange(len(POINTS)) < len(LEARNT)


def test_a_signal_that_follows_the_eyes_calibrates_to_nothing():
    signals = POINTS @ np.array([[0.3, 0.1], [-0.2, 0.5]]) + [2.0, -1.0]

    assert calibrated_error(signals, POINTS, LEARNS) == pytest.approx(0, abs=1e-9)


def test_an_error_is_in_degrees_of_the_eyeball():
    signals = POINTS * REACH
    signals[~LEARNS] += [0.019, 0.0]

    assert calibrated_error(signals, POINTS, LEARNS) == pytest.approx(np.degrees(0.019 / EYEBALL))


def test_what_was_not_seen_is_left_out():
    signals = POINTS.copy()
    signals[[0, 10]] = np.nan

    assert calibrated_error(signals, POINTS, LEARNS) == pytest.approx(0, abs=1e-9)
    signals[:6] = np.nan
    assert np.isnan(calibrated_error(signals, POINTS, LEARNS))


@pytest.mark.parametrize("towards", [(1, 0), (-1, 0), (0.5, 1), (0, -1)])
def test_an_iris_is_turned_as_a_whole_and_the_rest_of_the_face_stays(towards):
    (face,) = drawn_faces(1)
    x, y = face.pupils[0].round().astype(int)
    dx, dy = np.round(np.multiply(towards, REACH) * face.interocular_px).astype(int)
    iris, far = round(0.08 * face.interocular_px), round(0.28 * face.interocular_px)

    turned = looking(face, towards)

    before = face.image[y - iris : y + iris, x - iris : x + iris].astype(int)
    after = turned.image[y + dy - iris : y + dy + iris, x + dx - iris : x + dx + iris]
    assert np.abs(after - before).mean() < 3
    assert np.array_equal(turned.image[:, : x - far], face.image[:, : x - far])
    assert np.array_equal(turned.pupils, face.pupils)


def test_every_method_is_tracked_beside_the_truth():
    faces = drawn_faces(2)
    study = Study(faces=[face.name for face in faces])

    track(study, faces[:1], [bicubic_method(2)], [GradientPupils()], draws=1, conditions=["clean", "dark"])

    errors = {(key.condition, key.method): values for key, values in study.values.items()}
    assert set(errors) == {(c, m) for c in ("clean", "dark") for m in ("bicubic", "truth")}
    assert all(np.isnan(values[1]) and 0 < values[0] < 6 for values in errors.values())
    assert errors["dark", "bicubic"][0] > errors["dark", "truth"][0]
    assert {key.quantity for key in study.values} == {"pupil_gradients_tracked_deg"}
    assert Key("pupil_gradients_tracked_deg", "dark", 45, "truth", "walk") in study.values
