"""Ends a program cleanly on SIGINT, SIGTERM or SIGHUP, and at once on a second one."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


class Stop:
    """Whether the program was asked to end, and by which signal.

    A flag and not a threading.Event: setting an Event from a signal handler deadlocks when the signal comes while the
    same thread holds the Event's lock. Whoever waits does so with a timeout and looks here.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells say it; 0 when no signal came."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within, Ctrl-C ends the process at once, without a word, wherever stopping() is not entered.

    For the start of every command, and the whole of those that leave nothing behind: `doctor` and `keys`.

    Not by a KeyboardInterrupt, which cv2 takes for a failure while it is imported. To be entered in the main thread.
    """
    before = signal.getsignal(signal.SIGINT)
    if before != signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, _frame: os._exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Within, the first ending signal sets the Stop; the second has its default effect, which is to end the process.

    Signals that were ignored stay ignored. Restores the handlers that it found. To be entered in the main thread.
    """
    stop = Stop()

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.signal = number
        # The kernel, not Python, serves the second one: it works even while a library's call holds the main thread.
        for each in ENDING:
            signal.signal(each, signal.SIG_DFL)

    # A signal that was ignored (nohup, a background job of a shell without job control) stays ignored.
    before = {number: handler for number in ENDING if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
