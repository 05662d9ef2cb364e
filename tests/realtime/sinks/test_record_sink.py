import time

import pytest

from realtime.errors import SinkEnded
from realtime.recording import Recording
from realtime.sinks import build_outlets
from realtime.sinks.record import RecordOptions, RecordSink


def test_everything_that_was_sent_is_in_the_recording(tmp_path, sent):
    frames = [sent(seq) for seq in range(20)]

    (outlet,) = build_outlets([f"record={tmp_path}"], consent=False)
    with outlet:
        for frame in frames:
            outlet.put(frame)
        while outlet.state == "opening":
            time.sleep(0.005)

    assert list(Recording(tmp_path)) == [bytes(message) for frame in frames for message in frame.messages]


def test_a_folder_that_cannot_be_written_ends_the_recording(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(SinkEnded, match="choose another folder"):
        RecordSink(RecordOptions(tmp_path / "file"), consent=False).__enter__()
