"""The bytes of version 1 never change, and the page WIRE.md is enough to read them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from wire_samples import STREAM, enhanced, golden

import realtime
from realtime import wire

MARKS = ("camera_slow",)


def _written(name):
    if name == "status":
        message = wire.encode_status({"fps": 29.5, "engine": "native", "bypass": None, "hints": ["a"]}, stream=STREAM)
    else:
        topic, _, absent = name.partition("-")
        sample = enhanced(face=not absent)
        message = wire.encode(sample, topic=topic, stream=STREAM, dropped=3, marks=MARKS)
    wire.stamp(message, sent_ns=5_016_000_000, sent_seq=38)
    return message


@pytest.mark.parametrize("name", ["eyes", "face", "eyes-absent", "status"])
def test_writer_still_writes_the_golden_bytes(name):
    assert bytes(_written(name)) == golden(name)


def test_golden_eyes_read_as_they_were_written():
    sample = enhanced()

    message = wire.decode(golden("eyes"))

    assert (message.topic, message.stream, message.sent_ns, message.sent_seq) == ("eyes", STREAM, 5_016_000_000, 38)
    assert (message.seq, message.captured_ns, message.captured_utc_ns) == (41, 5 * 10**9, 1_767_225_600_000_000_123)
    assert (message.ts_source, message.dropped, message.frame_size) == ("read", 3, (640, 480))
    assert (message.engine, message.tier, message.model_sha256) == ("native", "fidelity", "ab" * 32)
    assert (message.scale, message.bypassed, message.marks) == (2, False, MARKS)
    assert message.stamps_ns == sample.stamps_ns
    assert message.boxes == sample.crops.boxes
    assert message.to_camera.tolist() == [[[0.5, 0, 99.75], [0, 0.5, 199.75]], [[0.5, 0, -1.25], [0, 0.5, 198.75]]]
    np.testing.assert_array_equal(message.patches, sample.patches)
    np.testing.assert_array_equal(message.raw, sample.crops.patches)
    assert message.landmarks.corners.tolist() == [[[33, 33.5], [133, 133.5]], [[263, 263.5], [362, 362.5]]]
    assert message.landmarks.iris_centre.tolist() == [[468, 468.5], [473, 473.5]]
    assert message.landmarks.iris_rim[1, :, 0].tolist() == [474, 475, 476, 477]
    assert message.landmarks.upper_lid[0, :, 0].tolist() == [246, 161, 160, 159, 158, 157, 173]
    assert message.landmarks.lower_lid[0, :, 0].tolist() == [7, 163, 144, 145, 153, 154, 155]
    assert message.interocular_px == pytest.approx(5 * 2**0.5)
    assert message.latency_ms == 16


def test_golden_message_without_a_face_has_no_pixels():
    message = wire.decode(golden("eyes-absent"))

    assert not message.face_found
    assert message.patches is message.raw is message.landmarks is message.interocular_px is None
    assert message.boxes == ()
    assert message.to_camera.shape == (0, 2, 3)
    assert message.seq == 41


def test_golden_face_has_one_patch():
    message = wire.decode(golden("face"))

    assert message.topic == "face"
    np.testing.assert_array_equal(message.patches, enhanced().face)
    np.testing.assert_array_equal(message.raw, enhanced().crops.face)
    assert message.to_camera.tolist() == [[[0.5, 0, 89.75], [0, 0.5, 149.75]]]


def test_golden_status_reads_as_it_was_written():
    status = wire.decode(golden("status"))

    assert status == realtime.Status(
        stream=STREAM,
        sent_ns=5_016_000_000,
        sent_seq=38,
        values={"fps": 29.5, "engine": "native", "bypass": None, "hints": ["a"]},
    )


@pytest.fixture(scope="module")
def page_reader():
    """What the Python code on the wire page defines."""
    names = {}
    exec(_page_code("python"), names)
    return names


def _page_code(language):
    page = (Path(realtime.__file__).parent / "WIRE.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return code


@pytest.mark.parametrize("name", ["eyes", "face"])
def test_page_reader_finds_the_same_as_ours(page_reader, name):
    ours = wire.decode(golden(name))

    topic, header, patches, raw, points = page_reader["read"](golden(name))

    assert topic == name
    assert patches == ours.patches.tobytes()
    assert raw == ours.raw.tobytes()
    assert header["captured_utc_ns"] == ours.captured_utc_ns
    assert points == [tuple(xy) for xy in ours.landmarks.points.reshape(-1, 2).tolist()]


def test_page_reader_places_a_pixel_where_ours_does(page_reader):
    ours = wire.decode(golden("eyes"))
    _, header, patches, _, _ = page_reader["read"](golden("eyes"))

    colour, place = page_reader["sample"](header, patches, 1, 3, 5)

    assert colour == tuple(ours.patches[1, 3, 5])
    assert place == tuple(ours.to_camera[1] @ (5, 3, 1))


def test_page_reader_reads_no_face_and_status(page_reader):
    assert page_reader["read"](golden("eyes-absent"))[2:] == (b"", b"", ())
    assert page_reader["read"](golden("status"))[1]["values"]["fps"] == 29.5


@pytest.mark.parametrize("data", [b"", b"eyes", b"eyes\0\2\0\0\0\0", b"eyes\0\1\0\0\0\xff"])
def test_page_reader_refuses_what_is_no_message(page_reader, data):
    with pytest.raises(ValueError, match="message"):
        page_reader["read"](data)
    with pytest.raises(ValueError, match="pixels"):
        page_reader["read"](golden("eyes")[:-1])


@pytest.fixture(scope="module")
def javascript_reader(tmp_path_factory):
    """Runs the wire page's JavaScript on a message; gives what it read, or the error that it threw."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js")
    script = tmp_path_factory.mktemp("page") / "reader.js"
    script.write_text(_page_code("javascript") + SHOW, encoding="utf-8")

    def read(data):
        shown = subprocess.run([node, script], input=data, check=True, capture_output=True).stdout
        return json.loads(shown)

    return read


