"""Does a temporal tier follow a lid, or does the open eye shine through the closed one?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.benefit.method import Method
from train.benefit.scene import Scene, photographed
from train.benefit.synthetic import Appearance, drawn_face
from train.conditions import CONDITIONS, photograph

AFTER = 3
"""Frames that are looked at after the lid moved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Smear:
    """What is left of the eye as it was, in the first, second and third frame after its lid moved; float64 (3,) each.

    Shares of the step, which is the difference between enhanced pictures of the lid that has long been where it was and
    that has long been where it is. What is left is the difference between pictures of one newest frame, after frames
    of the lid where it was and after such of the lid where it is.
    """

    ghost: NDArray[np.float64]
    """Of the old picture in the new one (least squares): 0 is none, 1 the old picture itself. Noise averages out."""
    distance: NDArray[np.float64]
    """Root mean square of what is left: noise, and details that are not there yet, count too."""


def blinks(method: Method, trials: int = 8) -> list[dict[str, Any]]:
    """Plain rows: what is left in each condition when the lid closes, and when it opens. None for one-frame methods."""
    found = []
    for condition in CONDITIONS if method.frames > 1 else ():
        for lid in ("closing", "opening"):
            smear = smear_after_blink(method, closing=lid == "closing", condition=condition, trials=trials)
            shares = {"ghost": smear.ghost.round(4).tolist(), "distance": smear.distance.round(4).tolist()}
            found.append({"condition": condition, "lid": lid, **shares})
    return found


def smear_after_blink(
    method: Method,
    *,
    closing: bool = True,
    condition: str = "webcam",
    interocular_px: float = 45,
    trials: int = 8,
) -> Smear:
    """The lid closes, or opens, between two frames, and nothing else moves. Mean over trials with fresh noise."""
    measured = [_trial(method, closing, condition, interocular_px, trial) for trial in range(trials)]
    ghost, distance = np.mean(measured, axis=0)
    return Smear(ghost=ghost, distance=distance)


def _trial(
    method: Method, closing: bool, condition: str, interocular_px: float, trial: int
) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng([23, trial])
    look = Appearance(iris=(0.2, 0.27, 0.36), pupil_share=float(rng.uniform(0.35, 0.5)))
    faces = [drawn_face(look, opened=opened) for opened in ((1.0, 0.0) if closing else (0.0, 1.0))]
    first = photographed(faces[0], interocular_px, condition, 1, rng, method.scale)
    sharp = [first.sharp_of(face) for face in faces]

    def taken(moved: bool, count: int) -> list[NDArray[np.uint8]]:
        return [photograph(sharp[moved], CONDITIONS[condition], rng, method.scale) for _ in range(count)]

    # Noise that two of them shared would count as a ghost, or as a larger step: each of the three has its own frames.
    step, again = (
        _enhanced(method, first, taken(False, method.frames)) - _enhanced(method, first, taken(True, method.frames))
        for _ in range(2)
    )
    size2 = float((step * again).sum())
    before, after, long_after = taken(False, method.frames), taken(True, AFTER), taken(True, method.frames)
    ghost, distance = [], []
    for frame in range(1, AFTER + 1):
        settled = _enhanced(method, first, long_after + after[:frame])
        left = _enhanced(method, first, before + after[:frame]) - settled
        ghost.append(float((left * step).sum()) / size2)
        distance.append(float(np.sqrt((left**2).sum() / size2)))
    return ghost, distance


def _enhanced(method: Method, scene: Scene, taken: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """What a tracker sees of the newest of the frames taken, oldest first; float64 (H * scale, W * scale, 3)."""
    (view,) = method.views(scene.moments(taken[-method.frames :], method.frames))
    return view.image.astype(np.float64)
