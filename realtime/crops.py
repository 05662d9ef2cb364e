"""Cuts eyes and face from frames: steady, integer-aligned windows in the camera's own pixels, never resampled.

A window's size comes from a short ladder, by the width of the eye: it takes the next larger size when the eye with
its surroundings would not fit, and the next smaller one only when it would fit with room to spare. A window stays where
it is until the eye leaves its dead band, so that a still head gives a still crop.
"""

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.config import CropConfig
from realtime.frames import Box, Crops, Frame, Landmarks

EYE_CORNERS = ((33, 133), (362, 263))
"""Of the image-left and the image-right eye. Corners hold still when lids and irises move."""

WIDTH_PER_EYE, SURROUNDINGS_PX = 2.0, 12
"""Window width for an eye's width from corner to corner: room for lids and motion, and what a network looks around."""
WIDTH_PER_FACE = 1.05
ROOM_TO_SHRINK = 0.88
"""A smaller window must be fitted to this share before it is taken: landmarks waver by a few per cent."""
DEAD_BAND = 1 / 16
"""How far a point may move from its window's centre before the window follows, as a share of its width."""
LONGEST_GAP = 4
"""Frames further apart than this many numbers are not stacked on one another."""


class Windows:
    """Windows of one size about one or more points."""

    def __init__(self, ladder: tuple[tuple[int, int], ...]) -> None:
        self._ladder = ladder
        self._rung: int | None = None
        self._boxes: tuple[Box, ...] = ()

    def forget(self) -> None:
        """Start afresh at the next call."""
        self._rung, self._boxes = None, ()

    def about(self, points: NDArray[np.float32], width_px: float) -> tuple[Box, ...]:
        """A window about each of points (n, 2), at least width_px wide unless the ladder ends before."""
        rung = self._fitting(width_px)
        if rung != self._rung:
            self._rung, self._boxes = rung, ()
        width, height = self._ladder[rung]
        held = self._boxes or (None,) * len(points)
        self._boxes = tuple(
            box if box is not None and _holds(box, point) else _centred(point, width, height)
            for box, point in zip(held, points, strict=True)
        )
        return self._boxes

    def _fitting(self, width_px: float) -> int:
        """The smallest rung that is wide enough; for going down, wide enough with room to spare."""
        for rung, (width, _) in enumerate(self._ladder):
            smaller = self._rung is not None and rung < self._rung
            if width_px <= width * (ROOM_TO_SHRINK if smaller else 1):
                return rung
        return len(self._ladder) - 1


class Cropper:
    """Frames and landmarks to crops. Keeps the last frames, since a sample may stack several of one window.

    One caller, with the frames in their order.
    """

    def __init__(self, config: CropConfig, *, frames: int = 1) -> None:
        """frames: T, how many frames a sample stacks."""
        if frames < 1:
            raise ValueError(f"frames: expected at least 1, got {frames}")
        self._face_wanted = config.face
        self._eyes, self._face = Windows(config.ladder), Windows(config.face_ladder)
        self._frames = frames
        self._recent: deque[Frame] = deque(maxlen=frames)

    def __call__(self, frame: Frame, landmarks: Landmarks | None) -> Crops:
        """Cut the frame, and the frames before it, at the windows for these landmarks.

        Frames are missing at the start of a stream, after a face was lost, after a gap in seq and after a change of
        the frame's size: the newest frame stands in for them.
        """
        if landmarks is None:
            self._recent.clear()
            self._eyes.forget()
            self._face.forget()
            return Crops(frame=frame, landmarks=None, boxes=(), patches=None)
        if self._recent and not _follows(frame, self._recent[0]):
            self._recent.clear()
        self._recent.appendleft(frame)
        images = [past.image for past in self._recent] + [frame.image] * (self._frames - len(self._recent))

        boxes = self._eyes.about(*_eyes(landmarks))
        patches = np.stack([_cut(images, box) for box in boxes])
        if not self._face_wanted:
            return Crops(frame=frame, landmarks=landmarks, boxes=boxes, patches=patches)
        (face_box,) = self._face.about(*_face(landmarks))
        face = _cut(images, face_box)[np.newaxis]
        return Crops(frame=frame, landmarks=landmarks, boxes=boxes, patches=patches, face_box=face_box, face=face)


def _eyes(landmarks: Landmarks) -> tuple[NDArray[np.float32], float]:
    """The eyes' centres (2, 2), and the window width that suits the wider one: a turned head narrows the other."""
    corners = landmarks.points[np.array(EYE_CORNERS)]
    eye_width = float(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1).max())
    return corners.mean(axis=1), WIDTH_PER_EYE * eye_width + SURROUNDINGS_PX


def _face(landmarks: Landmarks) -> tuple[NDArray[np.float32], float]:
    """The face's centre (1, 2), and the window width that suits it."""
    low, high = landmarks.points.min(axis=0), landmarks.points.max(axis=0)
    return ((low + high) / 2)[np.newaxis], WIDTH_PER_FACE * float((high - low).max())


def _follows(frame: Frame, before: Frame) -> bool:
    return 0 < frame.seq - before.seq <= LONGEST_GAP and frame.image.shape == before.image.shape


def _centred(point: NDArray[np.float32], width: int, height: int) -> Box:
    x, y = np.rint(point - np.array([width - 1, height - 1]) / 2).astype(int)
    return Box(x=int(x), y=int(y), width=width, height=height)


def _holds(box: Box, point: NDArray[np.float32]) -> bool:
    centre = (box.x + (box.width - 1) / 2, box.y + (box.height - 1) / 2)
    return bool(np.abs(point - centre).max() <= box.width * DEAD_BAND)


def _cut(images: list[NDArray[np.uint8]], box: Box) -> NDArray[np.uint8]:
    """uint8 (h, w, 3T): the images at the box, stacked on channels; outside them their edges are replicated."""
    height, width = images[0].shape[:2]
    if box.x >= 0 and box.y >= 0 and box.x + box.width <= width and box.y + box.height <= height:
        windows = [image[box.y : box.y + box.height, box.x : box.x + box.width] for image in images]
    else:
        rows, columns = np.arange(box.y, box.y + box.height), np.arange(box.x, box.x + box.width)
        replicated = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
        windows = [image[replicated] for image in images]
    stacked: NDArray[Any] = cv2.merge(windows)  # ten times as fast as np.concatenate
    return stacked
