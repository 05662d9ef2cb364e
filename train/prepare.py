"""Finds the eyes in a folder of faces and writes FOLDER/manifest.json, which training reads."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.benefit.faces import IRIS_CENTRES, Mesh, face_mesh
from train.errors import DataError
from train.files import write_whole
from train.images import SUFFIXES, read_image


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What became of the pictures."""

    manifest: Path
    kept: int
    rejected: dict[str, str] = field(default_factory=dict)
    """File: the reason, which begins with "too small", "no face" or "unreadable"."""

    def as_text(self) -> str:
        """The report for people."""
        lines = [f"{file}: {reason}" for file, reason in self.rejected.items()]
        counts = Counter(reason.split(":")[0] for reason in self.rejected.values())
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        lines.append(f"{self.manifest}: {self.kept} faces; {len(self.rejected)} rejected{f' ({why})' if why else ''}")
        return "\n".join(lines)


def prepare(folder: Path, *, min_interocular_px: float = 50.0) -> Prepared:
    """Look at every picture under the folder and write the manifest, whole or not at all.

    A row of the manifest is {"file": path in the folder, "size": [width, height], "eyes_px": [[x, y], [x, y]]}, the
    image-left eye first, pixel centres at integers. min_interocular_px: faces whose eyes are nearer are rejected.
    Raises DataError: no folder, no picture, no usable face; TrainError: the disk does not take the manifest.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of pictures, found none there")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise DataError(f"{folder}: expected pictures ({', '.join(sorted(SUFFIXES))}), found none; give another folder")
    rows: list[dict[str, Any]] = []
    rejected = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with face_mesh() as mesh, Progress(*columns) as progress:
        for path in progress.track(paths, description="finding eyes"):
            name = path.relative_to(folder).as_posix()
            try:
                rows.append({"file": name} | _look_at(path, mesh, min_interocular_px))
            except DataError as err:
                rejected[name] = str(err).removeprefix(f"{path}: ")
    result = Prepared(manifest=folder / "manifest.json", kept=len(rows), rejected=rejected)
    if not rows:
        raise DataError(f"{result.as_text()}; give larger or other pictures")
    write_whole(result.manifest, (json.dumps(rows, indent=1) + "\n").encode())
    return result


def _look_at(path: Path, mesh: Mesh, min_interocular_px: float) -> dict[str, Any]:
    """Size and eyes of one picture; raises DataError with the reason to reject it."""
    try:
        image = read_image(path)
    except DataError as err:
        raise DataError(f"unreadable: {str(err).removeprefix(f'{path}: ')}") from err
    points = mesh(image)
    if points is None:
        raise DataError("no face: none was found")
    eyes = sorted(points[list(IRIS_CENTRES)].tolist())
    distance = float(np.hypot(*np.subtract(eyes[1], eyes[0])))
    if distance < min_interocular_px:
        raise DataError(f"too small: expected {min_interocular_px:g} pixels between the eyes, got {distance:.0f}")
    return {"size": [image.shape[1], image.shape[0]], "eyes_px": [[round(v, 2) for v in eye] for eye in eyes]}
