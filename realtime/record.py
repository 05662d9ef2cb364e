"""The `record` command: keep a running daemon's stream."""

import math
from time import monotonic

from realtime.client import Subscriber
from realtime.config import RecordConfig
from realtime.display import Display
from realtime.errors import StreamTimeout
from realtime.recorder import Recorder
from realtime.signals import stopping

_LOOK_S = 0.2
"""How long a wait for a message lasts before the signals and the clock are looked at."""


def record(config: RecordConfig) -> int:
    """Record every message until the time is up or a signal comes; returns the exit code.

    Raises StreamTimeout when nothing comes for config.timeout_s or in all of config.seconds, StreamError for an
    endpoint or keys that cannot be used, and RecordingError when the disk does not take it.
    """
    subscriber = Subscriber(config.connect, config.topic, newest=False, timeout_s=_LOOK_S, keys=config.keys)
    with stopping() as stop, Display() as display, Recorder(config.folder) as recorder, subscriber:
        started_s = heard_s = looked_s = monotonic()
        seconds = math.inf if config.seconds is None else config.seconds
        while not stop and (not recorder.messages or monotonic() - started_s < seconds):
            try:
                recorder.write(subscriber.receive_bytes())
                heard_s = monotonic()
            except StreamTimeout as err:
                patience_s = config.timeout_s if recorder.messages else min(config.timeout_s, seconds)
                if monotonic() - heard_s > patience_s:
                    raise StreamTimeout(
                        f"{config.connect}: expected a message on {config.topic} within {patience_s:g} s, got "
                        f"none after {recorder.messages}; is `catchlight run` running, and are address and keys right?"
                    ) from err
            if monotonic() - looked_s >= 1:
                looked_s = monotonic()
                display.update(f"{recorder.messages} messages, {subscriber.lost} lost", recorder.messages)
    display.say(f"{config.folder}: {recorder.messages} messages recorded, {subscriber.lost} lost on the way")
    return stop.exit_code
