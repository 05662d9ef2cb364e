"""Ctrl-C, and how a run ends at it: the first asks it to save and stop, the second ends it at once."""

import signal
from types import TracebackType
from typing import Self


class Interrupt:
    """Context manager, true once SIGINT or SIGTERM came. Restores the handlers that were there."""

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._set) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def __bool__(self) -> bool:
        return self._came

    def _set(self, *_: object) -> None:
        self._came = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
