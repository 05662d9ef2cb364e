"""A video file's frames, read forwards: numbered, timed, turned the way its metadata say."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.capture import Capture
from realtime.errors import CameraNotFound

ASSUMED_FPS = 30.0
"""Of a file that does not state its rate."""
LONGEST_DAMAGE = 1000
"""Frames: where so many in a row cannot be read, the file ends."""


class Film:
    """An open video file, whatever FFmpeg can read. A damaged frame is passed over, with its number and time."""

    def __init__(self, path: Path, *, fps: float = ASSUMED_FPS) -> None:
        """fps: for a file that does not state its rate. Raises CameraNotFound when there is no such file."""
        if not path.is_file():
            raise CameraNotFound(f"source {path}: expected a video file, got no such file; check the path")
        self.path = path
        # Absolute, for FFmpeg takes what stands before a colon in a relative name for a protocol.
        self._capture = Capture(str(path.absolute()), cv2.CAP_FFMPEG)
        self.fps = self._capture.fps or fps
        self.length = self._capture.length
        """Frames in all as the file states them; many containers only estimate it."""
        self.number = -1
        """Of the frame that was grabbed last, from 0."""
        self.time_s = -1 / self.fps
        """Its time in the film, in seconds: as the file states it, by the rate where that does not grow."""
        self.damaged = 0
        """Frames before it, or it, that could not be read."""

    def grab(self) -> bool:
        """Go to the next frame without unpacking it; False at the end."""
        stated_left = (self.length or 0) - self.number - 1
        for passed_over in range(max(1, min(stated_left, LONGEST_DAMAGE))):
            if self._capture.grab():
                self.number += passed_over + 1
                self.damaged += passed_over
                stated_s = self._capture.time_s
                by_rate_s = self.time_s + (passed_over + 1) / self.fps
                self.time_s = stated_s if stated_s > self.time_s else by_rate_s
                return True
        return False

    def unpack(self) -> NDArray[np.uint8] | None:
        """The image that was grabbed, uint8 (H, W, 3) BGR; None when it is damaged. Once for each."""
        image = self._capture.unpack()
        self.damaged += image is None
        return image

    def read(self) -> NDArray[np.uint8] | None:
        """The next image that is whole; None at the end."""
        while self.grab():
            if (image := self.unpack()) is not None:
                return image
        return None

    def first(self) -> NDArray[np.uint8]:
        """What read() gives, of a film just opened. Closes it and raises CameraNotFound when there is none."""
        image = self.read()
        if image is None:
            self.close()
            raise CameraNotFound(
                f"source {self.path}: expected a video, got a file without a readable frame; try `ffprobe {self.path}`"
            )
        return image

    def close(self) -> None:
        self._capture.close()


def shortfall(name: str, stated: int | None, got: int) -> str | None:
    """What to say when a film gave fewer frames than it states; None when it gave them all."""
    if stated is None or got >= stated:
        return None
    return (
        f"{name}: expected {stated} frames, as the file states, got {got}; it is damaged, was cut off, or only "
        "estimates its length"
    )
