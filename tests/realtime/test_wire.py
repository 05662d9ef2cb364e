import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire_samples import STREAM, bent, enhanced, framed, golden

from realtime import Box, Crops, Enhanced, Frame, Landmarks, Status, WireError, WireVersionMismatch, wire
from realtime.config import CropConfig

NAMES = ["eyes", "face", "eyes-absent", "status"]
STAMP_NS = st.integers(0, 2**63 - 1)
unhurried = settings(deadline=None)  # a busy machine is no failure


@st.composite
def enhanced_frames(draw):
    height, width, scale, frames = (draw(st.integers(1, most)) for most in (9, 9, 4, 3))
    boxes = tuple(
        Box(x=draw(st.integers(-99, 9999)), y=draw(st.integers(-99, 9999)), width=width, height=height)
        for _ in range(2)
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    crops = Crops(
        frame=Frame(
            seq=draw(STAMP_NS),
            captured_ns=draw(STAMP_NS),
            captured_utc_ns=draw(STAMP_NS),
            ts_source=draw(st.text(max_size=20)),
            image=np.zeros((draw(st.integers(1, 99)), draw(st.integers(1, 99)), 3), np.uint8),
        ),
        landmarks=Landmarks(points=random.uniform(-1e4, 1e4, (478, 2)).astype(np.float32)),
        boxes=boxes,
        patches=random.integers(0, 256, (2, height, width, 3 * frames), np.uint8),
    )
    return Enhanced(
        crops=crops,
        patches=random.integers(0, 256, (2, height * scale, width * scale, 3), np.uint8),
        face=None,
        scale=scale,
        engine=draw(st.text(max_size=20)),
        tier=draw(st.text(max_size=20)),
        model_sha256="",
        stamps_ns=draw(st.dictionaries(st.text(max_size=9), STAMP_NS, max_size=5)),
    )


@unhurried
@given(enhanced_frames(), st.lists(st.text(max_size=9), max_size=4), STAMP_NS, STAMP_NS)
def test_what_is_written_is_read(sample, marks, sent_ns, sent_seq):
    data = wire.encode(sample, stream=STREAM, dropped=7, marks=marks)
    wire.stamp(data, sent_ns=sent_ns, sent_seq=sent_seq)
    message = wire.decode(data)

    frame = sample.crops.frame
    assert (message.stream, message.dropped, message.marks) == (STREAM, 7, tuple(marks))
    assert (message.sent_ns, message.sent_seq) == (sent_ns, sent_seq)
    assert (message.seq, message.captured_ns) == (frame.seq, frame.captured_ns)
    assert (message.captured_utc_ns, message.ts_source) == (frame.captured_utc_ns, frame.ts_source)
    assert message.frame_size == frame.image.shape[1::-1]
    assert (message.engine, message.tier, message.scale) == (sample.engine, sample.tier, sample.scale)
    assert message.stamps_ns == sample.stamps_ns
    assert message.boxes == sample.crops.boxes
    np.testing.assert_array_equal(message.patches, sample.patches)
    np.testing.assert_array_equal(message.raw, sample.crops.patches[..., :3])
    np.testing.assert_array_equal(message.landmarks.iris_centre, sample.crops.landmarks.points[[468, 473]])
    assert message.interocular_px == sample.crops.landmarks.interocular_px


def test_raw_patches_are_the_newest_frame_of_several():
    sample = enhanced(frames=3)

    message = wire.decode(wire.encode(sample, stream=STREAM))

    np.testing.assert_array_equal(message.raw, sample.crops.patches[..., :3])


def test_interpolated_pixels_say_so():
    sample = enhanced()
    bicubic = Enhanced(
        crops=sample.crops,
        patches=sample.patches,
        face=None,
        scale=2,
        engine="bicubic",
        tier="bicubic",
        model_sha256="",
        stamps_ns={},
    )

    assert wire.decode(wire.encode(bicubic, stream=STREAM)).bypassed
    assert not wire.decode(wire.encode(sample, stream=STREAM)).bypassed


def test_face_is_marked_absent_when_it_was_not_cut():
    sample = enhanced(face=False)

    message = wire.decode(wire.encode(sample, topic="face", stream=STREAM))

    assert message.topic == "face"
    assert not message.face_found


def test_patches_are_read_only_views_of_the_message():
    data = bytearray(golden("eyes"))

    message = wire.decode(data)

    for array in (message.patches, message.raw):
        assert np.shares_memory(array, np.frombuffer(data, np.uint8))
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        message.landmarks.points[0] = 1


def test_unknown_keys_are_ignored():
    assert wire.decode(bent(golden("eyes"), mood="fine", more=[1, {"a": 2}])).seq == 41


@pytest.mark.parametrize("name", NAMES)
def test_another_version_is_refused_by_name(name):
    start = golden(name).index(0) + 1
    data = bytearray(golden(name))
    data[start] = 2

    with pytest.raises(WireVersionMismatch, match="expected 1, got 2; use the same release at both ends"):
        wire.decode(data)
    with pytest.raises(WireVersionMismatch):
        wire.decode(data[: start + 1])


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_refused(name):
    data = golden(name)

    for length in range(len(data)):
        with pytest.raises(WireError, match="expected"):
            wire.decode(data[:length])
    with pytest.raises(WireError, match="expected"):
        wire.decode(data + b"\0")


@pytest.mark.parametrize("value", [0x00, 0x7F, 0x80, 0xC1, 0xCF, 0xDD, 0xDF, 0xFF])
@pytest.mark.parametrize("name", NAMES)
def test_any_byte_may_be_wrong(name, value):
    data = bytearray(golden(name))

    for at, right in enumerate(data):
        data[at] = value
        _decode_or_wire_error(data)
        data[at] = right


@unhurried
@given(st.sampled_from(NAMES), st.data())
def test_messages_cut_up_and_sewn_together_are_read_or_refused(name, choice):
    data = bytearray(golden(name))
    for _ in range(choice.draw(st.integers(1, 4))):
        at = choice.draw(st.integers(0, len(data)))
        end = choice.draw(st.integers(at, min(len(data), at + 40)))
        data[at:end] = choice.draw(st.binary(max_size=40))
    _decode_or_wire_error(data)


@unhurried
@given(st.sampled_from([b"eyes\0", b"face\0", b"status\0", b""]), st.binary(max_size=300))
@example(b"eyes\0", b"")
def test_any_bytes_are_read_or_refused(topic, rest):
    _decode_or_wire_error(topic + rest)
    _decode_or_wire_error(framed(topic, rest))


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=9,
)
KEYS = sorted(
    {"sent_ns", "sent_seq", "stream", "seq", "captured_ns", "captured_utc_ns", "ts_source", "stamps_ns", "dropped"}
    | {"frame_size", "marks", "engine", "tier", "model_sha256", "scale", "bypassed", "dtype", "channels", "shape"}
    | {"raw_shape", "boxes", "to_camera", "landmarks", "interocular_px"}
)


