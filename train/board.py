"""TensorBoard's log of a run.

Written in the caller's thread: torch's SummaryWriter has one of its own, which a full disk ends with a traceback, and
the caller hears of it at some later step.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray


class Board:
    """Context manager: a new file in the folder, in which the steps after `start` replace those of earlier files.

    Raises ImportError without TensorBoard; every method raises OSError when the disk does not take what it writes.
    """

    def __init__(self, folder: Path, start: int) -> None:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard import summary

        self.folder, self.start = folder, start
        self._protocol, self._summary, self._record_writer = event_pb2, summary, RecordWriter

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            self._file = opened.enter_context((self.folder / f"events.out.tfevents.{time.time_ns()}").open("wb"))
            self._write(file_version="brain.Event:2")
            if self.start:
                again = self._protocol.SessionLog(status=self._protocol.SessionLog.START)
                self._write(step=self.start + 1, session_log=again)
            opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def scalar(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""
        self._write(step=step, summary=self._summary.scalar(name, value))  # type: ignore[no-untyped-call]

    def image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """A picture, uint8 (H, W, 3), BGR."""
        drawn = self._summary.image(name, picture[..., ::-1], dataformats="HWC")  # type: ignore[no-untyped-call]
        self._write(step=step, summary=drawn)

    def _write(self, **parts: object) -> None:
        event = self._protocol.Event(wall_time=time.time(), **parts)
        self._record_writer(self._file).write(event.SerializeToString())
        self._file.flush()
