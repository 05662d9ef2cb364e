"""Scores on faces that a network has not seen: {clean, webcam, dark} x {PSNR, SSIM} x {RGB, Y}, beside bicubic's and
Lanczos's.

Each face is resized so that its eyes are 128 pixels apart, moved by a random fraction of a pixel, and photographed at
1 / scale of that: 64 low-resolution pixels at x2, 32 at x4, and the same truth for every scale. The frames of a
temporal tier move by a random walk of half a low-resolution pixel. Scored are the two eye windows, 128 x 96 pixels of
the truth. Faces that would have to be enlarged for that are left out.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.back_projection import back_project
from engines.frame_stack import FrameStack
from engines.swinir import SwinIR
from train.conditions import CONDITIONS, photograph, random_walk, resized
from train.data import Face, load_labelled
from train.errors import DataError
from train.files import write_whole
from train.metrics import scores
from train.perceptual import Distance

Enhance = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
Table = dict[str, dict[str, dict[str, float]]]

INTEROCULAR_PX = 128.0
"""Of the truth."""
WINDOW = (128, 96)
"""Width and height of a scored window of the truth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patches:
    """The test set in one condition."""

    lr: NDArray[np.uint8]
    """uint8 (n, 96 / scale, 128 / scale, 3T), BGR, newest frame first."""
    hr: NDArray[np.uint8]
    """uint8 (n, 96, 128, 3)."""


def scorable(faces: list[Face]) -> list[Face]:
    """The faces that have a truth: those that need not be enlarged for it, and hold a window.

    Raises DataError when there is none.
    """
    found = []
    for face in faces:
        factor = INTEROCULAR_PX / face.interocular_px
        height, width = (int(side * factor) for side in face.image.shape[:2])
        if factor <= 1 and width >= WINDOW[0] and height >= WINDOW[1]:
            found.append(face)
    if not found:
        widest = max(faces, key=lambda f: f.interocular_px)
        height, width = widest.image.shape[:2]
        raise DataError(
            f"expected faces with at least {INTEROCULAR_PX:.0f} pixels between the eyes, and {WINDOW[0]}x{WINDOW[1]} "
            f"around them where they are {INTEROCULAR_PX:.0f} apart, got none of {len(faces)} ({widest.name}: "
            f"{widest.interocular_px:.0f}, {width}x{height}); give larger faces"
        )
    return found