@unhurried
@given(st.sampled_from(KEYS), JSON_LIKE)
def test_any_value_of_any_key_is_read_or_refused(key, value):
    _decode_or_wire_error(bent(golden("eyes"), **{key: value}))


@unhurried
@given(JSON_LIKE)
def test_any_status_is_read_or_refused(value):
    _decode_or_wire_error(bent(golden("status"), values=value))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_needed(key):
    with pytest.raises(WireError, match=key):
        wire.decode(bent(golden("eyes"), **{key: ...}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seq", -1),
        ("seq", True),
        ("seq", 1.0),
        ("seq", 2**63),
        ("stream", 5),
        ("stream", b"bytes"),
        ("bypassed", 1),
        ("scale", 0),
        ("scale", 65),
        ("frame_size", [640]),
        ("frame_size", [640, 0]),
        ("frame_size", [640, 1 << 20]),
        ("marks", "slow"),
        ("marks", [1]),
        ("stamps_ns", {"engine": -1}),
        ("stamps_ns", {"engine": 1.5}),
        ("dtype", "float32"),
        ("channels", "rgb"),
        ("shape", [1, 4, 6, 3]),
        ("shape", [2, 4, 6, 4]),
        ("shape", [2, -4, -6, 3]),
        ("shape", [2, 4, 6]),
        ("shape", [2, 4, 7, 3]),
        ("raw_shape", [2, 1 << 14, 1 << 14, 3]),
        ("boxes", [[0, 0, 3, 2]]),
        ("boxes", [[0, 0, 3, 0]] * 2),
        ("boxes", [[0.5, 0, 3, 2]] * 2),
        ("to_camera", [[1, 0, 0, 0, 1, 0]]),
        ("to_camera", [[1, 0, 0, 0, 1]] * 2),
        ("to_camera", [[float("nan"), 0, 0, 0, 1, 0]] * 2),
        ("to_camera", [[float("inf"), 0, 0, 0, 1, 0]] * 2),
        ("landmarks", bytes(332)),
        ("landmarks", np.full(84, np.nan, "<f4").tobytes()),
        ("interocular_px", float("nan")),
        ("interocular_px", "60"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(key, value):
    with pytest.raises(WireError, match=f"{key}|pixels"):
        wire.decode(bent(golden("eyes"), **{key: value}))


def test_integers_pass_for_numbers():
    affine = [[1, 0, 5, 0, 1, 6]] * 2

    message = wire.decode(bent(golden("eyes"), to_camera=affine, interocular_px=60))

    assert message.to_camera.tolist() == [[[1, 0, 5], [0, 1, 6]]] * 2
    assert message.interocular_px == 60.0


def test_pixels_without_a_face_are_refused():
    with pytest.raises(WireError, match="none without a face"):
        wire.decode(bent(golden("eyes-absent"), pixels=b"x"))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"\xc0", "expected a map"),
        (b"\xc1", "msgpack"),
        (msgpack.packb({1: 2}), "msgpack"),
        (msgpack.packb(msgpack.ExtType(5, b"abcd")), "msgpack"),
        (msgpack.packb({"a": msgpack.Timestamp(5)}), "msgpack"),
        (msgpack.packb({"a": list(range(65))}), "msgpack"),
        (b"\x81\xa1\xff\xc0", "msgpack"),
        (b"\x91" * 5000, "msgpack"),
    ],
)
def test_strange_headers_are_refused(header, said):
    with pytest.raises(WireError, match=said):
        wire.decode(framed(b"eyes\0", header))


