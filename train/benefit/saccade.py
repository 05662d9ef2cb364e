"""Does a temporal tier follow a jump of the eye, or does it smear the old place into the new one?"""

import numpy as np
from numpy.typing import NDArray

from train.benefit.method import Method
from train.benefit.pupil import GradientPupils
from train.benefit.scene import Scene, photographed
from train.benefit.synthetic import Appearance, drawn_face
from train.conditions import CONDITIONS, photograph

JUMP = 0.06
"""How far the iris jumps, as a share of the interocular distance: a saccade of some 15 degrees."""


def lag_after_jump(
    method: Method, reference: Method, *, condition: str = "webcam", interocular_px: float = 45, trials: int = 12
) -> NDArray[np.float64]:
    """How far the enhanced iris stays behind in the first, second and third frame after a jump, as shares of it.

    The first frame is the first that shows the iris in its new place. Float64 (3,), mean over trials with fresh noise,
    sub-pixel shifts, iris colours and four directions. The measure is the movement that the sub-pixel localiser sees
    from the frame before the jump, beside what it sees with the reference, a one-frame method: 0 means none behind it.
    """
    moved = {method.name: np.zeros(3), reference.name: np.zeros(3)}
    pupils = GradientPupils()
    for trial in range(trials):
        rng = np.random.default_rng([17, trial])
        direction = np.array([(1, 0), (-1, 0), (0.9, 0.3), (-0.9, -0.3)][trial % 4]) * JUMP
        moments = _jump(interocular_px, condition, direction, method.frames, method.scale, rng)
        for way in (method, reference):
            views = way.views(moments)
            seen = np.stack([pupils.read(view).mean(axis=0) for view in views])
            moved[way.name] += (seen[1:] - seen[0]) @ direction / (direction @ direction)
    return np.asarray((moved[reference.name] - moved[method.name]) / moved[reference.name])


def _jump(
    interocular_px: float,
    condition: str,
    jump: NDArray[np.float64],
    frames: int,
    scale: int,
    rng: np.random.Generator,
) -> list[Scene]:
    """The last moment before the jump and three after it; all in the coordinates of the face before it."""
    look = Appearance(iris=(0.2, 0.27, 0.36), pupil_share=float(rng.uniform(0.35, 0.5)))
    before = drawn_face(look, (-jump[0] / 2, -jump[1] / 2))
    after = drawn_face(look, (jump[0] / 2, jump[1] / 2))
    first = photographed(before, interocular_px, condition, 1, rng, scale)
    sharp = [first.sharp_of(face) for face in (before, after)]
    taken = [photograph(sharp[t >= frames], CONDITIONS[condition], rng, scale) for t in range(frames + 3)]
    return first.moments(taken, frames)
