"""The native wire, version 1: messages to bytes and back. Pure; WIRE.md specifies it for other languages.

    topic  0x00  version  header length   header        pixels
    text   1 B   1 B      4 B big-endian  msgpack map   patches, then raw, row-major uint8

decode() takes bytes from strangers: every length is checked before it is used, msgpack may build only small values, and
whatever is wrong is a WireError. The header begins with sent_ns and sent_seq at fixed places, so that the publisher
stamps a finished message in place, just before it is sent.
"""

import math
import reprlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray

from realtime.errors import WireError, WireVersionMismatch
from realtime.frames import Box, Enhanced, patch_to_camera
from realtime.message import EYE_POINTS, EyeLandmarks, Message, Status

VERSION: Final = 1
TOPICS: Final = {"eyes": 2, "face": 1, "status": 0}
"""Each topic's name and the patches that its messages carry."""
MAX_MESSAGE_BYTES: Final = 8 << 20
MAX_HEADER_BYTES: Final = 1 << 16

_MAX_INT = 2**63 - 1
_MAX_SIDE = 1 << 14
_MAX_ITEMS = 64  # of an array or map; nested arrays that claim more would make msgpack reserve memory for them
_MAX_DEPTH = 4
_PREFIX = struct.Struct(">BI")  # version, header length
_MAP_HEAD = struct.Struct(">BH")
_STAMPS = struct.Struct(">9sQ10sQ")  # sent_ns and sent_seq: each one's name and the type byte of a uint64, its value
_LANDMARK_SHAPE = (2, len(EYE_POINTS[0]), 2)
_EYE_INDEX = np.array(EYE_POINTS)
_NO_AFFINES = np.empty((0, 2, 3))


def encode(
    enhanced: Enhanced,
    *,
    topic: Literal["eyes", "face"] = "eyes",
    stream: str,
    dropped: int = 0,
    marks: Sequence[str] = (),
) -> bytearray:
    """Write the eyes or the face of one frame as a message, not yet stamped; stamp() does that.

    stream, dropped and marks are as in Message. The raw windows are the newest frame of the crops. Copies the pixels
    once. Raises ValueError for a message above MAX_MESSAGE_BYTES.
    """
    crops, frame = enhanced.crops, enhanced.crops.frame
    if topic == "eyes":
        patches, raw, boxes = enhanced.patches, crops.patches, crops.boxes
    else:
        patches, raw, boxes = enhanced.face, crops.face, () if crops.face_box is None else (crops.face_box,)
    header: dict[str, Any] = {
        "stream": stream,
        "seq": frame.seq,
        "captured_ns": frame.captured_ns,
        "captured_utc_ns": frame.captured_utc_ns,
        "ts_source": frame.ts_source,
        "stamps_ns": enhanced.stamps_ns,
        "dropped": dropped,
        "frame_size": (frame.image.shape[1], frame.image.shape[0]),
        "marks": tuple(marks),
        "engine": enhanced.engine,
        "tier": enhanced.tier,
        "model_sha256": enhanced.model_sha256,
        "scale": enhanced.scale,
        "bypassed": enhanced.engine == "bicubic",
        "dtype": "uint8",
        "channels": "bgr",
    }
    if patches is None or raw is None or crops.landmarks is None:
        return _assemble(topic, header | dict.fromkeys(_FACE_KEYS))
    newest = np.ascontiguousarray(raw[..., :3])
    header |= {
        "shape": patches.shape,
        "raw_shape": newest.shape,
        "boxes": [(box.x, box.y, box.width, box.height) for box in boxes],
        "to_camera": [patch_to_camera(box, enhanced.scale).ravel().tolist() for box in boxes],
        "landmarks": crops.landmarks.points[_EYE_INDEX].astype("<f4").tobytes(),
        "interocular_px": crops.landmarks.interocular_px,
    }
    return _assemble(topic, header, np.ascontiguousarray(patches).data, newest.data)


_FACE_KEYS = ("shape", "raw_shape", "boxes", "to_camera", "landmarks", "interocular_px")


def encode_status(values: Mapping[str, Any], *, stream: str) -> bytearray:
    """Write a status message, not yet stamped.

    values: JSON-like, at most 64 items in each map and list, four levels deep. Raises ValueError for anything else.
    """
    try:
        message = _assemble("status", {"stream": stream, "values": dict(values)})
        decode(message)
    except (TypeError, OverflowError, WireError) as err:
        raise ValueError(f"status: {err}") from err
    return message


def stamp(message: bytearray, *, sent_ns: int, sent_seq: int) -> None:
    """Write the time of sending and the message's number into a message of encode() or encode_status(), in place."""
    at = message.index(0) + 1 + _PREFIX.size + _MAP_HEAD.size
    _STAMPS.pack_into(message, at, b"\xa7sent_ns\xcf", sent_ns, b"\xa8sent_seq\xcf", sent_seq)


