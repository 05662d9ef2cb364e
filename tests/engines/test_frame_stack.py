from functools import partial

import cv2
import numpy as np
import pytest

from engines.frame_stack import FrameStack
from engines.native import interface as native
from engines.registration import displacements, reference

WINDOW = (80, 60, 64, 48)
STILL = np.zeros((1, 2), np.int64)


def texture(seed=0, sigma=1.5):
    """Smooth noise as large as a face's contrasts, float32 (200, 240, 3)."""
    rough = np.random.default_rng(seed).standard_normal((200, 240, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(rough, (0, 0), sigma)
    return 120 + 30 * smooth / smooth.std()


def moved(picture, x, y):
    """The picture, moved to the right and down."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def photographed(picture, noise=0.0, seed=0):
    noisy = picture + noise * np.random.default_rng(seed).standard_normal(picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (0.3, -0.4), (1.5, 0.5), (-3, 2.2)])
@pytest.mark.parametrize("noise", [0, 10])
def test_a_displacement_is_found_to_a_part_of_a_pixel(x, y, noise):
    older, newer = photographed(texture(), noise, 1), photographed(moved(texture(), x, y), noise, 2)

    (found,) = displacements(newer, older, [WINDOW], STILL)

    assert found == pytest.approx([-x, -y], abs=0.12)


@pytest.mark.skipif(not native.available(), reason="the native library is not built")
@pytest.mark.parametrize(
    "window",
    [
        WINDOW,
        (-20, 150, 96, 64),
        (200, -9, 70, 50),
        (3, 5, 192, 128),
        (9, 9, 224, 160),
        (7, 9, 97, 71),
        (5, 4, 191, 131),
    ],
)
@pytest.mark.parametrize(("x", "y"), [(0.4, -1.3), (-12, 30), (0, 0)])
def test_the_native_library_finds_the_same(window, x, y):
    older, newer = photographed(texture(), 5, 1), photographed(moved(texture(), x, y), 5, 2)
    expected, step = np.rint([[-x, -y]]).astype(np.int64), -(-window[2] // 96)

    found = native.displacements(newer, older, [window], expected, step)

    assert found == pytest.approx(reference(newer, older, [window], expected, step), abs=0.02)


@pytest.mark.parametrize(
    ("newer", "older", "expected"),
    [
        (np.zeros((200, 240, 3), np.float32), np.zeros((200, 240, 3), np.float32), STILL),
        (np.zeros((200, 240), np.uint8), np.zeros((200, 240), np.uint8), STILL),
        (np.zeros((200, 240, 3), np.uint8), np.zeros((200, 240, 3), np.uint8), np.zeros((2, 2), np.int64)),
    ],
    ids=["float", "grey", "two expectations for one window"],
)
def test_what_is_no_pair_of_frames_is_refused(newer, older, expected):
    with pytest.raises(ValueError, match="expected"):
        displacements(newer, older, [WINDOW], expected)


def test_the_order_of_an_array_in_memory_is_no_matter():
    older, newer = photographed(texture(), 5, 1), photographed(moved(texture(), 12, 0), 5, 2)
    windows, expected = [WINDOW, (120, 90, 64, 48)], np.array([[-12, 0], [-12, 0]])

    found = displacements(newer, older, windows, np.asfortranarray(expected))

    assert found == pytest.approx(displacements(newer, older, windows, expected))


@pytest.mark.parametrize("size", [(2, 2), (5, 97), (400, 8)])
def test_a_window_too_narrow_for_blocks_is_where_it_is_expected(size):
    older, newer = photographed(texture(), 5, 1), photographed(moved(texture(), 3, 0), 5, 2)

    found = displacements(newer, older, [(40, 40, *size)] * 2, np.array([[-3, 0], [0, 1]]))

    assert found.dtype == np.float64
    assert found.tolist() == [[-3, 0], [0, 1]]


def test_no_window_has_not_moved():
    assert displacements(photographed(texture()), photographed(texture()), [], np.zeros((0, 2), np.int64)).shape == (
        0,
        2,
    )


def test_what_shows_nothing_has_not_moved():
    black = np.zeros((200, 240, 3), np.uint8)

    for find in (displacements, partial(reference, step=1)):
        assert find(black, black, [WINDOW], np.array([[5, -2]])).tolist() == [[5, -2]]


def test_frames_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r"older: .* got uint8 \(200, 239, 3\) beside \(200, 240, 3\)"):
        displacements(photographed(texture()), photographed(texture())[:, 1:], [WINDOW], STILL)


def test_light_that_changes_moves_nothing():
    (found,) = displacements(photographed(0.8 * texture() + 25), photographed(texture()), [WINDOW], STILL)

    assert found == pytest.approx([0, 0], abs=0.02)


def test_an_eye_that_moves_moves_no_head():
    face = 120 + (texture(sigma=2) - 120) / 2
    pictures = [photographed(cv2.circle(face.copy(), (112 + dx, 84), 9, (0, 0, 0), -1), 4, dx) for dx in (0, 5)]

    (found,) = displacements(pictures[1], pictures[0], [WINDOW], STILL)

    assert found == pytest.approx([0, 0], abs=0.12)


def test_a_large_window_is_matched_small():
    picture = cv2.resize(texture(), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)

    (found,) = displacements(photographed(moved(picture, 9, -6)), photographed(picture), [(200, 150, 256, 256)], STILL)

    assert found == pytest.approx([-9, 6], abs=0.3)


def test_each_window_moves_by_itself():
    windows = [(40, 60, 64, 48), (130, 60, 64, 48)]
    newer = np.concatenate([moved(texture(), 1, 0)[:, :115], moved(texture(), 1, 2)[:, 115:]], axis=1)

    found = displacements(photographed(newer), photographed(texture()), windows, np.zeros((2, 2), np.int64))

    assert found == pytest.approx(np.array([[-1, 0], [-1, -2]]), abs=0.05)


def test_parts_of_pixels_add_up():
    stack = FrameStack(8)
    for t in range(8):
        (patch,) = stack.push(photographed(moved(texture(), 0.4 * t, 0)), [WINDOW])

    layers = np.split(patch.astype(float), 8, axis=2)
    errors = [np.abs(layer - layers[0]).mean() for layer in layers]
    half_a_pixel_off = np.abs(moved(texture(), 0.5, 0) - texture()).mean()
    assert max(errors) < 1.2 * half_a_pixel_off
    assert errors[5] < 0.1 * half_a_pixel_off, "two pixels after five frames: whole ones"


def test_what_landmarks_know_is_where_to_look():
    image = photographed(texture())
    far = np.roll(image, 20, axis=1)
    window, there = (100, 60, 64, 48), np.array([[132.0, 84.0]], np.float32)

    def stacked(near, before):
        stack = FrameStack(2)
        stack.push(image, [window], before)
        (patch,) = stack.push(far, [window], near)
        return np.split(patch, 2, axis=2)

    assert np.array_equal(*stacked(there, there - [20.6, 0]))
    assert not np.array_equal(*stacked(None, None))


def test_newest_comes_first_and_stands_in_for_what_is_missing():
    stack = FrameStack(3)
    image = photographed(texture())
    shown = []
    for step in range(4):
        (patch,) = stack.push(image + np.uint8(step), [WINDOW])
        shown.append([int(layer[0, 0, 0]) - int(patch[0, 0, 0]) for layer in np.split(patch, 3, axis=2)])

    assert shown == [[0, 0, 0], [0, -1, 0], [0, -1, -2], [0, -1, -2]]
    stack.forget()
    (patch,) = stack.push(image, [WINDOW])
    assert np.array_equal(patch[..., :3], patch[..., 3:6])


def test_an_edge_is_replicated_outside():
    stack = FrameStack(2)
    image = photographed(texture())
    stack.push(image, [(-10, -5, 48, 32)])

    (patch,) = stack.push(image, [(-10, -5, 48, 32)])

    assert (patch[:5, :10, :3] == image[0, 0]).all()
    assert np.array_equal(patch[5:, 10:, 3:], image[:27, :38])


def test_no_frames_are_refused():
    with pytest.raises(ValueError, match="frames: expected at least 1, got 0"):
        FrameStack(0)
