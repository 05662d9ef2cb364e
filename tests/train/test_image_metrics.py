import numpy as np
import pytest
from skimage.data import astronaut

from train.metrics import luma, psnr, scores, ssim, ssim_rgb


def test_psnr_of_a_hand_worked_case():
    a = np.zeros((4, 4, 3), np.uint8)

    assert psnr(a, a + 5) == pytest.approx(20 * np.log10(255 / 5))


def test_equal_images_give_a_hundred():
    a = np.full((16, 16, 3), 9, np.uint8)

    assert scores(a, a) == {"psnr_rgb": 100.0, "psnr_y": 100.0, "ssim_rgb": 1.0, "ssim": pytest.approx(1.0)}


def test_luma_runs_from_16_to_235_with_the_weights_of_bt601():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)  # BGR

    np.testing.assert_allclose(luma(colours)[0], [16, 235, 16 + 24.966, 16 + 128.553, 16 + 65.481], atol=1e-3)


def test_ssim_of_a_hand_worked_case():
    # Flat pictures have no contrast or structure to lose: what is left is the term of the means.
    a, b = (np.tile(np.array(colour, np.uint8), (16, 16, 1)) for colour in ((10, 100, 200), (20, 100, 100)))
    c1 = (0.01 * 255) ** 2
    blue = (2 * 10 * 20 + c1) / (10**2 + 20**2 + c1)
    red = (2 * 200 * 100 + c1) / (200**2 + 100**2 + c1)
    y_a, y_b = (16 + (24.966 * b + 128.553 * g + 65.481 * r) / 255 for b, g, r in ((10, 100, 200), (20, 100, 100)))

    assert ssim_rgb(a, b) == pytest.approx((blue + 1 + red) / 3)
    assert ssim(a, b) == pytest.approx((2 * y_a * y_b + c1) / (y_a**2 + y_b**2 + c1))
    assert scores(a, b)["ssim_rgb"] == ssim_rgb(a, b)
    assert scores(a, b)["ssim"] == ssim(a, b)


def test_ssim_falls_with_noise():
    image = astronaut()[80:144, 180:244, ::-1]
    rng = np.random.default_rng(0)

    values = [
        ssim(np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8), image) for sigma in (2, 8, 20)
    ]

    assert values == sorted(values, reverse=True)
    assert 0 < values[2] < values[0] < 1
