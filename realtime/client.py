"""Receives the stream: a context manager and iterator that no sender can stop, crash or make grow without bound.

    for message in Subscriber("tcp://127.0.0.1:5580"):
        print(message.seq, message.patches.shape if message.face_found else "no face")

newest=True keeps one message (ZeroMQ's CONFLATE, which is why messages have a single part): whoever pauses reads the
newest next. Only after a restart of the publisher one message of the old stream may come first: libzmq subscribes again
when it is next called. newest=False keeps up to QUEUE messages and loses those that come when it is full; .lost counts
them.
"""

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Generic, Literal, Self, TypeVar, cast, overload

import zmq

from realtime import wire
from realtime.errors import StreamError, StreamTimeout, WireError
from realtime.keys import ClientKeys, load_client_keys
from realtime.libzmq import check_libzmq
from realtime.message import Message, Status

QUEUE: Final = 30
"""Messages that newest=False keeps for a reader who is late; each has at most wire.MAX_MESSAGE_BYTES."""

_POLL_S = 0.2  # a wait is cut into pieces so that Ctrl-C is seen on every system
_SILENCE_S = 3.0  # then connect anew: libzmq does not come back after a stranger on the port sent it nonsense
_M = TypeVar("_M", Message, Status)
_log = logging.getLogger(__name__)


class Subscriber(Generic[_M]):
    """Yields the messages of one topic; one thread at a time.

    url: the publisher's endpoint. newest: only the newest message, or every one. timeout_s: how long receive() and the
    iteration wait for a message before they raise StreamTimeout, from 0; None waits for ever. keys: the client's key
    file, made by `catchlight keys`, for a publisher that asks for keys.
    Bytes that are not messages are counted in .rejected, logged once, and skipped. What was wrong with the last of them
    is a StreamTimeout's __cause__, unless a good message has come since: a publisher of another version of the wire
    raises WireVersionMismatch only so, and with timeout_s None there is the one warning, and then the wait for ever.
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
        if timeout_s is not None and not timeout_s >= 0:
            raise ValueError(f"timeout_s: expected at least 0, or None to wait for ever, got {timeout_s}")
        self._url = url
        self._topic = topic
        self._newest = newest
        self._timeout_s = timeout_s
        self._keys = None if keys is None else Path(keys)
        self._curve: ClientKeys | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._silent_since_s: float | None = None
        self._last: tuple[str, int] | None = None
        self._reason: WireError | None = None
        self.rejected = 0
        self.lost = 0

    def __enter__(self) -> Self:
        check_libzmq()
        self._curve = None if self._keys is None else load_client_keys(self._keys)
        self._context = zmq.Context()
        try:
            self._connect()
        except BaseException:
            self.close()
            raise
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
        return cast(_M, self._receive()[1])

    def receive_bytes(self) -> bytes:
        """As receive(), but gives the message's own bytes, to be passed on; they have been read and are good."""
        return self._receive()[0]

    def _receive(self) -> tuple[bytes, Message | Status]:
        if self._socket is None:
            raise StreamError("subscriber: expected it to be open, got a closed one; use it in a with statement")
        deadline_s = math.inf if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            wait_s = max(0.0, min(_POLL_S, deadline_s - time.monotonic()))
            if self._socket.poll(math.ceil(wait_s * 1000)):
                self._silent_since_s = None
                data = self._socket.recv()
                message = self._read(data)
                if message is not None:
                    return data, message
            else:
                self._connect_after_silence()
            if time.monotonic() >= deadline_s:
                raise self._timeout() from self._reason

    def _read(self, data: bytes) -> Message | Status | None:
        try:
            message = wire.decode(data)
            if isinstance(message, Status) != (self._topic == "status"):
                raise WireError(f"topic: expected {self._topic}, got another")
        except WireError as err:
            self._reason = err
            self.rejected += 1
            if self.rejected == 1:
                _log.warning("%s: a message was skipped, others like it will be without a word: %s", self._url, err)
            return None
        self._reason = None
        # Another stream is a restarted publisher, whose numbers begin again.
        if self._last is not None and self._last[0] == message.stream:
            self.lost += max(0, message.sent_seq - self._last[1] - 1)
        self._last = (message.stream, message.sent_seq)
        return message

    def _connect_after_silence(self) -> None:
        now_s = time.monotonic()
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        elif now_s - self._silent_since_s > _SILENCE_S:
            self._silent_since_s = None
            self._connect()

    def _connect(self) -> None:
        assert self._context is not None
        if self._socket is not None:
            self._socket.close()
        self._socket = socket = self._context.socket(zmq.SUB)
        socket.linger = 0
        socket.maxmsgsize = wire.MAX_MESSAGE_BYTES
        socket.tcp_keepalive = 1  # notices a publisher's host that vanished
        socket.ipv6 = "[" in self._url  # else localhost may become ::1, where nobody listens
        if self._newest:
            socket.conflate = True
        else:
            socket.rcvhwm = QUEUE
        if self._curve is not None:
            socket.curve_serverkey = self._curve.server
            socket.curve_publickey = self._curve.public
            socket.curve_secretkey = self._curve.secret
        socket.subscribe(self._topic.encode() + b"\0")
        try:
            socket.connect(self._url)
        except zmq.ZMQError as err:
            raise StreamError(f"{self._url}: expected an endpoint such as tcp://127.0.0.1:5580, got: {err}") from err

    def _timeout(self) -> StreamTimeout:
        got = "nothing" if self._reason is None else f"{self.rejected} rejected, the last because {self._reason}"
        return StreamTimeout(
            f"{self._url}: expected a message on {self._topic} within {self._timeout_s:g} s, got {got}; "
            "is the publisher running, and are its address and keys right?"
        )
