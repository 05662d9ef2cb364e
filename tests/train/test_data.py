import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.config import DataConfig
from train.data import (
    Face,
    Samples,
    displace,
    find_manifest,
    load_faces,
    load_labelled,
    pyramid,
    relight,
    render,
    tint_iris,
    turn,
    usable,
)
from train.degradation import DegradationConfig
from train.errors import DataError

CLEAN = DegradationConfig(clean=1.0)


@pytest.fixture(scope="module")
def faces(portrait):
    pairs = [portrait(number) for number in range(2)]
    return [Face(image=image, eyes=np.array(eyes, np.float32), name="a face") for image, eyes in pairs]


@pytest.fixture
def face(faces):
    return faces[0]


@pytest.fixture
def samples(faces):
    def make(data=None, degradation=None, *, scale=2, frames=1, seed=0, draws=1):
        settings = {"scale": scale, "frames": frames, "seed": seed, "count": 100, "draws": draws}
        return Samples(faces, data or DataConfig(), degradation or DegradationConfig(), **settings)

    return make


@pytest.mark.parametrize(("scale", "frames"), [(2, 1), (2, 3), (4, 1), (8, 2)])
def test_sample_has_the_shape_that_the_network_takes(samples, scale, frames):
    data = DataConfig(interocular_px=(12, 60))

    lr, hr, eye = samples(data, scale=scale, frames=frames)[5]

    assert tuple(eye.shape) == (4,)
    assert (tuple(lr.shape), tuple(hr.shape)) == ((3 * frames, 32, 32), (3, 32 * scale, 32 * scale))
    assert str(lr.dtype) == str(hr.dtype) == "torch.uint8"


def test_sample_is_a_function_of_seed_and_index(samples):
    first, again, other_seed = (samples(frames=3, seed=seed) for seed in (1, 1, 2))

    for index in range(5):
        for a, b in zip(first.sample(index), again.sample(index), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.sample(0)[1], other_seed.sample(0)[1])
    assert not np.array_equal(first.sample(0)[1], first.sample(1)[1])


def test_draws_of_a_scene_are_neighbours_and_differ_in_their_noise_alone(samples):
    made = samples(degradation=DegradationConfig(clean=0, noise=1, common=0), frames=2, draws=2)

    for index in range(0, 8, 2):
        (first, sharp, eye), (second, same_sharp, same_eye) = made.sample(index), made.sample(index + 1)
        np.testing.assert_array_equal(sharp, same_sharp)
        np.testing.assert_array_equal(eye, same_eye)
        apart = first.astype(float) - second
        assert 0.1 < apart.std() < 30
        assert abs(apart.mean()) < 2
    assert not np.array_equal(made.sample(1)[1], made.sample(2)[1])


@pytest.mark.parametrize("scale", [2, 4])
def test_clean_sample_is_the_mean_over_its_truth(samples, scale):
    made = samples(DataConfig(interocular_px=(12, 60)), CLEAN, scale=scale)

    for index in range(5):
        lr, hr, _ = made.sample(index)
        blocks = hr.reshape(32, scale, 32, scale, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(lr, blocks, atol=0.51)


def test_still_clip_of_a_clean_camera_repeats_itself(samples):
    data = DataConfig(motion=(1, 0, 0), eye_motion=0, repeated=0, duplicated=0)

    lr, *_ = samples(data, CLEAN, frames=3).sample(0)

    np.testing.assert_array_equal(lr[..., :3], lr[..., 3:6])
    np.testing.assert_array_equal(lr[..., :3], lr[..., 6:])


def test_still_clip_of_a_noisy_camera_has_new_noise_in_each_frame(samples):
    data = DataConfig(motion=(1, 0, 0), eye_motion=0, repeated=0, duplicated=0)

    lr, *_ = samples(data, DegradationConfig(clean=0, noise=1, common=0), frames=2).sample(0)

    assert not np.array_equal(lr[..., :3], lr[..., 3:])


def shift_between(a, b):
    grey = [cv2.cvtColor(np.ascontiguousarray(i), cv2.COLOR_BGR2GRAY).astype(np.float32) for i in (a, b)]
    return np.hypot(*cv2.phaseCorrelate(*grey, cv2.createHanningWindow(grey[0].shape[::-1], cv2.CV_32F))[0])


def shifts(samples, motion, registered):
    data = DataConfig(patch=64, motion=motion, registered=registered, eye_motion=0, interocular_px=(60, 80))
    made = samples(replace(data, repeated=0, duplicated=0), CLEAN, frames=2)
    return np.array([shift_between(lr[..., :3], lr[..., 3:]) for lr, *_ in (made.sample(i) for i in range(12))])


def test_moving_clips_move_by_a_pixel_or_so_and_fast_ones_faster(samples):
    still, slow, fast = (shifts(samples, kind, 0).mean() for kind in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))

    assert still < 0.02
    assert 0.2 < slow < 1.5
    assert slow < fast < 6


