"""The two ends of a stream as processes of their own, to be stopped, killed and weighed by tests.

stream_process.py publish FPS [BIND [KEYS]]  binds, by default a port of loopback, and prints its endpoint
stream_process.py listen URL COUNT           opens COUNT subscribers, prints "ready" when each has a message, then
                                             milliseconds from send to receipt, one line per message of the first
stream_process.py crowd URL COUNT [KEYS]     COUNT subscribers, each a process of its own; prints their numbers when
                                             each has a message
"""

# ruff: noqa: T201 - tests read what it prints

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from wire_samples import enhanced

from realtime import Subscriber, wire
from realtime.config import PublisherConfig
from realtime.publisher import Publisher


def publish(fps, bind="tcp://127.0.0.1:*", keys=None):
    sample = enhanced(height=96, width=128)
    with Publisher(PublisherConfig(bind=bind, keys=None if keys is None else Path(keys))) as publisher:
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


def crowd(url, count, keys=None):
    processes = []
    for _ in range(count):
        ready, told = os.pipe()
        processes.append(os.fork())
        if not processes[-1]:
            with Subscriber(url, timeout_s=30, keys=keys) as subscriber:
                subscriber.receive()
                os.write(told, b"!")
                signal.pause()
        os.close(told)
        if not os.read(ready, 1):
            raise RuntimeError("a subscriber has ended")
    print(*processes, flush=True)
    signal.pause()


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        publish(float(sys.argv[2]), *sys.argv[3:])
    elif sys.argv[1] == "crowd":
        crowd(sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
    else:
        listen(sys.argv[2], int(sys.argv[3]))
