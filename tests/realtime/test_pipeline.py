import numpy as np
import pytest
from fakes import FakeCropper, FakeFaceMesh, IdentityEngine, a_frame, face_about, noise

from engines import EngineError
from engines.bicubic import BicubicEngine
from realtime.bypass import Bypass, iris_px
from realtime.config import CropConfig
from realtime.crops import Cropper
from realtime.frames import patch_to_camera
from realtime.pipeline import enhance

EYES = [[290, 200], [335, 202]]


def frames(count=3):
    return [a_frame(noise(seq), seq) for seq in range(count)]


def test_every_frame_comes_out_once_and_in_order():
    chain = enhance(frames(5), FakeFaceMesh(lambda seq: EYES), FakeCropper(), IdentityEngine())

    assert [enhanced.crops.frame.seq for enhanced in chain] == [0, 1, 2, 3, 4]


def test_both_eyes_are_enhanced_and_say_by_what():
    (enhanced,) = enhance(frames(1), FakeFaceMesh(lambda seq: EYES), FakeCropper(64, 48), IdentityEngine())

    assert enhanced.patches.shape == (2, 96, 128, 3)
    assert (enhanced.engine, enhanced.tier, enhanced.scale) == ("identity", "identity", 2)
    assert enhanced.face is None


def test_a_patch_pixel_shows_the_camera_pixel_that_its_affine_names():
    cropper = Cropper(CropConfig())
    (enhanced,) = enhance(frames(1), FakeFaceMesh(lambda seq: EYES), cropper, IdentityEngine())

    for box, patch in zip(enhanced.crops.boxes, enhanced.patches, strict=True):
        rows, columns = np.indices(patch.shape[:2])
        x, y = patch_to_camera(box, 2) @ np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
        seen = enhanced.crops.frame.image[np.rint(y).astype(int), np.rint(x).astype(int)]
        np.testing.assert_array_equal(patch.reshape(-1, 3), seen)


def test_without_a_face_the_frame_comes_out_without_pixels_and_the_engine_rests():
    class Resting(IdentityEngine):
        def _run(self, batch):
            raise EngineError("expected to rest")

    (enhanced,) = enhance(frames(1), FakeFaceMesh(lambda seq: None), FakeCropper(), Resting())

    assert enhanced.crops.landmarks is None
    assert enhanced.patches is None


def test_the_face_is_enhanced_beside_the_eyes_when_asked_for():
    cropper = Cropper(CropConfig(face=True))
    (enhanced,) = enhance(frames(1), FakeFaceMesh(lambda seq: EYES), cropper, IdentityEngine())

    box = enhanced.crops.face_box
    assert enhanced.face.shape == (1, 2 * box.height, 2 * box.width, 3)


def test_stamps_follow_one_another_from_the_capture():
    (enhanced,) = enhance(frames(1), FakeFaceMesh(lambda seq: EYES), FakeCropper(), IdentityEngine())

    assert list(enhanced.stamps_ns) == ["capture_wait", "landmarks", "crops", "engine_wait", "engine"]
    times = [enhanced.crops.frame.captured_ns, *enhanced.stamps_ns.values()]
    assert times == sorted(times)


def test_an_engine_that_fails_is_heard():
    class Failing(IdentityEngine):
        def _run(self, batch):
            raise EngineError("out of memory")

    with pytest.raises(EngineError, match="out of memory"):
        list(enhance(frames(1), FakeFaceMesh(lambda seq: EYES), FakeCropper(), Failing()))


def eyes_apart(interocular_px):
    return [[300, 200], [300 + interocular_px, 200]]


def test_an_iris_too_small_for_the_network_is_sent_as_bicubic_and_says_so():
    bypass = Bypass(BicubicEngine(), smallest_iris_px=4)
    mesh = FakeFaceMesh(lambda seq: eyes_apart(10 if seq == 1 else 45))

    made = list(enhance(frames(3), mesh, FakeCropper(), IdentityEngine(), bypass))

    assert [enhanced.engine for enhanced in made] == ["identity", "bicubic", "identity"]


def test_the_network_comes_back_only_when_the_iris_has_clearly_grown():
    bypass, network, stand_in = Bypass(BicubicEngine(), smallest_iris_px=4), IdentityEngine(), BicubicEngine()
    just_enough, clearly = face_about(eyes_apart(4.1 / 0.18)), face_about(eyes_apart(5 / 0.18))

    assert bypass(just_enough, network) is network
    assert bypass(face_about(eyes_apart(10)), network).name == stand_in.name
    assert bypass(just_enough, network).name == stand_in.name
    assert "move closer" in bypass.reason
    assert bypass(clearly, network) is network
    assert bypass.reason is None


def test_iris_size_is_the_diameter_of_its_rim():
    assert iris_px(face_about(eyes_apart(50))) == pytest.approx(2 * 0.09 * 50)
