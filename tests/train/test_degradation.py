import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from train.degradation import (
    Camera,
    DegradationConfig,
    blur,
    denoise,
    disc_kernel,
    downscale,
    draw_camera,
    draw_kernel,
    gaussian_kernel,
    jpeg,
    salt_and_pepper,
    sharpen,
    soft_chroma,
    subsample_chroma,
)
from train.noise import SensorNoise, sensor_noise

PLAIN = Camera(
    kernel=None,
    interpolation=cv2.INTER_AREA,
    noise=SensorNoise(),
    salt_and_pepper=0.0,
    soft_chroma_px=0.0,
    denoise_px=0.0,
    sharpen=0.0,
    subsample=False,
    jpeg_quality=None,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def dot(size=9):
    x = np.zeros((size, size, 3), np.float32)
    x[size // 2, size // 2] = 1
    return x


def colourful(height=32, width=48):
    return rng(3).random((height, width, 3), dtype=np.float32)


def test_blur_spreads_a_dot_as_the_kernel_says():
    kernel = gaussian_kernel(0.8, 0.8, 0.0)

    spread = blur(dot(), kernel)

    assert kernel.shape == (7, 7)
    np.testing.assert_allclose(spread[1:8, 1:8, 1], kernel, atol=1e-6)


def test_blur_keeps_a_flat_image_to_its_edges():
    x = np.full((8, 8, 3), 0.4, np.float32)

    np.testing.assert_allclose(blur(x, disc_kernel(2.0)), x, atol=1e-6)


def test_gaussian_has_the_width_it_was_asked_for_along_its_axis():
    kernel = gaussian_kernel(1.5, 0.8, 0.0).astype(float)

    y, x = np.mgrid[-5:6, -5:6]
    assert kernel.sum() == pytest.approx(1)
    assert np.sqrt((kernel * x**2).sum()) == pytest.approx(1.5, rel=0.02)
    assert np.sqrt((kernel * y**2).sum()) == pytest.approx(0.8, rel=0.02)


def test_gaussian_turns_with_its_angle():
    np.testing.assert_allclose(gaussian_kernel(1.5, 0.5, np.pi / 2), gaussian_kernel(1.5, 0.5, 0).T, atol=1e-6)


def test_disc_of_radius_one_and_a_half_is_nine_pixels_with_soft_corners():
    kernel = disc_kernel(1.5)

    weights = np.zeros((5, 5))
    weights[1:4, 1:4] = 1
    weights[[1, 1, 3, 3], [1, 3, 1, 3]] = 2 - np.sqrt(2)
    np.testing.assert_allclose(kernel, weights / weights.sum(), atol=1e-6)


def test_area_downscale_is_the_mean_of_four_pixels():
    x = colourful(4, 6)

    small = downscale(x, 2, cv2.INTER_AREA)

    np.testing.assert_allclose(small, x.reshape(2, 2, 3, 2, 3).mean(axis=(1, 3)), atol=1e-6)


@pytest.mark.parametrize("how", [cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_downscale_moves_nothing(how, scale):
    ramp = np.repeat(np.arange(16 * scale, dtype=np.float32)[None, :, None], 16 * scale, axis=0).repeat(3, axis=2)

    small = downscale(ramp, scale, how)

    inner = slice(4, 12)
    expected = (np.arange(16) + 0.5) * scale - 0.5
    np.testing.assert_allclose(small[8, inner, 0], expected[inner], atol=0.02)


def test_salt_and_pepper_hits_its_share_half_white_half_black():
    x = np.full((300, 300, 3), 0.5, np.float32)

    hit = salt_and_pepper(x, 0.02, rng())

    assert (hit == 0).all(axis=2).mean() == pytest.approx(0.01, rel=0.15)
    assert (hit == 1).all(axis=2).mean() == pytest.approx(0.01, rel=0.15)
    assert (hit == 0.5).mean() == pytest.approx(0.98, rel=0.01)


def test_soft_chroma_leaves_luma_and_smooths_colour():
    x = colourful()

    before, after = (cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb) for image in (x, soft_chroma(x, 1.0)))

    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=2e-3)
    assert after[..., 1].std() < 0.5 * before[..., 1].std()


def test_denoise_is_half_the_image_and_half_its_blur():
    spread = denoise(dot(), 0.5)

    weights = np.exp(-(np.arange(-4, 5) ** 2) / (2 * 0.5**2))
    weights /= weights.sum()
    assert spread[4, 4, 0] == pytest.approx(0.5 + 0.5 * weights[4] ** 2, abs=2e-3)
    assert spread[4, 5, 0] == pytest.approx(0.5 * weights[4] * weights[5], abs=2e-3)


def test_sharpen_keeps_flat_and_lifts_a_dot():
    flat = np.full((9, 9, 3), 0.7, np.float32)

    np.testing.assert_allclose(sharpen(flat, 1.0), flat, atol=1e-6)
    centre = 1 / np.exp(-(np.arange(-4, 5) ** 2) / 2).sum()
    assert sharpen(dot(), 0.5)[4, 4, 0] == pytest.approx(1.5 - 0.5 * centre**2, abs=2e-3)


def test_subsampling_gives_four_pixels_one_colour_and_their_own_luma():
    x = np.zeros((2, 2, 3), np.float32)
    x[0, 0] = (0.1, 0.2, 0.9)
    x[1:] = (0.5, 0.5, 0.5)

    before, after = (cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb) for image in (x, subsample_chroma(x)))

    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=2e-3)
    for channel in (1, 2):
        np.testing.assert_allclose(after[..., channel], before[..., channel].mean(), atol=2e-3)


