"""How much a consumer's answer trembles on a face that does not move, and from frame to frame of a real recording."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.benefit.faces import LabelledFace, Mesh, label
from train.benefit.gaze import GazeNetwork
from train.benefit.method import Method
from train.benefit.scene import Scene, eye_windows, photographed
from train.benefit.study import Consumer, Key, Study
from train.conditions import CONDITIONS, photograph
from train.errors import DataError


def still_scenes(
    face: LabelledFace, interocular_px: float, condition: str, count: int, frames: int, rng: np.random.Generator
) -> list[Scene]:
    """A still face under fresh noise: `count` consecutive moments, each with its last `frames` frames, newest first."""
    first = photographed(face, interocular_px, condition, 1, rng)
    taken = [photograph(first.sharp, CONDITIONS[condition], rng) for _ in range(count + frames - 1)]
    stacks = [np.stack(taken[t : t + frames][::-1]) for t in range(count)]
    return [replace(first, moving=stack, still=stack) for stack in stacks]


def stand_still(
    study: Study,
    faces: Sequence[LabelledFace],
    methods: Sequence[Method],
    consumers: Sequence[Consumer],
    *,
    count: int = 100,
    conditions: Iterable[str] = ("webcam", "dark"),
    interocular_px: int = 45,
    seed: int = 0,
) -> None:
    """Put into the study, under motion "still", the standard deviations of each consumer's answers on still faces.

    faces: some of the study's, by name. count: moments of each face, with fresh noise.
    """
    frames = max(method.frames for method in methods)
    for condition in conditions:
        for face in faces:
            at = study.faces.index(face.name)
            scenes = still_scenes(face, interocular_px, condition, count, frames, np.random.default_rng([seed, at]))
            for method in methods:
                views = method.views(scenes)
                for consumer in consumers:
                    for quantity, value in consumer.spread(np.stack([consumer.read(view) for view in views])).items():
                        study.put(Key(quantity, condition, interocular_px, method.name, "still"), at, value)


def recorded_scenes(clip: Path, interocular_px: float, mesh: Mesh, frames: int, limit: int = 150) -> list[Scene]:
    """Consecutive frames of a recording, made small to an interocular distance, with the eyes where the mesh has them.

    Frames without a face are passed over. Raises DataError when the clip has none with a face of that size.
    """
    capture = cv2.VideoCapture(str(clip))
    scenes: list[Scene] = []
    recent: list[NDArray[np.uint8]] = []
    factor = 0.0
    for _ in range(limit):
        ok, image = capture.read()
        if not ok:
            break
        if not factor:
            first = label(clip.stem, np.asarray(image, np.uint8), mesh)
            factor = min(interocular_px / first.interocular_px, 1.0) if first else 0.0
            if not factor:
                continue
        frame = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        face = label(clip.stem, np.asarray(frame, np.uint8), mesh, margin=None)
        recent = [np.asarray(frame, np.uint8), *recent][:frames]
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
    capture.release()
    if not scenes:
        raise DataError(f"{clip}: expected a recording of a face, found none in it; give another")
    return scenes


def jitter(scenes: list[Scene], method: Method, gaze: GazeNetwork) -> float:
    """Median angle in degrees by which the gaze changes from one frame to the next."""
    readings = np.stack([gaze.read(view) for view in method.views(scenes)])
    cosines = np.clip((readings[1:] * readings[:-1]).sum(axis=1), -1, 1)
    return float(np.median(np.degrees(np.arccos(cosines))))
