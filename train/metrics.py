"""How near an image is to the truth."""

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

Image = NDArray[np.uint8]


def luma(image: Image) -> NDArray[np.float64]:
    """Y of ITU-R BT.601, 16 to 235, as super-resolution papers report it. image: uint8 (H, W, 3) BGR."""
    b, g, r = (image[..., i].astype(np.float64) for i in range(3))
    return np.asarray(16 + (24.966 * b + 128.553 * g + 65.481 * r) / 255)


def psnr(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; equal images give 100."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 10 * np.log10(255**2 / error) if error > 255**2 * 1e-10 else 100.0


def ssim(a: Image, b: Image) -> float:
    """Structural similarity of luma (Wang et al. 2004: Gaussian window of 11 pixels, sigma 1.5)."""
    return _similarity(luma(a), luma(b))


def ssim_rgb(a: Image, b: Image) -> float:
    """Structural similarity, the mean over the three channels."""
    return _similarity(a, b, channel_axis=2)


def scores(image: Image, truth: Image) -> dict[str, float]:
    """PSNR in dB and SSIM of one image, each of RGB and of Y; "ssim" is Y's."""
    return {
        "psnr_rgb": psnr(image, truth),
        "psnr_y": psnr(luma(image), luma(truth)),
        "ssim_rgb": ssim_rgb(image, truth),
        "ssim": ssim(image, truth),
    }


def _similarity(a: NDArray[np.generic], b: NDArray[np.generic], channel_axis: int | None = None) -> float:
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(a, b, data_range=255, channel_axis=channel_axis, **window))
