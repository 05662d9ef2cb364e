"""Plays frames at a rate, like a camera: by an absolute schedule, so that delays do not add up."""

import threading
from collections.abc import Callable
from time import monotonic


class Pace:
    """The schedule of frames 0, 1, 2, ... at fps frames a second; frame 0 is due when it is first asked for."""

    def __init__(self, fps: float, clock: Callable[[], float] = monotonic) -> None:
        self._fps = fps
        self._clock = clock
        self._start: float | None = None
        self._stopped = threading.Event()

    def late(self, frame: int) -> int:
        """How many frame periods ago this frame should have come; 0 when it is not yet late by a whole one."""
        if self._start is None:
            return 0
        return max(0, int((self._clock() - self._start) * self._fps - frame))

    def wait(self, frame: int) -> bool:
        """Wait until the frame is due; False when stop() was called instead."""
        now = self._clock()
        if self._start is None:
            self._start = now - frame / self._fps
        return not self._stopped.wait(max(0.0, self._start + frame / self._fps - now))

    def stop(self) -> None:
        """End the wait under way and every later one; for any thread."""
        self._stopped.set()
