"""Plays frames at a rate, like a camera: by an absolute schedule, so that delays do not add up."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


class Pace:
    """The schedule of frames 0, 1, 2, ... at fps frames a second; frame 0 is due when it is first asked for."""

    def __init__(self, fps: float, clock: Callable[[], float] = monotonic) -> None:
        self._fps = fps
        self._clock = clock
        self._start: float | None = None
        self._making_s = 1 / fps
        self._stopped = threading.Event()

    def late(self, frame: int) -> int:
        """How many frame periods ago this frame should have come; 0 when it is not yet late by a whole one."""
        if self._start is None:
            return 0
        return max(0, int((self._clock() - self._start) * self._fps - frame))

    def make(self, frame: int, how: Callable[[], T]) -> T:
        """Make the frame shortly before it is due, with twice the time that making one has lately taken.

        Any earlier, and it would take the processor from the chain, which has just begun on the frame before.
        """
        if self._start is not None:
            self._sleep_until(self._due(frame) - 2 * self._making_s)
        began = self._clock()
        made = how()
        self._making_s = max(self._clock() - began, 0.9 * self._making_s)
        return made

    def wait(self, frame: int) -> bool:
        """Wait until the frame is due; False when stop() was called instead."""
        if self._start is None:
            self._start = self._clock() - frame / self._fps
        return self._sleep_until(self._due(frame))

    def _due(self, frame: int) -> float:
        assert self._start is not None
        return self._start + frame / self._fps

    def _sleep_until(self, time: float) -> bool:
        return not self._stopped.wait(max(0.0, time - self._clock()))

    def stop(self) -> None:
        """End the wait under way and every later one; for any thread."""
        self._stopped.set()
