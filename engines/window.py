"""A window of a frame."""

import numpy as np
from numpy.typing import NDArray

Window = tuple[int, int, int, int]
"""x, y, width, height in pixels of a frame. It may reach outside, where the frame's edge is replicated."""


def cut(image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """uint8 (h, w, 3) of (H, W, 3); a view where the window lies inside the image."""
    x, y, width, height = window
    if x >= 0 and y >= 0 and x + width <= image.shape[1] and y + height <= image.shape[0]:
        return image[y : y + height, x : x + width]
    rows, columns = np.arange(y, y + height), np.arange(x, x + width)
    replicated = np.ix_(rows.clip(0, image.shape[0] - 1), columns.clip(0, image.shape[1] - 1))
    return np.asarray(image[replicated])
