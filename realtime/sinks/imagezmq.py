"""For imageZMQ's ImageHub in its PUB/SUB mode: `ImageHub("tcp://127.0.0.1:5555", REQ_REP=False).recv_image()`.

A PUB socket binds and sends two parts without a topic: JSON {"msg": text, "dtype": "uint8", "shape": [h, w, 3]}, then
the pixels. The text is JSON too: seq, captured_ns and view.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import zmq

from realtime.sinks.endpoint import check_reach, open_socket
from realtime.sinks.sink import Sent, Sink, View, picture


@dataclass(frozen=True, slots=True)
class ImageZmqOptions:
    """Where ImageHub connects to, and what it gets."""

    bind: str = "tcp://127.0.0.1:5555"
    view: View = "eyes"


class ImageZmqSink(Sink):
    """Sends one view of every frame that shows it."""

    queue = 1

    def __init__(self, options: ImageZmqOptions, *, consent: bool) -> None:
        """Raises ValueError for an address that other hosts reach, without consent."""
        check_reach("imagezmq", options.bind, consent=consent)
        self._options = options
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._pub = open_socket(stack, zmq.PUB, self._options.bind, bind=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def send(self, sent: Sent) -> None:
        """Send the view; nothing when there is none."""
        image = picture(sent.enhanced, self._options.view)
        if image is None:
            return
        frame = sent.enhanced.crops.frame
        text = json.dumps({"seq": frame.seq, "captured_ns": frame.captured_ns, "view": self._options.view})
        head = json.dumps({"msg": text, "dtype": "uint8", "shape": image.shape})
        self._pub.send_multipart((head.encode(), image.data), zmq.NOBLOCK)
