"""Where a sink may speak, and the ZeroMQ sockets to speak with."""

from contextlib import ExitStack
from typing import Final

import zmq

from realtime.errors import SinkError
from realtime.publisher import is_loopback

_QUEUE: Final = 2  # messages for each reader; beyond it ZeroMQ drops
_LONGEST_ANSWER: Final = 1 << 16


def check_reach(name: str, endpoint: str, *, consent: bool) -> None:
    """Raise ValueError for an endpoint that is malformed, or that other hosts reach without consent.

    endpoint: tcp://HOST:PORT. Unlike the native stream, other programs' wires know no keys of ours.
    """
    transport, _, address = endpoint.partition("://")
    host, colon, port = address.rpartition(":")
    if transport != "tcp" or not host or not colon or not (port == "*" or (port.isdecimal() and int(port) < 65536)):
        raise ValueError(f"sink {name}: expected tcp://HOST:PORT, got {endpoint}")
    if not consent and not is_loopback(host):
        raise ValueError(
            f"sink {name}: expected an address of this machine alone, got {endpoint}, which goes out unencrypted; use "
            "127.0.0.1, or say --i-consent-to-sending-my-face-in-clear"
        )


def open_socket(
    stack: ExitStack, kind: int, endpoint: str, *, bind: bool, timeout_s: float = 1.0
) -> "zmq.Socket[bytes]":
    """A socket, bound or connecting, that the stack will close, with its context; it never waits past timeout_s.

    Raises SinkError when the endpoint cannot be used.
    """
    socket = stack.enter_context(stack.enter_context(zmq.Context()).socket(kind))
    socket.linger = 0
    socket.ipv6 = "[" in endpoint
    socket.sndhwm = _QUEUE
    socket.maxmsgsize = _LONGEST_ANSWER
    socket.rcvtimeo = socket.sndtimeo = round(timeout_s * 1000)
    try:
        if bind:
            socket.bind(endpoint)
        else:
            socket.connect(endpoint)
    except zmq.ZMQError as err:
        what = "to bind it" if bind else "to connect to it"
        raise SinkError(f"{endpoint}: expected {what}, got: {err}; choose another address") from err
    return socket