def test_what_is_registered_moves_by_parts_of_a_pixel(samples):
    moved = shifts(samples, (0, 0, 1), 1)

    assert moved.mean() > 0.1
    assert moved.max() < np.hypot(0.75, 0.75)


def test_turn_is_counter_clockwise_about_the_middle():
    image = np.zeros((5, 5, 3), np.uint8)
    image[2, 4] = 255

    turned = turn(image, 90)

    assert turned[0, 2].tolist() == [255, 255, 255]
    assert turned.sum() == 3 * 255


def test_head_that_moves_rolls_from_frame_to_frame_and_one_that_is_still_does_not(samples):
    def rolls(kind):
        motion = [float(kind == k) for k in range(3)]
        made = samples(DataConfig(motion=motion, turn_deg=0.5), frames=8)
        return np.array([made._walk(np.random.default_rng(seed))[1] for seed in range(400)])

    assert not rolls(0).any()
    for kind in (1, 2):
        steps = np.diff(rolls(kind), axis=1)
        assert rolls(kind)[:, 0].tolist() == [0] * 400
        # A step's deviation is itself uniform over [0, 0.5], of mean square 0.25 / 3.
        assert np.std(steps) == pytest.approx(0.5 / 3**0.5, rel=0.1)


def test_older_frame_of_a_rolling_head_is_the_newest_one_turned(samples, monkeypatch):
    data = DataConfig(patch=64, motion=(1, 0, 0), eye_motion=0, repeated=0, duplicated=0, interocular_px=(60, 80))
    monkeypatch.setattr("train.data.ALIGNMENT", 0)  # so that the patch has the turn's middle
    monkeypatch.setattr(Samples, "_walk", lambda *_: (np.zeros((2, 2), int), np.array([0.0, 3.0])))

    lr, *_ = samples(data, CLEAN, frames=2).sample(0)

    newest, older = np.ascontiguousarray(lr[..., :3]), lr[..., 3:]
    inside = (slice(8, -8), slice(8, -8))
    apart = np.abs(turn(newest, 3.0)[inside].astype(int) - older[inside]).mean()
    assert apart < 0.3 * np.abs(newest[inside].astype(int) - older[inside]).mean()


def test_stream_that_starts_repeats_its_newest_frame(samples):
    lr, *_ = samples(DataConfig(repeated=1), frames=3).sample(0)

    np.testing.assert_array_equal(lr[..., :3], lr[..., 6:])


def test_frame_that_came_twice_is_the_copy_of_its_neighbour(samples):
    data = DataConfig(duplicated=1, repeated=0, motion=(0, 0, 1))

    copies = []
    for index in range(10):
        lr, *_ = samples(data, frames=3).sample(index)
        copies.append([np.array_equal(lr[..., 3 * t : 3 * t + 3], lr[..., 3 * t + 3 : 3 * t + 6]) for t in (0, 1)])

    assert all(sum(pair) == 1 for pair in copies)
    assert {tuple(pair) for pair in copies} == {(True, False), (False, True)}


def test_eye_that_moves_changes_a_frame_of_a_still_clip_only_near_the_eye(samples):
    data = DataConfig(motion=(1, 0, 0), eye_motion=1, repeated=0, duplicated=0, eye_bias=1)

    changed = [
        np.abs(lr[..., :3].astype(int) - lr[..., 6:]).max(axis=2) > 8
        for lr, *_ in (samples(data, CLEAN, frames=3).sample(i) for i in range(12))
    ]

    assert sum(mask.any() for mask in changed) >= 3
    assert np.mean([mask.mean() for mask in changed]) < 0.4


def test_render_brings_the_eyes_to_the_distance_asked_for_and_says_where_they_are(dotted_face, centre):
    pieces = [render(dotted_face, 60.0, 180, DataConfig(eye_bias=1), np.random.default_rng(seed)) for seed in range(8)]

    for piece in pieces:
        left, right = (centre(piece.image[..., channel]) for channel in (0, 2))
        assert np.hypot(*(right - left)) == pytest.approx(60, abs=0.1)
        assert min(np.abs(piece.eye - eye).max() for eye in (left, right)) < 0.1


