"""A person looks at known points, a tracker is calibrated on nine of them and asked for others: how far off is it?

The irises of a photographed face are turned in their sockets, so that the answer is known, and what a consumer reads in
the picture becomes gaze by least squares, as calibrations do (Hansen and Ji 2010, "In the eye of the beholder").
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from train.benefit.faces import LabelledFace
from train.benefit.method import Method
from train.benefit.scene import photographed
from train.benefit.study import Consumer, Key, Study, common_scale
from train.conditions import CONDITIONS
from train.data import displace

REACH = (0.05, 0.025)
"""How far an iris goes to the sides, and up and down, as a share of the interocular distance."""
EYEBALL = 0.19
"""The eyeball's radius, as a share of it: 12 of 63 mm. An iris that moves by s has turned by s / EYEBALL radians."""
SOCKET = 0.22
"""Radius of what moves with the iris, as a share of it: the inner half as a whole, which is the iris and its rim."""
LEARNT = tuple((x, y) for y in (-1.0, 0.0, 1.0) for x in (-1.0, 0.0, 1.0))
ASKED = tuple((x, y) for y in (-0.5, 0.5) for x in (-0.6, 0.0, 0.6))
"""Points that a person looks at, in shares of REACH."""


def looking(face: LabelledFace, towards: tuple[float, float]) -> LabelledFace:
    """The face with both irises turned towards a point (x, y), each from -1 to 1; its labels stay where they were."""
    x, y = np.multiply(towards, REACH) * face.interocular_px
    image = face.image
    for pupil in face.pupils:
        arrived = (float(pupil[0] + x), float(pupil[1] + y))
        image = displace(image, arrived, SOCKET * face.interocular_px, (float(x), float(y)))
    return replace(face, image=image)


def calibrated_error(signals: NDArray[np.float64], points: NDArray[np.float64], learnt: NDArray[np.bool_]) -> float:
    """Mean error in degrees of an affine map from signals, learnt on some rows and asked on the others.

    signals: (n, k). points: (n, 2) in shares of REACH. Rows with NaN are left out; NaN when fewer than k + 2 are left
    to learn from, or none to ask.
    """
    gaze_deg = np.degrees(points * REACH / EYEBALL)
    known = ~np.isnan(signals).any(axis=1)
    design = np.column_stack([np.ones(len(signals)), signals])
    taught, asked = known & learnt, known & ~learnt
    if taught.sum() < design.shape[1] + 1 or not asked.any():
        return float("nan")
    solution = np.linalg.lstsq(design[taught], gaze_deg[taught], rcond=None)[0]
    return float(np.linalg.norm(design[asked] @ solution - gaze_deg[asked], axis=1).mean())


def track(
    study: Study,
    faces: Sequence[LabelledFace],
    methods: Sequence[Method],
    consumers: Sequence[Consumer],
    *,
    draws: int = 2,
    conditions: Iterable[str] = tuple(CONDITIONS),
    interocular_px: int = 45,
    seed: int = 0,
) -> None:
    """Put into the study, as NAME_tracked_deg under motion "walk", the error of a tracker that reads each consumer.

    Beside the methods "truth" is measured, the sharp picture: what is left there is the consumer's own. faces: some of
    the study's, by name. draws: pictures of each point, with fresh noise and shifts.
    """
    frames, scale = max(method.frames for method in methods), common_scale(methods)
    points = np.repeat([*LEARNT, *ASKED], draws, axis=0)
    learnt = np.arange(len(points)) < draws * len(LEARNT)
    for face in faces:
        at = study.faces.index(face.name)
        turned = [looking(face, point) for point in [*LEARNT, *ASKED]]
        for number, condition in enumerate(conditions):
            rng = np.random.default_rng([seed, at, number, 31])
            scenes = [
                photographed(seen, interocular_px, condition, frames, rng, scale)
                for seen in turned
                for _ in range(draws)
            ]
            views = {method.name: method.views(scenes) for method in methods}
            views["truth"] = [scene.truth() for scene in scenes]
            for name, consumer in product(views, consumers):
                signals = np.stack([consumer.read(view).ravel() for view in views[name]])
                key = Key(f"{consumer.name}_tracked_deg", condition, interocular_px, name, "walk")
                study.put(key, at, calibrated_error(signals, points, learnt))
