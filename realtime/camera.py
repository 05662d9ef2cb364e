"""Where frames come from, and the thread that reads them.

A camera opens when it is made, as a file does, for only opening shows whether it is there; it is a context manager
that closes it.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from realtime.config import CameraConfig
from realtime.demo import DemoCamera
from realtime.errors import CameraNotFound
from realtime.frames import Frame
from realtime.slot import LatestSlot
from realtime.videofile import VideoFile
from realtime.watchdog import CameraWatch, State
from realtime.webcam import Webcam, device_number, device_numbers

log = logging.getLogger(__name__)


class Camera(Protocol):
    """A source of frames."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def width(self) -> int:
        """Of the frames now, in pixels."""

    @property
    def height(self) -> int:
        """Of the frames now, in pixels."""

    @property
    def fps(self) -> float:
        """Frames a second that the source promises."""

    @property
    def state(self) -> State:
        """How it does; see watchdog.py. Always "ok" for a file and for "demo". For any thread."""

    def read(self) -> Frame | None:
        """The next frame, waiting for it; None at the end and after stop(). Raises CameraLost."""

    def stop(self) -> None:
        """Let a read under way or to come return None soon; for any thread."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_camera(config: CameraConfig) -> Camera:
    """Open the source that the configuration names; without one the first camera that opens, else "demo".

    Raises CameraNotFound when the source cannot be opened or gives no frame.
    """
    camera = _first_camera(config) if config.source is None else _named_camera(config.source, config)
    log.info("source: %s, %dx%d at %g frames a second", camera.name, camera.width, camera.height, camera.fps)
    return camera


def _named_camera(source: str, config: CameraConfig) -> Camera:
    if source in ("demo", "demo-gaze"):
        return DemoCamera(
            width=config.width,
            height=config.height,
            fps=config.fps,
            looks_about=source == "demo-gaze",
            paced=not config.as_fast_as_possible,
        )
    if "://" in source or device_number(source) is not None or not _is_path(source):
        webcam = Webcam(source, config)
        return CameraWatch(lambda: Webcam(webcam.identity, config), webcam)
    return VideoFile(Path(source), paced=not config.as_fast_as_possible, loop=config.loop, fps=config.fps)


def _is_path(source: str) -> bool:
    path = Path(source)
    return path.exists() or path.suffix != "" or len(path.parts) > 1


def _first_camera(config: CameraConfig) -> Camera:
    for number in device_numbers():
        try:
            return _named_camera(str(number), config)
        except CameraNotFound as error:
            log.info("%s", error)
    log.info('no camera opens: taking "demo", a synthetic one')
    return _named_camera("demo", config)


@contextmanager
def capturing(camera: Camera, slot: LatestSlot[Frame]) -> Iterator[None]:
    """Read the camera in a thread of its own into the slot, as long as the block runs; then join the thread.

    The end of the source closes the slot. Whatever the camera raises is raised by the slot.
    """

    def capture() -> None:
        try:
            while (frame := camera.read()) is not None:
                slot.put(frame)
            slot.close()
        except BaseException as error:  # handed over: nothing that happens in this thread is lost
            slot.fail(error)

    thread = threading.Thread(target=capture, name="capture")
    thread.start()
    try:
        yield
    finally:
        camera.stop()
        thread.join()
