"""How much noise a camera's frames carry, how it is spread over brightness, channels and neighbours, and over time.

Training noise should look like a webcam's after its own image processing and compression, not like a sensor's. This
measures what a recording shows. In each pair of consecutive frames, blocks of 16x16 pixels count when they are flat,
so that motion changes little, and still, that is the difference's quarter means are small beside its own spread; there
the difference of the pair, over the square root of 2, is noise. Blocks that are equal in both frames were copied by the
codec: they say nothing and are counted apart. White noise in space and time has neighbour correlations of 0 and a
correlation of successive differences of -0.5.

Recordings that were compressed again show less noise than the camera gave: take every figure as a lower bound.

The last line is one JSON document: {"clips": [{"clip", "frames", "std_bgr", ...}]}.

usage: python benchmarks/camera_noise.py CLIP... [--json FILE]
"""

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro
from document import Document
from errors import in_one_line
from numpy.typing import NDArray

BLOCK = 16
FLAT = 2.0
BRIGHTNESS = (0, 40, 80, 120, 160, 200, 256)


@dataclass(frozen=True, kw_only=True)
class CameraNoiseConfig:
    """Measure the noise of recordings."""

    clips: tyro.conf.Positional[tuple[Path, ...]]
    """Recordings of a camera that stands still."""
    json: Path | None = None
    """Write the JSON document here too."""

    def __post_init__(self) -> None:
        if not self.clips:
            raise ValueError("clips: expected at least one recording, got none; name them")
        for clip in self.clips:
            if not clip.is_file():
                raise ValueError(f"clips: expected a recording, got {clip}, which is not there; give another path")


@dataclass(frozen=True, kw_only=True)
class CameraNoise:
    """What one clip shows; standard deviations in steps of 255."""

    clip: str
    frames: int
    still_blocks: int
    """Blocks that entered the figures."""
    copied_share: float
    """Share of all blocks that the codec copied from the frame before."""
    std_bgr: list[float]
    std_ycrcb: list[float]
    std_by_brightness: dict[str, float]
    """Of Y, by the block's mean Y."""
    correlation_right: float
    """Of Y noise with the pixel to its right; white noise has 0."""
    correlation_below: float
    correlation_two_right: float
    correlation_chroma_right: float
    correlation_successive: float
    """Of one difference with the next; noise that is independent from frame to frame has -0.5."""
    std_single_frame: float
    """Of Y within one frame: MAD of the finest diagonal wavelet in the flattest tenth of blocks."""


