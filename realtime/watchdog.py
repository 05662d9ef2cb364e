"""Keeps a camera that fails: sees within a second what is wrong, says it, opens the camera again.

What is seen            state      done about it
reads fail or hang      lost       opened again, with back-off, until it is back
the same image for ever frozen     not passed on; opened again likewise (OpenCV can return the last frame for ever)
a size that changes     unsteady   odd frames are not passed on; a new size that stays is taken over; else opened again
no light                black      said; a shut lens cover is no fault
few frames              slow       said; a webcam in the dark exposes longer
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from realtime.errors import CameraError
from realtime.frames import Frame

if TYPE_CHECKING:
    from realtime.camera import Camera

log = logging.getLogger(__name__)

State = Literal["ok", "slow", "black", "unsteady", "frozen", "lost"]

PATIENCE_S = 0.7
"""A symptom that lasts this long is a fault; leaves room to be said within a second."""
SILENCE_S = 0.9
"""Without any frame for this long the camera is lost."""
BLACK_MEAN = 10.0
SLOW_SHARE = 0.6
STEADY_FRAMES = 3
FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 2.0


class CameraWatch:
    """A camera that comes back. Itself a camera: seq and time go on, and the seq numbers of a gap are left out.

    One thread reads; any thread may look at state.
    """

    def __init__(
        self,
        open_again: "Callable[[], Camera]",
        camera: "Camera",
        *,
        clock: Callable[[], float] = monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        """camera: the one to begin with. open_again: opens it anew, or raises CameraError. clock, in seconds, and
        pause, which waits for seconds, are there to be replaced by tests."""
        self.name, self.fps = camera.name, camera.fps
        self._open_again, self._camera = open_again, camera
        self._clock = clock
        self._stopped = threading.Event()
        self._pause = self._stopped.wait if pause is None else pause
        self._is_open = True
        self._mode = (camera.width, camera.height)
        self._state: State = "ok"
        self._saying = threading.RLock()  # the reader says what it sees, and whoever asks for the state that it hangs
        self._delay_s = FIRST_DELAY_S
        self._passed_at: float | None = None  # when a frame was last passed on
        self._reading_since: float | None = None  # None: no read is under way
        self._next_seq = self._gaps = self._missed = 0
        self._resample: NDArray[np.uint8] | None = None
        self._begin()

    def _begin(self) -> None:
        """Look at a camera just opened with fresh eyes, but remember the image at which the last one froze."""
        now = self._clock()
        self._opened_at = self._changed_at = self._bright_at = self._sized_at = now
        self._arrivals: deque[float] = deque()
        self._offset: int | None = None  # from the camera's own seq to ours
        self._odd_mode, self._odd_frames = self._mode, 0

    @property
    def width(self) -> int:
        """Of the frames now, in pixels."""
        return self._mode[0]

    @property
    def height(self) -> int:
        """Of the frames now, in pixels."""
        return self._mode[1]

    @property
    def state(self) -> State:
        """What the camera does now; also true while a read hangs, which is then said here: the reader cannot."""
        with self._saying:  # a frame that comes meanwhile has the last word
            since = self._reading_since
            silent = since is not None and self._clock() - since > SILENCE_S
            if silent and self._state not in ("frozen", "unsteady") and not self._stopped.is_set():
                self._say("lost", f"no frame for {SILENCE_S:g} s")
            return self._state

    def read(self) -> Frame | None:
        """The next good frame, however long that takes; None after stop(), or at the camera's own end."""
        if self._passed_at is None:
            # The daemon may load other things between opening and reading: no fault of the camera's.
            self._begin()
        while not self._stopped.is_set():
            if not self._is_open and not self._reopened():
                continue
            self._reading_since = self._clock()
            try:
                frame = self._camera.read()
            except CameraError as error:
                self._give_up("lost", str(error))
                continue
            finally:
                self._reading_since = None
            if frame is None:
                return None
            if self._is_good(frame, self._clock()):
                return self._passed_on(frame)
        return None

    def stop(self) -> None:
        """End reading and waiting; for any thread."""
        self._stopped.set()
        self._camera.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._close()

    def _is_good(self, frame: Frame, now: float) -> bool:
        """Judge a frame, set the state, and give up the camera if that is what it takes."""
        if not self._size_holds(frame.image, now):
            if now - self._sized_at >= PATIENCE_S:
                self._give_up("unsteady", f"frames of changing size, now {frame.image.shape}")
            return False

        sample = frame.image[::16]
        if self._resample is None or not np.array_equal(sample, self._resample):
            self._changed_at = now
        self._resample = sample
        if sample[:, ::16].mean() > BLACK_MEAN:
            self._bright_at = now

        self._arrivals.append(now)
        while now - self._arrivals[0] > 1:
            self._arrivals.popleft()
        enough = SLOW_SHARE * self.fps * (1.2 if self._state == "slow" else 1)  # to waver less between the two
        if now - self._bright_at >= PATIENCE_S:
            self._say("black", "is its lens covered?")
        elif now - self._changed_at >= PATIENCE_S:
            self._give_up("frozen", f"the same image for {PATIENCE_S:g} s")
            return False
        elif self._state == "frozen" and self._changed_at < now:
            return False  # opened again, and still the image at which it froze
        elif now - self._opened_at > 1 and len(self._arrivals) < enough:
            self._say("slow", f"expected {self.fps:g} frames a second, got {len(self._arrivals)}; is it dark?")
        else:
            self._say("ok", f"{self.width}x{self.height}")
        return True

    def _size_holds(self, image: NDArray[np.uint8], now: float) -> bool:
        """Whether the image has the camera's size, or one that has come often enough in a row to be its new size."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            return False
        mode = (image.shape[1], image.shape[0])
        if mode != self._mode:
            self._odd_frames = self._odd_frames + 1 if mode == self._odd_mode else 1
            self._odd_mode = mode
            if self._odd_frames < STEADY_FRAMES:
                return False
            log.info("%s: now gives %dx%d, before %dx%d", self.name, *mode, *self._mode)
            self._mode = mode
        self._odd_frames = 0
        self._sized_at = now
        return True

    def _passed_on(self, frame: Frame) -> Frame:
        now = self._clock()
        if self._offset is None:
            missed = 0 if self._passed_at is None else max(1, round((now - self._passed_at) * self.fps) - 1)
            self._offset = self._next_seq + missed - frame.seq
            self._missed += missed
            self._gaps += self._passed_at is not None
        elif self._passed_at is not None and now - self._passed_at > SILENCE_S:
            self._gaps += 1
        frame = replace(frame, seq=frame.seq + self._offset, gaps=self._gaps, missed=self._missed)
        self._next_seq, self._passed_at, self._delay_s = frame.seq + 1, now, FIRST_DELAY_S
        return frame

    def _reopened(self) -> bool:
        """Wait, then try to open the camera; each failure doubles the wait."""
        self._pause(self._delay_s)
        self._delay_s = min(2 * self._delay_s, LONGEST_DELAY_S)
        if self._stopped.is_set():
            return False
        try:
            self._camera = self._open_again()
        except CameraError as error:
            log.debug("%s", error)
            return False
        self._is_open = True
        self._mode = (self._camera.width, self._camera.height)
        self._begin()
        return True

    def _give_up(self, state: State, why: str) -> None:
        self._close()
        self._say(state, f"{why}; trying to open it again")

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._camera.__exit__(None, None, None)

    def _say(self, state: State, why: str) -> None:
        with self._saying:
            if state != self._state:
                log.log(logging.INFO if state == "ok" else logging.WARNING, "%s is %s: %s", self.name, state, why)
                self._state = state
