"""Pupil centres: the classical localiser of means of gradients, and MediaPipe's iris.

F. Timm, E. Barth, "Accurate eye centre localisation by means of gradients", VISAPP 2011: the centre is where the unit
vectors to the strong gradients around it agree best with these gradients, dark places weighing more. Here only
gradients at the distance of an iris rim count (on sharp test faces that halves the error: 2.7 to 1.2 % of the
interocular distance), and a parabola through the maximum's neighbours gives sub-pixel steps.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from train.benefit.faces import IRIS_CENTRES, Mesh
from train.benefit.scene import View

WIDTH, HEIGHT = 0.9, 0.6
"""The box around the eye's middle where gradients are taken, in eye widths."""
SEARCHED = 0.65
"""The share of the box, along each axis, where the centre is looked for."""
RADIUS = (0.14, 0.26)
"""Gradients count for a centre at an iris radius from it, in eye widths: lashes and catchlights mostly do not."""
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
    places = np.stack([column, row], axis=1).astype(np.float32)
    reach = (RADIUS[0] * eye_width, RADIUS[1] * eye_width)
    rows, columns = (
        np.arange(side)[round(side * (1 - SEARCHED) / 2) :][: round(side * SEARCHED)] for side in grey.shape
    )
    candidates = np.stack(np.meshgrid(columns, rows), axis=2).astype(np.float32)
    score = agreement(candidates, places, unit.astype(np.float32), reach)
    score *= 255 - cv2.GaussianBlur(grey, (0, 0), max(2 * sigma, 0.5))[rows][:, columns]
    return np.asarray(peak(score) + np.array([left + columns[0], top + rows[0]]))


def agreement(
    candidates: NDArray[np.float32], places: NDArray[np.float32], units: NDArray[np.float32], reach: tuple[float, float]
) -> NDArray[np.float32]:
    """Mean squared agreement of each candidate as the centre, float32 (H, W); the paper's eq. 2.

    candidates: (H, W, 2) x, y. places: (N, 2) x, y of the gradients. units: (N, 2) their directions. reach: least and
    largest distance at which one counts. Only gradients that point outwards count, as an iris is darker than what
    surrounds it.
    """
    c = candidates.reshape(-1, 2)
    along = (places * units).sum(axis=1) - c @ units.T
    distance2 = (c**2).sum(axis=1)[:, None] + (places**2).sum(axis=1) - 2 * c @ places.T
    counts = (distance2 >= reach[0] ** 2) & (distance2 <= reach[1] ** 2)
    agreeing = np.maximum(along, 0) ** 2 / np.maximum(distance2, 1e-6) * counts
    return np.asarray(agreeing.mean(axis=1).reshape(candidates.shape[:2]), np.float32)


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

    def compare(
        self, reading: NDArray[np.float64], truth: NDArray[np.float64], usual: NDArray[np.float64]
    ) -> dict[str, float]:
        """Distances, mean over both eyes: see _distances()."""
        return _distances(self.name, reading, truth, usual)

    def spread(self, readings: NDArray[np.float64]) -> dict[str, float]:
        """Standard deviation in both directions together, mean over both eyes; a share of the interocular distance."""
        return _spread(self.name, readings)


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

    def compare(
        self, reading: NDArray[np.float64], truth: NDArray[np.float64], usual: NDArray[np.float64]
    ) -> dict[str, float]:
        """As GradientPupils.compare."""
        return _distances(self.name, reading, truth, usual)

    def spread(self, readings: NDArray[np.float64]) -> dict[str, float]:
        """As GradientPupils.spread."""
        return _spread(self.name, readings)


def _distances(
    name: str, reading: NDArray[np.float64], truth: NDArray[np.float64], usual: NDArray[np.float64]
) -> dict[str, float]:
    """NAME_error: from the hand label. NAME_calibrated: the same, less the localiser's usual offset from the labels on
    sharp pictures, as a tracker's calibration would take it away. NAME_drift: from its answer on the sharp picture.
    """
    differences = {"error": reading, "calibrated": reading - usual, "drift": reading - truth}
    return {f"{name}_{kind}": float(np.hypot(*d.T).mean()) for kind, d in differences.items()}


def _spread(name: str, readings: NDArray[np.float64]) -> dict[str, float]:
    return {f"{name}_std": float(np.sqrt(readings.var(axis=0).sum(axis=1)).mean())}
