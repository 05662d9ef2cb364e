"""Where the network does not help, say so and send bicubic instead."""

import numpy as np

from engines import Engine
from realtime.frames import Landmarks

SMALLEST_IRIS_PX = 4.0
"""Iris diameter below which there is nothing to enhance: 21 px between the eyes, well under the 30 px of training."""
LARGEST_IRIS_PX = 32.0
"""Iris diameter above which nothing is left to gain: 170 px between the eyes (benchmarks/README.md, Large eyes)."""
BACK_AGAIN = 1.15
"""The iris must come back by this much before the network does, so that it does not flicker in and out."""


def iris_px(landmarks: Landmarks) -> float:
    """Mean diameter of the two irises in camera pixels, from their horizontal rim points."""
    rims = landmarks.points[[469, 471, 474, 476]].astype(np.float64)
    return float(np.hypot(*(rims[[0, 2]] - rims[[1, 3]]).T).mean())


class Bypass:
    """Chooses between the network and a stand-in, frame by frame; `reason` says why the stand-in serves."""

    def __init__(
        self,
        stand_in: Engine,
        *,
        smallest_iris_px: float = SMALLEST_IRIS_PX,
        largest_iris_px: float = LARGEST_IRIS_PX,
    ) -> None:
        self._stand_in = stand_in
        self._smallest_iris_px, self._largest_iris_px = smallest_iris_px, largest_iris_px
        self.reason: str | None = None

    def __call__(self, landmarks: Landmarks | None, engine: Engine) -> Engine:
        """The engine for this frame; without a face, the one of the frame before."""
        if landmarks is not None:
            self.reason = self._reason(iris_px(landmarks))
        return self._stand_in if self.reason else engine

    def _reason(self, iris: float) -> str | None:
        margin = BACK_AGAIN if self.reason else 1.0
        smallest, largest = self._smallest_iris_px * margin, self._largest_iris_px / margin
        if iris < smallest:
            return f"iris {iris:.1f} px, expected at least {smallest:.1f}; move closer or raise the resolution"
        if iris > largest:
            return (
                f"iris {iris:.1f} px, expected at most {largest:.1f}: as good as enhanced; a lower resolution would do"
            )
        return None
