"""What a webcam does to a face, in the order in which light takes it.

Blur, downscale, sensor noise, salt and pepper, demosaicing's soft chroma, the ISP's denoiser and sharpener, chroma
subsampling, MJPEG. A Camera is one draw of all the parameters; shoot() takes one frame with it, so that consecutive
frames share the lens and the codec and differ in their noise. Images are float32 (H, W, 3), BGR, full scale 1.

The defaults put a webcam by day and by night (train.conditions) where the distribution is densest. A tenth to a fifth
of the cameras is clean, and another tenth has next to no noise but a lens and a codec, as video files and phones have:
there a network must not smooth.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from train import checks
from train.noise import SensorNoise, sensor_noise

Image = NDArray[np.float32]
Range = tuple[float, float]
Triangle = tuple[float, float, float]
"""Least, likeliest and greatest value of a triangular distribution."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradationConfig:
    """The distribution that cameras are drawn from. Probabilities are of the stage happening at all."""

    clean: float = 0.18
    """Share of samples that are only downscaled, by area."""
    blur: float = 0.9
    """Share of cameras whose lens blurs."""
    blur_sigma_px: Triangle = (0.2, 0.8, 1.5)
    """Standard deviation of the Gaussian, or half the disc's radius, in high-resolution pixels."""
    blur_kinds: tuple[float, float, float, float] = (0.7, 0.14, 0.1, 0.06)
    """Shares of isotropic Gaussian, anisotropic Gaussian, defocus disc, short linear motion."""
    downscale: tuple[float, float, float, float] = (0.82, 0.06, 0.06, 0.06)
    """Shares of area, bilinear, bicubic, Lanczos."""
    noise: float = 0.9
    """Share of cameras whose noise is visible; the others have quiet_noise and no Poisson part."""
    read_noise: Triangle = (0.5 / 255, 6 / 255, 14 / 255)
    """Standard deviation of the Gaussian part."""
    shot_noise: Range = (0.0, 4e-4)
    """Variance of the Poisson part at full signal."""
    quiet_noise: Range = (0.0, 1 / 255)
    """Standard deviation of the Gaussian part of the others."""
    shadow: float = 0.12
    """Share of noisy cameras whose dark pixels are noisier than their bright ones."""
    shadow_gain: Range = (1.2, 2.4)
    """Noise in black over that in mid-grey, and in mid-grey over that in white."""
    grain: float = 0.12
    """Share of noisy cameras whose noise is alike in neighbouring pixels."""
    grain_sigma_px: Range = (0.4, 0.7)
    """Standard deviation of the Gaussian that makes them alike, in low-resolution pixels."""
    colour: float = 0.12
    """Share of noisy cameras with blotches of colour, two pixels wide."""
    colour_share: Range = (0.3, 0.7)
    """Share of their variance that is colour."""
    blue: float = 0.12
    """Share of noisy cameras that are noisiest in blue, then red, then green."""
    blue_gain: Range = (1.2, 1.8)
    """Blue's noise over green's."""
    common: float = 0.1
    """Share of noisy cameras part of whose noise stays from frame to frame."""
    common_share: Range = (0.1, 0.7)
    """Share of their variance that stays."""
    salt_and_pepper: float = 0.02
    """Share of cameras with pixels that are black or white."""
    salt_and_pepper_share: Range = (0.0005, 0.004)
    """Share of pixels that are hit."""
    soft_chroma: float = 0.1
    """Share of cameras whose colours are blurred, as demosaicing does."""
    soft_chroma_sigma_px: Range = (0.5, 1.5)
    """Standard deviation of that Gaussian, in low-resolution pixels."""
    denoise: float = 0.1
    """Share of cameras that smooth their pictures."""
    denoise_sigma_px: Range = (0.4, 0.8)
    """Standard deviation of the Gaussian that is mixed half with the picture, in low-resolution pixels."""
    sharpen: float = 0.1
    """Share of cameras that sharpen their pictures."""
    sharpen_amount: Range = (0.2, 1.0)
    """How much of the difference from the picture blurred by a pixel is added."""
    subsample: float = 0.1
    """Chroma 4:2:0 before the codec, as a raw YUV camera gives it."""
    jpeg: float = 0.88
    """Share of cameras that send JPEG."""
    jpeg_quality: tuple[int, int, int] = (40, 82, 97)
    """Its least, likeliest and greatest quality, of 100."""

    def __post_init__(self) -> None:
        checks.shares(self, "clean", "blur", "noise", "shadow", "grain", "colour", "blue", "common", "salt_and_pepper")
        checks.shares(self, "soft_chroma", "denoise", "sharpen", "subsample", "jpeg")
        checks.distributions(self, "blur_kinds", "downscale")
        checks.ranges(self, 0, 1, "read_noise", "shot_noise", "quiet_noise")
        checks.ranges(self, 0, 1, "colour_share", "common_share", "salt_and_pepper_share")
        checks.ranges(self, 0.1, math.inf, "blur_sigma_px", "grain_sigma_px", "shadow_gain", "blue_gain")
        checks.ranges(self, 0, math.inf, "soft_chroma_sigma_px", "denoise_sigma_px", "sharpen_amount")
        checks.ranges(self, 1, 100, "jpeg_quality")


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """One camera: what stays the same from frame to frame."""

    kernel: Image | None
    """Blur kernel (k, k), sum 1; None for none."""
    interpolation: int
    """OpenCV's number of the downscale filter."""
    noise: SensorNoise
    salt_and_pepper: float
    soft_chroma_px: float
    denoise_px: float
    sharpen: float
    subsample: bool
    jpeg_quality: int | None
    scale: int = field(default=2)

    def shoot(self, sharp: Image, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Take one frame: (h*scale, w*scale, 3) -> uint8 (h, w, 3), with noise of its own."""
        x = sharp if self.kernel is None else blur(sharp, self.kernel)
        x = downscale(x, self.scale, self.interpolation)
        x = sensor_noise(x, self.noise, rng)
        x = salt_and_pepper(x, self.salt_and_pepper, rng)
        x = soft_chroma(x, self.soft_chroma_px)
        x = denoise(x, self.denoise_px)
        x = sharpen(x, self.sharpen)
        x = subsample_chroma(x) if self.subsample else x
        picture = np.clip(np.rint(x * 255), 0, 255).astype(np.uint8)
        return picture if self.jpeg_quality is None else jpeg(picture, self.jpeg_quality)


def draw_camera(config: DegradationConfig, scale: int, rng: np.random.Generator) -> Camera:
    """Draw a camera from the distribution."""

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability)

    if happens(config.clean):
        return Camera(
            kernel=None,
            interpolation=cv2.INTER_AREA,
            noise=SensorNoise(),
            salt_and_pepper=0.0,
            soft_chroma_px=0.0,
            denoise_px=0.0,
            sharpen=0.0,
            subsample=False,
            jpeg_quality=None,
            scale=scale,
        )
    filters = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    return Camera(
        kernel=draw_kernel(config, scale, rng) if happens(config.blur) else None,
        interpolation=filters[rng.choice(4, p=config.downscale)],
        noise=draw_noise(config, rng),
        salt_and_pepper=rng.uniform(*config.salt_and_pepper_share) if happens(config.salt_and_pepper) else 0.0,
        soft_chroma_px=rng.uniform(*config.soft_chroma_sigma_px) if happens(config.soft_chroma) else 0.0,
        denoise_px=rng.uniform(*config.denoise_sigma_px) if happens(config.denoise) else 0.0,
        sharpen=rng.uniform(*config.sharpen_amount) if happens(config.sharpen) else 0.0,
        subsample=happens(config.subsample),
        jpeg_quality=round(triangular(config.jpeg_quality, rng)) if happens(config.jpeg) else None,
        scale=scale,
    )


def triangular(values: Triangle, rng: np.random.Generator) -> float:
    """Draw between the least and the greatest, most often near the likeliest; a triangle without width is its value."""
    return float(rng.triangular(*values)) if values[0] < values[2] else values[0]


def draw_noise(config: DegradationConfig, rng: np.random.Generator) -> SensorNoise:
    """Draw a camera's noise."""
    if rng.random() >= config.noise:
        return SensorNoise(read=rng.uniform(*config.quiet_noise))

    def drawn(probability: float, values: Range, otherwise: float) -> float:
        return float(rng.uniform(*values)) if rng.random() < probability else otherwise

    return SensorNoise(
        read=triangular(config.read_noise, rng),
        shot=rng.uniform(*config.shot_noise),
        shadow_gain=drawn(config.shadow, config.shadow_gain, 1.0),
        grain_px=drawn(config.grain, config.grain_sigma_px, 0.0),
        colour=drawn(config.colour, config.colour_share, 0.0),
        blue_gain=drawn(config.blue, config.blue_gain, 1.0),
        common=drawn(config.common, config.common_share, 0.0),
        common_seed=int(rng.integers(2**32)),
    )


def draw_kernel(config: DegradationConfig, scale: int, rng: np.random.Generator) -> Image:
    """Draw a blur kernel; its width grows with the scale, since it is given for x2."""
    kinds: tuple[Literal["isotropic", "anisotropic", "disc", "motion"], ...] = (
        "isotropic",
        "anisotropic",
        "disc",
        "motion",
    )
    kind = kinds[rng.choice(4, p=config.blur_kinds)]
    sigma = triangular(config.blur_sigma_px, rng) * scale / 2
    angle = rng.uniform(0, np.pi)
    if kind == "disc":
        return disc_kernel(2 * sigma)
    if kind == "motion":
        return gaussian_kernel(2 * sigma, 0.25, angle)
    return gaussian_kernel(sigma, sigma if kind == "isotropic" else sigma * rng.uniform(0.3, 1), angle)


def gaussian_kernel(sigma_x: float, sigma_y: float, angle: float) -> Image:
    """A Gaussian with its first axis at `angle` radians; long and thin it is a short linear motion."""
    radius = max(1, int(np.ceil(3 * max(sigma_x, sigma_y))))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((along / sigma_x) ** 2 + (across / sigma_y) ** 2))
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def disc_kernel(radius: float) -> Image:
    """A defocused point: a disc whose rim is smoothed over one pixel."""
    reach = max(1, int(np.ceil(radius)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def blur(x: Image, kernel: Image) -> Image:
    """Convolve with a kernel, edges replicated."""
    return np.asarray(cv2.filter2D(x, -1, kernel, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def downscale(x: Image, scale: int, interpolation: int) -> Image:
    """Shrink by an integer factor."""
    size = (x.shape[1] // scale, x.shape[0] // scale)
    return np.asarray(cv2.resize(x, size, interpolation=interpolation), dtype=np.float32)


def salt_and_pepper(x: Image, share: float, rng: np.random.Generator) -> Image:
    """Set a share of the pixels to black or white, half each."""
    if not share:
        return x
    draw = rng.random(x.shape[:2])[..., None]
    return np.where(draw < share / 2, np.float32(0), np.where(draw > 1 - share / 2, np.float32(1), x))


def soft_chroma(x: Image, sigma_px: float) -> Image:
    """Blur Cr and Cb and leave Y, as demosaicing does."""
    if not sigma_px:
        return x
    ycc = cv2.cvtColor(x, cv2.COLOR_BGR2YCrCb)
    ycc[..., 1:] = cv2.GaussianBlur(ycc[..., 1:], (0, 0), sigma_px)
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR), dtype=np.float32)


def denoise(x: Image, sigma_px: float) -> Image:
    """The smoothing of a webcam's own image processor: a Gaussian mixed half with the image."""
    if not sigma_px:
        return x
    return np.asarray(0.5 * (x + cv2.GaussianBlur(x, (0, 0), sigma_px)), dtype=np.float32)


def sharpen(x: Image, amount: float) -> Image:
    """Unsharp mask of one pixel; a flat image stays as it is."""
    if not amount:
        return x
    return np.asarray(x + amount * (x - cv2.GaussianBlur(x, (0, 0), 1.0)), dtype=np.float32)


def subsample_chroma(x: Image) -> Image:
    """4:2:0: chroma at half the width and height, back by repeating; odd sides keep their last column and row."""
    height, width = x.shape[:2]
    ycc = cv2.cvtColor(x, cv2.COLOR_BGR2YCrCb)
    half = cv2.resize(ycc[..., 1:], ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    ycc[..., 1:] = np.repeat(np.repeat(half, 2, axis=0), 2, axis=1)[:height, :width]
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR), dtype=np.float32)


def jpeg(x: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Through the codec and back, 4:2:0, as one frame of an MJPEG stream."""
    encoded = cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
