"""Sends messages to whoever listens: a ZeroMQ socket of the PUB kind that never waits for anyone.

ZeroMQ keeps a few messages for each subscriber and drops later ones for him alone while his queue is full, so
that a stalled subscriber costs no time. On Linux one who has not taken a byte for a second is hung up, and his messages
are let go (connections.py); his own libzmq connects again as soon as he goes on. So is one whose subscriptions would
fill the memory.
"""

import ipaddress
import logging
import secrets
import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import zmq

from realtime import wire
from realtime.config import PublisherConfig
from realtime.errors import StreamError
from realtime.gate import Gate
from realtime.ipc import check_free
from realtime.keys import ServerKeys, load_server_keys
from realtime.libzmq import check_libzmq

if sys.platform == "linux":
    from realtime.connections import Connections

_QUEUE: Final = 4  # eyes, face and status come at once; libzmq learns of room only after every second message
_HANDSHAKE_MS: Final = 5000
_REBIND_S: Final = 5.0
_LONGEST_FROM_SUBSCRIBER: Final = 512  # bytes; the handshake's longest step has some 300
_WAITING_FROM_SUBSCRIBER: Final = 16  # his messages that ZeroMQ reads ahead
_log = logging.getLogger(__name__)


class Publisher:
    """Binds an endpoint and sends; one thread at a time.

    Entering raises StreamError when the endpoint is taken (a path also by a file), malformed, or open to other hosts
    without keys or consent.
    """

    def __init__(self, config: PublisherConfig, *, queue: int = _QUEUE) -> None:
        """queue: messages that ZeroMQ keeps for each subscriber; more where none shall be lost, as in a replay."""
        self._config, self._queue = config, queue
        self._stack = ExitStack()
        self._context: zmq.Context[zmq.Socket[bytes]]
        self._socket: zmq.Socket[bytes] | None = None
        self._connections: Connections | None = None
        self._keys: ServerKeys | None = None
        self._gate: Gate | None = None
        self._rebind_until_s: float | None = None
        self._sent = dict.fromkeys(wire.TOPICS, 0)
        self.stream = secrets.token_hex(8)
        """Names this run of the publisher in its messages."""
        self.endpoint = config.bind
        """Where subscribers connect; after entering, with the port that the system chose for a port of *."""

    def __enter__(self) -> Self:
        check_libzmq()
        check_endpoint(self._config)
        if self._config.keys is not None:
            self._keys = load_server_keys(self._config.keys)
        with ExitStack() as stack:
            # A gate answers for every socket of its context: each publisher has one of its own.
            self._context = stack.enter_context(zmq.Context())
            if self._config.keys is not None:
                self._gate = stack.enter_context(Gate(self._context, self._config.keys))
            self._bind()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unbind()
        self._stack.close()

    @property
    def refused(self) -> int:
        """Clients turned away so far because their key is not on the list."""
        return 0 if self._gate is None else self._gate.refused

    def send(self, message: bytearray) -> int:
        """Stamp a message of wire.encode() or encode_status() and hand it to ZeroMQ; never waits for a subscriber.

        Returns the stamp, sent_ns. Raises StreamError when the socket fails.
        """
        if not self._is_bound():
            return time.monotonic_ns()
        topic = message[: message.index(0)].decode()
        sent_ns = time.monotonic_ns()
        wire.stamp(message, sent_ns=sent_ns, sent_seq=self._sent[topic])
        self._sent[topic] += 1
        self._post(message)
        return sent_ns

    def forward(self, message: bytes) -> None:
        """Hand over a message of a recording as it is, with the stamps of its time. Raises as send() does."""
        if self._is_bound():
            self._post(message)

    def _post(self, message: bytes | bytearray) -> None:
        assert self._socket is not None
        if self._connections is not None:
            self._connections.look()
        try:
            self._socket.send(message, zmq.NOBLOCK)
        except zmq.ZMQError as err:
            raise StreamError(f"{self.endpoint}: expected to send a message, got: {err}") from err

    def _is_bound(self) -> bool:
        if self._gate is not None and self._gate.revoked.is_set():
            self._gate.revoked.clear()
            self._disconnect_everyone()
        return self._socket is not None or self._rebind()

    def _bind(self) -> None:
        check_free(self.endpoint)
        # Only connections.py reads what an XPUB socket tells of its subscribers.
        self._socket = socket = self._context.socket(zmq.XPUB if sys.platform == "linux" else zmq.PUB)
        try:
            if sys.platform == "linux":
                self._connections = Connections(self._context, socket)
            socket.linger = 0
            socket.sndhwm = self._queue
            socket.rcvhwm = _WAITING_FROM_SUBSCRIBER
            socket.handshake_ivl = _HANDSHAKE_MS
            socket.maxmsgsize = _LONGEST_FROM_SUBSCRIBER  # or a stranger's claim of 4 GiB is read before it is known
            socket.tcp_keepalive = 1  # lets go of subscribers whose host vanished
            socket.ipv6 = "[" in self.endpoint
            if self._keys is not None:
                socket.curve_server = True
                socket.curve_secretkey = self._keys.secret
                socket.zap_domain = b"catchlight"
            socket.bind(self.endpoint)
        except zmq.ZMQError as err:
            self._unbind()
            raise StreamError(_why_not_bound(self.endpoint, err)) from err
        self.endpoint = socket.get_string(zmq.LAST_ENDPOINT)

    def _unbind(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._connections is not None:
            self._connections.close()
        self._socket = self._connections = None

    def _disconnect_everyone(self) -> None:
        # libzmq cannot end one connection: all end, and those still on the list come back by themselves.
        _log.info("%s: a client was removed from the list; everyone connects again", self.endpoint)
        self._unbind()
        self._rebind_until_s = time.monotonic() + _REBIND_S

    def _rebind(self) -> bool:
        # libzmq lets go of an endpoint some milliseconds after close(); messages until then have nobody to go to.
        try:
            self._bind()
        except StreamError:
            if self._rebind_until_s is None or time.monotonic() > self._rebind_until_s:
                raise
            return False
        return True


def check_endpoint(config: PublisherConfig) -> None:
    """Raise StreamError for an endpoint that is malformed, or that other hosts reach without keys or consent."""
    transport, _, address = config.bind.partition("://")
    if transport == "ipc" and address:
        return
    host, colon, port = address.rpartition(":")
    if transport != "tcp" or not host or not colon or not (port == "*" or (port.isdecimal() and int(port) < 65536)):
        raise StreamError(f"{config.bind}: expected tcp://ADDRESS:PORT or ipc://PATH, such as {PublisherConfig().bind}")
    if config.keys is not None or is_loopback(host):
        return
    if not config.i_consent_to_sending_my_face_in_clear:
        raise StreamError(
            f"{config.bind}: expected keys for an address that other hosts reach, got none; make them with "
            "`catchlight keys`, or say --i-consent-to-sending-my-face-in-clear"
        )
    _log.warning("%s: the stream goes out unencrypted, to anyone who connects", config.bind)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a TCP host; False for *, for interfaces and for names other than localhost."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _why_not_bound(endpoint: str, err: zmq.ZMQError) -> str:
    if err.errno == zmq.EADDRINUSE:
        return f"{endpoint}: expected a free port, got one in use; stop the other program or choose another port"
    return f"{endpoint}: expected an address of this machine, got: {err}"
