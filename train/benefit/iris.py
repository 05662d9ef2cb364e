"""The iris: how sharp its edge is, how large it looks, and which colour it has."""

import cv2
import numpy as np
from numpy.typing import NDArray

from train.benefit.scene import View

SIDEWAYS_DEG = 30.0
"""The rim is read this far above and below the horizontal, where no lid covers it."""
REACH = (0.55, 1.5)
"""Of the radial profile, in iris radii."""
SAMPLES = 96
RING = (0.5, 0.85)
"""Where the iris colour is read, in radii: outside the pupil, inside the rim."""


def rim_circle(rim: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Centre (2,) and radius of the least-squares circle through points (K, 2), K of at least 3 (Kasa 1976)."""
    system = np.column_stack([2 * rim, np.ones(len(rim))])
    (x, y, rest), *_ = np.linalg.lstsq(system, (rim**2).sum(axis=1), rcond=None)
    return np.array([x, y]), float(np.sqrt(rest + x * x + y * y))


def limbus(image: NDArray[np.uint8], centre: NDArray[np.float64], radius: float) -> tuple[float, float]:
    """Radius of the rim in labelled radii, and its sharpness: steepest slope over contrast, per radius.

    image: uint8 (H, W, 3) BGR. centre, radius: the labelled rim, in its pixels. The profile of each side is the mean
    over its rays, so that noise does not look like sharpness. NaN where a side shows no rim.
    """
    angles = np.radians(np.linspace(-SIDEWAYS_DEG, SIDEWAYS_DEG, 21))
    reach = np.linspace(*REACH, SAMPLES)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    found = []
    for side in (-1, 1):
        x = centre[0] + side * radius * np.outer(np.cos(angles), reach)
        y = centre[1] + radius * np.outer(np.sin(angles), reach)
        rays = cv2.remap(
            grey, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        profile = cv2.GaussianBlur(rays.mean(axis=0)[None], (0, 0), 1.0)[0]
        slope = np.gradient(profile, reach)
        inside = (reach > 0.75) & (reach < 1.3)
        steepest = int(np.where(inside, slope, -np.inf).argmax())
        contrast = float(np.percentile(profile, 90) - np.percentile(profile, 10))
        if contrast < 4 or slope[steepest] <= 0:
            found.append((np.nan, np.nan))
        else:
            found.append((reach[steepest], slope[steepest] / contrast))
    rim, sharpness = np.mean(found, axis=0)
    return float(rim), float(sharpness)


def iris_colour(image: NDArray[np.uint8], centre: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Mean CIE Lab (D65; L 0 to 100) of the iris beside and below the pupil, float64 (3,).

    image: uint8 (H, W, 3) BGR. centre, radius: of the labelled rim, in its pixels.
    """
    angles = np.radians(np.concatenate([np.linspace(-20, 60, 24), np.linspace(120, 200, 24)]))
    reach = np.linspace(*RING, 8) * radius
    x = (centre[0] + np.outer(np.cos(angles), reach)).astype(np.float32)
    y = (centre[1] + np.outer(np.sin(angles), reach)).astype(np.float32)
    ring = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lab = cv2.cvtColor(ring.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    return np.asarray(lab.reshape(-1, 3).mean(axis=0), np.float64)


class Irises:
    """Rim and colour of both irises."""

    name = "iris"

    def read(self, view: View) -> NDArray[np.float64]:
        """float64 (2, 5): for each eye the rim's radius (labelled radii), its sharpness, and L, a, b."""
        rows = []
        for rim in view.scene.face.rims:
            centre, radius = rim_circle(view.at(rim))
            rows.append([*limbus(view.image, centre, radius), *iris_colour(view.image, centre, radius)])
        return np.array(rows)

    def compare(
        self, reading: NDArray[np.float64], truth: NDArray[np.float64], usual: NDArray[np.float64]
    ) -> dict[str, float]:
        """Against the labels and the sharp picture, mean over both eyes.

        iris_radius_error: share of the labelled radius, less what sharp pictures usually differ from the label by.
        iris_radius_drift: the same against the sharp picture's own radius. limbus_sharpness: share of the sharp
        picture's. iris_lab: CIE76 distance of the mean colours.
        """
        return {
            "iris_radius_error": float(np.abs(reading[:, 0] - usual[:, 0]).mean()),
            "iris_radius_drift": float(np.abs(reading[:, 0] - truth[:, 0]).mean()),
            "limbus_sharpness": float((reading[:, 1] / truth[:, 1]).mean()),
            "iris_lab": float(np.linalg.norm(reading[:, 2:] - truth[:, 2:], axis=1).mean()),
        }

    def spread(self, readings: NDArray[np.float64]) -> dict[str, float]:
        """Standard deviation of the colour (Lab) and of the radius (share), mean over both eyes."""
        std = readings.std(axis=0)
        return {
            "iris_lab_std": float(np.hypot.reduce(std[:, 2:], axis=1).mean()),
            "iris_radius_std": float(std[:, 0].mean()),
        }
