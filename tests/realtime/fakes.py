"""Stand-ins that obey the same protocols as the real parts: no camera, no network, no waiting."""

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import Engine
from realtime.errors import CameraLost
from realtime.frames import Box, Crops, Frame, Landmarks


class FakeClock:
    """Seconds that pass only when told to. Called, it gives the time, as time.monotonic does."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class FakeCamera:
    """Gives these images at once, or at fps of a fake clock; then ends, or is lost."""

    name = "fake"

    def __init__(
        self,
        frames: Iterable[NDArray[np.uint8]],
        *,
        fail_after: int | None = None,
        fps: float = 30.0,
        size: tuple[int, int] = (640, 480),
        clock: FakeClock | None = None,
        period_s: float | None = None,
        state: Any = "ok",
    ) -> None:
        """frames: uint8 (H, W, 3) each; endless iterators are welcome. fail_after: raise CameraLost after so many.

        size: the width and height that are promised. period_s: what each read takes on the clock; by default 1/fps.
        """
        self.fps, self.state = fps, state
        self.width, self.height = size
        self.stopped = self.closed = False
        self._images = iter(frames)
        self._fail_after, self._clock = fail_after, clock
        self._period_s = 1 / fps if period_s is None else period_s
        self._seq = 0

    def read(self) -> Frame | None:
        if self._clock is not None:
            self._clock.sleep(self._period_s)
        if self._seq == self._fail_after:
            raise CameraLost("fake: expected a frame, got none; it was told to fail")
        image = None if self.stopped else next(self._images, None)
        if image is None:
            return None
        captured_ns = time.monotonic_ns() if self._clock is None else round(self._clock() * 1e9)
        frame = Frame(
            seq=self._seq, captured_ns=captured_ns, captured_utc_ns=time.time_ns(), ts_source="fake", image=image
        )
        self._seq += 1
        return frame

    def stop(self) -> None:
        self.stopped = True

    def __enter__(self) -> "FakeCamera":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.closed = True


def grey(level: int = 128, size: tuple[int, int] = (640, 480)) -> NDArray[np.uint8]:
    """An even image, uint8 (H, W, 3)."""
    return np.full((size[1], size[0], 3), level, np.uint8)


def noise(seed: int, size: tuple[int, int] = (640, 480)) -> NDArray[np.uint8]:
    """An image of noise about grey, another for each seed, uint8 (H, W, 3)."""
    return np.random.default_rng(seed).integers(96, 160, (size[1], size[0], 3), np.uint8)


def damaged(film: bytes, numbers: Iterable[int]) -> bytes:
    """A film of JPEGs, as OpenCV writes it, in which the pictures of these numbers cannot be read."""
    pictures = [match.span() for match in re.finditer(b"\xff\xd8.*?\xff\xd9", film, re.DOTALL)]
    spoilt = bytearray(film)
    for first, end in (pictures[number] for number in numbers):
        spoilt[first:end] = bytes(end - first)
    return bytes(spoilt)


def a_frame(image: NDArray[np.uint8], seq: int = 0) -> Frame:
    """A frame that shows the image."""
    return Frame(
        seq=seq, captured_ns=time.monotonic_ns(), captured_utc_ns=time.time_ns(), ts_source="fake", image=image
    )


def face_about(eyes: Any) -> Landmarks:
    """A plausible face with these iris centres, (2, 2), image-left first: level eyes within an oval."""
    left, right = np.asarray(eyes, np.float64)
    middle, distance = (left + right) / 2, np.hypot(*(right - left))
    angles = np.linspace(0, 2 * np.pi, 468, endpoint=False)
    oval = np.stack([1.05 * np.cos(angles), 1.35 * np.sin(angles) + 0.4], axis=1)
    points = np.concatenate([middle + distance * oval, np.zeros((10, 2))])
    half_width, half_height = distance * np.array([0.215, 0]), distance * np.array([0, 0.08])
    rim = 0.09 * distance
    for centre, corners, lids, iris in ((left, (33, 133), (159, 145), 468), (right, (362, 263), (386, 374), 473)):
        points[corners[0]], points[corners[1]] = centre - half_width, centre + half_width
        points[lids[0]], points[lids[1]] = centre - half_height, centre + half_height
        points[iris] = centre
        points[iris + 1 : iris + 5] = centre + rim * np.array([[1, 0], [0, -1], [-1, 0], [0, 1]])
    return Landmarks(points=points.astype(np.float32))


class FakeFaceMesh:
    """Sees the face where it is told to: eyes gives the iris centres for a frame's seq, or None for no face."""

    def __init__(self, eyes: Callable[[int], Any]) -> None:
        self._eyes = eyes

    def __call__(self, frame: Frame) -> Landmarks | None:
        eyes = self._eyes(frame.seq)
        return None if eyes is None else face_about(eyes)

    def __enter__(self) -> "FakeFaceMesh":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class FakeCropper:
    """Cuts two windows of one size that never move, from the newest frame only."""

    def __init__(self, width: int = 64, height: int = 48) -> None:
        self._boxes = (Box(x=0, y=0, width=width, height=height), Box(x=width, y=0, width=width, height=height))

    def __call__(self, frame: Frame, landmarks: Landmarks | None) -> Crops:
        if landmarks is None:
            return Crops(frame=frame, landmarks=None, boxes=(), patches=None)
        patches = np.stack([frame.image[b.y : b.y + b.height, b.x : b.x + b.width] for b in self._boxes])
        return Crops(frame=frame, landmarks=landmarks, boxes=self._boxes, patches=patches)


class IdentityEngine(Engine):
    """Repeats every pixel of the newest frame scale times along each axis: patch_to_camera holds exactly."""

    name = "identity"
    tier = "identity"
    sha256 = ""

    def __init__(self, *, scale: int = 2, frames: int = 1) -> None:
        self.scale, self.frames = scale, frames

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return batch[..., :3].repeat(self.scale, axis=1).repeat(self.scale, axis=2)
