"""The test camera: a sharp face, photographed small, in one of three conditions. What every score is measured under."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SHOT_VARIANCE: Final = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One camera in one light."""

    blur_px: float
    """Standard deviation of the lens blur, in high-resolution pixels; 0 for none."""
    noise: float
    """Standard deviation of the read noise, full scale 1; 0 for neither read nor shot noise."""
    jpeg_quality: int | None
    """Of the MJPEG stream; None for raw pixels."""


CONDITIONS: Final = {
    "clean": Condition(blur_px=0.0, noise=0.0, jpeg_quality=None),
    "webcam": Condition(blur_px=0.8, noise=4 / 255, jpeg_quality=85),
    "dark": Condition(blur_px=0.8, noise=10 / 255, jpeg_quality=70),
}


def photograph(
    sharp: NDArray[np.uint8], condition: Condition, rng: np.random.Generator, scale: int = 2
) -> NDArray[np.uint8]:
    """The picture that the test camera takes.

    sharp: uint8 (h*scale, w*scale, 3) BGR. Returns uint8 (h, w, 3): blur, area downscale, signal-dependent Gaussian
    noise of variance noise^2 + 1e-4 x, JPEG.
    """
    x = sharp.astype(np.float32) / 255
    if condition.blur_px:
        x = cv2.GaussianBlur(x, (0, 0), condition.blur_px).astype(np.float32)
    size = (sharp.shape[1] // scale, sharp.shape[0] // scale)
    x = np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    if condition.noise:
        sigma = np.sqrt(condition.noise**2 + SHOT_VARIANCE * np.clip(x, 0, 1))
        x = x + rng.standard_normal(x.shape, dtype=np.float32) * sigma
    picture: NDArray[np.uint8] = np.clip(np.rint(x * 255), 0, 255).astype(np.uint8)
    if condition.jpeg_quality is None:
        return picture
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, condition.jpeg_quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)


def resized(
    face: NDArray[np.uint8], factor: float, size: tuple[int, int], shift: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.uint8]:
    """A face at another size, moved by a fraction of a pixel.

    face: uint8 (H, W, 3) BGR. factor: at most 1. size: width, height of the result. shift: x, y in its pixels.
    The point p of the face (pixel centres at integers) lands on (p + 0.5) * factor - 0.5 + shift.
    """
    moved = np.array([[1, 0, shift[0] / factor], [0, 1, shift[1] / factor]])
    width, height = round(size[0] / factor), round(size[1] / factor)
    large = cv2.warpAffine(face, moved, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def random_walk(frames: int, step: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Positions (frames, 2), newest first and at 0, of a face that moves by `step` in a random direction each frame."""
    angle = rng.uniform(0, 2 * np.pi, frames)
    steps = step * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    steps[0] = 0
    return np.asarray(np.cumsum(steps, axis=0))
