import numpy as np
import pytest
from fakes import IdentityEngine, a_frame, face_about, noise

from realtime.config import CropConfig
from realtime.crops import Cropper
from realtime.frames import Crops, patch_to_camera

IMAGE = noise(0)
EYES = np.array([[300.0, 200.0], [345.0, 202.0]])


def eyes_apart(distance, centre=(320.0, 200.0)):
    return np.array(centre) + np.array([[-distance / 2, 0], [distance / 2, 0]])


def sizes(crops: Crops):
    return {(box.width, box.height) for box in crops.boxes}


@pytest.mark.parametrize(
    ("interocular_px", "size"),
    [
        (20, (48, 32)),
        (30, (48, 32)),
        (45, (64, 48)),
        (70, (96, 64)),
        (100, (128, 96)),
        (117, (128, 96)),
        (150, (160, 112)),
        (176, (192, 144)),
        (250, (256, 192)),
        (600, (256, 192)),
    ],
)
def test_window_suits_the_eye(interocular_px, size):
    crops = Cropper(CropConfig())(a_frame(IMAGE), face_about(eyes_apart(interocular_px)))

    assert sizes(crops) == {size}
    assert crops.patches.shape == (2, size[1], size[0], 3)
    assert crops.patches.dtype == np.uint8


@pytest.mark.parametrize("interocular_px", range(25, 200, 7))
def test_eye_fits_with_room_to_spare(interocular_px):
    landmarks = face_about(eyes_apart(interocular_px))

    crops = Cropper(CropConfig())(a_frame(IMAGE), landmarks)

    for box, corners in zip(crops.boxes, ([33, 133], [362, 263]), strict=True):
        ends = landmarks.points[corners][:, 0]
        assert ends.min() - box.x >= 0.2 * np.ptp(ends)
        assert box.x + box.width - 1 - ends.max() >= 0.2 * np.ptp(ends)


def test_patches_are_the_cameras_own_pixels():
    frame = a_frame(IMAGE)

    crops = Cropper(CropConfig())(frame, face_about(EYES))

    for patch, box in zip(crops.patches, crops.boxes, strict=True):
        assert np.array_equal(patch, frame.image[box.y : box.y + box.height, box.x : box.x + box.width])


def test_left_eye_of_the_image_comes_first():
    crops = Cropper(CropConfig())(a_frame(IMAGE), face_about(EYES))

    centres = [box.x + (box.width - 1) / 2 for box in crops.boxes]
    assert centres == pytest.approx([300, 345], abs=0.5)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_patch_pixels_map_to_the_camera_exactly(scale):
    frame = a_frame(IMAGE)
    crops = Cropper(CropConfig())(frame, face_about(EYES))

    enhanced = IdentityEngine(scale=scale)(crops.patches)

    for patch, box in zip(enhanced, crops.boxes, strict=True):
        rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
        x, y = np.moveaxis(np.stack([columns, rows, np.ones_like(rows)], -1) @ patch_to_camera(box, scale).T, -1, 0)
        assert np.array_equal(patch, frame.image[np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)])


def test_still_head_gives_still_windows():
    cropper, rng = Cropper(CropConfig()), np.random.default_rng(0)

    boxes = {cropper(a_frame(IMAGE, seq), face_about(EYES + rng.normal(0, 0.7, (2, 2)))).boxes for seq in range(100)}

    assert len(boxes) == 1


def test_windows_follow_a_moving_head_and_keep_the_eyes_near_their_middle():
    cropper = Cropper(CropConfig())

    for step in range(100):
        eyes = EYES + step * np.array([1.5, 0.5])
        crops = cropper(a_frame(IMAGE, step), face_about(eyes))
        for box, eye in zip(crops.boxes, eyes, strict=True):
            centre = np.array([box.x + (box.width - 1) / 2, box.y + (box.height - 1) / 2])
            assert np.abs(centre - eye).max() <= 4.5


def test_blink_does_not_move_the_windows():
    cropper = Cropper(CropConfig())
    seen, blinking = face_about(EYES), face_about(EYES)
    blinking.points[[159, 145, 386, 374, *range(468, 478)]] += np.float32([0, 6])

    before = cropper(a_frame(IMAGE, 0), seen).boxes
    after = cropper(a_frame(IMAGE, 1), blinking).boxes

    assert before == after


def test_size_does_not_flutter_between_two_rungs():
    cropper, rng = Cropper(CropConfig()), np.random.default_rng(0)

    # 41.9 px between the eyes is where 48x32 ends and 64x48 begins.
    chosen = [
        sizes(cropper(a_frame(IMAGE, seq), face_about(eyes_apart(41.9 + rng.normal(0, 0.5))))).pop()
        for seq in range(200)
    ]

    assert np.count_nonzero([a != b for a, b in zip(chosen[1:], chosen, strict=False)]) <= 1
    assert chosen[-1] == (64, 48)


def test_size_goes_down_again_for_a_head_that_moves_away():
    cropper = Cropper(CropConfig())

    near = cropper(a_frame(IMAGE, 0), face_about(eyes_apart(60)))
    far = cropper(a_frame(IMAGE, 1), face_about(eyes_apart(30)))

    assert (sizes(near), sizes(far)) == ({(64, 48)}, {(48, 32)})


def test_both_eyes_have_the_size_of_the_wider_one():
    turned = face_about(EYES)
    turned.points[[362, 263]] = turned.points[[362, 263]].mean(axis=0) + np.float32([[-3, 0], [3, 0]])

    crops = Cropper(CropConfig())(a_frame(IMAGE), turned)

    assert sizes(crops) == {(64, 48)}


