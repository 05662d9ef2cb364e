import cv2
import numpy as np
import pytest

from realtime.demo import GAZE_PATH, DemoCamera


def find_iris(image, iris, about, reach):
    """Where the piece of image that shows an iris is found again: x, y and the likeness, at most 1."""
    likeness = cv2.matchTemplate(cut(image, about, reach + 14), iris, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(likeness)
    return np.rint(about) + np.array([x - reach, y - reach]), best


def cut(image, about, reach):
    x, y = np.rint(about).astype(int)
    return image[y - reach : y + reach + 1, x - reach : x + reach + 1]


def test_any_frame_is_the_same_every_time():
    one, other = DemoCamera(), DemoCamera()
    one.image(3)

    assert np.array_equal(one.image(7), other.image(7))


def test_seeds_differ():
    assert not np.array_equal(DemoCamera(seed=0).image(0), DemoCamera(seed=1).image(0))


@pytest.mark.parametrize(("width", "height", "expected"), [(640, 480, 45), (1280, 720, 67.5)])
def test_eyes_are_as_far_apart_as_said(width, height, expected):
    demo = DemoCamera(width=width, height=height, motion=0)

    left, right = demo.true_eyes(0)

    assert demo.image(0).shape == (height, width, 3)
    assert np.hypot(*(right - left)) == pytest.approx(expected)


def test_still_head_differs_only_by_noise():
    demo = DemoCamera(motion=0)

    difference = np.abs(demo.image(0).astype(int) - demo.image(200))

    assert np.array_equal(demo.true_eyes(0), demo.true_eyes(200))
    assert 0.5 < difference.mean() < 5


def test_face_moves_and_stays_in_the_frame():
    demo = DemoCamera()

    eyes = np.array([demo.true_eyes(seq) for seq in range(0, 3000, 10)])

    assert np.ptp(eyes[:, 0, 0]) > 20
    assert eyes.min() > 100
    assert (eyes < [540, 380]).all()


def close_up(**arguments):
    """A still head so near that an iris is 33 pixels wide."""
    return DemoCamera(interocular_px=180, width=960, height=720, motion=0, **arguments)


def test_saccade_moves_the_irises_by_what_it_says():
    demo = close_up(saccade_px=14, saccade_period=5)

    before, after = demo.image(0), demo.image(5)

    for eye_before, eye_after in zip(demo.true_eyes(0), demo.true_eyes(5), strict=True):
        assert eye_after - eye_before == pytest.approx([28, 0])
        found, likeness = find_iris(after, cut(before, eye_before, 14), eye_after, 20)
        assert found == pytest.approx(eye_after, abs=1.5)
        assert likeness > 0.6


def test_saccade_changes_nothing_but_the_openings():
    demo = close_up(saccade_px=14, saccade_period=5)

    difference = np.abs(demo.image(0).astype(int) - demo.image(5)).mean(axis=2)

    moved = np.argwhere(cv2.blur(difference, (5, 5)) > 12)[:, ::-1]
    eyes = (demo.true_eyes(0) + demo.true_eyes(5)) / 2
    within = (np.abs(moved[:, None] - eyes) <= [45, 28]).all(axis=2).any(axis=1)
    assert len(moved) > 300
    assert within.all()


def test_blink_hides_the_irises():
    demo = close_up(blinks=True)
    closures = [demo.lid_closure(seq) for seq in range(90)]
    closed = int(np.argmax(closures))

    for eye in demo.true_eyes(0):
        iris = cut(demo.image(0), eye, 14)

        assert find_iris(demo.image(1), iris, eye, 4)[1] > 0.9
        assert find_iris(demo.image(closed), iris, eye, 4)[1] < 0.5
    assert max(closures) == 1
    assert np.count_nonzero(closures) >= 4


def test_saccade_beyond_the_white_is_refused():
    with pytest.raises(ValueError, match=r"a tenth of interocular_px, 4\.5"):
        DemoCamera(saccade_px=5)


def test_unpaced_frames_follow_one_another():
    with DemoCamera(width=160, height=120, paced=False) as demo:
        frames = [demo.read() for _ in range(5)]

    assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.ts_source for frame in frames} == {"demo"}


def test_stopped_demo_ends():
    demo = DemoCamera(width=160, height=120)

    demo.stop()

    assert demo.read() is None


def test_a_demo_that_looks_about_visits_every_point_and_its_irises_are_there():
    still = DemoCamera(motion=0, paced=False)
    camera = DemoCamera(motion=0, looks_about=True, saccade_period=3, paced=False)
    straight = still.true_eyes(0)

    for seq in range(0, 3 * len(GAZE_PATH)):
        gaze = GAZE_PATH[seq // 3]

        assert camera.gaze(seq) == gaze
        np.testing.assert_allclose(camera.true_eyes(seq) - straight, [np.array([3.6, 1.125]) * gaze] * 2, atol=1e-9)


def test_the_iris_of_a_demo_that_looks_about_is_darkest_where_it_says():
    camera = DemoCamera(interocular_px=90, motion=0, looks_about=True, saccade_period=1, paced=False)
    down_left, down_right = camera.image(6), camera.image(8)

    for image, seq in ((down_left, 6), (down_right, 8)):
        other = down_right if seq == 6 else down_left
        for x, y in camera.true_eyes(seq).round().astype(int):
            here = np.s_[y - 2 : y + 3, x - 3 : x + 4]
            assert image[here].mean() < other[here].mean() - 20
