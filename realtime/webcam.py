"""A camera on this machine, or a live stream from another, through OpenCV."""

import re
import sys
from pathlib import Path
from time import monotonic, monotonic_ns, time_ns
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.capture import Capture
from realtime.config import CameraConfig
from realtime.errors import CameraLost, CameraNotFound
from realtime.frames import Frame
from realtime.source import shown
from realtime.watchdog import State

BY_ID = Path("/dev/v4l/by-id")
FIRST_FRAME_S = 5.0
"""Webcams need up to seconds for their first frame."""
DAMAGED_IN_A_ROW, DAMAGED_FOR_S = 10, 0.5
"""Cameras send a damaged picture now and then; so many, or for so long, and the camera is lost."""
STREAM_TIMEOUTS = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 5000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1000)


def device_numbers() -> list[int]:
    """Numbers under which cameras may be found: on Linux those of /dev/video*, elsewhere the first four."""
    if sys.platform != "linux":
        return [0, 1, 2, 3]
    return sorted(int(path.name[5:]) for path in Path("/dev").glob("video*") if path.name[5:].isdigit())


def identity_of(number: int, by_id: Path = BY_ID) -> str:
    """A source that means this very camera after it was unplugged and came back under another number.

    That is its link in /dev/v4l/by-id, made of maker, model and serial number; where there is none, the number.
    """
    for link in sorted(by_id.glob("*")):
        if link.resolve().name == f"video{number}":
            return str(link)
    return str(number)


def device_number(source: str) -> int | None:
    """The number of the camera that a source means: "0", "/dev/video0" or a link to it; None when it means none."""
    if source.isdecimal():
        return int(source)
    match = re.fullmatch(r"/dev/video(\d+)", str(Path(source).resolve()))
    return int(match[1]) if match else None


class Webcam:
    """Frames as they come. Opens the device or stream and waits for its first frame."""

    state: State = "ok"

    def __init__(self, source: str, config: CameraConfig) -> None:
        """source: a camera's number, a device's path or a URL. Raises CameraNotFound when it gives no frame."""
        self.identity, self._capture = _open_stream(source) if "://" in source else _open_device(source, config)
        self.name = shown(self.identity) if "://" in source else f"camera {self.identity}"
        image = self._wait_for_image()
        if image is None:
            got = f"no frame within {FIRST_FRAME_S:g} s" if self._capture.opened else "none that opens"
            self._capture.close()
            raise CameraNotFound(
                f"{self.name}: expected a camera or stream, got {got}; is it there, and not in use by another program?"
            )
        self.height, self.width = image.shape[:2]
        self.fps = self._capture.fps or config.fps
        self._seq = 0
        self._stopped = False

    def _wait_for_image(self) -> NDArray[np.uint8] | None:
        deadline = monotonic() + FIRST_FRAME_S
        image = self._capture.read() if self._capture.opened else None
        while image is None and self._capture.opened and monotonic() < deadline:
            image = self._capture.read()
        return image

    def read(self) -> Frame | None:
        """The next frame; None after stop(). Raises CameraLost when the camera gives none any more."""
        deadline = monotonic() + DAMAGED_FOR_S
        for _ in range(DAMAGED_IN_A_ROW):
            if self._stopped:
                return None
            grabbed = self._capture.grab()
            # Before unpacking, which takes a while and says nothing about when the light fell in.
            captured_ns, captured_utc_ns = monotonic_ns(), time_ns()
            image = self._capture.unpack() if grabbed else None
            self._seq += 1
            if image is not None:
                return Frame(
                    seq=self._seq - 1,
                    captured_ns=captured_ns,
                    captured_utc_ns=captured_utc_ns,
                    ts_source="read",
                    image=image,
                )
            if monotonic() > deadline:
                break
        raise CameraLost(f"{self.name}: expected a frame, got none; is it still there?")

    def stop(self) -> None:
        """End reading; for any thread. A read under way ends with its frame or its timeout."""
        self._stopped = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._capture.close()


def _open_stream(url: str) -> tuple[str, Capture]:
    return url, Capture(url, cv2.CAP_FFMPEG, STREAM_TIMEOUTS)


def _open_device(source: str, config: CameraConfig) -> tuple[str, Capture]:
    number = device_number(source)
    if number is None or (sys.platform == "linux" and number not in device_numbers()):
        found = ", ".join(map(str, device_numbers())) or "none"
        raise CameraNotFound(
            f"source {source}: expected a camera's number, a video file, a stream's URL or demo, got nothing of that "
            f"name (cameras found: {found}); plug it in or name another --source"
        )
    capture = Capture(number, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)
    capture.set(
        {
            # The pixel format first: on many cameras it decides which sizes and rates there are.
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*("MJPG" if config.pixel_format == "mjpg" else "YUYV")),
            cv2.CAP_PROP_FRAME_WIDTH: config.width,
            cv2.CAP_PROP_FRAME_HEIGHT: config.height,
            cv2.CAP_PROP_FPS: config.fps,
            cv2.CAP_PROP_BUFFERSIZE: 1,  # a queue of frames in the driver is nothing but delay
        }
    )
    return identity_of(number), capture
