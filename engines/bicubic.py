"""Bicubic interpolation in numpy: what every network must beat, and what serves when no network can."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine

A = -0.75


class BicubicEngine(Engine):
    """Enlarges the newest frame: a = -0.75, half-pixel centres, replicated edges, as OpenCV's INTER_CUBIC."""

    name = "bicubic"
    tier = "bicubic"
    sha256 = ""
    back_projects = False

    def __init__(self, *, scale: int = 2, frames: int = 1) -> None:
        if scale not in (2, 4, 8):
            raise ValueError(f"scale: expected 2, 4 or 8, got {scale}")
        self.scale, self.frames = scale, frames

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        n, height, width, _ = batch.shape
        rows, columns = (np.clip(np.arange(-2, side + 2), 0, side - 1) for side in (height, width))
        x_NCHW = batch[..., :3].transpose(0, 3, 1, 2)[..., columns][:, :, rows].astype(np.float32)

        y_NCHPW = np.empty((n, 3, height, self.scale, width + 4), np.float32)
        for phase in range(self.scale):
            first, weights = taps(phase, self.scale)
            shifted = (x_NCHW[:, :, first + k : first + k + height] for k in range(4))
            y_NCHPW[:, :, :, phase] = _weighted(shifted, weights)
        y_NCHW = y_NCHPW.reshape(n, 3, height * self.scale, width + 4)

        z_NHWPC = np.empty((n, height * self.scale, width, self.scale, 3), np.uint8)
        for phase in range(self.scale):
            first, weights = taps(phase, self.scale)
            z_NCHW = _weighted((y_NCHW[..., first + k : first + k + width] for k in range(4)), weights)
            z_NCHW += 0.5
            z_NHWPC[:, :, :, phase] = np.clip(z_NCHW, 0, 255, out=z_NCHW).transpose(0, 2, 3, 1)
        return z_NHWPC.reshape(n, height * self.scale, width * self.scale, 3)


def taps(phase: int, scale: int) -> tuple[int, NDArray[np.float32]]:
    """The four neighbours of an output pixel: the first one's place in an axis padded by 2, and float32 weights (4,).

    phase: the output pixel's place within its input pixel, 0 to scale - 1; the first one is given for input pixel 0.
    """
    at = (phase + 0.5) / scale - 0.5
    first = int(np.floor(at)) - 1
    d = np.abs(at - first - np.arange(4))
    near = ((A + 2) * d - (A + 3)) * d * d + 1
    far = ((A * d - 5 * A) * d + 8 * A) * d - 4 * A
    return first + 2, np.where(d <= 1, near, far).astype(np.float32)


def _weighted(neighbours: Iterable[NDArray[np.float32]], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    pairs = zip(neighbours, weights, strict=True)
    x, weight = next(pairs)
    total: NDArray[np.float32] = x * weight
    for x, weight in pairs:
        total += x * weight
    return total
