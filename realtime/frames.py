"""What a frame is at each stage, from the camera to the wire. Frozen values; numpy only; no I/O.

Pixel coordinates put the centre of the first pixel at (0, 0): a W pixels wide image spans -0.5 to W - 0.5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One image from a camera."""

    seq: int
    """Counts the camera's frames from 0; a gap is a dropped frame."""
    captured_ns: int
    """time.monotonic_ns() on the line after the camera's read returned."""
    captured_utc_ns: int
    """time.time_ns() at the same moment; for people and logs, never for arithmetic."""
    ts_source: str
    """Where captured_ns comes from: "read" (after the read), "file" (a paced read of a file), "demo" (made), "video"
    (the time in a video that is worked off offline)."""
    image: NDArray[np.uint8]
    """uint8 (H, W, 3), BGR."""
    gaps: int = 0
    """How often the camera was away before it."""
    missed: int = 0
    """How many numbers before seq were left out for the time that it was away."""

    @property
    def number(self) -> int:
        """Counts the frames that the camera gave from 0, as seq does, but without those missed."""
        return self.seq - self.missed


@dataclass(frozen=True, kw_only=True, slots=True)
class Landmarks:
    """A face as MediaPipe Face Mesh with iris sees it."""

    points: NDArray[np.float32]
    """float32 (478, 2): x, y in camera pixels, in the order of MediaPipe's canonical mesh; irises are 468-477."""

    @property
    def interocular_px(self) -> float:
        """Distance between the two iris centres, in camera pixels."""
        return float(np.hypot(*(self.points[468] - self.points[473])))


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """An integer-aligned window in camera pixels: columns x to x + width - 1, rows y to y + height - 1.

    It may reach outside the frame; the pixels there are replicated from the edge.
    """

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Crops:
    """The windows that are cut from a frame, never resampled."""

    frame: Frame
    landmarks: Landmarks | None
    """None when no face was found; then there are no patches."""
    boxes: tuple[Box, ...]
    """The image-left eye, then the image-right eye, both of one size; empty without a face."""
    patches: NDArray[np.uint8] | None
    """uint8 (2, h, w, 3T), BGR, newest frame first, older ones registered to it; None without a face."""
    face_box: Box | None = None
    """The face's window, when it was asked for."""
    face: NDArray[np.uint8] | None = None
    """uint8 (1, h, w, 3T), as patches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Enhanced:
    """What the engine made of the crops."""

    crops: Crops
    patches: NDArray[np.uint8] | None
    """uint8 (2, h*scale, w*scale, 3), BGR; None without a face."""
    face: NDArray[np.uint8] | None
    """uint8 (1, h*scale, w*scale, 3), BGR; None when it was not asked for or there is no face."""
    scale: int
    engine: str
    """The engine that made these pixels; "bicubic" when the network was bypassed."""
    tier: str
    model_sha256: str
    """Of the weights; empty for bicubic."""
    stamps_ns: dict[str, int]
    """Monotonic time at the end of each stage: "capture_wait", "landmarks", "crops", "engine_wait", "engine"."""


def patch_to_camera(box: Box, scale: int) -> NDArray[np.float64]:
    """The 2x3 affine from a pixel of an enhanced patch to camera pixels, with pixel centres at integers.

    A patch pixel (u, v) shows the camera at x = box.x + (u + 0.5) / scale - 0.5, and y alike.
    """
    step = 1 / scale
    return np.array([[step, 0, box.x + step / 2 - 0.5], [0, step, box.y + step / 2 - 0.5]])