SHOW = """
const data = require("fs").readFileSync(0)
let shown
try {
  shown = read(data.buffer.slice(data.byteOffset, data.byteOffset + data.length))
} catch (error) {
  shown = { error: error.message }
}
const plain = (_, value) =>
  typeof value === "bigint" ? value.toString() : value instanceof Uint8Array ? Array.from(value) : value
console.log(JSON.stringify(shown, plain))
"""


@pytest.mark.parametrize("name", ["eyes", "face"])
def test_javascript_reader_finds_the_same_as_ours(javascript_reader, name):
    ours = wire.decode(golden(name))

    theirs = javascript_reader(golden(name))

    header = theirs["header"]
    assert theirs["topic"] == name
    assert bytes(theirs["patches"]) == ours.patches.tobytes()
    assert bytes(theirs["raw"]) == ours.raw.tobytes()
    assert theirs["landmarks"] == ours.landmarks.points.ravel().tolist()
    assert header["captured_utc_ns"] == str(ours.captured_utc_ns)
    assert (header["seq"], header["scale"], header["bypassed"]) == (ours.seq, ours.scale, False)
    assert header["to_camera"] == ours.to_camera.reshape(-1, 6).tolist()
    assert [header["boxes"][0][0], header["boxes"][-1][0]] == [ours.boxes[0].x, ours.boxes[-1].x]
    assert header["interocular_px"] == ours.interocular_px


def test_javascript_reader_reads_no_face_and_status(javascript_reader):
    assert "patches" not in javascript_reader(golden("eyes-absent"))
    assert javascript_reader(golden("status"))["header"]["values"]["fps"] == 29.5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"eyes",
        b"eyes\0\2\0\0\0\0",
        b"eyes\0\1\0\0\0\xff",
        b"eyes\0\1\0\0\0\5\xdd\xff\xff\xff\xff",
        golden("eyes")[:-1],
    ],
    ids=["empty", "topic", "version", "length", "array", "pixels"],
)
def test_javascript_reader_refuses_what_is_no_message(javascript_reader, data):
    assert "error" in javascript_reader(data)
