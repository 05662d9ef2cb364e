"""What a subscriber receives: frozen values, numpy only, no I/O.

Pixel coordinates put the centre of the first pixel at (0, 0), as in frames.py.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from realtime.frames import Box

# MediaPipe Face Mesh indices of the points of one eye that travel: corners outer, inner; upper lid and lower lid, each
# from the outer corner to the inner one; iris centre; iris rim. First the eye that MediaPipe calls right, which is
# image-left in an upright picture, then the other.
EYE_POINTS: Final = (
    (33, 133, 246, 161, 160, 159, 158, 157, 173, 7, 163, 144, 145, 153, 154, 155, 468, 469, 470, 471, 472),
    (263, 362, 466, 388, 387, 386, 385, 384, 398, 249, 390, 373, 374, 380, 381, 382, 473, 474, 475, 476, 477),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EyeLandmarks:
    """The points of both eyes, in camera pixels; the first axis is image-left eye, image-right eye."""

    points: NDArray[np.float32]
    """float32 (2, 21, 2): x, y of the points named below, in their order; EYE_POINTS has their MediaPipe indices."""

    @property
    def corners(self) -> NDArray[np.float32]:
        """float32 (2, 2, 2): the outer corner, then the inner one."""
        return self.points[:, 0:2]

    @property
    def upper_lid(self) -> NDArray[np.float32]:
        """float32 (2, 7, 2): along the upper lid, from the outer corner to the inner one."""
        return self.points[:, 2:9]

    @property
    def lower_lid(self) -> NDArray[np.float32]:
        """float32 (2, 7, 2): along the lower lid, from the outer corner to the inner one."""
        return self.points[:, 9:16]

    @property
    def iris_centre(self) -> NDArray[np.float32]:
        """float32 (2, 2)."""
        return self.points[:, 16]

    @property
    def iris_rim(self) -> NDArray[np.float32]:
        """float32 (2, 4, 2): four points around the iris, a quarter turn apart."""
        return self.points[:, 17:21]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Message:
    """One frame's eyes, or its face: enhanced pixels, the camera's own pixels, and where they are.

    Without a face (face_found is False) the message still comes, with patches, raw, landmarks and interocular_px None
    and no boxes.
    """

    topic: str
    """"eyes" or "face"."""
    stream: str
    """Names one run of the publisher; another value means that it was restarted and that counts began again."""
    sent_ns: int
    """The publisher's time.monotonic_ns() just before the message went to its socket."""
    sent_seq: int
    """Counts the messages of this topic and stream from 0; a gap is a message that did not arrive here."""
    seq: int
    """Counts the camera's frames from 0; a gap is a frame that was dropped, a message that did not arrive, or time in
    which the camera was away ("camera_gap" in marks)."""
    captured_ns: int
    """The publisher's time.monotonic_ns() right after the camera was read; see ts_source."""
    captured_utc_ns: int
    """Nanoseconds since 1970 at the same moment; for people and logs, never for arithmetic."""
    ts_source: str
    """Where captured_ns comes from: "read" (after the camera's read), "file" (a paced read of a file), "demo" (made by
    the demo source), "video" (made offline: captured_utc_ns is 0 and stamps_ns empty)."""
    stamps_ns: Mapping[str, int]
    """Monotonic time at the end of each stage, by its name: "capture_wait", "landmarks", "crops", "engine_wait",
    "engine"."""
    dropped: int
    """Frames that the publisher has dropped so far in this stream because a newer one was there."""
    frame_size: tuple[int, int]
    """Width, height of the camera's frame in pixels."""
    marks: tuple[str, ...]
    """What is unusual about this frame, as WIRE.md lists; most messages have none."""
    engine: str
    """The engine that made the patches."""
    tier: str
    """The weights' name."""
    model_sha256: str
    """Of the weights, in hexadecimal; empty when the pixels were only interpolated."""
    scale: int
    """Patch pixels for one camera pixel, along each axis."""
    bypassed: bool
    """True when the patches were interpolated, not enhanced by a network."""
    boxes: tuple[Box, ...]
    """The windows in camera pixels: image-left eye, image-right eye; or the face. Empty without a face."""
    to_camera: NDArray[np.float64]
    """float64 (N, 2, 3): for each patch, the affine from its pixels (u, v, 1) to camera pixels (x, y)."""
    patches: NDArray[np.uint8] | None
    """uint8 (N, h*scale, w*scale, 3), BGR, read-only: the enhanced windows; N is 2 for eyes, 1 for the face."""
    raw: NDArray[np.uint8] | None
    """uint8 (N, h, w, 3), BGR, read-only: the camera's own pixels of the same windows of the same frame."""
    landmarks: EyeLandmarks | None
    """Both eyes' points in camera pixels, on either topic."""
    interocular_px: float | None
    """Distance between the iris centres in camera pixels."""

    @property
    def face_found(self) -> bool:
        """Whether a face was found in this frame; only then are there pixels."""
        return self.patches is not None

    @property
    def latency_ms(self) -> float:
        """Milliseconds from capture to send, both by the publisher's clock: right on every host."""
        return (self.sent_ns - self.captured_ns) / 1e6

    def age_ms(self) -> float:
        """Milliseconds from capture to now. Only on the publisher's own host: another host's clock starts elsewhere."""
        return (time.monotonic_ns() - self.captured_ns) / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How the publisher does, about once a second."""

    stream: str
    """As in Message."""
    sent_ns: int
    """As in Message."""
    sent_seq: int
    """As in Message."""
    values: Mapping[str, Any]
    """JSON-like: None, bool, int, float, str, lists and maps of them; WIRE.md lists the keys."""
