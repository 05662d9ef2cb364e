"""Look at it: the eyes of a source as the camera saw them, by bicubic, and enhanced, side by side, as one PNG.

    python benchmarks/contact_sheet.py [--source demo] [--rows 4] [--every 40] --out FILE

One row for each chosen frame: both eyes, three times, enlarged without smoothing. Nothing is published.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import tyro
from document import check_place
from errors import in_one_line
from numpy.typing import NDArray

from engines import load_engine
from engines.files import write_whole
from realtime.camera import open_camera
from realtime.config import CameraConfig, CropConfig
from realtime.crops import Cropper
from realtime.landmarks import FaceMesh
from realtime.pipeline import enhance
from train import checks

SIDE_PX = 200
"""Height of an eye on the sheet."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Draw a contact sheet of a source's eyes: raw, bicubic, enhanced."""

    out: Path
    source: str = "demo"
    """Video file or "demo"."""
    engine: str = "auto"
    tier: str = "default"
    rows: int = 4
    every: int = 40
    """Frames from one row to the next."""

    def __post_init__(self) -> None:
        checks.at_least(self, 1, "rows", "every")


def main(sheet: Sheet) -> None:
    """Write the sheet. Raises ValueError: no face, or a path at which no such picture can be written."""
    if not cv2.haveImageWriter(str(sheet.out)):
        raise ValueError(f"{sheet.out}: expected a name that ends as a picture's does, such as .png")
    check_place(sheet.out)
    camera = CameraConfig(source=sheet.source, as_fast_as_possible=True)
    rows = []
    with open_camera(camera) as frames, FaceMesh() as face_mesh, load_engine(sheet.engine, sheet.tier) as engine:
        cropper = Cropper(CropConfig(), frames=engine.frames)
        shown = islice(enhance(iter(frames.read, None), face_mesh, cropper, engine), sheet.every * sheet.rows)
        for number, enhanced in enumerate(shown):
            if number % sheet.every == sheet.every - 1 and enhanced.patches is not None:
                assert enhanced.crops.patches is not None
                raw = enhanced.crops.patches[..., :3]
                size = (enhanced.patches.shape[2], enhanced.patches.shape[1])
                bicubic = np.stack([cv2.resize(eye, size, interpolation=cv2.INTER_CUBIC) for eye in raw])
                rows.append(np.hstack([tile(eyes) for eyes in (raw, bicubic, enhanced.patches)]))
    if not rows:
        raise ValueError(f"{sheet.source}: expected a face within {sheet.every * sheet.rows} frames, found none")
    width = max(row.shape[1] for row in rows)
    picture = np.vstack([cv2.copyMakeBorder(row, 2, 2, 0, width - row.shape[1], cv2.BORDER_CONSTANT) for row in rows])
    write_whole(sheet.out, cv2.imencode(sheet.out.suffix, picture)[1].tobytes())
    print(f"{sheet.out}: {len(rows)} frames of {sheet.source}; raw, bicubic, {engine.tier} by {engine.name}")


def tile(eyes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Both eyes beside each other, SIDE_PX high. eyes: uint8 (2, h, w, 3)."""
    width = round(SIDE_PX * eyes.shape[2] / eyes.shape[1])
    large = [cv2.resize(eye, (width, SIDE_PX), interpolation=cv2.INTER_NEAREST) for eye in eyes]
    return np.asarray(cv2.copyMakeBorder(np.hstack(large), 0, 0, 4, 4, cv2.BORDER_CONSTANT), dtype=np.uint8)


if __name__ == "__main__":
    with in_one_line():
        main(tyro.cli(Sheet, description=__doc__))
