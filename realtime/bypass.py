"""Where the network was never trained to help, say so and send bicubic instead."""

import numpy as np

from engines import Engine
from realtime.frames import Landmarks

SMALLEST_IRIS_PX = 4.0
"""Iris diameter below which there is nothing to enhance: 21 px between the eyes, well under the 30 px of training."""
BACK_AGAIN = 1.15
"""The iris must grow by this much before the network comes back, so that it does not flicker in and out."""


def iris_px(landmarks: Landmarks) -> float:
    """Mean diameter of the two irises in camera pixels, from their horizontal rim points."""
    rims = landmarks.points[[469, 471, 474, 476]].astype(np.float64)
    return float(np.hypot(*(rims[[0, 2]] - rims[[1, 3]]).T).mean())


class Bypass:
    """Chooses between the network and a stand-in, frame by frame; `reason` says why the stand-in serves."""

    def __init__(self, stand_in: Engine, *, smallest_iris_px: float = SMALLEST_IRIS_PX) -> None:
        self._stand_in = stand_in
        self._smallest_iris_px = smallest_iris_px
        self.reason: str | None = None

    def __call__(self, landmarks: Landmarks | None, engine: Engine) -> Engine:
        """The engine for this frame; without a face, the one of the frame before."""
        if landmarks is not None:
            iris = iris_px(landmarks)
            limit = self._smallest_iris_px * (BACK_AGAIN if self.reason else 1)
            too_small = f"iris {iris:.1f} px, expected at least {limit:.1f}; move closer or raise the resolution"
            self.reason = too_small if iris < limit else None
        return self._stand_in if self.reason else engine
