"""A video file, played at its own rate as if it were a camera."""

import logging
from pathlib import Path
from time import monotonic_ns, time_ns
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from realtime.errors import CameraLost, CameraNotFound
from realtime.film import ASSUMED_FPS, Film, shortfall
from realtime.frames import Frame
from realtime.pace import Pace
from realtime.watchdog import State

log = logging.getLogger(__name__)


class VideoFile:
    """The frames of a file: paced, and then those that come too late are passed over, or one after the other.

    A damaged frame counts as missed, as those of a camera that was away do; a run of them is a gap.
    """

    state: State = "ok"

    def __init__(self, path: Path, *, paced: bool = True, loop: bool = False, fps: float = ASSUMED_FPS) -> None:
        """fps: for a file that does not state its rate. Raises CameraNotFound when no frame can be read."""
        self.name = path.name
        self._path, self._paced, self._loop = path, paced, loop
        self._film = Film(path, fps=fps)
        first = self._film.first()
        self.height, self.width = first.shape[:2]
        self._first: NDArray[np.uint8] | None = first
        self.fps = self._film.fps
        self.length = None if loop else self._film.length
        self._pace = Pace(self.fps)
        self._frames_before = self._damaged_before = 0  # in the times that it was played before this one
        self._gaps = self._missed = 0
        self._stopped = False

    def read(self) -> Frame | None:
        """The next frame, when it is due; None at the end and after stop()."""
        if self._paced:
            self._pass_over(self._pace.late(self._seq + 1))
        image = self._pace.make(self._seq + 1, self._next_image) if self._paced else self._next_image()
        if image is None or self._stopped or (self._paced and not self._pace.wait(self._seq)):
            return None
        captured_ns, captured_utc_ns = monotonic_ns(), time_ns()
        missed = self._damaged_before + self._film.damaged
        self._gaps += missed > self._missed
        self._missed = missed
        return Frame(
            seq=self._seq,
            captured_ns=captured_ns,
            captured_utc_ns=captured_utc_ns,
            ts_source="file",
            image=image,
            gaps=self._gaps,
            missed=missed,
        )

    @property
    def _seq(self) -> int:
        """Of the frame that was taken from the film last."""
        return self._frames_before + self._film.number

    def _pass_over(self, frames: int) -> None:
        """Skip frames whose time has gone by, as a camera's would; at the end, the last ones of the file."""
        until = self._film.number + frames
        while self._film.number < until and self._film.grab():
            pass

    def _next_image(self) -> NDArray[np.uint8] | None:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        image = self._film.read()
        if image is None and not self._stopped:
            self._say_what_is_missing()
            if self._loop:
                image = self._start_again()
        return image

    def _say_what_is_missing(self) -> None:
        said = shortfall(self.name, self._film.length, self._film.number + 1 - self._film.damaged)
        if said is not None and self._frames_before == 0:
            log.warning(said)

    def _start_again(self) -> NDArray[np.uint8]:
        self._film.close()
        self._frames_before, self._damaged_before = self._seq + 1, self._damaged_before + self._film.damaged
        try:
            self._film = Film(self._path, fps=self.fps)
            return self._film.first()
        except CameraNotFound as err:
            raise CameraLost(
                f"source {self._path}: expected to start again at its end, got no frame; is it gone?"
            ) from err

    def stop(self) -> None:
        """End reading; for any thread."""
        self._stopped = True
        self._pace.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._film.close()
