"""Ends of a stream that run in the background, for tests of the other end."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from wire_samples import enhanced

from realtime import wire
from realtime.config import PublisherConfig
from realtime.publisher import Publisher


@contextmanager
def streaming(bind="tcp://127.0.0.1:*", *, fps=100, keys=None, consent=False):
    """Sends the sample frame's eyes, face and a status at fps; gives the publisher, which only the thread may use."""
    config = PublisherConfig(bind=bind, keys=keys, i_consent_to_sending_my_face_in_clear=consent)
    stop = threading.Event()
    sample = enhanced()
    failures = []

    def send():
        try:
            while not stop.wait(1 / fps):
                publisher.send(wire.encode(sample, stream=publisher.stream))
                publisher.send(wire.encode(sample, topic="face", stream=publisher.stream))
                publisher.send(wire.encode_status({"fps": fps}, stream=publisher.stream))
        except Exception as err:
            failures.append(err)

    with Publisher(config) as publisher:
        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield publisher
        finally:
            stop.set()
            thread.join()
    if failures:
        raise failures[0]


def exhaust(subscriber):
    """Receive until StreamTimeout."""
    while True:
        subscriber.receive()


@contextmanager
def process(*arguments):
    """Runs stream_process.py, and kills it and its children at the end."""
    command = [sys.executable, str(Path(__file__).parent / "stream_process.py"), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            for child in psutil.Process(running.pid).children():
                child.kill()
            running.kill()


def allow_open_files(count):
    """Raise this process's limit of open files, or skip the test."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard < count:
            pytest.skip(f"needs {count} open files, may have {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
