import threading
from time import monotonic

import pytest

from realtime.slot import LatestSlot, SlotClosed


def test_slow_reader_gets_the_newest_item_and_the_others_are_counted():
    slot = LatestSlot[int]()

    for item in range(5):
        slot.put(item)

    assert slot.get(0) == 4
    assert slot.dropped == 4


def test_item_that_was_taken_is_not_counted_as_dropped():
    slot = LatestSlot[int]()

    slot.put(1)
    first = slot.get(0)
    slot.put(2)

    assert (first, slot.get(0), slot.dropped) == (1, 2, 0)


def test_none_is_an_item():
    slot = LatestSlot[None]()

    slot.put(None)

    assert slot.get(0) is None


def test_reader_wakes_when_an_item_comes():
    slot = LatestSlot[str]()
    writer = threading.Timer(0.05, slot.put, ["frame"])
    writer.start()

    start = monotonic()
    item = slot.get(10)

    writer.join()
    assert item == "frame"
    assert monotonic() - start < 5


def test_empty_slot_times_out():
    slot = LatestSlot[int]()

    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        slot.get(0.01)


def test_last_item_comes_before_the_end():
    slot = LatestSlot[int]()

    slot.put(7)
    slot.close()

    assert slot.get(0) == 7
    with pytest.raises(SlotClosed):
        slot.get(0)


def test_iteration_stops_at_the_end():
    slot = LatestSlot[int]()
    slot.put(7)
    slot.close()

    assert list(slot) == [7]


def test_failure_of_the_writer_reaches_the_reader_after_the_last_item():
    slot = LatestSlot[int]()

    slot.put(7)
    slot.fail(OSError("unplugged"))

    assert slot.get(0) == 7
    with pytest.raises(OSError, match="unplugged"):
        slot.get(0)


def test_failure_wakes_a_waiting_reader():
    slot = LatestSlot[int]()
    writer = threading.Timer(0.05, slot.fail, [OSError("unplugged")])
    writer.start()

    with pytest.raises(OSError, match="unplugged"):
        slot.get(10)

    writer.join()


def test_first_end_counts():
    slot = LatestSlot[int]()

    slot.close()
    slot.fail(OSError("too late"))

    with pytest.raises(SlotClosed):
        slot.get(0)


def test_closed_slot_takes_nothing_more():
    slot = LatestSlot[int]()
    slot.close()

    with pytest.raises(ValueError, match="closed"):
        slot.put(1)