@pytest.mark.parametrize(
    "data",
    [
        framed(b"eyes\0", b"\xdc\xff\xff" * 1000),
        framed(b"eyes\0", b"\xdd\xff\xff\xff\xff" * 1000),
        framed(b"eyes\0", b"\xdf\xff\xff\xff\xff" * 1000),
        framed(b"status\0", b"\xdc\x00\x40" * 20000),
        framed(b"eyes\0", b"\x81\xa1a\xc6\xff\xff\xff\xff"),
        b"eyes\0\1\xff\xff\xff\xff",
        bent(golden("eyes"), shape=[2, 1 << 14, 1 << 14, 3]),
        bent(golden("status"), values={"a": [[[[["deep"]]]]]}),
    ],
    ids=["array16", "array32", "map32", "nested", "bin32", "header", "shape", "depth"],
)
def test_claims_of_size_reserve_no_memory(data):
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            wire.decode(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2**20


def test_a_message_beyond_the_limit_is_neither_written_nor_read():
    with pytest.raises(ValueError, match="use smaller windows"):
        wire.encode(enhanced(height=544, width=544, scale=2), stream=STREAM)
    with pytest.raises(WireError, match="at most 8388608 bytes"):
        wire.decode(bytes(wire.MAX_MESSAGE_BYTES + 1))


def test_the_largest_windows_fit_at_eight_times():
    message = wire.decode(wire.encode(enhanced(height=96, width=128, scale=8), stream=STREAM))

    assert message.patches.shape == (2, 768, 1024, 3)


@unhurried
@given(
    st.dictionaries(
        st.text(max_size=9),
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20) | st.lists(st.text()),
        max_size=20,
    )
)
def test_status_survives_the_wire(values):
    status = wire.decode(wire.encode_status(values, stream=STREAM))

    assert isinstance(status, Status)
    assert status.values == values


@pytest.mark.parametrize(
    "values",
    [{"fps": float("nan")}, {"a": b"x"}, {"a": object()}, {"a": 2**70}, {"a": ["x"] * 65}, {"a": "x" * 70_000}],
)
def test_a_status_that_no_reader_would_take_is_not_written(values):
    with pytest.raises(ValueError, match="status"):
        wire.encode_status(values, stream=STREAM)


def _decode_or_wire_error(data):
    try:
        wire.decode(bytes(data))
    except WireError as err:
        refusal = str(err)
    else:
        return
    assert "expected" in refusal
    assert len(refusal) < 400


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_windows_are_those_that_a_message_can_hold(scale):
    config = CropConfig(face=True)

    fitting = wire.fitting(config, scale)

    for width, height in config.ladder:
        sample = enhanced(width=width, height=height, scale=scale)
        if (width, height) in fitting.ladder:
            assert len(wire.encode(sample, stream=STREAM)) <= wire.MAX_MESSAGE_BYTES
        else:
            with pytest.raises(ValueError, match="use smaller windows"):
                wire.encode(sample, stream=STREAM)
    assert fitting.face_ladder == config.face_ladder[: {2: 5, 4: 4, 8: 2}[scale]]


def test_face_windows_that_nobody_asked_for_do_not_matter():
    config = CropConfig(face_ladder=((512, 512),))

    assert wire.fitting(config, 4) == config


def test_windows_of_which_no_message_can_hold_any_are_refused():
    with pytest.raises(ValueError, match=r"face: expected a window of at most \d+ pixels, .* scale 4, got .*512"):
        wire.fitting(CropConfig(face=True, face_ladder=((512, 512),)), 4)