@pytest.mark.parametrize("bias", [0, 0.5, 1])
def test_eye_bias_is_the_share_of_pieces_near_an_eye(face, bias):
    rng = np.random.default_rng(0)

    def share_near(bias):
        data = DataConfig(eye_bias=bias, rotation_deg=0)
        pieces = [render(face, 60.0, 16, data, rng) for _ in range(400)]
        return np.mean([np.hypot(*np.subtract(piece.eye, 7.5)) < 0.6 * 60 for piece in pieces])

    everywhere = share_near(0)

    assert everywhere < 0.4
    assert share_near(bias) == pytest.approx(bias + (1 - bias) * everywhere, abs=0.08)


def test_every_other_piece_is_mirrored_and_its_eye_is_still_the_subject_s(face):
    ramp = np.arange(face.image.shape[1])[None, :, None] // 2
    rising = replace(face, image=np.broadcast_to(ramp, face.image.shape).astype(np.uint8))
    rng = np.random.default_rng(0)

    pieces = [render(rising, 60.0, 120, DataConfig(eye_bias=1, rotation_deg=0), rng) for _ in range(200)]

    mirrored = [int(piece.image[60, 20, 0]) > int(piece.image[60, 100, 0]) for piece in pieces]
    assert 0.4 < np.mean(mirrored) < 0.6
    seen = 0
    for piece, mirror in zip(pieces, mirrored, strict=True):
        x, y = (round(v) for v in piece.eye)
        if 0 <= x < 120 and 0 <= y < 120:
            on_the_right = int(piece.image[y, x, 0]) > face.eyes[:, 0].mean() / 2  # of the photograph
            assert piece.is_left == (on_the_right != mirror)
            seen += 1
    assert seen > 100


def test_relight_changes_each_channel_by_one_rising_curve():
    rng = np.random.default_rng(0)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)

    lit = [relight(ramp, DataConfig(), rng)[0] for _ in range(50)]

    assert all((np.diff(x.astype(int), axis=0) >= 0).all() and (x[0] == 0).all() for x in lit)
    assert np.std([x[128].mean() for x in lit]) > 10  # other light
    assert np.std([int(x[128, 0]) - int(x[128, 2]) for x in lit]) > 5  # of another colour


def test_relight_without_spread_leaves_the_picture(face):
    plain = DataConfig(exposure=0, white_balance=0, gamma=0)

    np.testing.assert_array_equal(relight(face.image, plain, np.random.default_rng(0)), face.image)


def test_tint_changes_the_colour_of_the_iris_and_of_nothing_else(face):
    rng = np.random.default_rng(0)
    large = render(face, 200.0, 300, DataConfig(eye_bias=1.0), rng)

    tinted = tint_iris(large, DataConfig(tinted=1.0), rng)

    y, x = np.mgrid[0:300, 0:300]
    distance = np.hypot(x - large.eye[0], y - large.eye[1])
    change = np.abs(tinted.astype(int) - large.image).max(axis=2)
    assert change[distance < 0.06 * 200].mean() > 2
    assert change[distance > 0.14 * 200].max() == 0


@pytest.mark.parametrize("eye", [(-500.0, 10.0), (20.0, 900.0)])
def test_tint_of_an_eye_outside_of_the_picture_leaves_it(face, eye):
    large = replace(render(face, 200.0, 300, DataConfig(), np.random.default_rng(0)), eye=eye)

    np.testing.assert_array_equal(tint_iris(large, DataConfig(tinted=1.0), np.random.default_rng(0)), large.image)


def test_displace_moves_the_middle_and_leaves_the_rest():
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)

    moved = displace(image, (30.0, 30.0), 16.0, (2.0, -1.0))

    np.testing.assert_array_equal(moved[28:33, 28:33], image[29:34, 26:31])
    np.testing.assert_array_equal(moved[:13], image[:13])
    np.testing.assert_array_equal(moved[:, 47:], image[:, 47:])


def test_pyramid_holds_what_small_faces_need_and_no_more():
    large = Face(image=np.zeros((801, 900, 3), np.uint8), eyes=np.array([[200, 300], [600, 300]], np.float32))

    levels = pyramid(large, low_px=90, high_px=190)

    assert [level.interocular_px for level in levels] == pytest.approx([200, 100])
    assert levels[1].image.shape == (200, 225, 3)
    np.testing.assert_allclose(levels[0].eyes, [[99.75, 149.75], [299.75, 149.75]])


def test_small_face_is_its_own_pyramid(face):
    subject = face

    assert pyramid(subject, 100, 440) == (subject,)


def test_faces_that_are_too_small_are_left_out(face):
    subject = face
    small = replace(subject, image=subject.image[::4, ::4], eyes=subject.eyes / 4)

    assert usable([small, subject], DataConfig(), 2) == [subject]
    assert usable([small, subject], DataConfig(patch=64), 2) == [subject]


