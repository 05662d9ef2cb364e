"""Scores of a network on faces that it has not seen: {clean, webcam, dark} x {PSNR, SSIM}, beside bicubic's.

Each face is resized to an interocular distance of 64 low-resolution pixels, moved by a random fraction of a pixel, and
photographed; the frames of a temporal tier move by a random walk of half a low-resolution pixel. Scored are the two eye
windows, 64 x 48 low-resolution pixels.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.swinir import SwinIR
from train.conditions import CONDITIONS, photograph, random_walk, resized
from train.data import Face, load_labelled
from train.metrics import scores

Enhance = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
Table = dict[str, dict[str, dict[str, float]]]

WINDOW = (64, 48)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patches:
    """The test set in one condition."""

    lr: NDArray[np.uint8]
    """uint8 (n, 48, 64, 3T), BGR, newest frame first."""
    hr: NDArray[np.uint8]
    """uint8 (n, 48*scale, 64*scale, 3)."""


def eye_patches(
    faces: list[Face], condition: str, *, frames: int, scale: int = 2, interocular_px: float = 64, step: float = 0.5
) -> Patches:
    """Photograph every face and cut its eyes. The same seed gives the newest frame the same noise for every T."""
    lr, hr = [], []
    for number, face in enumerate(faces):
        rng = np.random.default_rng([20, number, *condition.encode()])
        factor = interocular_px * scale / face.interocular_px
        size = tuple(int(s * factor) // (2 * scale) * 2 * scale for s in face.image.shape[1::-1])
        shift = rng.uniform(-0.5, 0.5, 2)
        sharp, taken = None, []
        walk = random_walk(frames, step * scale, np.random.default_rng([21, number]))
        for dx, dy in walk:
            moved = resized(face.image, factor, (size[0], size[1]), (shift[0] + dx, shift[1] + dy))
            sharp = moved if sharp is None else sharp
            taken.append(photograph(moved, CONDITIONS[condition], rng, scale))
        assert sharp is not None
        picture = np.concatenate(taken, axis=2)
        for eye in ((face.eyes + 0.5) * factor - 0.5 + shift) / scale:
            x, y = (round(float(c - w / 2)) for c, w in zip(eye, WINDOW, strict=True))
            x, y = max(0, min(x, picture.shape[1] - WINDOW[0])), max(0, min(y, picture.shape[0] - WINDOW[1]))
            lr.append(picture[y : y + WINDOW[1], x : x + WINDOW[0]])
            hr.append(sharp[scale * y : scale * (y + WINDOW[1]), scale * x : scale * (x + WINDOW[0])])
    return Patches(lr=np.stack(lr), hr=np.stack(hr))


def interpolation(how: int, scale: int) -> Enhance:
    """An interpolating method of OpenCV's on the newest frame, as a batch function."""

    def enhance(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        resize = [cv2.resize(x[..., :3], None, fx=scale, fy=scale, interpolation=how) for x in batch]
        return np.asarray(np.stack(resize), dtype=np.uint8)

    return enhance


def network(model: SwinIR) -> Enhance:
    """The generator as a batch function: uint8 (N, H, W, 3T) -> uint8 (N, H*scale, W*scale, 3)."""

    @torch.inference_mode()
    def enhance(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        device = next(model.parameters()).device
        made = []
        for part in np.array_split(batch, max(1, len(batch) // 16)):
            x = torch.from_numpy(part.transpose(0, 3, 1, 2).copy()).to(device).float() / 255
            y = (model(x).clamp(0, 1) * 255 + 0.5).floor().byte()
            made.append(y.permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(made)

    return enhance


def mean_scores(patches: Patches, enhance: Enhance) -> dict[str, float]:
    """The mean over patches of every score."""
    rows = [scores(a, b) for a, b in zip(enhance(patches.lr), patches.hr, strict=True)]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def evaluate(model: SwinIR, val_dir: Path, *, every: int = 1, step: float = 0.5) -> Table:
    """{"clean" | "webcam" | "dark": {"tier" | "bicubic" | "lanczos": {"psnr_rgb", "psnr_y", "ssim"}}}."""
    faces = load_labelled(val_dir)[::every]
    scale, table = model.config.scale, {}
    for condition in CONDITIONS:
        patches = eye_patches(faces, condition, frames=model.config.frames, scale=scale, step=step)
        table[condition] = {
            "tier": mean_scores(patches, network(model)),
            "bicubic": mean_scores(patches, interpolation(cv2.INTER_CUBIC, scale)),
            "lanczos": mean_scores(patches, interpolation(cv2.INTER_LANCZOS4, scale)),
        }
    return table


def as_text(table: Table, name: str) -> str:
    """The table for people."""
    lines = [f"{'condition':10}{'method':12}{'RGB dB':>8}{'Y dB':>8}{'SSIM':>8}"]
    for condition, methods in table.items():
        for method, score in methods.items():
            shown = name if method == "tier" else method
            lines.append(f"{condition:10}{shown:12}{score['psnr_rgb']:8.2f}{score['psnr_y']:8.2f}{score['ssim']:8.4f}")
    return "\n".join(lines)


def write_json(table: Table, name: str, path: Path) -> None:
    """The table for machines."""
    path.write_text(json.dumps({"tier": name, "conditions": table}, indent=1) + "\n")
