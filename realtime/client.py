"""Receives the stream: a context manager and iterator that no sender can stop, crash or make grow without bound.

    for message in Subscriber("tcp://127.0.0.1:5580"):
        print(message.seq, message.patches.shape if message.face_found else "no face")

newest=True keeps one message (ZeroMQ's CONFLATE, which is why messages have a single part): whoever pauses reads the
newest next. newest=False keeps up to QUEUE messages and loses later ones beyond that; .lost counts them.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Generic, Literal, Self, TypeVar, cast, overload

import zmq

from realtime import wire
from realtime.errors import StreamError, StreamTimeout, WireError
from realtime.keys import load_client_keys
from realtime.message import Message, Status

QUEUE: Final = 30
"""Messages that newest=False keeps for a reader who is late; each has at most wire.MAX_MESSAGE_BYTES."""

_POLL_MS = 200  # a wait is cut into pieces so that Ctrl-C is seen on every system
_RECONNECTIONS = 8  # looked past at most, so that a flood cannot hold the reader
_M = TypeVar("_M", Message, Status)
_log = logging.getLogger(__name__)


class Subscriber(Generic[_M]):
    """Yields the messages of one topic; one thread at a time.

    url: the publisher's endpoint. newest: only the newest message, or every one. timeout_s: how long receive() and the
    iteration wait for a message before they raise StreamTimeout; None waits for ever. keys: the client's key file, made
    by `catchlight keys`, for a publisher that asks for keys.
    Bytes that are not messages are counted in .rejected, logged once, and skipped.
    """

    rejected: int
    """Messages skipped because they were not of this wire."""
    lost: int
    """Messages that the publisher sent since the first one received and that were not: skipped because a newer one was
    there (newest=True), or dropped on the way."""

    @overload
    def __init__(
        self: "Subscriber[Message]",
        url: str = ...,
        topic: Literal["eyes", "face"] = ...,
        *,
        newest: bool = ...,
        timeout_s: float | None = ...,
        keys: Path | str | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: "Subscriber[Status]",
        url: str,
        topic: Literal["status"],
        *,
        newest: bool = ...,
        timeout_s: float | None = ...,
        keys: Path | str | None = ...,
    ) -> None: ...

    def __init__(
        self,
        url: str = "tcp://127.0.0.1:5580",
        topic: str = "eyes",
        *,
        newest: bool = True,
        timeout_s: float | None = None,
        keys: Path | str | None = None,
    ) -> None:
        if topic not in wire.TOPICS:
            raise ValueError(f"topic: expected one of {', '.join(wire.TOPICS)}, got {topic!r}")
        self._url = url
        self._topic = topic
        self._newest = newest
        self._timeout_s = timeout_s
        self._keys = None if keys is None else Path(keys)
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._last: tuple[str, int] | None = None
        self._reason: WireError | None = None
        self.rejected = 0
        self.lost = 0

    def __enter__(self) -> Self:
        keys = None if self._keys is None else load_client_keys(self._keys)
        self._context = zmq.Context()
        self._socket = socket = self._context.socket(zmq.SUB)
        socket.linger = 0
        socket.maxmsgsize = wire.MAX_MESSAGE_BYTES
        socket.tcp_keepalive = 1  # notices a publisher's host that vanished
        socket.ipv6 = True
        if self._newest:
            socket.conflate = True
        else:
            socket.rcvhwm = QUEUE
        if keys is not None:
            socket.curve_serverkey = keys.server
            socket.curve_publickey = keys.public
            socket.curve_secretkey = keys.secret
        socket.subscribe(self._topic.encode() + b"\0")
        try:
            socket.connect(self._url)
        except zmq.ZMQError as err:
            self.close()
            raise StreamError(f"{self._url}: expected an endpoint such as tcp://127.0.0.1:5580, got: {err}") from err
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the stream; calling it twice is harmless."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._context is not None:
            self._context.term()
            self._context = None

    def __iter__(self) -> Iterator[_M]:
        """Yield messages for ever; outside a with statement it opens the subscriber and closes it at the end."""
        if self._socket is not None:
            while True:
                yield self.receive()
        with self:
            while True:
                yield self.receive()

    def __next__(self) -> _M:
        """As receive()."""
        return self.receive()

    def receive(self) -> _M:
        """Wait for the next message. Raises StreamTimeout after timeout_s, StreamError when it is not open."""
        if self._socket is None:
            raise StreamError("subscriber: expected it to be open, got a closed one; use it in a with statement")
        deadline_s = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            left_ms = _POLL_MS if deadline_s is None else min(_POLL_MS, (deadline_s - time.monotonic()) * 1000)
            if left_ms < 0:
                raise self._timeout() from self._reason
            if not self._socket.poll(int(left_ms) + 1):
                continue
            data = self._newest_bytes() if self._newest else self._socket.recv()
            try:
                message = wire.decode(data)
                if isinstance(message, Status) != (self._topic == "status"):
                    raise WireError(f"topic: expected {self._topic}, got another")
            except WireError as err:
                self._reject(err)
                continue
            self._count(message)
            return cast(_M, message)

    def _newest_bytes(self) -> bytes:
        # A connection that ended leaves its last message in front of its successor's, so one look is not enough.
        assert self._socket is not None
        data = self._socket.recv()
        for _ in range(_RECONNECTIONS):
            if not self._socket.poll(0):
                break
            data = self._socket.recv()
        return data

    def _timeout(self) -> StreamTimeout:
        got = (
            "nothing"
            if self._reason is None
            else f"{self.rejected} that were rejected, the last because {self._reason}"
        )
        return StreamTimeout(
            f"{self._url}: expected a message on {self._topic} within {self._timeout_s} s, got {got}; "
            "is the publisher running, and are its address and keys right?"
        )

    def _reject(self, reason: WireError) -> None:
        self._reason = reason
        self.rejected += 1
        if self.rejected == 1:
            _log.warning("%s: a message was skipped, and others like it will be without a word: %s", self._url, reason)

    def _count(self, message: Message | Status) -> None:
        # Another stream is a restarted publisher, whose numbers begin again.
        if self._last is not None and self._last[0] == message.stream:
            self.lost += max(0, message.sent_seq - self._last[1] - 1)
        self._last = (message.stream, message.sent_seq)
