import os
import signal
import subprocess
import sys

import pytest

from realtime.signals import ENDING, stopping

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_a_signal_asks_to_stop_and_names_the_exit_code(number):
    with stopping() as stop:
        assert not stop

        os.kill(os.getpid(), number)

        assert stop
        assert stop.exit_code == 128 + number


def test_the_old_handlers_come_back():
    before = [signal.getsignal(n) for n in ENDING]

    with stopping():
        os.kill(os.getpid(), signal.SIGTERM)

    assert [signal.getsignal(n) for n in ENDING] == before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping() as stop:
            os.kill(os.getpid(), signal.SIGHUP)

            assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_one_ends_the_process_even_while_it_does_not_look():
    script = (
        "import os, signal, time; from realtime.signals import stopping\n"
        "with stopping():\n"
        "    os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"
    )

    done = subprocess.run([sys.executable, "-c", script], timeout=20, check=False)

    assert done.returncode == -signal.SIGINT
