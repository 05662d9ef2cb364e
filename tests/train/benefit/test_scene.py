import numpy as np
import pytest

from engines.window import cut
from realtime.config import CropConfig
from realtime.crops import Cropper
from realtime.frames import Frame, Landmarks
from train.benefit.faces import CORNERS
from train.benefit.method import Method, bicubic_method, plain_methods
from train.benefit.scene import LADDER, eye_windows, photographed, window_size
from train.benefit.synthetic import drawn_face


def scene(condition="webcam", px=45, frames=3, seed=0):
    return photographed(drawn_face(), px, condition, frames, np.random.default_rng(seed))


@pytest.mark.parametrize("eye_width", [10, 17, 19, 27, 43, 60])
def test_windows_are_the_daemons(eye_width):
    points = np.zeros((478, 2), np.float32)
    corners = np.array([[100.0, 80.2], [100 + eye_width, 81], [160.3, 79], [160.3 + eye_width, 80]], np.float32)
    points[list(CORNERS)] = corners
    frame = Frame(seq=0, captured_ns=0, captured_utc_ns=0, ts_source="file", image=np.zeros((240, 320, 3), np.uint8))

    crops = Cropper(CropConfig(), frames=1)(frame, Landmarks(points=points))

    assert eye_windows(corners) == tuple((box.x, box.y, box.width, box.height) for box in crops.boxes)


def test_a_huge_eye_gets_the_largest_window():
    assert window_size(500) == LADDER[-1]


def test_points_of_the_face_lie_where_the_pictures_show_them():
    taken = scene("clean", px=60)

    for view in (taken.truth(), taken.raw()):
        x, y = np.rint(view.at(taken.face.pupils)[0]).astype(int)
        assert view.image[y, x].mean() < 60
        assert view.interocular_px == pytest.approx(60 * view.scale)
    sharp, raw = taken.truth().at(taken.face.pupils), taken.raw().at(taken.face.pupils)
    assert (sharp + 0.5) / 2 - 0.5 == pytest.approx(raw)


def test_same_seed_same_picture():
    assert np.array_equal(scene(seed=4).moving, scene(seed=4).moving)
    assert not np.array_equal(scene(seed=4).moving, scene(seed=5).moving)


def test_another_frame_changes_no_newest_frame():
    assert np.array_equal(scene(frames=1).moving[0], scene(frames=3).moving[0])


def test_a_still_face_differs_by_noise_alone():
    assert (scene("clean").still == scene("clean").still[0]).all()
    noisy = scene("webcam")
    assert not np.array_equal(noisy.still[0], noisy.still[1])


def test_a_moving_face_moves():
    assert not np.array_equal(scene("clean").moving[0], scene("clean").moving[1])


def test_older_frames_of_a_moving_face_are_laid_over_the_newest_one():
    taken = scene("clean", frames=6)

    patches = taken.patches(6).astype(float)

    for patch, window in zip(patches, taken.windows, strict=True):
        newest, oldest = (cut(image, window).astype(float) for image in taken.moving[[0, -1]])
        assert np.array_equal(patch[..., :3], newest)
        assert (patch[..., -3:] - newest).std() < 0.8 * (oldest - newest).std()


@pytest.mark.parametrize("px", [30, 60, 80])
def test_enhanced_eyes_come_back_to_their_places(px):
    taken = scene("clean", px=px)
    ideal = []
    for x, y, width, height in taken.windows:
        rows = np.clip(np.arange(2 * y, 2 * (y + height)), 0, taken.sharp.shape[0] - 1)
        columns = np.clip(np.arange(2 * x, 2 * (x + width)), 0, taken.sharp.shape[1] - 1)
        ideal.append(taken.sharp[rows][:, columns])

    view = taken.enhanced(np.stack(ideal))

    for centre in view.at(taken.face.pupils):
        x, y = np.rint(centre).astype(int)
        around = np.s_[y - 12 : y + 13, x - 14 : x + 15]
        assert np.array_equal(view.image[around], taken.sharp[around])


def test_each_eye_of_a_small_face_keeps_its_own_window():
    taken = scene("clean", px=30)
    patches = np.zeros((2, 64, 96, 3), np.uint8)
    patches[1] = 255

    view = taken.enhanced(patches)

    left, right = np.rint(view.at(taken.face.pupils)).astype(int)
    assert (view.image[left[1], left[0] - 10 : left[0] + 10] == 0).all()
    assert (view.image[right[1], right[0] - 10 : right[0] + 10] == 255).all()


def test_a_batch_gives_each_scene_its_own_eyes():
    scenes = [scene("clean", px=px, seed=seed) for seed, px in enumerate((30, 80, 45, 80))]
    newest = Method(name="newest", enhance=lambda b: np.repeat(np.repeat(b[..., :3], 2, 1), 2, 2), frames=3)

    views = newest.views(scenes)

    for one, view in zip(scenes, views, strict=True):
        x, y = np.rint(one.raw().at(one.face.pupils)[0]).astype(int)
        assert view.scene is one
        assert np.array_equal(view.image[2 * y, 2 * x], one.moving[0][y, x])


def test_bicubic_windows_on_bicubic_leave_no_seam():
    import cv2

    taken = scene("webcam", px=60)
    bicubic = bicubic_method(2)

    view = bicubic.views([taken])[0]

    whole = cv2.resize(taken.moving[0], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    x, y, width, height = (2 * side for side in taken.windows[0])
    inside = np.s_[max(y, 0) + 4 : y + height - 4, max(x, 0) + 4 : x + width - 4]
    assert np.array_equal(view.image[inside], whole[inside])


def test_raw_is_the_frame_itself():
    taken = scene()
    none = plain_methods()[0]

    assert none.name == "none"
    assert np.array_equal(none.views([taken])[0].image, taken.moving[0])