@pytest.mark.parametrize("centre", [(5.0, 4.0), (635.0, 476.0), (-150.0, -150.0), (800.0, 100.0)])
def test_window_beyond_the_frame_repeats_the_edge(centre):
    frame = a_frame(IMAGE)

    crops = Cropper(CropConfig(face=True))(frame, face_about(eyes_apart(45, centre)))

    padded = np.pad(frame.image, ((300, 300), (300, 300), (0, 0)), mode="edge")
    for patch, box in zip([*crops.patches, crops.face[0]], [*crops.boxes, crops.face_box], strict=True):
        x, y = box.x + 300, box.y + 300
        assert np.array_equal(patch, padded[y : y + box.height, x : x + box.width])


def test_no_face_gives_no_patches():
    crops = Cropper(CropConfig(face=True))(a_frame(IMAGE), None)

    assert (crops.landmarks, crops.boxes, crops.patches, crops.face_box, crops.face) == (None, (), None, None, None)


def test_face_is_cut_only_when_asked_for():
    crops = Cropper(CropConfig())(a_frame(IMAGE), face_about(EYES))

    assert (crops.face_box, crops.face) == (None, None)


@pytest.mark.parametrize(("interocular_px", "side"), [(30, 128), (45, 128), (60, 192), (90, 256), (400, 512)])
def test_face_window_holds_the_face(interocular_px, side):
    landmarks = face_about(eyes_apart(interocular_px))

    crops = Cropper(CropConfig(face=True), frames=2)(a_frame(IMAGE), landmarks)

    assert crops.face.shape == (1, side, side, 6)
    if interocular_px < 200:
        ends = np.array([crops.face_box.x, crops.face_box.y])
        assert (landmarks.points >= ends).all()
        assert (landmarks.points <= ends + side - 1).all()


def stacked_seqs(crops: Crops, images):
    """Which images the channels show, newest first, judged by the first eye."""
    box = crops.boxes[0]
    window = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
    layers = np.split(crops.patches[0], crops.patches.shape[3] // 3, axis=2)
    return [next(seq for seq, image in images.items() if np.array_equal(image[window], layer)) for layer in layers]


def run(cropper, images, seqs, eyes=lambda _: EYES):
    for seq in seqs:
        crops = cropper(a_frame(images[seq], seq), None if eyes(seq) is None else face_about(eyes(seq)))
    return crops


IMAGES = {seq: IMAGE + np.uint8(seq) for seq in range(12)}


def test_last_frames_are_stacked_newest_first():
    assert stacked_seqs(run(Cropper(CropConfig(), frames=3), IMAGES, [0, 1, 2, 3]), IMAGES) == [3, 2, 1]


@pytest.mark.parametrize(("seqs", "shown"), [([0], [0, 0, 0]), ([0, 1], [1, 0, 1])])
def test_newest_frame_stands_in_at_the_start(seqs, shown):
    assert stacked_seqs(run(Cropper(CropConfig(), frames=3), IMAGES, seqs), IMAGES) == shown


@pytest.mark.parametrize(("seqs", "shown"), [([0, 4], [4, 0]), ([0, 5], [5, 5]), ([5, 3], [3, 3])])
def test_frames_are_stacked_over_a_short_gap_only(seqs, shown):
    assert stacked_seqs(run(Cropper(CropConfig(), frames=2), IMAGES, seqs), IMAGES) == shown


def test_frames_from_before_a_face_was_lost_are_forgotten():
    crops = run(Cropper(CropConfig(), frames=2), IMAGES, [0, 1, 2], eyes=lambda seq: None if seq == 1 else EYES)

    assert stacked_seqs(crops, IMAGES) == [2, 2]


def test_frames_of_another_size_are_forgotten():
    images = {0: noise(0), 1: noise(1, (800, 600))}

    assert stacked_seqs(run(Cropper(CropConfig(), frames=2), images, [0, 1]), images) == [1, 1]


def test_older_frames_are_cut_where_they_show_what_the_newest_one_shows():
    images = {seq: np.roll(IMAGE, 20 * seq, axis=1) for seq in range(3)}

    crops = run(
        Cropper(CropConfig(face=True), frames=3), images, range(3), eyes=lambda seq: EYES + np.array([20 * seq, 0])
    )

    assert crops.boxes[0].x + 31.5 == pytest.approx(340, abs=0.5)
    assert stacked_seqs(crops, {2: images[2]}) == [2, 2, 2]
    assert np.array_equal(crops.face[..., :3], crops.face[..., 6:])


def test_a_window_that_follows_cuts_older_frames_at_its_new_place():
    cropper = Cropper(CropConfig(), frames=2)
    first = cropper(a_frame(IMAGE, 0), face_about(EYES)).boxes[0]

    crops = cropper(a_frame(np.roll(IMAGE, 6, axis=1), 1), face_about(EYES + np.array([6, 0])))

    assert crops.boxes[0].x == first.x + 6
    assert np.array_equal(crops.patches[..., :3], crops.patches[..., 3:])


def test_input_is_left_alone():
    image = noise(0)
    crops = Cropper(CropConfig())(a_frame(image), face_about(EYES))

    crops.patches[:] = 0

    assert np.array_equal(image, IMAGE)


def test_no_frames_are_refused():
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        Cropper(CropConfig(), frames=0)


@pytest.mark.parametrize("ladder", [(), ((50, 32),), ((64, 48), (48, 32)), ((0, 0),)])
def test_ladder_that_cannot_be_climbed_is_refused(ladder):
    with pytest.raises(ValueError, match="multiples of 16, smallest first"):
        CropConfig(ladder=ladder)