def eye_patches(faces: list[Face], condition: str, *, frames: int, scale: int = 2, step: float = 0.5) -> Patches:
    """Photograph every face and cut its eyes; the first frames are the same for every number of frames.

    faces: all of them scorable(). step: motion in low-resolution pixels a frame.
    """
    lr, hr = [], []
    width, height = WINDOW[0] // scale, WINDOW[1] // scale
    for number, face in enumerate(faces):
        rng = np.random.default_rng([20, number, *condition.encode()])
        factor = INTEROCULAR_PX / face.interocular_px
        size = tuple(int(s * factor) // (2 * scale) * 2 * scale for s in face.image.shape[1::-1])
        shift = rng.uniform(-0.5, 0.5, 2)
        sharp, taken = None, []
        walk = random_walk(frames, step * scale, np.random.default_rng([21, number]))
        for dx, dy in walk:
            moved = resized(face.image, factor, (size[0], size[1]), (shift[0] + dx, shift[1] + dy))
            sharp = moved if sharp is None else sharp
            taken.append(photograph(moved, CONDITIONS[condition], rng, scale))
        assert sharp is not None
        room = np.subtract(taken[0].shape[1::-1], (width, height))
        for eye in ((face.eyes + 0.5) * factor - 0.5 + shift) / scale:
            x, y = np.clip(np.rint(eye - (width / 2, height / 2)), 0, room).astype(int).tolist()
            (patch,) = FrameStack(frames).push_all(taken, [(x, y, width, height)])
            lr.append(patch)
            hr.append(sharp[scale * y : scale * (y + height), scale * x : scale * (x + width)])
    return Patches(lr=np.stack(lr), hr=np.stack(hr))


def interpolation(how: int, scale: int) -> Enhance:
    """An interpolating method of OpenCV's on the newest frame, as a batch function."""

    def enhance(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        resize = [cv2.resize(x[..., :3], None, fx=scale, fy=scale, interpolation=how) for x in batch]
        return np.asarray(np.stack(resize), dtype=np.uint8)

    return enhance


def network(model: SwinIR) -> Enhance:
    """The generator as engines run it, as a batch function: uint8 (N, H, W, 3T) -> uint8 (N, H*scale, W*scale, 3)."""

    @torch.inference_mode()
    def enhance(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        device = next(model.parameters()).device
        made = []
        for part in np.array_split(batch, max(1, len(batch) // 16)):
            x = torch.from_numpy(part.transpose(0, 3, 1, 2).copy()).to(device).float() / 255
            y = (model(x).clamp(0, 1) * 255 + 0.5).floor().byte()
            made.append(back_project(part, y.permute(0, 2, 3, 1).contiguous().cpu().numpy()))
        return np.concatenate(made)

    return enhance


class Exam:
    """The labelled faces of a folder, photographed once; scores any method on them.

    Faces that are too small are left out. Raises DataError: a face cannot be read, or none is left. every: takes one
    face in so many. perceptual: adds "lpips" to the scores.
    """

    def __init__(
        self,
        val_dir: Path,
        *,
        frames: int,
        scale: int,
        every: int = 1,
        step: float = 0.5,
        perceptual: Distance | None = None,
    ) -> None:
        faces = scorable(load_labelled(val_dir))[::every]
        self.frames, self.scale, self._perceptual = frames, scale, perceptual
        self.patches = {c: eye_patches(faces, c, frames=frames, scale=scale, step=step) for c in CONDITIONS}
        baselines = {"bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
        self._baselines = {
            c: {name: self.mean_scores(patches, interpolation(how, scale)) for name, how in baselines.items()}
            for c, patches in self.patches.items()
        }

    def table(self, enhance: Enhance) -> Table:
        """{"clean" | "webcam" | "dark": {"tier" | "bicubic" | "lanczos": train.metrics.scores()}}."""
        return {c: {"tier": self.mean_scores(p, enhance)} | self._baselines[c] for c, p in self.patches.items()}

    def mean_scores(self, patches: Patches, enhance: Enhance) -> dict[str, float]:
        """The mean over patches of every score."""
        made = enhance(patches.lr)
        rows = [scores(image, truth) for image, truth in zip(made, patches.hr, strict=True)]
        mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        return mean | ({"lpips": self._perceptual(made, patches.hr)} if self._perceptual else {})


def as_text(table: Table, name: str) -> str:
    """The table for people."""
    columns = {
        "psnr_rgb": ("RGB dB", 2),
        "psnr_y": ("Y dB", 2),
        "ssim_rgb": ("RGB SSIM", 4),
        "ssim": ("Y SSIM", 4),
        "lpips": ("LPIPS", 4),
    }
    shown = [key for key in columns if key in next(iter(table.values()))["tier"]]
    wide = max(12, len(name) + 2)
    lines = [f"{'condition':11}{'method':{wide}}" + "".join(f"{columns[key][0]:>10}" for key in shown)]
    for condition, methods in table.items():
        for method, score in methods.items():
            figures = "".join(f"{score[key]:10.{columns[key][1]}f}" for key in shown)
            lines.append(f"{condition:11}{name if method == 'tier' else method:{wide}}{figures}")
    return "\n".join(lines)


def write_json(path: Path, table: Table, about: Mapping[str, Any]) -> None:
    """The table for machines, and beside it what it is of; raises TrainError."""
    write_whole(path, (json.dumps({**about, "conditions": table}, indent=1) + "\n").encode())
