"""For VidGear's NetGear, pattern 2: `NetGear(receive_mode=True, pattern=2, address="127.0.0.1", port="5454").recv()`.

NetGear's receiver binds, so our PUB socket connects. Two parts: JSON with its flags, then the pixels. Its terminate
flag is never set: it would let any stranger who can connect stop a receiver.
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
class NetGearOptions:
    """Where the receiver has bound, and what it gets."""

    connect: str = "tcp://127.0.0.1:5454"
    view: View = "eyes"


class NetGearSink(Sink):
    """Sends one view of every frame that shows it; a receiver that is not there yet is connected to when it comes."""

    queue = 1

    def __init__(self, options: NetGearOptions, *, consent: bool) -> None:
        """Raises ValueError for an address on another host, without consent."""
        check_reach("netgear", options.connect, consent=consent)
        self._options = options
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._pub = open_socket(stack, zmq.PUB, self._options.connect, bind=False)
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
        head = {
            "terminate_flag": False,
            "compression": False,
            "message": None,
            "pattern": 2,
            "dtype": "uint8",
            "shape": image.shape,
        }
        self._pub.send_multipart((json.dumps(head).encode(), image.data), zmq.NOBLOCK)
