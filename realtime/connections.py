"""Who is connected to an XPUB socket; whoever takes nothing, or subscribes to too much, is hung up. For Linux.

ZeroMQ keeps a few messages for each subscriber. Those who stall at the same time hold the same ones, but those who
stall one after the other hold different ones, for as long as they like. ZeroMQ tells nobody who stands still, and its
heartbeats wait behind the message that he does not take. Linux does tell: a socket knows how many bytes its peer has
yet to take and, over TCP, how many he has taken. The former alone is not enough: frames come at a steady pace, and
where a busy machine acknowledges late, the same end of a message waits at every look. Once everyone who stalls is hung
up in time, all of them together hold no more than what was sent in that time and one queue, however many they are. A
slow reader over ipc may be taken for one who stalls, since his bytes are as many as there may be whenever they are
looked at; he connects again, and loses no more than he would in any case.

ZeroMQ also keeps each subscription, in some fifty bytes of memory for each of its own, and nothing bounds their number.
An XPUB socket tells of each new one, and of each that ends, by which connection it came.
"""

import fcntl
import logging
import os
import secrets
import socket
import struct
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import zmq

PATIENCE_S: Final = 1.0
MOST_SUBSCRIBED: Final = 1000
"""Bytes of new subscriptions and their ends from one connection: a hundred turns from one topic to another."""
_AT_ONCE: Final = 100  # read before each message, so that a flood of them cannot hold it up
_LOOK_S: Final = 0.2
_FAREWELL_MS: Final = 10_000
# What happened, the connection's descriptor; pyzmq's own parser would load asyncio at every start.
_EVENT: Final = struct.Struct("=Hi")
_BYTES_ACKED: Final = struct.Struct("=120xQ")  # of Linux's tcp_info, since 4.1
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Connection:
    inode: int
    waiting: int  # bytes that the peer had yet to take at the last look
    taken: int  # bytes that he had taken until then; 0 where nobody counts them
    since_s: float  # since when both numbers stand still
    subscribed: int = 0  # bytes, all together


class Connections:
    """Those of one socket, made before it is bound; in the thread that sends."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", publisher: "zmq.Socket[bytes]") -> None:
        # Not id(self): ZeroMQ may still hold the address of one that was closed a moment ago.
        address = f"inproc://connections-{secrets.token_hex(8)}"
        publisher.monitor(address, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._events = context.socket(zmq.PAIR)
        self._events.rcvhwm = 0  # no limit: at one, ZeroMQ's own thread would wait for the next look
        self._events.connect(address)
        self._publisher = publisher
        self._open: dict[int, _Connection] = {}
        self._due_s = 0.0

    def close(self) -> None:
        """After the publisher's socket."""
        self._events.close()

    def look(self) -> None:
        """Hang up who has subscribed to more than MOST_SUBSCRIBED, and who has taken nothing for PATIENCE_S.

        Most calls come before the next look at the latter is due. Call it before a message is sent: right after,
        something waits for everyone.
        """
        now_s = time.monotonic()
        if int(self._publisher.get(zmq.EVENTS)) & zmq.POLLIN:
            self._read_events(now_s)
            self._read_subscriptions()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _LOOK_S
        self._read_events(now_s)
        for number, connection in self._open.items():
            waiting = _waiting(number)
            taken = _taken(number) if waiting else 0
            if waiting == 0 or (waiting, taken) != (connection.waiting, connection.taken):
                connection.waiting, connection.taken, connection.since_s = waiting, taken, now_s
            elif now_s - connection.since_s >= PATIENCE_S:
                connection.since_s = now_s
                _log.info("a subscriber has taken nothing for %g s and is hung up", PATIENCE_S)
                _hang_up(number, connection.inode)

    def _read_subscriptions(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                message = self._publisher.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            try:
                number = int(message.get(zmq.SRCFD))
            except zmq.ZMQError:  # of one who left: ZeroMQ's own word that nobody wants this any more
                continue
            connection = self._open.get(number)
            if connection is None:
                continue
            connection.subscribed += len(message)
            if connection.subscribed > MOST_SUBSCRIBED:
                _log.info("a subscriber has subscribed to more than %d bytes and is hung up", MOST_SUBSCRIBED)
                _hang_up(number, connection.inode)
                del self._open[number]

    def _read_events(self, now_s: float) -> None:
        while self._events.poll(0):
            event, number = _EVENT.unpack(self._events.recv_multipart()[0])
            if event == zmq.EVENT_DISCONNECTED:
                self._open.pop(number, None)
                continue
            with suppress(OSError):  # gone again already
                self._open[number] = _Connection(os.fstat(number).st_ino, 0, 0, now_s)


def _waiting(number: int) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:  # closed since the events were read
        return 0


def _taken(number: int) -> int:
    with suppress(OSError), socket.fromfd(number, socket.AF_UNSPEC, socket.SOCK_STREAM) as duplicate:
        info = duplicate.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        if len(info) == _BYTES_ACKED.size:
            return int(_BYTES_ACKED.unpack(info)[0])
    return 0  # ipc, or closed since the events were read


def _hang_up(number: int, inode: int) -> None:
    """End the connection; ZeroMQ closes its descriptor then. The number may be another file's by now."""
    with suppress(OSError), socket.fromfd(number, socket.AF_UNSPEC, socket.SOCK_STREAM) as duplicate:
        if os.fstat(duplicate.fileno()).st_ino == inode:
            duplicate.shutdown(socket.SHUT_RDWR)
            # Of TCP only: the system still offers him what it holds, some megabytes, and that he was hung up.
            duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _FAREWELL_MS)
