"""Sensor noise: how strong it is at which brightness, and how it hangs together in space, colour and time.

Plain noise is white, equal in the three channels and new in every frame. Recordings of real cameras show more: dark
pixels noisier than bright ones (gamma correction lifts the shadows), neighbours alike (demosaicing and denoising in the
camera), blotches of colour two pixels wide, blue 1.7 times as noisy as green, and noise that stays from frame to frame
(fixed pattern, temporal denoising, codecs).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class SensorNoise:
    """The noise of one camera. The defaults are none at all."""

    read: float = 0.0
    """Standard deviation of the Gaussian part, full scale 1."""
    shot: float = 0.0
    """Variance of the Poisson part at full signal."""
    shadow_gain: float = 1.0
    """Standard deviation in black over that in mid-grey, and in mid-grey over that in white."""
    grain_px: float = 0.0
    """Standard deviation of the Gaussian that makes neighbours alike (not its colour); the noise keeps its strength."""
    colour: float = 0.0
    """Share of the variance that is colour on a grid of half the width and height."""
    blue_gain: float = 1.0
    """Blue's standard deviation over green's; red's is in between, and their mean square is as without."""
    common: float = 0.0
    """Share of the variance that all frames have in common."""
    common_seed: int = 0
    """Of the part in common."""


def sensor_noise(x: Image, noise: SensorNoise, rng: np.random.Generator) -> Image:
    """Add a frame's noise to (h, w, 3), BGR."""
    if not noise.read and not noise.shot:
        return x
    field = unit_noise(x.shape[:2], noise, rng)
    if noise.common:
        lasting = unit_noise(x.shape[:2], noise, np.random.default_rng(noise.common_seed))
        field = np.sqrt(np.float32(1 - noise.common)) * field + np.sqrt(np.float32(noise.common)) * lasting
    return np.asarray(x + field * strength(x, noise), dtype=np.float32)


def strength(x: Image, noise: SensorNoise) -> Image:
    """Standard deviation of the noise at each pixel.

    Poisson-Gaussian, sqrt(read^2 + shot * x) (Foi 2008, eq. 3), times shadow_gain^(1 - 2x).
    """
    signal = np.clip(x, 0, 1)
    sigma = np.sqrt(noise.read**2 + noise.shot * signal)
    if noise.shadow_gain != 1:
        sigma *= np.exp(np.log(noise.shadow_gain) * (1 - 2 * signal))
    return np.asarray(sigma, dtype=np.float32)


def unit_noise(shape: tuple[int, ...], noise: SensorNoise, rng: np.random.Generator) -> Image:
    """Noise (h, w, 3) with a mean square of 1 over the channels, with a camera's grain and colour."""
    height, width = shape
    field = rng.standard_normal((height, width, 1 if noise.colour else 3), dtype=np.float32)
    if noise.grain_px:
        kernel = cv2.getGaussianKernel(5, noise.grain_px).astype(np.float32)
        smooth = cv2.sepFilter2D(field, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
        field = smooth.reshape(field.shape).astype(np.float32) / np.float32((kernel**2).sum())
    if noise.colour:
        blotches = rng.standard_normal(((height + 1) // 2, (width + 1) // 2, 3), dtype=np.float32)
        blotches -= blotches.mean(axis=2, keepdims=True)
        blotches *= np.float32(np.sqrt(1.5) / 0.625)  # two thirds are left after the mean, 0.625 after bilinear x2
        size = (2 * blotches.shape[1], 2 * blotches.shape[0])
        colour = cv2.resize(blotches, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
        field = np.sqrt(np.float32(1 - noise.colour)) * field + np.sqrt(np.float32(noise.colour)) * colour
    if noise.blue_gain != 1:
        gains = np.array([noise.blue_gain, 1, np.sqrt(noise.blue_gain)], dtype=np.float32)
        field = field * gains / np.sqrt((gains**2).mean())
    return np.asarray(field, dtype=np.float32)