def blocks(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut (H, W, C) into (rows * columns, 16, 16, C); what is left over at the right and bottom is dropped."""
    rows, columns = image.shape[0] // BLOCK, image.shape[1] // BLOCK
    cut = image[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, -1)
    return cut.swapaxes(1, 2).reshape(rows * columns, BLOCK, BLOCK, -1)


def measure(clip: Path, limit: int = 300) -> CameraNoise:
    """Noise of the first frames of a clip; raises ValueError when it cannot be read or nothing in it stands still."""
    capture = cv2.VideoCapture(str(clip))
    if not capture.isOpened():
        raise ValueError(f"{clip}: expected a recording, cannot be read; give another path")
    pairs, steps, singles, copied, total = [], [], [], 0, 0
    last, last_step, count = None, None, 0
    while count < limit:
        ok, image = capture.read()
        if not ok:
            break
        count += 1
        ycrcb = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
        frame = np.concatenate([image, ycrcb], axis=2).astype(np.float32)
        if count % 10 == 1:
            singles.append(single_frame_std(frame[..., 3]))
        if last is not None:
            step = frame - last
            cut = blocks(step)
            equal = (cut == 0).all(axis=(1, 2, 3))
            copied, total = copied + int(equal.sum()), total + len(cut)
            still = ~equal & is_still(cut[..., 3]) & (unevenness(blocks(last)[..., 3]) < FLAT)
            pairs.append((cut[still], blocks(last)[still][..., 3].mean(axis=(1, 2))))
            if last_step is not None and still.any():
                steps.append((blocks(last_step)[still][..., 3].ravel(), cut[still][..., 3].ravel()))
            last_step = step
        last = frame
    capture.release()
    noise = np.concatenate([p[0] for p in pairs]) if pairs else np.zeros((0, BLOCK, BLOCK, 6), np.float32)
    if not len(noise):
        raise ValueError(f"{clip}: expected a clip with still places, got {count} frames without any; try another")
    level = np.concatenate([p[1] for p in pairs])
    before, after = (np.concatenate(part) for part in zip(*steps, strict=True))
    std = noise.std(axis=(0, 1, 2)) / np.sqrt(2)
    y, cr = noise[..., 3], noise[..., 4]
    return CameraNoise(
        clip=clip.name,
        frames=count,
        still_blocks=len(noise),
        copied_share=round(copied / total, 3),
        std_bgr=[round(float(s), 2) for s in std[:3]],
        std_ycrcb=[round(float(s), 2) for s in std[3:]],
        std_by_brightness={
            f"{low}-{high - 1}": round(float(y[(level >= low) & (level < high)].std() / np.sqrt(2)), 2)
            for low, high in itertools.pairwise(BRIGHTNESS)
            if ((level >= low) & (level < high)).sum() >= 20
        },
        correlation_right=correlation(y[:, :, :-1], y[:, :, 1:]),
        correlation_below=correlation(y[:, :-1], y[:, 1:]),
        correlation_two_right=correlation(y[:, :, :-2], y[:, :, 2:]),
        correlation_chroma_right=correlation(cr[:, :, :-1], cr[:, :, 1:]),
        correlation_successive=correlation(before, after),
        std_single_frame=round(float(np.median(singles)), 2),
    )


def is_still(y: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Of difference blocks (N, 16, 16): whose quarter means (8x8) look like means of noise rather than of motion."""
    quarters = y.reshape(-1, 2, BLOCK // 2, 2, BLOCK // 2).mean(axis=(2, 4))
    return np.asarray(np.abs(quarters).max(axis=(1, 2)) < np.maximum(0.35 * y.std(axis=(1, 2)), 0.25))


def unevenness(y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standard deviation of the 4x4 means of each block of (N, 16, 16): texture without most of the noise."""
    return np.asarray(y.reshape(-1, 4, 4, 4, 4).mean(axis=(2, 4)).std(axis=(1, 2)))


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Pearson's, of two arrays of one shape."""
    return round(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]), 2)


def single_frame_std(y: NDArray[np.float32]) -> float:
    """Noise of one frame (H, W) from the diagonal Haar detail of its flattest blocks (Donoho's MAD / 0.6745)."""
    cut = blocks(y[..., None])[..., 0]
    mean = cut.mean(axis=(1, 2))
    flat = unevenness(cut)
    inside = (mean > 10) & (mean < 245)
    if not inside.any():
        return float("nan")
    chosen = cut[inside & (flat <= np.quantile(flat[inside], 0.1))]
    detail = (chosen[:, ::2, ::2] - chosen[:, 1::2, ::2] - chosen[:, ::2, 1::2] + chosen[:, 1::2, 1::2]) / 2
    return float(np.median(np.abs(detail)) / 0.6745)


def main(config: CameraNoiseConfig) -> dict[str, Any]:
    """Print the noise of each clip, then the document as one line."""
    with Document(config.json, {"clips": []}) as document:
        for clip in config.clips:
            noise = measure(clip)
            document.extend(clips=[asdict(noise)])
            print(
                f"{noise.clip}: {noise.frames} frames, {noise.still_blocks} still blocks, "
                f"copied {noise.copied_share:.0%}"
            )
            for name, value in list(asdict(noise).items())[4:]:
                print(f"  {name:26} {value}")
    return document


if __name__ == "__main__":
    with in_one_line():
        main(tyro.cli(CameraNoiseConfig, description=__doc__))