def test_subsampling_takes_odd_sides():
    assert subsample_chroma(colourful(5, 7)).shape == (5, 7, 3)


def test_jpeg_of_lower_quality_is_further_from_the_picture():
    picture = (colourful() * 255).astype(np.uint8)

    errors = [np.abs(jpeg(picture, q).astype(int) - picture).mean() for q in (95, 60, 40)]

    assert errors == sorted(errors)
    assert errors[0] > 0


def test_plain_camera_only_downscales():
    x = colourful()

    np.testing.assert_array_equal(PLAIN.shoot(x, rng()), np.rint(downscale(x, 2, cv2.INTER_AREA) * 255))


@pytest.mark.parametrize(
    "stage",
    [
        {"kernel": gaussian_kernel(1.0, 1.0, 0.0)},
        {"noise": SensorNoise(read=0.05)},
        {"salt_and_pepper": 0.05},
        {"soft_chroma_px": 1.0},
        {"denoise_px": 0.8},
        {"sharpen": 1.0},
        {"subsample": True},
        {"jpeg_quality": 50},
    ],
    ids=lambda stage: next(iter(stage)),
)
def test_camera_takes_part_in_each_of_its_stages_and_repeats_itself(stage):
    x, camera = colourful(), replace(PLAIN, **stage)

    shot, again, plain = camera.shoot(x, rng(1)), camera.shoot(x, rng(1)), PLAIN.shoot(x, rng(1))

    assert shot.dtype == np.uint8
    assert shot.shape == (16, 24, 3)
    np.testing.assert_array_equal(shot, again)
    assert not np.array_equal(shot, plain)


