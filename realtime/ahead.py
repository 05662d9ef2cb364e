"""Runs one half of a chain in a thread of its own, ahead of the other."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from realtime.slot import LatestSlot

T = TypeVar("T")


@contextmanager
def ahead(items: Iterable[T], slot: LatestSlot[T]) -> Iterator[None]:
    """Draw the items in a thread of its own and put each into the slot; at the block's end, join the thread.

    The items must end by then, or soon after: what they come from is to be stopped inside the block. Their end closes
    the slot; what they raise is raised by the slot.
    """

    def draw() -> None:
        try:
            for item in items:
                slot.put(item)
            slot.close()
        except BaseException as error:  # handed over: nothing that happens in this thread is lost
            slot.fail(error)

    thread = threading.Thread(target=draw, name="ahead")
    thread.start()
    try:
        yield
    finally:
        thread.join()
