import numpy as np
import pytest

from train.benefit.iris import iris_colour, limbus, rim_circle
from train.benefit.pupil import pupil_centre
from train.benefit.synthetic import IRIS_RADIUS, Appearance, drawn_face, drawn_faces


def test_a_drawn_pupil_is_where_the_label_says():
    face = drawn_face(gaze=(0.03, -0.01))

    for x, y in np.rint(face.pupils).astype(int):
        pupil = face.image[y - 2 : y + 3, x - 2 : x + 3]
        assert pupil.mean() < 40
        assert face.image[y, x - 60].mean() > 80


def test_drawn_faces_differ_and_repeat():
    a, b = drawn_faces(2)

    assert not np.array_equal(a.image, b.image)
    assert np.array_equal(a.image, drawn_faces(1)[0].image)


@pytest.mark.parametrize("gaze", [(0.0, 0.0), (0.05, 0.01), (-0.05, -0.01)])
def test_gradients_find_a_drawn_pupil_on_a_sharp_face(gaze):
    face = drawn_face(gaze=gaze)

    found = pupil_centre(face.image, face.corners[0], face.corners[1])

    assert abs(found[0] - face.pupils[0, 0]) < 0.012 * face.interocular_px
    assert abs(found[1] - face.pupils[0, 1]) < 0.03 * face.interocular_px


def test_gradients_see_how_far_a_pupil_moved():
    faces = [drawn_face(gaze=(x, 0.0)) for x in (-0.03, 0.03)]

    found = [pupil_centre(face.image, face.corners[0], face.corners[1]) for face in faces]

    assert (found[1] - found[0])[0] == pytest.approx(0.06 * faces[0].interocular_px, rel=0.1)


def test_an_eye_without_structure_gives_no_pupil():
    flat = np.full((40, 60, 3), 128, np.uint8)

    assert np.isnan(pupil_centre(flat, np.array([10.0, 20]), np.array([50.0, 20]))).all()


def test_an_eye_outside_the_picture_gives_no_pupil():
    flat = np.zeros((40, 60, 3), np.uint8)

    assert np.isnan(pupil_centre(flat, np.array([-90.0, 20]), np.array([-70.0, 20]))).all()


def test_circle_through_points_is_found():
    angles = np.array([0.1, 1.0, 2.5, 4.0])
    rim = np.array([3.0, -2.0]) + 7 * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    centre, radius = rim_circle(rim)

    assert centre == pytest.approx([3, -2])
    assert radius == pytest.approx(7)


def test_rim_of_a_drawn_iris_has_its_radius():
    face = drawn_face()

    radius, sharpness = limbus(face.image, face.pupils[0], IRIS_RADIUS)

    assert radius == pytest.approx(1, abs=0.03)
    assert sharpness > 3


def test_blur_makes_the_rim_softer_and_leaves_its_radius():
    import cv2

    face = drawn_face()
    blurred = cv2.GaussianBlur(face.image, (0, 0), 3)

    radius, sharpness = limbus(blurred, face.pupils[0], IRIS_RADIUS)

    assert radius == pytest.approx(1, abs=0.06)
    assert sharpness < 0.6 * limbus(face.image, face.pupils[0], IRIS_RADIUS)[1]


def test_no_rim_no_numbers():
    assert np.isnan(limbus(np.full((50, 50, 3), 90, np.uint8), np.array([25.0, 25]), 10)).all()


def test_colour_of_a_flat_picture_is_its_lab():
    white = iris_colour(np.full((50, 50, 3), 255, np.uint8), np.array([25.0, 25]), 10)
    red = iris_colour(np.full((50, 50, 3), (0, 0, 255), np.uint8), np.array([25.0, 25]), 10)

    assert white == pytest.approx([100, 0, 0], abs=0.1)
    assert red == pytest.approx([53.2, 80.1, 67.2], abs=0.3)


def test_colour_tells_irises_apart():
    brown, blue = (drawn_face(Appearance(iris=iris)) for iris in ((0.15, 0.22, 0.32), (0.45, 0.42, 0.35)))
    colours = [iris_colour(face.image, face.pupils[0], IRIS_RADIUS) for face in (brown, blue)]

    assert np.linalg.norm(colours[0] - colours[1]) > 10
    assert colours[0][2] > 0 > colours[1][2]