def test_camera_takes_its_stages_in_the_order_of_light():
    x, quality = colourful(), 60
    camera = Camera(
        kernel=gaussian_kernel(1.0, 0.6, 0.3),
        interpolation=cv2.INTER_CUBIC,
        noise=SensorNoise(read=0.05, shot=1e-3),
        salt_and_pepper=0.05,
        soft_chroma_px=0.8,
        denoise_px=0.6,
        sharpen=0.8,
        subsample=True,
        jpeg_quality=quality,
    )

    noise = rng(5)
    expected = downscale(blur(x, camera.kernel), 2, cv2.INTER_CUBIC)
    expected = salt_and_pepper(sensor_noise(expected, camera.noise, noise), 0.05, noise)
    expected = sharpen(denoise(soft_chroma(expected, 0.8), 0.6), 0.8)
    expected = np.clip(np.rint(subsample_chroma(expected) * 255), 0, 255).astype(np.uint8)

    np.testing.assert_array_equal(camera.shoot(x, rng(5)), jpeg(expected, quality))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"noise": 1.2}, "noise: expected 0 to 1, got 1.2"),
        ({"jpeg": -0.1}, "jpeg: expected 0 to 1, got -0.1"),
        ({"blur_kinds": (0.5, 0.5, 0.5, 0.5)}, "blur_kinds: expected shares that sum to 1"),
        ({"downscale": (1.5, -0.5, 0, 0)}, "downscale: expected shares that sum to 1"),
        ({"read_noise": (0.1, 0.05, 0.2)}, "read_noise: expected rising values from 0 to 1, got 0.1 0.05 0.2"),
        ({"blur_sigma_px": (0, 1, 2)}, "blur_sigma_px: expected rising values from 0.1"),
        ({"jpeg_quality": (40, 82, 101)}, "jpeg_quality: expected rising values from 1 to 100"),
        ({"common_share": (0.7, 0.1)}, "common_share: expected rising values"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_distribution_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DegradationConfig(**fields)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_every_camera_that_can_be_drawn_takes_a_picture(scale):
    x = colourful(32, 32)

    for seed in range(60):
        camera = draw_camera(DegradationConfig(), scale, rng(seed))

        assert camera.shoot(x, rng(seed)).shape == (32 // scale, 32 // scale, 3)


def test_same_seed_draws_the_same_camera():
    first, again = (draw_camera(DegradationConfig(clean=0), 2, rng(7)) for _ in range(2))

    assert (first.noise, first.jpeg_quality, first.sharpen) == (again.noise, again.jpeg_quality, again.sharpen)


def test_stages_happen_as_often_as_the_configuration_says():
    config = DegradationConfig()

    cameras = [draw_camera(config, 2, rng(seed)) for seed in range(1500)]

    others = [c for c in cameras if c.noise != SensorNoise()]
    assert 1 - len(others) / len(cameras) == pytest.approx(config.clean, abs=0.03)
    assert np.mean([c.jpeg_quality is not None for c in others]) == pytest.approx(config.jpeg, abs=0.03)
    noisy = [c for c in others if c.noise.shot > 0]
    assert len(noisy) / len(others) == pytest.approx(config.noise, abs=0.03)
    assert np.mean([c.noise.shadow_gain > 1 for c in noisy]) == pytest.approx(config.shadow, abs=0.05)
    assert np.mean([c.noise.common > 0 for c in noisy]) == pytest.approx(config.common, abs=0.05)
    assert all(c.noise.read <= config.quiet_noise[1] for c in others if c.noise.shot == 0)


def test_webcam_and_dark_conditions_lie_within_the_distribution():
    config = DegradationConfig()

    for sigma, quality in ((4 / 255, 85), (10 / 255, 70)):
        assert config.read_noise[0] < sigma < config.read_noise[2]
        assert config.jpeg_quality[0] < quality < config.jpeg_quality[2]
    assert config.blur_sigma_px[0] < 0.8 < config.blur_sigma_px[2]


def test_kernels_grow_with_the_scale():
    config = DegradationConfig(blur_kinds=(1, 0, 0, 0), blur_sigma_px=(1.0, 1.0, 1.0))

    assert draw_kernel(config, 2, rng()).shape == (7, 7)
    assert draw_kernel(config, 4, rng()).shape == (13, 13)


@pytest.mark.parametrize("kind", range(4), ids=["isotropic", "anisotropic", "disc", "motion"])
def test_every_kind_of_kernel_sums_to_one(kind):
    shares = tuple(float(i == kind) for i in range(4))
    config = DegradationConfig(blur_kinds=shares)

    for seed in range(20):
        assert draw_kernel(config, 2, rng(seed)).sum() == pytest.approx(1, abs=1e-5)
