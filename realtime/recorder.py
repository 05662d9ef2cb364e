"""Writes a stream to disk, whole messages as they were sent; recording.py has the layout and why it is so."""

import json
import os
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self

from realtime.errors import RecordingError
from realtime.message import Message
from realtime.recording import LENGTH, jsonl_path, messages_path, part_numbers, row
from realtime.wire import decode

PART_BYTES: Final = 2 << 30
"""A part ends beyond this: a size that every file system holds."""
_SYNC_S = 1.0
"""How often the system is told to put everything on the disk: what a power cut may cost."""


class Part:
    """One pair of files being written, new ones. A context manager; a message is written when write() returns.

    Raises RecordingError when the disk does not take it; what was written before stays readable.
    """

    def __init__(self, messages: Path, jsonl: Path, number: int) -> None:
        self.bytes = 0
        """In the file of messages."""
        self._paths, self._number = (messages, jsonl), number
        self._jsonl_bytes = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            with ExitStack() as stack:
                self._messages, self._jsonl = (stack.enter_context(FileIO(path, "x")) for path in self._paths)
                self._stack = stack.pop_all()
        except OSError as err:
            raise _refused(self._paths[0], err) from err
        self._synced_s = monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, data: bytes | bytearray) -> None:
        """Append a message of `eyes` or `face`."""
        message = decode(data)
        assert isinstance(message, Message)
        fields = row(message) | {"part": self._number, "offset": self.bytes}
        line = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
        try:
            self.bytes += _append(self._messages, LENGTH.pack(len(data)) + data, self.bytes)
            self._jsonl_bytes += _append(self._jsonl, line, self._jsonl_bytes)
            if monotonic() - self._synced_s >= _SYNC_S:
                os.fsync(self._messages.fileno())
                os.fsync(self._jsonl.fileno())
                self._synced_s = monotonic()
        except OSError as err:
            raise _refused(self._paths[0], err) from err


class Recorder:
    """Records into a folder, which it makes for this account alone; one that holds a recording gets further parts."""

    def __init__(self, folder: Path, *, part_bytes: int = PART_BYTES) -> None:
        self.folder, self._part_bytes = folder, part_bytes
        self.messages = 0
        """Written so far."""
        self._part: Part | None = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as err:
            raise _refused(self.folder, err) from err
        self._part = self._next_part()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._part is not None:
            self._part.__exit__(kind, error, trace)
            self._part = None

    def write(self, data: bytes | bytearray) -> None:
        """Append a message of `eyes` or `face`, as it was sent. Raises what Part.write() raises."""
        assert self._part is not None, "a recorder is entered before it writes"
        if self._part.bytes >= self._part_bytes:
            full, self._part = self._part, self._next_part()
            full.__exit__(None, None, None)
        self._part.write(data)
        self.messages += 1

    def _next_part(self) -> Part:
        number = max(part_numbers(self.folder), default=-1) + 1
        part = Part(messages_path(self.folder, number), jsonl_path(self.folder, number), number)
        return part.__enter__()


def _append(file: FileIO, data: bytes, size: int) -> int:
    """Write all of it or, but for a kill, nothing; size: the file's before. Returns the length. Raises OSError."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        file.truncate(size)
        file.seek(size)
        raise
    return len(data)


def _refused(path: Path, err: OSError) -> RecordingError:
    return RecordingError(
        f"{path}: expected to write there, got: {err.strerror}; what was written before is readable; free space or "
        "choose another folder"
    )
