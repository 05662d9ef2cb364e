"""For scripts that read Pupil's frames, such as recv_world_video_frames.py: we answer in Pupil Capture's place.

A REP socket on Pupil Remote's port answers "SUB_PORT" with the port of our PUB socket, "t" with our clock, and any
notification. The PUB socket sends frame.world, frame.eye.0 and frame.eye.1: topic, msgpack map, pixels in bgr.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Final, Self

import msgpack
import zmq

from realtime.sinks.endpoint import check_reach, open_socket
from realtime.sinks.sink import Sent, Sink, View, picture

_TOPICS: Final[dict[str, View]] = {"frame.world": "frame", "frame.eye.0": "left", "frame.eye.1": "right"}
_QUESTIONS: Final = 16  # answered for each frame, so that a flood of them cannot hold the frames


@dataclass(frozen=True, slots=True)
class PupilFramesOptions:
    """Where scripts ask for the port, and what they get as the world."""

    bind: str = "tcp://127.0.0.1:50020"
    world: View = "frame"


class PupilFramesSink(Sink):
    """Serves Pupil's frame subscribers. It answers while frames come."""

    queue = 1

    def __init__(self, options: PupilFramesOptions, *, consent: bool) -> None:
        """Raises ValueError for an address that other hosts reach, without consent."""
        check_reach("pupil-frames", options.bind, consent=consent)
        self._bind = options.bind
        self._views = _TOPICS | {"frame.world": options.world}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._remote = open_socket(stack, zmq.REP, self._bind, bind=True)
            self._pub = open_socket(stack, zmq.PUB, f"{self._bind.rpartition(':')[0]}:*", bind=True)
            self._port = self._pub.get_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def send(self, sent: Sent) -> None:
        """Answer who asked, then send the views that show something."""
        for _ in range(_QUESTIONS):
            if not self._remote.poll(0):
                break
            self._remote.send_string(self._answer(self._remote.recv_multipart()))
        frame = sent.enhanced.crops.frame
        for topic, view in self._views.items():
            image = picture(sent.enhanced, view)
            if image is None:
                continue
            head = {
                "topic": topic,
                "width": image.shape[1],
                "height": image.shape[0],
                "index": frame.seq,
                "timestamp": frame.captured_ns / 1e9,
                "format": "bgr",
            }
            self._pub.send_multipart((topic.encode(), msgpack.packb(head), image.data), zmq.NOBLOCK)

    def _answer(self, question: list[bytes]) -> str:
        if question[0] == b"SUB_PORT":
            return self._port
        if question[0] == b"t":
            return repr(monotonic())
        if question[0].startswith(b"notify.") and len(question) == 2:
            return "Notification received."
        return "Unknown command."
