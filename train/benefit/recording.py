"""Real recordings: how much a consumer's answer changes from frame to frame.

Such a step holds what eye and head really did, and the trembling of what is read off the camera's own frame, alike for
all methods: the mesh's eye corners and irises, and the head's pose. The pose is taken from each frame, as a tracker
does: eyes that turn with the head under the pose of the first frame are an input that no tracker gives the network. So
a step is much more than what a method is answerable for; compare methods by the differences of their steps.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.benefit.faces import Mesh, label
from train.benefit.gaze import GazeNetwork
from train.benefit.method import Method
from train.benefit.pupil import GradientPupils
from train.benefit.scene import Scene, eye_windows
from train.errors import DataError

FRAMES = 150
"""Of a recording, from its start."""


def own_size(clip: Path, mesh: Mesh) -> float:
    """Pixels between the eyes in the first frame with a face; raises DataError when no frame has one."""
    for image in _frames(clip):
        face = label(clip.stem, image, mesh)
        if face is not None:
            return face.interocular_px
    raise DataError(f"{clip}: expected a recording of a face, found none in it; give another")


def recorded_scenes(clip: Path, factor: float, mesh: Mesh, frames: int) -> list[Scene]:
    """Consecutive frames of a recording, made small by a factor of at most 1, with the eyes where the mesh has them.

    frames: T, that a scene holds, the newest and those before it. Frames without a face are passed over. Each frame is
    a face of its own name, so that a consumer takes the head's pose anew.
    """
    scenes: list[Scene] = []
    recent: list[NDArray[np.uint8]] = []
    for number, image in enumerate(_frames(clip)):
        frame = np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
        face = label(f"{clip.stem} x{factor:.4f} frame {number}", frame, mesh, margin=None)
        recent = [frame, *recent][:frames]
        if face is None or len(recent) < frames:
            continue
        stack = np.stack(recent)
        scenes.append(
            Scene(
                face=face,
                factor=2.0,
                shift=(0.0, 0.0),
                sharp=np.asarray(cv2.resize(frame, None, fx=2, fy=2), np.uint8),
                moving=stack,
                still=stack,
                windows=eye_windows(face.corners),
            )
        )
    return scenes


def steps(scenes: list[Scene], method: Method, gaze: GazeNetwork) -> dict[str, NDArray[np.float64]]:
    """Changes from one scene to the next, float64 (scenes - 1,) each; NaN where a pupil is not found.

    gaze_step_deg: the angle between two gazes, each with the head pose of its own frame. pupil_step: how far the pupil
    by means of gradients moves against MediaPipe's iris, mean over both eyes; a share of the interocular distance.
    """
    pupils = GradientPupils()
    views = method.views(scenes)
    gazes = np.stack([gaze.read(view) for view in views])
    centres = np.stack([pupils.read(view) for view in views])
    cosines = np.clip((gazes[1:] * gazes[:-1]).sum(axis=1), -1, 1)
    return {
        "gaze_step_deg": np.degrees(np.arccos(cosines)),
        "pupil_step": np.hypot(*np.diff(centres, axis=0).T).mean(axis=0),
    }


def _frames(clip: Path) -> Iterator[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(clip))
    try:
        for _ in range(FRAMES):
            ok, image = capture.read()
            if not ok:
                return
            yield np.asarray(image, np.uint8)
    finally:
        capture.release()
