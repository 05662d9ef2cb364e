"""cv2.VideoCapture, kept quiet: what it cannot do is said by our own errors, not on its standard error."""

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import CameraNotFound
from realtime.source import shown

# OpenCV reads these once, when it first needs them, and offers no other way to set them.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")  # seconds that a read waits; ten by default

HIGHEST_FPS = 1000.0


class Capture:
    """An open device, file or stream, read frame by frame. Check opened before anything else."""

    def __init__(self, source: int | str, backend: int, parameters: tuple[int, ...] = ()) -> None:
        """source: a device's number, a path or a URL. parameters: property, value, property, value, ...

        What FFmpeg reads is turned the way its metadata say. Raises CameraNotFound for a name that is not UTF-8, which
        ends OpenCV by a segmentation fault.
        """
        if isinstance(source, str):
            _check_utf8(source)
        cv2.setLogLevel(0)
        self._capture = cv2.VideoCapture(source, backend, parameters)
        if backend == cv2.CAP_FFMPEG:
            self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)

    @property
    def opened(self) -> bool:
        return self._capture.isOpened()

    @property
    def fps(self) -> float | None:
        """Frames a second as the source states them; None when it states none, or nonsense."""
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return fps if 0 < fps <= HIGHEST_FPS else None

    @property
    def length(self) -> int | None:
        """Frames in all as the source states them; None for a live source."""
        frames = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(frames) if frames > 0 else None

    @property
    def time_s(self) -> float:
        """When the image that was grabbed comes in the film, in seconds, as the file states it; else 0."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3

    def set(self, settings: dict[int, float]) -> None:
        """Ask for properties in this order; the source may do otherwise."""
        for setting, value in settings.items():
            self._capture.set(setting, value)

    def grab(self) -> bool:
        """Take the next image without unpacking it; False at the end or when the source failed."""
        return self._capture.grab()

    def unpack(self) -> NDArray[np.uint8] | None:
        """The image that was grabbed, uint8 (H, W, 3) BGR; None when it is damaged."""
        try:
            image: Any
            got, image = self._capture.retrieve()
        except cv2.error:
            return None
        return image if got else None

    def read(self) -> NDArray[np.uint8] | None:
        """Grab and unpack the next image; None when either fails."""
        return self.unpack() if self.grab() else None

    def close(self) -> None:
        self._capture.release()


def _check_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as err:
        raise CameraNotFound(f"source {shown(name)!a}: expected a name in UTF-8, got other bytes; rename it") from err
