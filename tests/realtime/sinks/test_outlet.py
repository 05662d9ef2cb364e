import logging
import threading
import time

import pytest

from realtime.errors import SinkEnded, SinkError
from realtime.sinks import Outlet


class FakeSink:
    """Notes what happens to it; fails as it is told: open_errors when entered, send_errors when fed, in turn."""

    def __init__(self, *, queue=1, open_errors=(), send_errors=(), gate=None):
        self.queue = queue
        self.sent, self.opened, self.closed = [], 0, 0
        self._open_errors, self._send_errors, self._gate = list(open_errors), list(send_errors), gate

    def __enter__(self):
        if self._open_errors:
            raise self._open_errors.pop(0)
        self.opened += 1
        return self

    def __exit__(self, *_):
        self.closed += 1

    def pick(self, item):
        return item

    def send(self, item):
        if self._gate is not None:
            self._gate.wait(5)
        if self._send_errors:
            raise self._send_errors.pop(0)
        self.sent.append(item)


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 5 s"
        time.sleep(0.005)


def test_what_is_put_is_sent_in_order_and_nothing_is_lost_at_the_end():
    sink = FakeSink(queue=100)

    with Outlet("fake", sink) as outlet:
        for number in range(50):
            outlet.put(number)
        wait_until(lambda: outlet.state == "open")

    assert sink.sent == list(range(50))
    assert sink.opened == sink.closed == 1
    assert outlet.status() == {"name": "fake", "state": "open", "reason": "", "sent": 50, "dropped": 0, "failures": 0}


def test_a_sink_that_stalls_holds_up_nobody_and_continues_with_the_newest():
    gate = threading.Event()
    sink = FakeSink(gate=gate)

    with Outlet("fake", sink) as outlet:
        outlet.put("first")
        wait_until(lambda: outlet.state == "open" and not outlet._waiting)
        started = time.monotonic()
        for number in range(10_000):
            outlet.put(number)
        took_s = time.monotonic() - started
        gate.set()
        wait_until(lambda: len(sink.sent) == 2)

    assert took_s < 2  # each would have waited 5 s
    assert sink.sent == ["first", 9999]
    assert outlet.dropped == 9999


@pytest.mark.parametrize("where", ["open_errors", "send_errors"])
@pytest.mark.parametrize("error", [SinkError("nobody there"), ZeroDivisionError("a bug in a library")], ids=type)
def test_a_sink_that_fails_is_reported_closed_and_tried_again(caplog, where, error):
    sink = FakeSink(**{where: [error, error]})

    with Outlet("fake", sink, first_retry_s=0.01) as outlet:

        def put_until_sent():
            outlet.put("frame")
            return sink.sent

        wait_until(put_until_sent)

    assert outlet.failures == 2
    assert sink.opened == sink.closed == (1 if where == "open_errors" else 3)
    assert [record.getMessage() for record in caplog.records] == [f"sink fake: {error}"]
    assert caplog.records[0].levelno == logging.WARNING


def test_a_sink_that_has_ended_is_not_tried_again_and_takes_nothing():
    sink = FakeSink(send_errors=[SinkEnded("the disk is full")])

    with Outlet("fake", sink, first_retry_s=0.01) as outlet:
        outlet.put("frame")
        wait_until(lambda: outlet.state == "ended")
        outlet.put("another")
        time.sleep(0.05)

    assert sink.opened == sink.closed == 1
    assert outlet.status()["reason"] == "the disk is full"
    assert (outlet.sent, outlet.dropped) == (0, 2)


@pytest.mark.parametrize("error", [SinkEnded("the disk is full"), SinkError("nobody there")], ids=type)
def test_frames_that_wait_when_a_sink_ends_or_fails_for_good_are_counted_as_dropped(error):
    gate = threading.Event()
    sink = FakeSink(queue=20, send_errors=[error], gate=gate)

    with Outlet("fake", sink, first_retry_s=60) as outlet:
        for number in range(10):
            outlet.put(number)
        gate.set()
        wait_until(lambda: outlet.state in ("ended", "failed"))

    assert (outlet.sent, outlet.dropped) == (0, 10)


def test_only_what_a_sink_picks_waits_for_it():
    class Picking(FakeSink):
        def pick(self, item):
            return item["messages"]

    sink = Picking(queue=9)

    with Outlet("fake", sink) as outlet:
        outlet.put({"messages": 1, "picture": 2})
        wait_until(lambda: outlet.state == "open")

    assert sink.sent == [1]


def test_who_can_wait_waits_for_a_sink_that_wants_every_frame():
    gate = threading.Event()
    sink = FakeSink(queue=2, gate=gate)

    with Outlet("fake", sink) as outlet:
        threading.Timer(0.3, gate.set).start()
        for number in range(20):
            assert outlet.wait_for_room(5)
            outlet.put(number)

    assert sink.sent == list(range(20))
    assert outlet.dropped == 0


def test_nobody_waits_longer_than_he_says_nor_for_a_sink_that_is_away_or_wants_the_newest_only():
    gate = threading.Event()
    with Outlet("fake", FakeSink(queue=2, gate=gate)) as outlet:
        outlet.put("in hand")
        wait_until(lambda: outlet.state == "open" and not outlet._waiting)
        outlet.put("waits")
        outlet.put("waits too")
        assert not outlet.wait_for_room(0.05)
        gate.set()

    for sink in (FakeSink(open_errors=[SinkError("nobody there")], queue=2), FakeSink(gate=gate)):
        with Outlet("fake", sink, first_retry_s=60) as outlet:
            wait_until(lambda outlet=outlet: outlet.state in ("failed", "open"))
            for number in range(4):
                outlet.put(number)
            assert outlet.wait_for_room(0)


def test_the_end_does_not_wait_for_a_sink_that_is_waiting_to_be_tried_again():
    sink = FakeSink(open_errors=[SinkError("nobody there")] * 9)

    with Outlet("fake", sink, first_retry_s=60) as outlet:
        wait_until(lambda: outlet.state == "failed")
        started = time.monotonic()

    assert time.monotonic() - started < 5
