"""A webcam that any program can open, through pyvirtualcam and the system's virtual camera device."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from realtime.errors import SinkError
from realtime.sinks.sink import Sent, Sink, View, fitted, picture


@dataclass(frozen=True, slots=True)
class VirtualCamOptions:
    """What the camera shows."""

    view: View = "face"
    size: str = "640x480"
    fps: float = 30.0
    device: str = ""


class VirtualCamSink(Sink):
    """Shows one view, fitted into a picture of fixed size; while it shows nothing, the picture before stays."""

    queue = 1

    def __init__(self, options: VirtualCamOptions, *, consent: bool) -> None:
        """Raises ValueError for a size that is none, a rate that is not above 0, and without pyvirtualcam."""
        if find_spec("pyvirtualcam") is None:
            raise ValueError("sink virtualcam: expected pyvirtualcam; pip install catchlight[virtualcam]")
        size = re.fullmatch(r"([1-9]\d{1,3})x([1-9]\d{1,3})", options.size)
        if size is None:
            raise ValueError(f"sink virtualcam: size: expected WIDTHxHEIGHT such as 640x480, got {options.size!r}")
        if options.fps <= 0:
            raise ValueError(f"sink virtualcam: fps: expected frames per second above 0, got {options.fps:g}")
        self._width, self._height = int(size[1]), int(size[2])
        self._options = options

    def __enter__(self) -> Self:
        import pyvirtualcam

        options = self._options
        try:
            self._camera: Any = pyvirtualcam.Camera(
                self._width, self._height, options.fps, fmt=pyvirtualcam.PixelFormat.BGR, device=options.device or None
            )
        except RuntimeError as err:
            raise SinkError(
                f"expected a virtual camera device, got: {err}; on Linux install v4l2loopback and `sudo modprobe "
                "v4l2loopback exclusive_caps=1`, on Windows and macOS install OBS and start its virtual camera once"
            ) from err
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.close()

    def send(self, sent: Sent) -> None:
        """Show the view; nothing new when there is none."""
        image = picture(sent.enhanced, self._options.view)
        if image is None:
            return
        try:
            self._camera.send(fitted(image, self._width, self._height))
        except RuntimeError as err:
            raise SinkError(f"{self._camera.device}: expected to show a picture, got: {err}") from err
