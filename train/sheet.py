"""Side-by-side pictures: the input, methods, the truth (the paper's figure 3)."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.evaluate import WINDOW, Enhance, Exam, interpolation
from train.files import write_whole
from train.metrics import psnr

Image = NDArray[np.uint8]
ENLARGED = 2
CAPTION_PX = 22
NAME_LENGTH = 20
"""Letters of a method's name that fit above its picture beside the PSNR; of a longer name, its end."""


def sheet(exam: Exam, methods: Mapping[str, tuple[int, Enhance]], *, eyes: int = 2) -> Image:
    """Rows: `eyes` eyes in each condition. Columns: low resolution, bicubic, each method, truth; with RGB PSNR.

    methods: by name, the number of frames that it takes, at most the exam's, and the batch function.
    Returns uint8 (H, W, 3), BGR.
    """
    columns: dict[str, tuple[int, Enhance]] = {"bicubic": (1, interpolation(cv2.INTER_CUBIC, exam.scale)), **methods}
    rows = []
    for condition, patches in exam.patches.items():
        chosen = np.linspace(0, len(patches.lr) - 1, eyes).astype(int)
        lr, truth = patches.lr[chosen], patches.hr[chosen]
        made = {name: enhance(lr[..., : 3 * frames]) for name, (frames, enhance) in columns.items()}
        for i in range(len(chosen)):
            tiles = [_tile(lr[i, ..., :3], condition)]
            tiles += [
                _tile(batch[i], f"{name[-NAME_LENGTH:]} {psnr(batch[i], truth[i]):.2f} dB")
                for name, batch in made.items()
            ]
            rows.append(np.hstack([*tiles, _tile(truth[i], "truth")]))
    return np.vstack(rows)


def write_sheet(path: Path, image: Image) -> None:
    """Write it as PNG; raises TrainError."""
    write_whole(path, cv2.imencode(".png", image)[1].tobytes())


def _tile(image: Image, caption: str) -> Image:
    size = (WINDOW[0] * ENLARGED, WINDOW[1] * ENLARGED)
    large = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    framed = cv2.copyMakeBorder(large, CAPTION_PX, 2, 2, 2, cv2.BORDER_CONSTANT, value=(24, 24, 24))
    cv2.putText(framed, caption, (5, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (240, 240, 240), 1, cv2.LINE_AA)
    return np.asarray(framed, dtype=np.uint8)
