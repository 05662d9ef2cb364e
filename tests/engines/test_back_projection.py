"""Back-projection gives the camera its word back where the network took no noise away, and is silent elsewhere."""

import numpy as np
import pytest

from engines import Engine
from engines.back_projection import back_project
from engines.native import interface as native


def enlarged(frame, scale):
    return frame.repeat(scale, axis=1).repeat(scale, axis=2)


def means(picture, scale):
    n, height, width, _ = picture.shape
    return picture.reshape(n, height // scale, scale, width // scale, scale, 3).mean((2, 4))


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(20, 230, (2, 6, 10, 3), dtype=np.uint8)


@pytest.fixture(params=["native", "numpy"], autouse=True)
def available(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(native, "available", lambda: False)
    elif not native.available():
        pytest.skip("the native library is not built")


class Painter(Engine):
    """Returns the newest frame enlarged and a level brighter: a mistake that no noise explains."""

    name, tier, frames, scale, sha256 = "painter", "painter", 2, 2, ""

    def _run(self, batch):
        return enlarged(batch[..., :3], 2) + np.uint8(1)


class Interpolator(Painter):
    back_projects = False


def test_a_mistake_on_one_pixel_is_taken_back_from_all_that_it_became():
    frame = np.full((1, 4, 4, 3), 100, np.uint8)
    enhanced = enlarged(frame, 2)
    enhanced[0, 2:4, 4:6, 1] += np.array([[5, 5], [1, 1]], np.uint8)

    corrected = back_project(frame, enhanced)

    assert corrected[0, 2:4, 4:6, 1].tolist() == [[102, 102], [98, 98]]
    corrected[0, 2:4, 4:6, 1] = 100
    assert (corrected == 100).all()


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_picture_without_noise_averages_to_its_frame(scale, frame):
    rng = np.random.default_rng(1)
    detail = enlarged(frame, scale) + rng.integers(-4, 5, (2, 6 * scale, 10 * scale, 3))
    enhanced = detail.clip(0, 255).astype(np.uint8)

    corrected = back_project(frame, enhanced.copy())

    assert corrected.shape == enhanced.shape
    assert corrected.dtype == np.uint8
    assert np.abs(means(corrected, scale) - frame).max() <= 0.5
    assert np.abs(corrected.astype(int) - enhanced).max() <= np.ceil(np.abs(means(enhanced, scale) - frame).max())


def test_noise_that_was_taken_away_stays_away(frame):
    noisy = (frame + np.random.default_rng(2).normal(0, 4, frame.shape)).round().astype(np.uint8)
    enhanced = enlarged(frame, 2)

    assert (back_project(noisy, enhanced.copy()) == enhanced).all()


def test_in_between_a_share_is_taken_back():
    frame = np.full((1, 8, 8, 3), 100, np.uint8)
    frame[:, ::2] += 4  # against a flat picture of 102 the difference is 2 levels everywhere
    frame[:, :, ::4] = 102  # but not in a quarter of the columns: root mean square 1.732

    corrected = back_project(frame, np.full((1, 16, 16, 3), 102, np.uint8))

    assert set(np.unique(corrected)) == {101, 102, 103}  # 0.45 of the difference


def test_each_patch_is_judged_by_itself(frame):
    enhanced = enlarged(frame, 2)
    enhanced[0] += 1
    enhanced[1] += 10

    corrected = back_project(frame, enhanced.copy())

    assert (corrected[0] == enlarged(frame, 2)[0]).all()
    assert (corrected[1] == enhanced[1]).all()


def test_black_and_white_do_not_wrap_around():
    for level, wrong in ((0, 1), (255, 254)):
        frame = np.full((1, 4, 4, 3), level, np.uint8)
        enhanced = enlarged(frame, 2)
        enhanced[:, ::2] = wrong

        assert np.abs(back_project(frame, enhanced).astype(int) - level).max() <= 1


def test_engines_do_it_to_the_newest_frame_unless_they_say_not(frame):
    older = np.random.default_rng(3).integers(0, 256, frame.shape, dtype=np.uint8)
    batch = np.concatenate([frame, older], axis=3)

    assert (Painter()(batch) == enlarged(frame, 2)).all()
    assert (Interpolator()(batch) == enlarged(frame, 2) + 1).all()


@pytest.mark.parametrize("scale", [1, 3])
def test_scales_that_the_library_does_not_know_are_done_without_it(scale, frame):
    assert (back_project(frame, enlarged(frame, scale) + np.uint8(1)) == enlarged(frame, scale)).all()


def test_a_picture_that_cannot_be_changed_in_place_is_copied(frame):
    fixed = enlarged(frame, 2) + np.uint8(1)
    fixed.flags.writeable = False
    apart = np.zeros((2, 12, 20, 4), np.uint8)[..., :3]
    apart[:] = fixed

    for enhanced in (fixed, apart):
        assert (back_project(frame, enhanced) == enlarged(frame, 2)).all()
