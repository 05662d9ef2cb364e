"""For Pupil Capture's HMD streaming source: our pictures become its world and eye cameras.

Pupil Remote, a REP socket (port 50020), is asked for PUB_PORT and for its clock ("t"), whose offset to ours is
estimated; the clock is never set. Notifications to it start the sources. Then our PUB socket connects to PUB_PORT
and sends three parts for each picture: topic, msgpack map, pixels. Only bgr comes out upright there, and pictures
without index or projection_matrix are ignored.

The camera matrix is that of the window: a window of a pinhole camera at another scale is a pinhole camera too. The
focal length of a webcam is not known; it is taken to be the frame's width (53 degrees across) unless it is given.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import msgpack
import numpy as np
import zmq
from numpy.typing import NDArray

from realtime.errors import SinkError
from realtime.frames import Box, Enhanced, patch_to_camera
from realtime.sinks.endpoint import check_reach, open_socket
from realtime.sinks.sink import Sent, Sink, View, picture

CAMERAS: Final[dict[str, View]] = {"world": "frame", "eye0": "left", "eye1": "right"}
"""What each of Pupil's cameras shows by default. Its eye 0 is the person's right eye, which is left in the image."""
_CLOCK_S: Final = 5.0  # how often the clock is asked for, which also shows whether Pupil is still there


@dataclass(frozen=True, slots=True)
class PupilOptions:
    """Where Pupil Remote is, and which of Pupil's cameras are fed: joined by +."""

    remote: str = "tcp://127.0.0.1:50020"
    cameras: str = "world+eye0+eye1"
    world: View = "frame"
    focal_px: float = 0.0


class PupilSink(Sink):
    """Feeds Pupil Capture."""

    queue = 1

    def __init__(self, options: PupilOptions, *, consent: bool) -> None:
        """Raises ValueError for another host's address without consent, unknown cameras, and a focal length below 0."""
        check_reach("pupil", options.remote, consent=consent)
        cameras = options.cameras.split("+")
        if not set(cameras) <= set(CAMERAS) or len(set(cameras)) != len(cameras):
            raise ValueError(f"sink pupil: cameras: expected some of {'+'.join(CAMERAS)}, got {options.cameras!r}")
        if options.focal_px < 0:
            raise ValueError(
                f"sink pupil: focal_px: expected pixels above 0, or 0 for the frame's width, got {options.focal_px:g}"
            )
        self._views = {name: options.world if name == "world" else CAMERAS[name] for name in cameras}
        self._options, self._consent = options, consent
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        remote = self._options.remote
        with ExitStack() as stack:
            self._remote = open_socket(stack, zmq.REQ, remote, bind=False)
            self._learn_clock()
            port = self._ask(b"PUB_PORT")
            if not port.isdecimal():
                raise SinkError(
                    f"{remote}: expected Pupil Remote's PUB_PORT, got {port[:40]!r}; is it another program?"
                )
            self._pub = open_socket(stack, zmq.PUB, f"{remote.rpartition(':')[0]}:{port}", bind=False)
            for name in self._views:
                self._start(name)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def send(self, sent: Sent) -> None:
        """Send each camera's picture; none for those that show nothing. Raises SinkError when Pupil is gone."""
        if time.monotonic() - self._clock_read_s > _CLOCK_S:
            self._learn_clock()
        enhanced, frame = sent.enhanced, sent.enhanced.crops.frame
        for name, view in self._views.items():
            image = picture(enhanced, view)
            if image is None:
                continue
            head = {
                "topic": _topic(name),
                "width": image.shape[1],
                "height": image.shape[0],
                "index": frame.seq,
                "timestamp": frame.captured_ns / 1e9 + self._ahead_s,
                "format": "bgr",
                "projection_matrix": projection(enhanced, view, self._options.focal_px).tolist(),
            }
            self._pub.send_multipart((_topic(name).encode(), msgpack.packb(head), image.data), zmq.NOBLOCK)

    def _start(self, name: str) -> None:
        """Have Pupil open the source as one of its cameras."""
        plugin = {"name": "HMD_Streaming_Source", "args": {"topics": [_topic(name)], "hwm": 1}}
        if name == "world":
            self._notify({"subject": "start_plugin"} | plugin)
            return
        self._notify({"subject": f"eye_process.should_start.{name[-1]}", "eye_id": int(name[-1]), "args": {}})
        self._notify({"subject": "start_eye_plugin", "target": name} | plugin)

    def _notify(self, notification: dict[str, Any]) -> None:
        self._ask(f"notify.{notification['subject']}".encode(), msgpack.packb(notification))

    def _ask(self, *parts: bytes) -> str:
        try:
            self._remote.send_multipart(parts)
            return self._remote.recv().decode("utf-8", "replace")
        except zmq.ZMQError as err:
            raise SinkError(
                f"{self._options.remote}: expected Pupil Remote to answer, got: {err}; start Pupil Capture and its "
                "Network API plugin"
            ) from err

    def _learn_clock(self) -> None:
        """Estimate how far Pupil's clock is ahead of ours, by the quickest of five answers."""
        looks = []
        for _ in range(5):
            before_s, answer, after_s = time.monotonic(), self._ask(b"t"), time.monotonic()
            try:
                looks.append((after_s - before_s, float(answer) - (before_s + after_s) / 2))
            except ValueError as err:
                raise SinkError(f"{self._options.remote}: expected Pupil's clock, got {answer[:40]!r}") from err
        self._ahead_s = min(looks)[1]
        self._clock_read_s = time.monotonic()


def projection(enhanced: Enhanced, view: View, focal_px: float) -> NDArray[np.float64]:
    """float64 (3, 3): the camera matrix of one view, with pixel centres at integers.

    focal_px: the camera's focal length in its pixels; 0 takes the frame's width.
    """
    height, width = enhanced.crops.frame.image.shape[:2]
    focal_px = focal_px or float(width)
    camera = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    box, scale = _window(enhanced, view), enhanced.scale
    if box is None:
        return camera
    to_camera = np.vstack((patch_to_camera(box, scale), [0, 0, 1]))
    return np.asarray(np.linalg.inv(to_camera) @ camera)


def _window(enhanced: Enhanced, view: View) -> Box | None:
    if view == "face":
        return enhanced.crops.face_box
    if view in ("left", "right"):
        return enhanced.crops.boxes[("left", "right").index(view)]
    return None


def _topic(name: str) -> str:
    return f"hmd_streaming.{name}"
