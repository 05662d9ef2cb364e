from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from train.benefit.faces import face_mesh
from train.benefit.method import plain_methods
from train.benefit.recording import own_size, recorded_scenes, steps
from train.benefit.scene import photographed
from train.benefit.synthetic import drawn_face
from train.errors import DataError


@pytest.fixture(scope="module")
def mesh():
    with face_mesh() as found:
        yield found


def photo():
    return cv2.resize(np.ascontiguousarray(astronaut()[:300, 50:400, ::-1]), None, fx=2, fy=2)


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
    clip = record(tmp_path / "a.avi", [photo()] * 4)

    scenes = recorded_scenes(clip, 40 / own_size(clip, mesh), mesh, frames=3)

    assert len(scenes) == 2
    assert scenes[0].moving.shape[0] == 3
    view = plain_methods()[2].views(scenes)[0]
    assert view.interocular_px == pytest.approx(80, rel=0.03)
    for x, y in np.rint(view.at(scenes[0].face.pupils)).astype(int):
        assert view.image[y - 2 : y + 3, x - 2 : x + 3].mean() < view.image[y - 20 : y + 21, x - 40 : x + 41].mean()


def test_a_recording_at_its_own_size_keeps_every_pixel(tmp_path, mesh):
    clip = record(tmp_path / "a.avi", [photo()] * 2)
    capture = cv2.VideoCapture(str(clip))

    scenes = recorded_scenes(clip, 1.0, mesh, frames=1)

    assert np.array_equal(scenes[0].moving[0], capture.read()[1])
    assert own_size(clip, mesh) == pytest.approx(scenes[0].raw().interocular_px, rel=0.01)


def test_gaze_steps_are_the_changes_between_frames(tmp_path, mesh):
    clip = record(tmp_path / "a.avi", [cv2.add(photo(), np.full_like(photo(), 20 * (i % 2))) for i in range(4)])
    scenes = recorded_scenes(clip, 0.5, mesh, frames=1)

    taken = steps(scenes, plain_methods()[0], SimpleNamespace(read=brightness))

    assert taken["gaze_step_deg"] == pytest.approx([2, 2, 2], abs=0.4)


def test_each_frame_is_a_face_of_its_own_so_that_the_head_pose_is_taken_anew(tmp_path, mesh):
    clip = record(tmp_path / "a.avi", [photo()] * 3)

    names = [scene.face.name for factor in (0.5, 1.0) for scene in recorded_scenes(clip, factor, mesh, frames=1)]

    assert len(set(names)) == 6


def test_pupil_steps_follow_a_pupil_and_not_the_head(tmp_path):
    def scenes(gazes, shifts):
        taken = []
        for gaze, shift in zip(gazes, shifts, strict=True):
            face = drawn_face(gaze=(gaze, 0.0))
            scene = photographed(face, 60, "clean", 1, np.random.default_rng(0))
            fixed = replace(face, pupils=drawn_face().pupils)
            moved = np.roll(scene.moving, shift, axis=2)
            taken.append(replace(scene, face=fixed, moving=moved, shift=(scene.shift[0] + 2 * shift, scene.shift[1])))
        return taken

    def pupil_step(found):
        return steps(found, plain_methods()[0], SimpleNamespace(read=brightness))["pupil_step"]

    assert pupil_step(scenes((0.0, 0.0, 0.0), (0, 2, 4))) == pytest.approx([0, 0], abs=1e-3)
    assert pupil_step(scenes((-0.02, 0.02, -0.02), (0, 0, 0))) == pytest.approx([0.04, 0.04], rel=0.2)


def test_a_recording_without_a_face_is_a_clear_error(tmp_path, mesh):
    clip = record(tmp_path / "grey.avi", [np.full((120, 160, 3), 90, np.uint8)] * 3)

    with pytest.raises(DataError, match="a recording of a face"):
        own_size(clip, mesh)
