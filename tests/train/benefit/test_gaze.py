from pathlib import Path

import numpy as np
import pytest

from train.benefit.gaze import SIDE, GazeNetwork, eye_image
from train.benefit.scene import photographed
from train.benefit.synthetic import drawn_face
from train.errors import DataError

MODELS = Path(__file__).parents[4] / "shared" / "models" / "gaze"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason="needs the gaze networks in ../shared/models/gaze")


def test_eye_image_is_centred_between_the_corners_and_18_eye_widths_wide():
    image = np.zeros((100, 100, 3), np.uint8)
    image[48:53, 28:33] = 255

    blob = eye_image(image, np.array([20.0, 50]), np.array([40.0, 50]))

    assert blob.shape == (1, 3, SIDE, SIDE)
    assert blob.dtype == np.float32
    y, x = (np.average(np.arange(SIDE), weights=blob[0, 0].sum(axis=axis)) for axis in (1, 0))
    assert (x, y) == pytest.approx((29.5, 29.5), abs=0.05)
    assert blob[0, 0].sum() / 255 == pytest.approx(25 * (SIDE / 36) ** 2, rel=0.05)


def test_missing_networks_are_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="gaze-estimation-adas-0002"):
        GazeNetwork(tmp_path)


@needs_models
def test_gaze_follows_the_eyes():
    network = GazeNetwork(MODELS)
    readings = []
    for turned in (-0.05, 0.05):
        face = drawn_face(gaze=(turned, 0.0), name=f"turned {turned}")
        scene = photographed(face, 80, "clean", 1, np.random.default_rng(0))
        readings.append(network.read(scene.truth()))

    assert np.linalg.norm(readings[0]) == pytest.approx(1)
    assert readings[1][0] - readings[0][0] > 0.1


def test_drift_is_the_angle_and_its_signed_parts():
    a = np.array([0.0, 0.0, -1.0])
    b = np.array([np.sin(np.radians(2)), 0.0, -np.cos(np.radians(2))])

    found = GazeNetwork.compare(None, b, a, a)

    assert found["gaze_drift_deg"] == pytest.approx(2)
    assert found["gaze_x_deg"] == pytest.approx(2, abs=0.01)
    assert found["gaze_y_deg"] == 0
