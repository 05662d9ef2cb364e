"""The `replay` command: a recording goes out as it was, byte for byte, and when it was.

Everything in a message is of its time: age_ms() of a replayed message says when it was captured, not when it was
replayed, while the differences between its stamps are right.
"""

from collections.abc import Iterable, Iterator
from time import monotonic, sleep

from realtime.client import QUEUE
from realtime.config import ReplayConfig
from realtime.display import Display
from realtime.publisher import Publisher
from realtime.recording import Recording
from realtime.signals import Stop, stopping
from realtime.wire import decode

_LOOK_S = 0.2
"""How long a wait lasts before the signals are looked at."""


def replay(config: ReplayConfig) -> int:
    """Publish the recording to its end or until a signal comes; returns the exit code.

    Raises RecordingError for a folder without a recording, StreamError for an endpoint that cannot be used.
    """
    recording = Recording(config.folder)
    sent = 0
    with stopping() as stop, Publisher(config.publisher, queue=QUEUE) as publisher, Display() as display:
        display.say(f"{config.folder} -> {publisher.endpoint}")
        _wait_until(monotonic() + config.wait_s, stop)
        while True:
            started_s = looked_s = monotonic()
            for after_s, message in schedule(recording):
                _wait_until(started_s + after_s / config.speed, stop)
                if stop:
                    break
                publisher.forward(message)
                sent += 1
                if monotonic() - looked_s >= 1:
                    looked_s = monotonic()
                    display.update(f"{sent} messages, {after_s:.0f} s", sent)
            if stop or not config.loop:
                break
        display.say(f"{config.folder}: {sent} messages sent")
    return stop.exit_code


def schedule(messages: Iterable[bytes]) -> Iterator[tuple[float, bytes]]:
    """Each message with the seconds from the first one's sending to its own, without the gaps between streams."""
    after_ns, before = 0, None
    for data in messages:
        message = decode(data)
        if before is not None and before.stream == message.stream:
            after_ns += max(0, message.sent_ns - before.sent_ns)
        before = message
        yield after_ns / 1e9, data


def _wait_until(due_s: float, stop: Stop) -> None:
    while not stop and (left_s := due_s - monotonic()) > 0:
        sleep(min(left_s, _LOOK_S))
