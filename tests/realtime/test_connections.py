import sys

import pytest
import zmq

if sys.platform != "linux":
    pytest.skip("Linux tells what a peer has yet to take", allow_module_level=True)

from realtime.connections import Connections


def test_one_can_follow_another_at_once():
    with zmq.Context() as context:
        for _ in range(300):
            publisher = context.socket(zmq.PUB)
            connections = Connections(context, publisher)
            publisher.close()
            connections.close()
