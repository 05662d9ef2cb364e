"""Hands the newest item from one thread to another; what the reader was too slow for is dropped and counted."""

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class SlotClosed(Exception):
    """The writer closed the slot, and its last item has been taken: the end of the stream."""


class LatestSlot(Generic[T]):
    """A place for one item: a writer replaces it and never waits, a reader takes it and waits for the next.

    One writer thread and one reader thread. Iteration takes items until the slot is closed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[T] = []  # none or one: an item may be None itself
        self._failure: BaseException | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items that were replaced before anyone took them."""
        return self._dropped

    def put(self, item: T) -> None:
        """Make this the newest item. Raises ValueError once the slot is closed or has failed."""
        with self._changed:
            if self._closed:
                raise ValueError("slot: expected an open slot, got one that was closed; put() before close() or fail()")
            self._dropped += len(self._items)
            self._items = [item]
            self._changed.notify()

    def fail(self, error: BaseException) -> None:
        """End the stream with an error, which get() raises after the last item. Later calls change nothing."""
        self._end(error)

    def close(self) -> None:
        """End the stream: get() gives the last item, then raises SlotClosed. Later calls change nothing."""
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        with self._changed:
            if not self._closed:
                self._closed, self._failure = True, error
                self._changed.notify()

    def get(self, timeout_s: float | None = None) -> T:
        """Take the newest item, waiting for one if need be; None waits for ever.

        Raises TimeoutError when none came in time, SlotClosed at the end of the stream, and the writer's error
        when it failed. An item put before the end is given first.
        """
        deadline = None if timeout_s is None else monotonic() + timeout_s
        with self._changed:
            while not self._items:
                if self._failure is not None:
                    raise self._failure
                if self._closed:
                    raise SlotClosed("slot: the stream has ended")
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"slot: expected an item within {timeout_s} s, got none")
                self._changed.wait(left)
            return self._items.pop()

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                yield self.get()
            except SlotClosed:
                return
