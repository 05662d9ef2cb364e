"""Records what is published into a folder; see recording.py."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from realtime.errors import RecordingError, SinkEnded
from realtime.recorder import Recorder
from realtime.sinks.sink import Sent


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """Where the recording goes."""

    folder: Path


class RecordSink:
    """Writes every message. A disk that is full ends it: a recording with a hole in it helps nobody."""

    queue = 90
    """Three seconds: a disk may stall for long while the system writes to it."""

    def __init__(self, options: RecordOptions, *, consent: bool) -> None:
        self._recorder = Recorder(options.folder)

    def __enter__(self) -> Self:
        try:
            self._recorder.__enter__()
        except RecordingError as err:
            raise SinkEnded(str(err)) from err
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recorder.__exit__(kind, error, trace)

    def pick(self, sent: Sent) -> tuple[bytes | bytearray, ...]:
        """The frame's messages; the camera's picture, which is much larger, need not wait with them."""
        return sent.messages

    def send(self, messages: tuple[bytes | bytearray, ...]) -> None:
        """Write the frame's messages."""
        try:
            for message in messages:
                self._recorder.write(message)
        except RecordingError as err:
            raise SinkEnded(f"{err}; {self._recorder.messages} messages were recorded") from err
