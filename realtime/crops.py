"""Cuts eyes and face from frames: steady, integer-aligned windows in the camera's own pixels, never resampled.

A window's size comes from a short ladder, by the width of the eye: it takes the next larger size when the eye with
its surroundings would not fit, and the next smaller one only when it would fit with room to spare. A window stays where
it is until the eye leaves its dead band, so that a still head gives a still crop.
"""

import numpy as np
from numpy.typing import NDArray

from engines.frame_stack import FrameStack
from engines.window import Window
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
    """Frames and landmarks to crops. Keeps the last frames, since a sample may stack several of them.

    One caller, with the frames in their order.
    """

    def __init__(self, config: CropConfig, *, frames: int = 1) -> None:
        """frames: T, how many frames a sample stacks."""
        self._face_wanted = config.face
        self._eyes, self._face = Windows(config.ladder), Windows(config.face_ladder)
        self._eye_stack, self._face_stack = FrameStack(frames), FrameStack(frames)
        self._before: Frame | None = None

    def __call__(self, frame: Frame, landmarks: Landmarks | None) -> Crops:
        """Cut the frame at the windows for these landmarks, and the frames before it where they show the same.

        Frames are missing at the start of a stream, after a face was lost, after a gap in seq and after a change of
        the frame's size: the newest frame stands in for them.
        """
        if landmarks is None:
            self._forget_frames()
            self._eyes.forget()
            self._face.forget()
            return Crops(frame=frame, landmarks=None, boxes=(), patches=None)
        if self._before is not None and not _follows(frame, self._before):
            self._forget_frames()
        self._before = frame

        centres, width_px = _eyes(landmarks)
        boxes = self._eyes.about(centres, width_px)
        patches = self._eye_stack.push(frame.image, [_window(box) for box in boxes], centres)
        if not self._face_wanted:
            return Crops(frame=frame, landmarks=landmarks, boxes=boxes, patches=patches)
        centre, width_px = _face(landmarks)
        (face_box,) = self._face.about(centre, width_px)
        face = self._face_stack.push(frame.image, [_window(face_box)], centre)
        return Crops(frame=frame, landmarks=landmarks, boxes=boxes, patches=patches, face_box=face_box, face=face)

    def _forget_frames(self) -> None:
        self._before = None
        self._eye_stack.forget()
        self._face_stack.forget()


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


def _window(box: Box) -> Window:
    return box.x, box.y, box.width, box.height
