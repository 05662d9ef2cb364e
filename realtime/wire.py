"""The native wire, version 1: messages to bytes and back. Pure; WIRE.md specifies it for other languages.

    topic  0x00  version  header length   header        pixels
    text   1 B   1 B      4 B big-endian  msgpack map   patches, then raw, row-major uint8

decode() takes bytes from strangers: every length is checked before it is used, msgpack may build only small values, and
whatever is wrong is a WireError. The header begins with sent_ns and sent_seq at fixed places, so that the publisher
stamps a finished message in place, just before it is sent.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray

from realtime.config import CropConfig
from realtime.errors import WireError, WireVersionMismatch
from realtime.frames import Box, Enhanced, patch_to_camera
from realtime.header import Header, shorten
from realtime.message import EYE_POINTS, Message, Status

VERSION: Final = 1
TOPICS: Final = {"eyes": 2, "face": 1, "status": 0}
"""Each topic's name and the patches that its messages carry."""
MAX_MESSAGE_BYTES: Final = 8 << 20
MAX_HEADER_BYTES: Final = 1 << 16

_PREFIX = struct.Struct(">BI")  # version, header length
_MAP_HEAD = struct.Struct(">BH")
_STAMPS = struct.Struct(">9sQ10sQ")  # sent_ns and sent_seq: each one's name and the type byte of a uint64, its value
_FACE_KEYS = ("shape", "raw_shape", "boxes", "to_camera", "landmarks", "interocular_px")
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
    newest = _newest(raw)
    header |= {
        "shape": patches.shape,
        "raw_shape": newest.shape,
        "boxes": [(box.x, box.y, box.width, box.height) for box in boxes],
        "to_camera": [patch_to_camera(box, enhanced.scale).ravel().tolist() for box in boxes],
        "landmarks": crops.landmarks.points[_EYE_INDEX].astype("<f4").tobytes(),
        "interocular_px": crops.landmarks.interocular_px,
    }
    return _assemble(topic, header, np.ascontiguousarray(patches).data, newest.data)


def fitting(crops: CropConfig, scale: int) -> CropConfig:
    """The crops without those windows that no message can hold once they are enhanced by scale.

    Raises ValueError when none is left.
    """
    face_ladder = _fitting("face", crops.face_ladder, scale) if crops.face else crops.face_ladder
    return replace(crops, ladder=_fitting("eyes", crops.ladder, scale), face_ladder=face_ladder)


def _fitting(topic: str, ladder: tuple[tuple[int, int], ...], scale: int) -> tuple[tuple[int, int], ...]:
    room = MAX_MESSAGE_BYTES - MAX_HEADER_BYTES - _PREFIX.size - len(topic) - 1
    most = room // (3 * TOPICS[topic] * (scale**2 + 1))
    fits = tuple(size for size in ladder if math.prod(size) <= most)
    if not fits:
        raise ValueError(
            f"{topic}: expected a window of at most {most} pixels, which a message holds at scale {scale}, got "
            f"{ladder}; use smaller windows or a tier of a smaller scale"
        )
    return fits


def _newest(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The first frame of (N, h, w, 3T), contiguous. Pixels are copied as wholes: several times as fast as by bytes."""
    first = np.ascontiguousarray(raw).view("V3")[..., 0]
    return np.ascontiguousarray(first).view(np.uint8).reshape(*raw.shape[:3], 3)


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
        raise WireError(f"topic: expected {', '.join(TOPICS)} and a zero byte, got {shorten(name)}")
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
    header = Header(view[body : body + header_bytes])
    pixels = view[body + header_bytes :]
    if topic == "status":
        return _status(header, pixels)
    return _message(topic, header, pixels)


def _status(header: Header, pixels: memoryview) -> Status:
    if len(pixels):
        raise WireError(f"status: expected nothing after the header, got {len(pixels)} bytes")
    return Status(
        stream=header.text("stream"),
        sent_ns=header.integer("sent_ns"),
        sent_seq=header.integer("sent_seq"),
        values=header.status("values"),
    )


def _message(topic: str, header: Header, pixels: memoryview) -> Message:
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
