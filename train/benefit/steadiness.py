"""How much a consumer's answer trembles on a face that does not move."""

from collections.abc import Iterable, Sequence

import numpy as np

from train.benefit.faces import LabelledFace
from train.benefit.method import Method
from train.benefit.scene import Scene, photographed
from train.benefit.study import Consumer, Key, Study, common_scale
from train.conditions import CONDITIONS, photograph


def still_scenes(
    face: LabelledFace,
    interocular_px: float,
    condition: str,
    count: int,
    frames: int,
    rng: np.random.Generator,
    scale: int = 2,
) -> list[Scene]:
    """A still face under fresh noise: `count` consecutive moments, each with its last `frames` frames, newest first."""
    first = photographed(face, interocular_px, condition, 1, rng, scale)
    taken = [photograph(first.sharp, CONDITIONS[condition], rng, scale) for _ in range(count + frames - 1)]
    return first.moments(taken, frames)


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
    frames, scale = max(method.frames for method in methods), common_scale(methods)
    for condition in conditions:
        for face in faces:
            at = study.faces.index(face.name)
            rng = np.random.default_rng([seed, at])
            scenes = still_scenes(face, interocular_px, condition, count, frames, rng, scale)
            for method in methods:
                views = method.views(scenes)
                for consumer in consumers:
                    for quantity, value in consumer.spread(np.stack([consumer.read(view) for view in views])).items():
                        study.put(Key(quantity, condition, interocular_px, method.name, "still"), at, value)
