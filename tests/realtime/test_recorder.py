import collections
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from wire_samples import enhanced, golden

from realtime.errors import RecordingError
from realtime.recorder import Recorder
from realtime.recording import Recording, row
from realtime.wire import decode, encode, stamp

# Records 64x48 eyes as fast as it can, and says how many after each.
ENDLESS = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_recorder import a_message
from realtime.recorder import Recorder
with Recorder(Path({folder!r})) as recorder:
    for seq in range(10**6):
        recorder.write(a_message(seq, height=48, width=64))
        print(seq + 1, flush=True)
"""


def a_message(seq, *, topic="eyes", **kwargs):
    message = encode(enhanced(**kwargs), topic=topic, stream="test")
    stamp(message, sent_ns=6_000_000_000 + seq, sent_seq=seq)
    return bytes(message)


def test_a_recording_holds_the_same_bytes_in_the_same_order(tmp_path):
    sent = [golden("eyes"), golden("face"), golden("eyes-absent")]

    with Recorder(tmp_path / "new" / "folder") as recorder:
        for message in sent:
            recorder.write(bytearray(message))

    assert list(Recording(tmp_path / "new" / "folder")) == sent
    assert recorder.messages == 3


@pytest.mark.skipif(os.name != "posix", reason="file modes are for POSIX")
def test_a_new_folder_is_for_its_owner_alone_and_one_that_was_there_stays_as_it_was(tmp_path):
    (tmp_path / "shared").mkdir(mode=0o755)

    for folder, mode in ((tmp_path / "shared", 0o755), (tmp_path / "new", 0o700)):
        with Recorder(folder):
            assert folder.stat().st_mode & 0o777 == mode


def test_a_table_of_rows_holds_the_header_and_leads_to_the_pixels(tmp_path):
    with Recorder(tmp_path) as recorder:
        for seq in range(5):
            recorder.write(a_message(seq))

    frames = pd.DataFrame(Recording(tmp_path).rows())

    assert frames.captured_utc_ns.dtype == np.int64
    assert frames.captured_utc_ns[0] == 1_767_225_600_000_000_123
    assert list(frames.sent_seq) == [0, 1, 2, 3, 4]
    assert list(frames.engine_ns - frames.crops_ns) == [8_900_000] * 5
    message = Recording(tmp_path).message(frames.iloc[3])
    assert message.sent_seq == 3
    expected = decode(a_message(3))
    np.testing.assert_array_equal(message.patches, expected.patches)
    np.testing.assert_array_equal(message.raw, expected.raw)
    iris = expected.landmarks.iris_centre
    np.testing.assert_allclose(frames.loc[3, ["left_iris_x", "left_iris_y"]].astype(float), iris[0], atol=5e-4)
    np.testing.assert_allclose(frames.loc[3, ["right_iris_x", "right_iris_y"]].astype(float), iris[1], atol=5e-4)
    affine = frames.loc[3, [f"right_to_camera_{key}" for key in "abcdef"]].astype(float)
    np.testing.assert_array_equal(affine, expected.to_camera[1].ravel())
    assert frames.loc[3, ["right_x", "right_y", "right_width", "right_height"]].tolist() == [-1, 199, 3, 2]


def test_pandas_reads_the_lines_without_any_code_of_ours(tmp_path):
    with Recorder(tmp_path) as recorder:
        for seq in range(3):
            recorder.write(a_message(seq, face=seq != 1))

    frames = pd.read_json(tmp_path / "00000.jsonl", lines=True)

    assert frames.captured_utc_ns[2] == 1_767_225_600_000_000_123
    assert list(frames.face_found) == [True, False, True]
    assert np.isnan(frames.left_iris_x[1])


def test_a_recording_that_is_taken_up_again_goes_on_after_what_is_there(tmp_path):
    for seq in range(3):
        with Recorder(tmp_path) as recorder:
            recorder.write(a_message(seq))

    recording = Recording(tmp_path)

    assert recording.parts == [0, 1, 2]
    assert [message.sent_seq for message in recording.messages()] == [0, 1, 2]
    assert [recording.message(row).sent_seq for row in recording.rows()] == [0, 1, 2]


def test_a_part_that_is_full_is_followed_by_another(tmp_path):
    with Recorder(tmp_path, part_bytes=2 * len(a_message(0))) as recorder:
        for seq in range(5):
            recorder.write(a_message(seq))

    assert Recording(tmp_path).parts == [0, 1, 2]
    assert list(Recording(tmp_path)) == [a_message(seq) for seq in range(5)]


def test_a_recorder_that_is_killed_loses_nothing_that_it_had_written(tmp_path):
    code = ENDLESS.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        written = [int(process.stdout.readline()) for _ in range(60)][-1]
        process.send_signal(signal.SIGKILL)
        written += sum(1 for _ in process.stdout)

    whole = list(Recording(tmp_path))

    assert written <= len(whole) <= written + 1
    assert whole == [a_message(seq, height=48, width=64) for seq in range(len(whole))]
    assert written <= len(list(Recording(tmp_path).rows())) <= written + 1


@pytest.mark.parametrize("name", ["00000.messages", "00000.jsonl"])
def test_a_file_cut_off_at_any_byte_reads_up_to_the_cut(tmp_path, name):
    with Recorder(tmp_path) as recorder:
        recorder.write(a_message(0))
        recorder.write(a_message(1))
    path = tmp_path / name
    whole = path.stat().st_size
    first = 4 + len(a_message(0)) if name.endswith("messages") else len(path.read_bytes().splitlines(True)[0])

    for size in (whole - 1, first + 3, first + 1, first, first - 1, 0):
        os.truncate(path, size)
        recording = Recording(tmp_path)
        count = len(list(recording)) if name.endswith("messages") else len(list(recording.rows()))

        assert count == (1 if size >= first else 0)


def test_a_full_disk_ends_the_recording_with_a_reason_and_leaves_it_readable(tmp_path, disk_of):
    with (
        disk_of(10_000),
        Recorder(tmp_path) as recorder,
        pytest.raises(RecordingError, match="readable; free space or choose"),
    ):
        collections.deque(map(recorder.write, map(a_message, itertools.count())))

    recording = Recording(tmp_path)
    rows = list(recording.rows())
    assert len(rows) == recorder.messages >= 3
    assert list(recording)[: len(rows)] == [a_message(seq) for seq in range(len(rows))]
    assert [recording.message(row).sent_seq for row in rows] == list(range(len(rows)))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(RecordingError, match="choose another folder"), Recorder(tmp_path / "file"):
        pass


def test_a_folder_without_a_recording_says_so(tmp_path):
    with pytest.raises(RecordingError, match="expected a folder with a recording"):
        Recording(tmp_path)


def test_a_file_of_something_else_is_not_read_into_memory(tmp_path):
    (tmp_path / "00000.messages").write_bytes(b"\xff" * 100)

    with pytest.raises(RecordingError, match="length of 4294967295; the file is damaged"):
        list(Recording(tmp_path))


def test_rows_are_plain_json_without_nested_values():
    fields = row(decode(golden("eyes")))

    assert all(value is None or isinstance(value, str | int | float | bool) for value in fields.values())
    assert json.loads(json.dumps(fields)) == fields
