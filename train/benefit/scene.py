"""A face as the test camera sees it, the eye windows that the daemon would cut, and the picture a tracker gets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.frame_stack import FrameStack
from engines.window import Window
from train.benefit.faces import LabelledFace
from train.conditions import CONDITIONS, photograph, random_walk, resized

LADDER = ((48, 32), (64, 48), (96, 64), (128, 96), (160, 112), (192, 144), (256, 192))
"""The daemon's eye windows, width by height in camera pixels."""
WIDTH_PER_EYE, SURROUNDINGS_PX = 2.0, 12
"""The daemon's rule for a window's least width, from the wider eye's width."""
WALK_PX = 0.5
"""Motion between two frames of a moving face, in camera pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A picture of a scene at some scale: what a consumer reads."""

    image: NDArray[np.uint8]
    """uint8 (H, W, 3), BGR."""
    scale: float
    """Pixels of this picture for one camera pixel."""
    scene: "Scene"

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points of the face (..., 2) lie in this picture."""
        scene = self.scene
        sharp = (points + 0.5) * scene.factor - 0.5 + np.asarray(scene.shift)
        return np.asarray((sharp + 0.5) * self.scale / scene.scale - 0.5)

    @property
    def interocular_px(self) -> float:
        return self.scene.face.interocular_px * self.scene.factor * self.scale / self.scene.scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One face, at one size, in one condition."""

    face: LabelledFace
    factor: float
    """Pixels of the sharp picture for one pixel of the face."""
    shift: tuple[float, float]
    """Of the face in the sharp picture, in its pixels."""
    sharp: NDArray[np.uint8]
    """uint8 (h * scale, w * scale, 3): the undegraded face."""
    moving: NDArray[np.uint8]
    """uint8 (T, h, w, 3): the camera's frames, newest first, of a face that walks by WALK_PX a frame."""
    still: NDArray[np.uint8]
    """uint8 (T, h, w, 3): the same newest frame after frames of a face that did not move."""
    windows: tuple[Window, Window]
    """Of each eye; one may reach outside the frame."""
    scale: int = 2
    """Of the sharp picture against the camera's."""

    def truth(self) -> View:
        """The sharp picture."""
        return View(image=self.sharp, scale=self.scale, scene=self)

    def raw(self) -> View:
        """The newest frame as the camera gave it."""
        return View(image=self.moving[0], scale=1.0, scene=self)

    def sharp_of(self, face: LabelledFace) -> NDArray[np.uint8]:
        """The sharp picture of another face of the same size, in this one's place."""
        size = (self.sharp.shape[1], self.sharp.shape[0])
        return resized(face.image, self.factor, size, self.shift)

    def moments(self, taken: Sequence[NDArray[np.uint8]], frames: int) -> list["Scene"]:
        """This scene at each moment of the frames taken, oldest first, that has `frames` of them up to it."""
        stacks = [np.stack(taken[t : t + frames][::-1]) for t in range(len(taken) - frames + 1)]
        return [replace(self, moving=stack, still=stack) for stack in stacks]

    def patches(self, frames: int, *, still: bool = False) -> NDArray[np.uint8]:
        """Both eyes as an engine takes them: uint8 (2, h, w, 3 * frames), newest first, older ones registered."""
        return FrameStack(frames).push_all([*(self.still if still else self.moving)[:frames]], self.windows)

    def enhanced(self, patches: NDArray[np.uint8]) -> View:
        """Enhanced eyes, uint8 (2, h * scale, w * scale, 3), in their places on the frame enlarged by bicubic."""
        frame, scale = self.moving[0], self.scale
        image = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        # Windows of a small face overlap: each eye keeps its side.
        middle = (self.windows[0][0] + self.windows[1][0] + self.windows[0][2]) // 2
        sides = ((0, middle), (middle, frame.shape[1]))
        for (x, y, width, height), patch, side in zip(self.windows, patches, sides, strict=True):
            left, top = max(x, side[0]), max(y, 0)
            right, bottom = min(x + width, side[1]), min(y + height, frame.shape[0])
            image[scale * top : scale * bottom, scale * left : scale * right] = patch[
                scale * (top - y) : scale * (bottom - y), scale * (left - x) : scale * (right - x)
            ]
        return View(image=np.asarray(image, np.uint8), scale=scale, scene=self)


def photographed(
    face: LabelledFace,
    interocular_px: float,
    condition: str,
    frames: int,
    rng: np.random.Generator,
    scale: int = 2,
) -> Scene:
    """Photograph a face at a random sub-pixel shift.

    interocular_px: in the camera's pixels. condition: a key of CONDITIONS. frames: T, how many are taken.
    scale: of the truth against the camera's pixels.
    """
    factor = scale * interocular_px / face.interocular_px
    height, width = (int(side * factor) // scale * scale for side in face.image.shape[:2])
    shift = rng.uniform(-scale / 2, scale / 2, 2)
    sharp = resized(face.image, factor, (width, height), _pair(shift))
    newest = photograph(sharp, CONDITIONS[condition], rng, scale)
    moving, still = [newest], [newest]
    for offset in random_walk(frames, scale * WALK_PX, rng)[1:]:
        older = resized(face.image, factor, (width, height), _pair(shift + offset))
        moving.append(photograph(older, CONDITIONS[condition], rng, scale))
        still.append(photograph(sharp, CONDITIONS[condition], rng, scale))
    return Scene(
        face=face,
        factor=factor,
        shift=_pair(shift),
        sharp=sharp,
        moving=np.stack(moving),
        still=np.stack(still),
        windows=eye_windows((face.corners + 0.5) * factor / scale - 0.5 + shift / scale),
        scale=scale,
    )


def eye_windows(corners: NDArray[np.float64]) -> tuple[Window, Window]:
    """Windows around both eyes, of one size, given the eye corners (4, 2) in camera pixels."""
    left, right = corners[:2], corners[2:]
    size = window_size(max(float(np.hypot(*(eye[1] - eye[0]))) for eye in (left, right)))
    return _around(left, size), _around(right, size)


def window_size(eye_width_px: float) -> tuple[int, int]:
    """The smallest window of the ladder that holds an eye of this width with its surroundings."""
    return next((size for size in LADDER if size[0] >= WIDTH_PER_EYE * eye_width_px + SURROUNDINGS_PX), LADDER[-1])


def _around(eye: NDArray[np.float64], size: tuple[int, int]) -> Window:
    x, y = np.rint(eye.mean(axis=0) - (np.array(size) - 1) / 2).astype(int)
    return int(x), int(y), size[0], size[1]


def _pair(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values[0]), float(values[1])
