import time

import numpy as np
import pytest
from skimage import data
from wire_samples import STREAM, bent, enhanced, golden

from realtime import Box, Crops, Enhanced, Frame, wire
from realtime.landmarks import FaceMesh


@pytest.fixture(scope="module")
def portrait():
    """The message of skimage's astronaut, whose eyes MediaPipe finds."""
    frame = Frame(
        seq=0,
        captured_ns=time.monotonic_ns(),
        captured_utc_ns=time.time_ns(),
        ts_source="read",
        image=np.ascontiguousarray(data.astronaut()[..., ::-1]),
    )
    with FaceMesh() as face_mesh:
        landmarks = face_mesh(frame)
    sample = enhanced()
    crops = Crops(frame=frame, landmarks=landmarks, boxes=sample.crops.boxes, patches=sample.crops.patches)
    message = Enhanced(
        crops=crops,
        patches=sample.patches,
        face=None,
        scale=2,
        engine="",
        tier="",
        model_sha256="",
        stamps_ns={},
    )
    return wire.decode(wire.encode(message, stream=STREAM))


def test_first_eye_is_on_the_left_of_an_upright_picture(portrait):
    first, second = portrait.landmarks.iris_centre

    assert first[0] < second[0]
    assert portrait.interocular_px == pytest.approx(np.linalg.norm(second - first), abs=0.01)


def test_corners_are_outer_then_inner(portrait):
    (first_outer, first_inner), (second_outer, second_inner) = portrait.landmarks.corners[..., 0]

    assert first_outer < first_inner < second_inner < second_outer


def test_lids_lie_above_and_below_the_iris_and_run_from_the_outer_corner(portrait):
    landmarks = portrait.landmarks
    centre_y = landmarks.iris_centre[:, None, 1]

    assert (landmarks.upper_lid[:, 1:6, 1] < centre_y).all()
    assert (landmarks.lower_lid[:, 1:6, 1] > centre_y).all()
    for lid in (landmarks.upper_lid, landmarks.lower_lid):
        assert (np.diff(lid[0, :, 0]) > 0).all()
        assert (np.diff(lid[1, :, 0]) < 0).all()


def test_rim_goes_around_the_iris_centre(portrait):
    landmarks = portrait.landmarks
    spokes = landmarks.iris_rim - landmarks.iris_centre[:, None]
    radii = np.linalg.norm(spokes, axis=-1)
    turns = np.diff(np.unwrap(np.arctan2(spokes[..., 1], spokes[..., 0])), axis=-1)

    assert radii.max() < 1.5 * radii.min()
    np.testing.assert_allclose(np.abs(turns), np.pi / 2, atol=0.4)


def test_latency_is_by_the_publisher_and_age_by_this_clock():
    now_ns = time.monotonic_ns()
    message = wire.decode(bent(golden("eyes"), captured_ns=now_ns - 20_000_000, sent_ns=now_ns - 5_000_000))

    assert message.latency_ms == 15
    assert 20 <= message.age_ms() < 5000


def test_a_patch_pixel_maps_to_the_middle_of_what_it_shows():
    message = wire.decode(golden("eyes"))
    box = message.boxes[0]

    corners = message.to_camera[0] @ np.array([[-0.5, -0.5, 1], [5.5, 3.5, 1]]).T

    assert box == Box(x=100, y=200, width=3, height=2)
    np.testing.assert_array_equal(corners.T, [[99.5, 199.5], [102.5, 201.5]])
