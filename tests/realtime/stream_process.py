"""The two ends of a stream as processes of their own, to be stopped, killed and weighed by tests.

stream_process.py publish FPS SECONDS        binds a port, prints its endpoint, then its memory in bytes every second
stream_process.py listen URL COUNT           opens COUNT subscribers, prints "ready" when each has a message, then
                                             milliseconds from send to receipt, one line per message of the first
"""

# ruff: noqa: T201 - tests read what it prints

import sys
import time
from contextlib import ExitStack

from wire_samples import enhanced

from realtime import Subscriber, wire
from realtime.config import PublisherConfig
from realtime.publisher import Publisher


def publish(fps):
    sample = enhanced(height=96, width=128)
    with Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")) as publisher:
        print(publisher.endpoint, flush=True)
        while True:
            publisher.send(wire.encode(sample, stream=publisher.stream))
            time.sleep(1 / fps)


def listen(url, count):
    with ExitStack() as stack:
        subscribers = [stack.enter_context(Subscriber(url, timeout_s=30)) for _ in range(count)]
        for subscriber in subscribers:
            subscriber.receive()
        print("ready", flush=True)
        for message in subscribers[0]:
            print((time.monotonic_ns() - message.sent_ns) / 1e6, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        publish(float(sys.argv[2]))
    else:
        listen(sys.argv[2], int(sys.argv[3]))
