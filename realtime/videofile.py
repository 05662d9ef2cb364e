"""A video file, played at its own rate as if it were a camera."""

from pathlib import Path
from time import monotonic_ns, time_ns
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.capture import Capture
from realtime.errors import CameraLost, CameraNotFound
from realtime.frames import Frame
from realtime.pace import Pace
from realtime.watchdog import State


class VideoFile:
    """The frames of a file: paced, and then those that come too late are passed over, or one after the other.

    Opens the file, whatever FFmpeg can read, and turns it the way its metadata say.
    """

    state: State = "ok"

    def __init__(self, path: Path, *, paced: bool = True, loop: bool = False, fps: float = 30.0) -> None:
        """fps: for a file that does not state its rate. Raises CameraNotFound when no frame can be read."""
        if not path.is_file():
            raise CameraNotFound(f"source {path}: expected a video file, got no such file; check the path")
        self.name = path.name
        self._path, self._paced, self._loop = path, paced, loop
        self._capture = self._open()
        first = self._capture.read()
        if first is None:
            self._capture.close()
            raise CameraNotFound(
                f"source {path}: expected a video, got a file without a readable frame; try `ffprobe {path}`"
            )
        self.height, self.width = first.shape[:2]
        self._first: NDArray[np.uint8] | None = first
        self.fps = self._capture.fps or fps
        self.length = None if loop else self._capture.length
        self._pace = Pace(self.fps)
        self._seq = 0
        self._stopped = False

    def _open(self) -> Capture:
        return Capture(str(self._path), cv2.CAP_FFMPEG)

    def read(self) -> Frame | None:
        """The next frame, when it is due; None at the end and after stop()."""
        if self._paced:
            self._pass_over(self._pace.late(self._seq))
        image = self._pace.make(self._seq, self._next_image) if self._paced else self._next_image()
        if image is None or self._stopped or (self._paced and not self._pace.wait(self._seq)):
            return None
        captured_ns, captured_utc_ns = monotonic_ns(), time_ns()
        frame = Frame(
            seq=self._seq, captured_ns=captured_ns, captured_utc_ns=captured_utc_ns, ts_source="file", image=image
        )
        self._seq += 1
        return frame

    def _pass_over(self, frames: int) -> None:
        """Skip frames whose time has gone by, as a camera's would; at the end, the last ones of the file."""
        for _ in range(frames):
            if self._first is not None:
                self._first = None
            elif not self._capture.grab():
                return
            self._seq += 1

    def _next_image(self) -> NDArray[np.uint8] | None:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        image = self._capture.read()
        if image is None and self._loop and not self._stopped:
            self._capture.close()
            self._capture = self._open()
            image = self._capture.read()
            if image is None:
                raise CameraLost(f"source {self._path}: expected to start again at its end, got no frame; is it gone?")
        return image

    def stop(self) -> None:
        """End reading; for any thread."""
        self._stopped = True
        self._pace.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._capture.close()
