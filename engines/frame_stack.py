"""What a tier of several frames sees: the last T frames of a camera in one window, stacked on channels.

A head moves, and only what lies on itself can be averaged: older frames are cut by whole pixels from where they show
what the newest one shows. Nothing is resampled, and what is left, half a pixel at most, a network learns to use.
"""

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.registration import displacements
from engines.window import Window, cut


class FrameStack:
    """The last frames, and where in each of them some windows' contents lie. One caller, frames in their order."""

    def __init__(self, frames: int) -> None:
        """frames: T, how many a tier stacks."""
        if frames < 1:
            raise ValueError(f"frames: expected at least 1, got {frames}")
        self._frames = frames
        self._images: deque[NDArray[np.uint8]] = deque(maxlen=frames)
        self._near: NDArray[np.float32] | None = None
        self._moved_TN2 = np.zeros((0, 0, 2))

    def forget(self) -> None:
        """Start afresh: what comes next has nothing to do with what was."""
        self._images.clear()

    def push(
        self, image: NDArray[np.uint8], windows: Sequence[Window], near: NDArray[np.float32] | None = None
    ) -> NDArray[np.uint8]:
        """The next frame, and the stacks of its windows: uint8 (N, h, w, 3T), newest first.

        image: uint8 (H, W, 3), of one size until forget() is called. windows: N of one size, on the same N things as
        before; they may lie elsewhere. near: (N, 2), about where these things are in this frame, as landmarks have
        them; None: not far from where they were. The newest frame stands in for those that are missing.
        """
        newest_N2 = np.zeros((len(windows), 2))
        if not self._images:
            self._moved_TN2 = newest_N2[np.newaxis]
        elif self._frames > 1:
            expected_N2 = newest_N2 if near is None or self._near is None else np.rint(self._near - near)
            step_N2 = displacements(image, self._images[0], windows, expected_N2.astype(np.int64))
            self._moved_TN2 = np.stack([newest_N2, *(self._moved_TN2[: self._frames - 1] + step_N2)])
        self._images.appendleft(image)
        self._near = near
        moved_NT2 = np.rint(self._moved_TN2).astype(np.int64).transpose(1, 0, 2)
        return np.stack([self._stacked(window, moved_T2) for window, moved_T2 in zip(windows, moved_NT2, strict=True)])

    def push_all(self, images: Sequence[NDArray[np.uint8]], windows: Sequence[Window]) -> NDArray[np.uint8]:
        """At least one frame, newest first, at windows that stay where they are; the newest one's stacks, as push()."""
        *_, stacks = (self.push(image, windows) for image in reversed(images))
        return stacks

    def _stacked(self, window: Window, moved_T2: NDArray[np.int64]) -> NDArray[np.uint8]:
        x, y, width, height = window
        seen = [
            cut(image, (x + dx, y + dy, width, height))
            for image, (dx, dy) in zip(self._images, moved_T2.tolist(), strict=True)
        ]
        seen += seen[:1] * (self._frames - len(seen))
        return np.asarray(cv2.merge(seen), np.uint8)  # ten times as fast as np.concatenate
