import threading

import pytest

from realtime.ahead import ahead
from realtime.slot import LatestSlot, SlotClosed


def test_items_are_drawn_in_another_thread_and_their_end_closes_the_slot():
    threads = []

    def items():
        threads.append(threading.current_thread())
        yield 1

    slot = LatestSlot[int]()
    with ahead(items(), slot):
        assert slot.get(1) == 1
        with pytest.raises(SlotClosed):
            slot.get(1)

    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()


def test_what_the_items_raise_is_raised_by_the_slot():
    def items():
        yield 1
        raise ValueError("broken")

    slot = LatestSlot[int]()
    with ahead(items(), slot):
        assert slot.get(1) == 1
        with pytest.raises(ValueError, match="broken"):
            slot.get(1)


def test_an_exception_in_the_block_still_joins_the_thread():
    source, slot = LatestSlot[int](), LatestSlot[int]()

    def fail_while_drawing():
        with ahead(source, slot):
            source.close()
            raise RuntimeError("elsewhere")

    with pytest.raises(RuntimeError, match="elsewhere"):
        fail_while_drawing()

    assert "ahead" not in [thread.name for thread in threading.enumerate()]
