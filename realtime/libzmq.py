"""The version of libzmq that both ends of a stream need."""

from typing import Final

import zmq

from realtime.errors import StreamError

_OLDEST: Final = (4, 3, 3)  # before it, strangers could starve a server with keys (CVE-2020-15166)


def check_libzmq() -> None:
    """Raise StreamError for a libzmq that strangers could attack."""
    if zmq.zmq_version_info() < _OLDEST:
        expected = ".".join(map(str, _OLDEST))
        raise StreamError(f"libzmq: expected at least {expected}, got {zmq.zmq_version()}; upgrade pyzmq")
