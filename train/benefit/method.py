"""Ways to give a tracker its eyes: as they are, interpolated, by a peer's network, or by an engine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Engine
from train.benefit.scene import Scene, View
from train.errors import DataError

Batch = NDArray[np.uint8]
PEERS = ("FSRCNN", "ESPCN")


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One way."""

    name: str
    enhance: Callable[[Batch], Batch] | None
    """uint8 (N, H, W, 3 * frames) to (N, H * scale, W * scale, 3), BGR; None: the raw patch."""
    frames: int = 1
    scale: int = 2
    """Of the truth that it is measured against, and of what enhance gives."""

    def views(self, scenes: list[Scene], *, still: bool = False) -> list[View]:
        """What a tracker sees of each scene. Windows of one size are enhanced as one batch."""
        if self.enhance is None:
            return [scene.raw() for scene in scenes]
        views: dict[int, View] = {}
        for size in sorted({scene.windows[0][2:] for scene in scenes}):
            chosen = [i for i, scene in enumerate(scenes) if scene.windows[0][2:] == size]
            batch = np.concatenate([scenes[i].patches(self.frames, still=still) for i in chosen])
            done = self.enhance(batch)
            views |= {i: scenes[i].enhanced(done[2 * k : 2 * k + 2]) for k, i in enumerate(chosen)}
        return [views[i] for i in range(len(scenes))]


def plain_methods() -> list[Method]:
    """The raw patch and OpenCV's interpolations, by 2."""
    interpolations = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
    return [Method(name="none", enhance=None)] + [
        Method(name=name, enhance=_interpolation(how, 2)) for name, how in interpolations.items()
    ]


def bicubic_method(scale: int) -> Method:
    """OpenCV's bicubic interpolation: what every network must beat."""
    return Method(name="bicubic", enhance=_interpolation(cv2.INTER_CUBIC, scale), scale=scale)


def peer_methods(folder: Path) -> list[Method]:
    """OpenCV's dnn_superres with FOLDER/FSRCNN_x2.pb and FOLDER/ESPCN_x2.pb; raises DataError when one is missing."""
    return [Method(name=name.lower(), enhance=_peer(folder / f"{name}_x2.pb", name.lower())) for name in PEERS]


def engine_method(engine: Engine, name: str) -> Method:
    """An engine under a name."""
    return Method(name=name, enhance=engine, frames=engine.frames, scale=engine.scale)


def _interpolation(how: int, scale: int) -> Callable[[Batch], Batch]:
    def enhance(batch: Batch) -> Batch:
        enlarged = [cv2.resize(patch, None, fx=scale, fy=scale, interpolation=how) for patch in batch]
        return np.asarray(enlarged, np.uint8)

    return enhance


def _peer(path: Path, name: str) -> Callable[[Batch], Batch]:
    network = cv2.dnn_superres.DnnSuperResImpl.create()
    try:
        network.readModel(str(path))
    except cv2.error as err:
        raise DataError(f"{path}: cannot be read as a model of OpenCV's dnn_superres: {err.err}") from err
    network.setModel(name, 2)

    def enhance(batch: Batch) -> Batch:
        return np.asarray([network.upsample(np.ascontiguousarray(patch)) for patch in batch], np.uint8)

    return enhance
