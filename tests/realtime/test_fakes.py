import numpy as np
import pytest
from fakes import FakeCamera, FakeClock, FakeCropper, FakeFaceMesh, IdentityEngine, a_frame, grey, noise

from realtime.camera import Camera
from realtime.errors import CameraLost


def test_fake_camera_gives_its_images_in_order_and_ends():
    camera: Camera = FakeCamera([grey(1), grey(2)])

    with camera:
        frames = [camera.read(), camera.read(), camera.read()]

    assert [frame and (frame.seq, frame.image[0, 0, 0]) for frame in frames] == [(0, 1), (1, 2), None]


def test_fake_camera_is_lost_when_told_to_be():
    camera = FakeCamera([grey(), grey()], fail_after=1)

    camera.read()

    with pytest.raises(CameraLost):
        camera.read()


def test_fake_camera_keeps_the_fake_clocks_time():
    clock = FakeClock()
    camera = FakeCamera([grey(), grey()], clock=clock, fps=10)

    first, second = camera.read(), camera.read()

    assert second.captured_ns - first.captured_ns == pytest.approx(0.1e9)


def test_fake_face_mesh_puts_the_irises_where_it_is_told():
    face_mesh = FakeFaceMesh(lambda seq: None if seq else [[100.0, 80.0], [145.0, 82.0]])

    seen, unseen = face_mesh(a_frame(grey())), face_mesh(a_frame(grey(), seq=1))

    assert seen.points[[468, 473]].tolist() == [[100, 80], [145, 82]]
    assert unseen is None


def test_fake_cropper_and_identity_engine_keep_the_pixels():
    frame = a_frame(noise(0))
    landmarks = FakeFaceMesh(lambda _: [[100, 80], [145, 82]])(frame)

    crops = FakeCropper(width=32, height=16)(frame, landmarks)
    enhanced = IdentityEngine(scale=2)(crops.patches)

    assert enhanced.shape == (2, 32, 64, 3)
    assert np.array_equal(enhanced[1, ::2, 1::2], frame.image[:16, 32:64])
