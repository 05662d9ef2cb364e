"""A stream on disk: the messages as they were sent, and a line of JSON about each.

    00000.messages    for each message its length, 4 bytes big-endian, then its bytes, as WIRE.md describes them
    00000.jsonl       for each message one line: every field of its header under a flat name, and where it lies
    00001.messages    the next part: a recording that was taken up again, or that outgrew one file

Decided 2026-11 against FFV1 and PNG. Messages that are kept whole replay byte for byte and cost the recorder nothing
but a write, where PNG takes tens of milliseconds of a core for every frame and FFV1 needs one size for a whole film,
which the windows do not have. Camera noise hardly compresses: the price is size, about 3 MB/s for two 64x48 eyes at
x2 and 30 frames a second. Nothing is ever rewritten, and every message and line goes to the system in one write: a
recorder that is killed leaves at most its last message torn, which readers pass over. With pandas:

    frames = pandas.DataFrame(Recording(folder).rows())
    message = Recording(folder).message(frames.iloc[100])
"""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from realtime import wire
from realtime.errors import RecordingError
from realtime.message import Message, Status

LENGTH: Final = struct.Struct(">I")
"""Stands before each message."""

_WINDOWS: Final = {"eyes": ("left", "right"), "face": ("face",)}
_POINTS: Final = (
    "corner_outer",
    "corner_inner",
    *(f"upper_lid_{number}" for number in range(7)),
    *(f"lower_lid_{number}" for number in range(7)),
    "iris",
    *(f"rim_{number}" for number in range(4)),
)


class Recording:
    """Reads a folder that a recorder, or `catchlight enhance`, wrote or is still writing."""

    def __init__(self, folder: Path | str) -> None:
        """Raises RecordingError when the folder holds no recording."""
        self.folder = Path(folder)
        self.parts = part_numbers(self.folder)
        """The numbers of its parts, ascending."""
        if not self.parts:
            raise RecordingError(f"{folder}: expected a folder with a recording, got none; was it recorded elsewhere?")

    def __iter__(self) -> Iterator[bytes]:
        """Every whole message, as it was sent, in order. Raises RecordingError for a file that is no recording."""
        for part in self.parts:
            with self._open(part) as file:
                while (message := _read(file)) is not None:
                    yield message

    def messages(self) -> Iterator[Message]:
        """Every message, decoded. Raises WireError for bytes that are none."""
        for data in self:
            yield _decode(data)

    def rows(self) -> Iterator[dict[str, Any]]:
        """What is known of every message but its pixels, as row() makes it, with its part and its offset there."""
        for part in self.parts:
            with jsonl_path(self.folder, part).open(encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n"):
                        yield json.loads(line)

    def message(self, row: Mapping[str, Any]) -> Message:
        """The message that a row tells of."""
        with self._open(int(row["part"])) as file:
            file.seek(int(row["offset"]))
            data = _read(file)
        if data is None:
            raise RecordingError(f"{file.name}: expected a message at {row['offset']}, got the file's end")
        return _decode(data)

    def _open(self, part: int) -> BinaryIO:
        return messages_path(self.folder, part).open("rb")


def messages_path(folder: Path, part: int) -> Path:
    """Where a part's messages are."""
    return folder / f"{part:05}.messages"


def jsonl_path(folder: Path, part: int) -> Path:
    """Where a part's lines are."""
    return folder / f"{part:05}.jsonl"


def part_numbers(folder: Path) -> list[int]:
    """The numbers of the parts in a folder, ascending; none when there is no such folder."""
    return sorted(int(path.stem) for path in folder.glob("*.messages") if path.stem.isdecimal())


def row(message: Message) -> dict[str, Any]:
    """A message's header under flat names: numbers, texts and null, so that a table of rows needs no unpacking.

    Coordinates are camera pixels, to a thousandth; "left" is the image-left eye; to_camera_a to _f as in WIRE.md.
    """
    fields: dict[str, Any] = {
        "topic": message.topic,
        "stream": message.stream,
        "sent_seq": message.sent_seq,
        "seq": message.seq,
        "captured_ns": message.captured_ns,
        "captured_utc_ns": message.captured_utc_ns,
        "sent_ns": message.sent_ns,
        "ts_source": message.ts_source,
        "dropped": message.dropped,
        "frame_width": message.frame_size[0],
        "frame_height": message.frame_size[1],
        "marks": " ".join(message.marks),
        "engine": message.engine,
        "tier": message.tier,
        "model_sha256": message.model_sha256,
        "scale": message.scale,
        "bypassed": message.bypassed,
        "face_found": message.face_found,
        "interocular_px": message.interocular_px,
    }
    fields |= {f"{stage}_ns": stamp_ns for stage, stamp_ns in message.stamps_ns.items()}
    for name, box, affine in zip(_WINDOWS[message.topic], message.boxes, message.to_camera, strict=False):
        fields |= {f"{name}_x": box.x, f"{name}_y": box.y, f"{name}_width": box.width, f"{name}_height": box.height}
        fields |= {
            f"{name}_to_camera_{key}": value for key, value in zip("abcdef", affine.ravel().tolist(), strict=True)
        }
    if message.landmarks is not None:
        for eye, points in zip(_WINDOWS["eyes"], message.landmarks.points.tolist(), strict=True):
            for name, (x, y) in zip(_POINTS, points, strict=True):
                fields |= {f"{eye}_{name}_x": round(x, 3), f"{eye}_{name}_y": round(y, 3)}
    return fields


def _read(file: BinaryIO) -> bytes | None:
    """The next message; None at the end, also of a part that was cut off in the middle of one."""
    head = file.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if length > wire.MAX_MESSAGE_BYTES:
        raise RecordingError(
            f"{file.name}: expected a message of at most {wire.MAX_MESSAGE_BYTES} bytes, got a length of {length}; "
            "the file is damaged"
        )
    data = file.read(length)
    return data if len(data) == length else None


def _decode(data: bytes) -> Message:
    message = wire.decode(data)
    if isinstance(message, Status):
        raise RecordingError("recording: expected messages of eyes or face, got a status; it was made by another tool")
    return message
