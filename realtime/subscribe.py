"""The `subscribe` command: watch a stream from the side of a gaze tracker; save its patches to look at."""

import math
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import cv2

from realtime.client import Subscriber
from realtime.config import SubscribeConfig
from realtime.display import Display
from realtime.errors import StreamError, StreamTimeout
from realtime.message import Message
from realtime.metrics import Durations
from realtime.signals import Stop, stopping

_LOOK_S = 0.2
"""How long a wait for a message lasts before the signals and the clock are looked at."""


def subscribe(config: SubscribeConfig) -> int:
    """Receive until config says so or a signal comes, then print what came; returns the exit code.

    Raises StreamTimeout when nothing comes for config.timeout_s or in all of config.seconds, StreamError for an
    endpoint or keys that cannot be used or a folder that cannot be written.
    """
    if config.save is not None:
        try:
            config.save.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as err:
            raise StreamError(f"{config.save}: expected a folder, got: {err.strerror}; choose another") from err
    # Who saves wants every message; who watches wants to know how old the newest is.
    subscriber = Subscriber(
        config.connect, config.topic, newest=config.save is None, timeout_s=_LOOK_S, keys=config.keys
    )
    tally = Tally()
    with stopping() as stop, Display() as display, subscriber:
        looked = monotonic()
        for message in _messages(subscriber, config, stop):
            tally.add(message)
            if config.save is not None:
                save_patches(config.save, message)
            if monotonic() - looked >= 1:
                display.update(f"{tally}, {subscriber.lost} lost", tally.messages)
                looked = monotonic()
    print(f"{tally}, {subscriber.lost} lost on the way, {subscriber.rejected} rejected")  # noqa: T201 - the result
    return stop.exit_code


def _messages(subscriber: Subscriber[Message], config: SubscribeConfig, stop: Stop) -> Iterator[Message]:
    started = heard = monotonic()
    count = 0
    seconds = math.inf if config.seconds is None else config.seconds
    while not stop and count != config.count and (not count or monotonic() - started < seconds):
        try:
            message = subscriber.receive()
        except StreamTimeout as err:
            patience_s = config.timeout_s if count else min(config.timeout_s, seconds)
            if monotonic() - heard > patience_s:
                got = "nothing" if err.__cause__ is None else f"{subscriber.rejected} rejected: {err.__cause__}"
                raise StreamTimeout(
                    f"{config.connect}: expected a message on {config.topic} within {patience_s:g} s, got {got}; "
                    "is `catchlight run` running, and are address and keys right?"
                ) from err
            continue
        heard = monotonic()
        count += 1
        yield message


class Tally:
    """What came: as text, its rate, the latency and the drops."""

    def __init__(self) -> None:
        self.messages = 0
        self._faces = 0
        self._latency = Durations()
        self._first_s = self._last_s = 0.0
        self._newest: Message | None = None

    def add(self, message: Message) -> None:
        """Count one message, on the publisher's host: its age is taken by this host's clock."""
        self._last_s = monotonic()
        self._first_s = self._first_s if self.messages else self._last_s
        self._latency.add(int(message.age_ms() * 1e6))
        self._newest = message
        self._faces += message.face_found
        self.messages += 1

    def __str__(self) -> str:
        if self._newest is None:
            return "no message"
        rate = (self.messages - 1) / max(self._last_s - self._first_s, 1e-9)
        latency = self._latency.summary_ms()
        return (
            f"{self.messages} messages ({self._faces} with a face), {rate:.1f}/s, capture to here p50 "
            f"{latency['p50']:.1f} p95 {latency['p95']:.1f} max {latency['max']:.1f} ms, {self._newest.engine} "
            f"{self._newest.tier}, {self._newest.dropped} dropped by the daemon"
        )


def save_patches(folder: Path, message: Message) -> None:
    """Write a message's patches as PNG: SEQ-left.png and SEQ-right.png, or SEQ-face.png; nothing without a face.

    Left and right are the image's. The camera's own pixels go beside them, as SEQ-left-raw.png and so on. Raises
    StreamError when the disk does not take them.
    """
    if message.patches is None or message.raw is None:
        return
    names = ("left", "right") if message.topic == "eyes" else ("face",)
    for name, patch, raw in zip(names, message.patches, message.raw, strict=True):
        for suffix, image in (("", patch), ("-raw", raw)):
            path = folder / f"{message.seq:08d}-{name}{suffix}.png"
            try:
                path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
            except OSError as err:
                raise StreamError(f"{path}: cannot be written: {err.strerror}; free some space") from err
