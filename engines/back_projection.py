"""Where there is no noise to take away, what the camera measured stands: back-projection (Irani and Peleg 1991).

Averaged over the pixels that one pixel of the camera became, an enhanced picture should give that pixel back. What it
differs by is the noise that the network took away or, where there was none, the network's own mistake: an iris of some
pixels that it painted darker. The two do not overlap. Over 480 samples of training cameras, a difference of up to 1.7
grey levels was the network's (taking it back brings 0.2 to 0.7 dB), and one of more than 1.8 was noise.
"""

import numpy as np
from numpy.typing import NDArray

from engines.native import interface as native

MISTAKE_LEVELS, NOISE_LEVELS = 1.4, 2.0
"""Root mean square of a patch's difference, in grey levels: up to the first all of it is taken back, from the second on
nothing is, and in between a share that falls linearly."""


def back_project(batch: NDArray[np.uint8], enhanced: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The enhanced pictures, so that those whose frame was free of noise average to it, each pixel within half a level.

    batch: uint8 (N, H, W, 3T), newest frames first; only those count. enhanced: uint8 (N, H * scale, W * scale, 3), new
    to this call: it is changed in place and returned, or a copy where it cannot be.
    """
    batch, enhanced = np.ascontiguousarray(batch), np.require(enhanced, requirements=("C", "W"))
    if native.available() and enhanced.shape[1] // batch.shape[1] in native.SCALES:
        native.back_project(batch, enhanced, MISTAKE_LEVELS, NOISE_LEVELS)
    else:
        reference(batch, enhanced)
    return enhanced


def reference(batch: NDArray[np.uint8], enhanced: NDArray[np.uint8]) -> None:
    """As back_project() in place, where the native library is not built or does not know the scale."""
    frame = batch[..., :3]
    scale = enhanced.shape[1] // frame.shape[1]
    difference = frame.astype(np.int16) * scale**2 - _block_sums(enhanced, scale)
    levels = difference.reshape(len(frame), -1) / np.float32(scale**2)
    rms = np.sqrt(np.einsum("ni,ni->n", levels, levels) / levels.shape[1])
    share = np.clip((NOISE_LEVELS - rms) / (NOISE_LEVELS - MISTAKE_LEVELS), 0, 1)
    if not share.any():
        return
    correction = np.rint(levels * share[:, None]).astype(np.int16).reshape(frame.shape)
    corrected = correction.repeat(scale, axis=1).repeat(scale, axis=2)
    corrected += enhanced
    np.clip(corrected, 0, 255, out=enhanced, casting="unsafe")


def _block_sums(enhanced: NDArray[np.uint8], scale: int) -> NDArray[np.int16]:
    """Sums over blocks of scale x scale pixels, int16 (N, H, W, 3); by rows, as numpy is slow on three channels."""
    n, height, width, _ = enhanced.shape
    rows = enhanced.reshape(n, height // scale, scale, 3 * width).sum(axis=2, dtype=np.int16)
    sums = rows.copy()
    for k in range(1, scale):
        sums[..., : -3 * k] += rows[..., 3 * k :]
    return np.asarray(sums.reshape(n, height // scale, width // scale, scale, 3)[:, :, :, 0])
