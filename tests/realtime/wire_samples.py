"""Small frames whose messages are the golden bytes, and ways to bend a message."""

from pathlib import Path

import msgpack
import numpy as np

from realtime import Box, Crops, Enhanced, Frame, Landmarks

GOLDEN = Path(__file__).parent / "golden"
STREAM = "0123456789abcdef"


def pixels(*shape):
    return np.resize(np.arange(0, 251, dtype=np.uint8), shape)


def enhanced(*, face=True, frames=1, height=2, width=3, scale=2):
    """A frame of 640x480 with windows of 3x2 and a face of 2x2, enhanced x2; or one without a face."""
    frame = Frame(
        seq=41,
        captured_ns=5_000_000_000,
        captured_utc_ns=1_767_225_600_000_000_123,
        ts_source="read",
        image=np.zeros((480, 640, 3), np.uint8),
    )
    points = np.arange(956, dtype=np.float32).reshape(478, 2) / 2
    boxes = (Box(x=100, y=200, width=width, height=height), Box(x=-1, y=199, width=width, height=height))
    return Enhanced(
        crops=Crops(
            frame=frame,
            landmarks=Landmarks(points=points) if face else None,
            boxes=boxes if face else (),
            patches=pixels(2, height, width, 3 * frames) if face else None,
            face_box=Box(x=90, y=150, width=2, height=2) if face else None,
            face=pixels(1, 2, 2, 3 * frames) if face else None,
        ),
        patches=pixels(2, height * scale, width * scale, 3) if face else None,
        face=pixels(1, 2 * scale, 2 * scale, 3) if face else None,
        scale=scale,
        engine="native",
        tier="fidelity",
        model_sha256="ab" * 32,
        stamps_ns={"landmarks": 5_006_000_000, "crops": 5_006_100_000, "engine": 5_015_000_000},
    )


def golden(name):
    return (GOLDEN / f"{name}.bin").read_bytes()


def bent(data, *, pixels=None, **changes):
    """The message with header keys changed (... removes one), or with other bytes behind the header."""
    start = data.index(0) + 6
    end = start + int.from_bytes(data[start - 4 : start], "big")
    header = msgpack.unpackb(data[start:end]) | changes
    packed = msgpack.packb({key: value for key, value in header.items() if value is not ...})
    return framed(data[: start - 5], packed, data[end:] if pixels is None else pixels)


def framed(topic_and_zero, header, pixels=b"", *, version=1):
    """A message around a header's bytes, whatever they are."""
    return topic_and_zero + bytes([version]) + len(header).to_bytes(4, "big") + header + pixels
