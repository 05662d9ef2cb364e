"""Confidence intervals: over faces, and over the moments of a recording."""

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
BLOCK = 10
"""Moments of a recording that are drawn together: a third of a second at 30 frames a second."""


def mean_interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """Mean of one value for each face, and the 95 % percentile bootstrap interval of it (Efron 1979).

    values: (faces,); NaN are left out. All NaN when nothing is left.
    """
    kept = values[~np.isnan(values)]
    if not len(kept):
        return np.nan, np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(0, len(kept), (RESAMPLES, len(kept)))
    low, high = np.percentile(kept[drawn].mean(axis=1), (2.5, 97.5))
    return float(kept.mean()), float(low), float(high)


def median_difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], seed: int = 0
) -> tuple[float, float, float]:
    """Difference of two medians over the same moments of a recording, and its 95 % moving-block bootstrap interval.

    Neighbouring moments depend on each other, so that runs of BLOCK of them are drawn (Kuensch 1989), the same for
    both. ours, theirs: (moments,), in order; moments with a NaN are left out. All NaN when nothing is left.
    """
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    pair = np.stack([ours[known], theirs[known]])
    count = pair.shape[1]
    if not count:
        return np.nan, np.nan, np.nan
    block = min(BLOCK, count)
    starts = np.random.default_rng(seed).integers(0, count - block + 1, (RESAMPLES, -(-count // block), 1))
    drawn = (starts + np.arange(block)).reshape(RESAMPLES, -1)[:, :count]
    differences = np.subtract(*np.median(pair[:, drawn], axis=2))
    low, high = np.percentile(differences, (2.5, 97.5))
    return float(np.subtract(*np.median(pair, axis=1))), float(low), float(high)
