import numpy as np
import pytest
from skimage.data import astronaut

from train.metrics import luma, psnr, scores, ssim


def test_psnr_of_a_hand_worked_case():
    a = np.zeros((4, 4, 3), np.uint8)

    assert psnr(a, a + 5) == pytest.approx(20 * np.log10(255 / 5))


def test_equal_images_give_a_hundred():
    a = np.full((16, 16, 3), 9, np.uint8)

    assert scores(a, a) == {"psnr_rgb": 100.0, "psnr_y": 100.0, "ssim": pytest.approx(1.0)}


def test_luma_runs_from_16_to_235_with_the_weights_of_bt601():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)  # BGR

    np.testing.assert_allclose(luma(colours)[0], [16, 235, 16 + 24.966, 16 + 128.553, 16 + 65.481], atol=1e-3)


def test_ssim_falls_with_noise():
    image = astronaut()[80:144, 180:244, ::-1]
    rng = np.random.default_rng(0)

    values = [
        ssim(np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8), image) for sigma in (2, 8, 20)
    ]

    assert values == sorted(values, reverse=True)
    assert 0 < values[2] < values[0] < 1
