"""Every method, read by every consumer, on every face, at every size, in every condition: the numbers themselves."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.window import Window
from train.benefit.faces import LabelledFace
from train.benefit.method import Method
from train.benefit.scene import View, photographed
from train.conditions import CONDITIONS
from train.metrics import scores

SIZES_PX = (30, 45, 60, 80)
HIGHER_IS_BETTER = ("limbus_sharpness", "psnr_rgb", "psnr_y", "ssim", "ssim_rgb")


class Consumer(Protocol):
    """Something that a tracker does with a picture."""

    name: str

    def read(self, view: View) -> NDArray[np.float64]:
        """Its answer on a picture."""

    def compare(
        self, reading: NDArray[np.float64], truth: NDArray[np.float64], usual: NDArray[np.float64]
    ) -> dict[str, float]:
        """Quantities of an answer beside the answer on the sharp picture, and the mean of these over all faces."""

    def spread(self, readings: NDArray[np.float64]) -> dict[str, float]:
        """Standard deviations of answers (count, ...) on one still face."""


class Key(NamedTuple):
    """What one column of numbers is about."""

    quantity: str
    condition: str
    interocular_px: int
    method: str
    motion: str
    """walk: the face moves; still: it does not. One-frame methods are only measured under walk: it is the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """The numbers."""

    faces: list[str]
    values: dict[Key, NDArray[np.float64]] = field(default_factory=dict)
    """One value for each face, NaN where there is none."""

    def put(self, key: Key, face: int, value: float) -> None:
        """Store one number."""
        self.values.setdefault(key, np.full(len(self.faces), np.nan))[face] = value

    def get(self, key: Key) -> NDArray[np.float64] | None:
        """One value for each face, None if there are none; a one-frame method's numbers serve for a still face too."""
        found = self.values.get(key)
        return self.values.get(key._replace(motion="walk")) if found is None else found

    def mean(self, key: Key) -> float:
        """Over faces; NaN where there is nothing."""
        values = self.get(key)
        return float("nan") if values is None or np.isnan(values).all() else float(np.nanmean(values))


def conduct(
    faces: Sequence[LabelledFace],
    methods: Sequence[Method],
    consumers: Sequence[Consumer],
    *,
    sizes_px: Iterable[int] = SIZES_PX,
    conditions: Iterable[str] = tuple(CONDITIONS),
    still: bool = True,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> Study:
    """Photograph every face and ask every consumer.

    still: ask temporal methods about faces that do not move, too. A face is left out at sizes that it would have to be
    enlarged for. What the newest frame shows depends on seed, size, condition and the face's place in the list alone;
    older frames also on how many the most demanding method takes. Raises ValueError for methods of several scales.
    """
    scale = common_scale(methods)
    study = Study(faces=[face.name for face in faces])
    frames = max(method.frames for method in methods)
    for size in sizes_px:
        large = [i for i, face in enumerate(faces) if face.interocular_px >= scale * size]
        for condition in conditions:
            progress(f"{condition}, {size} px, {len(large)} faces")
            if not large:
                continue
            number = list(CONDITIONS).index(condition)
            scenes = [
                photographed(faces[i], size, condition, frames, np.random.default_rng([seed, i, size, number]), scale)
                for i in large
            ]
            truths = [[consumer.read(scene.truth()) for scene in scenes] for consumer in consumers]
            usual = [_known_mean(np.stack(readings)) for readings in truths]
            for method in methods:
                for motion in ("walk", "still") if still and method.frames > 1 else ("walk",):
                    for k, view in enumerate(method.views(scenes, still=motion == "still")):
                        found = {} if view.scale == 1 else eye_scores(view)
                        for consumer, truth, mean in zip(consumers, truths, usual, strict=True):
                            found |= consumer.compare(consumer.read(view), truth[k], mean)
                        for quantity, value in found.items():
                            study.put(Key(quantity, condition, size, method.name, motion), large[k], value)
    return study


def common_scale(methods: Sequence[Method]) -> int:
    """Of all of them; raises ValueError when they have several."""
    scales = {method.scale for method in methods}
    if len(scales) != 1:
        found = ", ".join(f"{method.name} x{method.scale}" for method in methods)
        raise ValueError(f"methods: expected one scale, got {found}; measure each scale by itself")
    return scales.pop()


def _known_mean(readings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(readings)
    total = np.where(known, readings, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def eye_scores(view: View) -> dict[str, float]:
    """PSNR and SSIM of the eyes' windows against the sharp picture, mean over both eyes."""
    scene = view.scene
    each = [
        scores(*(_piece(picture, window, scene.scale) for picture in (view.image, scene.sharp)))
        for window in scene.windows
    ]
    return {name: float(np.mean([eye[name] for eye in each])) for name in each[0]}


def _piece(image: NDArray[np.uint8], window: Window, scale: int) -> NDArray[np.uint8]:
    x, y, width, height = (scale * side for side in window)
    return image[max(y, 0) : y + height, max(x, 0) : x + width]
