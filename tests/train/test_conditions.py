import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from train.conditions import CONDITIONS, SHOT_VARIANCE, photograph, random_walk, resized


@pytest.fixture
def sharp():
    return np.ascontiguousarray(astronaut()[60:188, 160:288, ::-1])


@pytest.mark.parametrize("scale", [2, 4])
def test_clean_is_the_mean_over_the_area(sharp, scale):
    picture = photograph(sharp, CONDITIONS["clean"], np.random.default_rng(0), scale)

    blocks = sharp.reshape(128 // scale, scale, 128 // scale, scale, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(picture, blocks, atol=0.51)


def test_conditions_are_those_that_every_score_is_stated_for():
    stated = {name: (c.blur_px, c.noise, c.jpeg_quality) for name, c in CONDITIONS.items()}

    assert stated == {"clean": (0, 0, None), "webcam": (0.8, 4 / 255, 85), "dark": (0.8, 10 / 255, 70)}


@pytest.mark.parametrize("condition", ["webcam", "dark"])
def test_same_seed_gives_the_same_picture(sharp, condition):
    first, again, other = (photograph(sharp, CONDITIONS[condition], np.random.default_rng(s)) for s in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_has_the_variance_that_is_stated():
    grey = np.full((256, 256, 3), 128, np.uint8)
    dark = CONDITIONS["dark"]
    uncompressed = type(dark)(blur_px=dark.blur_px, noise=dark.noise, jpeg_quality=None)

    picture = photograph(grey, uncompressed, np.random.default_rng(0)) / 255

    expected = dark.noise**2 + SHOT_VARIANCE * 128 / 255 + 1 / 12 / 255**2
    assert picture.var() == pytest.approx(expected, rel=0.03)


def test_darker_light_gives_a_worse_picture(sharp):
    clean, webcam, dark = (photograph(sharp, c, np.random.default_rng(0)).astype(int) for c in CONDITIONS.values())

    assert 0 < np.abs(webcam - clean).mean() < np.abs(dark - clean).mean()


def test_resized_puts_points_where_it_says():
    face = np.zeros((200, 200, 3), np.uint8)
    cv2.circle(face, (100, 80), 12, (255, 255, 255), -1)
    factor, shift = 0.4, (0.3, -0.2)

    small = resized(face, factor, (80, 80), shift)[..., 0].astype(float)

    y, x = np.mgrid[0:80, 0:80]
    centre = (small * x).sum() / small.sum(), (small * y).sum() / small.sum()
    expected = (100.5 * factor - 0.5 + shift[0], 80.5 * factor - 0.5 + shift[1])
    assert centre == pytest.approx(expected, abs=0.03)


def test_walk_starts_at_the_newest_frame_and_steps_as_far_as_asked():
    walk = random_walk(5, 0.5, np.random.default_rng(0))

    assert walk[0].tolist() == [0, 0]
    np.testing.assert_allclose(np.hypot(*np.diff(walk, axis=0).T), 0.5)
    assert np.ptp(np.arctan2(*np.diff(walk, axis=0).T)) > 0.1


def test_longer_walk_begins_like_a_shorter_one():
    three, five = (random_walk(n, 0.5, np.random.default_rng(4)) for n in (3, 5))

    np.testing.assert_allclose(five[:3], three)
