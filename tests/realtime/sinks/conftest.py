"""What the tests of sinks share: frames as they were sent, and a thread that feeds them to a sink."""

import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from wire_samples import enhanced

from realtime.sinks import Outlet, Sent
from realtime.wire import encode, stamp


@pytest.fixture
def sent():
    """Makes a frame as it was sent: of seq 41 and 3x2 pixel windows at x2, unless told otherwise."""

    def make(sent_seq=0, **kwargs):
        value = enhanced(**kwargs)
        messages = [encode(value, topic=topic, stream="test") for topic in ("eyes", "face")]
        for message in messages:
            stamp(message, sent_ns=6_000_000_000 + sent_seq, sent_seq=sent_seq)
        return Sent(enhanced=value, messages=tuple(messages))

    return make


@pytest.fixture
def free_port():
    """A TCP port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def feeding():
    """Feeds frames to a sink, fifty a second, while the block runs; gives its outlet."""

    @contextmanager
    def feed(sink, item):
        stop = threading.Event()

        def put():
            while not stop.wait(0.02):
                outlet.put(item)

        with Outlet("test", sink, first_retry_s=0.05) as outlet:
            thread = threading.Thread(target=put)
            thread.start()
            try:
                yield outlet
            finally:
                stop.set()
                thread.join()

    return feed