def _assemble(topic: str, header: Mapping[str, Any], *planes: memoryview) -> bytearray:
    body = msgpack.packb(header)
    # packb's own map head is one byte up to 15 keys and three beyond; ours is always three, with the stamps' two keys.
    body = body[1 if len(header) < 16 else 3 :]
    header_bytes = _MAP_HEAD.size + _STAMPS.size + len(body)
    prefix = topic.encode() + b"\0" + _PREFIX.pack(VERSION, header_bytes) + _MAP_HEAD.pack(0xDE, len(header) + 2)
    size = len(prefix) + _STAMPS.size + len(body) + sum(plane.nbytes for plane in planes)
    if header_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"{topic}: expected a header of at most {MAX_HEADER_BYTES} bytes, got {header_bytes}")
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f"{topic}: expected at most {MAX_MESSAGE_BYTES} bytes, got {size}; use smaller windows")
    message = bytearray().join((prefix, bytes(_STAMPS.size), body, *planes))
    stamp(message, sent_ns=0, sent_seq=0)
    return message


def decode(data: bytes | bytearray | memoryview) -> Message | Status:
    """Read one message. Its arrays are read-only views on data.

    Raises WireVersionMismatch for another version of the wire and WireError for all else that is not a message.
    """
    view = memoryview(data).cast("B").toreadonly()
    if len(view) > MAX_MESSAGE_BYTES:
        raise WireError(f"message: expected at most {MAX_MESSAGE_BYTES} bytes, got {len(view)}")
    name, zero, _ = bytes(view[:16]).partition(b"\0")
    topic = name.decode("ascii", "replace")
    if not zero or topic not in TOPICS:
        raise WireError(f"topic: expected {', '.join(TOPICS)} and a zero byte, got {_short(name)}")
    start = len(name) + 1
    if len(view) > start and view[start] != VERSION:
        raise WireVersionMismatch(
            f"wire version: expected {VERSION}, got {view[start]}; use the same release at both ends"
        )
    body = start + _PREFIX.size
    if len(view) < body:
        raise WireError(f"message: expected at least {body} bytes, got {len(view)}")
    _, header_bytes = _PREFIX.unpack_from(view, start)
    if header_bytes > min(MAX_HEADER_BYTES, len(view) - body):
        raise WireError(
            f"header: expected at most {min(MAX_HEADER_BYTES, len(view) - body)} bytes, got a length of {header_bytes}"
        )
    header = _Header(_unpack(view[body : body + header_bytes]))
    pixels = view[body + header_bytes :]
    if topic == "status":
        return _status(header, pixels)
    return _message(topic, header, pixels)


def _unpack(data: memoryview) -> dict[str, Any]:
    try:
        header = msgpack.unpackb(data, max_array_len=_MAX_ITEMS, max_map_len=_MAX_ITEMS, max_ext_len=0)
    except ValueError as err:  # msgpack's own errors and UnicodeDecodeError are all ValueErrors
        raise WireError(f"header: expected msgpack within the limits of the wire, got: {str(err)[:200]}") from err
    if not isinstance(header, dict):
        raise WireError(f"header: expected a map, got {_short(header)}")
    return header


def _status(header: "_Header", pixels: memoryview) -> Status:
    if len(pixels):
        raise WireError(f"status: expected nothing after the header, got {len(pixels)} bytes")
    values = header.values.get("values")
    if not isinstance(values, dict):
        raise WireError(f"values: expected a map, got {_short(values)}")
    _check_json(values, _MAX_DEPTH)
    return Status(
        stream=header.text("stream"),
        sent_ns=header.integer("sent_ns"),
        sent_seq=header.integer("sent_seq"),
        values=values,
    )


def _check_json(value: object, depth: int) -> None:
    if depth < 0:
        raise WireError(f"values: expected at most {_MAX_DEPTH} levels, got more")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise WireError(f"values: expected texts as keys, got {_short(list(value))}")
        for item in value.values():
            _check_json(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth - 1)
    elif not (value is None or isinstance(value, bool | int | str) or (type(value) is float and math.isfinite(value))):
        raise WireError(f"values: expected null, bool, finite number, text, list or map, got {_short(value)}")


