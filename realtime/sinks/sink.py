"""What a sink is, and what it gets."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.frames import Enhanced

View = Literal["eyes", "left", "right", "face", "frame"]
"""Both enhanced eyes side by side, one of them (as in the image), the enhanced face, or the camera's whole frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One frame, as it was just published."""

    enhanced: Enhanced
    messages: tuple[bytes | bytearray, ...]
    """The native messages, stamped, that must not be changed: of `eyes`, then of `face` if it was asked for."""


class Sink(Protocol):
    """A place that published frames go to; used from one thread.

    A context manager that can be entered again after it was left: entering connects, leaving disconnects. Entering and
    sending take seconds at most, and raise SinkError when the other end is not there, SinkEnded when it will not come.
    """

    queue: int
    """Frames that may wait for it; beyond them the oldest is dropped. 1 where only the newest counts."""

    def pick(self, sent: Sent) -> Any:  # noqa: ANN401 - each sink's own
        """What of a frame has to wait for send(), all of it unless a sink says otherwise; in the publisher's thread,
        which it must not hold up.
        """
        return sent

    def send(self, item: Any) -> None:  # noqa: ANN401
        """Send what pick() gave."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def picture(enhanced: Enhanced, view: View) -> NDArray[np.uint8] | None:
    """uint8 (H, W, 3), BGR, contiguous: one view of a frame; None when it shows nothing, as without a face."""
    if view == "frame":
        return np.ascontiguousarray(enhanced.crops.frame.image)
    if view == "face":
        return None if enhanced.face is None else np.ascontiguousarray(enhanced.face[0])
    if enhanced.patches is None:
        return None
    left, right = enhanced.patches
    return np.ascontiguousarray({"eyes": np.hstack((left, right)), "left": left, "right": right}[view])


def fitted(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): the whole image, as large as it goes, with black beside it."""
    scale = min(width / image.shape[1], height / image.shape[0])
    inside = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    x, y = (width - inside[0]) // 2, (height - inside[1]) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[y : y + inside[1], x : x + inside[0]] = cv2.resize(image, inside, interpolation=method)
    return canvas
