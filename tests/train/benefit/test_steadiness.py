from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from train.benefit.faces import face_mesh
from train.benefit.method import plain_methods
from train.benefit.steadiness import jitter, recorded_scenes
from train.errors import DataError


@pytest.fixture(scope="module")
def mesh():
    with face_mesh() as found:
        yield found


def record(path, pictures):
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def brightness(view):
    """In the gaze network's place: turns with the picture's mean brightness."""
    angle = np.radians(view.image.mean() / 10)
    return np.array([np.sin(angle), 0.0, -np.cos(angle)])


def test_a_recording_gives_scenes_with_the_eyes_in_place(tmp_path, mesh):
    photo = cv2.resize(np.ascontiguousarray(astronaut()[:300, 50:400, ::-1]), None, fx=2, fy=2)
    clip = record(tmp_path / "a.avi", [photo] * 4)

    scenes = recorded_scenes(clip, 40, mesh, frames=3)

    assert len(scenes) == 2
    assert scenes[0].moving.shape[0] == 3
    view = plain_methods()[2].views(scenes)[0]
    assert view.interocular_px == pytest.approx(80, rel=0.03)
    for x, y in np.rint(view.at(scenes[0].face.pupils)).astype(int):
        assert view.image[y - 2 : y + 3, x - 2 : x + 3].mean() < view.image[y - 20 : y + 21, x - 40 : x + 41].mean()


def test_jitter_is_the_usual_change_between_frames(tmp_path, mesh):
    photo = cv2.resize(np.ascontiguousarray(astronaut()[:300, 50:400, ::-1]), None, fx=2, fy=2)
    clip = record(tmp_path / "a.avi", [cv2.add(photo, np.full_like(photo, 20 * (i % 2))) for i in range(4)])

    scenes = recorded_scenes(clip, 40, mesh, frames=1)

    assert jitter(scenes, plain_methods()[0], SimpleNamespace(read=brightness)) == pytest.approx(2, abs=0.4)


def test_a_recording_without_a_face_is_a_clear_error(tmp_path, mesh):
    clip = record(tmp_path / "grey.avi", [np.full((120, 160, 3), 90, np.uint8)] * 3)

    with pytest.raises(DataError, match="a recording of a face"):
        recorded_scenes(clip, 40, mesh, frames=1)
