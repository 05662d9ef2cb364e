import socket
from contextlib import ExitStack

import pytest
import zmq

from realtime.sinks.endpoint import open_socket


def _has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not _has_ipv6(), reason="needs ::1")
def test_a_sink_speaks_ipv6_where_its_endpoint_does():
    with ExitStack() as stack:
        bound = open_socket(stack, zmq.REP, "tcp://[::1]:*", bind=True)
        connected = open_socket(stack, zmq.REQ, bound.get_string(zmq.LAST_ENDPOINT), bind=False, timeout_s=5)
        connected.send(b"heard")

        assert bound.poll(5000)