def _message(topic: str, header: "_Header", pixels: memoryview) -> Message:
    count = TOPICS[topic]
    header.one_of("dtype", "uint8")
    header.one_of("channels", "bgr")
    absent = [key for key in _FACE_KEYS if header.values.get(key) is None]
    if absent and len(absent) != len(_FACE_KEYS):
        raise WireError(f"header: expected all of {', '.join(_FACE_KEYS)} or none, got no {', '.join(absent)}")
    boxes: tuple[Box, ...] = ()
    to_camera, patches, raw, landmarks, interocular_px = _NO_AFFINES, None, None, None, None
    if not absent:
        shape, raw_shape = header.shape("shape", count), header.shape("raw_shape", count)
        size, raw_size = math.prod(shape), math.prod(raw_shape)
        if len(pixels) != size + raw_size:
            raise WireError(f"pixels: expected {size} + {raw_size} bytes after the header, got {len(pixels)}")
        patches = np.frombuffer(pixels[:size], np.uint8).reshape(shape)
        raw = np.frombuffer(pixels[size:], np.uint8).reshape(raw_shape)
        boxes = header.boxes("boxes", count)
        to_camera = header.affines("to_camera", count)
        landmarks = header.landmarks("landmarks")
        interocular_px = header.number("interocular_px")
    elif len(pixels):
        raise WireError(f"pixels: expected none without a face, got {len(pixels)} bytes")
    return Message(
        topic=topic,
        stream=header.text("stream"),
        sent_ns=header.integer("sent_ns"),
        sent_seq=header.integer("sent_seq"),
        seq=header.integer("seq"),
        captured_ns=header.integer("captured_ns"),
        captured_utc_ns=header.integer("captured_utc_ns"),
        ts_source=header.text("ts_source"),
        stamps_ns=header.stamps("stamps_ns"),
        dropped=header.integer("dropped"),
        frame_size=header.size("frame_size"),
        marks=header.texts("marks"),
        engine=header.text("engine"),
        tier=header.text("tier"),
        model_sha256=header.text("model_sha256"),
        scale=header.integer("scale", least=1, most=64),
        bypassed=header.flag("bypassed"),
        boxes=boxes,
        to_camera=to_camera,
        patches=patches,
        raw=raw,
        landmarks=landmarks,
        interocular_px=interocular_px,
    )


class _Header:
    """A header from a stranger; each method reads one key as one type, or raises WireError."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def _wrong(self, key: str, expected: str) -> WireError:
        got = _short(self.values[key]) if key in self.values else "nothing"
        return WireError(f"{key}: expected {expected}, got {got}")

    def integer(self, key: str, *, least: int = 0, most: int = _MAX_INT) -> int:
        value: Any = self.values.get(key)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(key, f"an integer of {least} to {most}")
        return value

    def flag(self, key: str) -> bool:
        value: Any = self.values.get(key)
        if type(value) is not bool:
            raise self._wrong(key, "true or false")
        return value

    def number(self, key: str) -> float:
        value: Any = self.values.get(key)
        if not _is_coordinate(value):
            raise self._wrong(key, "a finite number of pixels")
        return float(value)

    def text(self, key: str) -> str:
        value: Any = self.values.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value: Any = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "an array of texts")
        return tuple(value)

    def one_of(self, key: str, expected: str) -> None:
        if self.values.get(key) != expected:
            raise self._wrong(key, repr(expected))

    def stamps(self, key: str) -> dict[str, int]:
        value: Any = self.values.get(key)
        if not isinstance(value, dict) or not all(
            isinstance(name, str) and type(stamp_ns) is int and 0 <= stamp_ns <= _MAX_INT
            for name, stamp_ns in value.items()
        ):
            raise self._wrong(key, "a map from stages to nanoseconds")
        return value

    def size(self, key: str) -> tuple[int, int]:
        value: Any = self.values.get(key)
        if not _is_integers(value, 2, 1, _MAX_SIDE):
            raise self._wrong(key, f"width and height of 1 to {_MAX_SIDE}")
        return value[0], value[1]

    def shape(self, key: str, count: int) -> tuple[int, int, int, int]:
        value: Any = self.values.get(key)
        if not _is_integers(value, 4, 1, _MAX_SIDE) or value[0] != count or value[3] != 3:
            raise self._wrong(key, f"[{count}, height, width, 3] with sides of 1 to {_MAX_SIDE}")
        return count, value[1], value[2], 3

    def boxes(self, key: str, count: int) -> tuple[Box, ...]:
        value: Any = self.values.get(key)
        if not isinstance(value, list) or len(value) != count:
            raise self._wrong(key, f"an array of {count}")
        for box in value:
            if not _is_integers(box, 4, -_MAX_SIDE, 2 * _MAX_SIDE) or box[2] < 1 or box[3] < 1:
                raise self._wrong(key, "[x, y, width, height] in pixels for each patch")
        return tuple(Box(x=x, y=y, width=width, height=height) for x, y, width, height in value)

    def affines(self, key: str, count: int) -> NDArray[np.float64]:
        value: Any = self.values.get(key)
        if not isinstance(value, list) or len(value) != count:
            raise self._wrong(key, f"an array of {count}")
        for affine in value:
            if not isinstance(affine, list) or len(affine) != 6 or not all(map(_is_coordinate, affine)):
                raise self._wrong(key, "six finite numbers for each patch")
        return np.array(value, dtype=np.float64).reshape(count, 2, 3)

    def landmarks(self, key: str) -> EyeLandmarks:
        value: Any = self.values.get(key)
        size = 4 * math.prod(_LANDMARK_SHAPE)
        if not isinstance(value, bytes) or len(value) != size:
            raise self._wrong(key, f"{size} bytes of float32")
        points = np.frombuffer(value, "<f4").reshape(_LANDMARK_SHAPE)
        if not np.isfinite(points).all():
            raise self._wrong(key, "finite coordinates")
        return EyeLandmarks(points=points)


def _short(value: object) -> str:
    text = reprlib.repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _is_integers(value: object, count: int, least: int, most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(type(item) is int and least <= item <= most for item in value)
    )


def _is_coordinate(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e9  # type: ignore[arg-type]  # false for a NaN too
