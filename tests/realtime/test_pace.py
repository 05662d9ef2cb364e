import threading
from time import monotonic

import pytest
from fakes import FakeClock

from realtime.pace import Pace


def test_first_frame_is_due_at_once():
    pace = Pace(30, FakeClock())

    start = monotonic()
    assert pace.wait(0)

    assert monotonic() - start < 1


def test_frames_come_by_an_absolute_schedule():
    pace = Pace(50)
    pace.wait(0)

    start = monotonic()
    for frame in range(1, 6):
        pace.wait(frame)

    assert 0.09 < monotonic() - start < 0.5


def test_a_frame_is_made_shortly_before_it_is_due():
    pace = Pace(50)
    ahead_s = []
    for frame in range(40):
        began = pace.make(frame, monotonic)
        pace.wait(frame)
        ahead_s.append(monotonic() - began)

    assert min(ahead_s[-10:]) < 0.01  # of a period of 0.02


def test_a_frame_that_takes_long_to_make_is_begun_earlier():
    clock = FakeClock()
    pace = Pace(10, clock)
    pace.make(0, lambda: clock.sleep(0.2))
    pace.wait(0)

    start = monotonic()
    pace.make(1, lambda: None)

    assert monotonic() - start < 0.09


@pytest.mark.parametrize(("delay_s", "late"), [(0.05, 0), (0.15, 1), (0.55, 5)])
def test_lateness_counts_whole_periods(delay_s, late):
    clock = FakeClock()
    pace = Pace(10, clock)
    pace.wait(0)

    clock.sleep(0.1 + delay_s)

    assert pace.late(1) == late


def test_stop_ends_a_wait():
    pace = Pace(0.01)
    pace.wait(0)
    stopper = threading.Timer(0.05, pace.stop)
    stopper.start()

    start = monotonic()
    came = pace.wait(1)

    stopper.join()
    assert not came
    assert monotonic() - start < 10
