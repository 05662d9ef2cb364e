"""Labelled faces, sharp and large: the truth that every figure is measured against."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from train.errors import DataError
from train.files import beside

CORNERS = (33, 133, 362, 263)
"""Face Mesh points: the image-left eye's outer and inner corner, the image-right eye's inner and outer one."""
IRIS_CENTRES = (468, 473)
IRIS_RIMS = ((469, 470, 471, 472), (474, 475, 476, 477))
MARGIN = 0.2
"""Of the picture around the face that is kept, in face widths: nothing else is looked at."""
Half = Literal["first", "second"]
HALVES: tuple[Half, Half] = ("first", "second")
"""Of the faces: weights are chosen on one, and judged on the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFace:
    """A sharp face with its eyes. Points are x, y in its pixels, centres at integers, image-left eye first."""

    name: str
    image: NDArray[np.uint8]
    """uint8 (H, W, 3), BGR."""
    corners: NDArray[np.float64]
    """float64 (4, 2), in the order of CORNERS."""
    pupils: NDArray[np.float64]
    """float64 (2, 2)."""
    rims: NDArray[np.float64]
    """float64 (2, K, 2): points on the rim of each iris."""
    box: tuple[int, int, int, int]
    """The face: left, top, right, bottom."""

    @property
    def interocular_px(self) -> float:
        return float(np.hypot(*(self.pupils[1] - self.pupils[0])))


class Mesh:
    """MediaPipe's Face Mesh with iris on single pictures. Close it, or use face_mesh()."""

    def __init__(self) -> None:
        from mediapipe.python.solutions.face_mesh import FaceMesh

        self._mesh: Any = FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """float64 (478, 2), x, y in pixels of a uint8 (H, W, 3) BGR image; None when no face is found."""
        faces = self._mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks
        if not faces:
            return None
        height, width = image.shape[:2]
        return np.array([[p.x * width - 0.5, p.y * height - 0.5] for p in faces[0].landmark])

    def close(self) -> None:
        self._mesh.close()


@contextmanager
def face_mesh() -> Iterator[Mesh]:
    """A Mesh that is closed at the end."""
    mesh = Mesh()
    try:
        yield mesh
    finally:
        mesh.close()


def half_of(name: str) -> Half:
    """The half that a face belongs to, by its name alone (CRC-32): more faces move none to the other half."""
    return HALVES[zlib.crc32(name.encode()) % 2]


def labelled_manifest(folder: Path) -> Path:
    """FOLDER/val.json, FOLDER/manifest.json or FOLDER.json; raises DataError when there is none."""
    manifests = (folder / "val.json", folder / "manifest.json", beside(folder))
    manifest = next((path for path in manifests if path.is_file()), None)
    if manifest is None:
        raise DataError(f"{folder}: expected val.json beside the faces that it names; give the folder that holds it")
    return manifest


def load_faces(folder: Path, mesh: Mesh, limit: int | None = None, half: Half | None = None) -> list[LabelledFace]:
    """Read the labelled faces of a folder: its manifest, and the images that this names.

    Each row has "file", and where there are hand labels "pupil_px" (2 points) and "iris_rim_px" (2 lists of points);
    what is not labelled is the mesh's own answer on the sharp picture. half: only the faces of this one. With a limit,
    faces are taken evenly over those. Faces without a mesh are left out. Raises DataError: no manifest, unreadable
    image, no usable face.
    """
    manifest = labelled_manifest(folder)
    try:
        rows = [row for row in json.loads(manifest.read_text()) if half in (None, half_of(Path(row["file"]).stem))]
        count = min(limit or len(rows), len(rows))
        chosen = np.linspace(0, len(rows) - 1, count).round().astype(int)
        found = [_load(manifest.parent, rows[i], mesh) for i in chosen]
    except (ValueError, KeyError, TypeError, IndexError) as err:
        raise DataError(f"{manifest}: not a manifest of labelled faces: {err!r}; see --help for its keys") from err
    faces = [face for face in found if face is not None]
    if not faces:
        raise DataError(f"{manifest}: expected pictures with a face, found none; give other pictures")
    return faces


def _load(root: Path, row: dict[str, Any], mesh: Mesh) -> LabelledFace | None:
    path = root / str(row["file"])
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path}: expected an image, cannot be read; remove its row from the manifest")
    return label(path.stem, np.asarray(image, np.uint8), mesh, row.get("pupil_px"), row.get("iris_rim_px"))


def label(
    name: str,
    image: NDArray[np.uint8],
    mesh: Mesh,
    pupils: object = None,
    rims: object = None,
    *,
    margin: float | None = MARGIN,
) -> LabelledFace | None:
    """A face cut from a picture, with its hand labels or else the mesh's answer; None when there is no face.

    margin: kept around the face, in face widths; None keeps the whole picture.
    """
    points = mesh(image)
    if points is None:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    reach = np.inf if margin is None else margin * (high[0] - low[0])
    start = np.maximum(low - reach, 0).astype(int)
    end = np.minimum(high + reach, image.shape[1::-1]).astype(int)
    (left, top), (right, bottom) = np.maximum(low, 0).astype(int) - start, high.astype(int) - start
    found_pupils = points[list(IRIS_CENTRES)] if pupils is None else np.asarray(pupils, np.float64)
    found_rims = [points[list(rim)] for rim in IRIS_RIMS] if rims is None else rims
    return LabelledFace(
        name=name,
        image=image[start[1] : end[1], start[0] : end[0]].copy(),
        corners=points[list(CORNERS)] - start,
        pupils=found_pupils.reshape(2, 2) - start,
        rims=np.asarray(found_rims, np.float64).reshape(2, -1, 2) - start,
        box=(int(left), int(top), int(right), int(bottom)),
    )
