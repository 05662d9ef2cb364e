import subprocess
import sys
import time

import numpy as np
import pytest

from realtime.sinks.netgear import NetGearOptions, NetGearSink

pytest.importorskip("vidgear", reason="needs vidgear, of the extra `test`")

# An unmodified receiver, in a process of its own: its close() can end the process with an assertion of libzmq.
RECEIVER = """
import os, sys
import numpy
from vidgear.gears import NetGear
receiver = NetGear(address="127.0.0.1", port={port!r}, protocol="tcp", pattern=2, receive_mode=True)
numpy.save({file!r}, receiver.recv())
os._exit(0)
"""


def test_netgear_receives_both_enhanced_eyes(free_port, tmp_path, sent, feeding):
    frame, file = sent(), tmp_path / "image.npy"
    code = RECEIVER.format(port=str(free_port), file=str(file))

    with feeding(NetGearSink(NetGearOptions(f"tcp://127.0.0.1:{free_port}"), consent=False), frame):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)

    np.testing.assert_array_equal(np.load(file), np.hstack(frame.enhanced.patches))


def test_a_receiver_that_is_not_there_is_no_failure(free_port, sent, feeding):
    with feeding(NetGearSink(NetGearOptions(f"tcp://127.0.0.1:{free_port}"), consent=False), sent()) as outlet:
        while outlet.sent < 3:
            time.sleep(0.005)

    assert outlet.failures == 0