def test_folder_of_faces_smaller_than_a_patch_says_so():
    tiny = Face(image=np.zeros((40, 40, 3), np.uint8), eyes=np.array([[5, 20], [30, 20]], np.float32), name="tiny.png")

    with pytest.raises(
        DataError, match=r"at least 64 pixels with 45 between the eyes at x2, got none of 1 \(tiny\.png: 40"
    ):
        usable([tiny], DataConfig(), 2)


@pytest.mark.parametrize("place", ["manifest.json", "train.json", "beside"])
def test_manifest_is_found_in_the_folder_or_beside_it(write_faces, tmp_path, place):
    folder = write_faces(tmp_path / "set", 2)
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").unlink()
    if place == "beside":
        (tmp_path / "set.json").write_text(text.replace('"file": "', '"file": "set/'))
    else:
        (folder / place).write_text(text)

    assert len(load_faces(folder)) == 2


@pytest.mark.parametrize("name", ["set", "set.v2", "."])
def test_manifest_beside_a_folder_has_all_of_its_name(tmp_path, monkeypatch, name):
    folder = tmp_path / "set.v2" if name == "." else tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder if name == "." else tmp_path)
    for other in ("set.json", "set.v2.json", "set.v1.json"):
        (tmp_path / other).write_text("[]")

    found = find_manifest(Path(name))

    assert found is not None
    assert found.name == f"{folder.name}.json"


def test_manifest_beside_a_link_to_a_folder_is_found(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set.json").write_text("[]")

    assert find_manifest(tmp_path / "set") == tmp_path / "set.json"


@pytest.mark.parametrize("key", ["eyes_px", "eyes_yunet_px", "pupil_px"])
def test_eyes_are_read_under_the_names_that_they_have(portrait, write_faces, tmp_path, key):
    folder = write_faces(tmp_path, 1, "val.json", key)

    (found,) = load_labelled(folder)

    np.testing.assert_allclose(found.eyes, portrait()[1])
    assert found.interocular_px == pytest.approx(129.2, abs=0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected at least one face"),
        ("{", "not a manifest"),
        ("[1]", "not a manifest"),
        ('[{"file": "0.png"}]', "not a manifest"),
        ('[{"file": "0.png", "eyes_px": [[1, 2]]}]', r"0\.png: expected two eye positions"),
        ('[{"file": "0.png", "eyes_px": [[1, 2], [1, 2]]}]', r"0\.png: expected two eye positions"),
        ('[{"file": "0.png", "eyes_px": [[NaN, 2], [3, 4]]}]', r"0\.png: expected two eye positions"),
        ('[{"file": "gone.png", "eyes_px": [[1, 2], [3, 4]]}]', r"gone\.png: expected an image, cannot be read"),
    ],
)
def test_damaged_manifest_is_refused(write_faces, tmp_path, text, message):
    folder = write_faces(tmp_path, 1)
    (folder / "manifest.json").write_text(text)

    with pytest.raises(DataError, match=message):
        load_faces(folder)


@pytest.mark.parametrize("pupils", [[[100, 200], [450, 200]], [[-2, 200], [300, 200]], [[100, 500], [300, 200]]])
def test_pupil_outside_of_a_labelled_picture_is_refused(write_faces, tmp_path, pupils):
    folder = write_faces(tmp_path, 1, "val.json", "pupil_px")
    (folder / "val.json").write_text(json.dumps([{"file": "0.png", "pupil_px": pupils}]))

    with pytest.raises(DataError, match=r"0\.png: expected its pupils inside of 450x450 pixels"):
        load_labelled(folder)


def test_truncated_face_is_named(write_faces, tmp_path):
    folder = write_faces(tmp_path, 2)
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:5000])

    with pytest.raises(DataError, match=r"1\.png: expected a whole image"):
        load_faces(folder)


def test_empty_folder_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.json.*python -m train prepare"):
        load_faces(tmp_path)


def test_sample_says_where_its_eye_is(dotted_face, centre):
    plain = DataConfig(patch=64, interocular_px=(25, 30), eye_bias=1, exposure=0, white_balance=0, gamma=0, tinted=0)
    made = Samples([dotted_face], plain, CLEAN, scale=2, frames=1, seed=0, count=20)

    seen = 0
    for _, hr, (x, y, interocular_px, is_left) in (made.sample(index) for index in range(20)):
        assert 2 * 25 <= interocular_px <= 2 * 30
        assert is_left in (0, 1)
        if 10 < x < 118 and 10 < y < 118:
            lit = [hr[..., channel] for channel in (0, 2) if hr[..., channel].max() > 100]
            assert min(np.abs(centre(dot) - (x, y)).max() for dot in lit) < 0.3
            seen += 1
    assert seen >= 10
