"""Pupil centres: the classical localiser of means of gradients, and MediaPipe's iris.

F. Timm, E. Barth, "Accurate eye centre localisation by means of gradients", VISAPP 2011: the centre is where the unit
vectors to the strong gradients around it agree best with these gradients, dark places weighing more. Here with a
parabola through the maximum's neighbours, for sub-pixel steps.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from train.benefit.faces import IRIS_CENTRES, Mesh
from train.benefit.scene import View

WIDTH, HEIGHT = 0.9, 0.5
"""The searched box around the eye's middle, in eye widths."""
BLUR = 0.02
"""Smoothing before the gradient, in eye widths."""
STRONG = 0.3
"""Gradients count from this many standard deviations above their mean (Timm and Barth)."""


def pupil_centre(image: NDArray[np.uint8], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre of the pupil, float64 (2,) in pixels of a uint8 (H, W, 3) BGR image, between the eye corners a and b.

    NaN when the eye shows no gradients.
    """
    middle, eye_width = (a + b) / 2, float(np.hypot(*(a - b)))
    half = np.array([WIDTH, HEIGHT]) * eye_width / 2
    left, top = np.maximum(np.floor(middle - half), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + half) + 1, image.shape[1::-1]).astype(int)
    if right - left < 5 or bottom - top < 5:
        return np.full(2, np.nan)
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2GRAY).astype(np.float32)
    sigma = BLUR * eye_width
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma) if sigma > 0.3 else grey
    gy, gx = np.gradient(smooth)
    length = np.hypot(gx, gy)
    strong = length > length.mean() + STRONG * length.std()
    if not strong.any():
        return np.full(2, np.nan)
    row, column = np.nonzero(strong)
    unit = np.stack([gx[strong], gy[strong]], axis=1) / length[strong][:, None]
    score = agreement(grey.shape, np.stack([column, row], axis=1).astype(np.float32), unit.astype(np.float32))
    score *= 255 - cv2.GaussianBlur(grey, (0, 0), max(2 * sigma, 0.5))
    return np.asarray(peak(score) + (left, top))


def agreement(shape: tuple[int, ...], places: NDArray[np.float32], units: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean squared agreement of each pixel of a (H, W) image as the centre, float32 (H, W); the paper's eq. 2.

    places: (N, 2) x, y of the gradients. units: (N, 2) their directions. Only gradients that point outwards count,
    as a pupil is darker than what surrounds it.
    """
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    dx = places[:, 0] - x.reshape(-1, 1)
    dy = places[:, 1] - y.reshape(-1, 1)
    along = dx * units[:, 0] + dy * units[:, 1]
    squared = np.maximum(along, 0) ** 2 / np.maximum(dx**2 + dy**2, 1e-6)
    return np.asarray(squared.mean(axis=1).reshape(shape), np.float32)


def peak(score: NDArray[np.float32]) -> NDArray[np.float64]:
    """x, y of the highest pixel of (H, W), refined by a parabola along each axis."""
    row, column = divmod(int(score.argmax()), score.shape[1])
    return np.array([column + _vertex(score[row], column), row + _vertex(score[:, column], row)])


def _vertex(line: NDArray[np.float32], at: int) -> float:
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, after = (float(line[at + step]) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


class GradientPupils:
    """Both pupils by means of gradients."""

    name = "pupil_gradients"

    def read(self, view: View) -> NDArray[np.float64]:
        """float64 (2, 2), as shares of the interocular distance from the labelled pupils."""
        corners = view.at(view.scene.face.corners)
        found = np.stack([pupil_centre(view.image, corners[i], corners[i + 1]) for i in (0, 2)])
        return np.asarray((found - view.at(view.scene.face.pupils)) / view.interocular_px)

    def compare(self, reading: NDArray[np.float64], truth: NDArray[np.float64], view: View) -> dict[str, float]:
        """Mean distance over both eyes from the label, and from the answer on the sharp picture."""
        return _distances(self.name, reading, truth)


class MeshPupils:
    """Both pupils as MediaPipe's iris landmarks on the whole picture."""

    name = "pupil_mesh"

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    def read(self, view: View) -> NDArray[np.float64]:
        """As GradientPupils.read; NaN where no face is found."""
        points = self._mesh(view.image)
        found = np.full((2, 2), np.nan) if points is None else points[list(IRIS_CENTRES)]
        return np.asarray((found - view.at(view.scene.face.pupils)) / view.interocular_px)

    def compare(self, reading: NDArray[np.float64], truth: NDArray[np.float64], view: View) -> dict[str, float]:
        """As GradientPupils.compare."""
        return _distances(self.name, reading, truth)


def _distances(name: str, reading: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float]:
    return {
        f"{name}_error": float(np.hypot(*reading.T).mean()),
        f"{name}_drift": float(np.hypot(*(reading - truth).T).mean()),
    }
