import os
import signal

import pytest

from train.interrupt import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_asks_and_the_old_handlers_are_back_for_the_second(number):
    before = signal.getsignal(number)

    with Interrupt() as interrupt:
        asked_before = bool(interrupt)
        os.kill(os.getpid(), number)
        asked = bool(interrupt)
        during = signal.getsignal(number)

    assert (asked_before, asked) == (False, True)
    assert during == before
    assert signal.getsignal(number) == before


def test_second_ctrl_c_ends_at_once():
    def press_twice():
        with Interrupt():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        press_twice()
