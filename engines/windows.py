"""Windows of the body's grid as constants of a static shape, for back ends that gather instead of rolling. No torch.

A shifted layer rolls the grid by half a window. Then a window at the right or bottom edge holds tokens that were not
neighbours, and a mask keeps them apart. There are only four such masks, whatever the size of the grid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MASKED = -100.0
SIDE = 8
TOKENS = SIDE * SIDE


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """Orders in which a batch of grids is cut into windows; indices are into its raster, N*H*W tokens."""

    plain: NDArray[np.int64]
    """(N*H*W,): the tokens window by window."""
    shifted: NDArray[np.int64]
    """(N*H*W,): the tokens window by window after the roll, windows of one mask together."""
    masks: tuple[tuple[int, NDArray[np.float32]], ...]
    """For the shifted order: how many windows in a row share an additive mask, and the mask, float32 (64, 64)."""


def cut_windows(n: int, height: int, width: int) -> Windows:
    """Cut N grids of height x width tokens, both multiples of 8."""
    raster = np.arange(n * height * width).reshape(n, height, width)
    half = SIDE // 2
    kind = np.zeros((n, height // SIDE, width // SIDE), np.int64)
    kind[:, :, -1] += 1
    kind[:, -1, :] += 2
    order = np.argsort(kind.ravel(), kind="stable")
    shifted = _window_by_window(np.roll(raster, (-half, -half), (1, 2)))[order]
    return Windows(
        plain=_window_by_window(raster).ravel(),
        shifted=shifted.ravel(),
        masks=tuple((int(count), _mask(k)) for k, count in enumerate(np.bincount(kind.ravel())) if count),
    )


def relative_index() -> NDArray[np.int64]:
    """Row of the position-bias table for each pair of tokens, (64, 64) (Swin, eq. 4)."""
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")).reshape(2, -1)
    offset = grid[:, :, None] - grid[:, None, :] + SIDE - 1
    return np.asarray(offset[0] * (2 * SIDE - 1) + offset[1], np.int64)


def _window_by_window(grid_NHW: NDArray[np.int64]) -> NDArray[np.int64]:
    n, height, width = grid_NHW.shape
    cut = grid_NHW.reshape(n, height // SIDE, SIDE, width // SIDE, SIDE)
    return cut.swapaxes(2, 3).reshape(-1, TOKENS)


def _mask(kind: int) -> NDArray[np.float32]:
    """kind: 1 at the right edge, 2 at the bottom edge, 3 at both, 0 elsewhere."""
    row, column = np.divmod(np.arange(TOKENS), SIDE)
    part = (kind & 1) * (column >= SIDE // 2) + (kind & 2) * (row >= SIDE // 2)
    return np.where(part[:, None] != part[None, :], MASKED, 0.0).astype(np.float32)
